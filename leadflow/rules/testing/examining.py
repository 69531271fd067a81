"""All tests of a rule set: which fail, which clauses they never saw true or false, which mutants they do not notice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from leadflow.rules.conditions import All, AnyOf, Condition, Leaf, Named, NoneOf
from leadflow.rules.model import Judgement, Rule, Situation
from leadflow.rules.testing.model import Place, RuleTest
from leadflow.rules.testing.mutants import Mutant, mutants_of
from leadflow.rules.testing.running import TestResult, run_test, tests_by_rule
from leadflow.rules.testing.stage import Ground, set_stage
from leadflow.rules.triggers import fits


@dataclass(frozen=True, slots=True)
class ClauseSeen:
    """One clause of a rule, and whether any test has seen it hold, and not hold."""

    path: str
    words: str
    line: int
    seen_true: bool
    seen_false: bool

    @property
    def is_covered(self) -> bool:
        return self.seen_true and self.seen_false


@dataclass(frozen=True, slots=True)
class Survivor:
    """A mutant that no test has noticed: the clause at its line, and what could be changed there."""

    path: str
    change: str
    line: int


@dataclass(frozen=True, slots=True)
class Thoroughness:
    """How much tests have seen of a condition: of its clauses, and of its `mutants` those that they did not notice."""

    clauses: tuple[ClauseSeen, ...] = ()
    mutants: int = 0
    survivors: tuple[Survivor, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleReport:
    """What the tests of one rule have shown."""

    rule: str
    document: str
    line: int
    results: tuple[TestResult, ...]
    seen: Thoroughness

    def with_faults(self, faults: Mapping[Place, str]) -> RuleReport:
        """The report with one more fault in the tests at these places."""
        return replace(self, results=tuple(_with_fault(one, faults) for one in self.results))


@dataclass(frozen=True, slots=True)
class NamedReport:
    """What the tests of all rules that use a segment have seen of it together; its name is `segment open_prospect`."""

    name: str
    seen: Thoroughness


@dataclass(frozen=True, slots=True)
class Report:
    """What all tests have shown.

    `named` are the segments; `untested` the rules that have no test at all; `in_sql` is how many conditions were asked
    as SQL, too (None: that was not tried).
    """

    rules: tuple[RuleReport, ...]
    named: tuple[NamedReport, ...]
    untested: tuple[str, ...]
    in_sql: int | None = None

    @property
    def results(self) -> tuple[TestResult, ...]:
        return tuple(result for one in self.rules for result in one.results)

    @property
    def failed(self) -> tuple[TestResult, ...]:
        return tuple(result for result in self.results if not result.is_ok)

    @property
    def seen(self) -> tuple[Thoroughness, ...]:
        return (*(one.seen for one in self.rules), *(one.seen for one in self.named))

    def with_sql(self, differences: Mapping[Place, str], number: int) -> Report:
        """The report with what SQL says otherwise, by the place of the test; `number` tests were asked."""
        return replace(self, rules=tuple(one.with_faults(differences) for one in self.rules), in_sql=number)


def _with_fault(result: TestResult, faults: Mapping[Place, str]) -> TestResult:
    fault = faults.get(result.test.place)
    return result if fault is None else replace(result, faults=(*result.faults, fault))


def examine(rules: Sequence[Rule], tests: Iterable[RuleTest], ground: Ground) -> Report:
    """Run all tests in memory, and the mutants against them."""
    by_rule = tests_by_rule(tests)
    examined = [_Examined(rule, by_rule[rule.slug], ground) for rule in rules if rule.slug in by_rule]
    return Report(
        rules=tuple(one.report() for one in examined),
        named=_pool(examined),
        untested=tuple(rule.slug for rule in rules if rule.slug not in by_rule),
    )


# A segment is known by its condition, which is one however many rules use it; two documents may have one of a name.
_Home = tuple[str, int]
OF_THE_RULE: _Home = ("", 0)


class _Examined:
    """One rule whose tests have run, and whose mutants were run against them."""

    def __init__(self, rule: Rule, tests: Sequence[RuleTest], ground: Ground) -> None:
        self._rule = rule
        self._results = tuple(run_test(rule, test, ground) for test in tests)
        self.notes: dict[_Home, _Notes] = defaultdict(_Notes)
        scenes = [_Scene.of(rule, result, ground) for result in self._results]
        self._note_clauses(scenes)
        for one in mutants_of(rule):
            self.notes[_home_of(one.named)].note_mutant(one, any(scene.notices(one, ground) for scene in scenes))

    def _note_clauses(self, scenes: Sequence[_Scene]) -> None:
        """A situation that does not call the rule shows nothing about its clauses."""
        judged = [scene.judgement.clauses for scene in scenes if scene.is_called]
        judged += [clauses for scene in scenes for clauses in scene.result.rejudged]
        for number, (named, leaf) in enumerate(_leaves_with_names(self._rule.condition)):
            self.notes[_home_of(named)].note_clause(leaf, {clauses[number].holds for clauses in judged})

    def report(self) -> RuleReport:
        """What is written in the rule itself."""
        rule = self._rule
        seen = self.notes[OF_THE_RULE].sum_up(rule.line)
        return RuleReport(rule.slug, rule.document, rule.line, self._results, seen)


class _Notes:
    """What tests have seen of the clauses of one rule or segment, and which mutants they noticed."""

    def __init__(self) -> None:
        self._clauses: dict[int, tuple[Leaf, set[bool]]] = {}
        self._mutants: dict[tuple[int, str], tuple[Mutant, bool]] = {}

    def note_clause(self, leaf: Leaf, seen: set[bool]) -> None:
        _, before = self._clauses.get(id(leaf), (leaf, set()))
        self._clauses[id(leaf)] = leaf, before | seen

    def note_mutant(self, mutant: Mutant, is_noticed: bool) -> None:
        key = id(mutant.part), mutant.change
        _, before = self._mutants.get(key, (mutant, False))
        self._mutants[key] = mutant, before or is_noticed

    def add(self, other: _Notes) -> None:
        """What the tests of another rule have seen counts, too."""
        for leaf, seen in other._clauses.values():
            self.note_clause(leaf, seen)
        for mutant, is_noticed in other._mutants.values():
            self.note_mutant(mutant, is_noticed)

    def sum_up(self, line: int) -> Thoroughness:
        """Everything noted; `line` is where parts stand that have no place of their own."""
        clauses = (
            ClauseSeen(leaf.path, leaf.words, _line_of(leaf, line), True in seen, False in seen)
            for leaf, seen in self._clauses.values()
        )
        missed = (mutant for mutant, is_noticed in self._mutants.values() if not is_noticed)
        survivors = (Survivor(one.path, one.change, _line_of(one.part, line)) for one in missed)
        return Thoroughness(tuple(clauses), len(self._mutants), tuple(survivors))


def _pool(examined: Iterable[_Examined]) -> tuple[NamedReport, ...]:
    """What the tests of several rules have seen of the segments that they share: together they need to see all."""
    pooled: dict[_Home, _Notes] = defaultdict(_Notes)
    for one in examined:
        for home, notes in one.notes.items():
            pooled[home].add(notes)
    return tuple(NamedReport(home[0], notes.sum_up(0)) for home, notes in pooled.items() if home != OF_THE_RULE)


def _home_of(named: Named | None) -> _Home:
    return OF_THE_RULE if named is None else (f"{named.kind} {named.name}", id(named.condition))


def _line_of(part: Condition | None, line: int) -> int:
    return line if part is None or part.place is None else part.place.line


def _leaves_with_names(condition: Condition | None, named: Named | None = None) -> Iterator[tuple[Named | None, Leaf]]:
    """Every clause from left to right, with the segment or selection that it is in, if it is in one."""
    match condition:
        case None:
            return
        case All(parts) | AnyOf(parts) | NoneOf(parts):
            for part in parts:
                yield from _leaves_with_names(part, named)
        case Named(condition=inner):
            # A segment in a segment is told under its own name, wherever it is used.
            yield from _leaves_with_names(inner, condition)
        case _:
            yield named, condition


@dataclass(frozen=True, slots=True)
class _Scene:
    """A test that has run: its situation as it was before, and what the rule's own condition said of it."""

    result: TestResult
    situation: Situation
    judgement: Judgement
    is_called: bool

    @classmethod
    def of(cls, rule: Rule, result: TestResult, ground: Ground) -> _Scene:
        situation = set_stage(rule, result.test, ground).situation
        is_called = any(fits(one, situation.occurrence) for one in rule.triggers)
        return cls(result, situation, rule.judge_condition(situation), is_called)

    def notices(self, mutant: Mutant, ground: Ground) -> bool:
        """Whether the test comes out another way. It is played again only where the mutant says something else."""
        if not self.is_called:
            return False
        test = self.result.test
        says_the_same = _said(mutant.rule.judge_condition(self.situation)) == _said(self.judgement)
        if says_the_same and not test.later and mutant.path != "limit":
            return False
        return run_test(mutant.rule, test, ground).is_ok is not self.result.is_ok


def _said(judgement: Judgement) -> object:
    """What a test can see of a judgement: that it holds, or else which clauses are false."""
    return judgement.error or judgement.holds or frozenset(one.path for one in judgement.clauses if not one.holds)
