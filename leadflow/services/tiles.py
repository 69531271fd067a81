"""The tiles of dashboards: what each counts, and the condition that finds the records behind each of its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection

from leadflow.domain.lead_status import LeadStatus
from leadflow.domain.lifecycle import Category
from leadflow.rules.conditions import Condition
from leadflow.services.date_ranges import DateRange
from leadflow.store import reads
from leadflow.store.conditions import Subject
from leadflow.store.lists import Lists
from leadflow.store.reads import dashboards as numbers
from leadflow.store.reads.dashboards import DayNumber, Pair, Span
from leadflow.store.searches import estimate_found, find_page

Kind = Literal[
    "funnel", "new_leads", "lead_statuses", "categories", "forms", "moves_by_rule", "time_to_mql", "selection"
]
# The lifecycle's way forward, by the keys that a new installation has.
STAGES = ("lead", "mql", "opportunity", "customer")
SHOWN_ROWS = 6
SHOWN_RECORDS = 5


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile as people arranged it; `by` is of new leads, `selection` of a list from one."""

    id: str
    kind: Kind
    size: str = "half"
    title: str = ""
    by: str | None = None
    selection: str | None = None

    @property
    def is_about_now(self) -> bool:
        """Whether its numbers are of this moment, whatever span is looked at."""
        return self.kind in ("lead_statuses", "categories", "selection")


@dataclass(frozen=True, slots=True)
class Row:
    """One number of a tile. `where` finds its records; active leads are found by `status`, a rule's moves by `rule`.

    `before` is the number of the span before, None where there is none; `points` are its parts over time.
    `kept` counts those whose lead status is kept but not active.
    """

    key: str | None
    label: str
    number: int
    before: int | None = None
    where: Any | None = None
    status: str | None = None
    rule: str | None = None
    points: tuple[int, ...] = ()
    group: str | None = None
    kept: int = 0
    kept_where: Any | None = None


@dataclass(frozen=True, slots=True)
class TileValue:
    """What a tile shows, counted at a moment. `seconds` is a median; `is_estimate`: the total is about so many."""

    subject: Subject | None
    rows: tuple[Row, ...] = ()
    total: int | None = None
    before: int | None = None
    where: Any | None = None
    is_estimate: bool = False
    seconds: float | None = None
    seconds_before: float | None = None
    record_ids: tuple[int, ...] = ()
    counted_at: datetime | None = None
    problem: str = ""


@dataclass(frozen=True)
class Question:
    """All that the numbers of a tile depend on. `condition` is the selection's, as read."""

    tile: Tile
    range: DateRange
    lists: Lists
    now: datetime
    condition: Condition | None = None
    subject: Subject | None = None

    @property
    def span(self) -> Span:
        return Span(self.range.before.start, self.range.start, self.range.end)

    @property
    def key(self) -> tuple[Any, ...]:
        """What the answer is kept under."""
        place = () if self.tile.is_about_now else (self.range.first, self.range.last, str(self.range.zone))
        return ("tile", self.tile.kind, self.tile.by, self.tile.selection, self.lists.revision, *place)


def read_tile(connection: Connection, asked: Question) -> TileValue:
    """Count what the tile shows."""
    return replace(_READERS[asked.tile.kind](connection, asked), counted_at=asked.now)


# From the ledger ------------------------------------------------------------------------------------------------------


def _funnel(connection: Connection, asked: Question) -> TileValue:
    found = numbers.reached(connection, asked.span)
    known = asked.lists.lifecycle.categories
    rows = [_stage(known[key], found.get(key, Pair()), asked.range) for key in STAGES if key in known]
    return TileValue("company", tuple(rows))


def _stage(category: Category, pair: Pair, span: DateRange) -> Row:
    where = {"all": [{"last_change": _move_to(category.key, span)}]}
    return Row(category.key, category.name, pair.now, pair.before, where, group=category.group)


def _move_to(target: str, span: DateRange, source: str | None = None) -> dict[str, Any]:
    sides = {"from": source, "to": target} if source else {"to": target}
    return {"field": "company.category", **sides, "between": span.criterion}


def _moves_by_rule(connection: Connection, asked: Question) -> TileValue:
    found = numbers.moves_by_rule(connection, asked.span, asked.range.zone)
    rows = [replace(one, rule=one.key) for one in _ranked(found, asked.range)]
    return _summed(TileValue("company"), rows)


def _time_to_mql(connection: Connection, asked: Question) -> TileValue:
    span, before = asked.range, asked.range.before
    median = numbers.time_between(connection, "lead", "mql", span.start, span.end)
    earlier = numbers.time_between(connection, "lead", "mql", before.start, before.end)
    where = {"all": [{"last_change": _move_to("mql", span, "lead")}]}
    value = TileValue("company", total=median.moves, before=earlier.moves, where=where)
    return replace(value, seconds=median.seconds, seconds_before=earlier.seconds)


# From records and forms -----------------------------------------------------------------------------------------------


def _new_leads(connection: Connection, asked: Question) -> TileValue:
    by = "campaign" if asked.tile.by == "campaign" else "source"
    found = numbers.new_leads(connection, asked.span, by, asked.range.zone)
    came = [{"contact.created_at": {"between": asked.range.criterion}}, {"contact.lead_status": {"exists": True}}]
    path = f"contact.first_touch.{by}"
    rows = _ranked(found, asked.range)
    shown = [replace(one, where={"all": [*came, {path: _is(one.key)}]}) for one in rows[:SHOWN_ROWS]]
    if rest := rows[SHOWN_ROWS:]:
        among = {"in": [one.key for one in rest if one.key is not None], "or_blank": any(r.key is None for r in rest)}
        shown.append(replace(_together(rest), where={"all": [*came, {path: _without_false(among)}]}))
    return replace(_summed(TileValue("contact"), shown), where={"all": came})


def _is(value: str | None) -> dict[str, Any]:
    return {"exists": False} if value is None else {"is": value}


def _without_false(test: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in test.items() if value is not False and value != []}


def _together(rows: Sequence[Row]) -> Row:
    points = tuple(map(sum, zip(*(one.points for one in rows), strict=True)))
    before = sum(one.before or 0 for one in rows)
    return Row("…", "All others", sum(one.number for one in rows), before, points=points)


def _ranked(found: Iterable[DayNumber], span: DateRange) -> list[Row]:
    """The numbers of each value, the greatest first, day by day or week by week; those of the span before as a sum."""
    rows: dict[str | None, Row] = {}
    empty = (0,) * len(span.points)
    for one in found:
        row = rows.get(one.key) or Row(one.key, one.label or "not known", 0, 0, points=empty)
        row = replace(row, label=max(row.label, one.label or row.label))  # of several spellings always the same
        if one.day < span.first:
            rows[one.key] = replace(row, before=(row.before or 0) + one.number)
            continue
        at = (one.day - span.first).days // span.step
        points = (*row.points[:at], row.points[at] + one.number, *row.points[at + 1 :])
        rows[one.key] = replace(row, number=row.number + one.number, points=points)
    present = (one for one in rows.values() if one.number or one.before)
    return sorted(present, key=lambda one: (-one.number, -(one.before or 0), one.label))


def _summed(value: TileValue, rows: Sequence[Row]) -> TileValue:
    before = sum(one.before or 0 for one in rows)
    return replace(value, rows=tuple(rows), total=sum(one.number for one in rows), before=before)


def _lead_statuses(connection: Connection, asked: Question) -> TileValue:
    """Contacts by lead status, where it is active; `kept` are those at companies under which it is not."""
    enabled = [key for key in asked.lists.lifecycle.categories if asked.lists.lifecycle.is_lead_status_active(key)]
    active: dict[str, int] = {}
    kept: dict[str, int] = {}
    for one in numbers.contacts_by_status(connection):
        if one.category in enabled:
            active[one.status] = active.get(one.status, 0) + one.number
        elif one.has_company:
            kept[one.status] = kept.get(one.status, 0) + one.number
    statuses = sorted(asked.lists.statuses.by_key.values(), key=lambda one: one.rank)
    rows = [
        _status_row(one, active.get(one.key, 0), kept.get(one.key, 0), enabled)
        for one in statuses
        if not one.deleted or active.get(one.key) or kept.get(one.key)
    ]
    return TileValue("contact", tuple(rows), sum(active.values()))


def _status_row(status: LeadStatus, active: int, kept: int, enabled: list[str]) -> Row:
    is_elsewhere = [{"company.created_at": {"exists": True}}, {"company.category": {"not_in": enabled}}]
    kept_where = {"all": [{"contact.lead_status": {"is": status.key}}, *(is_elsewhere if enabled else [])]}
    return Row(status.key, status.name, active, status=status.key, kept=kept, kept_where=kept_where)


def _categories(connection: Connection, asked: Question) -> TileValue:
    found = reads.companies_per_category(connection)
    known = sorted(asked.lists.lifecycle.categories.values(), key=lambda one: one.rank)
    rows = [
        Row(one.key, one.name, found.get(one.key, 0), where=_by_category(one.key), group=one.group)
        for one in known
        if not one.deleted or found.get(one.key)
    ]
    if found.get(None):
        rows.append(Row(None, "No category", found[None], where=_by_category(None)))
    return TileValue("company", tuple(rows), sum(found.values()))


def _by_category(key: str | None) -> dict[str, Any]:
    return {"all": [{"company.category": _is(key)}]}


def _forms(connection: Connection, asked: Question) -> TileValue:
    found = numbers.contacts_by_form(connection, asked.span, asked.now)
    rows = [
        Row(key, said or "without a name", pair.now, pair.before, _sent(key, asked.range))
        for key, said, pair in found
        if pair.now or pair.before
    ]
    ranked = sorted(rows, key=lambda one: (-one.number, -(one.before or 0), one.label))
    return TileValue("contact", tuple(ranked[: 2 * SHOWN_ROWS]))


def _sent(form: str | None, span: DateRange) -> dict[str, Any]:
    asked = {"of": "form_submitted", "where": {"form": _is(form)}, "by": "contact", "between": span.criterion}
    return {"all": [{"last_event": asked}]}


def _selection(connection: Connection, asked: Question) -> TileValue:
    if asked.subject is None:
        return TileValue(None, problem="The selection of this tile is not there any more.")
    count = estimate_found(connection, asked.subject, asked.condition, asked.now)
    ids, _ = find_page(connection, asked.subject, asked.condition, None, None, SHOWN_RECORDS, asked.now)
    where = {"all": [{"selection": asked.tile.selection}]}
    value = TileValue(asked.subject, total=count.number, where=where, record_ids=tuple(ids))
    return replace(value, is_estimate=not count.is_exact)


_READERS: Mapping[Kind, Callable[[Connection, Question], TileValue]] = {
    "funnel": _funnel,
    "new_leads": _new_leads,
    "lead_statuses": _lead_statuses,
    "categories": _categories,
    "forms": _forms,
    "moves_by_rule": _moves_by_rule,
    "time_to_mql": _time_to_mql,
    "selection": _selection,
}
