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
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement, Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from leadflow.domain.fields import Field, Kind, UnreadableValue, Value
from leadflow.rules.conditions import Condition
from leadflow.rules.values import CHOICE_KINDS, TEXT_KINDS
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
# What costs the planner more than this, a page does not try: a scan of some 400,000 contacts.
MAX_COST = 30_000
PATIENCE_MILLISECONDS = 1_000
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
    is_sampled, share = sampled_ids(connection, subject)
    seen = first_within(connection, SAMPLE_COUNT_MILLISECONDS, counting.where(is_sampled))
    if seen is None:
        return Count(int(_plan_of(connection, wanted.among())["Plan Rows"]), is_exact=False)
    return Count(round(int(seen[0]) / share), is_exact=False)


def sampled_ids(
    connection: Connection, subject: Subject, length: int = SAMPLE_STRETCH_LENGTH
) -> tuple[ColumnElement[bool], float]:
    """Stretches of ids at even distances, the same each time so that estimates do not flicker, and their share."""
    one = id_of(subject)
    first, last = (number or 0 for number in connection.execute(select(func.min(one), func.max(one))).one())
    step = max((last - first + 1) // SAMPLE_STRETCHES, length)
    stretches = [(low, min(low + length - 1, last)) for low in range(first, last + 1, step)]
    covered = sum(high - low + 1 for low, high in stretches)
    return or_(*(one.between(low, high) for low, high in stretches)), covered / (last - first + 1)


class _Explain(Executable, ClauseElement):
    """What the planner says of a question, as JSON."""

    inherit_cache = False

    def __init__(self, question: Select[Any]) -> None:
        self.question = question


@compiles(_Explain)
def _render_explain(element: _Explain, compiler: SQLCompiler, **more: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.question, **more)}"


def _plan_of(connection: Connection, query: Select[Any]) -> Mapping[str, Any]:
    """What the server's planner expects of a question: `Plan Rows`, `Total Cost`."""
    return dict(connection.execute(_Explain(query)).scalar_one()[0]["Plan"])


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
    walk = Walk(subject, render(condition, subject, now), order)
    found = walk.window(connection, after, limit)
    assert found is not None  # nothing says how long it may take
    return found.ids, found.last if found.has_more else None


@dataclass(frozen=True, slots=True)
class Window:
    """Some records in their order, the places of the first and the last one, and whether the walk goes on."""

    ids: list[int]
    first: Place | None
    last: Place | None
    has_more: bool


@dataclass(frozen=True)
class Walk:
    """A way through the records that satisfy what is `asked` (and `narrowing`), in an order; or the same backwards.

    Without an order they come as they were made, with `newest_first` the other way round.
    """

    subject: Subject
    asked: ColumnElement[bool]
    order: Order | None
    narrowing: tuple[ColumnElement[bool], ...] = ()
    is_backwards: bool = False
    newest_first: bool = False

    def window(
        self, connection: Connection, start: Place | None, limit: int, milliseconds: int | None = None
    ) -> Window | None:
        """The records next to a place; of a walk backwards in the order, too. None if a question takes too long."""
        places: list[Place] = []
        for one in self._stretches(start):
            rows = _rows(connection, one.query.limit(limit + 1 - len(places)), milliseconds)
            if rows is None:
                return None
            places += [Place(row.key if one.has_value else one.value, row.id) for row in rows]
            if len(places) > limit:
                break
        kept = places[:limit]
        if self.is_backwards:
            kept.reverse()
        first, last = (kept[0], kept[-1]) if kept else (None, None)
        return Window([one.id for one in kept], first, last, len(places) > limit)

    def everything(self, connection: Connection, size: int) -> Iterator[list[int]]:
        """All ids of the walk in chunks, as the server finds them: nothing is kept, however many there are."""
        for one in self._stretches(None):
            rows = connection.execute(one.query, execution_options={"stream_results": True, "yield_per": size})
            for chunk in rows.partitions():
                yield [row.id for row in chunk]

    def _stretches(self, start: Place | None) -> Iterator[_Stretch]:
        """The questions whose answers, one behind the other, are the way from a place on."""
        wanted = _Wanted(self.subject, self.asked, self.narrowing)
        last = None if start is None else start.id
        if self.order is None:
            yield _Stretch(wanted.by_id(self._is_falling, last))
            return
        is_in_blanks = start is not None and start.value is None
        compared = _compared(self.order)
        blanks = _Stretch(wanted.by_id(self._is_falling, last if is_in_blanks else None, compared.is_blank))
        if self.is_backwards and (start is None or is_in_blanks):
            yield blanks
        if self.is_backwards or not is_in_blanks:
            yield from self._valued(wanted, compared, None if is_in_blanks else start)
        if not self.is_backwards:
            yield blanks

    @property
    def _is_falling(self) -> bool:
        falls = self.newest_first if self.order is None else self.order.is_descending
        return falls is not self.is_backwards

    def _valued(self, wanted: _Wanted, compared: Compared, start: Place | None) -> Iterator[_Stretch]:
        if self.order is not None and self.order.ranks:
            yield from _ranked(wanted, compared, self.order.ranks, start, self._is_falling)
        else:
            is_text = self.order is not None and self.order.field.kind in TEXT_KINDS
            yield _by_value(wanted, compared, start, self._is_falling, _TEXT if is_text else _VALUE)


def _rows(connection: Connection, query: Select[Any], milliseconds: int | None) -> Sequence[Row[Any]] | None:
    return connection.execute(query).all() if milliseconds is None else rows_if_quick(connection, milliseconds, query)


def rows_if_quick(connection: Connection, milliseconds: int, query: Select[Any]) -> Sequence[Row[Any]] | None:
    """The answer; None if it takes longer, or if the planner knows that it will: nobody waits to find that out."""
    if milliseconds < PATIENCE_MILLISECONDS and _plan_of(connection, query)["Total Cost"] > MAX_COST:
        return None
    return rows_within(connection, milliseconds, query)


@dataclass(frozen=True)
class _Wanted:
    """The records that are searched for."""

    subject: Subject
    asked: ColumnElement[bool]
    narrowing: tuple[ColumnElement[bool], ...] = ()

    @property
    def id(self) -> ColumnElement[int]:
        return id_of(self.subject)

    def among(self, *further: ColumnElement[bool]) -> Select[Any]:
        """Those of which this holds too."""
        return (
            select(self.id.label("id"))
            .select_from(rows_for(self.subject, self.asked, *self.narrowing, *further))
            .where(self.asked, *self.narrowing, *further)
        )

    def by_id(self, is_falling: bool, after: int | None, *further: ColumnElement[bool]) -> Select[Any]:
        """Those of which this holds too, in the order of their ids."""
        if after is not None:
            further = (*further, self.id < after if is_falling else self.id > after)
        return self.among(*further).order_by(self.id.desc() if is_falling else self.id)


def id_of(subject: Subject) -> ColumnElement[int]:
    """The id of the records that are asked about."""
    return (ContactRow if subject == "contact" else CompanyRow).__table__.c.id


@dataclass(frozen=True)
class _Stretch:
    """A part of an order that one question answers, served by an index on the field if there is one.

    Its records all have `value` (None: they are blank), or each its own, as `key` of the row.
    """

    query: Select[Any]
    value: Value | int = None
    has_value: bool = False


def _ranked(
    wanted: _Wanted, compared: Compared, ranks: Mapping[str, int], start: Place | None, is_falling: bool
) -> Iterator[_Stretch]:
    """Choices, rank by rank."""
    for rank in sorted(set(ranks.values()), reverse=is_falling):
        if start is not None and (rank > start.value if is_falling else rank < start.value):  # type: ignore[operator]
            continue
        last = start.id if start is not None and start.value == rank else None
        keys = [key for key, place in ranks.items() if place == rank]
        yield _Stretch(wanted.by_id(is_falling, last, compared.one_of(keys)), rank)


@dataclass(frozen=True)
class _Signs:
    """How values of a kind are compared and ordered in SQL."""

    lower: str
    higher: str
    rising: str
    falling: str


_VALUE = _Signs("<", ">", "", "DESC")
# Texts are case-folded by Python and ordered by their bytes, whatever the collation, as the indexes on them are.
_TEXT = _Signs("~<~", "~>~", "USING ~<~", "USING ~>~")


def _by_value(wanted: _Wanted, compared: Compared, start: Place | None, is_falling: bool, signs: _Signs) -> _Stretch:
    """Records that have a value, by value."""
    key, further = compared.value, []
    if start is not None:
        value = literal(start.value, key.type)
        sign = signs.lower if is_falling else signs.higher
        beyond = wanted.id < start.id if is_falling else wanted.id > start.id
        further = [
            key.op(sign.replace("<", "<=").replace(">", ">="), is_comparison=True)(value),
            or_(key.op(sign, is_comparison=True)(value), beyond),
        ]
    query = wanted.among(key.is_not(None), *further).add_columns(key.label("key"))
    by_key: UnaryExpression[Any] = UnaryExpression(
        key, modifier=custom_op(signs.falling if is_falling else signs.rising)
    )
    return _Stretch(query.order_by(by_key, wanted.id.desc() if is_falling else wanted.id), has_value=True)


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
