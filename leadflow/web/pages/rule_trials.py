"""A draft tried before it is published: its tests, and its plan against the records of today."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import Connection

from leadflow.rules.conditions import leaves_of
from leadflow.rules.parsing import ParsedRules
from leadflow.rules.problems import Problem
from leadflow.rules.testing.examining import ClauseSeen
from leadflow.rules.testing.views import RuleTestsView, TestedRuleView, view_of
from leadflow.services.rule_plans import ListedCount, RulePlan, make_plan
from leadflow.services.rule_tests import ground_of_lists, run_tests
from leadflow.web.config import web_config
from leadflow.web.pages import desk, rulebook
from leadflow.web.pages.rule_sheets import Sheet

# Each test is run for each mutant that it might notice; more than this is for the command line.
MAX_WORK = 150_000


@dataclass(frozen=True, slots=True)
class Tried:
    """What the tests of one document's rules have shown; `refusal` says why they were not run."""

    problems: Sequence[Problem] = ()
    view: RuleTestsView | None = None
    refusal: str = ""


def try_tests(connection: Connection, sheet: Sheet) -> Tried:
    """Run the tests of this document's rules, wherever they are written, in memory and as SQL."""
    lists = desk.lists(connection)
    parsed = rulebook.read(sheet.documents, lists)
    if parsed.problems:
        return Tried(parsed.problems)
    own = of_document(parsed, sheet.name)
    if _work(own) > MAX_WORK:
        return Tried(refusal=_("These are too many tests to wait for here. Run “leadflow rules test” on the files."))
    return Tried(view=view_of(run_tests(own, ground_of_lists(lists), connection)))


def of_document(parsed: ParsedRules, name: str) -> ParsedRules:
    """The rules of a document; of a document that has only tests, the rules that these are of."""
    slugs = {one.slug for one in parsed.rule_set.rules if one.document == name}
    slugs = slugs or {one.rule for one in parsed.tests if one.place.file == name}
    rules = tuple(one for one in parsed.rule_set.rules if one.slug in slugs)
    tests = tuple(one for one in parsed.tests if one.rule in slugs)
    return replace(parsed, rule_set=replace(parsed.rule_set, rules=rules), tests=tests)


def _work(parsed: ParsedRules) -> int:
    clauses = {rule.slug: sum(1 for _leaf in leaves_of(rule.condition)) for rule in parsed.rule_set.rules}
    return sum(clauses[test.rule] ** 2 for test in parsed.tests)


def unseen(rule: TestedRuleView) -> list[tuple[ClauseSeen, str]]:
    """The clauses that no test has seen both ways, with what is missing."""
    missing = {
        (False, False): _("no test sees it hold, and none sees it fail"),
        (False, True): _("no test sees it hold"),
        (True, False): _("no test sees it fail"),
    }
    return [(one, missing[one.seen_true, one.seen_false]) for one in rule.clauses if not one.is_covered]


def in_order_of_need(rules: Sequence[TestedRuleView]) -> list[TestedRuleView]:
    """Those with failing tests first."""
    return sorted(rules, key=lambda rule: all(test.is_ok for test in rule.tests))


# -- plan --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CountBars:
    """How many records carry a value before and after, as bars on a ground of 100."""

    key: str | None
    name: str
    before: int
    after: int
    before_width: float
    after_width: float

    @property
    def difference(self) -> int:
        return self.after - self.before


def plan_sheet(connection: Connection, sheet: Sheet) -> dict[str, Any]:
    """What the draft would do to the records as they are now."""
    plan = make_plan(connection, web_config().sweeps, sheet.documents, desk.now())
    return {
        "plan": plan,
        "bars": {one.slug: bars_of(one.categories) for one in plan.rules},
        "status_bars": _statuses(plan.rules),
    }


def _statuses(found: Sequence[RulePlan]) -> dict[str, list[CountBars]]:
    return {one.slug: bars_of(one.lead_statuses) for one in found}


def bars_of(counts: Sequence[ListedCount]) -> list[CountBars]:
    """Bars of one scale, for the values whose number changes."""
    changed = [one for one in counts if one.before != one.after]
    highest = max((max(one.before, one.after) for one in changed), default=0) or 1
    return [
        CountBars(
            one.key,
            one.name,
            one.before,
            one.after,
            round(one.before / highest * 100, 2),
            round(one.after / highest * 100, 2),
        )
        for one in changed
    ]
