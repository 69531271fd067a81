"""Selections as rows: their definitions, and the members of static ones, added and removed in any number at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, String, delete, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from leadflow.domain.history import Record
from leadflow.rules.conditions import Condition
from leadflow.store.conditions import render, rows_for
from leadflow.store.tables import CompanyRow, ContactRow, SelectionMemberRow, SelectionRow


def insert_selection(connection: Connection, values: Mapping[str, Any]) -> int:
    """A new selection; its id."""
    selection_id: int = connection.scalars(insert(SelectionRow).values(**values).returning(SelectionRow.id)).one()
    return selection_id


def update_selection(connection: Connection, selection_id: int, values: Mapping[str, Any]) -> None:
    """Change a selection; its revision goes up."""
    revised = {**values, "revision": SelectionRow.revision + 1}
    connection.execute(update(SelectionRow).where(SelectionRow.id == selection_id).values(**revised))


def slugs_used(connection: Connection, slug: str) -> set[str]:
    """The slugs that begin with this one, those of deleted selections included: a slug is never given twice."""
    return set(connection.scalars(select(SelectionRow.slug).where(SelectionRow.slug.startswith(slug, autoescape=True))))


# Members --------------------------------------------------------------------------------------------------------------


def add_members(
    connection: Connection, selection_id: int, subject: Record, ids: Collection[int], by: str, now: datetime
) -> int:
    """Make these records members, as far as they exist; how many were not members before."""
    table = _table(subject)
    return _add(connection, selection_id, select(table.c.id).where(table.c.id.in_(sorted(ids))), by, now)


def add_everybody(
    connection: Connection, selection_id: int, subject: Record, condition: Condition | None, by: str, now: datetime
) -> int:
    """Make all records that satisfy the condition now members, in one statement; how many were not members before."""
    asked = render(condition, subject, now)
    table = _table(subject)
    return _add(
        connection, selection_id, select(table.c.id).select_from(rows_for(subject, asked)).where(asked), by, now
    )


def _add(connection: Connection, selection_id: int, ids: Select[Any], by: str, now: datetime) -> int:
    member = SelectionMemberRow.__table__
    found = ids.subquery()
    rows = select(
        literal(selection_id, BigInteger), found.c.id, literal(by, String), literal(now, member.c.added_at.type)
    )
    names = ["selection_id", "record_id", "added_by", "added_at"]
    adding = upsert(SelectionMemberRow).from_select(names, rows).on_conflict_do_nothing()
    return connection.execute(adding.execution_options(preserve_rowcount=True)).rowcount


def remove_members(connection: Connection, selection_id: int, ids: Collection[int]) -> int:
    """Take these records out; how many were members."""
    table: Any = SelectionMemberRow.__table__
    meant = (table.c.selection_id == selection_id, table.c.record_id.in_(sorted(ids)))
    return connection.execute(delete(table).where(*meant)).rowcount


def missing_records(connection: Connection, subject: Record, ids: Collection[int]) -> set[int]:
    """Those of the ids that no record has."""
    table = _table(subject)
    return set(ids) - set(connection.scalars(select(table.c.id).where(table.c.id.in_(sorted(ids)))))


def count_members(connection: Connection, selection_id: int) -> int:
    """How many members a static selection has."""
    meant = SelectionMemberRow.selection_id == selection_id
    return connection.scalar(select(func.count()).select_from(SelectionMemberRow).where(meant)) or 0


def _table(subject: Record) -> Any:
    return (ContactRow if subject == "contact" else CompanyRow).__table__
