"""The story of a batch: gather, decide, write — in one transaction that the door opened."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from leadflow.domain.events import Trigger
from leadflow.domain.records import Records
from leadflow.rules.evaluation import RuleIndex
from leadflow.services.acting import Ledger
from leadflow.services.gathering import Case, Gathered, Matcher, gather
from leadflow.services.judging import Judge
from leadflow.services.messages import write_messages
from leadflow.services.readings import Reading, read_event
from leadflow.services.rule_sets import RulesCache
from leadflow.services.runs import Run, run_as_row
from leadflow.services.source_book import as_book
from leadflow.sources.model import Source
from leadflow.store.history import read_history
from leadflow.store.inbox import ClaimedEvent, Settlement, find_overtaken, insert_runs, postpone, settle
from leadflow.store.limits import read_limits, write_limits
from leadflow.store.lists import Lists, ListsCache
from leadflow.store.proposals import insert_proposals
from leadflow.store.records import reserve_run_ids, write_records
from leadflow.store.turns import Turns
from leadflow.store.waiting import read_waits, write_waits

# How long an event waits whose company somebody else is writing to.
POSTPONED_FOR = timedelta(milliseconds=200)

RUN_IDS_AT_ONCE = 1_000


class RunIds:
    """Ids for traces, fetched a thousand at a time and kept for the next transaction; gaps do not matter."""

    def __init__(self) -> None:
        self._left: list[int] = []
        self._lock = threading.Lock()

    def draw(self, connection: Connection) -> Iterator[int]:
        """An endless supply."""
        while True:
            with self._lock:
                if not self._left:
                    self._left = reserve_run_ids(connection, RUN_IDS_AT_ONCE)[::-1]
                one = self._left.pop()
            yield one


@dataclass
class Desk:
    """What a worker process keeps between transactions: its sources, and the lists and rules it read last.

    `sources` are those of the files; what people made of them is read with the lists.
    """

    sources: Mapping[str, Source]
    lists: ListsCache = field(default_factory=ListsCache)
    rules: RulesCache = field(default_factory=RulesCache)
    run_ids: RunIds = field(default_factory=RunIds)

    def __post_init__(self) -> None:
        self.book = as_book(self.sources)


@dataclass(frozen=True, slots=True)
class Processed:
    """How many events of a batch were settled, which of them were held, and how many were put back for a moment."""

    settled: int
    held: tuple[int, ...]
    postponed: int


def process_events(connection: Connection, desk: Desk, events: Sequence[ClaimedEvent], now: datetime) -> Processed:
    """Give each event its effects, exactly once, in the order given.

    `events` were claimed in this transaction: their lanes are owned and the lists shared. All or nothing: an
    exception undoes all.
    """
    judged = judge_events(connection, desk, events, now)
    settle(connection, judged.settlements + judged.held, now)
    postpone(connection, judged.gathered.postponed, now + POSTPONED_FOR)
    write_outcome(connection, judged.lists, judged.gathered.records, judged.ledger, judged.runs, judged.index.version)
    held = tuple(one.event_id for one in judged.held)
    return Processed(len(judged.settlements) + len(held), held, len(judged.gathered.postponed))


@dataclass(frozen=True, slots=True)
class Judged:
    """What events would do, before any of it is written."""

    lists: Lists
    index: RuleIndex
    readings: list[Reading]
    gathered: Gathered
    ledger: Ledger
    cases: list[Case]
    runs: list[Run]
    settlements: list[Settlement]
    held: list[Settlement]


def judge_events(
    connection: Connection,
    desk: Desk,
    events: Sequence[ClaimedEvent],
    now: datetime,
    sources: Mapping[str, Source] | None = None,
) -> Judged:
    """Gather and decide: what each event does, with nothing written yet but the locks of its records.

    `sources` are others than those in force, to see what they would make of the events.
    """
    lists = desk.lists.read(connection)
    index = desk.rules.read(connection, lists)
    known = desk.book.read(connection, lists.revision) if sources is None else sources
    readings = [read_event(event, known, lists) for event in events]
    gathered = gather(
        connection, lists, [one for one in readings if one.held is None], now, all_contacts=index.uses_all_contacts
    )
    ledger = _open_ledger(connection, index, gathered)
    cases, runs = _decide(connection, desk, lists, index, gathered, ledger)
    settlements = [_settlement(case.reading, case) for case in cases]
    held = [
        Settlement(one.event.id, "held", error=one.held, type=one.event.type)
        for one in readings
        if one.held is not None
    ]
    return Judged(lists, index, readings, gathered, ledger, cases, runs, settlements, held)


def _open_ledger(connection: Connection, index: RuleIndex, gathered: Gathered) -> Ledger:
    """What the rules keep about the records that are held: when they acted last, and where they still wait."""
    companies, contacts = gathered.records.companies.keys(), gathered.records.contacts.keys()
    # Rules that wait may have been changed since: what waits of them is still theirs.
    resumed = {one.resumption.rule for one in gathered.readings if one.resumption}
    return Ledger(
        read_limits(connection, index.limited_rules, companies, contacts),
        read_waits(connection, resumed.union(index.waiting_rules), companies, contacts),
        Turns(connection),
    )


def _decide(
    connection: Connection, desk: Desk, lists: Lists, index: RuleIndex, gathered: Gathered, ledger: Ledger
) -> tuple[list[Case], list[Run]]:
    matcher = Matcher(connection, gathered)
    records = gathered.records
    ids = (records.companies.keys(), records.contacts.keys())
    history = read_history(connection, lists.catalogue, index.past, *ids, records.now)
    judge = Judge(index, records, history, ledger, desk.run_ids.draw(connection))
    overtaken = find_overtaken(connection, [one.event.id for one in gathered.readings if one.open_sales is not None])
    cases: list[Case] = []
    runs: list[Run] = []
    for reading in gathered.readings:
        case = matcher.match(reading)
        if reading.event.id not in overtaken:
            _count_open_sales(case, gathered)
        runs += judge.judge(case)
        cases.append(case)
    return cases, runs


def _count_open_sales(case: Case, gathered: Gathered) -> None:
    """Sales are counted as of the event's place in the order of acceptance, not as of now.

    An event that was overtaken (replayed after later ones) has no such place any more.
    """
    count = case.reading.open_sales
    if count is not None and case.company is not None and case.company.open_sales != count:
        case.company.open_sales = count
        gathered.records.touch("company", case.company)


def _settlement(reading: Reading, case: Case) -> Settlement:
    return Settlement(
        reading.event.id,
        "processed",
        case.company.id if case.company else None,
        case.contact.id if case.contact else None,
        reading.fields_as_json(),
        type=Trigger.EVENT.value if reading.name else reading.event.type,
        name=reading.name,
    )


def write_outcome(
    connection: Connection, lists: Lists, records: Records, ledger: Ledger, runs: Sequence[Run], version: int
) -> None:
    """Write what the rules did: traces, limits, waits, turns, proposals, messages, then the records and the ledger."""
    now = records.now
    insert_runs(connection, [run_as_row(run, version, now) for run in runs])
    write_limits(connection, ledger.limits)
    write_waits(connection, ledger.waits, now)
    ledger.turns.write()
    insert_proposals(connection, ledger.proposals, now)
    write_messages(connection, lists, records, version)
    write_records(connection, records)
