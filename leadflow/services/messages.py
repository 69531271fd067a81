"""What rules send: put into the outbox in the transaction of the changes that caused it."""

from __future__ import annotations

from typing import Any, Literal, cast

from sqlalchemy import Connection

from leadflow.domain.effects import CallWebhook
from leadflow.domain.records import Company, Contact, Message, Records
from leadflow.store.inbox import lane_key_of
from leadflow.store.lists import Lists
from leadflow.store.outbox import Outgoing, add_messages
from leadflow.store.values import to_json

TOPIC = "rule.fired"


def write_messages(connection: Connection, lists: Lists, records: Records, version: int) -> None:
    """Write what the rules of this transaction send."""
    if records.messages:
        outgoing = [_outgoing(lists, records, one, version) for one in records.messages]
        add_messages(connection, outgoing, records.now)


def _outgoing(lists: Lists, records: Records, message: Message, version: int) -> Outgoing:
    effect, cause = message.effect, message.cause
    company = records.companies.get(message.company_id) if message.company_id is not None else None
    contact = records.contacts.get(message.contact_id) if message.contact_id is not None else None
    about = {"rule": cause.actor.name, "version": version, **_records_as_json(lists, records, company, contact)}
    if isinstance(effect, CallWebhook):
        kind, endpoint, own = "webhook", effect.endpoint, dict[str, Any](payload=dict(effect.payload))
    else:
        kind, endpoint, own = "notification", effect.to, {"text": effect.text}
    return Outgoing(
        kind=cast("Literal['webhook', 'notification']", kind),
        endpoint=endpoint,
        topic=TOPIC,
        payload=about | own,
        lane=_lane(company, contact),
        company_id=message.company_id,
        contact_id=message.contact_id,
        event_id=cause.event_id,
        sweep_id=cause.sweep_id,
        run_id=cause.run_id,
        rule=cause.actor.name,
        action=cause.action,
    )


def _lane(company: Company | None, contact: Contact | None) -> str:
    """Messages of one company keep their order."""
    if company is not None:
        return lane_key_of(company.id, company.domain)
    return (contact.email or f"contact:{contact.id}") if contact else ""


def _records_as_json(
    lists: Lists, records: Records, company: Company | None, contact: Contact | None
) -> dict[str, Any]:
    return {
        "company": company and _company_as_json(lists, company),
        "contact": contact and _contact_as_json(lists, records, contact),
    }


def _company_as_json(lists: Lists, company: Company) -> dict[str, Any]:
    category = lists.lifecycle.categories.get(company.category) if company.category else None
    return {
        "id": company.id,
        "name": company.name,
        "domain": company.domain,
        "category": category and {"key": category.key, "name": category.name, "group": category.group},
        "owner": company.owner,
        "tags": list(company.tags),
        "fields": {name: to_json(value) for name, value in company.fields.items()},
    }


def _contact_as_json(lists: Lists, records: Records, contact: Contact) -> dict[str, Any]:
    status = lists.statuses.by_key.get(contact.lead_status) if contact.lead_status else None
    return {
        "id": contact.id,
        "email": contact.email,
        "first_name": contact.first_name,
        "last_name": contact.last_name,
        "company_id": contact.company_id,
        "lead_status": status and {"key": status.key, "name": status.name},
        "lead_status_active": records.is_lead_status_active(contact),
        "tags": list(contact.tags),
        "fields": {name: to_json(value) for name, value in contact.fields.items()},
    }
