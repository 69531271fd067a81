"""Plan: what a draft of the rules would do to the records as they are now, without doing it.

It takes the way of the workers up to the point where these would write: the sweep's statements and judge for rules on
a schedule (`planned_sweeps`), the inbox's matcher and judge for the others (`planned_events`, which says what is
supposed to happen), and a tally in place of the tables. The database is told that nothing will be written, so a row
lock or a write would be an error: a plan can be made at any time, beside everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Literal

from sqlalchemy import Connection, func, select, text

from leadflow.domain.events import SaleStep, Trigger
from leadflow.domain.history import Record
from leadflow.rules.evaluation import RUNNING, RuleIndex, is_in_force
from leadflow.rules.model import Rule, RuleSet, RuleStatus
from leadflow.rules.parsing import parse_documents
from leadflow.rules.parsing.outline import outline_of
from leadflow.rules.problems import Problem
from leadflow.services.plan_tallies import PlannedChange, PlanSample, Tally, Watch
from leadflow.services.planned_events import ForeseenEvents, foresee_events
from leadflow.services.planned_sweeps import ForeseenSweep, foresee_sweep
from leadflow.services.rule_documents import difference, rule_differences
from leadflow.services.rule_sets import live_documents
from leadflow.services.suppositions import Supposition
from leadflow.services.sweeps import Workbench
from leadflow.store import reads
from leadflow.store.lists import Lists
from leadflow.store.suppositions import count_records
from leadflow.store.sweeps.counting import FLAGGED, GUARDED, LIMITED
from leadflow.store.sweeps.reads import FunnelLine
from leadflow.store.tables import RunRow, WaitingRow

__all__ = ["PlanSample", "PlannedChange"]

PlanChange = Literal["new", "changed", "switched_on", "switched_off", "removed"]

LATELY = timedelta(days=30)
MOST_LISTED = 20


@dataclass(frozen=True, slots=True)
class ListedCount:
    """How many records carry a value of a list (`key` None: none of them), before and after the rule has acted."""

    key: str | None
    name: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class PlanConflict:
    """On how many records two rules want different things: the winner decides, the loser does not act there."""

    winner: str
    loser: str
    records: int


@dataclass(frozen=True, slots=True)
class PlanRefusal:
    """Why the guard would refuse, and on how many records."""

    reason: str
    records: int


@dataclass(frozen=True, slots=True)
class PlanBrake:
    """Whether the bulk brake would stop the sweep of a scheduled rule before it writes."""

    matching: int
    max_changes: int
    is_braked: bool


@dataclass(frozen=True, slots=True)
class RulePlan:
    """What one rule that differs from the live version would do now.

    `basis` says of which records that is told, and what is supposed to happen to them. `considered` is how many there
    are at all, `matching` how many satisfy trigger and condition, `touched` how many would be changed (or proposed, or
    seen to be changed: `acts` says whether the rule writes by itself).

    `is_exact`: nothing had to be supposed of what an event says; else `matching` and `touched` are upper bounds and
    `note` says of how many. `is_complete`: each record was played through. If not, `judged` were: outcomes, samples,
    conflicts and the counts after are of these, and `note` says so. `parts` are what differs in the rule.
    """

    slug: str
    title: str
    change: PlanChange
    status: str
    acts: bool
    subject: Record | None
    basis: str
    is_exact: bool
    is_complete: bool
    considered: int
    matching: int
    judged: int
    touched: int
    parts: list[str] = field(default_factory=list)
    funnel: list[FunnelLine] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    categories: list[ListedCount] = field(default_factory=list)
    lead_statuses: list[ListedCount] = field(default_factory=list)
    samples: list[PlanSample] = field(default_factory=list)
    conflicts: list[PlanConflict] = field(default_factory=list)
    refusals: list[PlanRefusal] = field(default_factory=list)
    followed_by: dict[str, int] = field(default_factory=dict)
    brake: PlanBrake | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class RulesPlan:
    """The plan of a draft against the live version. With `problems` nothing could be planned.

    `unchanged` rules would do what they do now.
    """

    live_version: int | None
    planned_at: datetime
    problems: list[Problem] = field(default_factory=list)
    rules: list[RulePlan] = field(default_factory=list)
    unchanged: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much work a plan may be: records played through per rule, and seconds for all rules together."""

    records: int = 20_000
    seconds: float = 8.0


UNBOUNDED = Bounds(2**62, 10.0**9)

# Which rule is at work, how many of its records are played through, and of how many.
OnProgress = Callable[[str, int, int], object]


def make_plan(
    connection: Connection,
    bench: Workbench,
    documents: Mapping[str, str],
    now: datetime,
    *,
    samples: int = 10,
    bounds: Bounds = Bounds(),
    on_progress: OnProgress = lambda rule, done, total: None,
    watch: Watch = lambda runs: None,
) -> RulesPlan:
    """What each rule that differs from the live version would do now; nothing is written, locked or drawn.

    `watch` sees the runs of every record that is played through.
    """
    with _only_looking(connection):
        lists = bench.desk.lists.read(connection)
        version, live = live_documents(connection)
        draft = parse_documents(documents, lists.catalogue, version=version or 0, with_tests=False)
        if draft.problems:
            return RulesPlan(version, now, list(draft.problems))
        before = parse_documents(live, lists.catalogue, with_tests=False).rule_set
        changed = _differences(before, draft.rule_set, live, documents)
        planner = _Planner(connection, bench, lists, draft.rule_set, now, samples, bounds, on_progress, watch)
        plans = planner.plan_all(changed)
        unchanged = sum(rule.slug not in {one.slug for one in changed} for rule in draft.rule_set.rules)
        return RulesPlan(version, now, [], plans, unchanged)


@contextmanager
def _only_looking(connection: Connection) -> Iterator[None]:
    """Nothing can be written or locked in here: the database would refuse it."""
    savepoint = connection.begin_nested()
    try:
        connection.execute(text("SET LOCAL transaction_read_only = on"))
        yield
    finally:
        savepoint.rollback()


# -- which rules differ ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Changed:
    """A rule that differs: as it is live, and as the draft has it."""

    slug: str
    old: Rule | None
    new: Rule | None
    change: PlanChange
    parts: tuple[str, ...]

    @property
    def rule(self) -> Rule:
        found = self.new or self.old
        if found is None:
            raise LookupError(self.slug)
        return found


def _differences(
    before: RuleSet, after: RuleSet, live: Mapping[str, str], documents: Mapping[str, str]
) -> list[_Changed]:
    """The rules that would do something else than now, in the order in which they are tried; removed ones last."""
    old, new = {one.slug: one for one in before.rules}, {one.slug: one for one in after.rules}
    parts = {one.slug: one.parts for one in rule_differences(live, documents)}
    named = tuple(name for one in difference(live, documents) for name in one.named)
    meaning = _Meaning(live), _Meaning(documents)
    found = []
    for slug in dict.fromkeys([*new, *old]):
        was, is_now = old.get(slug), new.get(slug)
        if was and is_now and meaning[0].of(was) == meaning[1].of(is_now):
            continue
        differing = [one for one in parts.get(slug, ()) if one not in ("title", "reason", "owner", "tests")]
        found.append(_Changed(slug, was, is_now, _change(was, is_now), tuple(differing) or named))
    return found


def _change(old: Rule | None, new: Rule | None) -> PlanChange:
    if old is None or new is None:
        return "new" if old is None else "removed"
    if (old.status in RUNNING) == (new.status in RUNNING):
        return "changed"
    return "switched_on" if new.status in RUNNING else "switched_off"


class _Meaning:
    """What rules do, in a form that compares: segments, lists and variables are what they stand for."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        outlines = {name: outline_of(name, body) for name, body in documents.items() if not name.endswith(".txt")}
        self._then = {
            rule.slug: (rule.entries.get("then"), outline.named.get("vars"))
            for outline in outlines.values()
            for rule in outline.rules
        }

    def of(self, rule: Rule) -> object:
        """Equal for two rules that do the same."""
        actions = [(one.action, one.step, one.writes) for one in rule.actions]
        then, variables = self._then.get(rule.slug, (None, None))
        written = [then, variables if "$" in str(then) else None]
        return (
            *(rule.status, rule.priority, rule.triggers, rule.condition, rule.limit, rule.schedule, rule.group),
            *(rule.starts_at, rule.ends_at, rule.also_from_rules, rule.include_import, rule.if_running, rule.zone),
            *(actions, written if any(one.step is None for one in rule.actions) else None),
        )


# -- planning ----------------------------------------------------------------------------------------------------------


@dataclass
class _Planner:
    connection: Connection
    bench: Workbench
    lists: Lists
    draft: RuleSet
    now: datetime
    samples: int
    bounds: Bounds
    on_progress: OnProgress
    watch: Watch
    _categories: dict[str | None, int] = field(init=False)
    _lead_statuses: dict[str | None, int] = field(init=False)

    def plan_all(self, changed: Sequence[_Changed]) -> list[RulePlan]:
        """One after the other; what is left of the time is shared among those that are left."""
        if changed:
            self._categories = reads.companies_per_category(self.connection)
            self._lead_statuses = reads.contacts_per_lead_status(self.connection, only_active=False)
        end, plans = monotonic() + self.bounds.seconds, []
        for number, one in enumerate(changed):
            share = max(0.0, end - monotonic()) / (len(changed) - number)
            plans.append(self._plan(one, monotonic() + share))
        return plans

    def _plan(self, changed: _Changed, deadline: float) -> RulePlan:
        if changed.new is None or changed.change == "switched_off":
            return self._plan_of_end(changed)
        rule = changed.new
        if not is_in_force(rule, self.now):
            return self._plan_of_rest(changed)
        rule_set = self.draft
        if rule.status not in RUNNING:
            rule = replace(rule, status=RuleStatus.LIVE)
            rules = tuple(rule if one.slug == rule.slug else one for one in rule_set.rules)
            rule_set = replace(rule_set, rules=rules)
        if rule.schedule is not None:
            return self._plan_of_sweep(changed, rule, rule_set, deadline)
        return self._plan_of_events(changed, rule, rule_set, deadline)

    # -- a rule that does nothing any more -------------------------------------------------------------------------

    def _plan_of_end(self, changed: _Changed) -> RulePlan:
        old = changed.old or changed.rule
        if old.status not in RUNNING:
            return self._empty(changed, f"It did nothing before: its status is {old.status.value}.")
        since = self.now - LATELY
        acted = select(RunRow.id).where(RunRow.rule == old.slug, RunRow.at >= since, RunRow.outcome == "fired")
        count = self.connection.scalar(select(func.count()).select_from(acted.limit(10_001).subquery())) or 0
        number = "more than 10,000" if count > 10_000 else f"{count:,}"
        note = f"It no longer acts. In the last 30 days it has fired {number} times."
        row = WaitingRow.__table__.c
        open_states = row.state.in_(("open", "queued", "due"))
        waiting = self.connection.scalar(select(func.count()).where(row.rule == old.slug, open_states)) or 0
        if waiting:
            note += f" {waiting:,} of its runs still wait for their next step, and will not go on."
        return self._empty(changed, note)

    def _plan_of_rest(self, changed: _Changed) -> RulePlan:
        rule = changed.rule
        if rule.starts_at is not None and rule.starts_at > self.now:
            return self._empty(changed, f"It does nothing before {rule.starts_at:%d %B %Y}.")
        return self._empty(changed, "It does nothing any more: its end has passed.")

    def _empty(self, changed: _Changed, note: str) -> RulePlan:
        rule = changed.rule
        return RulePlan(
            slug=rule.slug,
            title=rule.title,
            change=changed.change,
            status=rule.status.value,
            acts=False,
            subject=None,
            basis="Nothing would change now.",
            is_exact=True,
            is_complete=True,
            considered=0,
            matching=0,
            judged=0,
            touched=0,
            parts=list(changed.parts),
            note=note,
        )

    # -- scheduled rules -------------------------------------------------------------------------------------------

    def _plan_of_sweep(self, changed: _Changed, rule: Rule, rule_set: RuleSet, deadline: float) -> RulePlan:
        tally = Tally(rule.slug, self.samples, watch=self.watch)
        index, slug = RuleIndex(rule_set), rule.slug
        foreseen = foresee_sweep(
            self.connection, self.lists, index, rule, self.now, tally,
            most=self.bounds.records, deadline=deadline,
            on_progress=lambda done, total: self.on_progress(slug, done, total),
        )  # fmt: skip
        counted, subject = foreseen.counted, rule.schedule.for_each if rule.schedule else "contact"
        allowed = self.bench.allowed_changes(counted)
        brake = PlanBrake(counted.matching, allowed, counted.matching > allowed)
        touched = tally.touched if foreseen.is_complete or not foreseen.knows_changes else counted.matching
        return replace(
            self._filled(changed, tally),
            subject=subject,
            basis=f"Every {subject}, as its next sweep would find them if it ran now.",
            is_complete=foreseen.is_complete,
            considered=counted.total,
            matching=_matching(counted.funnel),
            touched=touched,
            funnel=[FunnelLine(what, records) for what, records in counted.funnel],
            brake=brake,
            note=_note_of_sweep(changed, foreseen, tally, brake),
        )

    # -- rules that wait for something -----------------------------------------------------------------------------

    def _plan_of_events(self, changed: _Changed, rule: Rule, rule_set: RuleSet, deadline: float) -> RulePlan:
        supposed = Supposition(rule.triggers[0], self.lists.catalogue, self.now)
        tally = Tally(rule.slug, self.samples, is_each_alone=True, watch=self.watch)
        slug = rule.slug
        foreseen = foresee_events(
            self.connection, self.lists, rule_set, rule, supposed, self.now, tally,
            most=self.bounds.records, deadline=deadline,
            on_progress=lambda done, total: self.on_progress(slug, done, total),
        )  # fmt: skip
        considered, _ = count_records(self.connection, supposed.subject)
        return replace(
            self._filled(changed, tally),
            subject=supposed.subject,
            basis=_basis(supposed, self.lists),
            is_exact=not supposed.depends_on_unknown(rule),
            is_complete=foreseen.is_complete,
            considered=considered,
            matching=tally.matching if foreseen.is_complete else foreseen.candidates,
            note=_note_of_events(changed, supposed, foreseen, tally),
        )

    def _filled(self, changed: _Changed, tally: Tally) -> RulePlan:
        """The plan with everything that a tally knows."""
        refusals = [PlanRefusal(reason, records) for reason, records in tally.refusals.most_common(MOST_LISTED)]
        conflicts = [PlanConflict(*pair, records) for pair, records in tally.conflicts.most_common(MOST_LISTED)]
        return replace(
            self._empty(changed, ""),
            acts=changed.rule.status is RuleStatus.LIVE,
            judged=tally.judged,
            matching=tally.matching,
            touched=tally.touched,
            outcomes=dict(tally.outcomes.most_common()),
            categories=self._counts(tally, "company", "category", self._categories),
            lead_statuses=self._counts(tally, "contact", "lead_status", self._lead_statuses),
            samples=tally.samples,
            conflicts=conflicts,
            refusals=refusals,
            followed_by=dict(tally.followed_by.most_common(MOST_LISTED)),
        )

    def _counts(self, tally: Tally, entity: str, name: str, before: Mapping[str | None, int]) -> list[ListedCount]:
        """By rank, every value that some record has or would have."""
        after = tally.after(entity, name, before)
        catalogue = self.lists.catalogue.fields[f"{entity}.{name}"]
        names = {choice.key: choice.name for choice in (*catalogue.choices, *catalogue.retired)}
        order = [*names, None]
        keys = [key for key in dict.fromkeys([*order, *before, *after]) if before.get(key) or after.get(key)]
        return [
            ListedCount(key, "none" if key is None else names.get(key, key), before.get(key, 0), after.get(key, 0))
            for key in keys
        ]


# -- in words ----------------------------------------------------------------------------------------------------------


def _matching(funnel: Sequence[tuple[str, int]]) -> int:
    """How many satisfy the condition, whatever limit and guard say then."""
    lines = [records for label, records in funnel if label not in (FLAGGED, GUARDED, LIMITED, "companies of these")]
    return lines[-1]


def _note_of_sweep(changed: _Changed, foreseen: ForeseenSweep, tally: Tally, brake: PlanBrake) -> str:
    told = [_status_note(changed.rule)]
    if brake.is_braked:
        told.append(
            f"The brake would stop it before anything is changed: {brake.matching:,} are more than the"
            f" {brake.max_changes:,} that a sweep changes by itself. A person lets it run."
        )
    if not foreseen.is_complete:
        told.append(
            f"Outcomes, samples and counts after are those of the first {tally.judged:,} records: at least so far."
        )
        if not foreseen.knows_changes:
            told.append(f"So is the number of records: at most {foreseen.counted.matching:,} satisfy everything.")
    return " ".join(one for one in told if one)


# Why something cannot be known; else it is what an event would say that never came from the record.
UNKNOWN_WORDS = {
    Trigger.RECORD_CHANGED: "what the field would change from or to",
    Trigger.MANUAL: "who would start the rule",
}
NEVER_SAID = "what the event would say, because none has come from there yet"


def _note_of_events(changed: _Changed, supposed: Supposition, foreseen: ForeseenEvents, tally: Tally) -> str:
    told, rule = [_status_note(changed.rule)], changed.rule
    if foreseen.unknown:
        told.append(
            f"An upper bound: of {_records(foreseen.unknown)} nobody can know"
            f" {UNKNOWN_WORDS.get(supposed.trigger, NEVER_SAID)}; what the rule asks about it counts as fulfilled."
        )
    if foreseen.by_newest:
        told.append(f"Of {_records(foreseen.by_newest)} it is supposed to say what their newest one said.")
    if len(rule.triggers) > 1 or any(len(one.watched) > 1 for one in rule.triggers):
        told.append("The rule waits for other things, too; this is told of the first that it names.")
    if not foreseen.is_complete:
        told.append(
            f"At most {foreseen.candidates:,} records satisfy the condition. {tally.judged:,} of them, from all over,"
            " were played through: outcomes, samples, conflicts and counts after are of these."
        )
    return " ".join(one for one in told if one)


def _records(number: int) -> str:
    return "1 record" if number == 1 else f"{number:,} records"


def _status_note(rule: Rule) -> str:
    match rule.status:
        case RuleStatus.SHADOW:
            return "It only watches: nothing is changed, its traces say what it would have done."
        case RuleStatus.PROPOSE:
            return "It proposes: each change waits for a person, and the counts after are those once all are accepted."
        case RuleStatus.DRAFT | RuleStatus.OFF:
            return f"Its status is {rule.status.value}: nothing of this happens before it is live."
        case _:
            return ""


def _basis(supposed: Supposition, lists: Lists) -> str:
    """Of whom the numbers are told, and what is supposed."""
    one, wants = supposed.line, supposed.line.wants
    match one.trigger:
        case Trigger.FORM_SUBMITTED:
            return f"Every contact with an address, as if {_form(wants)} came from each of them now."
        case Trigger.EVENT:
            name = wants.get("name", "")
            label = lists.catalogue.events.get(name, name)
            return f"Every contact with an address, as if the event “{label}” came from each of them now."
        case Trigger.SALE if supposed.step == SaleStep.REGISTERED:
            return "Every company, as if a sale were registered for each of them now."
        case Trigger.SALE:
            return f"Every company with an open sale, as if one of each were {supposed.step} now."
        case Trigger.RECORD_CREATED:
            return f"Every {supposed.subject}, as if each had been created just now as it stands."
        case Trigger.RECORD_CHANGED:
            return _basis_of_change(supposed)
        case _:
            return f"Every {supposed.subject}, as if somebody started the rule for each of them now."


def _form(wants: Mapping[str, str]) -> str:
    if "form" in wants:
        return f"the form “{wants['form']}”"
    return f"a form of type “{wants['form_type']}”" if "form_type" in wants else "a form"


def _basis_of_change(supposed: Supposition) -> str:
    known = supposed.watched_field
    label = known.label if known else supposed.watched
    names = {choice.key: choice.name for choice in known.choices} if known else {}
    sources, targets = supposed.line.watched[supposed.watched]
    if targets is None and sources is None:
        return f"Every {supposed.subject}, as if its {label} had just become what it is now."
    told = f"Every {supposed.subject} whose {label} can change"
    for word, values in (("from", sources), ("to", targets)):
        if values is not None:
            listed = " or ".join(sorted("none" if key is None else names.get(str(key), str(key)) for key in values))
            told += f" {word} {listed}"
    return f"{told}, as if a person changed it for each of them now."
