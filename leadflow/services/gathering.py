"""Gather: match each event to its contact and company, lock them, and create what is new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from leadflow.domain.events import Actor, ActorKind, Cause, Occurrence, Trigger
from leadflow.domain.fields import Unreadable, Value
from leadflow.domain.records import Company, Contact, FirstTouch, Records
from leadflow.services.readings import Reading
from leadflow.sources.addresses import Address
from leadflow.store.lists import Lists
from leadflow.store.records import (
    find_by_address,
    find_companies_of_contacts,
    lock_companies,
    lock_contacts,
    read_contacts_of,
    reserve_record_ids,
)


@dataclass(slots=True)
class Case:
    """An event with its company and contact, ready to be judged. `created` are the occurrences of their creation."""

    reading: Reading
    company: Company | None = None
    contact: Contact | None = None
    created: list[Occurrence] = field(default_factory=list)


@dataclass(slots=True)
class Gathered:
    """What one transaction works on. `postponed` are events whose records another transaction holds."""

    records: Records
    readings: list[Reading]
    postponed: list[int]
    company_by_domain: dict[str, int]
    contact_by_email: dict[str, int]


def gather(
    connection: Connection, lists: Lists, readings: Sequence[Reading], now: datetime, *, all_contacts: bool
) -> Gathered:
    """Lock what the readings concern, in id order, then read it.

    `all_contacts`: some rule acts on all contacts of a company, so they are all needed.
    """
    records = Records(lists.lifecycle, lists.statuses, now)
    emails = {one.address.email for one in readings if one.address}
    domains = {one.address.company_domain for one in readings if one.address and one.address.company_domain}
    contacts, companies = find_by_address(connection, emails, domains)
    named = {one.contact_id for one in readings if one.contact_id is not None}
    wanted = _company_ids(readings, contacts, companies).union(find_companies_of_contacts(connection, named))
    for company in lock_companies(connection, lists.catalogue, wanted, skip_locked=True):
        records.hold_company(company)
    contact_ids = {contact_id for contact_id, _ in contacts.values()} | named
    held = lock_contacts(connection, lists.catalogue, contact_ids, skip_locked=True)
    records.hold_contacts(one for one in held if one.company_id is None or one.company_id in records.companies)
    records.hold_contacts(read_contacts_of(connection, lists.catalogue, _entering(records, all_contacts)))
    by_email = {email: contact_id for email, (contact_id, _) in contacts.items()}
    free, postponed = _part_by_locks(readings, records, companies, by_email)
    return Gathered(records, free, postponed, companies, by_email)


def _company_ids(
    readings: Sequence[Reading], contacts: dict[str, tuple[int, int | None]], companies: dict[str, int]
) -> set[int]:
    """A contact's own company comes first; without one, the company of its address."""
    wanted = {one.company_id for one in readings if one.company_id is not None}
    for one in readings:
        if one.address is None:
            continue
        _, company_id = contacts.get(one.address.email, (None, None))
        company_id = company_id or companies.get(one.address.company_domain or "")
        if company_id is not None:
            wanted.add(company_id)
    return wanted


def _entering(records: Records, all_contacts: bool) -> list[int]:
    """The companies whose contacts may become active leads together, or are acted on together."""
    is_active = records.lifecycle.is_lead_status_active
    # Several events of one batch may take a company out of the active categories and back in.
    all_contacts = all_contacts or records.lifecycle.can_reenter()
    return [one.id for one in records.companies.values() if all_contacts or not is_active(one.category)]


def _part_by_locks(
    readings: Sequence[Reading], records: Records, companies: dict[str, int], by_email: dict[str, int]
) -> tuple[list[Reading], list[int]]:
    """Readings whose records are all held, and the ids of the others with all that follow them in their lane."""
    free: list[Reading] = []
    postponed: list[int] = []
    closed: set[int] = set()
    for one in readings:
        if one.event.lane in closed or not _is_held(one, records, companies, by_email):
            closed.add(one.event.lane)
            postponed.append(one.event.id)
        else:
            free.append(one)
    return free, postponed


def _is_held(one: Reading, records: Records, companies: dict[str, int], by_email: dict[str, int]) -> bool:
    if one.company_id is not None and one.company_id not in records.companies:
        return False
    if one.contact_id is not None and one.contact_id not in records.contacts:
        return False
    if one.address is None:
        return True
    contact_id = by_email.get(one.address.email)
    if contact_id is not None:
        contact = records.contacts.get(contact_id)
        if contact is None or contact.company_id is not None:
            return contact is not None
    company_id = companies.get(one.address.company_domain or "")
    return company_id is None or company_id in records.companies


class Matcher:
    """Turns readings into cases, one after the other, creating companies and contacts that are new.

    `new_ids` are for who writes nothing: ids of companies and of contacts that are not taken from the database.
    """

    def __init__(
        self, connection: Connection, gathered: Gathered, new_ids: tuple[Iterator[int], Iterator[int]] | None = None
    ) -> None:
        self._records = gathered.records
        self._company_by_domain = dict(gathered.company_by_domain)
        self._contact_by_email = dict(gathered.contact_by_email)
        if new_ids is not None:
            self._company_ids, self._contact_ids = new_ids
            return
        addresses = [one.address for one in gathered.readings if one.address]
        emails = {one.email for one in addresses} - set(self._contact_by_email)
        domains = {one.company_domain for one in addresses if one.company_domain} - set(self._company_by_domain)
        company_ids, contact_ids = reserve_record_ids(connection, len(domains), len(emails))
        self._company_ids, self._contact_ids = iter(company_ids), iter(contact_ids)

    def match(self, reading: Reading) -> Case:
        """The case of one event."""
        records = self._records
        if reading.address is None:
            return self._case_of_own_event(reading)
        case = Case(reading)
        contact_id = self._contact_by_email.get(reading.address.email)
        if contact_id is None:
            self._create_contact(case, reading.address)
        else:
            self._recognise(case, reading.address, records.contacts[contact_id])
        return case

    def _case_of_own_event(self, reading: Reading) -> Case:
        """A sale is its company's; else a contact may have moved to another company since the event was stored."""
        records = self._records
        company = records.companies.get(reading.company_id) if reading.company_id is not None else None
        contact = records.contacts.get(reading.contact_id) if reading.contact_id is not None else None
        if contact is not None and reading.event.type != Trigger.SALE:
            company = records.company_of(contact)
        return Case(reading, company, contact)

    def _create_contact(self, case: Case, address: Address) -> None:
        reading = case.reading
        case.company = self._company_of_address(case, address)
        contact = Contact(
            id=next(self._contact_ids),
            email=address.email,
            first_name=_text(reading.form, "first_name"),
            last_name=_text(reading.form, "last_name"),
            company_id=case.company.id if case.company else None,
            first_touch=_first_touch(reading),
            last_touched_at=reading.event.received_at,
        )
        self._records.create_contact(contact, _cause(reading))
        self._contact_by_email[address.email] = contact.id
        case.contact = contact
        case.created.append(Occurrence(Trigger.RECORD_CREATED, {"record": "contact"}))

    def _recognise(self, case: Case, address: Address, contact: Contact) -> None:
        case.contact = contact
        case.company = self._records.company_of(contact)
        if case.company is None and contact.category is None:
            case.company = self._company_of_address(case, address)
            if case.company is not None:
                self._records.move_contact(contact, case.company.id, _cause(case.reading))
        contact.first_name = contact.first_name or _text(case.reading.form, "first_name")
        contact.last_name = contact.last_name or _text(case.reading.form, "last_name")
        received_at = case.reading.event.received_at
        contact.last_touched_at = max(contact.last_touched_at or received_at, received_at)
        self._records.touch("contact", contact)

    def _company_of_address(self, case: Case, address: Address) -> Company | None:
        domain = address.company_domain
        if domain is None:
            return None
        company_id = self._company_by_domain.get(domain)
        return self._create_company(case, domain) if company_id is None else self._records.companies[company_id]

    def _create_company(self, case: Case, domain: str) -> Company:
        reading = case.reading
        wanted = reading.source.new_company_category if reading.source else None
        is_allowed = wanted is not None and self._records.lifecycle.decide_move(None, wanted).is_allowed
        company = Company(
            id=next(self._company_ids),
            name=_text(reading.form, "company") or domain,
            domain=domain,
            category=wanted if is_allowed else None,
            first_touch=_first_touch(reading),
        )
        self._records.create_company(company, _cause(reading))
        self._company_by_domain[domain] = company.id
        case.created.append(Occurrence(Trigger.RECORD_CREATED, {"record": "company"}))
        return company


def _cause(reading: Reading) -> Cause:
    source = reading.source
    name = source.title if source else reading.event.source
    return Cause(Actor(ActorKind.SOURCE, reading.event.source, name), reading.event.id)


def _text(form: Mapping[str, Value | Unreadable], name: str) -> str | None:
    value = form.get(name)
    return value if isinstance(value, str) else None


def _first_touch(reading: Reading) -> FirstTouch:
    names = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "referrer")
    source, medium, campaign, term, content, referrer = (_text(reading.form, name) for name in names)
    return FirstTouch(source, medium, campaign, term, content, referrer, reading.event.received_at)
