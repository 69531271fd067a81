"""Checks of one rule's condition: what can never hold, what always holds, what holds for blanks too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import and_

from leadflow.domain.fields import Kind
from leadflow.rules.conditions import All, AnyOf, Clause, Condition, Named, NoneOf
from leadflow.rules.linting.cases import ANYTHING, Algebra, Case, Cases
from leadflow.rules.linting.domains import space_of
from leadflow.rules.linting.findings import Finding, Setting, Study, words_of
from leadflow.rules.nodes import Node
from leadflow.rules.predicates import EqualTo, Moved

RECORD_ROOTS = ("company", "contact")


def find_impossible(study: Study, algebra: Algebra) -> Iterator[Finding]:
    """Why the rule can never act, at each clause that is to blame."""
    if not study.cases.is_impossible(algebra.now):
        return
    blamed = False
    for part in _conjuncts(study.rule.condition):
        cases = algebra.cases(part)
        if cases.is_impossible(algebra.now):
            yield study.find(
                "never-true", "error", f"{words_of(part)} can never hold: it contradicts itself", part.place
            )
        elif (study.trigger & cases).is_impossible(algebra.now):
            message = f"{words_of(part)} can never hold here: it contradicts the trigger"
            yield study.find("never-true", "error", message, part.place)
        else:
            continue
        blamed = True
    if not blamed:
        yield _contradiction(study, algebra)


def _contradiction(study: Study, algebra: Algebra) -> Finding:
    """The first clause that cannot hold together with those before it."""
    parts = list(_conjuncts(study.rule.condition))
    before = study.trigger
    for number, part in enumerate(parts):
        cases = algebra.cases(part)
        if (before & cases).is_impossible(algebra.now):
            others = (
                o for o in parts[:number] if (study.trigger & cases & algebra.cases(o)).is_impossible(algebra.now)
            )
            other = next(others, None)
            against = "the clauses before it" if other is None else f"{words_of(other)}{_line_of(other.place)}"
            message = f"the rule can never act: {words_of(part)} contradicts {against}"
            return study.find("never-true", "error", message, part.place)
        before &= cases
    return study.find("never-true", "error", "the rule can never act: its triggers contradict themselves")


def _line_of(place: Node | None) -> str:
    return f" in line {place.line}" if place else ""


def _conjuncts(condition: Condition | None) -> Iterator[Condition]:
    """The parts that all must hold."""
    match condition:
        case None:
            return
        case All(parts):
            for part in parts:
                yield from _conjuncts(part)
        case _:
            yield condition


def find_idle(study: Study, cautious: Algebra) -> Iterator[Finding]:
    """Clauses that could be left out: always true, implied by others, or an alternative that never holds."""
    if study.rule.condition is not None:
        yield from _Idle(study, cautious).look(study.rule.condition, study.guarded_trigger, is_alone=True)


class _Idle:
    def __init__(self, study: Study, algebra: Algebra) -> None:
        self._study = study
        self._algebra = algebra

    def look(self, part: Condition, context: Cases, *, is_alone: bool = False) -> Iterator[Finding]:
        """At a part and what is in it; `context` is what holds wherever it is asked."""
        if is_alone and self._follows(context, part):
            yield self._find("always-true", part, "always holds")
            return
        match part:
            case All(parts):
                yield from self._look_at_all(parts, context)
            case AnyOf(parts):
                yield from self._look_at_alternatives(parts, context, "is an alternative that")
            case NoneOf(parts):
                yield from self._look_at_alternatives(parts, context, "excludes nothing: it")

    def _look_at_all(self, parts: Sequence[Condition], context: Cases) -> Iterator[Finding]:
        """From the last part to the first, so that of two that imply each other the later one is told."""
        before = list(accumulate(map(self._algebra.cases, parts), and_, initial=context))
        after = ANYTHING
        kept_after: list[Condition] = []
        for number in reversed(range(len(parts))):
            part, around = parts[number], before[number] & after
            if self._follows(context, part):
                yield self._find("always-true", part, "always holds here")
            elif self._follows(around, part) and not around.is_impossible(self._algebra.now):
                source = self._source(context, [*parts[:number], *kept_after], part)
                yield self._find("implied", part, f"follows from {source}")
            else:
                yield from self.look(part, around)
                after &= self._algebra.cases(part)
                kept_after.append(part)

    def _look_at_alternatives(self, parts: Sequence[Condition], context: Cases, what: str) -> Iterator[Finding]:
        negated = (self._algebra.cases(part, negated=True) for part in parts)
        before = list(accumulate(negated, and_, initial=context))
        after = ANYTHING
        for number in reversed(range(len(parts))):
            part = parts[number]
            cases = self._algebra.cases(part)
            if (context & cases).is_impossible(self._algebra.now):
                yield self._find("never-true", part, f"{what} can never hold here")
            elif (before[number] & after & cases).is_impossible(self._algebra.now):
                yield self._find("implied", part, "adds nothing: another alternative covers it")
            else:
                yield from self.look(part, context)
                after &= self._algebra.cases(part, negated=True)

    def _follows(self, context: Cases, part: Condition) -> bool:
        return (context & self._algebra.cases(part, negated=True)).is_impossible(self._algebra.now)

    def _source(self, context: Cases, others: Sequence[Condition], part: Condition) -> str:
        """The one clause that implies the part, if one does."""
        alone = (one for one in others if self._follows(context & self._algebra.cases(one), part))
        source = next(alone, None)
        return "the other clauses" if source is None else f"{words_of(source)}{_line_of(source.place)}"

    def _find(self, code: str, part: Condition, what: str) -> Finding:
        return self._study.find(code, "warning", f"{words_of(part)} {what}", part.place)


# -- blanks ----------------------------------------------------------------------------------------------------------


def find_blanks(study: Study, algebra: Algebra, setting: Setting) -> Iterator[Finding]:
    """Clauses of records that hold for blanks too without saying so, with the number of blanks today."""
    for clause, negated, place in _leaves(study.rule.condition, negated=False, place=None):
        if not _is_silent_about_blanks(clause, negated, algebra):
            continue
        path = clause.path
        blank = Cases((Case({path: space_of(clause.field, clause.zone).blank()}),))
        if (study.cases & blank).is_impossible(algebra.now):
            continue
        count = setting.data.count_blank(path)
        if count == 0:
            continue
        name = "companies" if clause.field.root == "company" else "contacts"
        today = "" if count is None else f" ({count:,} {name} today)"
        words = f"'{path} {'not: ' if negated else ''}{clause.words}'"
        yield study.find("also-blank", "note", f"{words} also matches blank{today}", place)


def _leaves(
    condition: Condition | None, *, negated: bool, place: Node | None
) -> Iterator[tuple[Clause, bool, Node | None]]:
    """Each clause of a field, whether it is asked for its complement, and its place in the rule's own document."""
    match condition:
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from _leaves(part, negated=negated, place=place)
        case NoneOf(parts):
            for part in parts:
                yield from _leaves(part, negated=not negated, place=place)
        case Named(condition=inner):
            yield from _leaves(inner, negated=negated, place=place or condition.place)
        case Clause():
            yield condition, negated, place or condition.place


def _is_silent_about_blanks(clause: Clause, negated: bool, algebra: Algebra) -> bool:
    """Whether the clause holds for a blank although neither `or_blank` nor `exists` says so."""
    if clause.path.partition(".")[0] not in RECORD_ROOTS or clause.field.kind is Kind.LIST:
        return False
    names = [one.operator.name for one in clause.tests]
    questions = [one.operator.ask(one.operand, algebra.now) for one in clause.tests]
    if "exists" in names or any(isinstance(one.predicate, Moved | EqualTo) for one in questions):
        return False
    if negated:
        return not clause.or_blank and any(not one.is_negated for one in questions)
    return not clause.or_blank and all(one.is_negated for one in questions)
