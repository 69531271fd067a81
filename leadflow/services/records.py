"""People and programs create and change companies and contacts, through the same guard as rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from leadflow.domain.effects import SetCategory, SetField, SetLeadStatus
from leadflow.domain.events import Actor, Cause, Trigger
from leadflow.domain.lifecycle import PROTECTED_GROUPS, MoveDecision, Verdict
from leadflow.domain.records import Applied, Company, Contact, Records
from leadflow.errors import Conflict, Fault, InvalidRequest, NotFound, Refused, StaleWrite
from leadflow.services.inbox import store_own_event
from leadflow.services.readings import RECORDS_SOURCE
from leadflow.services.record_drafts import Draft, read_company_draft, read_contact_draft
from leadflow.services.rule_sets import listens_to
from leadflow.store.engine import name_actor
from leadflow.store.lists import Lists, read_lists, share_lists
from leadflow.store.records import (
    find_companies_by_domain,
    find_contacts_by_email,
    lock_companies,
    lock_contacts,
    read_contacts_of,
    reserve_ids,
    write_records,
)
from leadflow.store.tables import CompanyRow, ContactRow
from leadflow.store.values import to_json

THE_CATEGORY_IS_THE_COMPANYS = "The category is the company's: change it there (company {}), not on its contact."


def create_company(connection: Connection, actor: Actor, sent: Mapping[str, Any], now: datetime) -> int:
    """A new company; its id. Without a category it has none.

    Raises: InvalidRequest; Conflict if the domain is taken; Refused if automation may not begin at the category.
    """
    lists, records = open_records(connection, actor, now)
    draft = read_company_draft(lists, sent)
    _require_free_domain(connection, draft.get("domain"))
    category = draft.get("category")
    if category and actor.is_automation:
        _require(lists.lifecycle.decide_move(None, category))
    company = Company(id=reserve_ids(connection, CompanyRow, 1)[0], **draft)
    records.create_company(company, Cause(actor))
    _write(connection, records, Trigger.RECORD_CREATED, "company", company, None)
    return company.id


def change_company(
    connection: Connection,
    actor: Actor,
    company_id: int,
    sent: Mapping[str, Any],
    now: datetime,
    expected_revision: int | None = None,
) -> None:
    """Write some fields of a company; the same values again change nothing.

    Raises: NotFound, StaleWrite, InvalidRequest, Conflict, Refused with the guard's reason.
    """
    lists, records = open_records(connection, actor, now)
    draft = read_company_draft(lists, sent)
    company = _hold_company(connection, lists, records, company_id)
    _require_revision(connection, "company", company_id, expected_revision)
    if "domain" in draft and draft["domain"] != company.domain:
        _require_free_domain(connection, draft["domain"])
        if actor.is_automation and lists.lifecycle.group_of(company.category) in PROTECTED_GROUPS:
            raise Refused("Automation does not change the domain of a company outside Potential customer.")
    cause = Cause(actor)
    if "category" in draft:
        _change_category(records, company, draft["category"], cause)
    _change_common(records, "company", company, draft, cause)
    _write(connection, records, Trigger.RECORD_CHANGED, "company", company, None)


def _change_category(records: Records, company: Company, target: str | None, cause: Cause) -> None:
    if target is not None:
        _require_applied(records.apply(SetCategory(target), company, None, cause))
    elif company.category is not None:
        if cause.actor.is_automation:
            raise Refused("Automation never takes a category away.")
        records.clear_category(company, cause)


def create_contact(connection: Connection, actor: Actor, sent: Mapping[str, Any], now: datetime) -> int:
    """A new contact; its id. Under an enabled category it gets the default lead status unless another is sent.

    Raises: InvalidRequest; Conflict if the address is taken; Refused with the reason.
    """
    lists, records = open_records(connection, actor, now)
    draft = read_contact_draft(lists, sent)
    _require_free_email(connection, draft.get("email"))
    if draft.get("company_id") is not None:
        _require_company(connection, draft["company_id"])
        _hold_company(connection, lists, records, draft["company_id"])
        if draft.pop("category", None) is not None:
            raise Refused(THE_CATEGORY_IS_THE_COMPANYS.format(draft["company_id"]))
    elif draft.get("category") and actor.is_automation:
        _require(lists.lifecycle.decide_move(None, draft["category"]))
    contact = Contact(id=reserve_ids(connection, ContactRow, 1)[0], **draft)
    if contact.lead_status is not None and not records.is_lead_status_active(contact):
        raise Refused(records.why_inactive(contact))
    records.create_contact(contact, Cause(actor))
    _write(connection, records, Trigger.RECORD_CREATED, "contact", records.company_of(contact), contact)
    return contact.id


def change_contact(
    connection: Connection,
    actor: Actor,
    contact_id: int,
    sent: Mapping[str, Any],
    now: datetime,
    expected_revision: int | None = None,
) -> None:
    """Write some fields of a contact; the same values again change nothing.

    A lead status is judged after a move to another company in the same request.

    Raises: NotFound, StaleWrite, InvalidRequest, Conflict, Refused with the reason.
    """
    lists, records = open_records(connection, actor, now)
    draft = read_contact_draft(lists, sent)
    contact = _hold_contact(connection, lists, records, contact_id, draft.get("company_id"))
    _require_revision(connection, "contact", contact_id, expected_revision)
    if "email" in draft and draft["email"] != contact.email:
        _require_free_email(connection, draft["email"])
    cause = Cause(actor)
    if "company_id" in draft:
        _move(records, contact, draft["company_id"], cause)
    if "category" in draft:
        _change_own_category(records, contact, draft["category"], cause)
    if "lead_status" in draft:
        _require_applied(
            records.apply(SetLeadStatus(draft["lead_status"]), records.company_of(contact), contact, cause)
        )
    _change_common(records, "contact", contact, draft, cause)
    _write(connection, records, Trigger.RECORD_CHANGED, "contact", records.company_of(contact), contact)


def _move(records: Records, contact: Contact, company_id: int | None, cause: Cause) -> None:
    if company_id != contact.company_id and cause.actor.is_automation:
        raise Refused("Only people move a contact to another company.")
    records.move_contact(contact, company_id, cause)


def _change_own_category(records: Records, contact: Contact, target: str | None, cause: Cause) -> None:
    if contact.company_id is not None:
        raise Refused(THE_CATEGORY_IS_THE_COMPANYS.format(contact.company_id))
    _require(records.set_own_category(contact, target, cause))


def _change_common(records: Records, entity: str, record: Company | Contact, draft: Draft, cause: Cause) -> None:
    """Fields that carry no invariant; those that a rule can write go to the ledger."""
    if cause.actor.is_automation and record.do_not_automate:
        raise Refused(f"This {entity} is marked “do not automate”.")
    company = record if isinstance(record, Company) else None
    contact = record if isinstance(record, Contact) else None
    if "owner" in draft:
        _require_applied(records.apply(SetField("company.owner", draft["owner"]), company, contact, cause))
    for name, value in draft.get("fields", {}).items():
        _require_applied(records.apply(SetField(f"{entity}.fields.{name}", value), company, contact, cause))
    if "tags" in draft:
        records.write_tags(record, draft["tags"], cause)
    plain = {"name", "domain", "email", "first_name", "last_name", "do_not_automate", "external_ids"}
    for name in plain & draft.keys():
        if getattr(record, name) != draft[name]:
            setattr(record, name, draft[name])
            records.touch(entity, record)


# -- what every write shares -------------------------------------------------------------------------------------------


def open_records(connection: Connection, actor: Actor, now: datetime) -> tuple[Lists, Records]:
    """The lists as they stay until the end of the transaction, and nothing held yet; the guard knows who writes."""
    share_lists(connection)
    if not actor.is_automation:
        name_actor(connection, "person")
    lists = read_lists(connection)
    return lists, Records(lists.lifecycle, lists.statuses, now)


def _hold_company(connection: Connection, lists: Lists, records: Records, company_id: int) -> Company:
    held = lock_companies(connection, lists.catalogue, [company_id])
    if not held:
        raise NotFound(f"There is no company {company_id}.")
    records.hold_company(held[0])
    records.hold_contacts(read_contacts_of(connection, lists.catalogue, [company_id]))
    return held[0]


def _require_company(connection: Connection, company_id: int) -> None:
    if connection.scalar(text("SELECT 1 FROM company WHERE id = :id"), {"id": company_id}) is None:
        raise InvalidRequest([Fault("company_id", f"there is no company {company_id}")])


def _hold_contact(
    connection: Connection, lists: Lists, records: Records, contact_id: int, next_company_id: int | None
) -> Contact:
    """The contact, its company and the one it moves to, locked in the order that everybody keeps."""
    statement = text("SELECT company_id FROM contact WHERE id = :id")
    row = connection.execute(statement, {"id": contact_id}).one_or_none()
    if row is None:
        raise NotFound(f"There is no contact {contact_id}.")
    wanted = {one for one in (row.company_id, next_company_id) if one is not None}
    for company in lock_companies(connection, lists.catalogue, wanted):
        records.hold_company(company)
    if next_company_id is not None and next_company_id not in records.companies:
        raise InvalidRequest([Fault("company_id", f"there is no company {next_company_id}")])
    contact = lock_contacts(connection, lists.catalogue, [contact_id])[0]
    if contact.company_id != row.company_id:
        raise Conflict("The contact was moved to another company at this moment; read it again and repeat.")
    records.hold_contacts([contact])
    return contact


def _require_revision(connection: Connection, table: str, record_id: int, expected: int | None) -> None:
    if expected is None:
        return
    revision = connection.scalar(text(f"SELECT revision FROM {table} WHERE id = :id"), {"id": record_id})
    if revision != expected:
        raise StaleWrite(f"The {table} changed since you read it.")


def _require_free_domain(connection: Connection, domain: str | None) -> None:
    taken = find_companies_by_domain(connection, [domain] if domain else [])
    if taken:
        raise Conflict(f"Another company has the domain {domain}.", existing_id=next(iter(taken.values())))


def _require_free_email(connection: Connection, email: str | None) -> None:
    taken = find_contacts_by_email(connection, [email] if email else [])
    if taken:
        raise Conflict(f"Another contact has the address {email}.", existing_id=next(iter(taken.values()))[0])


def _require(decision: MoveDecision) -> None:
    if decision.verdict not in (Verdict.ALLOWED, Verdict.UNCHANGED):
        raise Refused(decision.reason)


def _require_applied(applied: Applied) -> None:
    _require(applied.decision)


def _write(
    connection: Connection,
    records: Records,
    trigger: Trigger,
    entity: str,
    company: Company | None,
    contact: Contact | None,
) -> None:
    """Write the record, and an event for the rules that listen to what happened to it."""
    announce(connection, records, trigger, entity, company, contact)
    write_records(connection, records)


def announce(
    connection: Connection,
    records: Records,
    trigger: Trigger,
    entity: str,
    company: Company | None,
    contact: Contact | None,
) -> None:
    """Store an event for the rules that listen to what happened to this company, or to this contact."""
    record = company if entity == "company" else contact
    own = [one for one in records.changes if one.entity == entity and record and one.entity_id == record.id]
    paths = [one.path for one in own] if trigger is Trigger.RECORD_CHANGED else [entity]
    if paths and listens_to(connection, trigger, paths):
        changes = {one.path: [to_json(one.old), to_json(one.new)] for one in own}
        event = {
            "entity": entity,
            "changes": changes if trigger is Trigger.RECORD_CHANGED else {},
            "company_id": company.id if company else None,
            "contact_id": contact.id if contact else None,
        }
        at_company = (company.id, company.domain) if company else None
        at_contact = (contact.id, contact.email) if contact else None
        store_own_event(connection, RECORDS_SOURCE, trigger, event, at_company, at_contact, records.now)
