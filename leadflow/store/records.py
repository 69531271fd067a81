"""Companies and contacts: found, locked, read into `Records`, and written back as what was noted there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import fields
from operator import attrgetter
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, Text, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from leadflow.domain.fields import Catalogue
from leadflow.domain.records import Change, Company, Contact, FirstTouch, Records
from leadflow.domain.text import fold
from leadflow.errors import LeadflowError
from leadflow.store.bulk import Entity, insert_rows, update_rows
from leadflow.store.ledger import append_changes
from leadflow.store.norms import email_host, norm, norms_of
from leadflow.store.tables import CompanyRow, ContactRow, RunRow, TaskRow
from leadflow.store.values import from_json, to_json

FIRST_TOUCH_COLUMNS = tuple(f"first_touch_{one.name}" for one in fields(FirstTouch))
FIRST_TOUCH_NORMS = tuple(f"first_touch_{one.name}_norm" for one in fields(FirstTouch) if one.name != "at")
_FIRST_TOUCH_BOTH = (*FIRST_TOUCH_COLUMNS, *FIRST_TOUCH_NORMS)
_FIRST_TOUCH = attrgetter(*(one.name for one in fields(FirstTouch)))

# The ledger's fields that are steps of a lifecycle: written one after the other, each past the database's guard.
STEP_COLUMNS = {"category": "category_key", "lead_status": "lead_status_key", "company_id": "company_id"}


# (entity, id, field) → the value at creation; the row is inserted with it, later steps follow as updates.
_Initial = dict[tuple[str, int, str], Any]


class LostRace(LeadflowError):
    """A row that this transaction had locked was not as it was read. It cannot happen while everybody locks."""


def reserve_ids(connection: Connection, entity: Entity, count: int) -> list[int]:
    """New ids from the table's sequence."""
    if not count:
        return []
    ids: list[int] = connection.scalar(_NEW_IDS, {"table": entity.__tablename__, "count": count})
    return ids


# The sequence is looked up once, not once an id.
_NEW_IDS = text(
    "SELECT array_agg(nextval(sequence)) FROM generate_series(1, :count),"
    " (SELECT CAST(pg_get_serial_sequence(:table, 'id') AS regclass) AS sequence OFFSET 0) AS one"
)


def reserve_record_ids(connection: Connection, companies: int, contacts: int) -> tuple[list[int], list[int]]:
    """New ids for companies and contacts, in one look at both sequences."""
    if not companies or not contacts:
        return reserve_ids(connection, CompanyRow, companies), reserve_ids(connection, ContactRow, contacts)
    row = connection.execute(_NEW_RECORD_IDS, {"companies": companies, "contacts": contacts}).one()
    return row.companies, row.contacts


_NEW_RECORD_IDS = text(
    "SELECT (SELECT array_agg(nextval('company_id_seq')) FROM generate_series(1, :companies)) AS companies,"
    " (SELECT array_agg(nextval('contact_id_seq')) FROM generate_series(1, :contacts)) AS contacts"
)


def reserve_run_ids(connection: Connection, count: int) -> list[int]:
    """New ids for traces."""
    return reserve_ids(connection, RunRow, count)


# -- finding -----------------------------------------------------------------------------------------------------------


def find_by_address(
    connection: Connection, emails: Collection[str], domains: Collection[str]
) -> tuple[dict[str, tuple[int, int | None]], dict[str, int]]:
    """(contact id, company id) by normalised address, and company id by registrable domain, in one look."""
    if not emails:
        return {}, find_companies_by_domain(connection, domains)
    contacts: dict[str, tuple[int, int | None]] = {}
    companies: dict[str, int] = {}
    for is_contact, key, found_id, company_id in connection.execute(
        _BY_ADDRESS, {"emails": list(emails), "domains": list(domains)}
    ):
        if is_contact:
            contacts[key] = (found_id, company_id)
        else:
            companies[key] = found_id
    return contacts, companies


_BY_ADDRESS = text(
    "SELECT true, email, id, company_id FROM contact WHERE email = ANY(:emails)"
    " UNION ALL SELECT false, domain, id, NULL FROM company WHERE domain = ANY(:domains)"
).bindparams(bindparam("emails", type_=ARRAY(Text)), bindparam("domains", type_=ARRAY(Text)))


def find_companies_by_domain(connection: Connection, domains: Collection[str]) -> dict[str, int]:
    """Company id by registrable domain."""
    if not domains:
        return {}
    rows = connection.execute(_BY_DOMAIN, {"wanted": list(domains)})
    return {row.domain: row.id for row in rows}


def find_contacts_by_email(connection: Connection, emails: Collection[str]) -> dict[str, tuple[int, int | None]]:
    """(contact id, company id) by normalised address."""
    if not emails:
        return {}
    rows = connection.execute(_BY_EMAIL, {"wanted": list(emails)})
    return {row.email: (row.id, row.company_id) for row in rows}


def find_companies_of_contacts(connection: Connection, contact_ids: Collection[int]) -> set[int]:
    """The companies that these contacts belong to now."""
    if not contact_ids:
        return set()
    return set(connection.scalars(_COMPANY_OF, {"ids": list(contact_ids)}))


_COMPANY_OF = text(
    "SELECT DISTINCT company_id FROM contact WHERE id = ANY(:ids) AND company_id IS NOT NULL"
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))

_WANTED = bindparam("wanted", type_=ARRAY(Text))
_BY_DOMAIN = select(CompanyRow.id, CompanyRow.domain).where(CompanyRow.domain == func.any(_WANTED))
_BY_EMAIL = select(ContactRow.id, ContactRow.email, ContactRow.company_id).where(ContactRow.email == func.any(_WANTED))


# -- locking and reading -----------------------------------------------------------------------------------------------


def lock_companies(
    connection: Connection, catalogue: Catalogue, ids: Iterable[int], *, skip_locked: bool = False
) -> list[Company]:
    """The companies, locked in id order. With `skip_locked` those that another transaction holds are left out."""
    wanted = list(set(ids))
    if not wanted:
        return []
    statement = _COMPANIES.with_for_update(skip_locked=skip_locked)
    rows = connection.execute(statement, {"ids": wanted})
    return [_company(catalogue, row) for row in rows]


def lock_contacts(
    connection: Connection, catalogue: Catalogue, ids: Iterable[int], *, skip_locked: bool = False
) -> list[Contact]:
    """The contacts, locked in id order. Lock their companies first."""
    wanted = list(set(ids))
    if not wanted:
        return []
    statement = _CONTACTS.with_for_update(skip_locked=skip_locked)
    return [_contact(catalogue, row) for row in connection.execute(statement, {"ids": wanted})]


def read_companies(connection: Connection, catalogue: Catalogue, ids: Iterable[int]) -> list[Company]:
    """The companies as they are, without a lock: for who writes nothing."""
    wanted = list(set(ids))
    return [_company(catalogue, row) for row in connection.execute(_COMPANIES, {"ids": wanted})] if wanted else []


def read_contacts(connection: Connection, catalogue: Catalogue, ids: Iterable[int]) -> list[Contact]:
    """The contacts as they are, without a lock: for who writes nothing."""
    wanted = list(set(ids))
    return [_contact(catalogue, row) for row in connection.execute(_CONTACTS, {"ids": wanted})] if wanted else []


def read_contacts_of(connection: Connection, catalogue: Catalogue, company_ids: Collection[int]) -> list[Contact]:
    """All contacts of companies that are locked."""
    if not company_ids:
        return []
    return [_contact(catalogue, row) for row in connection.execute(_CONTACTS_OF, {"ids": list(company_ids)})]


_IDS = bindparam("ids", type_=ARRAY(BigInteger))
# What SQL compares is not needed in memory, and reading it costs.
_COMPANY_COLUMNS = [one for one in CompanyRow.__table__.c if not one.name.endswith("_norm")]
_CONTACT_COLUMNS = [one for one in ContactRow.__table__.c if not one.name.endswith(("_norm", "_host"))]
_COMPANIES = select(*_COMPANY_COLUMNS).where(CompanyRow.id == func.any(_IDS)).order_by(CompanyRow.id)
_CONTACTS = select(*_CONTACT_COLUMNS).where(ContactRow.id == func.any(_IDS)).order_by(ContactRow.id)
_CONTACTS_OF = select(*_CONTACT_COLUMNS).where(ContactRow.company_id == func.any(_IDS)).order_by(ContactRow.id)


def _company(catalogue: Catalogue, row: Row[Any]) -> Company:
    return Company(
        id=row.id,
        name=row.name,
        domain=row.domain,
        category=row.category_key,
        owner=row.owner,
        tags=tuple(row.tags),
        fields=from_json(catalogue, "company", row.fields) if row.fields else {},
        do_not_automate=row.do_not_automate,
        open_sales=row.open_sales,
        first_touch=_first_touch(row),
        external_ids=row.external_ids,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _contact(catalogue: Catalogue, row: Row[Any]) -> Contact:
    return Contact(
        id=row.id,
        email=row.email,
        first_name=row.first_name,
        last_name=row.last_name,
        company_id=row.company_id,
        category=row.category_key,
        lead_status=row.lead_status_key,
        tags=tuple(row.tags),
        fields=from_json(catalogue, "contact", row.fields) if row.fields else {},
        do_not_automate=row.do_not_automate,
        first_touch=_first_touch(row),
        last_touched_at=row.last_touched_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _first_touch(row: Row[Any]) -> FirstTouch:
    mapping = row._mapping
    return FirstTouch(*(mapping[column] for column in FIRST_TOUCH_COLUMNS))


# -- writing -----------------------------------------------------------------------------------------------------------


def write_records(connection: Connection, records: Records) -> None:
    """Write what the transaction noted: new rows, the steps in their order, the rest, the tasks, the ledger last."""
    creations = [change for change in records.changes if change.at_creation]
    initial = {(c.entity, c.entity_id, c.field): c.new for c in creations if c.field in STEP_COLUMNS}
    _insert_companies(connection, records, initial)
    _insert_contacts(connection, records, initial)
    _write_steps(connection, records)
    _write_rest(connection, records)
    _insert_tasks(connection, records)
    append_changes(connection, records, records.changes, records.now)


def insert_as_they_stand(connection: Connection, records: Records) -> None:
    """Insert all held records, without a ledger: for tests of rules, on tables of their own."""
    records.created |= {("company", key) for key in records.companies} | {("contact", key) for key in records.contacts}
    initial: _Initial = {("company", one.id, "category"): one.category for one in records.companies.values()}
    for one in records.contacts.values():
        initial |= {("contact", one.id, name): getattr(one, name) for name in STEP_COLUMNS}
    _insert_companies(connection, records, initial)
    _insert_contacts(connection, records, initial)


def _insert_companies(connection: Connection, records: Records, initial: _Initial) -> None:
    rows = [
        {
            "id": company.id,
            "category_key": initial.get(("company", company.id, "category")),
            **_company_rest(company),
            **_first_touch_values(company.first_touch),
            "created_at": company.created_at,
        }
        for company in records.companies.values()
        if ("company", company.id) in records.created
    ]
    insert_rows(connection, CompanyRow, rows)


def _insert_contacts(connection: Connection, records: Records, initial: _Initial) -> None:
    rows = [
        {
            "id": contact.id,
            "category_key": initial.get(("contact", contact.id, "category")),
            "lead_status_key": initial.get(("contact", contact.id, "lead_status")),
            "company_id": initial.get(("contact", contact.id, "company_id")),
            **_contact_rest(contact),
            **_first_touch_values(contact.first_touch),
            "created_at": contact.created_at,
        }
        for contact in records.contacts.values()
        if ("contact", contact.id) in records.created
    ]
    insert_rows(connection, ContactRow, rows)


def _first_touch_values(first_touch: FirstTouch) -> dict[str, Any]:
    values = _FIRST_TOUCH(first_touch)
    return dict(zip(_FIRST_TOUCH_BOTH, (*values, *map(norm, values[:-1])), strict=True))


def _company_rest(company: Company) -> dict[str, Any]:
    own_fields = _own_fields(company)
    return {
        "name": company.name,
        "name_norm": norm(company.name),
        "domain": company.domain,
        "owner": company.owner,
        "owner_norm": norm(company.owner),
        "tags": company.tags,
        "tags_norm": [fold(tag) for tag in company.tags],
        "fields": own_fields,
        "fields_norm": norms_of(own_fields),
        "do_not_automate": company.do_not_automate,
        "open_sales": company.open_sales,
        "external_ids": company.external_ids,
        "updated_at": company.updated_at,
    }


def _contact_rest(contact: Contact) -> dict[str, Any]:
    own_fields = _own_fields(contact)
    first_name, last_name = norm(contact.first_name), norm(contact.last_name)
    return {
        "email": contact.email,
        "email_host": email_host(contact.email),
        "first_name": contact.first_name,
        "first_name_norm": first_name,
        "last_name": contact.last_name,
        "last_name_norm": last_name,
        "name_norm": f"{first_name} {last_name}" if first_name and last_name else first_name or last_name,
        "tags": contact.tags,
        "tags_norm": [fold(tag) for tag in contact.tags],
        "fields": own_fields,
        "fields_norm": norms_of(own_fields),
        "do_not_automate": contact.do_not_automate,
        "last_touched_at": contact.last_touched_at,
        "updated_at": contact.updated_at,
    }


def _own_fields(record: Company | Contact) -> dict[str, Any]:
    return {name: to_json(value) for name, value in record.fields.items() if value is not None}


def _write_steps(connection: Connection, records: Records) -> None:
    """Category before lead status before category, exactly as it went: the guard in the database sees each step."""
    for entity, column, rows in _rounds(records):
        if update_rows(connection, entity, rows, guarded=column) != len(rows):
            raise LostRace(f"{entity.__tablename__}.{column} changed while it was locked")


def _rounds(records: Records) -> list[tuple[Entity, str, list[dict[str, Any]]]]:
    """The steps grouped so that each group is one statement and no company's steps change places."""
    depth_of: dict[object, tuple[int, tuple[str, str]]] = {}
    seen: set[tuple[int, str, int, str]] = set()
    rounds: dict[tuple[int, str, str], list[dict[str, Any]]] = defaultdict(list)
    for change in records.changes:
        if change.at_creation or change.field not in STEP_COLUMNS:
            continue
        cluster, kind = _cluster(records, change), (change.entity, change.field)
        depth, last_kind = depth_of.get(cluster, (0, kind))
        if kind != last_kind or (depth, change.entity, change.entity_id, change.field) in seen:
            depth += 1
        depth_of[cluster] = (depth, kind)
        seen.add((depth, change.entity, change.entity_id, change.field))
        column = STEP_COLUMNS[change.field]
        rounds[(depth, *kind)].append({"id": change.entity_id, "expected": change.old, column: change.new})
    entities: dict[str, Entity] = {"company": CompanyRow, "contact": ContactRow}
    return [
        (entities[entity], STEP_COLUMNS[name], sorted(rows, key=lambda row: row["id"]))
        for (_, entity, name), rows in sorted(rounds.items())
    ]


def _cluster(records: Records, change: Change) -> object:
    if change.entity == "company":
        return change.entity_id
    company_id = records.contacts[change.entity_id].company_id
    return ("contact", change.entity_id) if company_id is None else company_id


def _write_rest(connection: Connection, records: Records) -> None:
    touched = sorted(records.touched - records.created)
    companies = [records.companies[entity_id] for entity, entity_id in touched if entity == "company"]
    contacts = [records.contacts[entity_id] for entity, entity_id in touched if entity == "contact"]
    update_rows(connection, CompanyRow, [{"id": one.id, **_company_rest(one)} for one in companies])
    update_rows(connection, ContactRow, [{"id": one.id, **_contact_rest(one)} for one in contacts])


def _insert_tasks(connection: Connection, records: Records) -> None:
    rows = [
        {
            "title": task.title,
            "owner": task.owner,
            "due_at": task.due_at,
            "company_id": task.company_id,
            "contact_id": task.contact_id,
            "created_by": task.cause.actor.name,
            "rule": task.cause.actor.name,
            "event_id": task.cause.event_id,
            "sweep_id": task.cause.sweep_id,
            "action": task.cause.action,
            "created_at": records.now,
            "updated_at": records.now,
        }
        for task in records.tasks
    ]
    insert_rows(connection, TaskRow, rows)
