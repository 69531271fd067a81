"""Tests run in memory: each one played and compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from leadflow.rules.model import ClauseResult, Rule, RuleStatus, Situation
from leadflow.rules.problems import Problem
from leadflow.rules.testing.comparing import Comparison
from leadflow.rules.testing.model import Later, RuleTest, plain
from leadflow.rules.testing.playing import Play, Played
from leadflow.rules.testing.stage import Ground


@dataclass(frozen=True, slots=True)
class TestResult:
    """How a test ended: what was not as expected, the outcome, and the trace of the rule.

    `rejudged` are the clauses of the condition each time that it was judged again after a wait.
    """

    __test__ = False  # no test of ours

    test: RuleTest
    faults: tuple[str, ...]
    outcome: str
    clauses: tuple[ClauseResult, ...]
    reasons: tuple[str, ...] = ()
    rejudged: tuple[tuple[ClauseResult, ...], ...] = ()

    @property
    def is_ok(self) -> bool:
        return not self.faults


def run_test(rule: Rule, test: RuleTest, ground: Ground) -> TestResult:
    """The test played in memory."""
    play = Play(rule, test, ground)
    played = play.try_rule()
    faults = [*_compare(play.stage.situation, test, played, test, ground)]
    rejudged = []
    for later in test.later:
        meanwhile = {path: plain(value, test.now, test.zone) for path, value in later.meanwhile.items()}
        scene = play.go_on(test.now + later.after, meanwhile)
        rejudged.append(scene.judgement.clauses)
        faults += [
            f"after {_days(later)}: {fault}" for fault in _compare(play.stage.situation, test, scene, later, ground)
        ]
    told = (played.outcome.value, played.judgement.clauses, played.reasons)
    return TestResult(test, tuple(faults), *told, tuple(filter(None, rejudged)))


def _compare(
    situation: Situation, test: RuleTest, played: Played, scene: RuleTest | Later, ground: Ground
) -> tuple[str, ...]:
    return Comparison(scene.expected, played, situation, ground.catalogue).faults(test.zone)


def _days(later: Later) -> str:
    return str(later.after).removesuffix(", 0:00:00")


def tests_by_rule(tests: Iterable[RuleTest]) -> dict[str, list[RuleTest]]:
    """The tests of each rule, by its id, in their order."""
    found: dict[str, list[RuleTest]] = {}
    for test in tests:
        found.setdefault(test.rule, []).append(test)
    return found


def failing_tests(rules: Sequence[Rule], tests: Iterable[RuleTest], ground: Ground) -> tuple[Problem, ...]:
    """The tests that fail of rules that are live, as problems: a rule whose own tests fail must not go live."""
    by_rule = tests_by_rule(tests)
    live = (rule for rule in rules if rule.status is RuleStatus.LIVE)
    return tuple(problem for rule in live for problem in _failing(rule, by_rule, ground))


def _failing(rule: Rule, by_rule: Mapping[str, list[RuleTest]], ground: Ground) -> Iterator[Problem]:
    for test in by_rule.get(rule.slug, ()):
        result = run_test(rule, test, ground)
        if not result.is_ok:
            message = f"the test “{test.name}” of the live rule {rule.slug} fails: {'; '.join(result.faults)}"
            yield test.place.problem("failing-test", message)
