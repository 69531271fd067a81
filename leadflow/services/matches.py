"""To whom an event belongs, and by what: the e-mail address, the domain, or because it made the record itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, select

from leadflow.domain.events import Trigger
from leadflow.domain.lifecycle import Lifecycle
from leadflow.services.gathering import Case
from leadflow.store.reads import CompanyView, ContactView, EventView
from leadflow.store.tables import EventRow

How = Literal["found", "created", "by_contact", "by_domain", "free_mail", "unknown"]


@dataclass(frozen=True, slots=True)
class Match:
    """Contact and company of an event, each with how they were found; `company_name` also of one that is not there yet.

    `category` is the one that a company not there yet would begin with.
    """

    contact_how: How
    company_how: How
    email: str | None = None
    domain: str | None = None
    contact_id: int | None = None
    company_id: int | None = None
    company_name: str | None = None
    category: str | None = None


def match_of_case(case: Case, lifecycle: Lifecycle) -> Match:
    """The match of an event that was judged and not written: what is new has no number yet."""
    created = {one.detail["record"] for one in case.created if one.trigger is Trigger.RECORD_CREATED}
    address, company, contact = case.reading.address, case.company, case.contact
    is_new_contact, is_new_company = "contact" in created, "company" in created
    known = lifecycle.categories.get(company.category) if company and company.category else None
    return Match(
        contact_how="created" if is_new_contact else "found" if contact else "unknown",
        company_how=_company_how(company is not None, is_new_company, is_new_contact, address is not None),
        email=address.email if address else None,
        domain=address.company_domain if address else None,
        contact_id=None if is_new_contact or contact is None else contact.id,
        company_id=None if is_new_company or company is None else company.id,
        company_name=(company.name or company.domain) if company else None,
        category=known.name if known and is_new_company else None,
    )


def _company_how(is_there: bool, is_new: bool, is_new_contact: bool, has_address: bool) -> How:
    if not is_there:
        return "free_mail" if has_address else "unknown"
    if is_new:
        return "created"
    return "by_domain" if is_new_contact else "by_contact"


def match_of_event(
    connection: Connection, event: EventView, company: CompanyView | None, contact: ContactView | None
) -> Match:
    """The match of an event that took effect, as its records tell it."""
    email = str((event.fields or {}).get("email") or "") or None
    made_contact = contact is not None and _was_made_by(connection, event, contact.created_at, "contact_id", contact.id)
    made_company = company is not None and _was_made_by(connection, event, company.created_at, "company_id", company.id)
    return Match(
        contact_how="created" if made_contact else "found" if contact else "unknown",
        company_how=_company_how(company is not None, made_company, made_contact, email is not None),
        email=email,
        domain=email.rpartition("@")[2] if email else None,
        contact_id=contact.id if contact else None,
        company_id=company.id if company else None,
        company_name=(company.name or company.domain) if company else None,
    )


def _was_made_by(connection: Connection, event: EventView, created_at: object, column: str, record_id: int) -> bool:
    """Whether the record was made when the event took effect, and by none before it in the same transaction."""
    if created_at != event.processed_at:
        return False
    earlier = select(EventRow.id).where(
        getattr(EventRow, column) == record_id, EventRow.id < event.id, EventRow.processed_at == event.processed_at
    )
    return connection.scalar(earlier.limit(1)) is None
