"""Many rows in one statement whose text is always the same, so it is planned once: one array a column, in binary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Boolean, Connection, DateTime, Integer, LargeBinary, Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine

from leadflow.store.values import dump

Rows = Sequence[Mapping[str, Any]]
Entity = type[DeclarativeBase]


def insert_rows(connection: Connection, entity: Entity, rows: Rows, *, turn: int | None = None) -> None:
    """Insert rows that all have the columns of the first.

    With `turn`, the statement first waits for the advisory lock of that number, which this transaction then holds.
    """
    if rows:
        columns = tuple(rows[0])
        connection.exec_driver_sql(_insert(entity, columns, turn), _arrays(entity, columns, rows))


def update_rows(connection: Connection, entity: Entity, rows: Rows, guarded: str | None = None) -> int:
    """Update rows by `id`; how many there were.

    With `guarded` (a column) each row also carries `expected`, and is left alone where the column holds another
    value: compare-and-set.
    """
    if not rows:
        return 0
    columns = ("id", *(column for column in rows[0] if column not in ("id", "expected")))
    arrays = _arrays(entity, columns, rows)
    if guarded:
        arrays += _arrays(entity, (guarded,), [{guarded: row["expected"]} for row in rows])
    return connection.exec_driver_sql(_update(entity, columns, guarded), arrays).rowcount


@lru_cache
def _insert(entity: Entity, columns: tuple[str, ...], turn: int | None) -> str:
    names = ", ".join(columns)
    values = ", ".join(_value(entity, column) for column in columns)
    source = _rows(entity, columns)
    if turn is not None:  # a row is made, and takes its id, only when the lock is held
        source = f"(SELECT pg_advisory_xact_lock({turn}) OFFSET 0) AS turn CROSS JOIN {source}"
    return f"INSERT INTO {entity.__tablename__} ({names}) SELECT {values} FROM {source}"


@lru_cache
def _update(entity: Entity, columns: tuple[str, ...], guarded: str | None) -> str:
    table = entity.__tablename__
    assignments = ", ".join(f"{column} = {_value(entity, column)}" for column in columns[1:])
    if "revision" in entity.__table__.c:
        assignments += f", revision = {table}.revision + 1"
    condition, extra = f"{table}.id = v.id", ""
    if guarded:
        condition += f" AND {table}.{guarded} IS NOT DISTINCT FROM v.expected"
        extra = guarded
    return f"UPDATE {table} SET {assignments} FROM {_rows(entity, columns, extra)} WHERE {condition}"


def _rows(entity: Entity, columns: tuple[str, ...], expected: str = "") -> str:
    arrays = [f"%b::{_travels_as(_type(entity, column))}[]" for column in (*columns, *([expected] if expected else []))]
    names = [*columns, *(["expected"] if expected else [])]
    return f"unnest({', '.join(arrays)}) AS v({', '.join(names)})"


def _value(entity: Entity, column: str) -> str:
    """The column of the arrays as the table's type: JSON and lists travel as text."""
    match _type(entity, column):
        case JSONB():
            return f"v.{column}::jsonb"
        case ARRAY():
            return f"v.{column}::text[]"
        case _:
            return f"v.{column}"


def _arrays(entity: Entity, columns: tuple[str, ...], rows: Rows) -> tuple[list[Any], ...]:
    return tuple(_array(_writer(entity, column), [row[column] for row in rows]) for column in columns)


def _array(write: Callable[[Any], str] | None, values: list[Any]) -> list[Any]:
    return values if write is None else [None if value is None else write(value) for value in values]


@lru_cache
def _writer(entity: Entity, column: str) -> Callable[[Any], str] | None:
    """How values that travel as text are written; None for all others."""
    match _type(entity, column):
        case JSONB():
            return _as_json
        case ARRAY():
            return _as_list
        case _:
            return None


def _as_json(value: Any) -> str:
    return encode_basestring(value) if type(value) is str else dump(value)


def _as_list(values: Sequence[str]) -> str:
    """PostgreSQL's text form of a list of texts."""
    if not values:
        return "{}"
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"


def _type(entity: Entity, column: str) -> TypeEngine[Any]:
    return entity.__table__.c[column].type


def _travels_as(type_: TypeEngine[Any]) -> str:
    names: tuple[tuple[type[TypeEngine[Any]], str], ...] = (
        (BigInteger, "bigint"),
        (Integer, "bigint"),
        (Numeric, "numeric"),
        (Boolean, "boolean"),
        (DateTime, "timestamptz"),
        (LargeBinary, "bytea"),
    )
    return next((name for kind, name in names if isinstance(type_, kind)), "text")
