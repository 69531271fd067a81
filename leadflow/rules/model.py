"""What a parsed rule set is made of, and what judging a rule says. Values only; parsing and evaluation build on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from leadflow.domain.effects import Step, Wait
from leadflow.domain.events import Occurrence, Trigger
from leadflow.domain.fields import Unreadable, Value
from leadflow.domain.history import NO_HISTORY, History, Record
from leadflow.domain.records import Company, Contact
from leadflow.rules.nodes import Node

if TYPE_CHECKING:
    from leadflow.rules.conditions import Condition


class RuleStatus(StrEnum):
    """`draft` is checked, not run; `shadow` only records; `propose` asks a person; `live` acts; `off` rests."""

    DRAFT = "draft"
    SHADOW = "shadow"
    PROPOSE = "propose"
    LIVE = "live"
    OFF = "off"


class Outcome(StrEnum):
    """How one rule ended for one event."""

    FIRED = "fired"
    NO_MATCH = "no_match"
    LIMITED = "limited"
    CONFLICT_LOST = "conflict_lost"
    BLOCKED_BY_GUARD = "blocked_by_guard"
    PROPOSED = "proposed"
    SHADOW = "shadow"
    SKIPPED_RUNNING = "skipped_running"
    WAITING = "waiting"
    CHAIN_STOPPED = "chain_stopped"
    BRAKE = "brake"
    ERROR = "error"


class IfRunning(StrEnum):
    """What a rule with `wait` does when it fires for a subject for which it still waits."""

    SKIP = "skip"
    RESTART = "restart"
    QUEUE = "queue"
    PARALLEL = "parallel"


@dataclass(frozen=True, slots=True)
class Situation:
    """What a rule is judged on: the occurrence and the records as they stood when it happened.

    `form`, `event`, `sale` and `user` hold the occurrence's own fields by name; a blank one is missing or None.
    `history` has what `event_count`, `last_event` and `last_change` ask for, the occurrence's own event included.
    """

    occurrence: Occurrence
    now: datetime
    company: Company | None = None
    contact: Contact | None = None
    form: Mapping[str, Value | Unreadable] = field(default_factory=dict)
    sale: Mapping[str, Value | Unreadable] = field(default_factory=dict)
    event: Mapping[str, Value | Unreadable] = field(default_factory=dict)
    user: Mapping[str, Value | Unreadable] = field(default_factory=dict)
    history: History = NO_HISTORY


@dataclass(frozen=True, slots=True)
class ClauseResult:
    """One clause of a trace: the field's path, the test in words, whether it holds, and the value seen."""

    path: str
    test: str
    holds: bool
    value: Value


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether the condition holds, with every clause's result (no short circuit).

    `error` is the sentence that says why the condition could not be judged; then it does not hold.
    """

    holds: bool
    clauses: tuple[ClauseResult, ...] = ()
    error: str | None = None

    @property
    def is_near_miss(self) -> bool:
        """Exactly one clause is false."""
        return not self.holds and self.error is None and sum(not clause.holds for clause in self.clauses) == 1


@dataclass(frozen=True, slots=True)
class Limit:
    """`once_per: company, within: 7 days`; `within` None is ever."""

    once_per: Literal["company", "contact"]
    within: timedelta | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """`{every: week, at: "07:00", on: [mon], for_each: contact}`, in the time zone of its document.

    `on` are weekdays (0 is Monday) or, for a month, days of the month. Empty means each day; of a month the first one,
    and a week has at least its Monday.
    """

    every: Literal["hour", "day", "week", "month"]
    for_each: Record
    at: time
    on: tuple[int, ...]
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class TriggerFilter:
    """One line of `when`: the trigger and what it asks for (all of `wants`, or any of `watched` fields).

    `wants` maps a name of `Occurrence.detail` (`form`, `form_type`; `name` of an event; `step`; `record`) to the
    wanted value, case-folded; empty means any.
    `watched` maps a field path to (from values or None, to values or None) for record_changed; None among the values
    is blank, texts are case-folded.
    """

    trigger: Trigger
    wants: Mapping[str, str] = field(default_factory=dict)
    watched: Mapping[str, tuple[frozenset[Value] | None, frozenset[Value] | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One action of a rule: its name and number in the rule (`0:set_category`) and what it does to a situation.

    `step` is that itself where it is the same in every situation; `writes` the field it writes, if it writes one.
    `place` is where it stands in its document.
    """

    action: str
    describe: Callable[[Situation], Step]
    step: Step | None = None
    writes: str | None = None
    place: Node | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule ready to run.

    `judge` is the compiled trigger and condition, `judge_condition` the condition alone (for a schedule, and after a
    wait); `condition` is its tree, from which SQL is rendered. `source_text` is what its author wrote,
    `place` where its id stands.
    """

    slug: str
    title: str
    status: RuleStatus
    priority: int
    triggers: tuple[TriggerFilter, ...]
    judge: Callable[[Situation], Judgement]
    judge_condition: Callable[[Situation], Judgement]
    condition: Condition | None
    actions: tuple[PlannedStep, ...]
    document: str
    line: int
    why: str = ""
    owner: str = ""
    limit: Limit | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    also_from_rules: bool = False
    include_import: bool = False
    uses_all_contacts: bool = False
    schedule: Schedule | None = None
    group: str | None = None
    if_running: IfRunning = IfRunning.SKIP
    zone: tzinfo = UTC
    source_text: str = ""
    place: Node | None = None

    @property
    def waits(self) -> bool:
        """Whether the rule waits between its actions."""
        return any(isinstance(one.step, Wait) for one in self.actions)


@dataclass(frozen=True)
class RuleSet:
    """A published version: the rules in the order in which they are tried (priority, file order, slug)."""

    version: int
    rules: tuple[Rule, ...]
    zone: tzinfo = UTC
