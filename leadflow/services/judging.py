"""Decide: try the rules on one case, let those that match act in order, and write down why."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter_ns

from leadflow.domain.effects import Step
from leadflow.domain.events import Occurrence, Trigger
from leadflow.domain.fields import Unreadable, Value
from leadflow.domain.history import History, PastChange, PastEvent
from leadflow.domain.records import Company, Contact, Records
from leadflow.domain.text import fold
from leadflow.rules.evaluation import RuleIndex, decide, is_in_force, with_steps
from leadflow.rules.model import Judgement, Outcome, Rule, Situation
from leadflow.services.acting import Actors, Decided, Ledger
from leadflow.services.gathering import Case
from leadflow.services.resuming import Resumption, step_names
from leadflow.services.runs import Origin, Run

MAX_CHAIN_DEPTH = 3
NO_STEPS: tuple[tuple[str, Step], ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """What an event said of its own: the fields under `form.`, `event.`, `sale.` and `user.`."""

    form: Mapping[str, Value | Unreadable] = field(default_factory=dict)
    event: Mapping[str, Value | Unreadable] = field(default_factory=dict)
    sale: Mapping[str, Value | Unreadable] = field(default_factory=dict)
    user: Mapping[str, Value | Unreadable] = field(default_factory=dict)


@dataclass(slots=True)
class _Scene:
    """An occurrence, what it said, and whom it concerns. `at` is the moment it is judged at, where that is pinned."""

    origin: Origin
    said: Said
    occurrence: Occurrence
    company: Company | None
    contact: Contact | None
    at: datetime | None = None


@dataclass(slots=True)
class _Wish:
    run: Run
    situation: Situation
    steps: tuple[tuple[str, Step], ...]


class Judge:
    """Tries the rules of one version on cases, one after the other, in one transaction."""

    def __init__(
        self, index: RuleIndex, records: Records, history: History, ledger: Ledger, run_ids: Iterator[int]
    ) -> None:
        self._index = index
        self._records = records
        self._history = history
        self._ledger = ledger
        self._actors = Actors(index.version, records, ledger)
        self._run_ids = run_ids
        self._noted_changes = 0
        self._acted: set[tuple[str, int | None, int | None]] = set()

    def judge(self, case: Case) -> list[Run]:
        """All runs of the event: of what created its records, of what happened, and of the changes that followed."""
        reading = case.reading
        origin = Origin(reading.event.id)
        said = Said(reading.form, reading.said, reading.sale, reading.user)
        self._note_event(case)
        self._acted.clear()
        if reading.resumption is not None and reading.occurrence is not None:
            scene = _Scene(origin, said, reading.occurrence, case.company, case.contact)
            return self._play_on(scene, self._resume(scene, reading.resumption))
        occurrences = [*case.created, *([reading.occurrence] if reading.occurrence else [])]
        return self._play(_Scene(origin, said, one, case.company, case.contact) for one in occurrences)

    def judge_record(
        self, rule: Rule, company: Company | None, contact: Contact | None, sweep_id: int, at: datetime
    ) -> list[Run]:
        """The runs of a scheduled rule on one record, and of the changes that followed.

        `at` is the one moment at which the whole sweep is judged.
        """
        self._acted.clear()
        occurrence = Occurrence(Trigger.SCHEDULE, {"record": "contact" if contact else "company", "rule": rule.slug})
        scene = _Scene(Origin(sweep_id=sweep_id), Said(), occurrence, company, contact, at)
        situation = self._situation(scene)
        wish = self._judge_one(rule, scene, situation)
        self._act([wish])
        return self._play_on(scene, [wish.run])

    # -- scenes ----------------------------------------------------------------------------------------------------

    def _play(self, scenes: Iterator[_Scene]) -> list[Run]:
        waiting, runs = deque(scenes), []
        while waiting:
            scene = waiting.popleft()
            new = self._try_rules(scene)
            runs += new
            waiting.extend(self._follow_ups(scene, new))
        return runs

    def _play_on(self, scene: _Scene, runs: list[Run]) -> list[Run]:
        return [*runs, *self._play(iter(self._follow_ups(scene, runs)))]

    def _try_rules(self, scene: _Scene) -> list[Run]:
        """Judge every candidate on the state before any of them acts, then let them act in order."""
        situation = self._situation(scene)
        rules = self._index.candidates(scene.occurrence, situation.now)
        wishes = [self._judge_one(rule, scene, situation) for rule in rules if not self._has_acted(rule, scene)]
        self._act(wishes)
        return [wish.run for wish in wishes]

    def _situation(self, scene: _Scene) -> Situation:
        self._note_changes()
        said = scene.said
        return Situation(
            scene.occurrence,
            scene.at or self._records.now,
            scene.company,
            scene.contact,
            form=said.form,
            sale=said.sale,
            event=said.event,
            user=said.user,
            history=self._history,
        )

    def _has_acted(self, rule: Rule, scene: _Scene) -> bool:
        """An event makes a rule act once on a subject, though several things that happened with it may call it."""
        is_called_by_itself = rule.slug in scene.occurrence.chain  # told as chain_stopped
        return not is_called_by_itself and _ids(rule, scene.company, scene.contact) in self._acted

    def _judge_one(self, rule: Rule, scene: _Scene, situation: Situation) -> _Wish:
        start = perf_counter_ns()
        chain = situation.occurrence.chain
        judgement, steps, outcome = Judgement(holds=False), NO_STEPS, Outcome.CHAIN_STOPPED
        if rule.slug not in chain and len(chain) <= MAX_CHAIN_DEPTH:
            judgement, steps = decide(rule, situation)
            outcome = Outcome.ERROR if judgement.error else Outcome.NO_MATCH
        return self._wish(rule, scene, situation, judgement, steps, outcome, start)

    def _wish(
        self,
        rule: Rule,
        scene: _Scene,
        situation: Situation,
        judgement: Judgement,
        steps: tuple[tuple[str, Step], ...],
        outcome: Outcome,
        start: int,
    ) -> _Wish:
        records = (situation.company, situation.contact)
        run = Run(next(self._run_ids), rule, scene.origin, judgement, situation.occurrence, *records, outcome)
        run.duration_us = (perf_counter_ns() - start) // 1000
        return _Wish(run, situation, steps)

    def _act(self, wishes: list[_Wish]) -> None:
        decided = Decided()
        for wish in wishes:
            if not wish.run.judgement.holds:
                continue
            self._actors.act(wish.run, wish.steps, wish.situation, decided)
            if wish.run.outcome in (Outcome.FIRED, Outcome.WAITING):
                self._acted.add(_ids(wish.run.rule, wish.run.company, wish.run.contact))

    # -- after a wait ----------------------------------------------------------------------------------------------

    def _resume(self, scene: _Scene, resumption: Resumption) -> list[Run]:
        """The run of a rule that goes on; none if it was started anew meanwhile, or is not there any more."""
        rule = self._index.running.get(resumption.rule)
        if not self._ledger.waits.resume(resumption.subject, resumption.waiting_id) or rule is None:
            return []
        start, situation = perf_counter_ns(), self._situation(scene)
        if tuple(step_names(rule)) != resumption.step_names or not is_in_force(rule, situation.now):
            wish = self._wish(rule, scene, situation, Judgement(holds=False), NO_STEPS, Outcome.NO_MATCH, start)
            wish.run.guard = "The rule was changed while it waited, so it does not go on."
            return [wish.run]
        judgement = rule.judge_condition(situation) if resumption.recheck else Judgement(holds=True)
        judgement, steps = with_steps(rule, judgement, situation, resumption.step)
        outcome = Outcome.ERROR if judgement.error else Outcome.NO_MATCH
        wish = self._wish(rule, scene, situation, judgement, steps, outcome, start)
        if judgement.holds:
            self._actors.perform(wish.run, steps, situation, Decided(), resumption.step)
        return [wish.run]

    # -- what happened before --------------------------------------------------------------------------------------

    def _note_event(self, case: Case) -> None:
        """The event itself is among those that conditions count, whatever the clocks of two machines say."""
        reading, asked = case.reading, self._index.past
        if reading.occurrence is None or reading.resumption is not None or not asked.events:
            return
        trigger = reading.occurrence.trigger
        name = fold(reading.occurrence.detail.get("name") or "") if trigger is Trigger.EVENT else trigger.value
        if name in asked.events:
            at = min(reading.event.received_at, self._records.now)
            fields = {Trigger.FORM_SUBMITTED: reading.form, Trigger.SALE: reading.sale}.get(trigger, reading.said)
            ids = (case.company.id if case.company else None, _id_of(case.contact))
            self._history.note_event(PastEvent(reading.event.id, name, at, fields, *ids))

    def _note_changes(self) -> None:
        """What this transaction has changed so far is past, too."""
        changes, now = self._records.changes, self._records.now
        if self._index.past.fields:
            for one in changes[self._noted_changes :]:
                if one.path in self._index.past.fields:
                    self._history.note_change(PastChange(one.path, one.entity_id, one.old, one.new, now))  # type: ignore[arg-type]
        self._noted_changes = len(changes)

    # -- chains ----------------------------------------------------------------------------------------------------

    def _follow_ups(self, scene: _Scene, runs: list[Run]) -> list[_Scene]:
        """The changes of each rule as occurrences for rules that say `also_from_rules`."""
        scenes = []
        for run in runs:
            if run.outcome not in (Outcome.FIRED, Outcome.WAITING):
                continue
            chain = (*scene.occurrence.chain, run.rule.slug)
            by_record: dict[tuple[str, int], dict[str, tuple[object, object]]] = {}
            for change in run.made:
                changed = by_record.setdefault((change.entity, change.entity_id), {})
                changed[change.path] = (change.old, change.new)
            for (entity, entity_id), changes in by_record.items():
                occurrence = Occurrence(Trigger.RECORD_CHANGED, {"record": entity}, changes, chain)
                scenes.append(self._scene_of(occurrence, entity, entity_id, scene))
        return scenes

    def _scene_of(self, occurrence: Occurrence, entity: str, entity_id: int, scene: _Scene) -> _Scene:
        if entity == "company":
            company = self._records.companies[entity_id]
            return _Scene(scene.origin, scene.said, occurrence, company, scene.contact)
        contact = self._records.contacts[entity_id]
        return _Scene(scene.origin, scene.said, occurrence, self._records.company_of(contact), contact)


def _ids(rule: Rule, company: Company | None, contact: Contact | None) -> tuple[str, int | None, int | None]:
    return rule.slug, _id_of(company), _id_of(contact)


def _id_of(record: Company | Contact | None) -> int | None:
    return None if record is None else record.id
