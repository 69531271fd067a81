"""What every process must agree on: categories, lead statuses, the graph, custom fields, the live rule set's number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

from sqlalchemy import Connection, delete, insert, select, text, update

from leadflow.domain.fields import Catalogue, Choice, CustomField, Kind, build_catalogue
from leadflow.domain.lead_status import LeadStatus, LeadStatuses
from leadflow.domain.lifecycle import Category, Edge, EdgeKind, Group, Lifecycle
from leadflow.domain.selections import Selection
from leadflow.store.tables import CategoryRow, EdgeRow, Installation, LeadStatusRow, SelectionRow

# Writers of records hold it shared, an administrator who edits a list holds it alone: nobody decides by an old list.
LISTS_LOCK = 7_270_002


@dataclass(frozen=True)
class Lists:
    """The lists as of one revision. Without an installation `revision` is 0 and everything is empty."""

    revision: int
    live_version: int | None
    lifecycle: Lifecycle
    statuses: LeadStatuses
    catalogue: Catalogue


def share_lists(connection: Connection) -> None:
    """Keep administrators from changing the lists until this transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": LISTS_LOCK})


def lock_lists(connection: Connection) -> None:
    """Wait until no transaction decides by the lists, and keep others out until this one ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LISTS_LOCK})


class ListsCache:
    """Reads the lists again only when their revision changed; one per process."""

    def __init__(self) -> None:
        self._lists: Lists | None = None

    def read(self, connection: Connection) -> Lists:
        """The lists as this transaction sees them."""
        row = connection.execute(_REVISIONS).one_or_none()
        known = self._lists
        if row is None:
            return read_lists(connection)
        if known is None or (known.revision, known.live_version) != (row.lifecycle_revision, row.live_version):
            known = self._lists = read_lists(connection)
        return known


_REVISIONS = select(Installation.lifecycle_revision, Installation.live_version)


def read_lists(connection: Connection) -> Lists:
    """All lists from the database."""
    row = connection.execute(select(Installation.__table__)).one_or_none()
    categories = connection.execute(select(CategoryRow.__table__).order_by(CategoryRow.rank, CategoryRow.key))
    statuses = connection.execute(select(LeadStatusRow.__table__).order_by(LeadStatusRow.rank, LeadStatusRow.key))
    edges = connection.execute(select(EdgeRow.source_key, EdgeRow.target_key, EdgeRow.kind))
    lifecycle = Lifecycle(
        {one.key: _category(one) for one in categories},
        frozenset(Edge(one.source_key, one.target_key, EdgeKind(one.kind)) for one in edges),
        cast(Literal["open", "keep"], row.on_reentry if row else "open"),
    )
    known = LeadStatuses({one.key: _status(one) for one in statuses})
    custom = [custom_field_from_json(one) for one in row.custom_fields] if row else []
    events = dict(row.events) if row else {}
    selections = read_selections(connection)
    catalogue = build_catalogue(lifecycle, known, custom, events, selections=selections)
    return Lists(row.lifecycle_revision if row else 0, row.live_version if row else None, lifecycle, known, catalogue)


def read_selections(connection: Connection) -> list[Selection]:
    """What the selections mean, deleted ones left out, by slug."""
    columns = (SelectionRow.id, SelectionRow.slug, SelectionRow.title, SelectionRow.subject)
    query = select(*columns, SelectionRow.condition, SelectionRow.zone).where(SelectionRow.deleted_at.is_(None))
    return [Selection(*row) for row in connection.execute(query.order_by(SelectionRow.slug))]


def _category(row: Any) -> Category:
    group = Group(row.group_key) if row.group_key else None
    return Category(
        row.key,
        row.name,
        group,
        row.rank,
        row.lead_status_enabled,
        row.short_name,
        row.description,
        row.deleted_at is not None,
        tuple(row.former_names),
    )


def _status(row: Any) -> LeadStatus:
    is_deleted, former_names = row.deleted_at is not None, tuple(row.former_names)
    return LeadStatus(row.key, row.name, row.rank, row.description, row.is_default, is_deleted, former_names)


def custom_field_to_json(one: CustomField) -> dict[str, Any]:
    """A custom field as kept on the installation."""
    return {
        "record": one.record,
        "name": one.name,
        "kind": one.kind.value,
        "label": one.label,
        "description": one.description,
        "choices": [[choice.key, choice.name] for choice in one.choices],
        "is_writable": one.is_writable,
    }


def custom_field_from_json(document: dict[str, Any]) -> CustomField:
    """The reverse of `custom_field_to_json`."""
    choices = tuple(Choice(key, name) for key, name in document["choices"])
    return CustomField(**{**document, "kind": Kind(document["kind"]), "choices": choices})


def bump_revision(connection: Connection) -> None:
    """Tell every process that the lists changed."""
    connection.execute(update(Installation).values(lifecycle_revision=Installation.lifecycle_revision + 1))


def insert_lists(connection: Connection, categories: Iterable[Category], statuses: Iterable[LeadStatus]) -> None:
    """Write the seeded lists; what is there already stays as administrators left it."""
    known = set(connection.scalars(select(CategoryRow.key)))
    for one in categories:
        if one.key not in known:
            connection.execute(insert(CategoryRow), _category_values(one))
    known = set(connection.scalars(select(LeadStatusRow.key)))
    for status in statuses:
        if status.key not in known:
            connection.execute(insert(LeadStatusRow), _status_values(status))


def _category_values(one: Category) -> dict[str, Any]:
    return {
        "key": one.key,
        "name": one.name,
        "short_name": one.short_name,
        "description": one.description,
        "group_key": one.group.value if one.group else None,
        "rank": one.rank,
        "lead_status_enabled": one.lead_status_enabled,
    }


def _status_values(one: LeadStatus) -> dict[str, Any]:
    return {
        "key": one.key,
        "name": one.name,
        "description": one.description,
        "rank": one.rank,
        "is_default": one.is_default,
    }


def replace_edges(connection: Connection, edges: Iterable[Edge]) -> None:
    """Make the lifecycle graph exactly these edges."""
    connection.execute(delete(EdgeRow))
    rows = [
        {"source_key": one.source, "target_key": one.target, "kind": one.kind.value}
        for one in sorted(edges, key=lambda e: (e.source or "", e.target))
    ]
    if rows:
        connection.execute(insert(EdgeRow), rows)
