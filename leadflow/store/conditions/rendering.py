"""The condition tree as SQL, in negation normal form.

No NOT stands above a comparison that may be NULL: a positive test is plain (so that indexes serve it) and NULL where
the field is blank, which WHERE takes for false; a negated one is `… IS NOT TRUE`, its exact complement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Literal

from sqlalchemy import ColumnElement, FromClause, and_, false, or_, true
from sqlalchemy.sql.visitors import iterate

from leadflow.domain.fields import Field
from leadflow.errors import LeadflowError
from leadflow.rules.conditions import (
    All,
    AnyOf,
    Clause,
    Condition,
    MemberClause,
    Named,
    NoneOf,
    NowClause,
    PastClause,
    Trace,
)
from leadflow.rules.model import Situation
from leadflow.rules.predicates import (
    Anything,
    Containing,
    EndingWith,
    EqualTo,
    HasAll,
    HasAny,
    HostIn,
    Interval,
    Moved,
    OneOf,
    Predicate,
    Question,
    StartingWith,
    Wildcards,
)
from leadflow.store.conditions.fields import Compared, compared_of_event, compared_of_record
from leadflow.store.conditions.members import is_member
from leadflow.store.conditions.past import render_count, render_last, render_seen
from leadflow.store.conditions.truth import complement
from leadflow.store.tables import CompanyRow, ContactRow

Subject = Literal["contact", "company"]

# Finds a field in the rows that are asked about.
Find = Callable[[str, Field], Compared]


def rows_of(subject: Subject) -> FromClause:
    """Contacts with their companies, or companies alone."""
    company, contact = CompanyRow.__table__, ContactRow.__table__
    return company if subject == "company" else contact.outerjoin(company, company.c.id == contact.c.company_id)


def rows_for(subject: Subject, *asked: ColumnElement[Any]) -> FromClause:
    """The same, without the companies where nothing of them is `asked`.

    The server too leaves out a join that nobody needs, but reads the column it would have joined by, from the table
    where an index would have done.
    """
    company = CompanyRow.__table__
    is_needed = any(getattr(part, "table", None) is company for one in asked for part in iterate(one))
    return rows_of(subject) if subject == "company" or is_needed else ContactRow.__table__


def render(
    condition: Condition | None, subject: Subject, now: datetime, situation: Situation | None = None
) -> ColumnElement[bool]:
    """The condition over `rows_of(subject)`, for WHERE and FILTER: true exactly where it holds in memory.

    NULL stands for false: to negate, give the negated condition (`NoneOf`), never `NOT` around this. Clauses about
    what an occurrence brings (form, event, sale, user, before) are judged on `situation` and become constants.

    Raises: LeadflowError if there is such a clause and no situation, or it cannot be judged.
    """
    if condition is None:
        return true()
    return _Renderer(subject, now, compared_of_record, situation).render(condition)


def seen_in_past(clause: PastClause, subject: Subject, now: datetime) -> ColumnElement[Any]:
    """What a clause about the past is judged on, over `rows_of(subject)`: the number, or the moment."""
    return render_seen(clause, subject, now, _Renderer(subject, now, compared_of_record).where)


@dataclass(frozen=True)
class _Renderer:
    subject: Subject
    now: datetime
    find: Find
    situation: Situation | None = None

    def render(self, condition: Condition, negated: bool = False) -> ColumnElement[bool]:
        match condition:
            case All(parts):
                return self._join(parts, negated, is_and=not negated)
            case AnyOf(parts):
                return self._join(parts, negated, is_and=negated)
            case NoneOf(parts):
                return self._join(parts, not negated, is_and=not negated)
            case Named(condition=inner):
                return self.render(inner, negated)
            case NowClause(hours=hours):
                return _constant(hours.include(self.now) is not negated)
            case PastClause():
                return self._past(condition, negated)
            case MemberClause():
                holds = is_member(condition, self.subject)
                return ~holds if negated else holds
            case Clause():
                return self._clause(condition, negated)

    def _join(self, parts: Sequence[Condition], negated: bool, *, is_and: bool) -> ColumnElement[bool]:
        rendered = [self.render(part, negated) for part in parts]
        return and_(true(), *rendered) if is_and else or_(false(), *rendered)

    # -- clauses about fields -----------------------------------------------------------------------------------------

    def _clause(self, clause: Clause, negated: bool) -> ColumnElement[bool]:
        questions = [one.operator.ask(one.operand, self.now) for one in clause.tests]
        if not self._is_about_rows(clause, questions):
            return _constant(self._judge(clause) is not negated)
        compared = self.find(clause.path, clause.field)
        tests = [self._question(one, compared, clause.zone, negated) for one in questions]
        if negated:
            failed = or_(*tests)
            return and_(compared.is_present, failed) if clause.or_blank else failed
        held = and_(*tests)
        return or_(compared.is_blank, held) if clause.or_blank else held

    def _is_about_rows(self, clause: Clause, questions: Sequence[Question]) -> bool:
        paths = [clause.path, *(one.predicate.path for one in questions if isinstance(one.predicate, EqualTo))]
        is_change = any(isinstance(one.predicate, Moved) for one in questions)
        return not is_change and (self.find is not compared_of_record or all(map(_is_of_record, paths)))

    def _judge(self, clause: Clause) -> bool:
        """The clause in memory. Raises: LeadflowError without a situation, or if it cannot be judged."""
        if self.situation is None:
            raise LeadflowError(f"{clause.path} is there only when something happens; no stored record has it.")
        trace = Trace()
        holds = clause.compile()(self.situation, trace)
        if trace.errors:
            raise LeadflowError(" ".join(trace.errors))
        return holds

    def _question(self, question: Question, compared: Compared, zone: tzinfo, negated: bool) -> ColumnElement[bool]:
        is_positive = question.is_negated is negated
        if isinstance(question.predicate, Anything):
            return compared.is_present if is_positive else compared.is_blank
        asked = self._predicate(question.predicate, compared, zone)
        return asked if is_positive else complement(asked)

    def _predicate(self, predicate: Predicate, compared: Compared, zone: tzinfo) -> ColumnElement[bool]:
        match predicate:
            case OneOf(values):
                return compared.one_of(values)
            case Interval():
                return compared.between(predicate, zone)
            case HostIn(hosts):
                return compared.has_host(hosts)
            case HasAny(texts):
                return compared.has_any(texts)
            case HasAll(texts):
                return compared.has_all(texts)
            case EqualTo(path, field):
                return compared.equals(self.find(path, field), zone)
            case _:
                return compared.value.like(_pattern(predicate))

    # -- clauses about the past ---------------------------------------------------------------------------------------

    def _past(self, clause: PastClause, negated: bool) -> ColumnElement[bool]:
        questions = [one.operator.ask(one.operand, self.now) for one in clause.tests]
        if clause.field.path == "event_count":
            return render_count(clause, questions, self.subject, self.now, self.where, negated)
        return render_last(clause, questions, self.subject, self.now, self.where, negated)

    def where(self, condition: Condition, event: FromClause) -> ColumnElement[bool]:
        """A condition about the fields of a row of the inbox."""
        return _Renderer(self.subject, self.now, lambda path, field: compared_of_event(event, path, field)).render(
            condition
        )


def _is_of_record(path: str) -> bool:
    return path.startswith(("company.", "contact."))


def _constant(holds: bool) -> ColumnElement[bool]:
    return true() if holds else false()


def _pattern(predicate: Predicate) -> str:
    """The pattern for LIKE, in which only the wildcards of the predicate are wildcards."""
    match predicate:
        case Containing(text):
            return f"%{_literal(text)}%"
        case StartingWith(text):
            return f"{_literal(text)}%"
        case EndingWith(text):
            return f"%{_literal(text)}"
        case Wildcards(text):
            return _literal(text).replace("*", "%").replace("?", "_")
        case _:
            raise LeadflowError(f"{type(predicate).__name__} cannot be asked of stored records.")


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
