"""Which rules an occurrence may fire, found by index, and what they decide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

from leadflow.domain.effects import Step
from leadflow.domain.events import Occurrence, Trigger
from leadflow.domain.text import fold
from leadflow.rules.conditions import sentence_about
from leadflow.rules.model import Judgement, Rule, RuleSet, RuleStatus, Situation, TriggerFilter
from leadflow.rules.past_asked import past_asked_by
from leadflow.rules.triggers import fits

RUNNING = frozenset({RuleStatus.LIVE, RuleStatus.PROPOSE, RuleStatus.SHADOW})

# The trigger, the name of what is asked for and its wanted value; a watched field stands as the name.
Key = tuple[Trigger, str, str]


class RuleIndex:
    """The running rules of a set by trigger and first equality: 1,000 rules cost an occurrence what 10 do."""

    def __init__(self, rule_set: RuleSet) -> None:
        running = [rule for rule in rule_set.rules if rule.status in RUNNING]
        self.version = rule_set.version
        self.running = {rule.slug: rule for rule in running}
        self.limited_rules = tuple(rule.slug for rule in running if rule.limit)
        self.waiting_rules = tuple(rule.slug for rule in running if rule.waits)
        self.uses_all_contacts = any(rule.uses_all_contacts for rule in running)
        self.past = past_asked_by(rule.condition for rule in running)
        self._rules = rule_set.rules
        self._places: dict[Key, list[tuple[int, TriggerFilter]]] = defaultdict(list)
        for place, rule in enumerate(rule_set.rules):
            if rule.status in RUNNING:
                self._enter(place, rule)
        self._places.default_factory = None

    def _enter(self, place: int, rule: Rule) -> None:
        for one in rule.triggers:
            for key in _keys_of_filter(one):
                self._places[key].append((place, one))

    def candidates(self, occurrence: Occurrence, now: datetime) -> list[Rule]:
        """The running rules that listen to the occurrence, in the order in which they are tried."""
        found = {
            place
            for key in _keys_of_occurrence(occurrence)
            for place, one in self._places.get(key, ())
            if fits(one, occurrence)
        }
        rules = (self._rules[place] for place in sorted(found))
        return [rule for rule in rules if is_open_to(rule, occurrence, now)]

    def listens_to(self, trigger: Trigger, paths: Iterable[str]) -> bool:
        """Whether any running rule listens to changes of these fields, or to the creation of these records."""
        if trigger is Trigger.RECORD_CHANGED:
            return any((trigger, path, "") in self._places for path in paths)
        return any((trigger, "record", record) in self._places for record in paths)


def is_open_to(rule: Rule, occurrence: Occurrence, now: datetime) -> bool:
    """Whether the rule is in its dates and takes what comes from imports or other rules, where this does."""
    if occurrence.is_import and not rule.include_import:
        return False
    if occurrence.is_from_rule and not rule.also_from_rules:
        return False
    if occurrence.detail.get("rule", rule.slug) != rule.slug:  # somebody started one rule by hand
        return False
    return is_in_force(rule, now)


def is_in_force(rule: Rule, now: datetime) -> bool:
    """Whether the rule is in its dates."""
    return (rule.starts_at is None or rule.starts_at <= now) and (rule.ends_at is None or now < rule.ends_at)


def _keys_of_filter(one: TriggerFilter) -> list[Key]:
    if one.watched:
        return [(one.trigger, path, "") for path in one.watched]
    name = next(iter(one.wants), "")
    return [(one.trigger, name, one.wants.get(name, ""))]


def _keys_of_occurrence(occurrence: Occurrence) -> Iterator[Key]:
    trigger = occurrence.trigger
    yield trigger, "", ""
    for name, value in occurrence.detail.items():
        yield trigger, name, fold(value or "")
    for path in occurrence.changes:
        yield trigger, path, ""


def decide(rule: Rule, situation: Situation) -> tuple[Judgement, tuple[tuple[str, Step], ...]]:
    """The judgement and, where the rule holds, the steps it wants, each with its action's name and number."""
    return with_steps(rule, rule.judge(situation), situation)


def with_steps(
    rule: Rule, judgement: Judgement, situation: Situation, first: int = 0
) -> tuple[Judgement, tuple[tuple[str, Step], ...]]:
    """The judgement and, where it holds, the rule's steps from number `first` on.

    A step that cannot be described (its text comes out blank) makes the judgement an error, and nothing is done.
    """
    if not judgement.holds:
        return judgement, ()
    steps = []
    for one in rule.actions[first:]:
        try:
            steps.append((one.action, one.describe(situation)))
        except Exception as fault:  # noqa: BLE001 - whatever went wrong is told; it must never look like "no match"
            return Judgement(False, judgement.clauses, sentence_about(fault, one.action)), ()
    return judgement, tuple(steps)
