"""Sweep: count first, brake before too much would change, then page after page until every record was looked at."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from leadflow.domain.history import Record
from leadflow.domain.records import Company, Contact, Records
from leadflow.errors import Conflict, NotFound
from leadflow.rules.evaluation import RuleIndex, is_in_force
from leadflow.rules.model import Outcome, Rule
from leadflow.services.acting import Ledger
from leadflow.services.judging import Judge
from leadflow.services.processing import Desk, write_outcome
from leadflow.services.rule_sets import RulesCache
from leadflow.services.runs import Run
from leadflow.store.history import read_history
from leadflow.store.limits import Limits, read_limits
from leadflow.store.lists import Lists, share_lists
from leadflow.store.records import lock_companies, lock_contacts, read_contacts_of
from leadflow.store.sweeps import queue
from leadflow.store.sweeps.counting import Ids, Tally, count
from leadflow.store.sweeps.pages import Found, Locked, PageStatements
from leadflow.store.sweeps.plans import SweepPlan, may_write_company, set_based_effects
from leadflow.store.sweeps.queue import Counted, Sweep
from leadflow.store.sweeps.reads import FunnelLine, Sample, read_samples
from leadflow.store.turns import Turns
from leadflow.store.waiting import read_waits

# A sweep that would change more than this stops before it writes, and waits for a person.
MAX_CHANGES = 500
MAX_SHARE = 0.05

# After each failed page the next attempt waits so long; after the last one the sweep has failed.
BACKOFF = (timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2))

# So often a page may take its worker with it, or its connection; then the sweep has failed.
MAX_STARTS = 5

SAMPLES = 20
EVERYTHING = 2**62

# A dry run belongs to no sweep; what it does is taken back.
REHEARSAL_ID = 0


@dataclass(frozen=True, slots=True)
class PageSize:
    """How many ids one page looks at, and how many records it changes, at most."""

    span: int = 50_000
    limit: int = 2_000


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a sweep is after one transaction."""

    sweep_id: int
    state: str
    seen: int = 0
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a sweep would do now: the funnel, how many records it would change, some of them, and what brakes it."""

    version: int
    subject: Record
    funnel: Sequence[FunnelLine]
    matching: int
    max_changes: int
    samples: Sequence[Sample]

    @property
    def is_braked(self) -> bool:
        return self.matching > self.max_changes


@dataclass(frozen=True, slots=True)
class Remembered:
    """Whom this process found when it counted a sweep's records, so that its pages need not look for them again.

    They are judged again when they are locked. A process that did not count looks for itself.
    """

    sweep_id: int
    evaluated_at: datetime
    ids: Ids

    def after(self, cursor: int, limit: int) -> Found | None:
        """The next records; None where there are no more."""
        start = bisect_right(self.ids, cursor)
        ids = self.ids[start : start + limit].tolist()
        return Found(ids, ids[-1], is_last=start + limit >= len(self.ids)) if ids else None


@dataclass
class Workbench:
    """What a process keeps between pages. `max_changes` of None is 500 or 5 % of the records, whichever is more."""

    desk: Desk
    max_changes: int | None = None
    _pinned: RulesCache = field(default_factory=RulesCache)
    _statements: PageStatements | None = None
    _key: tuple[int, int, datetime] | None = None
    _remembered: Remembered | None = None

    def live(self, connection: Connection) -> tuple[Lists, RuleIndex]:
        """The lists and the live rules."""
        lists = self.desk.lists.read(connection)
        return lists, self.desk.rules.read(connection, lists)

    def rules_of(self, connection: Connection, lists: Lists, version: int) -> RuleIndex:
        """The rules of the version that a sweep began with."""
        if lists.live_version == version:
            return self.desk.rules.read(connection, lists)
        return self._pinned.read(connection, replace(lists, live_version=version))

    def statements(self, sweep: Sweep, lists: Lists, index: RuleIndex, evaluated_at: datetime) -> PageStatements:
        """The statements of a sweep; made again only for another sweep, or when a list changed."""
        key = (sweep.id, lists.revision, evaluated_at)
        if self._statements is None or key != self._key:
            plan = make_plan(lists, index, index.running[sweep.rule], evaluated_at)
            self._statements, self._key = PageStatements(plan), key
        return self._statements

    def remember(self, sweep_id: int, evaluated_at: datetime, ids: Ids | None) -> None:
        """Keep whom counting found, for the pages that follow."""
        self._remembered = None if ids is None else Remembered(sweep_id, evaluated_at, ids)

    def find(self, connection: Connection, statements: PageStatements, sweep: Sweep, size: PageSize) -> Found | None:
        """The next records of a sweep; None where there are no more."""
        known = self._remembered
        if known is not None and (known.sweep_id, known.evaluated_at) == (sweep.id, sweep.evaluated_at):
            return known.after(sweep.cursor, size.limit)
        return statements.find(connection, sweep.id, sweep.cursor, size.span, size.limit)

    def allowed_changes(self, tally: Tally) -> int:
        """How many records a sweep may change without a person's word."""
        if self.max_changes is not None:
            return self.max_changes
        return max(MAX_CHANGES, int(tally.total * MAX_SHARE))


def make_plan(lists: Lists, index: RuleIndex, rule: Rule, evaluated_at: datetime) -> SweepPlan:
    """How the rule is swept: by statements on sets where they do all that the rule asks, else record by record."""
    schedule = rule.schedule
    if schedule is None:
        raise LookupError(f"{rule.slug} has no schedule")
    subject = schedule.for_each
    effects = None if _is_listened_to(index, rule) else set_based_effects(rule, subject, lists)
    return SweepPlan(rule, index.version, subject, evaluated_at, lists, effects)


def _is_listened_to(index: RuleIndex, rule: Rule) -> bool:
    """Whether another rule takes up what this one writes."""
    watched = {
        path
        for one in index.running.values()
        if one.also_from_rules and one.slug != rule.slug
        for line in one.triggers
        for path in line.watched
    }
    written = {_path_of(one.writes) for one in rule.actions if one.writes}
    if "company.category" in written:
        written.add("contact.lead_status")  # a company that enters an enabled category opens its contacts
    return not watched.isdisjoint(written)


def _path_of(written: str) -> str:
    """`contact.tags[hot]` is the field contact.tags."""
    return written.partition("[")[0]


# -- what people ask for -----------------------------------------------------------------------------------------------


def start_sweep(connection: Connection, desk: Desk, slug: str, actor_name: str, now: datetime) -> int:
    """A sweep of a scheduled rule, out of its turn; its id. Raises: NotFound, Conflict."""
    lists = desk.lists.read(connection)
    rule = _scheduled(desk.rules.read(connection, lists), slug)
    if not is_in_force(rule, now):
        raise Conflict(f"The rule {slug} is outside its dates.")
    if (earlier := queue.unfinished_of(connection, slug)) is not None:
        raise Conflict(f"The rule {slug} is being swept already, by sweep {earlier}.", earlier)
    sweep_id = queue.add_sweep(connection, slug, now, "person", actor_name, now)
    if sweep_id is None:
        raise Conflict(f"A sweep of the rule {slug} has just been started.")
    return sweep_id


def rehearse(connection: Connection, bench: Workbench, slug: str, now: datetime) -> Rehearsal:
    """What a sweep of the rule would do now; nothing of it stays. Raises: NotFound."""
    share_lists(connection)
    lists, index = bench.live(connection)
    plan = make_plan(lists, index, _scheduled(index, slug), now)
    tally = count(connection, plan)
    trial = connection.begin_nested()
    try:
        statements = PageStatements(plan)
        found = statements.find(connection, REHEARSAL_ID, -1, EVERYTHING, SAMPLES)
        if found is not None:
            _act(connection, bench, index, statements, REHEARSAL_ID, found.ids, now)
        samples = read_samples(connection, REHEARSAL_ID, slug, SAMPLES)
    finally:
        trial.rollback()
    funnel = [FunnelLine(what, records) for what, records in tally.funnel]
    return Rehearsal(index.version, plan.subject, funnel, tally.matching, bench.allowed_changes(tally), samples)


def _scheduled(index: RuleIndex, slug: str) -> Rule:
    rule = index.running.get(slug)
    if rule is None or rule.schedule is None:
        raise NotFound(f"There is no running rule {slug} with a schedule.")
    return rule


def approve_sweep(connection: Connection, sweep_id: int, actor_name: str) -> None:
    """Let a braked sweep run anyway: its records are counted anew, and as many as before may be changed.

    Raises: NotFound, Conflict.
    """
    sweep = _locked(connection, sweep_id)
    if sweep.state != "braked":
        raise Conflict(f"Sweep {sweep_id} is {sweep.state}; only a braked one waits for a decision.")
    queue.approve(connection, sweep_id, actor_name)


def cancel_sweep(connection: Connection, sweep_id: int, actor_name: str, now: datetime) -> None:
    """End a sweep where it is; what it changed so far stays. Raises: NotFound, Conflict."""
    sweep = _locked(connection, sweep_id)
    if sweep.state not in ("waiting", "running", "braked"):
        raise Conflict(f"Sweep {sweep_id} is {sweep.state} already.")
    queue.finish(connection, sweep_id, "cancelled", now, f"Cancelled by {actor_name}.")


def _locked(connection: Connection, sweep_id: int) -> Sweep:
    sweep = queue.lock_sweep(connection, sweep_id)
    if sweep is None:
        raise NotFound(f"There is no sweep {sweep_id}.")
    return sweep


# -- one transaction of a sweep ----------------------------------------------------------------------------------------


def advance(
    connection: Connection, bench: Workbench, sweep_id: int, now: datetime, size: PageSize, *, waits: bool = False
) -> Progress | None:
    """Count the sweep's records, or do its next page. None if it is finished, or another worker is at it.

    The transaction is the caller's. All or nothing: a worker that dies leaves the sweep at its last page.
    """
    share_lists(connection)
    sweep = queue.claim(connection, sweep_id, waits=waits)
    if sweep is None:
        return None
    if sweep.starts > MAX_STARTS:
        return _end(
            connection,
            sweep,
            "failed",
            now,
            f"It was given up: {MAX_STARTS} workers stopped in the middle of its next page. See their logs.",
        )
    if sweep.state == "waiting" or sweep.evaluated_at is None or sweep.version is None:
        return _count(connection, bench, sweep, now)
    return _page(connection, bench, sweep, sweep.version, sweep.evaluated_at, now, size)


def _count(connection: Connection, bench: Workbench, sweep: Sweep, now: datetime) -> Progress:
    lists, index = bench.live(connection)
    rule = index.running.get(sweep.rule)
    if rule is None or rule.schedule is None or not is_in_force(rule, now):
        return _end(connection, sweep, "cancelled", now, "The rule no longer runs on a schedule.")
    plan = make_plan(lists, index, rule, now)
    tally = count(connection, plan)
    state = "braked" if tally.matching > _allowed(bench, sweep, tally) else "running"
    queue.overtake_braked(connection, sweep.rule, sweep.id, now)
    counted = Counted(index.version, plan.subject, now, tally.funnel, tally.matching)
    queue.note_counted(connection, sweep.id, counted, state)
    bench.remember(sweep.id, now, tally.ids)
    if tally.matching == 0:
        return _end(connection, sweep, "done", now)
    return Progress(sweep.id, state)


def _allowed(bench: Workbench, sweep: Sweep, tally: Tally) -> int:
    """A person has agreed to the number that was counted before, not to whatever it has become."""
    agreed = sweep.matching if sweep.is_approved and sweep.matching else 0
    return agreed + bench.allowed_changes(tally)


def _end(connection: Connection, sweep: Sweep, state: str, now: datetime, reason: str | None = None) -> Progress:
    queue.finish(connection, sweep.id, state, now, reason)
    return Progress(sweep.id, state)


def _page(
    connection: Connection,
    bench: Workbench,
    sweep: Sweep,
    version: int,
    evaluated_at: datetime,
    now: datetime,
    size: PageSize,
) -> Progress:
    lists, live = bench.live(connection)
    index = bench.rules_of(connection, lists, version)
    if sweep.rule not in live.running or live.running[sweep.rule].status is not index.running[sweep.rule].status:
        return _end(connection, sweep, "cancelled", now, "The rule was switched off while it was swept.")
    statements = bench.statements(sweep, lists, index, evaluated_at)
    found = bench.find(connection, statements, sweep, size)
    if found is None:
        return _end(connection, sweep, "done", now)
    changed = _act(connection, bench, index, statements, sweep.id, found.ids, now) if found.ids else 0
    queue.note_page(connection, sweep.id, found.last_id, len(found.ids), changed)
    if found.is_last:
        queue.finish(connection, sweep.id, "done", now)
    return Progress(sweep.id, "done" if found.is_last else "running", len(found.ids), changed)


def _act(
    connection: Connection,
    bench: Workbench,
    index: RuleIndex,
    statements: PageStatements,
    sweep_id: int,
    ids: list[int],
    now: datetime,
) -> int:
    """Lock the records of the page and let the rule act on those that still match; how many it changed."""
    page = statements.lock(connection, ids)
    if statements.plan.effects is not None:
        return statements.write(connection, sweep_id, page, now)
    return _run_page_in_memory(connection, bench, index, statements, sweep_id, page, now)


def note_failed_page(connection: Connection, sweep_id: int, error: str, now: datetime) -> bool:
    """A page went wrong: it is tried again later, until the sweep has failed; whether it has."""
    sweep = queue.lock_sweep(connection, sweep_id)
    if sweep is None or sweep.state not in ("waiting", "running"):
        return False
    if sweep.failures >= len(BACKOFF):
        queue.finish(connection, sweep_id, "failed", now, error)
        return True
    queue.note_failure(connection, sweep_id, error, now + BACKOFF[sweep.failures])
    return False


# -- record by record --------------------------------------------------------------------------------------------------


def _run_page_in_memory(
    connection: Connection,
    bench: Workbench,
    index: RuleIndex,
    statements: PageStatements,
    sweep_id: int,
    page: Locked,
    now: datetime,
) -> int:
    """Judge the page's records one after the other, as events are judged: for what statements on sets cannot do."""
    plan = statements.plan
    ids = statements.recheck(connection, sweep_id, page)
    records = _hold(connection, plan, index, page, ids, now)
    ledger = _open_ledger(connection, index, records)
    keys = (records.companies.keys(), records.contacts.keys())
    history = read_history(connection, plan.lists.catalogue, index.past, *keys, now)
    judge = Judge(index, records, history, ledger, bench.desk.run_ids.draw(connection))
    decided = queue.companies_decided(connection, sweep_id, plan.rule.slug, page.company_ids)
    runs: list[Run] = []
    changed = 0
    for one in judge_in_turn(judge, plan, records, ledger.limits, decided, ids, sweep_id):
        runs += one
        changed += any(run.rule.slug == plan.rule.slug and has_acted(run) for run in one)
    write_outcome(connection, plan.lists, records, ledger, runs, index.version)
    return changed


def judge_in_turn(
    judge: Judge,
    plan: SweepPlan,
    records: Records,
    limits: Limits,
    decided: set[int],
    ids: Sequence[int],
    sweep_id: int,
) -> Iterator[list[Run]]:
    """The runs of each of the held records, in id order. Also what tells beforehand what a sweep would do."""
    for company, contact in _subjects(plan, records, ids):
        yield _judge(judge, plan, limits, decided, company, contact, sweep_id)


def _hold(
    connection: Connection, plan: SweepPlan, index: RuleIndex, page: Locked, ids: Sequence[int], now: datetime
) -> Records:
    records = Records(plan.lists.lifecycle, plan.lists.statuses, now)
    catalogue = plan.lists.catalogue
    for company in lock_companies(connection, catalogue, page.company_ids):
        records.hold_company(company)
    if plan.subject == "contact":
        records.hold_contacts(lock_contacts(connection, catalogue, ids))
    if reaches_others(plan, index):
        records.hold_contacts(read_contacts_of(connection, catalogue, page.company_ids))
    return records


def reaches_others(plan: SweepPlan, index: RuleIndex) -> bool:
    """Whether acting on a record may concern other contacts of its company."""
    may_reach_others = any(map(may_write_company, plan.rule.actions)) or index.uses_all_contacts
    return may_reach_others or _is_listened_to(index, plan.rule)


def _open_ledger(connection: Connection, index: RuleIndex, records: Records) -> Ledger:
    companies, contacts = records.companies.keys(), records.contacts.keys()
    return Ledger(
        read_limits(connection, index.limited_rules, companies, contacts),
        read_waits(connection, index.waiting_rules, companies, contacts),
        Turns(connection),
    )


def _subjects(plan: SweepPlan, records: Records, ids: Sequence[int]) -> Iterator[tuple[Company | None, Contact | None]]:
    for record_id in ids:
        if plan.subject == "company":
            yield records.companies[record_id], None
        else:
            contact = records.contacts[record_id]
            yield records.company_of(contact), contact


def _judge(
    judge: Judge,
    plan: SweepPlan,
    limits: Limits,
    decided: set[int],
    company: Company | None,
    contact: Contact | None,
    sweep_id: int,
) -> list[Run]:
    """The runs of one record that are kept: those that did something, or say who decided for a company."""
    rule = plan.rule
    if plan.company_decides_once and company is not None and company.id in decided:
        rule = _without_company(rule)
        if not rule.actions:
            return []
    before = dict(limits.acted_at), dict(limits.noted)
    runs = judge.judge_record(rule, company, contact, sweep_id, plan.evaluated_at)
    own = runs[0]
    if plan.company_decides_once and company is not None and own.judgement.holds and rule is plan.rule:
        decided.add(company.id)
        is_kept = True
    else:
        is_kept = has_acted(own) or own.outcome is Outcome.ERROR
    if own.outcome is Outcome.FIRED and not own.changes:
        limits.acted_at, limits.noted = before  # nothing was to be done: that is no act
    return runs if is_kept else runs[1:]


def has_acted(run: Run) -> bool:
    """Whether the run did something, or began to; a rehearsal would have."""
    if run.outcome is Outcome.WAITING:
        return True
    return run.outcome in (Outcome.FIRED, Outcome.PROPOSED, Outcome.SHADOW) and bool(run.changes)


def _without_company(rule: Rule) -> Rule:
    """The rule for a contact whose company another contact of this sweep has decided."""
    return replace(rule, actions=tuple(one for one in rule.actions if not may_write_company(one)))
