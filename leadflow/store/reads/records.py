"""Companies, contacts, sales and tasks, as lists and one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, or_, select

from leadflow.domain.text import clean_text, fold
from leadflow.errors import NotFound
from leadflow.store.reads.rows import (
    company_view,
    contact_view,
    effective_category,
    read_page,
    select_companies,
    select_contacts,
    starts_with,
)
from leadflow.store.reads.views import CompanyView, ContactView, Page, SaleView, TaskView
from leadflow.store.tables import CompanyRow, ContactRow, SaleRow, TaskRow

DEFAULT_PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class CompanyFilter:
    """Which companies: `q` is the beginning of a name or domain, `name` the whole name in any case; category by key."""

    q: str | None = None
    name: str | None = None
    domain: str | None = None
    category: str | None = None
    has_category: bool | None = None

    def narrow(self, query: Select[Any]) -> Select[Any]:
        if self.q is not None:
            query = query.where(or_(starts_with(CompanyRow.name_norm, self.q), starts_with(CompanyRow.domain, self.q)))
        if self.name is not None:
            query = query.where(CompanyRow.name_norm == fold(clean_text(self.name) or ""))
        if self.domain is not None:
            query = query.where(CompanyRow.domain == fold(self.domain.strip()))
        if self.category is not None:
            query = query.where(CompanyRow.category_key == self.category)
        if self.has_category is not None:
            query = query.where(CompanyRow.category_key.is_not(None) == self.has_category)
        return query


@dataclass(frozen=True, slots=True)
class ContactFilter:
    """Which contacts: `q` is the beginning of a name, last name or address; `category` is the effective one."""

    q: str | None = None
    email: str | None = None
    company_id: int | None = None
    lead_status: str | None = None
    category: str | None = None

    def narrow(self, query: Select[Any]) -> Select[Any]:
        if self.q is not None:
            begins = (ContactRow.name_norm, ContactRow.last_name_norm, ContactRow.email)
            query = query.where(or_(*(starts_with(column, self.q) for column in begins)))
        if self.email is not None:
            query = query.where(ContactRow.email == fold(self.email.strip()))
        if self.company_id is not None:
            query = query.where(ContactRow.company_id == self.company_id)
        if self.lead_status is not None:
            query = query.where(ContactRow.lead_status_key == self.lead_status)
        if self.category is not None:
            query = query.where(effective_category() == self.category)
        return query


def company(connection: Connection, company_id: int) -> CompanyView:
    """One company. Raises: NotFound."""
    row = connection.execute(select_companies().where(CompanyRow.id == company_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no company {company_id}.")
    return company_view(row)


def companies(
    connection: Connection,
    wanted: CompanyFilter = CompanyFilter(),
    *,
    after: int | None = None,
    limit: int = DEFAULT_PAGE_SIZE,
) -> Page[CompanyView]:
    """Companies in the order in which they were created."""
    return read_page(connection, wanted.narrow(select_companies()), CompanyRow.id, after, limit, company_view)


def companies_by_id(connection: Connection, ids: set[int]) -> dict[int, CompanyView]:
    """These companies, by id."""
    rows = connection.execute(select_companies().where(CompanyRow.id.in_(ids))).mappings()
    return {row["id"]: company_view(row) for row in rows}


def contact(connection: Connection, contact_id: int) -> ContactView:
    """One contact. Raises: NotFound."""
    row = connection.execute(select_contacts().where(ContactRow.id == contact_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no contact {contact_id}.")
    return contact_view(row)


def contacts(
    connection: Connection,
    wanted: ContactFilter = ContactFilter(),
    *,
    after: int | None = None,
    limit: int = DEFAULT_PAGE_SIZE,
) -> Page[ContactView]:
    """Contacts in the order in which they were created."""
    return read_page(connection, wanted.narrow(select_contacts()), ContactRow.id, after, limit, contact_view)


def contacts_by_id(connection: Connection, ids: set[int]) -> dict[int, ContactView]:
    """These contacts, by id."""
    rows = connection.execute(select_contacts().where(ContactRow.id.in_(ids))).mappings()
    return {row["id"]: contact_view(row) for row in rows}


def sale(connection: Connection, sale_id: int) -> SaleView:
    """One sale. Raises: NotFound."""
    row = connection.execute(select(SaleRow.__table__).where(SaleRow.id == sale_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no sale {sale_id}.")
    return SaleView(**row)


def sales(
    connection: Connection,
    *,
    company_id: int | None = None,
    after: int | None = None,
    limit: int = DEFAULT_PAGE_SIZE,
) -> Page[SaleView]:
    """Sales in the order in which they were registered."""
    query = select(SaleRow.__table__)
    if company_id is not None:
        query = query.where(SaleRow.company_id == company_id)
    return read_page(connection, query, SaleRow.id, after, limit, lambda row: SaleView(**row))


_TASK_COLUMNS = [column for column in TaskRow.__table__.c if column.name != "action"]


def task(connection: Connection, task_id: int) -> TaskView:
    """One task. Raises: NotFound."""
    row = connection.execute(select(*_TASK_COLUMNS).where(TaskRow.id == task_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no task {task_id}.")
    return TaskView(**row)


def tasks(
    connection: Connection,
    *,
    is_done: bool | None = None,
    company_id: int | None = None,
    contact_id: int | None = None,
    owner: str | None = None,
    after: int | None = None,
    limit: int = DEFAULT_PAGE_SIZE,
) -> Page[TaskView]:
    """Tasks in the order in which they were created; `is_done` None gives open and done ones."""
    query = select(*_TASK_COLUMNS)
    if is_done is not None:
        query = query.where(TaskRow.done_at.is_not(None) if is_done else TaskRow.done_at.is_(None))
    if company_id is not None:
        query = query.where(TaskRow.company_id == company_id)
    if contact_id is not None:
        query = query.where(TaskRow.contact_id == contact_id)
    if owner is not None:
        query = query.where(TaskRow.owner == owner)
    return read_page(connection, query, TaskRow.id, after, limit, lambda row: TaskView(**row))
