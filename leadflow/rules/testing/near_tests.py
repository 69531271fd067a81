"""Tests of a field that are nearly the same: another operator, a boundary moved by one unit, a value left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from leadflow.domain.fields import Field, Kind
from leadflow.rules.conditions import FieldTest
from leadflow.rules.durations import UNITS
from leadflow.rules.operands import ONE_TICK, Operand
from leadflow.rules.operators import OPERATORS_OF
from leadflow.rules.values import as_text

# Which operators are mistaken for each other; the operand stays as it is.
TWINS: Mapping[str, tuple[str, ...]] = {
    "is": ("is_not",),
    "is_not": ("is",),
    "in": ("not_in",),
    "not_in": ("in",),
    "contains": ("not_contains",),
    "not_contains": ("contains",),
    "starts_with": ("contains",),
    "ends_with": ("contains",),
    "domain_in": ("domain_not_in",),
    "domain_not_in": ("domain_in",),
    "in_group": ("not_in_group",),
    "not_in_group": ("in_group",),
    "lt": ("lte",),
    "lte": ("lt",),
    "gt": ("gte",),
    "gte": ("gt",),
    "older_than": ("within_last",),
    "within_last": ("older_than",),
    "within_next": ("within_last",),
    "before": ("after",),
    "after": ("before",),
    "has_any": ("has_none",),
    "has_none": ("has_any",),
}
# Of several values, any instead of all and the other way round.
TWINS_OF_SEVERAL: Mapping[str, tuple[str, ...]] = {"has_any": ("has_all",), "has_all": ("has_any",)}

FLAGS = ("exists", "changed")
# Of these the operand is a set of values that somebody listed.
LISTED = ("in", "not_in", "domain_in", "domain_not_in", "has_any", "has_all", "has_none", "changed_from", "changed_to")
# A boundary moved this way is not what flipping the operator gives: `gte 2` is flipped to `gt 2`, moved to `gte 1`.
MOVED_BY: Mapping[str, int] = {"lt": -1, "lte": 1, "gt": 1, "gte": -1}
DURATIONS = ("older_than", "within_last", "within_next")
MAX_LISTED = 25


def tests_near(test: FieldTest, field: Field, zone: tzinfo) -> Iterator[FieldTest]:
    """The tests that differ from this one in one thing."""
    yield from _with_other_operator(test, field)
    yield from _with_other_flag(test, field)
    yield from _with_moved_boundary(test, zone)
    yield from _with_value_left_out(test, field, zone)


def _with_other_operator(test: FieldTest, field: Field) -> Iterator[FieldTest]:
    name, value = test.operator.name, test.operand.value
    names = TWINS.get(name, ())
    if isinstance(value, frozenset) and len(value) > 1:
        names += TWINS_OF_SEVERAL.get(name, ())
    for other in names:
        if (operator := OPERATORS_OF[field.kind].get(other)) is not None:
            yield FieldTest(operator, test.operand)
    if name == "has":
        yield FieldTest(OPERATORS_OF[field.kind]["has_none"], replace(test.operand, value=frozenset({value})))


def _with_other_flag(test: FieldTest, field: Field) -> Iterator[FieldTest]:
    if test.operator.name in FLAGS or (test.operator.name == "is" and field.kind is Kind.BOOLEAN):
        value = not test.operand.value
        yield FieldTest(test.operator, Operand(value, "yes" if value else "no"))


def _with_moved_boundary(test: FieldTest, zone: tzinfo) -> Iterator[FieldTest]:
    name, value = test.operator.name, test.operand.value
    if name in MOVED_BY:
        moved = value + MOVED_BY[name] * _unit_of(value)
        yield FieldTest(test.operator, Operand(moved, str(moved)))
    elif name in DURATIONS:
        for length in lengths_near(value):
            yield FieldTest(test.operator, Operand(length, shown_length(length)))
    elif name == "between":
        show: Callable[[Any], str] = str if isinstance(value[0], Decimal) else lambda one: _shown_moment(one, zone)
        for low, high in _ranges_near(value[0], value[1], zone):
            yield FieldTest(test.operator, Operand((low, high), f"{show(low)} and {show(high)}"))


def _unit_of(number: Decimal) -> Decimal:
    """One in the last place as it is written: 10 → 1, 1.5 → 0.1."""
    exponent = number.as_tuple().exponent
    return Decimal(1).scaleb(min(exponent, 0) if isinstance(exponent, int) else 0)


def lengths_near(length: timedelta) -> list[timedelta]:
    """One unit less and one more, in the largest unit that the length is a multiple of."""
    unit = _unit_of_length(length)
    return [one for one in (length - unit, length + unit) if one > timedelta()]


def _unit_of_length(length: timedelta) -> timedelta:
    # 14 days are two weeks, but nobody who wrote 90 days means weeks: a day is the largest step.
    units = sorted((unit for unit in UNITS.values() if unit <= UNITS["day"]), reverse=True)
    return next(unit for unit in units if not length % unit)


def shown_length(length: timedelta) -> str:
    """`90 days`."""
    unit = _unit_of_length(length)
    name = next(name for name, one in UNITS.items() if one == unit)
    number = length // unit
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _ranges_near(low: Any, high: Any, zone: tzinfo) -> Iterator[tuple[Any, Any]]:
    step: Any = _unit_of(low) if isinstance(low, Decimal) else _step_between(low, high, zone)
    ends = ((low - step, high), (low + step, high), (low, high - step), (low, high + step))
    yield from (end for end in ends if end[0] <= end[1])


def _step_between(low: datetime, high: datetime, zone: tzinfo) -> timedelta:
    """A day where the range is one of whole days, else a minute."""
    ends = (low.astimezone(zone), (high + ONE_TICK).astimezone(zone))
    is_whole = all(not (end.hour or end.minute or end.second or end.microsecond) for end in ends)
    return timedelta(days=1) if is_whole else timedelta(minutes=1)


def _shown_moment(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"


def _with_value_left_out(test: FieldTest, field: Field, zone: tzinfo) -> Iterator[FieldTest]:
    if test.operator.name not in LISTED or test.operand.words.startswith("the list "):
        return
    for values in sets_near(test.operand.value):
        show = as_text(field, zone)
        words = ", ".join(sorted(show(value) or "blank" for value in values))
        yield FieldTest(test.operator, Operand(values, words))


def sets_near(values: frozenset[Any]) -> list[frozenset[Any]]:
    """The set without one of its values; nothing for one value alone, and for lists of which nobody tests each."""
    if not 1 < len(values) <= MAX_LISTED:
        return []
    return [values - {value} for value in sorted(values, key=lambda one: (one is not None, str(one)))]
