"""Random conditions over the fields of the test catalogue, as trees, without a document around them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from leadflow.domain.fields import Kind
from leadflow.rules.conditions import All, AnyOf, Clause, Condition, FieldTest, NoneOf
from leadflow.rules.operands import ONE_TICK, Operand, Span
from leadflow.rules.operators import OPERATORS_OF
from leadflow.rules.predicates import Wildcards
from leadflow.rules.values import first_moment_of
from tests.unit.rules.given import CATALOGUE, NOW

ZONE = ZoneInfo("Europe/Oslo")
TAGS = ("a", "b", "c", "d")
NAMES = ("acme", "beta", "gamma", "delta")
PARTS = ("a", "b", "ab", "ba", "abc", "c", "ca")
PATTERNS = ("a*", "*b", "*ab*", "a*b", "?b*", "ab", "*", "a?")
HOSTS = ("a.example", "b.example", "c.example")
DAYS = (*(date(2026, 6, day) for day in (1, 14, 15, 16, 30)), date(2027, 3, 1))
NUMBERS = tuple(map(Decimal, ("-1", "0", "0.5", "1", "2", "2.5", "10")))
MOMENTS = tuple(NOW + timedelta(days=days, hours=hours) for days in (-400, -30, 0, 200) for hours in (0, 5))
LENGTHS = tuple(timedelta(days=days) for days in (1, 29, 30, 90, 365))

EXACT_PATHS = (
    "company.category",
    "contact.lead_status",
    "company.fields.tier",
    "company.fields.employees",
    "company.open_sales",
    "contact.fields.newsletter",
    "contact.created_at",
    "company.fields.founded",
    "contact.tags",
    "company.name",
)
PATTERN_PATHS = ("company.name", "contact.email", "company.fields.website")

Rolls = random.Random


def random_condition(
    rolls: Rolls, paths: Sequence[str], operators: Mapping[str, Sequence[str]], depth: int = 2
) -> Condition:
    """A tree of groups and clauses on fields with these paths; of each kind only the listed operators."""
    if depth == 0 or rolls.random() < 0.35:
        return random_clause(rolls, rolls.choice(paths), operators)
    group = rolls.choice((All, All, AnyOf, AnyOf, NoneOf))
    return group(tuple(random_condition(rolls, paths, operators, depth - 1) for _ in range(rolls.randint(1, 3))))


def random_clause(rolls: Rolls, path: str, operators: Mapping[str, Sequence[str]]) -> Clause:
    field = CATALOGUE.fields[path]
    names = [name for name in OPERATORS_OF[field.kind] if name in operators[field.kind]]
    tests = tuple(
        _random_test(rolls, path, name) for name in rolls.sample(names, k=min(len(names), rolls.choice((1, 1, 2))))
    )
    return Clause(path, field, tests, rolls.random() < 0.2, ZONE)


def _random_test(rolls: Rolls, path: str, name: str) -> FieldTest:
    field = CATALOGUE.fields[path]
    value = _some_group(rolls) if "group" in name else OPERANDS.get(name, _some_value)(rolls, field.kind)
    if field.kind in (Kind.ENUMERATION, Kind.CATEGORY) and name in ("is", "is_not", "in", "not_in"):
        keys = [one.key for one in (*field.choices, *field.retired)]
        value = rolls.choice(keys) if name in ("is", "is_not") else _some(rolls, keys)
    return FieldTest(OPERATORS_OF[field.kind][name], Operand(value))


def _some(rolls: Rolls, values: Sequence[Any]) -> frozenset[Any]:
    return frozenset(rolls.sample(list(values), k=rolls.randint(1, min(3, len(values)))))


def _some_group(rolls: Rolls) -> frozenset[str]:
    return rolls.choice(
        (frozenset({"lead", "mql", "opportunity", "lost-opportunity", "suspect"}), frozenset({"partner"}))
    )


def _some_value(rolls: Rolls, kind: Kind) -> Any:
    match kind:
        case Kind.NUMBER:
            return rolls.choice(NUMBERS)
        case Kind.BOOLEAN:
            return rolls.random() < 0.5
        case Kind.LIST:
            return rolls.choice(TAGS)
        case _:
            return rolls.choice(NAMES)


def _some_values(rolls: Rolls, kind: Kind) -> frozenset[str]:
    return _some(rolls, TAGS if kind is Kind.LIST else NAMES)


def some_span(rolls: Rolls, kind: Kind) -> Span:
    """A day or a moment."""
    if rolls.random() < (0.7 if kind is Kind.DATE else 0.5):
        day = rolls.choice(DAYS)
        return Span(first_moment_of(day, ZONE), first_moment_of(day + timedelta(days=1), ZONE))
    moment = rolls.choice(MOMENTS)
    return Span(moment, moment + ONE_TICK)


def _some_range(rolls: Rolls, kind: Kind) -> tuple[Any, Any]:
    if kind is Kind.NUMBER:
        low, high = sorted(rolls.choices(NUMBERS, k=2))
        return low, high
    one, other = sorted((some_span(rolls, kind), some_span(rolls, kind)), key=lambda span: span.start)
    return one.start, other.end - ONE_TICK


OPERANDS: Mapping[str, Callable[[Rolls, Kind], Any]] = {
    "in": _some_values,
    "not_in": _some_values,
    "has_any": _some_values,
    "has_all": _some_values,
    "has_none": _some_values,
    "exists": lambda rolls, kind: rolls.random() < 0.5,
    "older_than": lambda rolls, kind: rolls.choice(LENGTHS),
    "within_last": lambda rolls, kind: rolls.choice(LENGTHS),
    "within_next": lambda rolls, kind: rolls.choice(LENGTHS),
    "before": some_span,
    "on": some_span,
    "after": some_span,
    "between": _some_range,
    "contains": lambda rolls, kind: rolls.choice(PARTS),
    "not_contains": lambda rolls, kind: rolls.choice(PARTS),
    "starts_with": lambda rolls, kind: rolls.choice(PARTS),
    "ends_with": lambda rolls, kind: rolls.choice(PARTS),
    "like": lambda rolls, kind: Wildcards(rolls.choice(PATTERNS)),
    "domain_in": lambda rolls, kind: _some(rolls, HOSTS),
    "domain_not_in": lambda rolls, kind: _some(rolls, HOSTS),
}

CHOICES = ("is", "is_not", "in", "not_in", "in_group", "not_in_group", "exists")
TIMES = ("older_than", "within_last", "within_next", "before", "on", "after", "between", "exists")
EXACT_OPERATORS: Mapping[str, Sequence[str]] = {
    Kind.CATEGORY: CHOICES,
    Kind.ENUMERATION: CHOICES,
    Kind.NUMBER: ("is", "is_not", "lt", "lte", "gt", "gte", "between", "exists"),
    Kind.BOOLEAN: ("is", "exists"),
    Kind.MOMENT: TIMES,
    Kind.DATE: TIMES,
    Kind.LIST: ("has", "has_any", "has_all", "has_none", "exists"),
    Kind.TEXT: ("is", "is_not", "in", "not_in", "exists"),
}
TEXT_OPERATORS = (
    *("is", "is_not", "in", "not_in", "exists", "contains", "not_contains", "starts_with", "ends_with", "like"),
    *("domain_in", "domain_not_in"),
)
PATTERN_OPERATORS: Mapping[str, Sequence[str]] = {
    Kind.TEXT: TEXT_OPERATORS,
    Kind.EMAIL: TEXT_OPERATORS,
    Kind.URL: TEXT_OPERATORS,
}

ONE_DAY_TICKS = timedelta(days=1) // ONE_TICK
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
