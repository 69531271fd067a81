"""The clauses of a trace, as SQL: for each what it asks, whether it holds, and the value seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, case, cast, false, func, literal, literal_column
from sqlalchemy.dialects.postgresql import JSONB

from leadflow.domain.fields import Kind
from leadflow.domain.history import Record
from leadflow.rules.conditions import (
    All,
    AnyOf,
    Clause,
    Condition,
    Leaf,
    MemberClause,
    Named,
    NoneOf,
    NowClause,
    PastClause,
)
from leadflow.store.conditions import render, seen_in_past
from leadflow.store.tables import CompanyRow, ContactRow
from leadflow.store.values import to_json

# The columns whose name is not that of the field.
_COLUMNS = {"category": "category_key", "lead_status": "lead_status_key"}


def trace_of(condition: Condition | None, subject: Record, now: datetime) -> ColumnElement[Any]:
    """The clauses of records for which the condition holds, as a jsonb list in the form that traces have."""
    if condition is None:
        return literal_column("'[]'::jsonb")
    clauses = [
        _clause(leaf, is_negated, is_certain, subject, now)
        for leaf, is_negated, is_certain in _leaves(condition, is_negated=False, is_certain=True)
    ]
    return func.jsonb_build_array(*clauses, type_=JSONB)


def _leaves(condition: Condition, *, is_negated: bool, is_certain: bool) -> Iterator[tuple[Leaf, bool, bool]]:
    """Every clause, whether it stands under `none`, and whether it must hold where the whole condition does."""
    match condition:
        case All(parts):
            # All of them under `none`: at least one is false.
            still_certain = is_certain and (not is_negated or len(parts) == 1)
            for part in parts:
                yield from _leaves(part, is_negated=is_negated, is_certain=still_certain)
        case AnyOf(parts):
            still_certain = is_certain and (is_negated or len(parts) == 1)
            for part in parts:
                yield from _leaves(part, is_negated=is_negated, is_certain=still_certain)
        case NoneOf(parts):
            still_certain = is_certain and (not is_negated or len(parts) == 1)
            for part in parts:
                yield from _leaves(part, is_negated=not is_negated, is_certain=still_certain)
        case Named(condition=inner):
            yield from _leaves(inner, is_negated=is_negated, is_certain=is_certain)
        case _:
            yield condition, is_negated, is_certain


def _clause(leaf: Leaf, is_negated: bool, is_certain: bool, subject: Record, now: datetime) -> ColumnElement[Any]:
    words = leaf.words
    holds: ColumnElement[Any] = literal_column("true")
    if not is_certain:
        holds = func.coalesce(render(NoneOf((leaf,)) if is_negated else leaf, subject, now), false())
    parts = {
        "path": literal(leaf.path),
        "test": literal(f"not: {words}" if is_negated else words),
        "holds": holds,
        "value": _seen(leaf, subject, now),
    }
    flat = [one for name, value in parts.items() for one in (literal_column(f"'{name}'"), value)]
    return func.jsonb_build_object(*flat, type_=JSONB)


def _seen(leaf: Leaf, subject: Record, now: datetime) -> ColumnElement[Any]:
    """The value that the clause was judged on."""
    match leaf:
        case Clause():
            return _value(leaf)
        case NowClause():
            return literal(to_json(now))
        case MemberClause():
            return func.to_jsonb(render(leaf, subject, now))
        case PastClause():
            seen = seen_in_past(leaf, subject, now)
            return _moment(seen) if leaf.field.kind is Kind.MOMENT else _exact(seen)


def _value(clause: Clause) -> ColumnElement[Any]:
    root, _, name = clause.path.partition(".")
    columns: Any = (CompanyRow if root == "company" else ContactRow).__table__.c
    if name.startswith("fields."):
        return columns.fields.op("->")(literal(name.removeprefix("fields.")))  # type: ignore[no-any-return]
    column = columns[_COLUMNS.get(name, name.replace(".", "_"))]
    match clause.field.kind:
        case Kind.MOMENT:
            return _moment(column)
        case Kind.LIST:
            return case((func.cardinality(column) > 0, func.to_jsonb(column)))
        case Kind.NUMBER:
            return _exact(column)
        case _:
            return func.to_jsonb(column)


def _exact(number: ColumnElement[Any]) -> ColumnElement[Any]:
    """Exact numbers travel as text."""
    return func.to_jsonb(cast(number, String))


def _moment(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """As Python writes it: a fraction only where there is one."""
    written = func.to_char(func.timezone("UTC", column), literal('YYYY-MM-DD"T"HH24:MI:SS.US'))
    return func.to_jsonb(func.replace(written, ".000000", "") + literal("Z"))
