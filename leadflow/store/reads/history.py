"""What happened: events with their traces, runs of rules, the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select

from leadflow.errors import NotFound
from leadflow.store.reads.records import DEFAULT_PAGE_SIZE
from leadflow.store.reads.rows import change_view, read_page, select_changes
from leadflow.store.reads.views import ChangeView, EventView, Page, RunView
from leadflow.store.tables import ChangeRow, EventRow, RunRow

_EVENT_COLUMNS = [
    *(EventRow.__table__.c[name] for name in ("id", "source", "delivery_id", "type", "name", "state")),
    *(EventRow.__table__.c[name] for name in ("received_at", "processed_at", "company_id", "contact_id")),
    *(EventRow.__table__.c[name] for name in ("error", "next_attempt_at", "fields")),
]

_RUN_COLUMNS = [
    RunRow.is_near_miss.label("near_miss"),
    *(column for column in RunRow.__table__.c if column.name != "is_near_miss"),
]


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events of the inbox."""

    state: str | None = None
    source: str | None = None
    type: str | None = None
    company_id: int | None = None
    contact_id: int | None = None

    def narrow(self, query: Select[Any]) -> Select[Any]:
        return _narrow(query, EventRow, self, ("state", "source", "type", "company_id", "contact_id"))


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Which changes of the ledger: `since` is inclusive, `rule` is a slug."""

    company_id: int | None = None
    contact_id: int | None = None
    rule: str | None = None
    event_id: int | None = None
    run_id: int | None = None
    field: str | None = None
    since: datetime | None = None

    def narrow(self, query: Select[Any]) -> Select[Any]:
        if self.since is not None:
            query = query.where(ChangeRow.at >= self.since)
        return _narrow(query, ChangeRow, self, ("company_id", "contact_id", "rule", "event_id", "run_id", "field"))


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which traces."""

    rule: str | None = None
    outcome: str | None = None
    event_id: int | None = None
    sweep_id: int | None = None
    company_id: int | None = None
    contact_id: int | None = None

    def narrow(self, query: Select[Any]) -> Select[Any]:
        names = ("rule", "outcome", "event_id", "sweep_id", "company_id", "contact_id")
        return _narrow(query, RunRow, self, names)


def _narrow(query: Select[Any], table: Any, wanted: object, names: tuple[str, ...]) -> Select[Any]:
    """Equality on the columns of `names` (never on a name from outside) that are asked for."""
    for name in names:
        if (value := getattr(wanted, name)) is not None:
            query = query.where(getattr(table, name) == value)
    return query


def event(connection: Connection, event_id: int) -> EventView:
    """One event with its traces. Raises: NotFound."""
    row = connection.execute(select(*_EVENT_COLUMNS).where(EventRow.id == event_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no event {event_id}.")
    return _with_runs(connection, [_event_view(row)])[0]


def events(
    connection: Connection,
    wanted: EventFilter = EventFilter(),
    *,
    after: int | None = None,
    limit: int = DEFAULT_PAGE_SIZE,
    newest_first: bool = True,
) -> Page[EventView]:
    """Events with their traces, newest first unless asked otherwise."""
    query = wanted.narrow(select(*_EVENT_COLUMNS))
    page = read_page(connection, query, EventRow.id, after, limit, _event_view, newest_first=newest_first)
    return Page(_with_runs(connection, page.items), page.next_key)


def events_by_number(connection: Connection, ids: Sequence[int]) -> list[EventView]:
    """These events with their traces, newest first."""
    query = select(*_EVENT_COLUMNS).where(EventRow.id.in_(ids)).order_by(EventRow.id.desc())
    return _with_runs(connection, [_event_view(row) for row in connection.execute(query).mappings()])


def runs(
    connection: Connection,
    wanted: RunFilter = RunFilter(),
    *,
    after: int | None = None,
    limit: int = DEFAULT_PAGE_SIZE,
) -> Page[RunView]:
    """Traces, newest first."""
    query = wanted.narrow(select(*_RUN_COLUMNS))
    return read_page(connection, query, RunRow.id, after, limit, _run_view, newest_first=True)


def changes(
    connection: Connection,
    wanted: ChangeFilter = ChangeFilter(),
    *,
    after: int | None = None,
    limit: int = DEFAULT_PAGE_SIZE,
    newest_first: bool = False,
) -> Page[ChangeView]:
    """The ledger, oldest first unless asked otherwise."""
    query = wanted.narrow(select_changes())
    return read_page(connection, query, ChangeRow.id, after, limit, change_view, newest_first=newest_first)


def _event_view(row: RowMapping) -> EventView:
    return EventView(**row, runs=[])


def _run_view(row: RowMapping) -> RunView:
    return RunView(**row)


def _with_runs(connection: Connection, found: Sequence[EventView]) -> list[EventView]:
    """The events with their traces, by one query for all of them."""
    ids = [one.id for one in found]
    if not ids:
        return []
    query = select(*_RUN_COLUMNS).where(RunRow.event_id.in_(ids)).order_by(RunRow.id)
    runs_of: dict[int, list[RunView]] = {one: [] for one in ids}
    for row in connection.execute(query).mappings():
        runs_of[row["event_id"]].append(_run_view(row))
    return [replace(one, runs=runs_of[one.id]) for one in found]
