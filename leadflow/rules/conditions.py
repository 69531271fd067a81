"""The condition tree, and its compilation to nested closures that judge a situation and leave a trace.

Every clause is judged, also where the answer is known already: the trace shows all of them. A clause under `none`
counts as holding when it is false, so the false lines of a trace are always the reasons why a rule did not match.
The store renders the same tree as SQL (`leadflow.store.conditions`); the two always agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import tzinfo
from functools import partial
from typing import Any

from leadflow.domain.fields import Field, Unreadable
from leadflow.domain.history import PastEvent, Record
from leadflow.errors import LeadflowError
from leadflow.rules.model import ClauseResult, Judgement, Situation
from leadflow.rules.nodes import Node
from leadflow.rules.operands import Operand
from leadflow.rules.operators import Operator, Subject, Test
from leadflow.rules.past import ChangesAsked, EventsAsked
from leadflow.rules.values import Compare, Read, UnreadableField, compare_as, reader_of
from leadflow.rules.week import WorkingHours


class Trace:
    """What one judgement has seen so far: the clauses' results, and why clauses could not be judged."""

    __slots__ = ("clauses", "errors")

    def __init__(self) -> None:
        self.clauses: list[ClauseResult] = []
        self.errors: list[str] = []


# Judges a part of a condition and adds its clauses to the trace.
JudgePart = Callable[[Situation, Trace], bool]


# Each part knows its `place` in its document, for whoever finds fault with it; parts are equal wherever they stand.


@dataclass(frozen=True, slots=True)
class FieldTest:
    """One operator with its operand."""

    operator: Operator
    operand: Operand

    @property
    def words(self) -> str:
        return self.operator.words(self.operand)


@dataclass(frozen=True, slots=True)
class Clause:
    """`{FIELD: test}`: all `tests` hold for the field, or it is blank and `or_blank` says that will do."""

    path: str
    field: Field
    tests: tuple[FieldTest, ...]
    or_blank: bool
    zone: tzinfo
    place: Node | None = dataclass_field(default=None, repr=False, compare=False)

    @property
    def words(self) -> str:
        """`is one of Lead, Lost opportunity, or blank`."""
        tests = " and ".join(one.words for one in self.tests)
        return f"{tests}, or blank" if self.or_blank else tests

    @property
    def is_certain(self) -> bool:
        """Whether the field cannot be blank where the clause holds."""
        return not self.or_blank and any(one.operator.is_certain(one.operand) for one in self.tests)

    def compile(self, *, negated: bool = False) -> JudgePart:
        read, compare = reader_of(self.path, self.field), compare_as(self.field.kind, self.zone)
        return _compile_tests(self.path, self, read, compare, negated)


# How people read what is asked of the past.
PAST_TITLES = {
    "event_count": "The number of times",
    "last_event": "The last time",
    "last_change": "The last change",
}
COUNTED_TITLES = {"form_submitted": "forms", "sale": "sales"}


@dataclass(frozen=True, slots=True)
class PastClause:
    """A test on what happened before: `event_count` (a number), `last_event` and `last_change` (a moment or blank).

    `field` stands for what is tested, so that its operators are those of numbers and moments.
    """

    field: Field
    asked: EventsAsked | ChangesAsked
    tests: tuple[FieldTest, ...]
    or_blank: bool
    zone: tzinfo
    place: Node | None = dataclass_field(default=None, repr=False, compare=False)

    @property
    def path(self) -> str:
        """`event_count(form_submitted, form_type is content, by contact, in the last 30 days)`."""
        return f"{self.field.path}({self.asked.words})"

    @property
    def title(self) -> str:
        """`The last change (Lead status to Re-nurture)`."""
        said = self.asked.words
        if isinstance(self.asked, ChangesAsked):
            said = said.replace(self.asked.field.path, self.asked.field.label, 1)
        else:
            said = said.replace(self.asked.name, COUNTED_TITLES.get(self.asked.name, self.asked.name), 1)
        return f"{PAST_TITLES[self.field.path]} ({said})"

    @property
    def words(self) -> str:
        tests = " and ".join(one.words for one in self.tests)
        return f"{tests}, or never" if self.or_blank else tests

    def compile(self, *, negated: bool = False) -> JudgePart:
        read = self.asked.reader_of_count() if self.field.path == "event_count" else self.asked.reader_of_last()
        return _compile_tests(self.path, self, read, compare_as(self.field.kind, self.zone), negated)


@dataclass(frozen=True, slots=True)
class NowClause:
    """`{now: {weekday_in: […], between: […]}}`: whether the moment of judging lies in these hours."""

    hours: WorkingHours
    place: Node | None = dataclass_field(default=None, repr=False, compare=False)

    @property
    def path(self) -> str:
        return "now"

    @property
    def words(self) -> str:
        return self.hours.words

    def compile(self, *, negated: bool = False) -> JudgePart:
        hours, words = self.hours, f"not: {self.words}" if negated else self.words

        def judge(situation: Situation, trace: Trace) -> bool:
            holds = hours.include(situation.now)
            trace.clauses.append(ClauseResult("now", words, holds is not negated, situation.now))
            return holds

        return judge


@dataclass(frozen=True, slots=True)
class MemberClause:
    """A static selection: the record is one of its members."""

    record: Record
    selection_id: int
    slug: str
    title: str
    place: Node | None = dataclass_field(default=None, repr=False, compare=False)

    @property
    def path(self) -> str:
        """`selection(spring-fair)`."""
        return f"selection({self.slug})"

    @property
    def words(self) -> str:
        return f"includes the {self.record}"

    def compile(self, *, negated: bool = False) -> JudgePart:
        path, words = self.path, f"not: {self.words}" if negated else self.words
        record, selection_id = self.record, self.selection_id

        def judge(situation: Situation, trace: Trace) -> bool:
            one = getattr(situation, record)
            holds = one is not None and situation.history.is_member(selection_id, one.id)
            trace.clauses.append(ClauseResult(path, words, holds is not negated, holds))
            return holds

        return judge


@dataclass(frozen=True, slots=True)
class Named:
    """`{segment: NAME}` or `{selection: NAME}`: a condition that has a name; the trace shows the clauses in it.

    `record` is what a selection has in it; a segment may be about anything.
    """

    kind: str
    name: str
    condition: Condition
    place: Node | None = dataclass_field(default=None, repr=False, compare=False)
    record: Record | None = None

    def compile(self, *, negated: bool = False) -> JudgePart:
        return self.condition.compile(negated=negated)


def _compile_tests(path: str, clause: Clause | PastClause, read: Read, compare: Compare, negated: bool) -> JudgePart:
    subject = Subject(path, clause.field, clause.zone)
    holds = _bind_all([one.operator.bind(one.operand, subject) for one in clause.tests], clause.or_blank)
    words = f"not: {clause.words}" if negated else clause.words

    def judge(situation: Situation, trace: Trace) -> bool:
        try:
            value = read(situation)
            if isinstance(value, Unreadable):
                raise UnreadableField(path, value.reason)
            left = compare(value)
            result = holds(left, situation)
        except Exception as fault:  # noqa: BLE001 - whatever went wrong is told; it must never look like "no match"
            trace.errors.append(sentence_about(fault, path))
            trace.clauses.append(ClauseResult(path, words, False, None))
            return False
        trace.clauses.append(ClauseResult(path, words, result is not negated, None if left is None else value))
        return result

    return judge


def _bind_all(tests: Sequence[Test], or_blank: bool) -> Test:
    if or_blank:
        return lambda left, situation: left is None or all(test(left, situation) for test in tests)
    if len(tests) == 1:
        return tests[0]
    return lambda left, situation: all(test(left, situation) for test in tests)


def sentence_about(fault: Exception, path: str) -> str:
    """Why a clause about `path` could not be judged, for people."""
    if isinstance(fault, LeadflowError):
        return str(fault)
    return f"{path} could not be judged: {str(fault) or type(fault).__name__}."


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Condition, ...]
    place: Node | None = dataclass_field(default=None, repr=False, compare=False)

    def compile(self, *, negated: bool = False) -> JudgePart:
        return partial(_judge_all, [part.compile(negated=negated) for part in self.parts])


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Condition, ...]
    place: Node | None = dataclass_field(default=None, repr=False, compare=False)

    def compile(self, *, negated: bool = False) -> JudgePart:
        return partial(_judge_any, [part.compile(negated=negated) for part in self.parts])


@dataclass(frozen=True, slots=True)
class NoneOf:
    """No part holds: the exact complement of `any`."""

    parts: tuple[Condition, ...]
    place: Node | None = dataclass_field(default=None, repr=False, compare=False)

    def compile(self, *, negated: bool = False) -> JudgePart:
        return partial(_judge_none, [part.compile(negated=not negated) for part in self.parts])


Leaf = Clause | PastClause | NowClause | MemberClause
Condition = All | AnyOf | NoneOf | Named | Leaf


# The loops ask every part, whatever the ones before have said: a trace is complete.


def _judge_all(parts: Sequence[JudgePart], situation: Situation, trace: Trace) -> bool:
    verdict = True
    for part in parts:
        if not part(situation, trace):
            verdict = False
    return verdict


def _judge_any(parts: Sequence[JudgePart], situation: Situation, trace: Trace) -> bool:
    verdict = False
    for part in parts:
        if part(situation, trace):
            verdict = True
    return verdict


def _judge_none(parts: Sequence[JudgePart], situation: Situation, trace: Trace) -> bool:
    return not _judge_any(parts, situation, trace)


def compile_judge(parts: Sequence[JudgePart]) -> Callable[[Situation], Judgement]:
    """The judgement of a rule: all parts hold, each clause is told, and an error is never "no match"."""

    def judge(situation: Situation) -> Judgement:
        trace = Trace()
        holds = _judge_all(parts, situation, trace)
        clauses = tuple(trace.clauses)
        if trace.errors:
            return Judgement(False, clauses, " ".join(dict.fromkeys(trace.errors)))
        return Judgement(holds, clauses)

    return judge


def compile_where(condition: Condition) -> Callable[[PastEvent, Situation], bool]:
    """Whether a past event satisfies a condition about its own fields. Raises: UnreadableField."""
    judge = compile_judge([condition.compile()])

    def holds(event: PastEvent, situation: Situation) -> bool:
        judged = judge(Situation(situation.occurrence, situation.now, **_own_fields(event)))
        if judged.error:
            raise LeadflowError(judged.error)
        return judged.holds

    return holds


def _own_fields(event: PastEvent) -> dict[str, Any]:
    root = {"form_submitted": "form", "sale": "sale"}.get(event.name, "event")
    return {root: event.fields}


def leaves_of(condition: Condition | None) -> Iterator[Leaf]:
    """Every clause of the tree, from left to right, those of named conditions included."""
    match condition:
        case None:
            return
        case All(parts) | AnyOf(parts) | NoneOf(parts):
            for part in parts:
                yield from leaves_of(part)
        case Named(condition=inner):
            yield from leaves_of(inner)
        case _:
            yield condition


def named_in(condition: Condition | None) -> Iterator[Named]:
    """Every segment and selection that the condition asks for, and those that these ask for."""
    match condition:
        case All(parts) | AnyOf(parts) | NoneOf(parts):
            for part in parts:
                yield from named_in(part)
        case Named(condition=inner):
            yield condition
            yield from named_in(inner)


def certain_paths(condition: Condition | None) -> frozenset[str]:
    """The fields that cannot be blank where the condition holds, as far as its outermost `all` says so."""
    match condition:
        case Clause() if condition.is_certain:
            return frozenset({condition.path})
        case All(parts):
            return frozenset().union(*(certain_paths(part) for part in parts))
        case Named(condition=inner):
            return certain_paths(inner)
        case _:
            return frozenset()
