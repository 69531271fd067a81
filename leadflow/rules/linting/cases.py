"""Conditions as alternatives: each a case that says, field by field, which values it takes.

A condition of too many alternatives is `UNDECIDED`: nothing is claimed about it, which is never wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from leadflow.domain.events import SaleStep
from leadflow.domain.fields import Catalogue, Field
from leadflow.rules.conditions import (
    All,
    AnyOf,
    Clause,
    Condition,
    FieldTest,
    MemberClause,
    Named,
    NoneOf,
    NowClause,
    PastClause,
    leaves_of,
)
from leadflow.rules.linting.domains import (
    Chosen,
    Domain,
    Space,
    domain_of_values,
    domain_where,
    domain_where_not,
    domain_without_values,
    hours_of,
    space_of,
)
from leadflow.rules.linting.lines import Line, line_between
from leadflow.rules.linting.times import Times, ticks_of
from leadflow.rules.model import Rule, TriggerFilter
from leadflow.rules.past import ChangesAsked, EventsAsked
from leadflow.rules.predicates import EqualTo, Moved
from leadflow.rules.triggers import DETAIL_PATHS
from leadflow.rules.values import BEFORE, comparable

MAX_CASES = 512
MAX_JOINS = 32 * MAX_CASES

# The path under which stands what a change has written; the record itself may have moved on since.
AFTER = "after."
# What a sale's status is when it takes a step.
STATUS_AT = {SaleStep.REGISTERED.value: "open", SaleStep.SOLD.value: "sold", SaleStep.LOST.value: "lost"}


# What conditions ask about beside fields, which are known by their paths.


@dataclass(frozen=True, slots=True)
class TriggerKey:
    """What `when` asks for: the trigger itself, or a detail that is no field (`record`, `sale.step`)."""

    name: str


@dataclass(frozen=True, slots=True)
class ChangedKey:
    """Whether the change touched the field."""

    path: str


@dataclass(frozen=True, slots=True)
class SameKey:
    """Whether two fields have the same value."""

    paths: frozenset[str]
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class HoursKey:
    """The clock on the wall of a zone."""

    zone: tzinfo


@dataclass(frozen=True, slots=True)
class PastKey:
    """How often something happened, or when last. Two are one only where they ask exactly the same."""

    kind: str
    asked: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class MemberKey:
    """Whether the record is a member of a static selection."""

    selection_id: int


Key = str | TriggerKey | ChangedKey | SameKey | HoursKey | PastKey | MemberKey


@dataclass(frozen=True, slots=True)
class Case:
    """Values field by field; a field that is not named may have any, or be blank."""

    domains: Mapping[Key, Domain]

    def joined(self, other: Case) -> Case | None:
        """Both at once; None where a field is left without a value."""
        few, many = sorted((self.domains, other.domains), key=len)
        found = dict(many)
        for key, domain in few.items():
            both = domain & found[key] if key in found else domain
            if both.is_empty:
                return None
            found[key] = both
        return Case(found)

    def possible_nows(self, now: datetime) -> Line:
        """When, from `now` on, every field that is bound to the clock can have a value."""
        nows = line_between(ticks_of(now), None, True, True, is_whole=True)
        for domain in self.domains.values():
            if isinstance(domain.values, Times) and not domain.has_blank:
                nows &= domain.values.nows()
        return nows

    def is_impossible(self, now: datetime) -> bool:
        """Whether no record can be like this, from `now` on."""
        return (
            any(domain.is_empty for domain in self.domains.values())
            or self.possible_nows(now).is_empty
            or any(self._contradicts(key, domain) for key, domain in self.domains.items())
        )

    def _contradicts(self, key: Key, domain: Domain) -> bool:
        match key:
            case ChangedKey(path) if domain == YES:
                return self._is_no_change(path)
            case SameKey(paths) if domain == YES:
                one, other = sorted(paths)
                return self._cannot_be_same(one, other)
            case _:
                return False

    def _is_no_change(self, path: str) -> bool:
        """Whether the old and the new value can only be one and the same. Texts change by case alone, too."""
        old, new = self.domains.get(BEFORE + path), self.domains.get(path)
        if old is None or new is None or not isinstance(new.values, Chosen | Line):
            return False
        if old.values.is_empty and new.values.is_empty:
            return True
        is_blank = old.has_blank or new.has_blank
        single = new.values.single
        return (
            not is_blank
            and single is not None
            and isinstance(old.values, Chosen | Line)
            and old.values.single == single
        )

    def _cannot_be_same(self, one: str, other: str) -> bool:
        mine, theirs = self.domains.get(one), self.domains.get(other)
        if mine is None or theirs is None or type(mine.values) is not type(theirs.values):
            return False
        if isinstance(mine.values, Times) and mine.values.zone != theirs.values.zone:  # type: ignore[union-attr]
            return False
        return (mine.values & theirs.values).is_empty  # type: ignore[operator]


ALWAYS = Case({})
YES = Domain(Chosen(frozenset({True})))
NO = Domain(Chosen(frozenset({False})))


@dataclass(frozen=True, slots=True)
class Cases:
    """At least one of the alternatives holds; None: there are too many to say anything."""

    alternatives: tuple[Case, ...] | None

    def __and__(self, other: Cases) -> Cases:
        if self.alternatives is None or other.alternatives is None:
            return self if other.alternatives is None and self.is_never else other if other.is_never else UNDECIDED
        if len(self.alternatives) * len(other.alternatives) > MAX_JOINS:
            return UNDECIDED
        found: list[Case] = []
        for one in self.alternatives:
            for another in other.alternatives:
                both = one.joined(another)
                if both is not None:
                    found.append(both)
            if len(found) > MAX_CASES:
                return UNDECIDED
        return Cases(tuple(found))

    def __or__(self, other: Cases) -> Cases:
        if self.alternatives is None or other.alternatives is None:
            return UNDECIDED
        found = list(self.alternatives)
        for case in other.alternatives:
            _add(found, case)
        return Cases(tuple(found)) if len(found) <= MAX_CASES else UNDECIDED

    def __len__(self) -> int:
        return len(self.alternatives or ())

    @property
    def is_never(self) -> bool:
        """Whether there is no alternative at all."""
        return self.alternatives == ()

    def is_impossible(self, now: datetime) -> bool:
        """Whether it is certain that nothing satisfies any alternative, from `now` on."""
        return self.alternatives is not None and all(one.is_impossible(now) for one in self.alternatives)

    def possible(self, now: datetime) -> tuple[Case, ...]:
        """The alternatives that are not certainly impossible; none if undecided."""
        return tuple(one for one in self.alternatives or () if not one.is_impossible(now))


UNDECIDED = Cases(None)
ANYTHING = Cases((ALWAYS,))
NEVER = Cases(())


def _add(cases: list[Case], new: Case) -> None:
    """Add an alternative; one that differs from another in a single field widens that instead."""
    for place, old in enumerate(cases):
        if old.domains.keys() != new.domains.keys():
            continue
        different = [key for key, domain in new.domains.items() if old.domains[key] != domain]
        if not different:
            return
        joined = old.domains[different[0]].united(new.domains[different[0]]) if len(different) == 1 else None
        if joined is not None:
            cases[place] = Case({**old.domains, different[0]: joined})
            return
    cases.append(new)


def all_of(parts: Iterable[Cases]) -> Cases:
    """Every part holds. The plain ones are joined first: where they contradict, the others need not be decided."""
    found = ANYTHING
    for part in sorted(parts, key=lambda one: MAX_CASES if one.alternatives is None else len(one)):
        found &= part
    return found


def any_of(parts: Iterable[Cases]) -> Cases:
    """At least one part holds."""
    found = NEVER
    for part in parts:
        found |= part
    return found


class Algebra:
    """Conditions as cases, with `now` pinned, and what follows from them.

    `is_settled`: a record still has the value that the change wrote when the rule is tried. Mostly so, not always:
    somebody may have written another one in between.
    """

    def __init__(self, catalogue: Catalogue, now: datetime, *, is_settled: bool = True) -> None:
        self.catalogue = catalogue
        self.now = now
        self.is_settled = is_settled
        self._settled: Algebra | None = None
        self._known: dict[tuple[int, bool], tuple[Condition, Cases]] = {}

    def cautious(self) -> Algebra:
        """The same without relying on the new values of changes; what is not about changes is worked out once."""
        other = Algebra(self.catalogue, self.now, is_settled=False)
        other._settled = self
        return other

    # -- questions -------------------------------------------------------------------------------------------------

    def is_impossible(self, condition: Condition) -> bool:
        """Whether certainly nothing satisfies the condition, from now on."""
        return self.cases(condition).is_impossible(self.now)

    def implies(self, one: Condition, other: Condition) -> bool:
        """Whether certainly everything that satisfies `one` satisfies `other`."""
        return (self.cases(one) & self.cases(other, negated=True)).is_impossible(self.now)

    def are_disjoint(self, one: Condition, other: Condition) -> bool:
        """Whether certainly nothing satisfies both."""
        return (self.cases(one) & self.cases(other)).is_impossible(self.now)

    # -- conditions ------------------------------------------------------------------------------------------------

    def cases(self, condition: Condition | None, *, negated: bool = False) -> Cases:
        """The condition, or its complement, as alternatives."""
        if condition is None:
            return NEVER if negated else ANYTHING
        if self._settled is not None and not _asks_for_changes(condition):
            return self._settled.cases(condition, negated=negated)
        mark = (id(condition), negated)
        if mark not in self._known:
            # The condition is kept beside its cases, so that its id stays its own.
            self._known[mark] = condition, self._cases(condition, negated)
        return self._known[mark][1]

    def _cases(self, condition: Condition, negated: bool) -> Cases:
        match condition:
            case All(parts):
                join = any_of if negated else all_of
                return join(self.cases(part, negated=negated) for part in parts)
            case AnyOf(parts):
                join = all_of if negated else any_of
                return join(self.cases(part, negated=negated) for part in parts)
            case NoneOf(parts):
                join = any_of if negated else all_of
                return join(self.cases(part, negated=not negated) for part in parts)
            case Named(condition=inner):
                return self.cases(inner, negated=negated)
            case NowClause(hours):
                inside = hours_of(hours)
                return _where(HoursKey(hours.zone), Domain(~inside if negated else inside))
            case Clause(path=path, field=field, zone=zone):
                return self._tests(condition, path, space_of(field, zone), negated)
            case MemberClause(selection_id=selection_id):
                return _where(MemberKey(selection_id), NO if negated else YES)
            case PastClause():
                return self._tests(condition, past_key(condition), past_space(condition), negated)

    def _tests(self, clause: Clause | PastClause, key: Key, space: Space, negated: bool) -> Cases:
        parts = [self._test(clause, one, key, space, negated) for one in clause.tests]
        if not clause.or_blank:
            return any_of(parts) if negated else all_of(parts)
        if negated:
            return any_of(parts) & _where(key, space.present())
        return all_of(parts) | _where(key, space.blank())

    def _test(self, clause: Clause | PastClause, one: FieldTest, key: Key, space: Space, negated: bool) -> Cases:
        question = one.operator.ask(one.operand, self.now)
        holds = negated is question.is_negated
        match question.predicate:
            case Moved(old, new):
                return self._moved(clause.field, clause.zone, old, new, holds)
            case EqualTo(path, field):
                return _same(clause, path, space_of(field, clause.zone), space, holds)
        domain = domain_where_not if negated else domain_where
        return _where(key, domain(lambda now: one.operator.ask(one.operand, now), space, self.now))

    def _moved(
        self, field: Field, zone: tzinfo, old: frozenset[Any] | None, new: frozenset[Any] | None, holds: bool
    ) -> Cases:
        """The change touched the field, from one of `old` to one of `new`; or, if not `holds`, anything else."""
        space, key = space_of(field, zone), ChangedKey(field.path)
        sides = {BEFORE + field.path: old, field.path if self.is_settled else AFTER + field.path: new}
        asked = {path: _as_kept(values, space) for path, values in sides.items() if values is not None}
        if holds:
            kept = (_where(path, domain_of_values(values, space)) for path, values in asked.items())
            return all_of([_where(key, YES), *kept])
        others = (_where(path, domain_without_values(values, space)) for path, values in asked.items())
        return any_of([_where(key, NO), *others])

    # -- triggers --------------------------------------------------------------------------------------------------

    def cases_of_rule(self, rule: Rule) -> Cases:
        """What triggers the rule and satisfies its condition."""
        return self.cases_of_triggers(rule.triggers) & self.cases(rule.condition)

    def cases_of_triggers(self, triggers: Sequence[TriggerFilter]) -> Cases:
        """What `when` asks for: any of its lines."""
        return any_of(self._line(one) for one in triggers)

    def _line(self, one: TriggerFilter) -> Cases:
        line = _where(TriggerKey("trigger"), Domain(Chosen(frozenset({one.trigger}))))
        for name, wanted in one.wants.items():
            line &= self._wanted(DETAIL_PATHS[name], wanted)
        if one.wants.get("step") in STATUS_AT:
            line &= self._wanted("sale.status", STATUS_AT[one.wants["step"]])
        if not one.watched:
            return line
        fields = self.catalogue.fields
        return line & any_of(self._moved(fields[path], UTC, *sides, True) for path, sides in one.watched.items())

    def _wanted(self, path: str, value: str) -> Cases:
        field = self.catalogue.get(path)
        if field is None:
            return _where(TriggerKey(path), Domain(Chosen(frozenset({value}))))
        return _where(path, domain_of_values([value], space_of(field, UTC)))


def _asks_for_changes(condition: Condition) -> bool:
    tests = (one for leaf in leaves_of(condition) if isinstance(leaf, Clause) for one in leaf.tests)
    return any(one.operator.only_on_change for one in tests)


def _as_kept(values: frozenset[Any], space: Space) -> frozenset[Any]:
    """Compared values as the field has them: changes are compared case-folded, keys of choices otherwise not."""
    if not isinstance(space.values, Chosen):
        return values
    return frozenset(one for one in (None, *space.values.values) if comparable(one) in values)


def _where(key: Key, domain: Domain) -> Cases:
    return NEVER if domain.is_empty else Cases((Case({key: domain}),))


def _same(clause: Clause | PastClause, path: str, other: Space, space: Space, holds: bool) -> Cases:
    """The two fields have the same value, or not; a blank is the same as nothing."""
    if path == clause.path:
        return _where(path, space.present() if holds else space.blank())
    key = SameKey(frozenset({clause.path, path}), clause.zone)
    if not holds:
        return _where(key, NO)
    return Cases((Case({key: YES, clause.path: space.present(), path: other.present()}),))


def past_key(clause: PastClause) -> PastKey:
    """What the clause asks for, without the words and functions in which it does."""
    match clause.asked:
        case EventsAsked(name=name, by=by, where=where, within=within):
            return PastKey(clause.field.path, (name, by, where, within))
        case ChangesAsked(field=field, sources=sources, targets=targets):
            return PastKey(clause.field.path, (field.path, sources, targets))


def past_space(clause: PastClause) -> Space:
    """A count is a whole number; the last time lies in the past, or there was none."""
    space = space_of(clause.field, clause.zone)
    if clause.field.path == "event_count":
        return Space(space.values, space.zone, can_be_blank=False, is_narrow=True)
    return Space(Times(relative=line_between(None, 0, True, True, is_whole=True)), space.zone, is_narrow=True)
