"""Mutants: conditions that differ from a rule's in one thing. A test that tells them apart is worth having."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import time
from typing import Any

from leadflow.rules.conditions import (
    All,
    AnyOf,
    Clause,
    Condition,
    FieldTest,
    Leaf,
    Named,
    NoneOf,
    NowClause,
    PastClause,
    compile_judge,
    compile_where,
)
from leadflow.rules.model import Judgement, Limit, Rule, Situation
from leadflow.rules.past import ChangesAsked, EventsAsked
from leadflow.rules.testing.near_tests import lengths_near, sets_near, shown_length, tests_near
from leadflow.rules.triggers import fits
from leadflow.rules.week import WEEKDAYS, WorkingHours

MINUTES_A_DAY = 24 * 60
GROUP_WORDS: dict[type[All | AnyOf | NoneOf], str] = {All: "all", AnyOf: "any", NoneOf: "none"}
# These are never blank, so it makes no difference whether a blank would do.
NEVER_BLANK = ("created_at", "updated_at", "do_not_automate", "open_sales", "event_count")
NEVER_BLANK_IN_EVENTS = (
    *("form.form", "form.email", "form.submitted_at", "event.name", "event.at", "sale.status"),
    *("user.name", "user.role"),
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """The rule with one thing changed: `change` says what, `part` is the clause or group that it was changed in.

    `named` is the segment or selection that the change is in, where it is in one.
    """

    rule: Rule
    path: str
    change: str
    part: Condition | None = None
    named: Named | None = None


@dataclass(frozen=True, slots=True)
class _Changed:
    """A condition with one thing changed; None is no condition at all."""

    condition: Condition | None
    path: str
    change: str
    part: Condition
    named: Named | None = None


def mutants_of(rule: Rule) -> Iterator[Mutant]:
    """All mutants of the rule's condition, and of its limit."""
    for one in _near(rule.condition) if rule.condition is not None else ():
        yield Mutant(with_condition(rule, one.condition), one.path, one.change, one.part, one.named)
    for limit in _limits_near(rule.limit):
        within = "ever" if limit is None or limit.within is None else shown_length(limit.within)
        change = "dropped" if limit is None else f"once within {within}"
        yield Mutant(replace(rule, limit=limit), "limit", change)


def with_condition(rule: Rule, condition: Condition | None) -> Rule:
    """The rule with another condition and the same triggers."""
    judge_condition = compile_judge([condition.compile()] if condition is not None else [])

    def judge(situation: Situation) -> Judgement:
        is_called = any(fits(one, situation.occurrence) for one in rule.triggers)
        return judge_condition(situation) if is_called else rule.judge(situation)

    return replace(rule, condition=condition, judge=judge, judge_condition=judge_condition)


def _limits_near(limit: Limit | None) -> Iterator[Limit | None]:
    if limit is None:
        return
    yield None
    for length in lengths_near(limit.within) if limit.within is not None else ():
        yield replace(limit, within=length)


# -- the tree ----------------------------------------------------------------------------------------------------------


def _near(condition: Condition) -> Iterator[_Changed]:
    match condition:
        case All(parts) | AnyOf(parts) | NoneOf(parts):
            yield from _other_group(condition)
            for place, part in enumerate(parts):
                for one in _near(part):
                    yield replace(one, condition=_with_part(condition, place, one.condition))
        case Named(condition=inner):
            for one in _near(inner):
                changed = None if one.condition is None else replace(condition, condition=one.condition)
                yield replace(one, condition=changed, named=one.named or condition)
        case _:
            yield _Changed(None, condition.path, "dropped", condition)
            for leaf, change in _leaves_near(condition):
                yield _Changed(leaf, condition.path, change, condition)


def _with_part(group: All | AnyOf | NoneOf, place: int, part: Condition | None) -> Condition | None:
    """The group with another part; without its only part there is no group."""
    parts = (*group.parts[:place], *([part] if part is not None else []), *group.parts[place + 1 :])
    return type(group)(parts) if parts else None


def _other_group(group: All | AnyOf | NoneOf) -> Iterator[_Changed]:
    others: dict[type[All | AnyOf | NoneOf], type[All | AnyOf]] = {All: AnyOf, AnyOf: All, NoneOf: AnyOf}
    other = others[type(group)]
    if len(group.parts) > 1 or isinstance(group, NoneOf):
        words = GROUP_WORDS[type(group)]
        yield _Changed(other(group.parts), f"'{words}'", f"'{words}' → '{GROUP_WORDS[other]}'", group)


# -- clauses -----------------------------------------------------------------------------------------------------------


def _leaves_near(leaf: Leaf) -> Iterator[tuple[Leaf, str]]:
    match leaf:
        case Clause():
            yield from _tests_near(leaf)
        case PastClause(asked=EventsAsked() as asked):
            yield from _tests_near(leaf)
            yield from ((replace(leaf, asked=one), change) for one, change in _events_near(asked))
        case PastClause(asked=ChangesAsked() as asked):
            yield from _tests_near(leaf)
            yield from ((replace(leaf, asked=one), change) for one, change in _changes_near(asked))
        case NowClause(hours):
            yield from ((NowClause(one), f"{hours.words} → {one.words}") for one in _hours_near(hours))


def _tests_near(leaf: Clause | PastClause) -> Iterator[tuple[Clause | PastClause, str]]:
    for place, test in enumerate(leaf.tests):
        for other in tests_near(test, leaf.field, leaf.zone):
            yield _with_tests(leaf, place, (other,)), f"{test.words} → {other.words}"
        if len(leaf.tests) > 1:
            yield _with_tests(leaf, place, ()), f"{test.words} → dropped"
    if _is_blank_asked(leaf):
        change = "or_blank dropped" if leaf.or_blank else "or_blank added"
        yield replace(leaf, or_blank=not leaf.or_blank), change


def _with_tests(leaf: Clause | PastClause, place: int, tests: tuple[FieldTest, ...]) -> Clause | PastClause:
    return replace(leaf, tests=(*leaf.tests[:place], *tests, *leaf.tests[place + 1 :]))


def _is_blank_asked(leaf: Clause | PastClause) -> bool:
    """Whether a blank makes a difference: it can be there, and some test refuses it."""
    path = leaf.field.path
    can_be_blank = path.rpartition(".")[2] not in NEVER_BLANK and path not in NEVER_BLANK_IN_EVENTS
    return can_be_blank and any(one.operator.refuses_blank for one in leaf.tests)


# -- the past and the hours --------------------------------------------------------------------------------------------


def _events_near(asked: EventsAsked) -> Iterator[tuple[EventsAsked, str]]:
    # The words stay: a trace of the mutant has the clause under the name that tests know.
    if asked.by == "contact":
        yield replace(asked, by="company"), "by contact → by company"
    else:
        yield replace(asked, by="contact"), "by company → by contact"
    if asked.within is not None:
        yield replace(asked, within=None), f"in the last {shown_length(asked.within)} → ever"
        for length in lengths_near(asked.within):
            yield replace(asked, within=length), f"in the last {shown_length(asked.within)} → {shown_length(length)}"
    if asked.where is not None:
        for one in _near(asked.where):
            is_meant = compile_where(one.condition) if one.condition is not None else None
            yield replace(asked, where=one.condition, is_meant=is_meant), f"where {one.path}: {one.change}"


def _changes_near(asked: ChangesAsked) -> Iterator[tuple[ChangesAsked, str]]:
    for sources in _sides_near(asked.sources):
        yield replace(asked, sources=sources), "from: " + ("dropped" if sources is None else "a value dropped")
    for targets in _sides_near(asked.targets):
        yield replace(asked, targets=targets), "to: " + ("dropped" if targets is None else "a value dropped")


def _sides_near(values: frozenset[Any] | None) -> list[frozenset[Any] | None]:
    return [] if values is None else [None, *sets_near(values)]


def _hours_near(hours: WorkingHours) -> Iterator[WorkingHours]:
    if hours.weekdays is not None and 1 < len(hours.weekdays) <= len(WEEKDAYS):
        yield from (replace(hours, weekdays=days) for days in sets_near(hours.weekdays))
    if hours.between is not None:
        start, end = hours.between
        ends = ((_moved(start, -1), end), (_moved(start, 1), end), (start, _moved(end, -1)), (start, _moved(end, 1)))
        yield from (replace(hours, between=one) for one in ends)


def _moved(clock: time, minutes: int) -> time:
    """The clock so many minutes later; it goes round at midnight."""
    later = (clock.hour * 60 + clock.minute + minutes) % MINUTES_A_DAY
    return time(later // 60, later % 60)
