"""The fitting room: what stored payloads become with the present mapping and with another, and nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from leadflow.domain.fields import Catalogue, Unreadable, Value
from leadflow.errors import NotFound
from leadflow.services.matches import Match, match_of_case
from leadflow.services.processing import Desk, judge_events
from leadflow.services.runs import Run, run_as_row
from leadflow.services.source_book import SourceBook
from leadflow.sources.definitions import definition_of, read_definition, source_of
from leadflow.sources.deliveries import find_delivery_id, peek
from leadflow.sources.explaining import Explained, explain_payload
from leadflow.sources.mapping import leaves, map_submission
from leadflow.sources.model import Source
from leadflow.sources.payloads import UnreadablePayload
from leadflow.store import sources as store
from leadflow.store.inbox import ClaimedEvent
from leadflow.store.reads import RunView
from leadflow.store.sources import Payload
from leadflow.store.values import to_json

SHOWN_PAYLOADS = 6
MAX_PAYLOADS = 20

# The members of a definition that the fitting room changes.
MAPPING = ("root", "answers", "fields", "constants", "delivery_id", "event", "events", "form_types")

# So many held payloads are looked into to say how many a mapping would take: some milliseconds.
COUNTED = 1_000


@dataclass(frozen=True, slots=True)
class Fit:
    """What one payload becomes with one mapping. `is_busy`: its company is being worked on at this moment."""

    explained: Explained
    delivery_id: str | None
    match: Match | None = None
    runs: tuple[RunView, ...] = ()
    is_busy: bool = False

    @property
    def held(self) -> str | None:
        return self.explained.held

    def values(self) -> dict[str, tuple[Value | Unreadable, str]]:
        """The fields by name: what was read, and where it stood."""
        return {one.field.path: (one.value, one.place) for one in self.explained.fields}

    def fields_as_json(self) -> dict[str, dict[str, Any]]:
        """The same for programs: `value` or, where it cannot be read, `error`; and `place`."""
        return {path: {**_said(value), "place": place or None} for path, (value, place) in self.values().items()}


def _said(value: Value | Unreadable) -> dict[str, Any]:
    return {"error": value.reason} if isinstance(value, Unreadable) else {"value": to_json(value)}


@dataclass(frozen=True, slots=True)
class Fitting:
    """One stored payload with both mappings."""

    payload: Payload
    present: Fit
    new: Fit

    def rows(self) -> list[tuple[str, str, Any, Any]]:
        """(path of the field, label, present, new) of all fields that either has; each side (value, place) or None."""
        sides = (self.present.values(), self.new.values())
        labels = {one.field.path: one.field.label for fit in (self.present, self.new) for one in fit.explained.fields}
        return [(path, labels[path], sides[0].get(path), sides[1].get(path)) for path in labels]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a mapping would make of the held payloads: `taken` of `looked_at`, and why the others stay.

    `held` are all that are held, counted up to a bound.
    """

    held: int
    looked_at: int
    taken: int
    staying: list[tuple[str, int]] = field(default_factory=list)


def with_mapping(source: Source, patch: Mapping[str, Any]) -> Source:
    """The source with other members of its mapping, as if it were switched on. Raises: InvalidRequest."""
    document = {**definition_of(source).as_document(), **{key: patch[key] for key in MAPPING if key in patch}}
    given = {key: value for key, value in document.items() if key not in MAPPING or value is not None}
    return source_of(read_definition(given), source.verification.secrets)


def source_to_fit(connection: Connection, book: SourceBook, name: str) -> Source:
    """The source in force. Raises: NotFound."""
    source = book.read(connection).get(name)
    if source is None:
        raise NotFound(f"There is no source '{name}'.")
    return source


def try_on(
    connection: Connection, desk: Desk, present: Source, new: Source, payloads: Sequence[Payload], now: datetime
) -> list[Fitting]:
    """What each payload becomes now with either mapping, as if it came in at this moment.

    By the same code as a worker's, up to where it writes; the locks it takes are given back payload by payload.
    """
    catalogue = desk.lists.read(connection).catalogue
    is_same = present == new
    fittings = []
    for one in payloads:
        worn = _fit(connection, desk, present, one, catalogue, now)
        fittings.append(Fitting(one, worn, worn if is_same else _fit(connection, desk, new, one, catalogue, now)))
    return fittings


def _fit(
    connection: Connection, desk: Desk, source: Source, payload: Payload, catalogue: Catalogue, now: datetime
) -> Fit:
    explained = explain_payload(source, payload.content_type, payload.body, catalogue)
    delivery_id = find_delivery_id(source, {}, peek(source, payload.content_type, payload.body))
    if explained.held is not None:
        return Fit(explained, delivery_id)
    nested = connection.begin_nested()
    try:
        judged = judge_events(connection, desk, [_as_claimed(payload)], now, {source.name: source})
    finally:
        nested.rollback()
    if not judged.cases:
        return Fit(explained, delivery_id, is_busy=True)
    runs = tuple(_as_view(run, judged.index.version, now) for run in judged.runs)
    return Fit(explained, delivery_id, match_of_case(judged.cases[0], judged.lists.lifecycle), runs)


def _as_claimed(one: Payload) -> ClaimedEvent:
    # A declared event was stored as a form, too: what it is, the mapping says.
    return ClaimedEvent(
        one.id, one.source, "form_submitted", one.lane, one.received_at, one.content_type, one.body, 0, 0
    )


def _as_view(run: Run, version: int, now: datetime) -> RunView:
    row = run_as_row(run, version, now)
    return RunView(near_miss=row.pop("is_near_miss"), **row)


def outlook(connection: Connection, source: Source, catalogue: Catalogue, held: int) -> Outlook:
    """How many of the newest held payloads of the source this mapping would take."""
    found = store.payloads_in(connection, source.name, ("held",), COUNTED)
    reasons = Counter(reason for one in found if (reason := _reason(source, one, catalogue)) is not None)
    return Outlook(max(held, len(found)), len(found), len(found) - reasons.total(), reasons.most_common(5))


def _reason(source: Source, one: Payload, catalogue: Catalogue) -> str | None:
    try:
        map_submission(source, one.content_type, one.body, catalogue)
    except UnreadablePayload as reason:
        return str(reason)
    return source.off


def paths_in(payloads: Iterable[Payload], source: Source) -> dict[str, str]:
    """The paths of all values in these payloads, each with an example; those that most of them have come first."""
    seen: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for one in payloads:
        for path, value in leaves(peek(source, one.content_type, one.body) or {}):
            seen[path] += 1
            if value not in (None, "", []):
                examples.setdefault(path, str(value)[:60])
    return {path: examples.get(path, "") for path, _ in seen.most_common(200)}
