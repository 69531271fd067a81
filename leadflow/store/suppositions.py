"""What is read to plan a rule that waits for something to happen: whom it may concern, and their newest such events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Text,
    and_,
    bindparam,
    func,
    select,
    text,
)

from leadflow.domain.fields import Catalogue, Value
from leadflow.domain.history import Record
from leadflow.rules.conditions import Condition
from leadflow.store.conditions import render, rows_for
from leadflow.store.history import ROOTS
from leadflow.store.tables import CompanyRow, ContactRow
from leadflow.store.values import read_fields

# From this size on the number of all records is what the server's statistics say; counting them would read them all.
BIG_TABLE = 100_000


@dataclass(frozen=True)
class Candidates:
    """The records that an upper bound of a rule's condition leaves; further, only those it could happen to."""

    subject: Record
    condition: Condition
    now: datetime
    has_email: bool = False
    has_open_sale: bool = False

    @property
    def _table(self) -> Any:
        return (ContactRow if self.subject == "contact" else CompanyRow).__table__

    @property
    def _where(self) -> ColumnElement[bool]:
        parts = [render(self.condition, self.subject, self.now)]
        if self.has_email:
            parts.append(ContactRow.__table__.c.email.is_not(None))
        if self.has_open_sale:
            parts.append(CompanyRow.__table__.c.open_sales > 0)
        return and_(*parts)

    def count(self, connection: Connection) -> int:
        """How many there are."""
        rows = rows_for(self.subject, self._where)
        return connection.scalar(select(func.count()).select_from(rows).where(self._where)) or 0

    def page(self, connection: Connection, after: int, until: int, limit: int) -> list[int]:
        """The ids of the next ones, in order, up to and with `until`."""
        key = self._table.c.id
        query = select(key).select_from(rows_for(self.subject, self._where)).where(self._where)
        query = query.where(key > after, key <= until)
        return list(connection.scalars(query.order_by(key).limit(limit)))

    def span(self, connection: Connection) -> tuple[int, int]:
        """The first and the last id of all records, candidates or not."""
        key = self._table.c.id
        row = connection.execute(select(func.min(key), func.max(key))).one()
        return (row[0] or 0, row[1] or 0)


def count_records(connection: Connection, subject: Record) -> tuple[int, bool]:
    """How many companies or contacts there are; of a big table about so many, and true."""
    known = int(connection.scalar(_ESTIMATE, {"table": subject}) or 0)
    if known >= BIG_TABLE:
        return known, True
    table = (ContactRow if subject == "contact" else CompanyRow).__table__
    return int(connection.scalar(select(func.count()).select_from(table)) or 0), False


_ESTIMATE = text("SELECT reltuples FROM pg_class WHERE oid = CAST(:table AS regclass)")


@dataclass(frozen=True, slots=True)
class NewestEvent:
    """What the newest matching event of a record said, and whose it was."""

    fields: Mapping[str, Value]
    contact_id: int | None


def newest_events(
    connection: Connection,
    catalogue: Catalogue,
    subject: Record,
    ids: Sequence[int],
    type_: str,
    name: str | None,
    wanted: Mapping[str, str],
) -> dict[int, NewestEvent]:
    """By record, its newest event of this type and name whose own fields have the wanted values (case-folded)."""
    asked = "".join(f" AND lower(fields->>:key{n}) = :value{n}" for n in range(len(wanted)))
    statement = text(_NEWEST.format(record=subject, asked=asked)).bindparams(
        bindparam("ids", type_=ARRAY(BigInteger)), bindparam("name", type_=Text)
    )
    values: dict[str, Any] = {"ids": list(ids), "type": type_, "name": name}
    for number, (key, value) in enumerate(wanted.items()):
        values |= {f"key{number}": key, f"value{number}": value}
    root = ROOTS.get(type_, "event")
    return {
        row.record_id: NewestEvent(read_fields(catalogue, root, row.fields or {}), row.contact_id)
        for row in connection.execute(statement, values)
    }


_NEWEST = """
    SELECT one.record_id, newest.fields, newest.contact_id
    FROM unnest(:ids) AS one(record_id) CROSS JOIN LATERAL (
        SELECT fields, contact_id FROM event
        WHERE {record}_id = one.record_id AND state = 'processed' AND type = :type
          AND (CAST(:name AS text) IS NULL OR name = :name){asked}
        ORDER BY id DESC LIMIT 1
    ) AS newest
"""
