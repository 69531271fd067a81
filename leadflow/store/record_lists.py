"""What the lists of companies and contacts ask beside a search: quick filters, groups with their sizes, the newest."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, and_, func, select, union

from leadflow.domain.fields import Field
from leadflow.domain.lifecycle import Lifecycle
from leadflow.rules.conditions import Condition
from leadflow.store.conditions import Subject, render, rows_for
from leadflow.store.conditions.fields import among, compared_of_record
from leadflow.store.reads.rows import effective_category, starts_with
from leadflow.store.searches import id_of, rows_if_quick, rows_within, sampled_ids
from leadflow.store.tables import CompanyRow, ContactRow

# What is typed into the quick search finds so many records; whoever means one of more types another letter.
MAX_QUICKLY_FOUND = 1_500
GROUP_COUNT_MILLISECONDS = 60
GROUP_SAMPLE_MILLISECONDS = 500
GROUP_SAMPLE_LENGTH = 250
MAX_GROUPS = 60


def begins_with(subject: Subject, typed: str) -> ColumnElement[bool]:
    """The name, last name, domain or address begins with what was typed; each beginning is found by its index."""
    columns: Sequence[Any] = (CompanyRow.name_norm, CompanyRow.domain)
    if subject == "contact":
        columns = (ContactRow.name_norm, ContactRow.last_name_norm, ContactRow.email)
    id_column = id_of(subject)
    found = [select(id_column).where(starts_with(one, typed)).limit(MAX_QUICKLY_FOUND).subquery() for one in columns]
    return id_column.in_(union(*(select(one.c.id) for one in found)))


def has_category(subject: Subject, key: str | None) -> ColumnElement[bool]:
    """The category, for contacts the effective one, is this; None: there is none."""
    column: Any = CompanyRow.category_key if subject == "company" else effective_category()
    found: ColumnElement[bool] = column.is_(None) if key is None else column == key
    return found


def is_lead(enabled: Collection[str], status: str | None = None) -> ColumnElement[bool]:
    """The contact's lead status is active, under one of the `enabled` categories; with `status`, it is that one."""
    active = among(effective_category(), enabled, String())
    return active if status is None else and_(active, ContactRow.lead_status_key == status)


@dataclass(frozen=True, slots=True)
class QuickFilters:
    """What stands beside the criteria of a list: the beginning of a name, a category (`none`: without), a lead status.

    `status` may be `active`: all leads.
    """

    q: str = ""
    category: str = ""
    status: str = ""

    def narrowing(self, subject: Subject, lifecycle: Lifecycle) -> tuple[ColumnElement[bool], ...]:
        """The same as SQL."""
        found = []
        if self.q:
            found.append(begins_with(subject, self.q))
        if self.category:
            found.append(has_category(subject, None if self.category == "none" else self.category))
        if self.status and subject == "contact":
            enabled = [key for key in lifecycle.categories if lifecycle.is_lead_status_active(key)]
            found.append(is_lead(enabled, None if self.status == "active" else self.status))
        return tuple(found)


def is_among_newest(connection: Connection, subject: Subject, count: int) -> ColumnElement[bool]:
    """One of the `count` records that were made last, about."""
    newest = connection.scalar(select(func.max(id_of(subject)))) or 0
    return id_of(subject) > newest - count


@dataclass(frozen=True, slots=True)
class Group:
    """Records that have one value in common (None: no value), and how many there are."""

    value: Any
    count: int
    is_exact: bool


def count_groups(
    connection: Connection,
    subject: Subject,
    condition: Condition | None,
    narrowing: Sequence[ColumnElement[bool]],
    field: Field,
    now: datetime,
) -> list[Group]:
    """The groups that a field makes of the records, the largest first; estimated from a sample if that is quicker."""
    asked = render(condition, subject, now)
    value = compared_of_record(field.path, field).value
    query = (
        select(value.label("value"), func.count().label("size"))
        .select_from(rows_for(subject, asked, value, *narrowing))
        .where(asked, *narrowing)
        .group_by(value)
        .order_by(func.count().desc())
        .limit(MAX_GROUPS)
    )
    rows = rows_if_quick(connection, GROUP_COUNT_MILLISECONDS, query)
    if rows is not None:
        return [Group(row.value, row.size, is_exact=True) for row in rows]
    is_sampled, share = sampled_ids(connection, subject, GROUP_SAMPLE_LENGTH)
    rows = rows_within(connection, GROUP_SAMPLE_MILLISECONDS, query.where(is_sampled)) or []
    return [Group(row.value, round(row.size / share), is_exact=False) for row in rows]


def belongs_to(field: Field, value: Any) -> ColumnElement[bool]:
    """The record is in the group of this value."""
    compared = compared_of_record(field.path, field)
    return compared.is_blank if value is None else compared.one_of([value])
