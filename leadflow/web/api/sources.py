"""Sources: where forms and events come from. Secrets are written, never read back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from leadflow.services import fitting
from leadflow.services import sources as service
from leadflow.services.inbox import Replayed, replay_events
from leadflow.services.sources import SourceView
from leadflow.store import sources as store
from leadflow.store.lists import read_lists
from leadflow.store.replays import Choice
from leadflow.web.api.endpoints import Answer, Call, api, endpoint, expected_revision
from leadflow.web.api.models import Body, Id
from leadflow.web.config import web_config

SECRET = {"secret": str | None}

Word = Annotated[str, Field(min_length=1, max_length=300)]
Place = Annotated[str, Field(min_length=1, max_length=300, description="path in the payload, such as data.email")]
Places = Annotated[dict[str, list[Place]], Field(max_length=200, description="field → places, the first that is there")]
Pairs = Annotated[dict[str, Annotated[str, Field(max_length=300)]], Field(max_length=200)]
Secret = Annotated[str, Field(max_length=1_000, description="base64, with or without whsec_ before it")]


class SourcePath(BaseModel):
    name: Annotated[str, Field(max_length=100)]


class VerifyBody(Body):
    kind: Literal["none", "standard-webhooks"]
    tolerance_seconds: Annotated[int, Field(ge=1, le=3600)] = 300


class DeliveryIdBody(Body):
    headers: Annotated[list[Word], Field(max_length=20)] = ["webhook-id"]
    path: Place | None = None


class MappingBody(Body):
    """How payloads are read; null brings a member back to its default."""

    root: Annotated[Place | None, Field(description="path below which the answers stand")] = None
    answers: Annotated[Place | None, Field(description="path of each answer, its name in braces")] = None
    fields: Places = {}
    constants: Annotated[Pairs, Field(description="fields that are the same in every delivery")] = {}
    form_types: Annotated[Pairs, Field(description="form → its type")] = {}
    event: Annotated[Place | None, Field(description="path of the name of a declared event")] = None
    events: Annotated[Pairs, Field(description="the sender's name → the declared event that is meant")] = {}
    delivery_id: DeliveryIdBody | None = None


class SourceChange(MappingBody):
    title: Annotated[str, Field(max_length=200)] = ""
    verify: VerifyBody | None = None
    new_company_category: Annotated[str | None, Field(description="key of the category; null: none")] = "lead"
    allow_unverified: bool = False
    is_enabled: Annotated[bool, Field(description="false: deliveries are stored and held")] = True
    new_secret: Annotated[bool, Field(description="true: one more secret, valid beside the others")] = False
    add_secret: Annotated[Secret | None, Field(description="one more secret, valid beside the others")] = None
    remove_secrets: Annotated[list[str], Field(max_length=10, description="ids of secrets that no longer hold")] = []


class SourceCreate(SourceChange):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,60}$")]
    kind: Literal["generic", "standard-webhooks"] = "generic"


class FittingBody(MappingBody):
    event_ids: Annotated[
        list[Id], Field(max_length=fitting.MAX_PAYLOADS, description="none: the newest held ones")
    ] = []


class ReplayBody(Body):
    state: Literal["held", "failed"] | None = None
    source: Word | None = None


class FittedSide(BaseModel):
    """What a payload becomes with one mapping: `fields` by name with value and place."""

    state: Literal["processed", "held"]
    error: str | None
    fields: dict[str, Any]
    unused: list[str]
    delivery_id: str | None
    contact_id: int | None
    company_id: int | None
    runs: list[dict[str, Any]]


class FittedPayload(BaseModel):
    event_id: int
    present: FittedSide
    new: FittedSide


class FittingView(BaseModel):
    """Nothing of it is written. `held` events wait; of the `looked_at` newest the new mapping would take `taken`."""

    held: int
    looked_at: int
    taken: int
    items: list[FittedPayload]


SECRET_MEMBERS = ("new_secret", "add_secret", "remove_secrets")


@endpoint("get", "/sources", role="admin", tag="Sources", view=SourceView, is_list=True)
def list_sources(call: Call) -> list[SourceView]:
    """List the sources by name."""
    return service.source_views(call.connection, web_config().desk.book)


@endpoint("post", "/sources", role="admin", tag="Sources", view=SourceView, status=201, more=SECRET)
def add_source(call: Call, body: SourceCreate) -> Answer:
    """Add a source. `secret` is there only if `new_secret` asked for one, and only this once."""
    book, sent = web_config().desk.book, body.given()
    definition = {key: value for key, value in sent.items() if key not in SECRET_MEMBERS}
    kind = {"kind": sent.get("kind", "generic")}
    lists = read_lists(call.connection)
    name = service.create_source(call.connection, book, lists, {**definition, **kind}, call.caller.name, call.now)
    secret = _change_secrets(call, name, sent)
    view = service.source_view(call.connection, book, name)
    return Answer(view, 201, f"{api.url_prefix}/sources/{name}", once={"secret": secret})


@endpoint("get", "/sources/<name>", role="admin", tag="Sources", view=SourceView)
def show_source(call: Call, path: SourcePath) -> SourceView:
    """Read a source; never its secrets."""
    return service.source_view(call.connection, web_config().desk.book, path.name)


@endpoint("patch", "/sources/<name>", role="admin", tag="Sources", view=SourceView, more=SECRET)
def edit_source(call: Call, path: SourcePath, body: SourceChange) -> Answer:
    """Change a source; one from a file is from then on what you make of it. `secret`: see there."""
    book, sent = web_config().desk.book, body.given()
    expected = expected_revision(service.source_view(call.connection, book, path.name))
    patch = {key: value for key, value in sent.items() if key not in SECRET_MEMBERS}
    if patch or expected is not None:
        lists, who = read_lists(call.connection), call.caller.name
        service.change_source(call.connection, book, lists, path.name, patch, who, call.now, expected)
    secret = _change_secrets(call, path.name, sent)
    return Answer(service.source_view(call.connection, book, path.name), once={"secret": secret})


def _change_secrets(call: Call, name: str, sent: dict[str, Any]) -> str | None:
    """The secret that was made, if one was wished for."""
    book, who, made = web_config().desk.book, call.caller.name, None
    for secret_id in sent.get("remove_secrets", ()):
        service.remove_secret(call.connection, book, name, secret_id, who, call.now)
    if sent.get("add_secret") is not None:
        service.add_secret(call.connection, book, name, sent["add_secret"], who, call.now)
    if sent.get("new_secret"):
        made = service.add_secret(call.connection, book, name, None, who, call.now)
    return made


@endpoint("delete", "/sources/<name>", role="admin", tag="Sources", view=SourceView)
def drop_source(call: Call, path: SourcePath) -> SourceView:
    """Forget what people made of a source: back to its file, or gone. A file's source as it stands: 409."""
    book = web_config().desk.book
    expected = expected_revision(service.source_view(call.connection, book, path.name))
    return service.remove_source(call.connection, book, path.name, expected)


@endpoint("post", "/sources/<name>/fitting", role="admin", tag="Sources", view=FittingView)
def try_mapping_on(call: Call, path: SourcePath, body: FittingBody) -> FittingView:
    """Say what stored payloads become with the present mapping and with this one; nothing is written."""
    desk, sent = web_config().desk, body.given()
    present = fitting.source_to_fit(call.connection, desk.book, path.name)
    new = fitting.with_mapping(present, {key: value for key, value in sent.items() if key != "event_ids"})
    ids = sent.get("event_ids")
    payloads = (
        store.chosen_payloads(call.connection, path.name, ids)
        if ids
        else store.payloads(call.connection, path.name, fitting.SHOWN_PAYLOADS)
    )
    fittings = fitting.try_on(call.connection, desk, present, new, payloads, call.now)
    seen = fitting.outlook(call.connection, new, desk.lists.read(call.connection).catalogue, 0)
    items = [FittedPayload(event_id=one.payload.id, present=_side(one.present), new=_side(one.new)) for one in fittings]
    return FittingView(held=seen.held, looked_at=seen.looked_at, taken=seen.taken, items=items)


def _side(fit: fitting.Fit) -> FittedSide:
    return FittedSide(
        state="held" if fit.held else "processed",
        error=fit.held,
        fields=fit.fields_as_json(),
        unused=[place for place, _ in fit.explained.unused],
        delivery_id=fit.delivery_id,
        contact_id=fit.match.contact_id if fit.match else None,
        company_id=fit.match.company_id if fit.match else None,
        runs=[{"rule": run.rule, "outcome": run.outcome, "near_miss": run.near_miss} for run in fit.runs],
    )


@endpoint("post", "/events/replay", role="editor", tag="Events", view=Replayed, rings=True)
def try_events_again(call: Call, body: ReplayBody) -> Replayed:
    """Process all held or failed events again, of one source if it is named, the oldest first, 10,000 at most.

    Their effects happen once. `events` says how many; none: 409.
    """
    sources = web_config().desk.book.read(call.connection)
    title = f"{(body.state or 'stuck').capitalize()} events of {body.source or 'all sources'}"
    choice = Choice(body.state, body.source)
    return replay_events(call.connection, sources, choice, title, call.caller.name, call.now)
