"""The plan of a rule that waits for something to happen: as if it happened now, to each record on its own.

What a marketer asks is “what would this rule do if the form came now?”. So each record is taken as it stands, the
event is supposed to come from it at this moment, and the worker's own judge says what every rule of the draft would do
then; the next record knows nothing of it. What the rule's `when` asks of the event is given. What else the event
brings is taken from the newest matching event of the record, if there was one; where there was none it cannot be
known, clauses about it count as holding, and the number of records is an upper bound.

- a form or an event comes from every contact with an address;
- a sale is registered at every company; it is sold or lost at every company that has one open;
- a record is created: every record, as if it had been made just now as it stands;
- a field changes: every record whose field has another value now gets the one that the rule waits for (of several the
  first), by a person's hand. Where the rule names none, the field is supposed to have just become what it is;
- somebody starts the rule: for every record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count as numbers
from time import monotonic

from sqlalchemy import Connection

from leadflow.domain.effects import SetCategory, SetField, SetLeadStatus
from leadflow.domain.events import Actor, ActorKind, Cause, Occurrence, Trigger
from leadflow.domain.fields import Value
from leadflow.domain.history import History, PastChange, PastEvent, Record
from leadflow.domain.records import Company, Contact, Records
from leadflow.rules.evaluation import RuleIndex
from leadflow.rules.model import Rule, RuleSet
from leadflow.services.acting import Ledger
from leadflow.services.gathering import Case, Gathered, Matcher
from leadflow.services.judging import Judge
from leadflow.services.plan_tallies import Tally
from leadflow.services.readings import Reading
from leadflow.services.runs import Run
from leadflow.services.suppositions import Supposition
from leadflow.sources.addresses import Address, company_domain_of
from leadflow.store.history import read_history
from leadflow.store.inbox import ClaimedEvent
from leadflow.store.limits import Limits, Subject, read_limits
from leadflow.store.lists import Lists
from leadflow.store.records import find_companies_by_domain, read_companies, read_contacts, read_contacts_of
from leadflow.store.suppositions import Candidates, NewestEvent, newest_events
from leadflow.store.turns import Turns
from leadflow.store.waiting import Waits, read_waits

PAGE = 1_000

# Where not all can be played through, some of so many stretches of the ids are: old and young records alike.
STRETCHES = 20

PLANNER = Cause(Actor(ActorKind.PERSON, None, "plan"))


@dataclass(frozen=True, slots=True)
class ForeseenEvents:
    """How many records may match, whether each was played through, and for how many the event had to be guessed.

    `by_newest` took what the event says from their newest one; of `unknown` nobody knows what it would say.
    """

    candidates: int
    is_complete: bool
    by_newest: int
    unknown: int


def foresee_events(
    connection: Connection,
    lists: Lists,
    rule_set: RuleSet,
    rule: Rule,
    supposition: Supposition,
    now: datetime,
    tally: Tally,
    *,
    most: int,
    deadline: float,
    on_progress: Callable[[int, int], object],
) -> ForeseenEvents:
    """Let it happen to every record that may match, up to `most` and until the monotonic clock says `deadline`."""
    candidates = Candidates(
        supposition.subject,
        supposition.asked_of_stored(rule.condition),
        now,
        has_email=supposition.trigger in (Trigger.FORM_SUBMITTED, Trigger.EVENT),
        has_open_sale=supposition.closes_a_sale,
    )
    found = candidates.count(connection)
    stage = _Stage(connection, lists, rule_set, rule, supposition, now)
    for ids in _pages(connection, candidates, found, most):
        for runs in stage.play(ids):
            tally.note(runs)
        on_progress(min(tally.judged, found), found)
        if monotonic() > deadline:
            break
    is_complete = stage.seen >= found
    return ForeseenEvents(found, is_complete, stage.by_newest, stage.unknown)


def _pages(connection: Connection, candidates: Candidates, found: int, most: int) -> Iterator[list[int]]:
    """The ids to play through, all of them or as many as may be, in such an order that whatever ends it is fair."""
    stretches, share = (STRETCHES, max(1, most // STRETCHES)) if found > most else (max(1, found // PAGE), found)
    first, last = candidates.span(connection)
    edges = [first + (last + 1 - first) * number // stretches for number in range(stretches + 1)]
    for number in from_all_over(stretches):
        cursor, left = edges[number] - 1, share
        while left > 0 and (ids := candidates.page(connection, cursor, edges[number + 1] - 1, min(PAGE, left))):
            yield ids
            cursor, left = ids[-1], left - len(ids)


def from_all_over(count: int) -> Iterator[int]:
    """The numbers below `count`, each once, the first few of them far apart: 0, 4, 2, 6, 1, 5, 3, 7."""
    bits = max(1, (count - 1).bit_length())
    for number in range(2**bits):
        turned = int(f"{number:0{bits}b}"[::-1], 2)
        if turned < count:
            yield turned


@dataclass(frozen=True)
class _Held:
    """What is known of one page of records, read once."""

    records: Records
    history: History
    limits: Mapping[tuple[str, int], Mapping[Subject, datetime]]
    waits: Waits
    newest: Mapping[int, NewestEvent]
    companies_by_domain: Mapping[str, int]


class _Supposed(History):
    """The past of a page's records, and what is supposed to have happened to one of them."""

    def __init__(self, past: History) -> None:
        super().__init__()
        self._past = past

    def events_of(self, record: Record, record_id: int) -> Sequence[PastEvent]:
        return [*self._past.events_of(record, record_id), *super().events_of(record, record_id)]

    def changes_of(self, path: str, record_id: int) -> Sequence[PastChange]:
        return [*self._past.changes_of(path, record_id), *super().changes_of(path, record_id)]

    def is_member(self, selection_id: int, record_id: int) -> bool:
        return self._past.is_member(selection_id, record_id)


@dataclass
class _Stage:
    """Lets what is supposed happen to records, each on copies of its own, and judges all rules of the draft."""

    connection: Connection
    lists: Lists
    rule_set: RuleSet
    rule: Rule
    supposition: Supposition
    now: datetime
    seen: int = 0
    by_newest: int = 0
    unknown: int = 0
    _known: RuleIndex = field(init=False)
    _hopeful: RuleIndex = field(init=False)
    _is_guessing: bool = field(init=False)

    def __post_init__(self) -> None:
        self._known = self._hopeful = RuleIndex(self.rule_set)
        self._is_guessing = self.supposition.depends_on_unknown(self.rule)
        if self._is_guessing:
            hopeful = self.supposition.hopeful(self.rule)
            rules = tuple(hopeful if one.slug == self.rule.slug else one for one in self.rule_set.rules)
            self._hopeful = RuleIndex(replace(self.rule_set, rules=rules))

    def play(self, ids: Sequence[int]) -> Iterator[list[Run]]:
        """The runs of each record to which it can happen, in the order of the ids."""
        held = self._read(ids)
        is_company = self.supposition.subject == "company"
        for record_id in ids:
            self.seen += 1
            if is_company:
                company, contact = held.records.companies.get(record_id), self._sender(held, record_id)
            else:
                contact = held.records.contacts.get(record_id)
                company = held.records.company_of(contact) if contact else None
            if (contact or company) is not None:
                yield from self._play_one(held, record_id, company, contact)

    # -- reading ---------------------------------------------------------------------------------------------------

    def _read(self, ids: Sequence[int]) -> _Held:
        newest = self._newest(ids)
        senders = {one.contact_id for one in newest.values() if one.contact_id is not None}
        records = Records(self.lists.lifecycle, self.lists.statuses, self.now)
        is_company, catalogue = self.supposition.subject == "company", self.lists.catalogue
        contacts = read_contacts(self.connection, catalogue, senders if is_company else ids)
        by_domain = self._companies_to_join(contacts)
        company_ids = {one.company_id for one in contacts if one.company_id is not None} | {*by_domain.values()}
        for company in read_companies(self.connection, catalogue, company_ids.union(ids if is_company else ())):
            records.hold_company(company)
        records.hold_contacts(contacts)
        entering = [one.id for one in records.companies.values() if self._needs_all_of(one)]
        records.hold_contacts(read_contacts_of(self.connection, catalogue, entering))
        return self._with_past(records, newest, by_domain)

    def _with_past(self, records: Records, newest: Mapping[int, NewestEvent], by_domain: Mapping[str, int]) -> _Held:
        keys = (records.companies.keys(), records.contacts.keys())
        index = self._known
        history = read_history(self.connection, self.lists.catalogue, index.past, *keys, self.now)
        limits: dict[tuple[str, int], dict[Subject, datetime]] = defaultdict(dict)
        for subject, at in read_limits(self.connection, index.limited_rules, *keys).acted_at.items():
            limits[subject[1], subject[2]][subject] = at
        return _Held(
            records, history, limits, read_waits(self.connection, index.waiting_rules, *keys), newest, by_domain
        )

    def _newest(self, ids: Sequence[int]) -> Mapping[int, NewestEvent]:
        supposed = self.supposition
        if supposed.root is None or supposed.trigger is Trigger.MANUAL:
            return {}
        is_event = supposed.trigger is Trigger.EVENT
        wanted = {} if is_event or supposed.trigger is Trigger.SALE else supposed.line.wants
        name = supposed.line.wants.get("name") if is_event else None
        catalogue = self.lists.catalogue
        return newest_events(self.connection, catalogue, supposed.subject, ids, supposed.trigger.value, name, wanted)

    def _companies_to_join(self, contacts: Sequence[Contact]) -> dict[str, int]:
        """By domain, the companies to which contacts without one belong by their address, as a form finds out."""
        if self.supposition.trigger not in (Trigger.FORM_SUBMITTED, Trigger.EVENT):
            return {}
        domains = {_domain_of(one) for one in contacts if one.company_id is None and one.category is None}
        return find_companies_by_domain(self.connection, [one for one in domains if one])

    def _needs_all_of(self, company: Company) -> bool:
        """Whether what happens to a company may concern all of its contacts."""
        lifecycle = self.lists.lifecycle
        may_concern_all = self._known.uses_all_contacts or lifecycle.can_reenter()
        return may_concern_all or not lifecycle.is_lead_status_active(company.category)

    def _sender(self, held: _Held, company_id: int) -> Contact | None:
        """The contact of a company's newest sale."""
        newest = held.newest.get(company_id)
        return held.records.contacts.get(newest.contact_id) if newest and newest.contact_id is not None else None

    # -- one record ------------------------------------------------------------------------------------------------

    def _play_one(
        self, held: _Held, record_id: int, company: Company | None, contact: Contact | None
    ) -> Iterator[list[Run]]:
        records = self._copies(held, company, contact)
        company = records.companies.get(company.id) if company else None
        contact = records.contacts.get(contact.id) if contact else None
        past = _Supposed(held.history)
        case = self._case(held, records, past, record_id, company, contact)
        if case is None:
            return
        newest = held.newest.get(record_id)
        is_unknown = self._is_guessing and newest is None
        self.unknown += is_unknown
        self.by_newest += self._is_guessing and newest is not None
        index = self._hopeful if is_unknown else self._known
        yield Judge(index, records, past, self._ledger(held, records), numbers(1)).judge(case)

    def _copies(self, held: _Held, company: Company | None, contact: Contact | None) -> Records:
        records = Records(self.lists.lifecycle, self.lists.statuses, self.now)
        joining = held.companies_by_domain.get(_domain_of(contact) or "") if contact and company is None else None
        for one in (company, held.records.companies.get(joining) if joining is not None else None):
            if one is not None:
                records.hold_company(replace(one))
                if self._needs_all_of(one):
                    records.hold_contacts(replace(other) for other in held.records.contacts_of(one.id))
        if contact is not None and contact.id not in records.contacts:
            records.hold_contacts([replace(contact)])
        return records

    def _ledger(self, held: _Held, records: Records) -> Ledger:
        acted_at: dict[Subject, datetime] = {}
        for company_id in records.companies:
            acted_at |= held.limits.get(("company", company_id), {})
        for contact_id in records.contacts:
            acted_at |= held.limits.get(("contact", contact_id), {})
        return Ledger(Limits(acted_at), Waits(dict(held.waits.open)), Turns(self.connection, is_rehearsal=True))

    def _case(
        self,
        held: _Held,
        records: Records,
        past: History,
        record_id: int,
        company: Company | None,
        contact: Contact | None,
    ) -> Case | None:
        """What happens, with the record as it then stands; None where it cannot happen to this one."""
        newest = held.newest.get(record_id)
        match self.supposition.trigger:
            case Trigger.FORM_SUBMITTED | Trigger.EVENT:
                return self._case_of_form(held, records, contact, newest) if contact else None
            case Trigger.SALE:
                return self._case_of_sale(records, company, contact, newest) if company else None
            case Trigger.RECORD_CHANGED:
                return self._case_of_change(records, past, company, contact)
            case trigger:
                return self._case_of_record(trigger, company, contact)

    def _case_of_form(self, held: _Held, records: Records, contact: Contact, newest: NewestEvent | None) -> Case | None:
        supposed, said = self.supposition, dict(newest.fields) if newest else {}
        said |= supposed.given
        domain = _domain_of(contact) if contact.company_id is None else None
        address = Address(contact.email or "", domain)
        event = self._event(supposed.trigger.value)
        if supposed.trigger is Trigger.EVENT:
            occurrence = Occurrence(Trigger.EVENT, {"name": supposed.line.wants.get("name")})
            reading = Reading(event, occurrence, address=address, form={"email": contact.email}, said=said)
        else:
            form = {**said, "email": contact.email}
            detail = {name: _text(form.get(name)) for name in ("form", "form_type")}
            reading = Reading(event, Occurrence(Trigger.FORM_SUBMITTED, detail), address=address, form=form)
        by_domain = dict(held.companies_by_domain)
        gathered = Gathered(records, [reading], [], by_domain, {contact.email or "": contact.id})
        return Matcher(self.connection, gathered, (numbers(-1, -1), numbers(-1, -1))).match(reading)

    def _case_of_sale(
        self, records: Records, company: Company, contact: Contact | None, newest: NewestEvent | None
    ) -> Case:
        """The number of open sales is as it is once the step is taken."""
        company.open_sales += -1 if self.supposition.closes_a_sale else 1
        records.touch("company", company)
        sale = {**(newest.fields if newest else {}), **self.supposition.given}
        occurrence = Occurrence(Trigger.SALE, {"step": self.supposition.step})
        return Case(Reading(self._event(Trigger.SALE.value), occurrence, sale=sale), company, contact)

    def _case_of_change(
        self, records: Records, past: History, company: Company | None, contact: Contact | None
    ) -> Case | None:
        record = contact if self.supposition.subject == "contact" else company
        path = self.supposition.watched
        change = self.supposition.change_of(_value_of(record, path)) if record is not None else None
        if record is None or change is None:
            return None
        old, new = change
        if self.supposition.writes_change and not self._write(records, path, new, company, contact):
            return None
        past.note_change(PastChange(path, record.id, old, new, self.now))
        occurrence = Occurrence(Trigger.RECORD_CHANGED, {"record": self.supposition.subject}, {path: (old, new)})
        return self._case_of_own(occurrence, company, contact)

    def _write(self, records: Records, path: str, new: Value, company: Company | None, contact: Contact | None) -> bool:
        """Change the field by a person's hand; whether that is possible."""
        if path == "company.category" and company is not None:
            if new is None:
                records.clear_category(company, PLANNER)
            else:
                records.apply(SetCategory(str(new)), company, None, PLANNER)
        elif path == "contact.category" and contact is not None:
            if contact.company_id is not None:
                return False
            records.set_own_category(contact, None if new is None else str(new), PLANNER)
        elif path == "contact.lead_status":
            if new is None or records.apply(SetLeadStatus(str(new)), company, contact, PLANNER).is_refused:
                return False
        elif path.endswith(".tags"):
            records.write_tags(contact or company, tuple(new) if isinstance(new, tuple) else (str(new),), PLANNER)  # type: ignore[arg-type]
        else:
            records.apply(SetField(path, new), company, contact, PLANNER)
        records.changes.clear()  # they are the person's, not a rule's
        return True

    def _case_of_record(self, trigger: Trigger, company: Company | None, contact: Contact | None) -> Case:
        """A record that is supposed to be new, or for which somebody starts the rule."""
        record = self.supposition.subject
        if trigger is Trigger.MANUAL:
            return self._case_of_own(Occurrence(trigger, {"record": record, "rule": self.rule.slug}), company, contact)
        one = contact if record == "contact" else company
        if one is not None:
            one.created_at = one.updated_at = self.now
        return self._case_of_own(Occurrence(Trigger.RECORD_CREATED, {"record": record}), company, contact)

    def _case_of_own(self, occurrence: Occurrence, company: Company | None, contact: Contact | None) -> Case:
        return Case(Reading(self._event(occurrence.trigger.value), occurrence), company, contact)

    def _event(self, kind: str) -> ClaimedEvent:
        return ClaimedEvent(0, "plan", kind, 0, self.now, None, b"", 0, 0)


def _domain_of(contact: Contact) -> str | None:
    return company_domain_of(contact.email.rpartition("@")[2]) if contact.email else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _value_of(record: Company | Contact, path: str) -> Value:
    name = path.partition(".")[2]
    if name.startswith("fields."):
        return record.fields.get(name.removeprefix("fields."))
    value: Value = getattr(record, name)
    return value or None if isinstance(value, tuple) else value
