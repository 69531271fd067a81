"""Checks of sound rules before they are published: what can never happen, what is lost, what goes round in circles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from leadflow.rules.linting.cases import Algebra
from leadflow.rules.linting.circles import find_circles, find_restless_sweep
from leadflow.rules.linting.clauses import find_blanks, find_idle, find_impossible
from leadflow.rules.linting.findings import NO_DATA, Data, Finding, Setting, Study
from leadflow.rules.linting.moves import find_refused_moves
from leadflow.rules.linting.pairs import Rivals
from leadflow.rules.model import RuleSet
from leadflow.rules.nodes import Node
from leadflow.rules.problems import Problem, Report, in_reading_order

SEVERITIES = ("error", "warning", "note")

__all__ = ["NO_DATA", "Data", "Setting", "lint"]


def lint(rule_set: RuleSet, documents: Mapping[str, str | bytes], setting: Setting) -> tuple[Problem, ...]:
    """What should still be asked about a rule set without mistakes; `documents` are what it was read from."""
    return _as_problems(_find_all(rule_set, setting), documents)


def _find_all(rule_set: RuleSet, setting: Setting) -> Iterator[Finding]:
    algebra = Algebra(setting.catalogue, setting.now)
    cautious = algebra.cautious()
    studies = [Study(rule, algebra, cautious) for rule in rule_set.rules]
    sound = []
    for study in studies:
        faults = list(find_impossible(study, algebra))
        yield from faults
        if not faults:
            sound.append(study)
    for study in sound:
        yield from find_idle(study, cautious)
        yield from find_blanks(study, algebra, setting)
        yield from find_refused_moves(study, algebra, setting)
        yield from find_restless_sweep(study, algebra, setting)
    yield from Rivals(sound, algebra, cautious, setting).find()
    yield from find_circles(sound, algebra, setting)


def _as_problems(findings: Iterable[Finding], documents: Mapping[str, str | bytes]) -> tuple[Problem, ...]:
    reports: dict[str, Report] = {}
    # A document tells a hundred at most, and no error may be lost behind warnings.
    for one in sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)):
        name = one.rule.document
        if name not in reports:
            content = documents.get(name, "")
            text = content.decode("utf-8-sig", "replace") if isinstance(content, bytes) else content
            reports[name] = Report(name, text.removeprefix("\ufeff"))
        place = one.place or one.rule.place or Node(one.rule.line, 1)
        reports[name].add(place, one.code, one.message, severity=one.severity)
    return in_reading_order(problem for report in reports.values() for problem in report.problems)
