"""What a check of sound rules says, and what it knows of the installation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from leadflow.domain.events import Trigger
from leadflow.domain.fields import Catalogue
from leadflow.domain.history import Record
from leadflow.domain.lifecycle import Lifecycle
from leadflow.rules.conditions import (
    All,
    AnyOf,
    Condition,
    Leaf,
    MemberClause,
    Named,
    NoneOf,
    NowClause,
    PastClause,
    leaves_of,
)
from leadflow.rules.linting.cases import Algebra, Cases
from leadflow.rules.model import Rule, Situation, TriggerFilter
from leadflow.rules.nodes import Node
from leadflow.rules.past import ChangesAsked, EventsAsked
from leadflow.rules.problems import Severity, quoted


class Data(Protocol):
    """What a check can look up among the records; without a database there is none of it."""

    def count_blank(self, path: str) -> int | None:
        """How many records have nothing in the field today; None if nobody can say."""

    def find_record(self, subject: Record, condition: Condition | None, situation: Situation) -> str | None:
        """The name of a record that satisfies the condition together with what the situation brings."""


class NoData:
    """A check of files alone."""

    def count_blank(self, path: str) -> int | None:
        return None

    def find_record(self, subject: Record, condition: Condition | None, situation: Situation) -> str | None:
        return None


NO_DATA = NoData()


@dataclass(frozen=True, slots=True)
class Setting:
    """The installation for which rules are checked."""

    catalogue: Catalogue
    lifecycle: Lifecycle
    now: datetime
    data: Data = NO_DATA


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about one rule. It stands at `place`, or at the rule's id."""

    rule: Rule
    place: Node | None
    code: str
    severity: Severity
    message: str


class Study:
    """A rule with what the checks ask of it, worked out once.

    `cases` takes a change's new value for the record's; `guarded_cases` and `guarded_trigger` do not rely on that.
    """

    def __init__(self, rule: Rule, algebra: Algebra, cautious: Algebra) -> None:
        self.rule = rule
        self.trigger: Cases = algebra.cases_of_triggers(rule.triggers)
        self.cases: Cases = self.trigger & algebra.cases(rule.condition)
        hears_changes = any(one.watched for one in rule.triggers)
        self.guarded_trigger: Cases = cautious.cases_of_triggers(rule.triggers) if hears_changes else self.trigger
        self.guarded_cases: Cases = (
            self.guarded_trigger & cautious.cases(rule.condition) if hears_changes else self.cases
        )

    @property
    def subject(self) -> Record:
        """The record among which an example of the rule is looked for."""
        asks_for_contact = any(_is_about_contact(leaf) for leaf in leaves_of(self.rule.condition))
        is_about_company = any(_is_about_company(one) for one in self.rule.triggers)
        return "company" if is_about_company and not asks_for_contact else "contact"

    @property
    def is_scheduled(self) -> bool:
        return self.rule.schedule is not None

    def find(self, code: str, severity: Severity, message: str, place: Node | None = None) -> Finding:
        """A finding about this rule."""
        return Finding(self.rule, place, code, severity, message)


def _is_about_company(one: TriggerFilter) -> bool:
    is_of_company = one.wants.get("record") == "company" or any(path.startswith("company.") for path in one.watched)
    return is_of_company or one.trigger is Trigger.SALE


def _is_about_contact(leaf: Leaf) -> bool:
    match leaf:
        case PastClause(asked=EventsAsked(by=by)):
            return by == "contact"
        case PastClause(asked=ChangesAsked(field=field)):
            return field.root == "contact"
        case MemberClause(record=record):
            return record == "contact"
        case _:
            return leaf.path.startswith("contact.")


def words_of(condition: Condition) -> str:
    """The condition as a message names it: `company.category is Lead`."""
    match condition:
        case All():
            return "'all' of the clauses below"
        case AnyOf():
            return "'any' of the clauses below"
        case NoneOf():
            return "'none' of the clauses below"
        case Named(kind=kind, name=name):
            return f"the {kind} {quoted(name)}"
        case NowClause():
            return f"'now {condition.words}'"
        case _:
            return f"'{condition.path} {condition.words}'"


def listed(names: Iterable[str]) -> str:
    """`Lead, Customer and Partner`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def category_names(setting: Setting, keys: Iterable[str | None]) -> str:
    """The categories as people read them, in their order; None is no category."""
    wanted = set(keys)
    ranked: Mapping[str, object] = setting.lifecycle.categories
    names = [setting.lifecycle.category(key).name for key in ranked if key in wanted]
    return listed([*names, *(["no category"] if None in wanted else [])])
