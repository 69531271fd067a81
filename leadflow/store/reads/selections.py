"""Selections as views, and which tiles of dashboards show them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Select, select

from leadflow.errors import NotFound
from leadflow.store.reads.rows import read_page
from leadflow.store.reads.views import Page
from leadflow.store.tables import DashboardRow, SelectionRow


@dataclass(frozen=True, slots=True)
class SelectionView:
    """A selection: `where` is the condition of a dynamic one, in the rule language as JSON; null for a static one."""

    id: int
    slug: str
    title: str
    description: str
    subject: Literal["company", "contact"]
    kind: Literal["dynamic", "static"]
    where: dict[str, Any] | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    revision: int


def selections(
    connection: Connection, *, subject: str | None = None, after: int | None = None, limit: int
) -> Page[SelectionView]:
    """The selections in the order in which they were made; deleted ones are left out."""
    query = _select()
    if subject is not None:
        query = query.where(SelectionRow.subject == subject)
    return read_page(connection, query, SelectionRow.id, after, limit, lambda row: SelectionView(**row))


def selections_by_title(connection: Connection) -> list[SelectionView]:
    """All of them, as a person looks for them."""
    found = connection.execute(_select()).mappings()
    return sorted((SelectionView(**row) for row in found), key=lambda one: one.title.casefold())


def selection(connection: Connection, selection_id: int) -> SelectionView:
    """One selection. Raises: NotFound, also for a deleted one."""
    row = connection.execute(_select().where(SelectionRow.id == selection_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no selection {selection_id}.")
    return SelectionView(**row)


def _select() -> Select[Any]:
    unshown = ("condition", "zone", "deleted_at")
    columns = [column for column in SelectionRow.__table__.c if column.name not in unshown]
    query = select(*columns, SelectionRow.condition.label("where"))
    return query.where(SelectionRow.deleted_at.is_(None))


@dataclass(frozen=True, slots=True)
class Place:
    """A dashboard on which a selection is shown."""

    key: str
    title: str


def dashboards_naming(connection: Connection) -> Mapping[str, list[Place]]:
    """The dashboards by what their tiles name as a selection, case-folded: a slug or a title."""
    found: dict[str, list[Place]] = defaultdict(list)
    query = select(DashboardRow.key, DashboardRow.title, DashboardRow.tiles).order_by(DashboardRow.title)
    for row in connection.execute(query):
        for name in dict.fromkeys(names_in(row.tiles)):
            found[name].append(Place(row.key, row.title))
    return found


def names_in(document: Any) -> Iterator[str]:
    """What a document of JSON names as selections, case-folded."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "selection" and isinstance(value, str):
                yield " ".join(value.split()).casefold()
            else:
                yield from names_in(value)
    elif isinstance(document, list):
        for one in document:
            yield from names_in(one)
