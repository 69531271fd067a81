"""The columns of the lists of companies and contacts: which there are, and what stands in a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import Connection

from leadflow.domain.fields import Field, Kind
from leadflow.services.searches import ROOTS
from leadflow.store import page_reads, reads
from leadflow.store.conditions import Subject
from leadflow.store.lists import Lists
from leadflow.web.pages import wording

Record = reads.CompanyView | reads.ContactView

FIRST_COLUMNS: Mapping[Subject, tuple[str, ...]] = {
    "company": (
        "company.category",
        "company.owner",
        "company.tags",
        "contacts",
        "company.open_sales",
        "company.created_at",
    ),
    "contact": ("company.name", "company.category", "contact.lead_status", "contact.tags", "contact.last_touched_at"),
}
# What stands in the first column anyway.
NAMES: Mapping[Subject, tuple[str, ...]] = {
    "company": ("company.name",),
    "contact": ("contact.first_name", "contact.last_name"),
}
MAX_COLUMNS = 16


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `key` is what addresses say; one with a `field` can be sorted by, unless the field is a list."""

    key: str
    label: str
    field: Field | None = None

    @property
    def is_number(self) -> bool:
        return self.key == "contacts" or (self.field is not None and self.field.kind is Kind.NUMBER)

    @property
    def is_moment(self) -> bool:
        return self.field is not None and self.field.kind is Kind.MOMENT

    @property
    def can_sort(self) -> bool:
        return self.field is not None and self.field.kind is not Kind.LIST

    @property
    def falls_first(self) -> bool:
        """Whether a first click on its head puts the highest on top: the newest, the most."""
        return self.is_number or self.is_moment


def columns_on_offer(lists: Lists, subject: Subject) -> dict[str, Column]:
    """Every column that a person may add, by key."""
    own_names = {"company.name": _("Company"), "contact.last_touched_at": _("Last form")}
    fields = (one for one in lists.catalogue.of(*ROOTS[subject]) if one.path not in NAMES[subject])
    columns = [Column(one.path, str(own_names.get(one.path, _label(one, subject))), one) for one in fields]
    derived = [Column("category_group", _("Category group"))]
    if subject == "company":
        derived.append(Column("contacts", _("Contacts")))
    return {one.key: one for one in (*columns, *derived)}


def _label(field: Field, subject: Subject) -> str:
    """The field's name; of a contact's company it says so, for the contact has a first touch of its own."""
    is_clear = field.root == subject or field.path == "company.category" or field.label.startswith("Company")
    return field.label if is_clear else str(_("Company: %(field)s", field=field.label))


def name_column(lists: Lists, subject: Subject) -> Column:
    """The first column, which every list has."""
    if subject == "company":
        return Column("company.name", _("Company"), lists.catalogue.get("company.name"))
    return Column("contact.last_name", _("Contact"), lists.catalogue.get("contact.last_name"))


@dataclass(frozen=True, slots=True)
class Row:
    """A record with what its cells need: its company, and how many contacts a company has."""

    record: Record
    company: reads.CompanyView | None = None
    contacts: int = 0

    def value(self, column: Column) -> Any:
        """What the record has in a column, as it is stored."""
        if column.key == "contacts":
            return self.contacts
        if column.key == "category_group":
            return self.record.category.group if self.record.category else None
        if column.key == "company.category":
            return self.record.category.key if self.record.category else None
        if column.field is None:
            return None
        root, _, name = column.key.partition(".")
        holder = self._holder(root)
        return None if holder is None else _value_in(holder, name)

    def _holder(self, root: str) -> Record | None:
        if isinstance(self.record, reads.ContactView):
            return self.record if root == "contact" else self.company
        return self.record


def _value_in(record: Record, name: str) -> Any:
    if name.startswith("fields."):
        return record.fields.get(name.removeprefix("fields."))
    if name.startswith("first_touch."):
        return getattr(record.first_touch, name.removeprefix("first_touch."), None)
    value = getattr(record, name)
    return value.key if isinstance(value, reads.LeadStatusRef) else value


def rows_of(connection: Connection, subject: Subject, ids: Sequence[int]) -> list[Row]:
    """These records with what their cells need, in this order."""
    if subject == "company":
        companies = reads.companies_by_id(connection, set(ids)) if ids else {}
        counts = page_reads.contacts_per_company(connection, ids) if ids else {}
        return [Row(companies[one], None, counts.get(one, 0)) for one in ids if one in companies]
    contacts = reads.contacts_by_id(connection, set(ids)) if ids else {}
    company_ids = {one.company_id for one in contacts.values() if one.company_id is not None}
    companies = reads.companies_by_id(connection, company_ids) if company_ids else {}
    return [Row(contacts[one], companies.get(contacts[one].company_id or 0)) for one in ids if one in contacts]


def cell_text(lists: Lists, row: Row, column: Column) -> str:
    """The cell as plain text, for files: names for keys, moments in UTC, nothing for a blank."""
    value = row.value(column)
    if value is None or value in ("", []):
        return ""
    if column.key == "category_group":
        return wording.group_name(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return wording.value_words(lists, column.key, value)
