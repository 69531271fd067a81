"""Queries that only the screens need: newest-first lists, timelines, what wants attention."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, literal, or_, select

from leadflow.store import reads
from leadflow.store.reads.rows import (
    IS_ACTIVE,
    change_view,
    company_view,
    contact_view,
    read_page,
    select_companies,
    select_contacts,
)
from leadflow.store.tables import (
    ChangeRow,
    CompanyRow,
    ContactRow,
    DeliveryConflict,
    EventRow,
    OutboxRow,
    ProposalRow,
    RunRow,
    SweepRow,
    TaskRow,
)

# Counts beside the navigation stop here: more than this many is shown as "99+".
COUNT_LIMIT = 100
SHOWN_TASKS = 12
LOOKED_AT_RUNS = 5_000
TOLD_EVENTS = ("form_submitted", "sale")


@dataclass(frozen=True, slots=True)
class Move:
    """One change of a company's category, with what the sentence about it needs."""

    change: reads.ChangeView
    company_name: str | None
    form: str | None


@dataclass(frozen=True, slots=True)
class Body:
    """What a delivery sent, byte for byte; None when it has been cleared away."""

    content_type: str | None
    content: bytes | None
    conflicting_deliveries: int


@dataclass(frozen=True, slots=True)
class Attention:
    """How much waits for a person: stuck events, due tasks, … each counted up to `COUNT_LIMIT`."""

    stuck_events: int
    due_tasks: int
    parked_messages: int
    braked_sweeps: int
    open_proposals: int


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of a timeline: exactly one of `change`, `event` and `task` is there. A sale's steps are events."""

    at: datetime
    change: reads.ChangeView | None = None
    event: reads.EventView | None = None
    task: reads.TaskView | None = None

    @property
    def order(self) -> tuple[datetime, int, int]:
        """Newest first needs a whole order: of one moment, the event comes before what it caused."""
        for rank, one in enumerate((self.event, self.change, self.task)):
            if one is not None:
                return self.at, rank, one.id
        return self.at, 0, 0


@dataclass(frozen=True, slots=True)
class Timeline:
    """The newest entries first; `has_more` says whether there are older ones."""

    entries: list[TimelineEntry]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Sums:
    """Events received in a span of time, by what became of them."""

    received: int
    processed: int
    held: int
    failed: int

    def minus(self, part: Sums) -> Sums:
        """What is left of this span without a part of it."""
        return Sums(
            self.received - part.received,
            self.processed - part.processed,
            self.held - part.held,
            self.failed - part.failed,
        )


# -- lists -------------------------------------------------------------------------------------------------------------


def newest_companies(
    connection: Connection, wanted: reads.CompanyFilter, *, after: int | None, limit: int
) -> reads.Page[reads.CompanyView]:
    """Companies, the newest first."""
    query = wanted.narrow(select_companies())
    return read_page(connection, query, CompanyRow.id, after, limit, company_view, newest_first=True)


def newest_contacts(
    connection: Connection, wanted: reads.ContactFilter, *, is_lead: bool, after: int | None, limit: int
) -> reads.Page[reads.ContactView]:
    """Contacts, the newest first; with `is_lead` only those whose lead status is active."""
    query = wanted.narrow(select_contacts())
    if is_lead:
        query = query.where(IS_ACTIVE)
    return read_page(connection, query, ContactRow.id, after, limit, contact_view, newest_first=True)


def contacts_per_company(connection: Connection, company_ids: Collection[int]) -> dict[int, int]:
    """How many contacts each of these companies has; those with none are missing."""
    query = (
        select(ContactRow.company_id, func.count())
        .where(ContactRow.company_id.in_(company_ids))
        .group_by(ContactRow.company_id)
    )
    return {company_id: count for company_id, count in connection.execute(query) if company_id is not None}


def open_tasks(connection: Connection, *, limit: int) -> list[reads.TaskView]:
    """What is to be done, the most urgent first; tasks without a date come last."""
    query = _select_tasks().where(TaskRow.done_at.is_(None)).order_by(TaskRow.due_at.nulls_last(), TaskRow.id)
    return [reads.TaskView(**row) for row in connection.execute(query.limit(limit)).mappings()]


def done_tasks(connection: Connection, since: datetime, *, limit: int) -> list[reads.TaskView]:
    """What was done lately, the latest first."""
    query = _select_tasks().where(TaskRow.done_at >= since).order_by(TaskRow.done_at.desc(), TaskRow.id)
    return [reads.TaskView(**row) for row in connection.execute(query.limit(limit)).mappings()]


def _select_tasks() -> Select[Any]:
    return select(*(column for column in TaskRow.__table__.c if column.name != "action"))


def sources_of_events(connection: Connection) -> list[str]:
    """The sources that events came from, by name: a walk along the index, not a scan of the inbox."""
    names: list[str] = []
    name = connection.scalar(select(func.min(EventRow.source)))
    while name is not None:
        names.append(name)
        name = connection.scalar(select(func.min(EventRow.source)).where(EventRow.source > name))
    return names


# -- overview ----------------------------------------------------------------------------------------------------------


def sums_since(connection: Connection, since: datetime) -> Sums:
    """What came in since then."""
    query = select(EventRow.state, func.count()).where(EventRow.received_at >= since).group_by(EventRow.state)
    found: dict[str, int] = dict(connection.execute(query).all())
    return Sums(sum(found.values()), found.get("processed", 0), found.get("held", 0), found.get("failed", 0))


def latest_moves(connection: Connection, *, limit: int) -> list[Move]:
    """The latest changes of a company's category."""
    table = ChangeRow.__table__
    columns = [column for column in table.c if column.name not in ("rule", "action", "undoes")]
    form = EventRow.fields["form"].astext.label("form")
    query = (
        select(*columns, literal(None).label("undone_by"), CompanyRow.name, CompanyRow.domain, form)
        .select_from(table.outerjoin(CompanyRow.__table__, CompanyRow.id == ChangeRow.entity_id))
        .outerjoin(EventRow, EventRow.id == ChangeRow.event_id)
        .where(ChangeRow.entity == "company", ChangeRow.field == "category")
        .order_by(ChangeRow.id.desc())
        .limit(limit)
    )
    rows = connection.execute(query).mappings()
    return [Move(change_view(row), row["name"] or row["domain"], row["form"]) for row in rows]


def attention(connection: Connection, now: datetime) -> Attention:
    """What a person should look at now."""
    stuck = select(EventRow.id).where(EventRow.state.in_(("held", "failed"))).limit(COUNT_LIMIT)
    due = select(TaskRow.id).where(TaskRow.done_at.is_(None), TaskRow.due_at <= now).limit(COUNT_LIMIT)
    parked = select(OutboxRow.id).where(OutboxRow.state == "parked").limit(COUNT_LIMIT)
    braked = select(SweepRow.id).where(SweepRow.state == "braked").limit(COUNT_LIMIT)
    proposed = select(ProposalRow.id).where(ProposalRow.state == "open").limit(COUNT_LIMIT)
    counted = (stuck, due, parked, braked, proposed)
    counts = select(*(select(func.count()).select_from(one.subquery()).scalar_subquery() for one in counted))
    return Attention(*connection.execute(counts).one())


def stuck_events(connection: Connection, *, limit: int) -> list[reads.EventView]:
    """Held and failed events, the newest first."""
    found = [
        one
        for state in ("held", "failed")
        for one in reads.events(connection, reads.EventFilter(state=state), limit=limit).items
    ]
    return sorted(found, key=lambda one: -one.id)[:limit]


# -- one event ---------------------------------------------------------------------------------------------------------


def body_of(connection: Connection, event_id: int) -> Body:
    """What came in for this event, and how many later deliveries said something else under the same id."""
    row = connection.execute(select(EventRow.content_type, EventRow.body).where(EventRow.id == event_id)).one()
    conflicts = select(func.count()).select_from(DeliveryConflict).where(DeliveryConflict.event_id == event_id)
    return Body(row.content_type, row.body, connection.scalar(conflicts) or 0)


def newest_runs(connection: Connection, rule: str, *, only_telling: bool, limit: int) -> list[reads.RunView]:
    """The latest traces of a rule; `only_telling` leaves out those that missed by more than one clause.

    A rule that never comes near is not looked for further back than its newest `LOOKED_AT_RUNS` traces.
    """
    query = select(RunRow.id, RunRow.at, RunRow.outcome, RunRow.is_near_miss).where(RunRow.rule == rule)
    newest = (
        query.order_by(RunRow.at.desc(), RunRow.id.desc()).limit(LOOKED_AT_RUNS if only_telling else limit).subquery()
    )
    chosen = select(newest.c.id).order_by(newest.c.at.desc(), newest.c.id.desc()).limit(limit)
    if only_telling:
        chosen = chosen.where(or_(newest.c.outcome != "no_match", newest.c.is_near_miss))
    ids = list(connection.scalars(chosen))
    return sorted(runs_by_id(connection, ids).values(), key=lambda one: (one.at, one.id), reverse=True)


def runs_by_id(connection: Connection, ids: Collection[int]) -> dict[int, reads.RunView]:
    """These traces, by id."""
    if not ids:
        return {}
    columns = (column for column in RunRow.__table__.c if column.name != "is_near_miss")
    query = select(RunRow.is_near_miss.label("near_miss"), *columns).where(RunRow.id.in_(ids))
    return {row["id"]: reads.RunView(**row) for row in connection.execute(query).mappings()}


@dataclass(frozen=True, slots=True)
class EventName:
    """What is needed to call an event by its name."""

    type: str
    fields: dict[str, Any] | None


def events_by_id(connection: Connection, ids: Collection[int]) -> dict[int, EventName]:
    """The names of these events, by id."""
    if not ids:
        return {}
    rows = connection.execute(select(EventRow.id, EventRow.type, EventRow.fields).where(EventRow.id.in_(ids)))
    return {row.id: EventName(row.type, row.fields) for row in rows}


# -- timelines ---------------------------------------------------------------------------------------------------------


def timeline_of_company(connection: Connection, company_id: int, *, limit: int) -> Timeline:
    """What happened to the company and to its contacts while they were there."""
    changes = reads.changes(connection, reads.ChangeFilter(company_id=company_id), limit=limit + 1, newest_first=True)
    events = _events_of(connection, reads.EventFilter(company_id=company_id), limit + 1)
    tasks = _tasks_of(connection, TaskRow.company_id == company_id, limit + 1)
    return _merge(changes.items, events, tasks, limit)


def timeline_of_contact(connection: Connection, contact: reads.ContactView, *, limit: int) -> Timeline:
    """What happened to the contact, and the changes of its company's category: they are the contact's too."""
    wanted = reads.ChangeFilter(contact_id=contact.id)
    changes = reads.changes(connection, wanted, limit=limit + 1, newest_first=True).items
    if contact.company_id is not None:
        wanted = reads.ChangeFilter(company_id=contact.company_id, field="category")
        page = reads.changes(connection, wanted, limit=limit + 1, newest_first=True)
        changes = [*changes, *(one for one in page.items if one.entity == "company")]
    events = _events_of(connection, reads.EventFilter(contact_id=contact.id), limit + 1)
    tasks = _tasks_of(connection, TaskRow.contact_id == contact.id, limit + 1)
    return _merge(changes, events, tasks, limit)


def tasks_of_company(connection: Connection, company_id: int) -> list[reads.TaskView]:
    """The latest tasks about the company, open ones first."""
    return _open_first(_tasks_of(connection, TaskRow.company_id == company_id, SHOWN_TASKS))


def tasks_of_contact(connection: Connection, contact_id: int) -> list[reads.TaskView]:
    """The latest tasks about the contact, open ones first."""
    return _open_first(_tasks_of(connection, TaskRow.contact_id == contact_id, SHOWN_TASKS))


def _open_first(tasks: list[reads.TaskView]) -> list[reads.TaskView]:
    return sorted(tasks, key=lambda one: one.done_at is not None)


def _events_of(connection: Connection, whose: reads.EventFilter, limit: int) -> list[reads.EventView]:
    """Forms and steps of sales. An edit by hand is an event too, but its changes tell it already."""
    return [
        event
        for kind in TOLD_EVENTS
        for event in reads.events(connection, replace(whose, type=kind), limit=limit).items
    ]


def _tasks_of(connection: Connection, condition: Any, limit: int) -> list[reads.TaskView]:
    query = _select_tasks().where(condition).order_by(TaskRow.id.desc()).limit(limit)
    return [reads.TaskView(**row) for row in connection.execute(query).mappings()]


def _merge(
    changes: list[reads.ChangeView],
    events: list[reads.EventView],
    tasks: list[reads.TaskView],
    limit: int,
) -> Timeline:
    entries = [
        *(TimelineEntry(one.at, change=one) for one in changes),
        *(TimelineEntry(one.received_at, event=one) for one in events),
        *(TimelineEntry(one.created_at, task=one) for one in tasks),
    ]
    entries.sort(key=lambda one: one.order, reverse=True)
    return Timeline(entries[:limit], len(entries) > limit)
