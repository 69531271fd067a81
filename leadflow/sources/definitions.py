"""A source as it is written down: what a file of `config/sources/` holds, and what people edit on the screens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from leadflow.errors import Fault, InvalidRequest
from leadflow.sources.mapping import TEMPLATE
from leadflow.sources.model import Source, Verification

MAX_ENTRIES = 200

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,60}$")]
Path = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300)]


def _check_template(text: str) -> str:
    if TEMPLATE.fullmatch(text) is None:
        raise ValueError("write the path of one answer with its name in braces, such as data.fields.{label}.value")
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Verify(_Strict):
    kind: Literal["none", "standard-webhooks"] = "none"
    tolerance_seconds: Annotated[int, Field(ge=1, le=3600)] = 300


class DeliveryId(_Strict):
    headers: Annotated[list[Text], Field(max_length=20)] = ["webhook-id"]
    path: Path | None = None


class Definition(_Strict):
    """One source. What it leaves out has the default of `Source`."""

    source: Name
    kind: Literal["generic", "standard-webhooks"]
    title: Text = ""
    verify: Verify = Verify()
    delivery_id: DeliveryId = DeliveryId()
    root: Path | None = None
    answers: Annotated[Path, AfterValidator(_check_template)] | None = None
    fields: Annotated[dict[str, Path | list[Path]], Field(max_length=MAX_ENTRIES)] = {}
    constants: Annotated[dict[str, Text], Field(max_length=MAX_ENTRIES)] = {}
    form_types: Annotated[dict[str, Text], Field(max_length=MAX_ENTRIES)] = {}
    event: Path | None = None
    events: Annotated[dict[str, Text], Field(max_length=MAX_ENTRIES)] = {}
    new_company_category: Name | None = "lead"
    allow_unverified: bool = False

    def as_document(self) -> dict[str, Any]:
        """What a file would say: everything that is not the default."""
        return {"source": self.source, "kind": self.kind} | self.model_dump(mode="json", exclude_defaults=True)


def read_definition(document: Mapping[str, Any]) -> Definition:
    """The definition that a document holds. Raises: InvalidRequest with every fault and its place."""
    try:
        return Definition.model_validate(dict(document))
    except ValidationError as error:
        raise InvalidRequest([_fault(one["loc"], one["msg"]) for one in error.errors(include_url=False)]) from None


def _fault(place: tuple[int | str, ...], message: str) -> Fault:
    said = message.removeprefix("Value error, ")
    return Fault(".".join(str(step) for step in place if not str(step).startswith(("function-", "constrained-"))), said)


def source_of(one: Definition, secrets: tuple[str, ...], off: str | None = None) -> Source:
    """The source that the definition and its secrets make."""
    return Source(
        name=one.source,
        kind=one.kind,
        title=one.title or one.source,
        verification=Verification(one.verify.kind, secrets, one.verify.tolerance_seconds),
        delivery_id_headers=tuple(name.lower() for name in one.delivery_id.headers),
        delivery_id_path=one.delivery_id.path,
        root=one.root,
        answers=one.answers,
        fields={name: (paths,) if isinstance(paths, str) else tuple(paths) for name, paths in one.fields.items()},
        constants=one.constants,
        form_types=one.form_types,
        event=one.event,
        events=one.events,
        new_company_category=one.new_company_category,
        allow_unverified=one.allow_unverified,
        off=off,
    )


def definition_of(source: Source) -> Definition:
    """The definition that makes this source, without its secrets."""
    return Definition(
        source=source.name,
        kind=source.kind,
        title=source.title,
        verify=Verify(kind=source.verification.kind, tolerance_seconds=source.verification.tolerance_seconds),
        delivery_id=DeliveryId(headers=list(source.delivery_id_headers), path=source.delivery_id_path),
        root=source.root,
        answers=source.answers,
        fields={name: list(paths) for name, paths in source.fields.items()},
        constants=dict(source.constants),
        form_types=dict(source.form_types),
        event=source.event,
        events=dict(source.events),
        new_company_category=source.new_company_category,
        allow_unverified=source.allow_unverified,
    )


def secret_variable(source: str) -> str:
    """The environment variable that holds a source's secrets."""
    return f"LEADFLOW_SOURCE_{source.upper().replace('-', '_')}_SECRET"


def secrets_in(environment: Mapping[str, str], source: str) -> tuple[str, ...]:
    """The secrets that the environment gives a source; several are separated by commas."""
    return tuple(part.strip() for part in environment.get(secret_variable(source), "").split(",") if part.strip())
