"""Plan: what a draft of the rules would do to the records as they are now, without doing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection

from leadflow.domain.history import Record
from leadflow.rules.problems import Problem
from leadflow.services.sweeps import Workbench
from leadflow.store.sweeps.reads import FunnelLine

PlanChange = Literal["new", "changed", "switched_on", "switched_off", "removed"]


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One value that would change, as a trace has it, and both sides as people call them."""

    entity: str
    entity_id: int | None
    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class PlanSample:
    """One record that the rule would act on: who it is, how its run would end, and what would change."""

    company_id: int | None
    contact_id: int | None
    name: str
    outcome: str
    changes: list[PlannedChange]
    guard: str | None


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

    `basis` says of which records that is told, and what is assumed to happen to them. `is_exact`: nothing had to be
    assumed; else the numbers are upper bounds, and `note` says why. `considered` records were asked about;
    `matching` satisfy trigger and condition; `touched` would be changed (proposed, for a rule that proposes; seen to
    be changed, for a shadow). `is_complete`: each of them was played through; else `judged` of them were, outcomes,
    conflicts, refusals and samples are of these, and the counts after are at least so far from those before.
    """

    slug: str
    title: str
    change: PlanChange
    status: str
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
    """The plan of a draft against the live version. With `problems` nothing could be planned."""

    live_version: int | None
    planned_at: datetime
    problems: list[Problem] = field(default_factory=list)
    rules: list[RulePlan] = field(default_factory=list)
    unchanged: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much work a plan may be: records played through per rule, and seconds for all rules together."""

    records: int = 50_000
    seconds: float = 8.0


def make_plan(
    connection: Connection,
    bench: Workbench,
    documents: Mapping[str, str],
    now: datetime,
    *,
    samples: int = 10,
    bounds: Bounds = Bounds(),
    on_progress: Callable[[str, int, int], object] = lambda rule, done, total: None,
) -> RulesPlan:
    """What each rule that differs from the live version would do now; nothing is written or locked."""
    from leadflow.rules.problems import errors_among
    from leadflow.services.linting import review

    lists, index = bench.live(connection)
    problems = errors_among(review(connection, documents, now))
    return RulesPlan(lists.live_version, now, list(problems), [], len(index.running))
