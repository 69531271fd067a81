"""Searches: which companies or contacts satisfy a condition, how many there are, and a page of them in some order."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, literal, or_, select, text
from sqlalchemy.exc import DBAPIError

from leadflow.domain.fields import Field, Kind, UnreadableValue, Value
from leadflow.rules.conditions import Condition
from leadflow.rules.values import CHOICE_KINDS
from leadflow.store.conditions import Subject, render, rows_for
from leadflow.store.conditions.fields import Compared, compared_of_record
from leadflow.store.tables import CompanyRow, ContactRow
from leadflow.store.values import read_stored, to_json

QUERY_CANCELED = "57014"


@dataclass(frozen=True)
class Order:
    """By a field, blanks last, records of equal value by id. `ranks` are the places of the choices of a list field."""

    field: Field
    is_descending: bool = False
    ranks: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """A record's place in an order: its value, as it sorts, and its id."""

    value: Value | int
    id: int


def count_found(connection: Connection, subject: Subject, condition: Condition | None, now: datetime) -> int:
    """How many records satisfy the condition."""
    asked = render(condition, subject, now)
    return connection.scalar(select(func.count()).select_from(rows_for(subject, asked)).where(asked)) or 0


# A count may take so long before an estimate has to do; a person waits for it.
EXACT_COUNT_MILLISECONDS = 90
SAMPLE_COUNT_MILLISECONDS = 250
SAMPLE_STRETCHES, SAMPLE_STRETCH_LENGTH = 24, 800


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are; an estimate where counting would have taken too long."""

    number: int
    is_exact: bool = True

    @property
    def shown(self) -> int:
        """The number as it is told: of an estimate three digits, which is what a sample knows."""
        step = 10 ** max(len(str(self.number)) - 3, 0)
        return self.number if self.is_exact else round(self.number / step) * step


def estimate_found(
    connection: Connection,
    subject: Subject,
    condition: Condition | None,
    now: datetime,
    further: Sequence[ColumnElement[bool]] = (),
) -> Count:
    """How many records satisfy the condition, soon: exactly if that is quick, else from a sample of the table."""
    wanted = _Wanted(subject, render(condition, subject, now), tuple(further))
    counting = wanted.among().with_only_columns(func.count())
    found = first_within(connection, EXACT_COUNT_MILLISECONDS, counting)
    if found is not None:
        return Count(int(found[0]))
    ends = connection.execute(select(func.min(wanted.id), func.max(wanted.id))).one()
    stretches = _stretches_of_ids(*ends)
    sampling = counting.where(or_(*(wanted.id.between(low, high) for low, high in stretches)))
    seen = first_within(connection, SAMPLE_COUNT_MILLISECONDS, sampling)
    if seen is None:
        return Count(_rows_planned(connection, wanted.among()), is_exact=False)
    covered = sum(high - low + 1 for low, high in stretches)
    return Count(round(int(seen[0]) * (ends[1] - ends[0] + 1) / covered), is_exact=False)


def _stretches_of_ids(first: int, last: int) -> list[tuple[int, int]]:
    """Stretches of ids at even distances, the same each time, so that an estimate does not flicker."""
    step = max((last - first + 1) // SAMPLE_STRETCHES, SAMPLE_STRETCH_LENGTH)
    starts = range(first, last + 1, step)
    return [(start, min(start + SAMPLE_STRETCH_LENGTH - 1, last)) for start in starts]


def _rows_planned(connection: Connection, query: Select[Any]) -> int:
    """What the server's planner expects."""
    compiled = query.compile(dialect=connection.dialect)
    plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {compiled}", dict(compiled.params)).scalar_one()
    return int(plan[0]["Plan"]["Plan Rows"])


def first_within(connection: Connection, milliseconds: int, query: Select[Any]) -> Row[Any] | None:
    """The first row of the answer; None if the answer takes longer. Only for questions that always have a row."""
    rows = rows_within(connection, milliseconds, query)
    return rows[0] if rows else None


def rows_within(connection: Connection, milliseconds: int, query: Select[Any]) -> Sequence[Row[Any]] | None:
    """The answer; None if it takes longer."""
    savepoint = connection.begin_nested()
    try:
        connection.execute(text(f"SET LOCAL statement_timeout = {milliseconds:d}"))
        return connection.execute(query).all()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != QUERY_CANCELED:
            raise
        return None
    finally:
        savepoint.rollback()


def find_page(
    connection: Connection,
    subject: Subject,
    condition: Condition | None,
    order: Order | None,
    after: Place | None,
    limit: int,
    now: datetime,
) -> tuple[list[int], Place | None]:
    """The ids of one page in the order, by id if there is none, and the place after which the next page begins."""
    places: list[Place] = []
    for one in _stretches(_Wanted(subject, render(condition, subject, now)), order, after):
        rows = connection.execute(one.query.limit(limit + 1 - len(places)))
        places += [Place(row.key if one.has_value else one.value, row.id) for row in rows]
        if len(places) > limit:
            return [one.id for one in places[:limit]], places[limit - 1]
    return [one.id for one in places], None


@dataclass(frozen=True)
class _Wanted:
    """The records that are searched for."""

    subject: Subject
    asked: ColumnElement[bool]
    narrowing: tuple[ColumnElement[bool], ...] = ()

    @property
    def id(self) -> ColumnElement[int]:
        return (ContactRow if self.subject == "contact" else CompanyRow).__table__.c.id

    def among(self, *further: ColumnElement[bool]) -> Select[Any]:
        """Those of which this holds too."""
        return (
            select(self.id.label("id"))
            .select_from(rows_for(self.subject, self.asked, *self.narrowing, *further))
            .where(self.asked, *self.narrowing, *further)
        )

    def by_id(self, order: Order | None, after: int | None, *further: ColumnElement[bool]) -> Select[Any]:
        """Those of which this holds too, in the order of their ids."""
        is_descending = order is not None and order.is_descending
        if after is not None:
            further = (*further, self.id < after if is_descending else self.id > after)
        return self.among(*further).order_by(self.id.desc() if is_descending else self.id)


@dataclass(frozen=True)
class _Stretch:
    """A part of an order that one question answers, served by an index on the field if there is one.

    Its records all have `value` (None: they are blank), or each its own, as `key` of the row.
    """

    query: Select[Any]
    value: Value | int = None
    has_value: bool = False


def _stretches(wanted: _Wanted, order: Order | None, after: Place | None) -> Iterator[_Stretch]:
    """The questions whose answers, one behind the other, are the order from a place on."""
    last = None if after is None else after.id
    if order is None:
        yield _Stretch(wanted.by_id(None, last))
        return
    if after is None or after.value is not None:
        yield from _ranked(wanted, order, after) if order.ranks else [_valued(wanted, order, after)]
        last = None
    yield _Stretch(wanted.by_id(order, last, _compared(order).is_blank))


def _ranked(wanted: _Wanted, order: Order, after: Place | None) -> Iterator[_Stretch]:
    """Choices, rank by rank."""
    for rank in sorted(set(order.ranks.values()), reverse=order.is_descending):
        if after is not None and (rank > after.value if order.is_descending else rank < after.value):  # type: ignore[operator]
            continue
        last = after.id if after is not None and after.value == rank else None
        keys = [key for key, place in order.ranks.items() if place == rank]
        yield _Stretch(wanted.by_id(order, last, _compared(order).one_of(keys)), rank)


def _valued(wanted: _Wanted, order: Order, after: Place | None) -> _Stretch:
    """Records that have a value, by value."""
    key, further = _compared(order).value, []
    if after is not None:
        value, last = literal(after.value, key.type), after.id
        beyond = (key < value, wanted.id < last) if order.is_descending else (key > value, wanted.id > last)
        further = [key <= value if order.is_descending else key >= value, or_(*beyond)]
    query = wanted.among(key.is_not(None), *further).add_columns(key.label("key"))
    query = query.order_by(key.desc(), wanted.id.desc()) if order.is_descending else query.order_by(key, wanted.id)
    return _Stretch(query, has_value=True)


def _compared(order: Order) -> Compared:
    return compared_of_record(order.field.path, order.field)


# Places as JSON, for cursors --------------------------------------------------------------------------------------


def place_as_json(place: Place) -> Sequence[Any]:
    return [to_json(place.value), place.id]


def place_from_json(order: Order | None, document: Any) -> Place:
    """The reverse. Raises: UnreadableValue for what is no place in this order."""
    match document:
        case [raw, int(number)] if 0 <= number < 2**63 and not isinstance(number, bool):
            return Place(None if raw is None else _read_key(order, raw), number)
        case _:
            raise UnreadableValue("is no place in this order")


def _read_key(order: Order | None, raw: Any) -> Value | int:
    if order is None:
        raise UnreadableValue("there is no order")
    if order.field.kind in CHOICE_KINDS:
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise UnreadableValue("is no rank")
        return raw
    if isinstance(raw, int) and not isinstance(raw, bool):
        return Decimal(raw)
    return raw if order.field.kind is Kind.TEXT and isinstance(raw, str) else read_stored(order.field, raw)
