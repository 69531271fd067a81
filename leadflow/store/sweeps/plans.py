"""What a sweep asks: which records its rule would act on now, as predicates over `rows_of` its subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeGuard

from sqlalchemy import ColumnElement, and_, exists, false, func, literal_column, or_, select, true

from leadflow.domain.effects import (
    AddTag,
    CreateTask,
    Effect,
    RemoveTag,
    SetCategory,
    SetField,
    SetLeadStatus,
    Step,
    written_field,
)
from leadflow.domain.history import Record
from leadflow.rules.conditions import All, Condition
from leadflow.rules.model import PlannedStep, Rule, RuleStatus
from leadflow.store.conditions import render
from leadflow.store.lists import Lists
from leadflow.store.sweeps.steps import can_write, first_scene, play
from leadflow.store.tables import CompanyRow, ContactRow, RuleLimitRow, RunRow

# The constant steps of a rule, each with its action's number and name.
Effects = Sequence[tuple[str, Effect]]


@dataclass(frozen=True)
class SweepPlan:
    """One sweep of one rule, judged at one moment.

    `effects` are its steps where statements on sets can do them; None where each record is judged in memory.
    """

    rule: Rule
    version: int
    subject: Record
    evaluated_at: datetime
    lists: Lists
    effects: Effects | None

    @property
    def table(self) -> Any:
        return (ContactRow if self.subject == "contact" else CompanyRow).__table__

    @cached_property
    def company_decides_once(self) -> bool:
        """Contacts are swept and their company is written: the first contact that matches decides for the company."""
        return self.subject == "contact" and any(map(may_write_company, self.rule.actions))

    @cached_property
    def is_limited_per_company(self) -> bool:
        limit = self.rule.limit
        return self.subject == "contact" and limit is not None and limit.once_per == "company"

    @property
    def acts_once_per_company(self) -> bool:
        """Whether of several contacts of a company at most one is acted on."""
        return self.company_decides_once or self.is_limited_per_company

    @cached_property
    def parts(self) -> tuple[Condition, ...]:
        """The outermost parts of the condition, all of which must hold."""
        match self.rule.condition:
            case None:
                return ()
            case All(parts):
                return parts
            case condition:
                return (condition,)

    def part(self, number: int) -> ColumnElement[bool]:
        """One of the outermost parts."""
        return render(self.parts[number], self.subject, self.evaluated_at)

    @property
    def may_be_automated(self) -> ColumnElement[bool]:
        """Neither the record nor its company is marked “do not automate”."""
        company: ColumnElement[bool] = CompanyRow.__table__.c.do_not_automate.is_not(true())
        return company if self.subject == "company" else and_(~ContactRow.__table__.c.do_not_automate, company)

    @property
    def is_within_limit(self) -> ColumnElement[bool]:
        """The rule has not acted here lately; where it counts by company, there is one."""
        limit = self.rule.limit
        if limit is None:
            return true()
        acted = RuleLimitRow.__table__
        subject_id = (CompanyRow if limit.once_per == "company" else ContactRow).__table__.c.id
        meant = [acted.c.rule == self.rule.slug, acted.c.subject == limit.once_per, acted.c.subject_id == subject_id]
        # Not an anti-join: while a sweep fills the table faster than its statistics follow, the server would take the
        # rule's rows for few and read all of them for each record. This is one look-up, for whoever comes so far.
        last = select(acted.c.acted_at).where(*meant).correlate_except(acted).scalar_subquery()
        is_free: ColumnElement[bool] = last.is_(None)
        if limit.within is not None:
            is_free = func.coalesce(last, literal_column("'-infinity'")) <= self.evaluated_at - limit.within
        return and_(CompanyRow.__table__.c.id.is_not(None), is_free) if self.is_limited_per_company else is_free

    @cached_property
    def is_to_be_changed(self) -> ColumnElement[bool]:
        """The guard lets at least one step change something. What only memory can tell is let through."""
        if self.effects is None:
            return true()
        scene = first_scene(self.subject)
        played = [play(effect, action, scene, self.lists) for action, effect in self.effects]
        return or_(false(), *(one.is_effective for one in played))

    def is_undecided(self, sweep_id: ColumnElement[int]) -> ColumnElement[bool]:
        """No contact of the same company has been acted on in this sweep."""
        if not self.company_decides_once:
            return true()
        run, company_id = RunRow.__table__, CompanyRow.__table__.c.id
        acted = exists(literal_column("1")).where(run.c.sweep_id == sweep_id, run.c.company_id == company_id)
        return ~acted.correlate_except(run)

    def matches(self, sweep_id: ColumnElement[int]) -> ColumnElement[bool]:
        """Everything together: the record is acted on."""
        parts = [self.part(number) for number in range(len(self.parts))]
        return and_(
            true(),
            *parts,
            self.may_be_automated,
            self.is_within_limit,
            self.is_to_be_changed,
            # Where memory judges, it must know who was the first of a company, so it sees the others too.
            *([self.is_undecided(sweep_id)] if self.effects is not None else []),
        )


# -- which rules statements on sets can do -----------------------------------------------------------------------------


def set_based_effects(rule: Rule, subject: Record, lists: Lists) -> Effects | None:
    """The steps of a rule, if statements on sets do what `Records` would do one after the other; else None."""
    effects = [(one.action, one.step) for one in rule.actions if _is_settable(one.step, lists)]
    if rule.status is not RuleStatus.LIVE or len(effects) < len(rule.actions):
        return None
    return effects if _are_in_order(rule, subject) and _are_apart(rule, subject) else None


def _is_settable(step: Step | None, lists: Lists) -> TypeGuard[Effect]:
    match step:
        case SetCategory() | AddTag() | RemoveTag() | CreateTask():
            return True
        case SetLeadStatus(of=of):
            return of == "contact"
        case SetField(path=path):
            return can_write(path, lists)
        case _:
            return False


def _are_in_order(rule: Rule, subject: Record) -> bool:
    """The company is moved first and once, so that its row can be written before those of its contacts."""
    kinds = [type(one.step) for one in rule.actions]
    if SetCategory not in kinds:
        return True
    return kinds.count(SetCategory) == 1 and SetLeadStatus not in kinds[: kinds.index(SetCategory)]


def _are_apart(rule: Rule, subject: Record) -> bool:
    """No contact's turn depends on what an earlier contact of its company has done."""
    writes = [may_write_company(one) for one in rule.actions]
    if subject == "company" or not any(writes):
        return True
    return all(writes) or (rule.limit is not None and rule.limit.once_per == "company")


def may_write_company(one: PlannedStep) -> bool:
    """Whether the action writes the company."""
    name = one.writes or (written_field(one.step) if one.step is not None else None)
    return name is not None and name.startswith("company.")
