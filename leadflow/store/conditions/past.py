"""What happened before, as SQL: semi-joins for what must be there, anti-joins for what must not.

`how often` is reduced to `at least k times`, `the last time` to `once in this stretch, and never after it`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import ceil, floor
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Numeric,
    String,
    and_,
    exists,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

from leadflow.domain.events import Trigger
from leadflow.domain.fields import Field, Kind
from leadflow.domain.history import COUNTED_TRIGGERS, Record
from leadflow.domain.text import fold
from leadflow.errors import LeadflowError
from leadflow.rules.conditions import Condition, PastClause
from leadflow.rules.past import ChangesAsked, EventsAsked
from leadflow.rules.predicates import Anything, Interval, OneOf, Predicate, Question
from leadflow.rules.values import CHOICE_KINDS
from leadflow.store.conditions.fields import among, keys_by_spelling, lower_ascii, number_in
from leadflow.store.conditions.truth import all_or_not, complement
from leadflow.store.tables import ChangeRow, CompanyRow, ContactRow, EventRow

# Renders a condition about an event's own fields.
RenderWhere = Callable[[Condition, FromClause], ColumnElement[bool]]

# More often than this nothing happens; it is also what bigint holds.
NEVER_SO_OFTEN = 2**62


@dataclass(frozen=True)
class Happenings:
    """Rows of the past that are meant: whose they are, when they were, and whose are wanted in the outer query."""

    owner: ColumnElement[Any]
    at: ColumnElement[Any]
    meant: ColumnElement[bool]
    wanted: ColumnElement[Any]

    def exist(self, when: ColumnElement[bool] | None = None) -> ColumnElement[bool]:
        """There is one for the record of the outer query."""
        asked = and_(self.meant, self.owner == self.wanted, true() if when is None else when)
        return exists(literal_column("1")).where(asked).correlate_except(self.owner.table)

    def at_least(self, count: int) -> ColumnElement[bool]:
        """There are so many."""
        if count <= 0:
            return true()
        if count > NEVER_SO_OFTEN:
            return false()
        if count == 1:
            return self.exist()
        # Grouped for all records at once: the server joins it, or reads one record's rows where there are few.
        often = select(self.owner.label("owner")).where(self.meant, self.owner.is_not(None)).group_by(self.owner)
        found = often.having(func.count() >= count).correlate(None).subquery()
        return exists(literal_column("1")).where(found.c.owner == self.wanted).correlate_except(found)


def render_count(
    clause: PastClause,
    questions: Sequence[Question],
    subject: Record,
    now: datetime,
    where: RenderWhere,
    negated: bool,
) -> ColumnElement[bool]:
    """`event_count`: a number that is never blank."""
    found = _find(clause, subject, now, where)
    tests = [_count_question(one, found) for one in questions]
    return all_or_not(tests, negated)


def _count_question(question: Question, found: Happenings) -> ColumnElement[bool]:
    ranges = _ranges(question.predicate)
    asked = or_(false(), *(and_(found.at_least(low), complement(found.at_least(beyond))) for low, beyond in ranges))
    return complement(asked) if question.is_negated else asked


def _ranges(predicate: Predicate) -> list[tuple[int, int]]:
    """The whole numbers that satisfy the predicate, as stretches from one up to but without another."""
    match predicate:
        case Anything():
            return [(0, NEVER_SO_OFTEN + 1)]
        case OneOf(values):
            return [(int(value), int(value) + 1) for value in sorted(values) if value == int(value)]
        case Interval():
            return [(_lowest(predicate), _beyond(predicate))]
        case _:
            raise LeadflowError(f"{type(predicate).__name__} cannot be asked of a count.")


def _lowest(interval: Interval) -> int:
    low: Decimal | None = interval.low
    return 0 if low is None else ceil(low) if interval.has_low else floor(low) + 1


def _beyond(interval: Interval) -> int:
    high: Decimal | None = interval.high
    return NEVER_SO_OFTEN + 1 if high is None else floor(high) + 1 if interval.has_high else ceil(high)


def render_last(
    clause: PastClause,
    questions: Sequence[Question],
    subject: Record,
    now: datetime,
    where: RenderWhere,
    negated: bool,
) -> ColumnElement[bool]:
    """`last_event` and `last_change`: a moment, or blank if it never happened."""
    found = _find(clause, subject, now, where)
    tests = [part for one in questions for part in _last_question(one, found)]
    if not clause.or_blank:
        return all_or_not(tests, negated)
    ever = found.exist()
    return and_(ever, all_or_not(tests, True)) if negated else or_(complement(ever), all_or_not(tests, False))


def _last_question(question: Question, found: Happenings) -> list[ColumnElement[bool]]:
    """Parts that all hold where the last time is as asked; none of them is ever unknown."""
    if isinstance(question.predicate, Interval):
        parts = _last_in(question.predicate, found)
    elif isinstance(question.predicate, Anything):
        parts = [found.exist()]
    else:
        raise LeadflowError(f"{type(question.predicate).__name__} cannot be asked of a last time.")
    return [all_or_not(parts, True)] if question.is_negated else parts


def _last_in(interval: Interval, found: Happenings) -> list[ColumnElement[bool]]:
    """One at `low` or later, none beyond `high`; where only `high` is given, one at all."""
    parts = []
    if interval.high is not None:
        high = literal(interval.high, found.at.type)
        parts.append(complement(found.exist(found.at > high if interval.has_high else found.at >= high)))
    if interval.low is None:
        return [found.exist(), *parts]
    low = literal(interval.low, found.at.type)
    return [found.exist(found.at >= low if interval.has_low else found.at > low), *parts]


def render_seen(clause: PastClause, subject: Record, now: datetime, where: RenderWhere) -> ColumnElement[Any]:
    """The number or the moment itself, for a trace."""
    found = _find(clause, subject, now, where)
    seen: ColumnElement[Any] = func.count() if clause.field.path == "event_count" else func.max(found.at)
    rows = select(seen).where(found.meant, found.owner == found.wanted)
    return rows.correlate_except(found.owner.table).scalar_subquery()


# Which rows are meant ------------------------------------------------------------------------------------------------


def _find(clause: PastClause, subject: Record, now: datetime, where: RenderWhere) -> Happenings:
    if isinstance(clause.asked, EventsAsked):
        return _events(clause.asked, subject, now, where)
    return _changes(clause.asked, subject, now)


def _events(asked: EventsAsked, subject: Record, now: datetime, where: RenderWhere) -> Happenings:
    event = EventRow.__table__.alias()
    meant = [event.c.state == literal("processed"), _is_named(event, asked.name), event.c.received_at <= now]
    if asked.within is not None:
        meant.append(event.c.received_at >= now - asked.within)
    if asked.where is not None:
        meant.append(where(asked.where, event))
    owner = event.c.contact_id if asked.by == "contact" else event.c.company_id
    return Happenings(owner, event.c.received_at, and_(*meant), _record(asked.by, subject))


def _is_named(event: FromClause, name: str) -> ColumnElement[bool]:
    if name in {one.value for one in COUNTED_TRIGGERS}:
        return event.c.type == name
    return and_(event.c.type == Trigger.EVENT.value, event.c.name == name)


def _record(by: Record, subject: Record) -> ColumnElement[Any]:
    """The id of the contact or company that the past is asked for."""
    if by == subject:
        return (ContactRow if by == "contact" else CompanyRow).__table__.c.id
    if by == "contact":
        raise LeadflowError("A company as such has no contact whose past could be asked for.")
    return ContactRow.__table__.c.company_id


def _changes(asked: ChangesAsked, subject: Record, now: datetime) -> Happenings:
    change = ChangeRow.__table__.alias()
    root, _, name = asked.field.path.partition(".")
    meant = [change.c.entity == root, change.c.field == name, change.c.at <= now]
    for side, values in (("old", asked.sources), ("new", asked.targets)):
        if values is not None:
            meant.append(_is_among(change, side, asked.field, values))
    wanted = _record("company" if root == "company" else "contact", subject)
    return Happenings(change.c.entity_id, change.c.at, and_(*meant), wanted)


def _is_among(change: FromClause, side: str, field: Field, values: frozenset[Any]) -> ColumnElement[bool]:
    """One side of a change is one of the values; None among them is blank."""
    column, given = change.c[side], values - {None}
    blank = column.is_(None) if None in values else false()
    return or_(blank, _is_value(change, side, field, given)) if given else blank


def _is_value(change: FromClause, side: str, field: Field, values: frozenset[Any]) -> ColumnElement[bool]:
    column = change.c[side]
    text = column.op("#>>", return_type=String())(literal([], ARRAY(String)))
    if field.kind is Kind.NUMBER:
        return among(number_in(text), values, Numeric())
    if field.kind is Kind.BOOLEAN:
        return or_(*(column == literal(value, JSONB) for value in sorted(values)))
    small = func.coalesce(change.c.values_norm[side].astext, lower_ascii(text))
    spellings = keys_by_spelling(field) if field.kind in CHOICE_KINDS else {}
    return among(small, values | {text for text, key in spellings.items() if fold(key) in values}, String())
