"""Start a rule by hand for one record: an event of its own, so it takes its place in the company's order."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from leadflow.domain.events import Trigger
from leadflow.errors import Conflict, Fault, InvalidRequest, NotFound
from leadflow.rules.model import Rule
from leadflow.services.access import Caller
from leadflow.services.inbox import store_own_event
from leadflow.services.readings import RECORDS_SOURCE
from leadflow.services.rule_sets import RulesCache
from leadflow.store.lists import read_lists
from leadflow.store.tables import CompanyRow, ContactRow


def start_rule(
    connection: Connection, caller: Caller, slug: str, company_id: int | None, contact_id: int | None, now: datetime
) -> int:
    """Store the event that starts the rule for a contact or a company; its id.

    Raises: NotFound, Conflict if the rule does not run or is not started by hand, InvalidRequest.
    """
    rule = _running_rule(connection, slug)
    record = "contact" if contact_id is not None else "company"
    _expect_record(rule, record, company_id, contact_id)
    company, contact = _subject(connection, company_id, contact_id)
    document = {
        "rule": slug,
        "record": record,
        "company_id": company[0] if company else None,
        "contact_id": contact[0] if contact else None,
        "user": {"name": caller.name, "email": caller.email, "role": caller.role.value},
    }
    return store_own_event(connection, RECORDS_SOURCE, Trigger.MANUAL, document, company, contact, now)


def _running_rule(connection: Connection, slug: str) -> Rule:
    index = RulesCache().read(connection, read_lists(connection))
    rule = index.running.get(slug)
    if rule is None:
        raise NotFound(f"There is no running rule '{slug}'.")
    return rule


def _expect_record(rule: Rule, record: str, company_id: int | None, contact_id: int | None) -> None:
    """Raises: Conflict if the rule is not started by hand, InvalidRequest if it is for another kind of record."""
    wanted = sorted(one.wants["record"] for one in rule.triggers if one.trigger is Trigger.MANUAL)
    if not wanted:
        raise Conflict(f"The rule '{rule.slug}' is not started by hand: it has no 'manual' trigger.")
    if record not in wanted or (company_id is None) == (contact_id is None):
        message = f"this rule is started for a {' or a '.join(wanted)}: give the one id"
        raise InvalidRequest([Fault(f"{wanted[0]}_id", message)])


# (id, domain) of a company, (id, e-mail) of a contact
Found = tuple[int, str | None] | None


def _subject(connection: Connection, company_id: int | None, contact_id: int | None) -> tuple[Found, Found]:
    if contact_id is not None:
        contact = _one(
            connection, select(ContactRow.id, ContactRow.email, ContactRow.company_id), ContactRow, contact_id
        )
        company_id = contact.company_id
        if company_id is None:
            return None, (contact.id, contact.email)
    company = _one(connection, select(CompanyRow.id, CompanyRow.domain), CompanyRow, company_id)
    return (company.id, company.domain), (contact.id, contact.email) if contact_id is not None else None


def _one(connection: Connection, query: Any, table: Any, record_id: int | None) -> Row[Any]:
    row: Row[Any] | None = connection.execute(query.where(table.id == record_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no {table.__tablename__} {record_id}.")
    return row
