"""The plan of a scheduled rule: its sweep, page by page, with nothing locked and nothing written.

It counts with the sweep's own statement, finds with the sweep's own statement, and lets the sweep's own judge act on
the records as they are read. Between pages it remembers what a sweep would have written: which companies are decided,
whom the limit holds back, and the values that later contacts of the same company would find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count as numbers
from itertools import pairwise
from time import monotonic
from typing import Any

from sqlalchemy import Connection

from leadflow.domain.history import History, PastChange
from leadflow.domain.records import Change, Company, Contact, Records
from leadflow.rules.evaluation import RuleIndex
from leadflow.rules.model import Rule
from leadflow.services.acting import Ledger
from leadflow.services.judging import Judge
from leadflow.services.plan_tallies import Tally
from leadflow.services.sweeps import EVERYTHING, REHEARSAL_ID, judge_in_turn, make_plan, reaches_others
from leadflow.store.history import read_history
from leadflow.store.limits import Limits, Subject, read_limits
from leadflow.store.lists import Lists
from leadflow.store.records import read_companies, read_contacts, read_contacts_of
from leadflow.store.sweeps.counting import FLAGGED, GUARDED, count
from leadflow.store.sweeps.counting import Tally as Counted
from leadflow.store.sweeps.pages import PageStatements
from leadflow.store.sweeps.plans import SweepPlan
from leadflow.store.sweeps.refusals import count_refusals
from leadflow.store.turns import Turns
from leadflow.store.waiting import read_waits

PAGE = 1_000


@dataclass(frozen=True, slots=True)
class ForeseenSweep:
    """What counting found, whether everybody it found was played through, and whether it knows who would change."""

    counted: Counted
    is_complete: bool
    knows_changes: bool


@dataclass
class _Carried:
    """What the pages so far would have left behind for the pages that follow."""

    turns: Turns
    decided: set[int] = field(default_factory=set)
    limits: dict[int, dict[Subject, datetime]] = field(default_factory=dict)
    values: dict[tuple[str, int], list[Change]] = field(default_factory=dict)

    def put_on(self, records: Records, limits: Limits, history: History, now: datetime) -> None:
        """Let everything stand as the earlier pages would have left it."""
        held: list[tuple[str, Company | Contact]] = [("company", one) for one in records.companies.values()]
        held += [("contact", one) for one in records.contacts.values()]
        for entity, record in held:
            for change in self.values.get((entity, record.id), ()):
                _write(record, change)
                history.note_change(PastChange(change.path, record.id, change.old, change.new, now))  # type: ignore[arg-type]
        for company_id in records.companies:
            limits.acted_at |= self.limits.get(company_id, {})

    def take(self, records: Records, limits: Limits, last_id: int) -> None:
        """Keep what the page would have written, as far as a later page may come upon it."""
        for subject, (at, _) in limits.noted.items():
            if subject[1] == "company":
                self.limits.setdefault(subject[2], {})[subject] = at
        for change in records.changes:
            if change.entity == "company" or change.entity_id > last_id:
                self.values.setdefault((change.entity, change.entity_id), []).append(change)


def _write(record: Company | Contact, change: Change) -> None:
    if change.field.startswith("fields."):
        own: Any = change.new
        record.fields = {**record.fields, change.field.removeprefix("fields."): own}
    else:
        setattr(record, change.field, () if change.field == "tags" and change.new is None else change.new)


def foresee_sweep(
    connection: Connection,
    lists: Lists,
    index: RuleIndex,
    rule: Rule,
    now: datetime,
    tally: Tally,
    *,
    most: int,
    deadline: float,
    on_progress: Callable[[int, int], object],
) -> ForeseenSweep:
    """Play a sweep of the rule through, up to about `most` records and until the monotonic clock says `deadline`.

    One page is always played: a plan without an example says little.
    """
    plan = make_plan(lists, index, rule, now)
    counted = count(connection, plan)
    tally.refusals.update(_refusals(connection, plan, counted))
    carried = _Carried(Turns(connection, is_rehearsal=True))
    for ids in _pages(connection, plan, counted):
        if tally.judged and (tally.judged >= most or monotonic() > deadline):
            return ForeseenSweep(counted, is_complete=False, knows_changes=plan.effects is not None)
        _play_page(connection, plan, index, ids, now, tally, carried)
        on_progress(tally.judged, counted.matching)
    return ForeseenSweep(counted, is_complete=True, knows_changes=True)


def _refusals(connection: Connection, plan: SweepPlan, counted: Counted) -> dict[str, int]:
    """Why records that satisfy the condition are not found: what the judge never gets to see."""
    lost = {label: before - left for (_, before), (label, left) in pairwise(counted.funnel)}
    found = count_refusals(connection, plan) if lost.get(GUARDED) and plan.effects is not None else {}
    if flagged := lost.get(FLAGGED):
        found["The record or its company is marked “do not automate”."] = flagged
    return found


def _pages(connection: Connection, plan: SweepPlan, counted: Counted) -> Iterator[Sequence[int]]:
    """The ids of the records that the sweep would find, a page at a time."""
    if counted.ids is not None:
        for start in range(0, len(counted.ids), PAGE):
            yield counted.ids[start : start + PAGE].tolist()
        return
    statements, cursor = PageStatements(plan), -1
    while (found := statements.find(connection, REHEARSAL_ID, cursor, EVERYTHING, PAGE)) is not None and found.ids:
        yield found.ids
        cursor = found.last_id


def _play_page(
    connection: Connection,
    plan: SweepPlan,
    index: RuleIndex,
    ids: Sequence[int],
    now: datetime,
    tally: Tally,
    carried: _Carried,
) -> None:
    records = _read(connection, plan, index, ids, now)
    companies, contacts = records.companies.keys(), records.contacts.keys()
    limits = read_limits(connection, index.limited_rules, companies, contacts)
    history = read_history(connection, plan.lists.catalogue, index.past, companies, contacts, now)
    carried.put_on(records, limits, history, now)
    ledger = Ledger(limits, read_waits(connection, index.waiting_rules, companies, contacts), carried.turns)
    judge = Judge(index, records, history, ledger, numbers(1))
    for runs in judge_in_turn(judge, plan, records, limits, carried.decided, ids, REHEARSAL_ID):
        tally.note(runs)
    if plan.subject == "contact":
        carried.take(records, limits, ids[-1])


def _read(connection: Connection, plan: SweepPlan, index: RuleIndex, ids: Sequence[int], now: datetime) -> Records:
    """What a sweep would lock, read."""
    records = Records(plan.lists.lifecycle, plan.lists.statuses, now)
    catalogue = plan.lists.catalogue
    contacts = read_contacts(connection, catalogue, ids) if plan.subject == "contact" else []
    company_ids = {one.company_id for one in contacts if one.company_id is not None} if contacts else set(ids)
    for company in read_companies(connection, catalogue, company_ids):
        records.hold_company(company)
    records.hold_contacts(contacts)
    if reaches_others(plan, index):
        records.hold_contacts(read_contacts_of(connection, catalogue, sorted(company_ids)))
    return records
