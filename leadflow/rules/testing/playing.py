"""Playing a test in memory: the rule is tried on the stage, acts through the guard, and goes on after its waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from leadflow.domain.effects import AssignOwner, Effect, SetField, Step, StopHere, Wait
from leadflow.domain.events import Actor, ActorKind, Cause
from leadflow.domain.fields import Value
from leadflow.domain.records import Applied, Company, Contact, Records
from leadflow.domain.text import fold
from leadflow.rules.evaluation import is_open_to, with_steps
from leadflow.rules.model import Judgement, Outcome, Rule
from leadflow.rules.testing.model import RuleTest
from leadflow.rules.testing.stage import Ground, Stage, put, set_stage

ACTED = (Outcome.FIRED, Outcome.WAITING)


@dataclass(slots=True)
class Played:
    """What the rule did in one scene: the outcome, the trace, the reasons for what it did not do, and what it left.

    `company` and `contact` are as they stand afterwards; `tasks` are titles, `messages` names of channels and
    endpoints, both of this scene alone.
    """

    outcome: Outcome
    judgement: Judgement
    company: Company | None
    contact: Contact | None
    now: datetime
    reasons: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()

    @property
    def has_fired(self) -> bool:
        return self.outcome in ACTED


@dataclass(slots=True)
class _Wait:
    """The rule goes on with step `first` when it is `due_at`."""

    first: int
    due_at: datetime
    recheck: bool


class Play:
    """One test being played: `Rule.status` is left out of account, so it shows what the rule does when it is live."""

    def __init__(self, rule: Rule, test: RuleTest, ground: Ground) -> None:
        self.rule = rule
        self.stage: Stage = set_stage(rule, test, ground)
        self._records: Records = self.stage.records
        self._wait: _Wait | None = None
        self._applied: list[Applied] = []

    # -- the event -------------------------------------------------------------------------------------------------

    def try_rule(self) -> Played:
        """The event happens."""
        situation = self.stage.situation
        if not is_open_to(self.rule, situation.occurrence, situation.now):
            return self._played(Outcome.NO_MATCH, Judgement(False), (self._why_closed(),))
        judgement, steps = with_steps(self.rule, self.rule.judge(situation), situation)
        if judgement.error:
            return self._played(Outcome.ERROR, judgement, (judgement.error,))
        if not judgement.holds:
            return self._played(Outcome.NO_MATCH, judgement)
        if not self._is_within_limit():
            return self._played(Outcome.LIMITED, judgement, ("The rule has already acted here within its limit.",))
        return self._perform(judgement, steps, 0)

    def _why_closed(self) -> str:
        rule, occurrence = self.rule, self.stage.situation.occurrence
        if occurrence.is_import and not rule.include_import:
            return "The rule takes no changes by imports: it has no include_import."
        if occurrence.is_from_rule and not rule.also_from_rules:
            return "The rule takes no changes by other rules: it has no also_from_rules."
        if rule.starts_at is not None and self.stage.situation.now < rule.starts_at:
            return f"The rule starts at {rule.starts_at.astimezone(rule.zone):%Y-%m-%d %H:%M}; the test is before that."
        return "The rule ends before the test is."

    def _is_within_limit(self) -> bool:
        limit, acted_at = self.rule.limit, self.stage.acted_at
        if limit is None or acted_at is None or getattr(self.stage.situation, limit.once_per) is None:
            return True
        return limit.within is not None and acted_at <= self.stage.situation.now - limit.within

    # -- acting ----------------------------------------------------------------------------------------------------

    def _perform(self, judgement: Judgement, steps: Sequence[tuple[str, Step]], first: int) -> Played:
        """Do the steps up to the next wait."""
        for number, (action, step) in enumerate(steps, first):
            if isinstance(step, Wait):
                self._wait = _Wait(number + 1, self._records.now + step.length, step.recheck)
                break
            if not isinstance(step, StopHere):
                self._applied.append(self._apply(action, step))
        return self._conclude(judgement)

    def _apply(self, action: str, step: Effect | AssignOwner) -> Applied:
        situation = self.stage.situation
        effect = self._assign(step) if isinstance(step, AssignOwner) else step
        cause = Cause(Actor(ActorKind.RULE, None, self.rule.slug), action=action)
        return self._records.apply(effect, situation.company, situation.contact, cause)

    def _assign(self, step: AssignOwner) -> SetField:
        """The owner whose turn it is; a company that is with one of them stays there."""
        company, candidates = self.stage.situation.company, step.candidates
        if company is not None and company.owner and fold(company.owner) in map(fold, candidates):
            return SetField("company.owner", company.owner)
        return SetField("company.owner", candidates[self.stage.turn % len(candidates)])

    def _conclude(self, judgement: Judgement) -> Played:
        refusals = [one.decision.reason for one in self._applied if one.is_refused]
        has_done = any(one.changes or one.task or one.message for one in self._applied)
        reasons = refusals or ([] if has_done else [one.decision.reason for one in self._applied])
        outcome = Outcome.BLOCKED_BY_GUARD if refusals and not has_done else Outcome.FIRED
        outcome = Outcome.WAITING if self._wait else outcome
        return self._played(outcome, judgement, tuple(dict.fromkeys(filter(None, reasons))))

    # -- after a wait ----------------------------------------------------------------------------------------------

    def go_on(self, now: datetime, meanwhile: Mapping[str, Value]) -> Played:
        """Time passes until `now`, after people have written `meanwhile`; every wait that ends by then goes on."""
        self._write(meanwhile)
        self._applied = []
        is_over = self._wait is None
        played = self._played(Outcome.WAITING, Judgement(False), ("The rule waits on.",))
        while self._wait is not None and self._wait.due_at <= now:
            played = self._resume(self._wait)
        self._pass_time(now)
        if is_over:
            return self._played(Outcome.NO_MATCH, Judgement(False), ("The rule has come to its end before.",))
        return played

    def _write(self, values: Mapping[str, Value]) -> None:
        for path, value in values.items():
            root, _, name = path.partition(".")
            record = getattr(self.stage.situation, root)
            if record is not None:
                put(record, name, value)

    def _resume(self, wait: _Wait) -> Played:
        self._wait = None
        self._pass_time(wait.due_at)
        situation = self.stage.situation
        judgement = self.rule.judge_condition(situation) if wait.recheck else Judgement(True)
        judgement, steps = with_steps(self.rule, judgement, situation, wait.first)
        if judgement.holds:
            return self._perform(judgement, steps, wait.first)
        outcome = Outcome.ERROR if judgement.error else Outcome.NO_MATCH
        return self._played(outcome, judgement, (judgement.error,) if judgement.error else ())

    def _pass_time(self, now: datetime) -> None:
        self._records.now = now
        self.stage.situation = replace(self.stage.situation, now=now)

    # -- what is left ----------------------------------------------------------------------------------------------

    def _played(self, outcome: Outcome, judgement: Judgement, reasons: tuple[str, ...] = ()) -> Played:
        situation = self.stage.situation
        return Played(
            outcome,
            judgement,
            situation.company,
            situation.contact,
            situation.now,
            reasons,
            tuple(one.task.title for one in self._applied if one.task),
            tuple(_addressee(one) for one in self._applied if one.message),
        )


def _addressee(applied: Applied) -> str:
    effect = applied.message.effect if applied.message else None
    return str(getattr(effect, "to", None) or getattr(effect, "endpoint", ""))
