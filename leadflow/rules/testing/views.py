"""The report on tests of rules in plain values, as programs read it."""

from __future__ import annotations

from dataclasses import dataclass

from leadflow.domain.fields import Value
from leadflow.rules.problems import Problem
from leadflow.rules.testing.examining import ClauseSeen, Report, RuleReport, Survivor
from leadflow.rules.testing.running import TestResult


@dataclass(frozen=True, slots=True)
class JudgedClauseView:
    """One line of a trace: the clause, whether it held, and the value seen, as people read it."""

    path: str
    test: str
    holds: bool
    value: str


@dataclass(frozen=True, slots=True)
class TestView:
    """How one test ended; `faults` are sentences about what was not as expected."""

    __test__ = False  # no test of ours

    test: str
    document: str
    line: int
    is_ok: bool
    faults: tuple[str, ...]
    outcome: str
    reasons: tuple[str, ...]
    clauses: tuple[JudgedClauseView, ...]


@dataclass(frozen=True, slots=True)
class TestedRuleView:
    """One rule: its tests, which of its clauses they saw true and false, and the mutants that they did not notice."""

    rule: str
    document: str
    line: int
    tests: tuple[TestView, ...]
    clauses: tuple[ClauseSeen, ...]
    mutants: int
    survivors: tuple[Survivor, ...]


@dataclass(frozen=True, slots=True)
class TestedSegmentView:
    """One segment, and what the tests of all rules that use it have seen of it."""

    name: str
    clauses: tuple[ClauseSeen, ...]
    mutants: int
    survivors: tuple[Survivor, ...]


@dataclass(frozen=True, slots=True)
class RuleTestsView:
    """What all tests have shown. Documents with `problems` are not tested.

    `tests_in_sql` is how many conditions were asked of the database as well; null where none was asked.
    """

    problems: tuple[Problem, ...] = ()
    tests: int = 0
    failed: int = 0
    tests_in_sql: int | None = None
    rules: tuple[TestedRuleView, ...] = ()
    segments: tuple[TestedSegmentView, ...] = ()
    untested: tuple[str, ...] = ()


def view_of(report: Report) -> RuleTestsView:
    """The report as a view."""
    return RuleTestsView(
        tests=len(report.results),
        failed=len(report.failed),
        tests_in_sql=report.in_sql,
        rules=tuple(map(_rule, report.rules)),
        segments=tuple(
            TestedSegmentView(one.name, one.seen.clauses, one.seen.mutants, one.seen.survivors) for one in report.named
        ),
        untested=report.untested,
    )


def _rule(one: RuleReport) -> TestedRuleView:
    tests = tuple(map(_test, one.results))
    return TestedRuleView(
        one.rule, one.document, one.line, tests, one.seen.clauses, one.seen.mutants, one.seen.survivors
    )


def _test(result: TestResult) -> TestView:
    place = result.test.place
    return TestView(
        test=result.test.name,
        document=place.file,
        line=place.line,
        is_ok=result.is_ok,
        faults=result.faults,
        outcome=result.outcome,
        reasons=result.reasons,
        clauses=tuple(JudgedClauseView(c.path, c.test, c.holds, shown(c.value)) for c in result.clauses),
    )


def shown(value: Value) -> str:
    """A value of a trace, for people."""
    if value is None or value == ():
        return "blank"
    return ", ".join(value) if isinstance(value, tuple) else str(value)
