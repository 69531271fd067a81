"""The funnel: how far records come through a rule's condition, its limit and its guards; and who comes through all.

What a record's own columns say is asked first, so that an index may find it; what stands at its company or in the past,
the limit and the guards are asked of those only who come so far. The funnel has the parts in that order.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, Integer, Row, Select, case, func, literal_column, null, select, text

from leadflow.rules.conditions import (
    All,
    AnyOf,
    Clause,
    Condition,
    MemberClause,
    Named,
    NoneOf,
    NowClause,
    PastClause,
    leaves_of,
)
from leadflow.rules.predicates import EqualTo
from leadflow.store.conditions import rows_of
from leadflow.store.sweeps.plans import SweepPlan
from leadflow.store.sweeps.queue import Funnel
from leadflow.store.tables import CompanyRow

PLURALS = {"contact": "contacts", "company": "companies"}
FLAGGED, LIMITED, GUARDED = "free to be automated", "within the limit", "with something to change"

# What a part of a condition asks, from cheap to dear.
OWN, ITS_COMPANY, PAST = range(3)

# From this size on the number of all records is what the server's statistics say; counting them would read them all.
BIG_TABLE = 100_000

# So many ids are remembered for the pages; where there are more, the pages look for themselves.
MAX_REMEMBERED = 200_000

Ids: TypeAlias = "array[int]"


@dataclass(frozen=True, slots=True)
class Tally:
    """The lines of the funnel, how many records would be changed, how many there are at all, and their ids if few."""

    funnel: Funnel
    matching: int
    total: int
    ids: Ids | None = None


@dataclass(frozen=True, slots=True)
class _Test:
    """One line of the funnel."""

    label: str
    holds: ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class _Round:
    """One reading: of the records for which `where` holds, how far they come through `tests`."""

    where: Sequence[_Test]
    tests: Sequence[_Test]
    is_last: bool = False


def count(connection: Connection, plan: SweepPlan) -> Tally:
    """How many records come how far. Where nobody comes any further, nothing more is read."""
    label, total = _count_all(connection, plan)
    lines = [(label, total)]
    first, *more = _rounds(plan)
    rows = _read(connection, plan, first)
    lines += _lines([*first.where, *first.tests], _through(rows, len(first.tests))[0 if first.where else 1 :])
    for one in more:
        rows = _read(connection, plan, one) if lines[-1][1] else {}
        lines += _lines(one.tests, _through(rows, len(one.tests))[1:])
    return _tally(plan, lines, next((row for row in rows.values() if row.acting is not None), None))


def _lines(tests: Sequence[_Test], counts: Sequence[int]) -> list[tuple[str, int]]:
    return [(test.label, number) for test, number in zip(tests, counts, strict=True)]


def _tally(plan: SweepPlan, lines: list[tuple[str, int]], through: Row[Any] | None) -> Tally:
    matching, ids = (through.acting, through.ids) if through else (0, [])
    if plan.acts_once_per_company and matching < lines[-1][1]:
        lines.append(("companies of these", matching))
    return Tally(_telling(lines), matching, lines[0][1], None if ids is None else array("q", sorted(ids)))


def _count_all(connection: Connection, plan: SweepPlan) -> tuple[str, int]:
    """The first line: exact for a small table, of a big one what the server's statistics say."""
    records = PLURALS[plan.subject]
    known = int(connection.scalar(_ESTIMATE, {"table": plan.table.name}) or 0)
    if known >= BIG_TABLE:
        return f"{records}, about", known
    return records, int(connection.scalar(select(func.count()).select_from(plan.table)) or 0)


_ESTIMATE = text("SELECT reltuples FROM pg_class WHERE oid = CAST(:table AS regclass)")


def _read(connection: Connection, plan: SweepPlan, one: _Round) -> dict[int, Row[Any]]:
    return {row.depth: row for row in connection.execute(_statement(plan, one))}


def _through(rows: Mapping[int, Row[Any]], tests: int) -> list[int]:
    """How many there are, how many come through the first test, the second, …: all of those that come further."""
    counts = (rows[depth].records if depth in rows else 0 for depth in range(tests, -1, -1))
    return list(accumulate(counts))[::-1]


def _telling(lines: list[tuple[str, int]]) -> Funnel:
    """Without the guards' lines where these hold nobody back."""
    told = [line for before, line in pairwise(lines) if line[0] not in (FLAGGED, GUARDED) or line[1] < before[1]]
    return [lines[0], *told]


def _rounds(plan: SweepPlan) -> list[_Round]:
    """What is read: nothing is joined to a company, so one reading will do; for contacts the join comes second."""
    tests = [(_cost(part, plan), _Test(words_of(part), plan.part(number))) for number, part in enumerate(plan.parts)]
    own = [test for cost, test in tests if cost == OWN]
    others = [test for cost, test in sorted(tests, key=itemgetter(0)) if cost != OWN]
    others += [
        _Test(FLAGGED, plan.may_be_automated),
        _Test(LIMITED, plan.is_within_limit),
        _Test(GUARDED, plan.is_to_be_changed),
    ]
    if plan.subject == "company" or len(own) < 2:
        return [_Round(own[:1], [*own[1:], *others], is_last=True)]
    return [_Round(own[:1], own[1:]), _Round(own, others, is_last=True)]


def _cost(part: Condition, plan: SweepPlan) -> int:
    """Whether only the record's own columns are asked, also its company's, or what happened before."""
    leaves = list(leaves_of(part))
    if any(isinstance(leaf, PastClause) for leaf in leaves):
        return PAST
    paths = {path for leaf in leaves if isinstance(leaf, Clause) for path in _paths_of(leaf, plan.evaluated_at)}
    return OWN if all(path.partition(".")[0] == plan.subject for path in paths) else ITS_COMPANY


def _paths_of(clause: Clause, now: datetime) -> Iterator[str]:
    yield clause.path
    for test in clause.tests:
        predicate = test.operator.ask(test.operand, now).predicate
        if isinstance(predicate, EqualTo):
            yield predicate.path


def _statement(plan: SweepPlan, one: _Round) -> Select[Any]:
    depth = _depth([test.holds for test in one.tests]).label("depth")
    columns: list[Any] = [depth]
    if one.is_last:
        columns += [plan.table.c.id.label("id"), CompanyRow.__table__.c.id.label("company_id")]
    rows = select(*columns).select_from(rows_of(plan.subject)).where(*(test.holds for test in one.where))
    found = rows.subquery("reached")
    counted = select(found.c.depth, func.count().label("records")).group_by(found.c.depth)
    if not one.is_last:
        return counted
    is_through = found.c.depth == len(one.tests)
    acting = func.count(found.c.company_id.distinct()) if plan.acts_once_per_company else func.count()
    remembered = case((func.count() <= MAX_REMEMBERED, func.array_agg(found.c.id).filter(is_through)), else_=null())
    return counted.add_columns(case((is_through, acting), else_=null()).label("acting"), remembered.label("ids"))


def _depth(tests: Sequence[ColumnElement[bool]]) -> ColumnElement[int]:
    """The number of tests that hold one after the other; each is asked only of those who passed the one before."""
    depth: ColumnElement[int] = literal_column(str(len(tests)), Integer)
    for number, test in reversed(list(enumerate(tests))):
        depth = case((test, depth), else_=literal_column(str(number), Integer))
    return depth


def words_of(condition: Condition) -> str:
    """A part of a condition, as people read it."""
    match condition:
        case Named(kind=kind, name=name):
            return f"{kind} {name}"
        case All(parts):
            return " and ".join(map(words_of, parts))
        case AnyOf(parts):
            return " or ".join(map(words_of, parts))
        case NoneOf(parts):
            return f"none of: {'; '.join(map(words_of, parts))}"
        case MemberClause(title=title):
            return f"selection {title}"
        case NowClause():
            return f"The time {condition.words}"
        case PastClause():
            return f"{condition.title} {condition.words}"
        case _:
            named = condition.field.label if condition.field.path == condition.path else condition.path
            return f"{named} {condition.words}"
