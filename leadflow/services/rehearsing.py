"""A scene played by the judge of daily life, with nothing written: what the rules would do if this happened now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count

from sqlalchemy import Connection

from leadflow.domain.events import Trigger
from leadflow.domain.lead_status import LeadStatuses
from leadflow.domain.lifecycle import Lifecycle
from leadflow.domain.records import Contact, Records
from leadflow.rules.evaluation import RuleIndex
from leadflow.rules.model import Outcome, Rule, RuleSet, RuleStatus
from leadflow.rules.staging import Retold, Scene
from leadflow.services.acting import Ledger
from leadflow.services.gathering import Case
from leadflow.services.judging import Judge
from leadflow.services.readings import Reading
from leadflow.services.runs import Run
from leadflow.store.inbox import ClaimedEvent
from leadflow.store.limits import Limits
from leadflow.store.limits import Subject as LimitSubject
from leadflow.store.turns import Turns
from leadflow.store.waiting import Subject, Waits

# How a rule ends that does, or would do, its work.
ACTING = frozenset({Outcome.FIRED, Outcome.PROPOSED, Outcome.SHADOW, Outcome.WAITING})
RESTING = frozenset({RuleStatus.DRAFT, RuleStatus.OFF})


def as_if_in_force(rule: Rule) -> Rule:
    """The rule as it is judged for who asks "what if": a resting one as if live, without regard to its dates."""
    status = RuleStatus.LIVE if rule.status in RESTING else rule.status
    return replace(rule, status=status, starts_at=None, ends_at=None)


def index_with(rule_set: RuleSet, rule: Rule) -> RuleIndex:
    """The running rules, this one among them in its place."""
    tried = as_if_in_force(rule)
    others = [tried if one.slug == rule.slug else one for one in rule_set.rules]
    if tried not in others:
        others.append(tried)
    ordered = sorted(others, key=lambda one: -one.priority)
    return RuleIndex(RuleSet(rule_set.version, tuple(ordered), rule_set.zone))


@dataclass(frozen=True)
class Court:
    """What a scene is played with: the rules, the lists, the contact's colleagues, and what the ledger remembers."""

    index: RuleIndex
    lifecycle: Lifecycle
    statuses: LeadStatuses
    connection: Connection | None = None
    colleagues: tuple[Contact, ...] = ()
    acted_at: Mapping[LimitSubject, object] = field(default_factory=dict)
    waiting: Mapping[Subject, list[int]] = field(default_factory=dict)

    def play(self, scene: Scene, slug: str) -> Run | None:
        """The run of one rule, as the judge would write it; None if the rule does not listen to what happens."""
        judge = Judge(self.index, records := self._records(scene), self._past(scene), self._ledger(), count(1))
        company = None if scene.company is None else records.companies[scene.company.id]
        contact = None if scene.contact is None else records.contacts[scene.contact.id]
        if scene.trigger is Trigger.SCHEDULE:
            rule = self.index.running[slug]
            runs = judge.judge_record(rule, company, contact, 0, scene.now)
        else:
            runs = judge.judge(Case(_reading(scene), company, contact))
        return next((run for run in runs if run.rule.slug == slug and not run.occurrence.chain), None)

    def acts(self, scene: Scene, slug: str) -> bool:
        """Whether the rule does its work in the scene."""
        run = self.play(scene, slug)
        return run is not None and run.outcome in ACTING

    def _records(self, scene: Scene) -> Records:
        """Copies, as playing changes them."""
        records = Records(self.lifecycle, self.statuses, scene.now)
        if scene.company is not None:
            records.hold_company(replace(scene.company))
        held = [] if scene.contact is None else [replace(scene.contact)]
        others = [replace(one) for one in self.colleagues if scene.contact is None or one.id != scene.contact.id]
        records.hold_contacts([*held, *(one for one in others if one.company_id in records.companies)])
        return records

    def _past(self, scene: Scene) -> Retold:
        """The past without what happens now, which the judge adds himself; a change is in the ledger already."""
        past = Retold(scene.history)
        for change in scene.present_changes():
            past.note_change(change)
        return past

    def _ledger(self) -> Ledger:
        limits, waits = Limits(dict(self.acted_at)), Waits(open={key: list(ids) for key, ids in self.waiting.items()})  # type: ignore[arg-type]
        return Ledger(limits, waits, Turns(self.connection, is_rehearsal=True))  # type: ignore[arg-type]


def _reading(scene: Scene) -> Reading:
    own = {root: scene.own.get(root, {}) for root in ("form", "event", "sale", "user")}
    event = ClaimedEvent(0, "explain", scene.trigger.value, 0, scene.now, None, b"", 0, 0)
    return Reading(
        event,
        scene.occurrence(),
        form=own["form"],
        said=own["event"],
        sale=own["sale"],
        user=own["user"],
    )
