"""Bulk changes as rows: how far one has come, and which records it left as they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, func, insert, select, update

from leadflow.errors import NotFound
from leadflow.store.bulk import insert_rows
from leadflow.store.conditions import Subject
from leadflow.store.tables import BulkChangeRow, BulkLeftOutRow

_TABLE = BulkChangeRow.__table__


@dataclass(frozen=True, slots=True)
class BulkChange:
    """A bulk change as it stands; `criteria` is {where, q, category, status}, unless `record_ids` names the records."""

    id: int
    subject: Subject
    effect: dict[str, Any]
    criteria: dict[str, Any]
    record_ids: list[int] | None
    state: str
    last_id: int
    until_id: int
    expected: int
    seen: int
    changed: int
    account_id: int
    actor_name: str
    created_at: datetime
    ended_at: datetime | None

    @property
    def left_out(self) -> int:
        return self.seen - self.changed

    @property
    def share(self) -> int:
        """How much of it is done, in per cent; the expected number may be an estimate."""
        if self.state == "done" or not self.expected:
            return 100
        return min(round(100 * self.seen / self.expected), 99)


def start(connection: Connection, values: Mapping[str, Any]) -> int:
    """Store a bulk change that has touched nothing yet; its id."""
    return cast(int, connection.scalar(insert(BulkChangeRow).values(**values).returning(BulkChangeRow.id)))


def read(connection: Connection, bulk_id: int, *, is_locked: bool = False) -> BulkChange:
    """One bulk change; locked, nobody else works on it until the end of the transaction. Raises: NotFound."""
    query = select(_TABLE).where(BulkChangeRow.id == bulk_id)
    row = connection.execute(query.with_for_update() if is_locked else query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no bulk change {bulk_id}.")
    return BulkChange(**row)


def note_page(connection: Connection, bulk_id: int, left_out: Mapping[int, str], values: Mapping[str, Any]) -> None:
    """Note how far it has come, and the reason of each record that was left out."""
    rows = [{"bulk_change_id": bulk_id, "record_id": one, "reason": reason} for one, reason in left_out.items()]
    insert_rows(connection, BulkLeftOutRow, rows)
    connection.execute(update(BulkChangeRow).where(BulkChangeRow.id == bulk_id).values(**values))


def reasons(connection: Connection, bulk_id: int) -> dict[str, int]:
    """The reasons for which records were left out, with how many, the most frequent first."""
    query = (
        select(BulkLeftOutRow.reason, func.count())
        .where(BulkLeftOutRow.bulk_change_id == bulk_id)
        .group_by(BulkLeftOutRow.reason)
        .order_by(func.count().desc(), BulkLeftOutRow.reason)
    )
    return dict(connection.execute(query).all())


def left_out(connection: Connection, bulk_id: int, size: int) -> Iterator[dict[int, str]]:
    """Every record that was left out and its reason, in pages."""
    last = 0
    while True:
        query = (
            select(BulkLeftOutRow.record_id, BulkLeftOutRow.reason)
            .where(BulkLeftOutRow.bulk_change_id == bulk_id, BulkLeftOutRow.record_id > last)
            .order_by(BulkLeftOutRow.record_id)
        )
        page = dict(connection.execute(query.limit(size)).all())
        if not page:
            return
        yield page
        last = max(page)
