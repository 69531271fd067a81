"""What a plan supposes to happen to each record, so that a rule that waits for it can be judged now."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from leadflow.domain.effects import Step
from leadflow.domain.events import SaleStep, Trigger
from leadflow.domain.fields import Catalogue, Field, Value
from leadflow.domain.history import Record
from leadflow.rules.conditions import Condition, Leaf, compile_judge, leaves_of
from leadflow.rules.model import PlannedStep, Rule, Situation, TriggerFilter
from leadflow.rules.upper_bounds import (
    ALWAYS,
    asks_of_change,
    asks_of_past_changes,
    counts_events,
    paths_of,
    upper_bound,
)
from leadflow.rules.values import BEFORE, CHOICE_KINDS, TEXT_KINDS, comparable

OWN_ROOTS = {Trigger.FORM_SUBMITTED: "form", Trigger.EVENT: "event", Trigger.SALE: "sale", Trigger.MANUAL: "user"}
STATUS_AFTER = {SaleStep.REGISTERED: "open", SaleStep.SOLD: "sold", SaleStep.LOST: "lost"}


@dataclass(frozen=True)
class Supposition:
    """One line of a rule's `when`, as if it came true now for every record."""

    line: TriggerFilter
    catalogue: Catalogue
    now: datetime

    @property
    def trigger(self) -> Trigger:
        return self.line.trigger

    @cached_property
    def subject(self) -> Record:
        """What it happens to."""
        match self.trigger:
            case Trigger.SALE:
                return "company"
            case Trigger.RECORD_CHANGED:
                return "company" if self.watched.startswith("company.") else "contact"
            case Trigger.RECORD_CREATED | Trigger.MANUAL:
                return "company" if self.line.wants.get("record") == "company" else "contact"
            case _:
                return "contact"

    @property
    def watched(self) -> str:
        """The field that is supposed to change; the first, where the line has several."""
        return next(iter(self.line.watched), "")

    @property
    def watched_field(self) -> Field | None:
        return self.catalogue.get(self.watched)

    @property
    def root(self) -> str | None:
        """Under which name rules find what the event itself says."""
        return OWN_ROOTS.get(self.trigger)

    @property
    def step(self) -> str:
        return self.line.wants.get("step", SaleStep.REGISTERED)

    @property
    def closes_a_sale(self) -> bool:
        return self.trigger is Trigger.SALE and self.step != SaleStep.REGISTERED

    @property
    def counted_as(self) -> str | None:
        """The name under which conditions count the event among earlier ones."""
        if self.trigger is Trigger.EVENT:
            return self.line.wants.get("name")
        return self.trigger.value if self.trigger in (Trigger.FORM_SUBMITTED, Trigger.SALE) else None

    @cached_property
    def given(self) -> dict[str, Value]:
        """The event's own fields, by name, that its line of `when` gives."""
        match self.trigger:
            case Trigger.FORM_SUBMITTED:
                return dict(self.line.wants)
            case Trigger.EVENT:
                return {"at": self.now}
            case Trigger.SALE:
                return {"status": STATUS_AFTER.get(SaleStep(self.step), "open")}
            case _:
                return {}

    # -- what cannot be known --------------------------------------------------------------------------------------

    @cached_property
    def _known(self) -> frozenset[str]:
        known = {f"{self.root}.{name}" for name in self.given}
        return frozenset(known | {"form.email", "event.name"})

    @cached_property
    def _altered(self) -> frozenset[str]:
        """The fields of records that the happening itself changes, so that what is stored says nothing of them."""
        record = self.subject
        altered = {f"{record}.updated_at"}
        match self.trigger:
            case Trigger.FORM_SUBMITTED | Trigger.EVENT:
                altered |= {"contact.last_touched_at", "contact.first_name", "contact.last_name"}
            case Trigger.SALE:
                altered.add("company.open_sales")
            case Trigger.RECORD_CREATED:
                altered.add(f"{record}.created_at")
            case Trigger.RECORD_CHANGED:
                altered |= {self.watched, f"{record}.lead_status"}
        return frozenset(altered)

    def is_unknown(self, leaf: Leaf) -> bool:
        """Whether the clause asks what nobody can know of a record that this never happened to before."""
        paths = list(paths_of(leaf, self.now))
        if any(self._is_own(path) and path not in self._known for path in paths):
            return True
        if self.trigger is Trigger.RECORD_CHANGED and self._is_of_unknown_change(leaf, paths):
            return True
        asked = counts_events(leaf, self.counted_as) if self.counted_as else None
        where = asked.where if asked is not None else None
        return any(path not in self._known for one in leaves_of(where) for path in paths_of(one, self.now))

    def _is_own(self, path: str) -> bool:
        return self.root is not None and path.partition(".")[0] == self.root

    def _is_of_unknown_change(self, leaf: Leaf, paths: list[str]) -> bool:
        sources, targets = self.line.watched[self.watched]
        if targets is None and sources is not None:
            return self.watched in paths or asks_of_change(leaf, self.now)
        is_of_old = any(path.startswith(BEFORE) for path in paths) or asks_of_change(leaf, self.now)
        return targets is None and is_of_old

    def is_not_stored(self, leaf: Leaf) -> bool:
        """Whether the clause cannot be asked of the records as they are stored, because of what is supposed."""
        paths = list(paths_of(leaf, self.now))
        if any(path.partition(".")[0] not in ("company", "contact") or path in self._altered for path in paths):
            return True
        if asks_of_change(leaf, self.now) or asks_of_past_changes(leaf, self.watched):
            return True
        return self.counted_as is not None and counts_events(leaf, self.counted_as) is not None

    # -- rules -----------------------------------------------------------------------------------------------------

    def asked_of_stored(self, condition: Condition | None) -> Condition:
        """What the condition asks of the records as they are stored: everybody who may match satisfies it."""
        return ALWAYS if condition is None else upper_bound(condition, self.is_not_stored)

    def depends_on_unknown(self, rule: Rule) -> bool:
        """Whether what the rule does depends on what only the event itself would say."""
        if any(map(self.is_unknown, leaves_of(rule.condition))):
            return True
        return self.root is not None and re.search(rf"\{{\{{[^}}]*\b{self.root}\.", rule.source_text) is not None

    def hopeful(self, rule: Rule) -> Rule:
        """The rule with clauses about the unknown counting as holding, and names in place of unknown texts."""
        condition = None if rule.condition is None else upper_bound(rule.condition, self.is_unknown)
        judge = compile_judge([] if condition is None else [condition.compile()])
        actions = tuple(one if one.step is not None else self._with_names(one) for one in rule.actions)
        return replace(rule, condition=condition, judge=judge, judge_condition=judge, actions=actions)

    def _with_names(self, one: PlannedStep) -> PlannedStep:
        if self.root is None:
            return one
        texts = (field for field in self.catalogue.of(self.root) if field.kind in TEXT_KINDS)
        names: dict[str, Value] = {field.path.partition(".")[2]: f"‹{field.label}›" for field in texts}
        return replace(one, describe=_described_with(one.describe, self.root, names))

    # -- a change --------------------------------------------------------------------------------------------------

    def change_of(self, value: Value) -> tuple[Value, Value] | None:
        """From what to what the watched field is supposed to change, where it has this value now.

        None where the rule would not listen, or where nothing would change.
        """
        sources, targets = self.line.watched[self.watched]
        if sources is not None and comparable(value) not in sources:
            return None
        if targets is None:
            other = self._another(value)
            return (value, other) if sources is not None else (other, value)
        wanted = sorted(targets, key=str)
        target = next((one for one in wanted if one != comparable(value)), value)
        return None if comparable(target) == comparable(value) else (value, target)

    @property
    def writes_change(self) -> bool:
        """Whether the record gets another value by it; else it is supposed to have just got the one it has."""
        sources, targets = self.line.watched[self.watched]
        return targets is not None or sources is not None

    def _another(self, value: Value) -> Value:
        one = self.watched_field
        if one is not None and one.kind in CHOICE_KINDS:
            return next((choice.key for choice in one.choices if choice.key != value), None)
        return None if value else "‹something else›"


def _described_with(
    describe: Callable[[Situation], Step], root: str, names: Mapping[str, Value]
) -> Callable[[Situation], Step]:
    def described(situation: Situation) -> Step:
        said: dict[str, Any] = {root: {**names, **getattr(situation, root)}}
        return describe(replace(situation, **said))

    return described
