"""The numbers of dashboards, each by an index or a bounded walk. Each counts what a condition of the language finds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    String,
    and_,
    case,
    cast,
    column,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from leadflow.domain.fields import Field, Kind
from leadflow.store.conditions.fields import compared_of_event
from leadflow.store.reads.rows import change_view
from leadflow.store.reads.views import ChangeView, Page
from leadflow.store.tables import ChangeRow, CompanyRow, ContactRow, DashboardRow, EventRow

# A median is taken over so many moves at most, the latest ones.
MAX_MEASURED = 20_000
NO_PATH: list[str] = []


@dataclass(frozen=True, slots=True)
class DashboardView:
    """A dashboard and its tiles in their order."""

    key: str
    title: str
    tiles: list[dict[str, Any]]
    changed_by: str
    created_at: datetime
    updated_at: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class Span:
    """From a moment up to another, and the stretch before it that it is compared with."""

    before: datetime
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Pair:
    """How many in the span, and how many in the one before."""

    now: int = 0
    before: int = 0


@dataclass(frozen=True, slots=True)
class DayNumber:
    """How many on a day; `label` is a value as it was first written, `key` as it compares. None: it has none."""

    day: date
    key: str | None
    label: str | None
    number: int


@dataclass(frozen=True, slots=True)
class StatusNumber:
    """How many contacts have a lead status under an effective category, those at companies and the others apart."""

    status: str
    category: str | None
    has_company: bool
    number: int


@dataclass(frozen=True, slots=True)
class Median:
    """The median of some moves' durations; None if none could be measured. `moves` is how many there were."""

    seconds: float | None
    moves: int


def dashboards(connection: Connection) -> list[DashboardView]:
    """All dashboards, the oldest first."""
    rows = connection.execute(select(DashboardRow.__table__).order_by(DashboardRow.created_at, DashboardRow.key))
    return [DashboardView(**row) for row in rows.mappings()]


# From the ledger ------------------------------------------------------------------------------------------------------


_change = ChangeRow.__table__.c
_IS_MOVE = and_(_change.entity == "company", _change.field == "category")


def _value(side: ColumnElement[Any]) -> ColumnElement[str]:
    """A JSON text as text."""
    return side.op("#>>", return_type=String())(literal(NO_PATH, ARRAY(String)))


def reached(connection: Connection, span: Span) -> dict[str, Pair]:
    """How many companies reached each category last within the span, as `last_change` asks it."""
    last = (
        select(_value(_change.new).label("category"), func.max(_change.at).label("at"))
        .where(_IS_MOVE, _change.at >= span.before, _change.new.is_not(None))
        .group_by(_change.new, _change.entity_id)
        .subquery()
    )
    counted = select(last.c.category, *_pair(last.c.at, span)).group_by(last.c.category)
    return {row.category: Pair(row.now, row.before) for row in connection.execute(counted)}


def _pair(at: ColumnElement[Any], span: Span) -> tuple[ColumnElement[int], ColumnElement[int]]:
    within = func.count().filter(at >= span.start, at < span.end)
    return within.label("now"), func.count().filter(at >= span.before, at < span.start).label("before")


def moves_by_rule(connection: Connection, span: Span, zone: tzinfo) -> list[DayNumber]:
    """How many companies each rule moved, by day; the span before is part of it."""
    day = _day_of(_change.at, zone)
    query = (
        select(day, _change.rule.label("key"), func.count().label("number"))
        .where(_IS_MOVE, _change.at >= span.before, _change.at < span.end, _change.rule.is_not(None))
        .group_by(day, _change.rule)
    )
    return [DayNumber(row.day, row.key, row.key, row.number) for row in connection.execute(query)]


def _day_of(at: ColumnElement[Any], zone: tzinfo) -> ColumnElement[date]:
    return cast(func.timezone(str(zone), at), Date).label("day")


def time_between(connection: Connection, source: str, target: str, start: datetime, end: datetime) -> Median:
    """How long companies that moved from `source` to `target` in the span had been in `source`, in the middle."""
    row = connection.execute(
        _MEDIAN, {"source": source, "target": target, "start": start, "end": end, "most": MAX_MEASURED}
    ).one()
    return Median(None if row.middle is None else float(row.middle), row.moves)


_MEDIAN = text(
    "WITH moved AS MATERIALIZED ("
    " SELECT entity_id, max(at) AS at FROM change WHERE entity = 'company' AND field = 'category'"
    " AND new = to_jsonb(CAST(:target AS text)) AND old = to_jsonb(CAST(:source AS text)) AND at >= :start"
    " GROUP BY entity_id HAVING max(at) < :end"
    "), measured AS (SELECT * FROM moved ORDER BY at DESC LIMIT :most)"
    " SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM measured.at - earlier.at)) AS middle,"
    " (SELECT count(*) FROM moved) AS moves"
    " FROM measured CROSS JOIN LATERAL ("
    "  SELECT at FROM change WHERE entity = 'company' AND entity_id = measured.entity_id AND field = 'category'"
    "  AND new = to_jsonb(CAST(:source AS text)) AND at <= measured.at ORDER BY id DESC LIMIT 1) AS earlier"
)


@dataclass(frozen=True, slots=True)
class MoveFilter:
    """Which moves of companies: in a span, by a rule; `is_by_rule`: by any."""

    start: datetime
    end: datetime
    rule: str | None = None
    is_by_rule: bool = False

    @property
    def holds(self) -> list[ColumnElement[bool]]:
        parts = [_IS_MOVE, _change.at >= self.start, _change.at < self.end]
        if self.rule is not None:
            return [*parts, _change.rule == self.rule]
        return [*parts, _change.rule.is_not(None)] if self.is_by_rule else parts


def moves(connection: Connection, wanted: MoveFilter, after: int | None, limit: int) -> Page[ChangeView]:
    """Moves of companies, the latest first."""
    names = [one for one in _change if one.name not in ("rule", "action", "undoes")]
    query = select(*names, literal(None).label("undone_by")).where(*wanted.holds)
    if after is not None:
        query = query.where(_change.id < after)
    rows = connection.execute(query.order_by(_change.id.desc()).limit(limit + 1)).mappings().all()
    return Page([change_view(row) for row in rows[:limit]], rows[limit - 1]["id"] if len(rows) > limit else None)


def count_moves(connection: Connection, wanted: MoveFilter) -> int:
    """How many moves there were, by the index alone."""
    return connection.scalar(select(func.count()).select_from(ChangeRow.__table__).where(*wanted.holds)) or 0


# From records and forms -----------------------------------------------------------------------------------------------


def new_leads(connection: Connection, span: Span, by: str, zone: tzinfo) -> list[DayNumber]:
    """Contacts that came in, those with a lead status, by day and first touch; the span before is part of it."""
    table = ContactRow.__table__
    key, said = table.c[f"first_touch_{by}_norm"], table.c[f"first_touch_{by}"]
    day = _day_of(table.c.created_at, zone)
    query = (
        select(day, key.label("key"), func.max(said).label("label"), func.count().label("number"))
        .where(table.c.created_at >= span.before, table.c.created_at < span.end, table.c.lead_status_key.is_not(None))
        .group_by(day, key)
    )
    return [DayNumber(*row) for row in connection.execute(query)]


def contacts_by_status(connection: Connection) -> list[StatusNumber]:
    """How many contacts there are by lead status and effective category; those without a status are left out."""
    contact, company = ContactRow.__table__.c, CompanyRow.__table__
    has_company = contact.company_id.is_not(None)
    category = case((has_company, company.c.category_key), else_=contact.category_key)
    query = (
        select(contact.lead_status_key, category.label("category"), has_company.label("has_company"), func.count())
        .select_from(ContactRow.__table__.outerjoin(company, company.c.id == contact.company_id))
        .where(contact.lead_status_key.is_not(None))
        .group_by(contact.lead_status_key, category, has_company)
    )
    return [StatusNumber(*row) for row in connection.execute(query)]


_FORM = Field("form.form", Kind.TEXT, "Form")


def contacts_by_form(connection: Connection, span: Span, now: datetime) -> list[tuple[str | None, str | None, Pair]]:
    """How many contacts sent each form last within the span, as `last_event` asks it; (as it compares, as sent, …)."""
    event = EventRow.__table__
    form = compared_of_event(event, _FORM.path, _FORM).value.label("form")
    last = (
        select(form, func.min(event.c.fields["form"].astext).label("said"), func.max(event.c.received_at).label("at"))
        .where(event.c.type == "form_submitted", event.c.state == "processed", event.c.contact_id.is_not(None))
        .where(event.c.received_at >= span.before, event.c.received_at <= now)
        .group_by(column("form"), event.c.contact_id)
        .subquery()
    )
    query = select(last.c.form, func.min(last.c.said).label("said"), *_pair(last.c.at, span)).group_by(last.c.form)
    return [(row.form, row.said, Pair(row.now, row.before)) for row in connection.execute(query)]


__all__ = [
    "DashboardView",
    "DayNumber",
    "Median",
    "MoveFilter",
    "Pair",
    "Span",
    "StatusNumber",
    "contacts_by_form",
    "contacts_by_status",
    "count_moves",
    "dashboards",
    "moves",
    "moves_by_rule",
    "new_leads",
    "reached",
    "time_between",
]
