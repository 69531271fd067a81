"""The operators: each is one class with its name, its words, the kinds of field it works on, its operand and its test.

A blank value satisfies no positive operator; a negative operator is the exact complement of its twin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, ClassVar

from leadflow.domain.fields import Field, Kind
from leadflow.rules import operands, predicates
from leadflow.rules.hosts import host_of
from leadflow.rules.model import Situation
from leadflow.rules.operands import Operand, OperandType, OtherField, Span
from leadflow.rules.predicates import (
    Anything,
    Containing,
    EndingWith,
    EqualTo,
    HostIn,
    Interval,
    Moved,
    OneOf,
    Predicate,
    Question,
    StartingWith,
    Wildcards,
)
from leadflow.rules.values import CHOICE_KINDS, TEXT_KINDS, TIME_KINDS, comparable, expect_readable

# A test bound to its operand: is given the field's value in comparable form, None when blank.
Test = Callable[[Any, Situation], bool]

HOST_KINDS = frozenset({Kind.EMAIL, Kind.URL})
ANY_KIND = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class Subject:
    """The field a test is about."""

    path: str
    field: Field
    zone: tzinfo


class Operator:
    """One operator. A subclass says what it is called and how it tests a value that is not blank."""

    name: ClassVar[str]
    label: ClassVar[str]
    kinds: ClassVar[frozenset[Kind]]
    operand: ClassVar[OperandType]
    only_on_change: ClassVar[bool] = False
    refuses_blank: ClassVar[bool] = True

    def test(self, left: Any, operand: Any, now: datetime) -> bool:
        """Whether `left`, in comparable form and not blank, satisfies the operator."""
        raise NotImplementedError

    def predicate(self, operand: Any, now: datetime) -> Predicate:
        """What the operator asks of a value that is not blank, as data. A negative one says what its twin asks."""
        raise NotImplementedError

    def ask(self, operand: Operand, now: datetime) -> Question:
        """The operator's question, blanks included: exactly what `bind` tests."""
        return Question(self.predicate(operand.value, now))

    def words(self, operand: Operand) -> str:
        """The test as people read it: `is one of Lead, Customer`."""
        return self.label.format(operand=operand.words)

    def bind(self, operand: Operand, subject: Subject) -> Test:
        """The test with its operand, ready for values that may be blank."""
        test, wanted = self.test, operand.value
        return lambda left, situation: left is not None and test(left, wanted, situation.now)

    def is_certain(self, operand: Operand) -> bool:
        """Whether a field that satisfies this cannot be blank."""
        return self.refuses_blank


class Negative(Operator):
    """The complement of another operator: it holds exactly where the twin does not, so for blanks too."""

    twin: ClassVar[Operator]
    refuses_blank = False

    def predicate(self, operand: Any, now: datetime) -> Predicate:
        return self.twin.predicate(operand, now)

    def ask(self, operand: Operand, now: datetime) -> Question:
        return Question(self.predicate(operand.value, now), is_negated=True)

    def test(self, left: Any, operand: Any, now: datetime) -> bool:
        return not self.twin.test(left, operand, now)

    def bind(self, operand: Operand, subject: Subject) -> Test:
        holds = self.twin.bind(operand, subject)
        return lambda left, situation: not holds(left, situation)


# -- equality ----------------------------------------------------------------------------------------------------------


class Is(Operator):
    """The value is the operand; text compares case-folded, numbers exactly."""

    name = "is"
    label = "is {operand}"
    kinds = TEXT_KINDS | CHOICE_KINDS | {Kind.NUMBER, Kind.BOOLEAN}
    operand = operands.OneValue()

    def test(self, left: Any, operand: Any, now: datetime) -> bool:
        return bool(left == operand)

    def predicate(self, operand: Any, now: datetime) -> Predicate:
        return OneOf(frozenset({operand}))


class IsNot(Negative):
    """The value is not the operand, or is blank."""

    name = "is_not"
    label = "is not {operand}"
    kinds = TEXT_KINDS | CHOICE_KINDS | {Kind.NUMBER}
    operand = operands.OneValue()
    twin = Is()


class In(Operator):
    """The value is one of the operands."""

    name = "in"
    label = "is one of {operand}"
    kinds = TEXT_KINDS | CHOICE_KINDS
    operand = operands.ManyValues()

    def test(self, left: Any, operand: frozenset[Any], now: datetime) -> bool:
        return left in operand

    def predicate(self, operand: frozenset[Any], now: datetime) -> Predicate:
        return OneOf(operand)


class NotIn(Negative):
    """The value is none of the operands, or is blank."""

    name = "not_in"
    label = "is not one of {operand}"
    kinds = TEXT_KINDS | CHOICE_KINDS
    operand = operands.ManyValues()
    twin = In()


# -- text --------------------------------------------------------------------------------------------------------------


class Contains(Operator):
    """The operand occurs in the text, each character taken literally."""

    name = "contains"
    label = "contains {operand}"
    kinds = TEXT_KINDS
    operand = operands.OneValue()

    def test(self, left: str, operand: str, now: datetime) -> bool:
        return operand in left

    def predicate(self, operand: str, now: datetime) -> Predicate:
        return Containing(operand)


class NotContains(Negative):
    """The operand does not occur in the text, or the text is blank."""

    name = "not_contains"
    label = "does not contain {operand}"
    kinds = TEXT_KINDS
    operand = operands.OneValue()
    twin = Contains()


class StartsWith(Operator):
    """The text begins with the operand."""

    name = "starts_with"
    label = "starts with {operand}"
    kinds = TEXT_KINDS
    operand = operands.OneValue()

    def test(self, left: str, operand: str, now: datetime) -> bool:
        return left.startswith(operand)

    def predicate(self, operand: str, now: datetime) -> Predicate:
        return StartingWith(operand)


class EndsWith(Operator):
    """The text ends with the operand."""

    name = "ends_with"
    label = "ends with {operand}"
    kinds = TEXT_KINDS
    operand = operands.OneValue()

    def test(self, left: str, operand: str, now: datetime) -> bool:
        return left.endswith(operand)

    def predicate(self, operand: str, now: datetime) -> Predicate:
        return EndingWith(operand)


class Like(Operator):
    """The whole text fits the pattern: `*` is any characters, `?` is one."""

    name = "like"
    label = "is like {operand}"
    kinds = TEXT_KINDS
    operand = operands.Pattern()

    def test(self, left: str, operand: Wildcards, now: datetime) -> bool:
        return operand.fits(left)

    def predicate(self, operand: Wildcards, now: datetime) -> Predicate:
        return operand


class DomainIn(Operator):
    """The whole host of the e-mail address or URL is one of the operands."""

    name = "domain_in"
    label = "has a domain in {operand}"
    kinds = HOST_KINDS
    operand = operands.Hosts()

    def test(self, left: str, operand: frozenset[str], now: datetime) -> bool:
        return host_of(left) in operand

    def predicate(self, operand: frozenset[str], now: datetime) -> Predicate:
        return HostIn(operand)


class DomainNotIn(Negative):
    """The host is none of the operands, or there is none."""

    name = "domain_not_in"
    label = "has no domain in {operand}"
    kinds = HOST_KINDS
    operand = operands.Hosts()
    twin = DomainIn()


# -- categories --------------------------------------------------------------------------------------------------------


class InGroup(Operator):
    """The category belongs to one of the groups."""

    name = "in_group"
    label = "is in the group {operand}"
    kinds = frozenset({Kind.CATEGORY})
    operand = operands.Groups()

    def test(self, left: str, operand: frozenset[str], now: datetime) -> bool:
        return left in operand

    def predicate(self, operand: frozenset[str], now: datetime) -> Predicate:
        return OneOf(operand)


class NotInGroup(Negative):
    """The category belongs to none of the groups, or there is no category."""

    name = "not_in_group"
    label = "is not in the group {operand}"
    kinds = frozenset({Kind.CATEGORY})
    operand = operands.Groups()
    twin = InGroup()


# -- numbers -----------------------------------------------------------------------------------------------------------


class LessThan(Operator):
    """The number is below the operand."""

    name = "lt"
    label = "is less than {operand}"
    kinds = frozenset({Kind.NUMBER})
    operand = operands.OneValue()

    def test(self, left: Any, operand: Any, now: datetime) -> bool:
        return bool(left < operand)

    def predicate(self, operand: Any, now: datetime) -> Predicate:
        return Interval(high=operand, has_high=False)


class AtMost(Operator):
    """The number is the operand or below."""

    name = "lte"
    label = "is at most {operand}"
    kinds = frozenset({Kind.NUMBER})
    operand = operands.OneValue()

    def test(self, left: Any, operand: Any, now: datetime) -> bool:
        return bool(left <= operand)

    def predicate(self, operand: Any, now: datetime) -> Predicate:
        return Interval(high=operand)


class GreaterThan(Operator):
    """The number is above the operand."""

    name = "gt"
    label = "is more than {operand}"
    kinds = frozenset({Kind.NUMBER})
    operand = operands.OneValue()

    def test(self, left: Any, operand: Any, now: datetime) -> bool:
        return bool(left > operand)

    def predicate(self, operand: Any, now: datetime) -> Predicate:
        return Interval(low=operand, has_low=False)


class AtLeast(Operator):
    """The number is the operand or above."""

    name = "gte"
    label = "is at least {operand}"
    kinds = frozenset({Kind.NUMBER})
    operand = operands.OneValue()

    def test(self, left: Any, operand: Any, now: datetime) -> bool:
        return bool(left >= operand)

    def predicate(self, operand: Any, now: datetime) -> Predicate:
        return Interval(low=operand)


class Between(Operator):
    """The number or time lies in the range, both ends included."""

    name = "between"
    label = "is between {operand}"
    kinds = TIME_KINDS | {Kind.NUMBER}
    operand = operands.Range()

    def test(self, left: Any, operand: tuple[Any, Any], now: datetime) -> bool:
        return bool(operand[0] <= left <= operand[1])

    def predicate(self, operand: tuple[Any, Any], now: datetime) -> Predicate:
        return Interval(operand[0], operand[1])


# -- time --------------------------------------------------------------------------------------------------------------


class OlderThan(Operator):
    """The time lies further back than `operand` before now."""

    name = "older_than"
    label = "is more than {operand} ago"
    kinds = TIME_KINDS
    operand = operands.Duration()

    def test(self, left: datetime, operand: timedelta, now: datetime) -> bool:
        return left < now - operand

    def predicate(self, operand: timedelta, now: datetime) -> Predicate:
        return Interval(high=now - operand, has_high=False)


class WithinLast(Operator):
    """The time lies between `operand` ago and now, both included."""

    name = "within_last"
    label = "is in the last {operand}"
    kinds = TIME_KINDS
    operand = operands.Duration()

    def test(self, left: datetime, operand: timedelta, now: datetime) -> bool:
        return now - operand <= left <= now

    def predicate(self, operand: timedelta, now: datetime) -> Predicate:
        return Interval(now - operand, now)


class WithinNext(Operator):
    """The time lies between now and `operand` from now, both included."""

    name = "within_next"
    label = "is in the next {operand}"
    kinds = TIME_KINDS
    operand = operands.Duration()

    def test(self, left: datetime, operand: timedelta, now: datetime) -> bool:
        return now <= left <= now + operand

    def predicate(self, operand: timedelta, now: datetime) -> Predicate:
        return Interval(now, now + operand)


class Before(Operator):
    """The time lies before the day or moment begins."""

    name = "before"
    label = "is before {operand}"
    kinds = TIME_KINDS
    operand = operands.WhenValue()

    def test(self, left: datetime, operand: Span, now: datetime) -> bool:
        return left < operand.start

    def predicate(self, operand: Span, now: datetime) -> Predicate:
        return Interval(high=operand.start, has_high=False)


class On(Operator):
    """The time lies in the day, or is the moment."""

    name = "on"
    label = "is on {operand}"
    kinds = TIME_KINDS
    operand = operands.WhenValue()

    def test(self, left: datetime, operand: Span, now: datetime) -> bool:
        return operand.start <= left < operand.end

    def predicate(self, operand: Span, now: datetime) -> Predicate:
        return Interval(operand.start, operand.end, has_high=False)


class After(Operator):
    """The time lies after the whole day, or after the moment."""

    name = "after"
    label = "is after {operand}"
    kinds = TIME_KINDS
    operand = operands.WhenValue()

    def test(self, left: datetime, operand: Span, now: datetime) -> bool:
        return left >= operand.end

    def predicate(self, operand: Span, now: datetime) -> Predicate:
        return Interval(low=operand.end)


# -- lists -------------------------------------------------------------------------------------------------------------


class Has(Operator):
    """The list has the operand among its texts."""

    name = "has"
    label = "has {operand}"
    kinds = frozenset({Kind.LIST})
    operand = operands.OneValue()

    def test(self, left: tuple[str, ...], operand: str, now: datetime) -> bool:
        return operand in left

    def predicate(self, operand: str, now: datetime) -> Predicate:
        return predicates.HasAny(frozenset({operand}))


class HasAny(Operator):
    """The list has at least one of the operands."""

    name = "has_any"
    label = "has any of {operand}"
    kinds = frozenset({Kind.LIST})
    operand = operands.ManyValues()

    def test(self, left: tuple[str, ...], operand: frozenset[str], now: datetime) -> bool:
        return not operand.isdisjoint(left)

    def predicate(self, operand: frozenset[str], now: datetime) -> Predicate:
        return predicates.HasAny(operand)


class HasAll(Operator):
    """The list has every one of the operands."""

    name = "has_all"
    label = "has all of {operand}"
    kinds = frozenset({Kind.LIST})
    operand = operands.ManyValues()

    def test(self, left: tuple[str, ...], operand: frozenset[str], now: datetime) -> bool:
        return operand.issubset(left)

    def predicate(self, operand: frozenset[str], now: datetime) -> Predicate:
        return predicates.HasAll(operand)


class HasNone(Negative):
    """The list has none of the operands, or is empty."""

    name = "has_none"
    label = "has none of {operand}"
    kinds = frozenset({Kind.LIST})
    operand = operands.ManyValues()
    twin = HasAny()


# -- any field ---------------------------------------------------------------------------------------------------------


class Exists(Operator):
    """The field has a value (true), or is blank (false)."""

    name = "exists"
    label = "has a value"
    kinds = ANY_KIND
    operand = operands.Flag()

    def ask(self, operand: Operand, now: datetime) -> Question:
        return Question(Anything(), is_negated=not operand.value)

    def words(self, operand: Operand) -> str:
        return self.label if operand.value else "is blank"

    def bind(self, operand: Operand, subject: Subject) -> Test:
        wanted = operand.value
        return lambda left, situation: (left is not None) is wanted

    def is_certain(self, operand: Operand) -> bool:
        return bool(operand.value)


class SameAs(Operator):
    """The field has the same value as another one; a blank is the same as nothing."""

    name = "same_as"
    label = "is the same as {operand}"
    kinds = ANY_KIND
    operand = operands.FieldPath()

    def predicate(self, operand: OtherField, now: datetime) -> Predicate:
        return EqualTo(operand.path, operand.field)

    def bind(self, operand: Operand, subject: Subject) -> Test:
        other: OtherField = operand.value
        as_set = subject.field.kind is Kind.LIST

        def holds(left: Any, situation: Situation) -> bool:
            right = other.compare(expect_readable(other.read(situation), operand.words))
            if left is None or right is None:
                return False
            if as_set:  # tags: their order says nothing
                return set(left) == set(right)
            # Not `==`: between zones it is always false in the hour that a clock change repeats.
            return bool(left <= right <= left)

        return holds


# -- changes -----------------------------------------------------------------------------------------------------------


class Changed(Operator):
    """The change that triggered the rule touched this field (true), or left it alone (false)."""

    name = "changed"
    label = "has changed"
    kinds = ANY_KIND
    operand = operands.Flag()
    only_on_change = True
    refuses_blank = False

    def ask(self, operand: Operand, now: datetime) -> Question:
        return Question(Moved(), is_negated=not operand.value)

    def words(self, operand: Operand) -> str:
        return self.label if operand.value else "has not changed"

    def bind(self, operand: Operand, subject: Subject) -> Test:
        path, wanted = subject.field.path, operand.value
        return lambda left, situation: has_changed(situation, path) is wanted


class ChangedFrom(Operator):
    """The field changed, and had one of the operands before."""

    name = "changed_from"
    label = "changed from {operand}"
    kinds = ANY_KIND
    operand = operands.Transition()
    only_on_change = True
    refuses_blank = False
    side: ClassVar[int] = 0

    def predicate(self, operand: frozenset[Any], now: datetime) -> Predicate:
        return Moved(old=operand) if self.side == 0 else Moved(new=operand)

    def bind(self, operand: Operand, subject: Subject) -> Test:
        path, wanted, side = subject.field.path, operand.value, self.side
        return lambda left, situation: (
            has_changed(situation, path) and comparable(situation.occurrence.changes[path][side]) in wanted
        )


class ChangedTo(ChangedFrom):
    """The field changed, and has one of the operands now."""

    name = "changed_to"
    label = "changed to {operand}"
    side = 1


def has_changed(situation: Situation, path: str) -> bool:
    """Whether the field is among the changes; a change to the same value is none."""
    change = situation.occurrence.changes.get(path)
    return change is not None and change[0] != change[1]


OPERATORS: tuple[Operator, ...] = (
    Is(),
    IsNot(),
    In(),
    NotIn(),
    Contains(),
    NotContains(),
    StartsWith(),
    EndsWith(),
    Like(),
    DomainIn(),
    DomainNotIn(),
    InGroup(),
    NotInGroup(),
    LessThan(),
    AtMost(),
    GreaterThan(),
    AtLeast(),
    Between(),
    OlderThan(),
    WithinLast(),
    WithinNext(),
    Before(),
    On(),
    After(),
    Has(),
    HasAny(),
    HasAll(),
    HasNone(),
    Exists(),
    SameAs(),
    Changed(),
    ChangedFrom(),
    ChangedTo(),
)


def _by_kind() -> dict[Kind, dict[str, Operator]]:
    return {kind: {one.name: one for one in OPERATORS if kind in one.kinds} for kind in Kind}


OPERATORS_OF: Mapping[Kind, Mapping[str, Operator]] = _by_kind()
EVERY_OPERATOR: frozenset[str] = frozenset(one.name for one in OPERATORS)
