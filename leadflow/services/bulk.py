"""The story of a bulk change: look first, then do it page by page, with a reason for every record left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from leadflow.domain.effects import AddTag, Effect, RemoveTag, SetCategory, SetField, SetLeadStatus
from leadflow.domain.events import Actor, Cause, Trigger
from leadflow.domain.fields import UnreadableValue, read_text
from leadflow.domain.lifecycle import MoveDecision, Verdict
from leadflow.domain.records import Company, Contact, Records
from leadflow.errors import Fault, InvalidRequest, Refused
from leadflow.services.record_drafts import read_company_draft, read_contact_draft
from leadflow.services.records import announce, open_records
from leadflow.services.searches import SearchDesk, read_search
from leadflow.store import bulk_changes
from leadflow.store.bulk_changes import BulkChange
from leadflow.store.conditions import Subject, render
from leadflow.store.lists import Lists
from leadflow.store.record_lists import QuickFilters
from leadflow.store.records import (
    find_companies_of_contacts,
    lock_companies,
    lock_contacts,
    read_companies,
    read_contacts,
    read_contacts_of,
    write_records,
)
from leadflow.store.searches import Count, Walk, estimate_found, id_of

PAGE_SIZE = 200
PREVIEW_SIZE = 1_000
SAMPLE_SIZE = 8
MAX_TICKED = 1_000

FIELDS: Mapping[Subject, tuple[str, ...]] = {
    "company": ("category", "owner", "add_tag", "remove_tag"),
    "contact": ("lead_status", "category", "add_tag", "remove_tag"),
}
ALREADY_SO = "It is so already."
OF_THE_COMPANY = "The category is the company’s: change it there, not on its contacts."
MOVED_AWAY = "It was moved to another company at this moment."
IS_GONE = "There is no such record any more."


@dataclass(frozen=True, slots=True)
class BulkEffect:
    """What is to be done to each record: a field of `FIELDS`, and its new value (a key, a text; None: nothing)."""

    field: str
    value: str | None

    def on(self, subject: Subject) -> Effect:
        """The same as the domain does it; taking a category away is no effect, people alone do that."""
        path = subject
        match self.field:
            case "category":
                return SetCategory(self.value or "")
            case "lead_status":
                return SetLeadStatus(self.value or "")
            case "owner":
                return SetField("company.owner", self.value)
            case "add_tag":
                return AddTag(path, self.value or "")
            case _:
                return RemoveTag(path, self.value or "")


@dataclass(frozen=True)
class Target:
    """The records that are meant: those ticked, or all that the criteria and quick filters of a list find."""

    subject: Subject
    record_ids: Sequence[int] | None = None
    where: Any | None = None
    quick: QuickFilters = field(default_factory=QuickFilters)

    def to_json(self) -> dict[str, Any]:
        quick = self.quick
        return {"where": self.where, "q": quick.q, "category": quick.category, "status": quick.status}


def target_of(bulk: BulkChange) -> Target:
    """The records that a bulk change is about."""
    said = bulk.criteria
    quick = QuickFilters(said.get("q", ""), said.get("category", ""), said.get("status", ""))
    return Target(bulk.subject, bulk.record_ids, said.get("where"), quick)


@dataclass(frozen=True, slots=True)
class Sample:
    """A record and what would become of it."""

    record_id: int
    old: Any
    new: Any


@dataclass
class Judged:
    """What a change does to some records: old and new value by id, and the reason of each one left out.

    `flagged` of those that change are marked “do not automate”, which does not bind people.
    """

    changed: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    left_out: dict[int, str] = field(default_factory=dict)
    flagged: int = 0


@dataclass(frozen=True)
class Preview:
    """What a change would do, judged on the first `looked_at` records; `is_whole` if there are no more."""

    looked_at: int
    is_whole: bool
    changed: int
    flagged: int
    samples: list[Sample]
    reasons: dict[str, int]
    count: Count


def read_effect(lists: Lists, subject: Subject, name: str, raw: str | None) -> BulkEffect:
    """What a form asks for. Raises: InvalidRequest with a sentence."""
    if name not in FIELDS[subject]:
        raise InvalidRequest([Fault("field", "Choose what to change.")])
    value = (raw or "").strip() or None
    if name in ("category", "lead_status"):
        read = read_company_draft if name == "category" else read_contact_draft
        return BulkEffect(name, read(lists, {name: value})[name])
    try:
        text = read_text(value) if value else None
    except UnreadableValue as fault:
        raise InvalidRequest([Fault("value", str(fault))]) from None
    if text is None and name != "owner":
        raise InvalidRequest([Fault("value", "Write the tag.")])
    return BulkEffect(name, text)


# Looking --------------------------------------------------------------------------------------------------------------


def preview(
    connection: Connection, desk: SearchDesk, target: Target, effect: BulkEffect, actor: Actor, now: datetime
) -> Preview:
    """What the change would do; nothing is locked and nothing is written. Raises: InvalidRequest."""
    lists = desk.read(connection)[0]
    ids = _next_ids(connection, desk, target, 0, _newest_id(connection, target.subject), PREVIEW_SIZE + 1, now)
    looked_at = ids[:PREVIEW_SIZE]
    records = Records(lists.lifecycle, lists.statuses, now)
    judged = _judge(connection, lists, records, target.subject, effect, looked_at, actor, is_locked=False)
    count = expected(connection, desk, target, now)
    return Preview(
        len(looked_at),
        len(ids) <= PREVIEW_SIZE,
        len(judged.changed),
        judged.flagged,
        [Sample(one, *judged.changed[one]) for one in list(judged.changed)[:SAMPLE_SIZE]],
        dict(Counter(judged.left_out.values()).most_common()),
        count,
    )


def expected(connection: Connection, desk: SearchDesk, target: Target, now: datetime) -> Count:
    """How many records are meant, about."""
    if target.record_ids is not None:
        return Count(len(set(target.record_ids)))
    lists = desk.read(connection)[0]
    condition = read_search(connection, desk, target.subject, target.where, None).condition
    narrowing = target.quick.narrowing(target.subject, lists.lifecycle)
    return estimate_found(connection, target.subject, condition, now, narrowing)


def _newest_id(connection: Connection, subject: Subject) -> int:
    return connection.scalar(select(func.max(id_of(subject)))) or 0


def _next_ids(
    connection: Connection, desk: SearchDesk, target: Target, last: int, until: int, size: int, now: datetime
) -> list[int]:
    """The records that come next, in the order of their ids."""
    if target.record_ids is not None:
        return sorted({one for one in target.record_ids if one > last})[:size]
    lists = desk.read(connection)[0]
    condition = read_search(connection, desk, target.subject, target.where, None).condition
    one = id_of(target.subject)
    narrowing = (*target.quick.narrowing(target.subject, lists.lifecycle), one > last, one <= until)
    window = Walk(target.subject, render(condition, target.subject, now), None, narrowing).window(
        connection, None, size
    )
    return window.ids if window else []


# Judging --------------------------------------------------------------------------------------------------------------


def _judge(
    connection: Connection,
    lists: Lists,
    records: Records,
    subject: Subject,
    effect: BulkEffect,
    ids: Sequence[int],
    actor: Actor,
    *,
    is_locked: bool,
) -> Judged:
    """Apply the change to the records as they are held, and note what it did to each."""
    judged, cause, done = Judged(), Cause(actor), effect.on(subject)
    holding = _hold_companies if subject == "company" else _hold_contacts
    held = holding(connection, lists, records, effect, ids, is_locked)
    for record_id in ids:
        record = held.get(record_id)
        if record is None:
            judged.left_out[record_id] = IS_GONE
        elif (
            isinstance(record, Contact)
            and record.company_id is not None
            and not records.companies.get(record.company_id)
        ):
            judged.left_out[record_id] = MOVED_AWAY
        else:
            _judge_one(records, effect, done, record, cause, judged)
    return judged


def _hold_companies(
    connection: Connection, lists: Lists, records: Records, effect: BulkEffect, ids: Sequence[int], is_locked: bool
) -> dict[int, Company | Contact]:
    read = lock_companies if is_locked else read_companies
    held = read(connection, lists.catalogue, ids)
    for company in held:
        records.hold_company(company)
    if effect.field == "category":
        records.hold_contacts(read_contacts_of(connection, lists.catalogue, [one.id for one in held]))
    return {one.id: one for one in held}


def _hold_contacts(
    connection: Connection, lists: Lists, records: Records, effect: BulkEffect, ids: Sequence[int], is_locked: bool
) -> dict[int, Company | Contact]:
    """The contacts and their companies, locked in the order that everybody keeps."""
    company_ids = find_companies_of_contacts(connection, ids)
    for company in (lock_companies if is_locked else read_companies)(connection, lists.catalogue, company_ids):
        records.hold_company(company)
    held = (lock_contacts if is_locked else read_contacts)(connection, lists.catalogue, ids)
    records.hold_contacts(held)
    return {one.id: one for one in held}


def _judge_one(
    records: Records, effect: BulkEffect, done: Effect, record: Company | Contact, cause: Cause, judged: Judged
) -> None:
    old = _value_of(effect, record)
    decision = _apply(records, effect, done, record, cause)
    if decision.verdict is Verdict.UNCHANGED or (decision.is_allowed and _value_of(effect, record) == old):
        judged.left_out[record.id] = ALREADY_SO
    elif not decision.is_allowed:
        judged.left_out[record.id] = decision.reason
    else:
        judged.changed[record.id] = (old, _value_of(effect, record))
        judged.flagged += record.do_not_automate


def _apply(records: Records, effect: BulkEffect, done: Effect, record: Company | Contact, cause: Cause) -> MoveDecision:
    if isinstance(record, Company):
        if effect.field == "category" and effect.value is None:
            records.clear_category(record, cause)
            return MoveDecision(Verdict.ALLOWED)
        return records.apply(done, record, None, cause).decision
    if effect.field == "category":
        if record.company_id is not None:
            return MoveDecision(Verdict.NO_COMPANY, OF_THE_COMPANY)
        return records.set_own_category(record, effect.value, cause)
    return records.apply(done, records.company_of(record), record, cause).decision


def _value_of(effect: BulkEffect, record: Company | Contact) -> Any:
    return record.tags if effect.field.endswith("_tag") else getattr(record, effect.field)


# Doing ----------------------------------------------------------------------------------------------------------------


def start_bulk(
    connection: Connection, desk: SearchDesk, target: Target, effect: BulkEffect, actor: Actor, now: datetime
) -> int:
    """Begin a bulk change; its id. `run_page` does it. Raises: InvalidRequest."""
    if target.record_ids is not None and not 0 < len(target.record_ids) <= MAX_TICKED:
        raise InvalidRequest(f"Choose between 1 and {MAX_TICKED:,} records.")
    return bulk_changes.start(
        connection,
        {
            "subject": target.subject,
            "effect": {"field": effect.field, "value": effect.value},
            "criteria": target.to_json(),
            "record_ids": None if target.record_ids is None else sorted(set(target.record_ids)),
            "state": "running",
            "until_id": _newest_id(connection, target.subject),
            "expected": expected(connection, desk, target, now).shown,
            "account_id": int(actor.id or 0),
            "actor_name": actor.name,
            "created_at": now,
        },
    )


def run_page(connection: Connection, desk: SearchDesk, bulk_id: int, actor: Actor, now: datetime) -> BulkChange:
    """Change the next records; what stands afterwards. One that has ended stays as it is.

    The criteria are asked again for each page, and every record is judged under its lock.

    Raises: NotFound, Refused for anybody but who started it.
    """
    bulk = bulk_changes.read(connection, bulk_id, is_locked=True)
    if bulk.state != "running":
        return bulk
    _require_owner(bulk, actor)
    lists, records = open_records(connection, actor, now)
    target, effect = target_of(bulk), BulkEffect(**bulk.effect)
    ids = _next_ids(connection, desk, target, bulk.last_id, bulk.until_id, PAGE_SIZE, bulk.created_at)
    judged = _judge(connection, lists, records, bulk.subject, effect, ids, actor, is_locked=True)
    _announce_all(connection, records, bulk.subject, judged)
    write_records(connection, records)
    is_last = len(ids) < PAGE_SIZE
    values = {
        "last_id": ids[-1] if ids else bulk.last_id,
        "seen": bulk.seen + len(ids),
        "changed": bulk.changed + len(judged.changed),
        "state": "done" if is_last else "running",
        "ended_at": now if is_last else None,
    }
    bulk_changes.note_page(connection, bulk_id, judged.left_out, values)
    return bulk_changes.read(connection, bulk_id)


def _announce_all(connection: Connection, records: Records, subject: Subject, judged: Judged) -> None:
    for record_id in judged.changed:
        contact = records.contacts[record_id] if subject == "contact" else None
        company = records.companies[record_id] if contact is None else records.company_of(contact)
        announce(connection, records, Trigger.RECORD_CHANGED, subject, company, contact)


def stop_bulk(connection: Connection, bulk_id: int, actor: Actor, now: datetime) -> None:
    """End a bulk change before its time; what is changed stays changed. Raises: NotFound, Refused."""
    bulk = bulk_changes.read(connection, bulk_id, is_locked=True)
    _require_owner(bulk, actor)
    if bulk.state == "running":
        bulk_changes.note_page(connection, bulk_id, {}, {"state": "stopped", "ended_at": now})


def _require_owner(bulk: BulkChange, actor: Actor) -> None:
    """The ledger names one person for all of a bulk change."""
    if str(bulk.account_id) != actor.id:
        raise Refused(f"{bulk.actor_name} started this change; nobody else goes on with it.")
