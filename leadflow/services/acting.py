"""Let a rule that matched act: its limit, its group, other rules' decisions, then its steps one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from leadflow.domain.effects import AssignOwner, Effect, SetField, Step, StopHere, Wait, wanted_value, written_field
from leadflow.domain.events import Actor, ActorKind, Cause
from leadflow.domain.records import Applied, Company, Contact, Records
from leadflow.domain.text import fold
from leadflow.rules.model import IfRunning, Outcome, RuleStatus, Situation
from leadflow.services.resuming import situation_as_json
from leadflow.services.runs import Run
from leadflow.store.limits import Limits
from leadflow.store.limits import Subject as LimitSubject
from leadflow.store.proposals import Proposal
from leadflow.store.turns import Turns
from leadflow.store.waiting import Subject, Waiting, Waits

# A step with the name and number of its action: ("0:set_category", SetCategory(…)).
Steps = Sequence[tuple[str, Step]]


@dataclass(slots=True)
class Decided:
    """What earlier rules decided about one occurrence: fields and their values, groups, and whether one stopped it."""

    fields: dict[str, tuple[str, object]] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    stopped_by: str | None = None

    def lost_to(self, step: Step, slug: str) -> str | None:
        """The rule that decided the step's field before and wants another value; notes the first decision."""
        name = written_field(step)
        if name is None:
            return None
        winner, value = self.fields.setdefault(name, (slug, wanted_value(step)))
        return winner if winner != slug and value != wanted_value(step) else None


@dataclass(slots=True)
class Ledger:
    """What the rules of one transaction keep beside the records."""

    limits: Limits
    waits: Waits
    turns: Turns
    proposals: list[Proposal] = field(default_factory=list)


class Actors:
    """Lets rules of one version act on the records of one transaction."""

    def __init__(self, version: int, records: Records, ledger: Ledger) -> None:
        self._version = version
        self._records = records
        self._ledger = ledger

    def act(self, run: Run, steps: Steps, situation: Situation, decided: Decided) -> None:
        """Let the rule of a run that matched act, or say why not."""
        rule = run.rule
        if decided.stopped_by is not None:
            run.outcome, run.guard = Outcome.CHAIN_STOPPED, f"The rule {decided.stopped_by} stopped here."
            return
        if rule.status is RuleStatus.SHADOW:
            self._rehearse(run, steps)
            run.outcome = Outcome.SHADOW
            return
        if rule.group is not None:
            winner = decided.groups.setdefault(rule.group, rule.slug)
            if winner != rule.slug:
                run.outcome = Outcome.CONFLICT_LOST
                run.guard = f"The rule {winner} of the same group, {rule.group}, matched first."
                run.lost_to = (winner,)
                return
        if not self._is_within_limit(run):
            run.outcome, run.guard = Outcome.LIMITED, "The rule has already acted here within its limit."
        elif rule.status is RuleStatus.PROPOSE:
            self._propose(run, steps)
        elif self._may_start(run, situation):
            self.perform(run, steps, situation, decided)

    # -- acting ----------------------------------------------------------------------------------------------------

    def perform(self, run: Run, steps: Steps, situation: Situation, decided: Decided, first: int = 0) -> None:
        """Do the steps, the first of which is number `first` of the rule, up to the next wait."""
        applied, lost = [], []
        waits = False
        for number, (action, step) in enumerate(steps, first):
            if isinstance(step, Wait):
                self._wait(run, situation, number + 1, step)
                waits = True
                break
            if isinstance(step, StopHere):
                decided.stopped_by = run.rule.slug
            elif winner := decided.lost_to(step, run.rule.slug):
                lost.append(winner)
            else:
                applied.append(self._apply(run, action, step))
        run.conclude(applied, lost)
        if waits:
            run.outcome = Outcome.WAITING
        if run.outcome in (Outcome.FIRED, Outcome.WAITING) and not first:
            self._note_limit(run)

    def _apply(self, run: Run, action: str, step: Effect | AssignOwner) -> Applied:
        effect = self._assign(run, step) if isinstance(step, AssignOwner) else step
        return self._records.apply(effect, run.company, run.contact, self._cause(run, action))

    def _cause(self, run: Run, action: str) -> Cause:
        actor = Actor(ActorKind.RULE, str(self._version), run.rule.slug)
        return Cause(actor, run.origin.event_id, run.id, action, run.origin.sweep_id)

    def _assign(self, run: Run, step: AssignOwner) -> SetField:
        """The owner whose turn it is; a company that is with one of them, or not to be touched, takes no turn."""
        company, first = run.company, step.candidates[0]
        if len(step.candidates) == 1 or company is None or company.do_not_automate:
            return SetField("company.owner", first)
        if company.owner and fold(company.owner) in map(fold, step.candidates):
            return SetField("company.owner", company.owner)
        turn = self._ledger.turns.next(run.rule.slug)
        return SetField("company.owner", step.candidates[turn % len(step.candidates)])

    # -- rehearsals and proposals ----------------------------------------------------------------------------------

    def _rehearse(self, run: Run, steps: Steps) -> None:
        """What the rule would do, up to its first wait, on copies."""
        stage = _copy_around(self._records, run.company, run.contact)
        company = stage.companies.get(run.company.id) if run.company else None
        contact = stage.contacts.get(run.contact.id) if run.contact else None
        applied = []
        for action, step in steps:
            if isinstance(step, Wait):
                break
            if isinstance(step, StopHere):
                continue
            effect = SetField("company.owner", step.candidates[0]) if isinstance(step, AssignOwner) else step
            applied.append(stage.apply(effect, company, contact, self._cause(run, action)))
        run.conclude(applied, [])

    def _propose(self, run: Run, steps: Steps) -> None:
        self._rehearse(run, steps)
        if run.outcome is not Outcome.FIRED:
            return
        run.outcome = Outcome.PROPOSED
        if not run.changes:
            return
        ids = (run.id, run.origin.event_id, run.origin.sweep_id, run.company_id, run.contact_id)
        self._ledger.proposals.append(Proposal(run.rule.slug, self._version, *ids, run.changes))
        self._note_limit(run)

    # -- limits ----------------------------------------------------------------------------------------------------

    def _limit_subject(self, run: Run) -> LimitSubject | None:
        limit = run.rule.limit
        record_id = None if limit is None else run.company_id if limit.once_per == "company" else run.contact_id
        return (run.rule.slug, limit.once_per, record_id) if limit and record_id is not None else None

    def _is_within_limit(self, run: Run) -> bool:
        subject = self._limit_subject(run)
        if subject is None or run.rule.limit is None:
            return True
        return self._ledger.limits.allows(subject, run.rule.limit.within, self._records.now)

    def _note_limit(self, run: Run) -> None:
        if subject := self._limit_subject(run):
            self._ledger.limits.note(subject, self._records.now, run.origin.event_id)

    # -- waiting ---------------------------------------------------------------------------------------------------

    def _may_start(self, run: Run, situation: Situation) -> bool:
        """Whether a rule with `wait` may begin, while it may still wait for the same subject."""
        waits, subject = self._ledger.waits, subject_of(run)
        if not run.rule.waits or run.rule.if_running is IfRunning.PARALLEL or not waits.is_running(subject):
            return True
        match run.rule.if_running:
            case IfRunning.RESTART:
                waits.cancel(subject)
                return True
            case IfRunning.QUEUE:
                waits.add(self._waiting(run, situation, 0, Wait(timedelta()), is_queued=True))
                run.outcome, run.guard = Outcome.WAITING, "The rule begins here when its earlier run has ended."
            case _:
                run.outcome = Outcome.SKIPPED_RUNNING
                run.guard = "The rule still waits here because of an earlier event."
        return False

    def _wait(self, run: Run, situation: Situation, next_step: int, wait: Wait) -> None:
        self._ledger.waits.add(self._waiting(run, situation, next_step, wait))

    def _waiting(self, run: Run, situation: Situation, step: int, wait: Wait, *, is_queued: bool = False) -> Waiting:
        return Waiting(
            rule=run.rule.slug,
            version=self._version,
            step=step,
            recheck=wait.recheck,
            event_id=run.origin.event_id,
            run_id=run.id,
            company_id=run.company_id,
            contact_id=run.contact_id,
            situation=situation_as_json(run.rule, situation),
            due_at=self._records.now + wait.length,
            is_queued=is_queued,
        )


def subject_of(run: Run) -> Subject:
    """For whom a rule waits."""
    return run.rule.slug, run.company_id, run.contact_id


def _copy_around(records: Records, company: Company | None, contact: Contact | None) -> Records:
    stage = Records(records.lifecycle, records.statuses, records.now)
    if company is not None:
        stage.hold_company(replace(company))
        stage.hold_contacts(replace(one) for one in records.contacts_of(company.id))
    if contact is not None:
        stage.hold_contacts([replace(contact)])
    return stage
