"""Who is affected by a change of a list, before it is made: records, live rules, selections, and lead statuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Select, Subquery, func, select, union_all

from leadflow.domain.fields import Catalogue, Field
from leadflow.domain.lifecycle import Group
from leadflow.errors import InvalidRequest
from leadflow.rules.model import Rule
from leadflow.rules.parsing import parse_documents
from leadflow.rules.parsing.json_conditions import Names, names_of_documents, read_json_condition
from leadflow.services.rule_sets import live_documents
from leadflow.services.searches import ROOTS
from leadflow.store import reads
from leadflow.store.lists import Lists, read_lists
from leadflow.store.tables import CompanyRow, ContactRow, SelectionRow

SAMPLE_SIZE = 20


@dataclass(frozen=True, slots=True)
class Mention:
    """A live rule that names a value: where, in its document."""

    slug: str
    title: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Impact:
    """Who carries a value of a list, and what names it: counts, the first ids of each kind, slugs.

    `becomes_active` are contacts whose lead status would become active by the change that is asked about and who
    would get the default one; `becomes_inactive` those whose lead status would be kept and hidden.
    """

    companies: int
    contacts: int
    company_ids: list[int]
    contact_ids: list[int]
    rules: list[str]
    selections: list[str]
    becomes_active: int
    becomes_inactive: int


@dataclass(frozen=True, slots=True)
class Named:
    """What names a value: live rules, and selections by slug and title."""

    rules: tuple[Mention, ...]
    selections: tuple[tuple[str, str], ...]


def impact_of_category(
    connection: Connection, key: str, patch: Mapping[str, Any], *, at_most: int | None = None
) -> Impact:
    """Of a change of a category. With `at_most` counting ends one above it, and no ids are named. Raises: NotFound."""
    category = reads.category(connection, key)
    companies = select(CompanyRow.id).where(CompanyRow.category_key == key)
    contacts = select(_contacts_of(key).c.id)
    active, inactive = _switches(connection, category, patch)
    named = named_by(connection, "category", key)
    return Impact(
        _count(connection, companies, at_most),
        _count(connection, contacts, at_most),
        _first(connection, companies, at_most),
        _first(connection, contacts, at_most),
        [one.slug for one in named.rules],
        [slug for slug, _ in named.selections],
        _count(connection, active, at_most) if active is not None else 0,
        _count(connection, inactive, at_most) if inactive is not None else 0,
    )


def impact_of_lead_status(connection: Connection, key: str, *, at_most: int | None = None) -> Impact:
    """Of a change of a lead status; contacts count whether it is active for them or not. Raises: NotFound."""
    reads.lead_status(connection, key)
    contacts = select(ContactRow.id).where(ContactRow.lead_status_key == key)
    named = named_by(connection, "lead_status", key)
    return Impact(
        0,
        _count(connection, contacts, at_most),
        [],
        _first(connection, contacts, at_most),
        [one.slug for one in named.rules],
        [slug for slug, _ in named.selections],
        0,
        0,
    )


def _contacts_of(key: str) -> Subquery:
    """The contacts whose effective category it is: at its companies, or with a category of their own.

    Two halves, each by its index, so that counting can end early; as one `or` all contacts would be read.
    """
    columns = (ContactRow.id, ContactRow.lead_status_key)
    at_companies = select(*columns).join(CompanyRow, CompanyRow.id == ContactRow.company_id)
    alone = select(*columns).where(ContactRow.company_id.is_(None), ContactRow.category_key == key)
    return union_all(at_companies.where(CompanyRow.category_key == key), alone).subquery()


def _switches(
    connection: Connection, before: reads.CategoryView, patch: Mapping[str, Any]
) -> tuple[Select[Any] | None, Select[Any] | None]:
    """The contacts who would get the default lead status by the change, and those whose lead status it would hide."""
    group, enabled = patch.get("group", before.group), patch.get("lead_status_enabled", before.lead_status_enabled)
    was = before.group == Group.POTENTIAL_CUSTOMER.value and before.lead_status_enabled
    becomes = group == Group.POTENTIAL_CUSTOMER.value and enabled
    if was == becomes:
        return None, None
    contacts = _contacts_of(before.key)
    status = contacts.c.lead_status_key
    if was:
        return None, select(contacts.c.id).where(status.is_not(None))
    lists = read_lists(connection)
    is_reopened = lists.lifecycle.on_reentry == "open"
    enters = status.is_distinct_from(lists.statuses.default.key) if is_reopened else status.is_(None)
    return select(contacts.c.id).where(enters), None


def _count(connection: Connection, query: Select[Any], at_most: int | None) -> int:
    bounded = query if at_most is None else query.limit(at_most + 1)
    return connection.scalar(select(func.count()).select_from(bounded.subquery())) or 0


def _first(connection: Connection, query: Select[Any], at_most: int | None) -> list[int]:
    """The lowest ids; where counting is bounded none, because all would have to be sorted."""
    if at_most is not None:
        return []
    return list(connection.scalars(query.order_by(query.selected_columns[0]).limit(SAMPLE_SIZE)))


# What names it --------------------------------------------------------------------------------------------------------


def named_by(connection: Connection, kind: str, key: str) -> Named:
    """The live rules and the selections that name this value, by whichever of its names.

    Without the value they would no longer be understood: so each place that names it is a problem then, and no other.
    """
    lists = read_lists(connection)
    without = _catalogue_without(lists.catalogue, kind, key)
    return Named(_rules_naming(connection, lists, without), _selections_naming(connection, lists, without))


def _catalogue_without(catalogue: Catalogue, kind: str, key: str) -> Catalogue:
    def cut(field: Field) -> Field:
        if field.path.rpartition(".")[2] != kind:
            return field
        kept, retired = ([one for one in some if one.key != key] for some in (field.choices, field.retired))
        return replace(field, choices=tuple(kept), retired=tuple(retired))

    return replace(catalogue, fields={path: cut(field) for path, field in catalogue.fields.items()})


def _rules_naming(connection: Connection, lists: Lists, without: Catalogue) -> tuple[Mention, ...]:
    _, documents = live_documents(connection)
    if not documents:
        return ()
    rules = parse_documents(documents, lists.catalogue).rule_set.rules
    found: dict[str, Mention] = {}
    for problem in parse_documents(documents, without).problems:
        if (rule := _rule_at(rules, problem.file, problem.line)) is not None:
            found.setdefault(rule.slug, Mention(rule.slug, rule.title or rule.slug, problem.file, problem.line))
    return tuple(found.values())


def _rule_at(rules: tuple[Rule, ...], file: str, line: int) -> Rule | None:
    """The rule that stands there: the last that begins at this line or before."""
    above = [one for one in rules if one.document == file and one.line <= line]
    return max(above, key=lambda one: one.line, default=None)


def _selections_naming(connection: Connection, lists: Lists, without: Catalogue) -> tuple[tuple[str, str], ...]:
    columns = (SelectionRow.slug, SelectionRow.title, SelectionRow.subject, SelectionRow.condition)
    query = select(*columns).where(SelectionRow.deleted_at.is_(None), SelectionRow.kind == "dynamic")
    rows = connection.execute(query.order_by(SelectionRow.title)).all()
    if not rows:
        return ()
    _, documents = live_documents(connection)
    names = names_of_documents(documents, lists.catalogue)
    return tuple(
        (row.slug, row.title)
        for row in rows
        if _is_read(row, lists.catalogue, names) and not _is_read(row, without, names)
    )


def _is_read(row: Any, catalogue: Catalogue, names: Names) -> bool:
    try:
        read_json_condition(row.condition, catalogue, frozenset(ROOTS[row.subject]), names)
    except InvalidRequest:
        return False
    return True
