"""Companies and contacts as one transaction holds them, and the only code that changes them.

Every write path (rule, API, screen, sale, source) goes through `Records`: it asks the guard, applies the
lead-status rules (domain invariants 5 to 7) and notes each change. The store then writes what was noted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from leadflow.domain.effects import (
    AddTag,
    CallWebhook,
    CreateTask,
    Effect,
    Notify,
    RemoveTag,
    SetCategory,
    SetField,
    SetLeadStatus,
)
from leadflow.domain.events import Cause
from leadflow.domain.fields import Value
from leadflow.domain.lead_status import LeadStatuses
from leadflow.domain.lifecycle import ALLOWED, Lifecycle, MoveDecision, Verdict
from leadflow.domain.text import fold


@dataclass(frozen=True, slots=True)
class FirstTouch:
    """Where the record first came from; written once, at creation (invariant 9)."""

    source: str | None = None
    medium: str | None = None
    campaign: str | None = None
    term: str | None = None
    content: str | None = None
    referrer: str | None = None
    at: datetime | None = None


@dataclass(slots=True)
class Company:
    """An organisation; carries the category."""

    id: int
    name: str | None = None
    domain: str | None = None
    category: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()
    fields: dict[str, Value] = field(default_factory=dict)
    do_not_automate: bool = False
    open_sales: int = 0
    first_touch: FirstTouch = FirstTouch()
    external_ids: dict[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(slots=True)
class Contact:
    """A person; carries the lead status. `category` is its own and only without a company (invariant 7)."""

    id: int
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    company_id: int | None = None
    category: str | None = None
    lead_status: str | None = None
    tags: tuple[str, ...] = ()
    fields: dict[str, Value] = field(default_factory=dict)
    do_not_automate: bool = False
    first_touch: FirstTouch = FirstTouch()
    last_touched_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the ledger to be: `entity` 'company' or 'contact'; `old` and `new` are keys for enumerations."""

    entity: str
    entity_id: int
    field: str
    old: Value | int
    new: Value | int
    cause: Cause
    at_creation: bool = False

    @property
    def path(self) -> str:
        """The field's path as rules name it."""
        return f"{self.entity}.{self.field}"


@dataclass(frozen=True, slots=True)
class Task:
    """A follow-up for people, to be written."""

    title: str
    owner: str | None
    due_at: datetime | None
    company_id: int | None
    contact_id: int | None
    cause: Cause


@dataclass(frozen=True, slots=True)
class Message:
    """Something to leave the system: a notification's or webhook's content, for the outbox."""

    effect: Notify | CallWebhook
    company_id: int | None
    contact_id: int | None
    cause: Cause


@dataclass(frozen=True, slots=True)
class Applied:
    """What an effect did: the changes it made, or the guard's refusal (`decision`). No change is also possible."""

    decision: MoveDecision = ALLOWED
    changes: tuple[Change, ...] = ()
    task: Task | None = None
    message: Message | None = None

    @property
    def is_refused(self) -> bool:
        return self.decision.verdict not in (Verdict.ALLOWED, Verdict.UNCHANGED)


class Records:
    """The companies and contacts of one transaction. Give it every contact of a company whose category may change."""

    def __init__(self, lifecycle: Lifecycle, statuses: LeadStatuses, now: datetime) -> None:
        self.lifecycle = lifecycle
        self.statuses = statuses
        self.now = now
        self.companies: dict[int, Company] = {}
        self.contacts: dict[int, Contact] = {}
        self.changes: list[Change] = []
        self.tasks: list[Task] = []
        self.messages: list[Message] = []
        self.created: set[tuple[str, int]] = set()
        self.touched: set[tuple[str, int]] = set()
        self._contact_ids_of: dict[int, list[int]] = {}

    # -- what is held ---------------------------------------------------------------------------------------------

    def hold_company(self, company: Company) -> None:
        """Take a locked company into the transaction."""
        self.companies[company.id] = company

    def hold_contacts(self, contacts: Iterable[Contact]) -> None:
        """Take locked contacts into the transaction; one that is held already stays as it is."""
        for contact in contacts:
            if contact.id in self.contacts:
                continue
            self.contacts[contact.id] = contact
            if contact.company_id is not None:
                self._contact_ids_of.setdefault(contact.company_id, []).append(contact.id)

    def contacts_of(self, company_id: int) -> list[Contact]:
        """The held contacts of a company, in id order."""
        return [self.contacts[contact_id] for contact_id in sorted(self._contact_ids_of.get(company_id, []))]

    def company_of(self, contact: Contact) -> Company | None:
        return None if contact.company_id is None else self.companies[contact.company_id]

    def effective_category(self, contact: Contact) -> str | None:
        """The company's category; for a contact without a company, its own."""
        company = self.company_of(contact)
        return contact.category if company is None else company.category

    def is_lead_status_active(self, contact: Contact) -> bool:
        return self.lifecycle.is_lead_status_active(self.effective_category(contact))

    # -- creation -------------------------------------------------------------------------------------------------

    def create_company(self, company: Company, cause: Cause) -> None:
        """Add a new company. Its category, owner, tags and own fields enter the ledger as changes from nothing."""
        company.created_at = company.updated_at = self.now
        self.hold_company(company)
        self.created.add(("company", company.id))
        values: dict[str, Value | int] = {
            "category": company.category,
            "owner": company.owner,
            "tags": company.tags or None,
        }
        values |= {f"fields.{name}": value for name, value in company.fields.items()}
        self._note_creation("company", company.id, values, cause)

    def create_contact(self, contact: Contact, cause: Cause) -> None:
        """Add a new contact; under an enabled category it gets the default lead status (invariant 5)."""
        contact.created_at = contact.updated_at = self.now
        self.hold_contacts([contact])
        self.created.add(("contact", contact.id))
        if self.is_lead_status_active(contact) and contact.lead_status is None:
            contact.lead_status = self.statuses.default.key
        values: dict[str, Value | int] = {
            "company_id": contact.company_id,
            "category": contact.category,
            "lead_status": contact.lead_status,
            "tags": contact.tags or None,
        }
        values |= {f"fields.{name}": value for name, value in contact.fields.items()}
        self._note_creation("contact", contact.id, values, cause)

    def _note_creation(self, entity: str, entity_id: int, values: dict[str, Value | int], cause: Cause) -> None:
        self.changes += [
            Change(entity, entity_id, name, None, value, cause, at_creation=True)
            for name, value in values.items()
            if value is not None
        ]

    # -- effects --------------------------------------------------------------------------------------------------

    def apply(self, effect: Effect, company: Company | None, contact: Contact | None, cause: Cause) -> Applied:
        """Do one effect to the event's company and contact, or say why not. A change to the same value is no change."""
        start = len(self.changes)
        decision = self._refusal_by_flag(effect, company, contact, cause) or self._do(effect, company, contact, cause)
        task = self.tasks[-1] if isinstance(effect, CreateTask) and decision.is_allowed else None
        message = self.messages[-1] if isinstance(effect, Notify | CallWebhook) else None
        return Applied(decision, tuple(self.changes[start:]), task, message)

    def _refusal_by_flag(
        self, effect: Effect, company: Company | None, contact: Contact | None, cause: Cause
    ) -> MoveDecision | None:
        """A company's flag protects its contacts too; a contact's flag only itself."""
        if not cause.actor.is_automation or isinstance(effect, CreateTask | Notify | CallWebhook):
            return None
        if company is not None and company.do_not_automate:
            return _flagged("company")
        if contact is not None and contact.do_not_automate and _writes_contact(effect):
            return _flagged("contact")
        return None

    def _do(self, effect: Effect, company: Company | None, contact: Contact | None, cause: Cause) -> MoveDecision:
        match effect:
            case SetCategory():
                return self._set_category(effect, company, cause)
            case SetLeadStatus(of="all_contacts") if company is not None:
                contacts = [one for one in self.contacts_of(company.id) if not one.do_not_automate]
                decisions = [self._set_lead_status(effect, one, cause) for one in contacts]
                return next((d for d in decisions if d.is_allowed), decisions[0] if decisions else _no_contact())
            case SetLeadStatus():
                return self._set_lead_status(effect, contact, cause) if contact else _no_contact()
            case SetField(path=path, value=value):
                return self._set_field(path, value, company, contact, cause)
            case AddTag(record=record) | RemoveTag(record=record):
                return self._set_tag(effect, company if record == "company" else contact, cause)
            case CreateTask():
                return self._create_task(effect, company, contact, cause)
            case Notify() | CallWebhook():
                company_id, contact_id = (company.id if company else None), (contact.id if contact else None)
                self.messages.append(Message(effect, company_id, contact_id, cause))
                return ALLOWED

    def _set_category(self, effect: SetCategory, company: Company | None, cause: Cause) -> MoveDecision:
        if company is None:
            return MoveDecision(Verdict.NO_COMPANY, "The contact has no company, and the category is the company's.")
        if company.category == effect.target:
            return MoveDecision(Verdict.UNCHANGED, self.lifecycle.decide_move(company.category, effect.target).reason)
        if effect.sources is not None and company.category not in effect.sources:
            return MoveDecision(Verdict.NOT_FROM, self._not_from(company.category, effect.sources))
        if cause.actor.is_automation:
            decision = self.lifecycle.decide_move(company.category, effect.target)
            if not decision.is_allowed:
                return decision
        self._move_company(company, effect.target, cause)
        return ALLOWED

    def _not_from(self, current: str | None, sources: frozenset[str | None]) -> str:
        here = self._name(current)
        listed = ", ".join(sorted(self._name(key) for key in sources))
        return f"The rule moves companies from {listed} only; this one is {here}."

    def _name(self, key: str | None) -> str:
        return "no category" if key is None else self.lifecycle.category(key).name

    def _move_company(self, company: Company, target: str | None, cause: Cause) -> None:
        was_active = self.lifecycle.is_lead_status_active(company.category)
        self._note("company", company, "category", company.category, target, cause)
        company.category = target
        if not was_active and self.lifecycle.is_lead_status_active(target):
            for contact in self.contacts_of(company.id):
                self.enter_active(contact, cause)

    def enter_active(self, contact: Contact, cause: Cause) -> None:
        """Lead status has become active for the contact: the default, whatever it was before (invariant 5)."""
        if self.lifecycle.on_reentry == "keep" and contact.lead_status is not None:
            return
        self._write_lead_status(contact, self.statuses.default.key, cause)

    def _set_lead_status(self, effect: SetLeadStatus, contact: Contact, cause: Cause) -> MoveDecision:
        if not self.is_lead_status_active(contact):
            return MoveDecision(Verdict.INACTIVE, self.why_inactive(contact))
        if contact.lead_status == effect.target:
            name = self.statuses.status(effect.target).name
            return MoveDecision(Verdict.UNCHANGED, f"The lead status already is {name}.")
        if self.statuses.status(effect.target).deleted:
            name = self.statuses.status(effect.target).name
            return MoveDecision(Verdict.DELETED, f"{name} has been deleted from the list of lead statuses.")
        if effect.sources is not None and contact.lead_status not in effect.sources:
            return MoveDecision(Verdict.NOT_FROM, "The rule sets the lead status from other values only.")
        self._write_lead_status(contact, effect.target, cause)
        return ALLOWED

    def why_inactive(self, contact: Contact) -> str:
        """The sentence that says why the contact's lead status cannot be edited now."""
        key = self.effective_category(contact)
        if key is None:
            return "Lead status is not active: there is no category."
        category = self.lifecycle.category(key)
        return f"Lead status is not active while the category is {category.name}; the value is kept and hidden."

    def _write_lead_status(self, contact: Contact, status: str, cause: Cause) -> None:
        if contact.lead_status != status:
            self._note("contact", contact, "lead_status", contact.lead_status, status, cause)
            contact.lead_status = status

    def _set_field(
        self, path: str, value: Value, company: Company | None, contact: Contact | None, cause: Cause
    ) -> MoveDecision:
        record, _, name = path.partition(".")
        target = company if record == "company" else contact
        if target is None:
            return MoveDecision(Verdict.NO_COMPANY, f"The event has no {record}.")
        old = target.fields.get(name.removeprefix("fields.")) if name.startswith("fields.") else getattr(target, name)
        if old == value:
            return MoveDecision(Verdict.UNCHANGED, "The field already has this value.")
        self._note(record, target, name, old, value, cause)
        if name.startswith("fields."):
            target.fields = {**target.fields, name.removeprefix("fields."): value}
        else:
            setattr(target, name, value)
        return ALLOWED

    def _set_tag(self, effect: AddTag | RemoveTag, target: Company | Contact | None, cause: Cause) -> MoveDecision:
        if target is None:
            return MoveDecision(Verdict.NO_COMPANY, f"The event has no {effect.record}.")
        others = tuple(tag for tag in target.tags if fold(tag) != fold(effect.tag))
        is_there = len(others) < len(target.tags)
        if is_there == isinstance(effect, AddTag):
            return MoveDecision(Verdict.UNCHANGED, "The tag already is as wanted.")
        self.write_tags(target, (*target.tags, effect.tag) if isinstance(effect, AddTag) else others, cause)
        return ALLOWED

    def write_tags(self, target: Company | Contact, tags: tuple[str, ...], cause: Cause) -> None:
        """Give the record exactly these tags."""
        if tags != target.tags:
            entity = "company" if isinstance(target, Company) else "contact"
            self._note(entity, target, "tags", target.tags or None, tags or None, cause)
            target.tags = tags

    def _create_task(
        self, effect: CreateTask, company: Company | None, contact: Contact | None, cause: Cause
    ) -> MoveDecision:
        due_at = None if effect.due_in is None else self.now + effect.due_in
        company_id, contact_id = (company.id if company else None), (contact.id if contact else None)
        self.tasks.append(Task(effect.title, effect.owner, due_at, company_id, contact_id, cause))
        return ALLOWED

    # -- what only people and sources do --------------------------------------------------------------------------

    def clear_category(self, company: Company, cause: Cause) -> None:
        """Take the category away; people only."""
        if company.category is not None:
            self._move_company(company, None, cause)

    def set_own_category(self, contact: Contact, target: str | None, cause: Cause) -> MoveDecision:
        """Write the category of a contact without a company, under the same guard as a company's."""
        if contact.category == target:
            return MoveDecision(Verdict.UNCHANGED)
        if cause.actor.is_automation:
            if target is None:
                return MoveDecision(Verdict.NO_EDGE, "Automation never takes a category away.")
            decision = self.lifecycle.decide_move(contact.category, target)
            if not decision.is_allowed:
                return decision
        was_active = self.is_lead_status_active(contact)
        self._note("contact", contact, "category", contact.category, target, cause)
        contact.category = target
        if not was_active and self.is_lead_status_active(contact):
            self.enter_active(contact, cause)
        return ALLOWED

    def move_contact(self, contact: Contact, company_id: int | None, cause: Cause) -> None:
        """Put the contact at another company (held here) or at none; its own category ends (invariant 7)."""
        if contact.company_id == company_id:
            return
        was_active = self.is_lead_status_active(contact)
        if company_id is not None and contact.category is not None:
            self._note("contact", contact, "category", contact.category, None, cause)
            contact.category = None
        old = contact.company_id
        if old is not None and contact.id in self._contact_ids_of.get(old, []):
            self._contact_ids_of[old].remove(contact.id)
        if company_id is not None:
            self._contact_ids_of.setdefault(company_id, []).append(contact.id)
        self._note("contact", contact, "company_id", old, company_id, cause)
        contact.company_id = company_id
        if not was_active and self.is_lead_status_active(contact):
            self.enter_active(contact, cause)

    def touch(self, entity: str, record: Company | Contact) -> None:
        """Note that a field outside the ledger changed (a name, the last touch)."""
        record.updated_at = self.now
        self.touched.add((entity, record.id))

    def _note(
        self, entity: str, record: Company | Contact, name: str, old: Value | int, new: Value | int, cause: Cause
    ) -> None:
        self.changes.append(Change(entity, record.id, name, old, new, cause))
        self.touch(entity, record)


def _no_contact() -> MoveDecision:
    return MoveDecision(Verdict.INACTIVE, "The event has no contact.")


def _flagged(name: str) -> MoveDecision:
    return MoveDecision(Verdict.DO_NOT_AUTOMATE, f"This {name} is marked “do not automate”.")


def _writes_contact(effect: Effect) -> bool:
    match effect:
        case SetLeadStatus(of=of):
            return of == "contact"
        case SetField(path=path):
            return path.startswith("contact.")
        case AddTag(record=record) | RemoveTag(record=record):
            return record == "contact"
        case _:
            return False
