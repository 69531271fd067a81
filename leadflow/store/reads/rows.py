"""Columns and joins that several queries share, and how a row becomes a view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, case, func, select

from leadflow.domain.text import fold
from leadflow.store.reads.views import (
    ActorView,
    CategoryRef,
    ChangeView,
    CompanyView,
    ContactView,
    FirstTouchView,
    LeadStatusRef,
    Page,
)
from leadflow.store.tables import CategoryRow, ChangeRow, CompanyRow, ContactRow, LeadStatusRow

View = TypeVar("View")

FIRST_TOUCH_NAMES = ("source", "medium", "campaign", "term", "content", "referrer", "at")

IS_ACTIVE: ColumnElement[bool] = func.coalesce(
    and_(CategoryRow.group_key == "potential_customer", CategoryRow.lead_status_enabled), False
)

_CATEGORY_COLUMNS = (
    CategoryRow.key.label("category_key"),
    CategoryRow.name.label("category_name"),
    CategoryRow.group_key.label("category_group"),
)


def effective_category() -> ColumnElement[str | None]:
    """The key of a contact's effective category: at a company the contact has none of its own (a check constraint)."""
    return func.coalesce(CompanyRow.category_key, ContactRow.category_key)


def select_companies() -> Select[Any]:
    """Companies with their category."""
    table = CompanyRow.__table__
    columns = [column for column in table.c if column.name != "category_key" and not column.name.endswith("_norm")]
    return select(*columns, *_CATEGORY_COLUMNS).select_from(
        table.outerjoin(CategoryRow.__table__, CategoryRow.key == CompanyRow.category_key)
    )


def select_contacts() -> Select[Any]:
    """Contacts with their effective category and lead status."""
    table = ContactRow.__table__
    unshown = ("category_key", "lead_status_key", "email_host")
    columns = [column for column in table.c if column.name not in unshown and not column.name.endswith("_norm")]
    return select(
        *columns,
        *_CATEGORY_COLUMNS,
        IS_ACTIVE.label("lead_status_active"),
        LeadStatusRow.key.label("lead_status_key"),
        LeadStatusRow.name.label("lead_status_name"),
    ).select_from(contacts_with_category().outerjoin(LeadStatusRow, LeadStatusRow.key == ContactRow.lead_status_key))


def contacts_with_category() -> Any:
    """The join of contacts with their company and effective category."""
    return ContactRow.__table__.outerjoin(CompanyRow.__table__, CompanyRow.id == ContactRow.company_id).outerjoin(
        CategoryRow.__table__,
        CategoryRow.key
        == case((ContactRow.company_id.is_(None), ContactRow.category_key), else_=CompanyRow.category_key),
    )


def company_view(row: RowMapping) -> CompanyView:
    names = ("id", "name", "domain", "owner", "tags", "fields", "do_not_automate", "open_sales", "external_ids")
    return CompanyView(
        category=_category_of(row),
        first_touch=_first_touch_of(row),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        revision=row["revision"],
        **{name: row[name] for name in names},
    )


def contact_view(row: RowMapping) -> ContactView:
    names = ("id", "email", "first_name", "last_name", "company_id", "tags", "fields", "do_not_automate")
    times = ("last_touched_at", "created_at", "updated_at")
    status = row["lead_status_key"]
    return ContactView(
        category=_category_of(row),
        lead_status=None if status is None else LeadStatusRef(status, row["lead_status_name"]),
        lead_status_active=row["lead_status_active"],
        first_touch=_first_touch_of(row),
        revision=row["revision"],
        **{name: row[name] for name in (*names, *times)},
    )


def change_view(row: RowMapping) -> ChangeView:
    names = ("id", "at", "entity", "entity_id", "company_id", "contact_id", "field", "old", "new")
    return ChangeView(
        actor=ActorView(row["actor_kind"], row["actor_id"], row["actor_name"]),
        event_id=row["event_id"],
        sweep_id=row["sweep_id"],
        run_id=row["run_id"],
        undone_by=row["undone_by"],
        **{name: row[name] for name in names},
    )


def select_changes() -> Select[Any]:
    """The ledger, each row with the change that undid it."""
    undoing = ChangeRow.__table__.alias("undoing")
    columns = [column for column in ChangeRow.__table__.c if column.name not in ("rule", "action", "undoes")]
    return select(*columns, undoing.c.id.label("undone_by")).select_from(
        ChangeRow.__table__.outerjoin(undoing, undoing.c.undoes == ChangeRow.id)
    )


def _category_of(row: RowMapping) -> CategoryRef | None:
    key = row["category_key"]
    return None if key is None else CategoryRef(key, row["category_name"], row["category_group"])


def _first_touch_of(row: RowMapping) -> FirstTouchView | None:
    values = {name: row[f"first_touch_{name}"] for name in FIRST_TOUCH_NAMES}
    return FirstTouchView(**values) if any(value is not None for value in values.values()) else None


def read_page(
    connection: Connection,
    query: Select[Any],
    key: ColumnElement[int] | Any,
    after: int | None,
    limit: int,
    view: Callable[[RowMapping], View],
    *,
    newest_first: bool = False,
) -> Page[View]:
    """One page by a key that never moves: rows added meanwhile shift nothing."""
    if after is not None:
        query = query.where(key < after if newest_first else key > after)
    ordered = query.order_by(key.desc() if newest_first else key).limit(limit + 1)
    rows = connection.execute(ordered).mappings().all()
    kept = rows[:limit]
    return Page([view(row) for row in kept], kept[-1]["id"] if len(rows) > limit else None)


def starts_with(column: Any, text: str) -> ColumnElement[bool]:
    """Whether the folded column begins with `text`; percent signs and underscores mean themselves."""
    found: ColumnElement[bool] = column.startswith(fold(text), autoescape=True)
    return found
