"""What rules cost without a database: many of them, beside functions written by hand and beside reading YAML alone."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import yaml

from leadflow.domain.events import Occurrence, Trigger
from leadflow.domain.fields import Catalogue
from leadflow.domain.records import Company, Contact
from leadflow.rules.evaluation import RuleIndex, decide
from leadflow.rules.model import Situation
from leadflow.rules.parsing import parse_documents
from tests.benchmarks.figures import Figure, Table, ratios

FEW, MANY = 10, 1_000
RULES_A_DOCUMENT = 250  # a document is 256 kB at most
NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)


def measure_rules(table: Table, catalogue: Catalogue, rounds: int, repeats: int) -> None:
    """Rules per event, then loading."""
    few, many = (_index(catalogue, count) for count in (FEW, MANY))
    functions = _functions_by_hand(MANY)
    situations = [_situation(number % FEW) for number in range(FEW)]
    _assert_alike(many, functions, situations)
    by_few, by_many, by_hand = [], [], []
    for _ in range(rounds):
        by_few.append(_seconds(lambda: _judge_all(few, situations), repeats))
        by_many.append(_seconds(lambda: _judge_all(many, situations), repeats))
        by_hand.append(_seconds(lambda: _call_all(functions, situations), max(repeats // 10, 1)))
    microseconds = 1_000_000 / len(situations)
    table.heading("Rules in memory (each event with its full trace)")
    table.add(Figure(f"one event against {FEW} rules", [one * microseconds for one in by_few], unit="µs"))
    table.add(Figure(f"one event against {MANY:,} rules", [one * microseconds for one in by_many], unit="µs"))
    table.add(
        Figure(f"{MANY:,} functions by hand, one after another", [one * microseconds for one in by_hand], unit="µs")
    )
    table.add(Figure(f"one event: {MANY:,} rules ÷ {FEW}", ratios(by_many, by_few), 2, 1.2, "at most"))
    table.add(Figure(f"{MANY:,} rules ÷ functions by hand", ratios(by_many, by_hand), 0.2, 0.1, "at most"))
    _measure_loading(table, catalogue, rounds)


def _measure_loading(table: Table, catalogue: Catalogue, rounds: int) -> None:
    documents, tenth = documents_with(MANY), documents_with(MANY // 10)
    loading, composing, loading_tenth = [], [], []
    for _ in range(rounds):
        loading.append(_seconds(lambda: parse_documents(documents, catalogue), 1))
        composing.append(_seconds(lambda: _compose(documents), 1))
        loading_tenth.append(_seconds(lambda: parse_documents(tenth, catalogue), 1))
    table.add(Figure(f"loading {MANY:,} rules, all checks", [one * 1_000 for one in loading], unit="ms"))
    table.add(Figure("yaml.compose of the same text", [one * 1_000 for one in composing], unit="ms"))
    table.add(Figure("loading ÷ yaml.compose", ratios(loading, composing), 3, 2, "at most"))
    growth = ratios(loading, loading_tenth)
    table.add(Figure(f"time to load {MANY:,} rules ÷ {MANY // 10}", growth, 11, 10, "at most"))


def documents_with(count: int) -> dict[str, str]:
    """`count` rules, each for a form of its own, as people write them."""
    documents = {}
    for start in range(0, count, RULES_A_DOCUMENT):
        rules = [_rule(number) for number in range(start, min(start + RULES_A_DOCUMENT, count))]
        documents[f"rules-{start:04}.yaml"] = "leadflow: 1\nrules:\n" + "".join(rules)
    return documents


def _rule(number: int) -> str:
    return f"""
  - rule: form-{number}-moves-the-company
    title: Form {number} makes the company a marketing qualified lead
    why: Agreed with sales
    owner: marketing-ops
    status: live
    priority: {number % 100}
    when: {{form_submitted: {{form: form-{number}}}}}
    if:
      all:
        - company.category: {{in: [Lead, Lost opportunity], or_blank: true}}
        - contact.lead_status: {{not_in: [Disqualified]}}
        - form.utm_source: {{is_not: partner-{number}}}
    then:
      - set_category: {{to: Marketing qualified lead}}
      - create_task: {{title: "Call about form {number}", owner: sales, due_in: 1 day}}
"""


def _index(catalogue: Catalogue, count: int) -> RuleIndex:
    parsed = parse_documents(documents_with(count), catalogue)
    assert not parsed.problems, parsed.problems
    return RuleIndex(parsed.rule_set)


def _situation(number: int) -> Situation:
    form = f"form-{number}"
    return Situation(
        Occurrence(Trigger.FORM_SUBMITTED, {"form": form, "form_type": None}),
        NOW,
        Company(id=1, name="Nordwind AS", domain="nordwind.example", category="lead"),
        Contact(id=2, email="anna@nordwind.example", company_id=1, lead_status="open"),
        {"form": form, "email": "anna@nordwind.example", "utm_source": "linkedin"},
    )


def _judge_all(index: RuleIndex, situations: Sequence[Situation]) -> int:
    effects = 0
    for situation in situations:
        for rule in index.candidates(situation.occurrence, situation.now):
            _, wanted = decide(rule, situation)
            effects += len(wanted)
    return effects


Function = Callable[[Situation], list[Any]]


def _functions_by_hand(count: int) -> list[Function]:
    """What a programmer would write for each rule: no trace, no kinds, no way to edit it without a deployment."""
    source = "".join(
        f"def rule_{number}(situation):\n"
        "    form, company, contact = situation.form, situation.company, situation.contact\n"
        f"    if form.get('form') != 'form-{number}':\n        return []\n"
        "    if company.category not in (None, 'lead', 'lost-opportunity'):\n        return []\n"
        "    if contact.lead_status == 'disqualified':\n        return []\n"
        f"    if form.get('utm_source') == 'partner-{number}':\n        return []\n"
        f"    return [('category', 'mql'), ('task', 'Call about form {number}')]\n"
        for number in range(count)
    )
    space: dict[str, Any] = {}
    exec(compile(source, "by-hand", "exec"), space)
    return [space[f"rule_{number}"] for number in range(count)]


def _call_all(functions: Sequence[Function], situations: Sequence[Situation]) -> int:
    return sum(len(function(situation)) for situation in situations for function in functions)


def _assert_alike(index: RuleIndex, functions: Sequence[Function], situations: Sequence[Situation]) -> None:
    """Both want the same number of effects; otherwise their times say nothing."""
    assert _judge_all(index, situations) == _call_all(functions, situations) == 2 * len(situations)


def _compose(documents: dict[str, str]) -> None:
    for text in documents.values():
        yaml.compose(text, Loader=yaml.CSafeLoader)


def _seconds(work: Callable[[], object], repeats: int) -> float:
    """Of one repeat, with the collector of cycles at rest as it is in a worker during a batch."""
    gc.collect()
    gc.disable()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    seconds = (time.perf_counter() - start) / repeats
    gc.enable()
    return seconds
