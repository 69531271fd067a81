"""The report on tests of rules: for people, for programs, and as JUnit XML for build servers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from xml.sax.saxutils import escape, quoteattr

from leadflow.rules.model import ClauseResult
from leadflow.rules.problems import printable
from leadflow.rules.testing.examining import ClauseSeen, NamedReport, Report, RuleReport, Thoroughness
from leadflow.rules.testing.running import TestResult
from leadflow.rules.testing.views import shown, view_of

# What XML 1.0 cannot hold, even escaped.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


# -- for people --------------------------------------------------------------------------------------------------------


def render_report_text(report: Report) -> str:
    """Each rule with its tests, what they never saw, and the mutants that none of them notices."""
    lines = [line for one in report.rules for line in _rule_lines(one)]
    lines += [line for one in report.named for line in _named_lines(one)]
    if report.untested:
        lines += [f"Without a test: {', '.join(report.untested)}.", ""]
    return "\n".join(map(printable, [*lines, _summary(report)]))


def _rule_lines(rule: RuleReport) -> Iterator[str]:
    yield f"{rule.rule} ({rule.document}:{rule.line})"
    for result in rule.results:
        yield f"  {'ok    ' if result.is_ok else 'FAILED'} {result.test.name}"
        yield from _failure_lines(result) if not result.is_ok else ()
    yield from _seen_lines(rule.seen, lambda line: f"{rule.document}:{line} ")
    yield ""


def _named_lines(one: NamedReport) -> Iterator[str]:
    lines = list(_seen_lines(one.seen, lambda line: f"line {line} "))
    if lines:
        yield from (f"{one.name}, in all rules that use it", *lines, "")


def _seen_lines(seen: Thoroughness, place: Callable[[int], str]) -> Iterator[str]:
    for clause in seen.clauses:
        if not clause.is_covered:
            yield f"  never seen {_unseen(clause)}: {place(clause.line)}{clause.path} {clause.words}"
    noticed = seen.mutants - len(seen.survivors)
    if seen.survivors:
        yield f"  {noticed} of {seen.mutants} mutants were noticed; no test would notice these changes:"
    for one in seen.survivors:
        yield f"    {place(one.line)}{one.path}: {one.change}"


def _failure_lines(result: TestResult) -> Iterator[str]:
    yield from (f"         {fault}" for fault in result.faults)
    yield f"         at {result.test.place}; the outcome was {result.outcome}"
    yield from (f"           {_clause_line(clause)}" for clause in result.clauses)


def _clause_line(clause: ClauseResult) -> str:
    return f"{'✓' if clause.holds else '✗'} {clause.path} {clause.test}: it was {shown(clause.value)}"


def _unseen(clause: ClauseSeen) -> str:
    sides = [word for word, is_seen in (("true", clause.seen_true), ("false", clause.seen_false)) if not is_seen]
    return " nor ".join(sides)


def _summary(report: Report) -> str:
    total, failed = len(report.results), len(report.failed)
    mutants = sum(one.mutants for one in report.seen)
    survivors = sum(len(one.survivors) for one in report.seen)
    where = "in memory only" if report.in_sql is None else f"in memory, {report.in_sql} of them as SQL too"
    return (
        f"{total} tests of {len(report.rules)} rules: {total - failed} ok, {failed} failed; {where}. "
        f"{mutants - survivors} of {mutants} mutants noticed."
    )


# -- for programs ------------------------------------------------------------------------------------------------------


def render_report_json(report: Report) -> str:
    """For programs."""
    return json.dumps(asdict(view_of(report)), ensure_ascii=False, indent=2)


# -- JUnit -------------------------------------------------------------------------------------------------------------


def render_report_junit(report: Report) -> str:
    """A test suite for each rule, as build servers read them."""
    suites = "\n".join(line for one in report.rules for line in _suite_lines(one))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites name="leadflow rules" tests="{len(report.results)}" failures="{len(report.failed)}">\n'
        f"{suites}\n</testsuites>"
    )


def _suite_lines(rule: RuleReport) -> Iterator[str]:
    failed = sum(not one.is_ok for one in rule.results)
    yield f'  <testsuite name={_attribute(rule.rule)} tests="{len(rule.results)}" failures="{failed}">'
    for result in rule.results:
        place = f'file={_attribute(result.test.place.file)} line="{result.test.place.line}"'
        start = f"    <testcase classname={_attribute(rule.rule)} name={_attribute(result.test.name)} {place}"
        if result.is_ok:
            yield f"{start}/>"
        else:
            message = _attribute("; ".join(result.faults))
            told = escape(_in_xml("\n".join(map(_clause_line, result.clauses))))
            yield f"{start}>\n      <failure message={message}>{told}</failure>\n    </testcase>"
    yield "  </testsuite>"


def _attribute(text: str) -> str:
    return quoteattr(_in_xml(text))


def _in_xml(text: str) -> str:
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
