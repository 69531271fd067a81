"""Checks of what a rule writes: categories that the lifecycle graph refuses, lead statuses that are not active."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from leadflow.domain.effects import SetCategory, SetLeadStatus, Wait
from leadflow.rules.conditions import All, AnyOf, Clause, Condition, Named, NoneOf
from leadflow.rules.linting.cases import Algebra, Cases
from leadflow.rules.linting.domains import Chosen
from leadflow.rules.linting.findings import Finding, Setting, Study, category_names
from leadflow.rules.model import PlannedStep
from leadflow.rules.predicates import OneOf

CATEGORY = "company.category"

Keys = frozenset[str | None]


@dataclass(slots=True)
class _Here:
    """What the company's category can be before the next action, and which of these the author named."""

    categories: Keys
    named: Keys


def find_refused_moves(study: Study, algebra: Algebra, setting: Setting) -> Iterator[Finding]:
    """Actions on categories and lead statuses that the guard refuses always, or where their author named the source."""
    here = _Here(possible_categories(study.cases, setting), _named_categories(study.rule.condition, algebra))
    for planned in study.rule.actions:
        match planned.step:
            case Wait(recheck=recheck):
                condition = study.rule.condition if recheck else None
                here.categories = possible_categories(algebra.cases(condition), setting)
                here.named = _named_categories(condition, algebra)
            case SetCategory() as step:
                yield from _look_at_move(study, setting, planned, step, here)
            case SetLeadStatus():
                yield from _look_at_status(study, setting, planned, here)


def possible_categories(cases: Cases, setting: Setting) -> Keys:
    """The categories (None: none) that a company can have in any of the cases; all if that is undecided."""
    everything: Keys = frozenset({None, *setting.lifecycle.categories})
    if cases.alternatives is None:
        return everything
    found: set[str | None] = set()
    for case in cases.possible(setting.now):
        domain = case.domains.get(CATEGORY)
        if domain is None or not isinstance(domain.values, Chosen):
            return everything
        found |= domain.values.values | ({None} if domain.has_blank else set())
    return frozenset(found)


def _named_categories(condition: Condition | None, algebra: Algebra) -> Keys:
    """The categories that the condition names as those it is about; a group names all in it."""
    match condition:
        case All(parts) | AnyOf(parts):
            return frozenset().union(*(_named_categories(part, algebra) for part in parts))
        case Clause(path=path, tests=tests, or_blank=or_blank) if path == CATEGORY:
            questions = [one.operator.ask(one.operand, algebra.now) for one in tests]
            asked = [
                one.predicate.values for one in questions if isinstance(one.predicate, OneOf) and not one.is_negated
            ]
            return frozenset().union(*asked, {None} if asked and or_blank else set())
        case Named(condition=inner):
            return _named_categories(inner, algebra)
        case NoneOf():
            return frozenset()
        case _:
            return frozenset()


def _look_at_move(
    study: Study, setting: Setting, planned: PlannedStep, step: SetCategory, here: _Here
) -> Iterator[Finding]:
    lifecycle = setting.lifecycle
    sources = here.categories if step.sources is None else here.categories & step.sources
    allowed = sources & lifecycle.sources_of(step.target)
    named = here.named if step.sources is None else step.sources
    in_use = {key for key in sources & named - {step.target} if key is None or not lifecycle.category(key).deleted}
    goal = lifecycle.category(step.target).name
    if not allowed:
        message = f"the guard refuses this always: {_why(setting, step, here, sources)}"
        yield study.find("outside-graph", "error", message, planned.place)
    elif refused := in_use - allowed:
        names = category_names(setting, refused)
        message = f"the lifecycle has no step from {names} to {goal}; the guard will refuse it there"
        yield study.find("outside-graph", "warning", message, planned.place)
    if allowed:
        here.categories |= {step.target}


def _why(setting: Setting, step: SetCategory, here: _Here, sources: Keys) -> str:
    goal = setting.lifecycle.category(step.target).name
    if not setting.lifecycle.sources_of(step.target):
        return f"the lifecycle has no step to {goal} for automation"
    if not sources and step.sources is not None:
        asked, found = category_names(setting, step.sources), category_names(setting, here.categories)
        return f"the move is from {asked}, and where the rule acts the category is {found}"
    return f"the lifecycle has no step from {category_names(setting, sources)} to {goal}"


def _look_at_status(study: Study, setting: Setting, planned: PlannedStep, here: _Here) -> Iterator[Finding]:
    """A company without a category says nothing: a contact without a company has a category of its own."""
    is_known = bool(here.categories) and None not in here.categories
    if is_known and not any(setting.lifecycle.is_lead_status_active(key) for key in here.categories):
        names = category_names(setting, here.categories)
        message = f"lead status is not active while the category is {names}; the guard will refuse this"
        yield study.find("inactive-status", "warning", message, planned.place)
