"""The stage of a test: its records, its past and the situation in which the rule is tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from leadflow.domain.events import Trigger
from leadflow.domain.fields import Catalogue, Value
from leadflow.domain.history import History, PastChange, PastEvent
from leadflow.domain.lead_status import LeadStatuses
from leadflow.domain.lifecycle import Lifecycle
from leadflow.domain.records import Company, Contact, Records
from leadflow.domain.text import fold
from leadflow.rules.model import Rule, Situation
from leadflow.rules.testing.happening import DEFAULT_EMAIL, OF_A_PERSON, Told, tell
from leadflow.rules.testing.model import FromNow, Given, GivenAct, GivenChange, GivenEvent, RuleTest, Values, plain


@dataclass(frozen=True)
class Ground:
    """What all tests stand on: the installation's categories, statuses and fields."""

    lifecycle: Lifecycle
    statuses: LeadStatuses
    catalogue: Catalogue


@dataclass(slots=True)
class Stage:
    """One test, ready to be played.

    `events` and `changes` are its history, the event at hand included; `members` are pairs of a static selection and a
    record in it; `acted_at` is when the rule acted before.
    """

    records: Records
    situation: Situation
    events: tuple[PastEvent, ...] = ()
    changes: tuple[PastChange, ...] = ()
    acted_at: datetime | None = None
    turn: int = 0
    members: tuple[tuple[int, int], ...] = ()


def set_stage(rule: Rule, test: RuleTest, ground: Ground, first_id: int = 1) -> Stage:
    """The stage of the test; its records' ids count from `first_id`, so that several tests can stand side by side."""
    before = _values_before(test, ground)
    told = tell(rule, test, before)
    people = _People(test, told, before, first_id)
    records = Records(ground.lifecycle, ground.statuses, test.now)
    company, contact = people.company(), people.contact()
    if company is not None:
        records.hold_company(company)
    records.hold_contacts([*([contact] if contact else []), *people.colleagues()])
    people.settle_statuses(records)
    events = (*_past_events(test, people), *_present_event(test, told, people))
    changes = (*_past_changes(test, people), *_present_changes(test, told, people))
    members = tuple(_members(test, people))
    history = History(events, changes)
    for member in members:
        history.note_member(*member)
    own: dict[str, Any] = {told.root: told.own} if told.root else {}
    situation = Situation(told.occurrence, test.now, company, contact, **own, history=history)
    acts = [_moment(one.at, test) for one in test.given.past if isinstance(one, GivenAct)]
    return Stage(records, situation, events, changes, max(acts, default=None), test.given.turn, members)


# -- records -----------------------------------------------------------------------------------------------------------


def _values_before(test: RuleTest, ground: Ground) -> dict[str, Value]:
    """The values of the records by path, before anything happens.

    Where lead status is active, a status that is not given is the default one (domain invariant 5).
    """
    values = _plain_values(test.given.values, test)
    category = values.get("company.category")
    if category is not None and ground.lifecycle.is_lead_status_active(str(category)):
        values.setdefault("contact.lead_status", ground.statuses.default.key)
    return values


class _People:
    """The company of a test, its contact, and the contact's colleagues; their ids count up in this order."""

    def __init__(self, test: RuleTest, told: Told, before: Mapping[str, Value], first_id: int) -> None:
        self._test, self._told, self._given = test, told, test.given
        self.company_id = None if "company" in test.given.missing else first_id
        self.contact_id = None if "contact" in test.given.missing else first_id + 1
        self.first_id, self.first_colleague_id = first_id, first_id + 2
        # What changed has its new value already when rules are tried.
        self._values = dict(before)
        self._values |= {path: new for path, (_, new) in told.occurrence.changes.items()}  # type: ignore[misc]

    def id_of(self, who: str) -> int | None:
        ids = {"company": self.company_id, "contact": self.contact_id, "colleague": self.first_colleague_id}
        return ids[who]

    def company(self) -> Company | None:
        if self.company_id is None:
            return None
        company = Company(self.company_id, created_at=self._test.now, updated_at=self._test.now)
        _fill(company, "company", self._values)
        return company

    def contact(self) -> Contact | None:
        if self.contact_id is None:
            return None
        contact = self._new_contact(self.contact_id)
        contact.email = str(self._told.own.get("email") or DEFAULT_EMAIL)
        _fill(contact, "contact", self._values)
        if self._told.occurrence.trigger in OF_A_PERSON:
            self._touch(contact)
        return contact

    def _touch(self, contact: Contact) -> None:
        """What arriving does to the contact before any rule is tried."""
        form = self._told.own if self._told.root == "form" else {}
        contact.first_name = contact.first_name or _text(form.get("first_name"))
        contact.last_name = contact.last_name or _text(form.get("last_name"))
        contact.last_touched_at = self._test.now

    def colleagues(self) -> list[Contact]:
        if self.company_id is None:
            return []
        found = []
        for number, values in enumerate(_colleagues_of(self._given)):
            colleague = self._new_contact(self.first_colleague_id + number)
            _fill(colleague, "contact", _plain_values(values, self._test))
            found.append(colleague)
        return found

    def _new_contact(self, contact_id: int) -> Contact:
        now = self._test.now
        return Contact(contact_id, company_id=self.company_id, created_at=now, updated_at=now)

    def settle_statuses(self, records: Records) -> None:
        """Where lead status has become active, or is so for colleagues, it is the default one unless given."""
        said = [self._values] * (self.contact_id is not None) + list(_colleagues_of(self._given))
        for contact, values in zip(records.contacts.values(), said, strict=False):
            if "contact.lead_status" not in values and records.is_lead_status_active(contact):
                contact.lead_status = records.statuses.default.key


def _colleagues_of(given: Given) -> tuple[Values, ...]:
    """The colleagues that are described; one of whom nothing is known, if only their events are told."""
    has_acted = any(isinstance(one, GivenEvent) and one.by == "colleague" for one in given.past)
    return given.colleagues or (({},) if has_acted else ())


def _fill(record: Company | Contact, root: str, values: Mapping[str, Value]) -> None:
    for path, value in values.items():
        if path.startswith(f"{root}."):
            put(record, path.removeprefix(f"{root}."), value)


def put(record: Company | Contact, name: str, value: Value) -> None:
    """Give the record's field a value; `fields.employees` is one of the installation's own."""
    if name.startswith("fields."):
        record.fields[name.removeprefix("fields.")] = value
    elif name.startswith("first_touch."):
        record.first_touch = replace(record.first_touch, **{name.removeprefix("first_touch."): value})  # type: ignore[arg-type]
    elif name == "tags":
        record.tags = value if isinstance(value, tuple) else ()
    elif name == "open_sales" and isinstance(record, Company):
        record.open_sales = int(str(value or 0))
    elif name == "do_not_automate":
        record.do_not_automate = bool(value)
    else:
        setattr(record, name, value)


# -- the past ----------------------------------------------------------------------------------------------------------


def _past_events(test: RuleTest, people: _People) -> Iterator[PastEvent]:
    for number, one in enumerate(test.given.past, people.first_id):
        if isinstance(one, GivenEvent):
            who = None if one.by == "company" else people.id_of(one.by)
            yield PastEvent(number, one.name, _moment(one.at, test), _own(one.values, test), people.company_id, who)


def _present_event(test: RuleTest, told: Told, people: _People) -> Iterator[PastEvent]:
    """The event at hand is among those that conditions count."""
    trigger = told.occurrence.trigger
    if trigger in (*OF_A_PERSON, Trigger.SALE):
        name = fold(_text(told.own.get("name")) or "") if trigger is Trigger.EVENT else trigger.value
        number = people.first_id + len(test.given.past)
        yield PastEvent(number, name, test.now, told.own, people.company_id, people.contact_id)


def _past_changes(test: RuleTest, people: _People) -> Iterator[PastChange]:
    for one in test.given.past:
        record_id = people.id_of(one.path.partition(".")[0]) if isinstance(one, GivenChange) else None
        if isinstance(one, GivenChange) and record_id is not None:
            old, new = plain(one.old, test.now, test.zone), plain(one.new, test.now, test.zone)
            yield PastChange(one.path, record_id, old, new, _moment(one.at, test))


def _present_changes(test: RuleTest, told: Told, people: _People) -> Iterator[PastChange]:
    """The change at hand is in the ledger already when rules are tried on it."""
    for path, (old, new) in told.occurrence.changes.items():
        record_id = people.id_of(path.partition(".")[0])
        if record_id is not None:
            yield PastChange(path, record_id, old, new, test.now)  # type: ignore[arg-type]


def _members(test: RuleTest, people: _People) -> Iterator[tuple[int, int]]:
    for record, selection_id in test.given.memberships:
        record_id = people.id_of(record)
        if record_id is not None:
            yield selection_id, record_id


def _own(values: Values, test: RuleTest) -> dict[str, Value]:
    return {path.partition(".")[2]: value for path, value in _plain_values(values, test).items()}


def _plain_values(values: Values, test: RuleTest) -> dict[str, Value]:
    return {path: plain(value, test.now, test.zone) for path, value in values.items()}


def _moment(at: FromNow | datetime, test: RuleTest) -> datetime:
    moment: datetime = plain(at, test.now, test.zone)
    return moment


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
