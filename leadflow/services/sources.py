"""Sources as administrators make, change and test them. A file of `config/sources/` is where a source begins."""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import Connection

from leadflow.errors import Conflict, Fault, InvalidRequest, NotFound, StaleWrite
from leadflow.outbound.sealing import UnreadableSeal
from leadflow.outbound.signing import new_secret, signed_headers
from leadflow.rules.problems import find_nearest
from leadflow.services.inbox import prepare_arrival, receive_arrivals, require_open_door
from leadflow.services.processing import Desk, process_events
from leadflow.services.readings import RECORDS_SOURCE, SALES_SOURCE
from leadflow.services.resuming import WAITS_SOURCE
from leadflow.services.source_book import KeptSecret, SourceBook, open_secrets, seal_secrets
from leadflow.sources.definitions import Definition, definition_of, read_definition
from leadflow.sources.deliveries import NotGenuine, signing_key, verify
from leadflow.sources.mapping import ALIASES
from leadflow.sources.model import Source
from leadflow.store import sources as store
from leadflow.store.inbox import claim
from leadflow.store.lists import Lists, bump_revision
from leadflow.store.sources import StoredSource

# Names of leadflow's own events, and the words that addresses of pages use.
RESERVED = frozenset({SALES_SOURCE, RECORDS_SOURCE, WAITS_SOURCE, "new"})

MIN_KEY_BYTES, MAX_SECRETS = 16, 5
TEST_PREFIX = "test-"

# Whose definition is in force: the file's, the file's as somebody changed it, or one that was made on the screens.
Origin = Literal["file", "changed", "made"]


@dataclass(frozen=True, slots=True)
class SecretView:
    """That there is a secret, never which one. One of the environment has no number: it is changed there."""

    id: str | None
    origin: Literal["people", "environment"]
    added_at: datetime | None = None
    added_by: str | None = None


@dataclass(frozen=True, slots=True)
class SourceView:
    """A source as administrators see it. `trouble` says why its secrets or definition cannot be used."""

    name: str
    title: str
    kind: str
    origin: Origin
    is_enabled: bool
    is_verified: bool
    allow_unverified: bool
    verify: dict[str, Any]
    delivery_id: dict[str, Any]
    root: str | None
    answers: str | None
    fields: dict[str, list[str]]
    constants: dict[str, str]
    form_types: dict[str, str]
    event: str | None
    events: dict[str, str]
    new_company_category: str | None
    secrets: list[SecretView]
    trouble: str | None
    changed_by: str | None
    updated_at: datetime | None
    revision: int


# -- reading -----------------------------------------------------------------------------------------------------------


def source_views(connection: Connection, book: SourceBook) -> list[SourceView]:
    """All sources by name."""
    stored = {one.name: one for one in store.stored_sources(connection)}
    return [_view(book, name, stored.get(name)) for name in sorted({*book.files, *stored})]


def source_view(connection: Connection, book: SourceBook, name: str) -> SourceView:
    """One source. Raises: NotFound."""
    stored = store.stored_source(connection, name)
    if stored is None and name not in book.files:
        raise NotFound(f"There is no source '{name}'.")
    return _view(book, name, stored)


def _view(book: SourceBook, name: str, stored: StoredSource | None) -> SourceView:
    source = book.files[name] if stored is None else book.source_of(stored)
    said = definition_of(source)
    secrets, trouble = _secrets_of(book, name, stored)
    is_unreadable = stored is not None and stored.is_enabled and source.off is not None
    return SourceView(
        name=name,
        title=source.title,
        kind=source.kind,
        origin="file" if stored is None else "changed" if name in book.files else "made",
        is_enabled=stored is None or stored.is_enabled,
        is_verified=source.is_verified,
        allow_unverified=source.allow_unverified,
        verify=said.verify.model_dump(),
        delivery_id=said.delivery_id.model_dump(),
        root=said.root,
        answers=said.answers,
        fields={field: list(paths) for field, paths in source.fields.items()},
        constants=said.constants,
        form_types=said.form_types,
        event=said.event,
        events=said.events,
        new_company_category=said.new_company_category,
        secrets=secrets,
        trouble=source.off if is_unreadable else trouble,
        changed_by=stored.changed_by if stored else None,
        updated_at=stored.updated_at if stored else None,
        revision=stored.revision if stored else 0,
    )


def _secrets_of(book: SourceBook, name: str, stored: StoredSource | None) -> tuple[list[SecretView], str | None]:
    given = [SecretView(None, "environment") for _ in book.secrets_of_environment(name)]
    if stored is None or book.seals is None:
        return given, None
    try:
        kept = [SecretView(one.id, "people", one.added_at, one.added_by) for one in open_secrets(stored, book.seals)]
    except UnreadableSeal as reason:
        return given, f"The secrets that were set here cannot be opened. {reason}"
    return [*kept, *given], None


# -- changing ----------------------------------------------------------------------------------------------------------


def create_source(
    connection: Connection, book: SourceBook, lists: Lists, sent: Mapping[str, Any], by: str, now: datetime
) -> str:
    """Make a source from `name`, `kind` and what else a definition holds; its name.

    Raises: InvalidRequest, Conflict.
    """
    name = str(sent.get("name", ""))
    said = {key: value for key, value in sent.items() if key not in ("name", "is_enabled")}
    document = {"source": name, **{key: value for key, value in said.items() if not _is_reset(key, said)}}
    definition = _checked(lists, document)
    if name in RESERVED:
        raise InvalidRequest([Fault("name", f"'{name}' is a name that leadflow uses itself; choose another")])
    if name in book.files:
        raise Conflict(f"There is a source '{name}' already.")
    values = {"name": name, "definition": definition.as_document(), "is_enabled": sent.get("is_enabled", True)}
    store.add_source(connection, {**values, "changed_by": by}, now)
    bump_revision(connection)
    return name


def change_source(
    connection: Connection,
    book: SourceBook,
    lists: Lists,
    name: str,
    patch: Mapping[str, Any],
    by: str,
    now: datetime,
    expected_revision: int | None = None,
) -> None:
    """Change some members of the definition, and `is_enabled`; null brings a member back to its default.

    Raises: NotFound, StaleWrite, InvalidRequest.
    """
    stored = _to_change(connection, book, name, by, now, expected_revision)
    changed = {key: value for key, value in patch.items() if key != "is_enabled"}
    document = {key: value for key, value in {**stored.definition, **changed}.items() if not _is_reset(key, changed)}
    definition = _checked(lists, {**document, "source": name}, stored.definition)
    values: dict[str, Any] = {"definition": definition.as_document(), "changed_by": by}
    if "is_enabled" in patch:
        values["is_enabled"] = bool(patch["is_enabled"])
    _write(connection, name, values, now)


def _is_reset(key: str, changed: Mapping[str, Any]) -> bool:
    """No category for new companies is a wish of its own; anything else that is null is as if it were not there."""
    return key in changed and changed[key] is None and key != "new_company_category"


def add_secret(
    connection: Connection,
    book: SourceBook,
    name: str,
    secret: str | None,
    by: str,
    now: datetime,
    expected_revision: int | None = None,
) -> str:
    """Give the source one more secret, valid beside the others; without one, a new one is made. The secret.

    Raises: NotFound, StaleWrite, InvalidRequest, Conflict.
    """
    given = (secret or new_secret()).strip()
    _check_secret(given)
    stored = _to_change(connection, book, name, by, now, expected_revision)
    kept = _open(book, stored)
    if len(kept) >= MAX_SECRETS:
        raise Conflict(f"There are {MAX_SECRETS} secrets already; remove one that no sender uses any more.")
    if given in (one.secret for one in kept):
        raise Conflict("This secret is set already.")
    _keep(connection, book, name, [KeptSecret(uuid4().hex[:8], given, now, by), *kept], by, now)
    return given


def remove_secret(connection: Connection, book: SourceBook, name: str, secret_id: str, by: str, now: datetime) -> None:
    """Take a secret away: from now on what it signs is refused. Raises: NotFound."""
    stored = _to_change(connection, book, name, by, now, None)
    kept = _open(book, stored)
    left = [one for one in kept if one.id != secret_id]
    if len(left) == len(kept):
        raise NotFound("There is no such secret any more.")
    _keep(connection, book, name, left, by, now)


def remove_source(
    connection: Connection, book: SourceBook, name: str, expected_revision: int | None = None
) -> SourceView:
    """Forget what people made of the source: back to the file, or gone where there is none; as it was.

    Raises: NotFound, StaleWrite; Conflict if it is a file's as it stands.
    """
    view = source_view(connection, book, name)
    stored = store.stored_source(connection, name, to_change=True)
    if stored is None:
        raise Conflict(
            f"The source '{name}' comes from a file of config/sources and was not changed here. To stop it, switch it"
            " off: its deliveries are then held, and nothing is lost."
        )
    _require_revision(stored.revision, expected_revision, stored.changed_by)
    store.delete_source(connection, name)
    bump_revision(connection)
    return view


def _to_change(
    connection: Connection, book: SourceBook, name: str, by: str, now: datetime, expected_revision: int | None
) -> StoredSource:
    """The row of the source, locked; what is only a file so far becomes one."""
    stored = store.stored_source(connection, name, to_change=True)
    if stored is not None:
        _require_revision(stored.revision, expected_revision, stored.changed_by)
        return stored
    if name not in book.files:
        raise NotFound(f"There is no source '{name}'.")
    _require_revision(0, expected_revision)
    values = {"name": name, "definition": definition_of(book.files[name]).as_document(), "changed_by": by}
    store.add_source(connection, values, now)
    return StoredSource(name, values["definition"], None, True, by, now, now, 1)  # type: ignore[arg-type]


def _require_revision(revision: int, expected: int | None, by: str = "Somebody") -> None:
    if expected is not None and revision != expected:
        raise StaleWrite(f"{by} changed this source since you opened it.")


def _write(connection: Connection, name: str, values: dict[str, Any], now: datetime) -> None:
    store.write_source(connection, name, values, now)
    bump_revision(connection)


def _keep(
    connection: Connection, book: SourceBook, name: str, secrets: list[KeptSecret], by: str, now: datetime
) -> None:
    if book.seals is None:
        raise Conflict("LEADFLOW_SECRET_KEY is not set here, so no secret can be sealed.")
    _write(connection, name, {"sealed": seal_secrets(name, secrets, book.seals), "changed_by": by}, now)


def _open(book: SourceBook, stored: StoredSource) -> list[KeptSecret]:
    try:
        return open_secrets(stored, book.seals) if book.seals else []
    except UnreadableSeal:
        return []  # setting a new one is the very way to mend it


def _check_secret(secret: str) -> None:
    try:
        key = signing_key(secret)
    except (ValueError, binascii.Error):
        raise InvalidRequest([Fault("secret", "must be base64, with or without whsec_ before it")]) from None
    if len(key) < MIN_KEY_BYTES:
        raise InvalidRequest([Fault("secret", f"is too short: at least {MIN_KEY_BYTES} bytes before base64")])


# -- what a definition may say here ------------------------------------------------------------------------------------


def known_fields(lists: Lists) -> list[str]:
    """What a payload's values can be read into, by the names that a mapping uses."""
    named = [one.path.partition(".")[2] for one in lists.catalogue.of("form", "event")]
    return list(dict.fromkeys([*named, *ALIASES]))


def _checked(lists: Lists, document: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> Definition:
    """The definition. Raises: InvalidRequest for what this installation does not know, unless it stood there before."""
    definition = read_definition(document)
    was = before or {}
    faults = [*_field_faults(lists, definition, was), *_category_faults(lists, definition, was)]
    for theirs, name in definition.events.items():
        if name not in lists.catalogue.events:
            hint = _hint(name, lists.catalogue.events)
            faults.append(Fault(f"events.{theirs}", f"'{name}' is not declared under events in fields.yaml{hint}"))
    if faults:
        raise InvalidRequest(faults)
    return definition


def _field_faults(lists: Lists, definition: Definition, was: Mapping[str, Any]) -> Iterable[Fault]:
    known = {*known_fields(lists), *was.get("fields", {}), *was.get("constants", {}), definition.event}
    for member, named in (("fields", definition.fields), ("constants", definition.constants)):
        for name in named:
            if name not in known:
                hint = _hint(name, [one for one in known if one])
                yield Fault(f"{member}.{name}", f"'{name}' is no field that a payload can be read into{hint}")


def _category_faults(lists: Lists, definition: Definition, was: Mapping[str, Any]) -> Iterable[Fault]:
    key = definition.new_company_category
    if key is None or key == was.get("new_company_category", "lead" if was else None):
        return
    category = lists.lifecycle.categories.get(key)
    if category is None or category.deleted:
        yield Fault("new_company_category", f"there is no category '{key}'")
    elif not lists.lifecycle.decide_move(None, key).is_allowed:
        yield Fault("new_company_category", f"no company may begin as {category.name}: the lifecycle has no such step")


def _hint(name: str, known: Iterable[str]) -> str:
    near = find_nearest(name, list(known))
    return f"; did you mean '{near}'?" if near else ""


# -- a test ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tested:
    """What a sender would hear for a test delivery, and the event it became in this transaction."""

    status: int
    answer: str
    headers: Mapping[str, str]
    event_id: int | None = None
    is_busy: bool = False


def send_test(
    connection: Connection,
    desk: Desk,
    name: str,
    content_type: str,
    body: bytes,
    accepts_unverified: bool,
    now: datetime,
    *,
    works: bool,
) -> Tested:
    """Take a signed test delivery as the hook of the source takes one, and with `works` let it have its effects here.

    Everything is in this transaction: a caller who rolls it back has had a rehearsal. Raises: NotFound.
    """
    source = desk.book.read(connection).get(name)
    if source is None:
        raise NotFound(f"There is no source '{name}'.")
    headers = _test_headers(source, body, now)
    try:
        require_open_door(source, accepts_unverified)
        verify(source, headers, body, now)
    except NotGenuine as reason:
        return Tested(401, str(reason), headers)
    arrival = prepare_arrival(source, headers, content_type, body, now)
    event_id = receive_arrivals(connection, [arrival])[0].event_id
    is_busy = works and not _work_on(connection, desk, event_id, now)
    return Tested(200, f'{{"event_id": {event_id}, "duplicate": false}}', headers, event_id, is_busy)


def _work_on(connection: Connection, desk: Desk, event_id: int, now: datetime) -> bool:
    """Give the event its effects; False while another transaction has its company."""
    claimed = claim(connection, now, 1, only=[event_id])
    return bool(claimed) and not process_events(connection, desk, claimed, now).postponed


def _test_headers(source: Source, body: bytes, now: datetime) -> dict[str, str]:
    """The headers of a sender who knows the first of the secrets; the delivery id is marked as a test's."""
    identity = TEST_PREFIX + uuid4().hex[:12]
    named = {source.delivery_id_headers[0]: identity} if source.delivery_id_headers else {}
    secrets = source.verification.secrets[:1] if source.is_verified else ()
    return {**named, **signed_headers(secrets, identity, now, body)} if secrets else named
