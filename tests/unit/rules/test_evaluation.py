"""The index finds exactly what trying every rule would find, in the order of trying."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadflow.domain.events import Occurrence, Trigger
from leadflow.rules.evaluation import RuleIndex, decide, is_open_to
from leadflow.rules.model import Rule, RuleSet, RuleStatus
from leadflow.rules.parsing import parse_documents
from leadflow.rules.triggers import fits
from tests.unit.rules.given import CATALOGUE, NOW, document_with, parse_one_rule, situation_with

FORMS, TYPES = ["demo-request", "Contact", None], ["content", "sales", None]
STEPS = ["registered", "sold", "lost"]
STATUS_CHANGES = [("open", "qualified"), (None, "open"), ("open", "open")]

TRIGGERS = [
    "{form_submitted: any}",
    "{form_submitted: {form: demo-request}}",
    "{form_submitted: {form: CONTACT, form_type: content}}",
    "{form_submitted: {form_type: sales}}",
    "{sale: sold}",
    "{sale: lost}",
    "{record_created: contact}",
    "{record_created: company}",
    "{record_changed: [company.category, contact.lead_status]}",
    "{record_changed: {contact.lead_status: {to: Qualified}}}",
    "{record_changed: {contact.lead_status: {from: [Open, blank]}}}",
]


@st.composite
def rule_texts(draw: st.DrawFn) -> str:
    when = draw(st.lists(st.sampled_from(TRIGGERS), min_size=1, max_size=3))
    lines = [
        f"when: [{', '.join(when)}]",
        f"status: {draw(st.sampled_from(['live', 'live', 'shadow', 'off', 'draft']))}",
        f"priority: {draw(st.integers(0, 3))}",
        f"also_from_rules: {str(draw(st.booleans())).lower()}",
        f"include_import: {str(draw(st.booleans())).lower()}",
        "then: [{set_category: Lead}]",
        *draw(
            st.sampled_from(
                [[], ["starts: 2026-06-16"], ["ends: 2026-06-14"], ["starts: 2026-06-15", "ends: 2026-06-15"]]
            )
        ),
    ]
    return ", ".join(lines)


@st.composite
def occurrences(draw: st.DrawFn) -> Occurrence:
    trigger = draw(st.sampled_from(Trigger))
    detail: dict[str, str | None] = {}
    changes: dict[str, tuple[object, object]] = {}
    if trigger is Trigger.FORM_SUBMITTED:
        detail = {"form": draw(st.sampled_from(FORMS)), "form_type": draw(st.sampled_from(TYPES))}
    elif trigger is Trigger.SALE:
        detail = {"step": draw(st.sampled_from(STEPS))}
    elif trigger is Trigger.RECORD_CREATED:
        detail = {"record": draw(st.sampled_from(["company", "contact"]))}
    else:
        paths = draw(st.sets(st.sampled_from(["company.category", "contact.lead_status", "company.owner"]), min_size=1))
        changes = {path: draw(st.sampled_from(STATUS_CHANGES)) for path in sorted(paths)}
    chain = draw(st.sampled_from([(), ("other-rule",)]))
    return Occurrence(trigger, detail, changes, chain, draw(st.booleans()))


def scan(rule_set: RuleSet, occurrence: Occurrence) -> list[Rule]:
    """What the index promises, the slow way."""
    return [
        rule
        for rule in rule_set.rules
        if rule.status in (RuleStatus.LIVE, RuleStatus.SHADOW)
        and any(fits(one, occurrence) for one in rule.triggers)
        and is_open_to(rule, occurrence, NOW)
    ]


@given(texts=st.lists(rule_texts(), min_size=1, max_size=8), tried=st.lists(occurrences(), min_size=5, max_size=15))
@settings(max_examples=60, deadline=None)
def test_the_index_finds_what_trying_every_rule_finds(texts, tried):
    rules = "\n".join(f"  - {{rule: r{number}, {text}}}" for number, text in enumerate(texts))
    rule_set = parse_documents({"a.yaml": f"leadflow: 1\nrules:\n{rules}\n"}, CATALOGUE).rule_set
    assert len(rule_set.rules) == len(texts)
    index = RuleIndex(rule_set)

    for occurrence in tried:
        assert index.candidates(occurrence, NOW) == scan(rule_set, occurrence)


def make_rule(lines: str) -> Rule:
    return parse_one_rule(f"leadflow: 1\nrules: [{{rule: a, then: [{{set_category: Lead}}], {lines}}}]")


def candidates(lines: str, occurrence: Occurrence, now: Any = NOW) -> int:
    return len(RuleIndex(RuleSet(1, (make_rule(lines),))).candidates(occurrence, now))


SOLD = Occurrence(Trigger.SALE, {"step": "sold"})


@pytest.mark.parametrize(("status", "runs"), [("live", 1), ("shadow", 1), ("draft", 0), ("off", 0)])
def test_only_live_and_shadow_rules_run(status, runs):
    assert candidates(f"when: {{sale: sold}}, status: {status}", SOLD) == runs


def test_a_rule_runs_from_its_first_day_through_its_last():
    lines = "when: {sale: sold}, starts: 2026-06-15, ends: 2026-06-15"
    midnight = NOW.replace(hour=0)

    assert [candidates(lines, SOLD, midnight + timedelta(hours=h)) for h in (-1, 0, 23, 24)] == [0, 1, 1, 0]


def test_imports_and_changes_by_rules_reach_only_rules_that_ask_for_them():
    imported = Occurrence(Trigger.RECORD_CREATED, {"record": "contact"}, is_import=True)
    by_rule = Occurrence(Trigger.RECORD_CHANGED, {}, {"company.category": (None, "lead")}, chain=("b",))
    created, changed = "when: {record_created: contact}", "when: {record_changed: [company.category]}"

    assert candidates(created, imported) == 0
    assert candidates(f"{created}, include_import: true", imported) == 1
    assert candidates(changed, by_rule) == 0
    assert candidates(f"{changed}, also_from_rules: true", by_rule) == 1


def test_rules_are_tried_by_priority_then_by_file_and_place():
    def document(*rules: tuple[str, int]) -> str:
        lines = "".join(
            f"- {{rule: {slug}, priority: {priority}, when: {{sale: sold}}, then: [{{set_category: Lead}}]}}\n"
            for slug, priority in rules
        )
        return "leadflow: 1\nrules:\n" + lines

    documents = {"b.yaml": document(("b1", 50), ("b2", 90)), "a.yaml": document(("z", 50), ("a", 50))}
    rule_set = parse_documents(documents, CATALOGUE, version=7).rule_set

    assert [rule.slug for rule in rule_set.rules] == ["b2", "z", "a", "b1"]
    assert [rule.slug for rule in RuleIndex(rule_set).candidates(SOLD, NOW)] == ["b2", "z", "a", "b1"]
    assert rule_set.version == 7


def test_listens_to_says_whether_writing_an_occurrence_is_worth_it():
    lines = "when: [{record_changed: [company.owner]}, {record_created: contact}]"
    index = RuleIndex(RuleSet(1, (make_rule(lines),)))
    asleep = RuleIndex(RuleSet(1, (make_rule(f"{lines}, status: off"),)))

    assert index.listens_to(Trigger.RECORD_CHANGED, ["company.category", "company.owner"])
    assert index.listens_to(Trigger.RECORD_CREATED, ["contact"])
    assert not index.listens_to(Trigger.RECORD_CHANGED, ["company.category"])
    assert not index.listens_to(Trigger.RECORD_CREATED, ["company"])
    assert not asleep.listens_to(Trigger.RECORD_CHANGED, ["company.owner"])


def test_a_rule_that_does_not_hold_has_no_effects():
    rule = parse_one_rule(document_with("{company.name: A}"))

    judgement, effects = decide(rule, situation_with({"company.name": "B"}))

    assert not judgement.holds
    assert effects == ()


def test_a_rule_remembers_where_it_stands_and_how_it_was_written():
    text = (
        "leadflow: 1\nrules:\n"
        "  - rule: first\n    title: First  # a remark\n    when: {sale: sold}\n    then:\n      - add_tag: x\n\n"
        "  # about the second\n  - {rule: second, when: {sale: lost}, then: [{add_tag: y}]}\n"
        "  - {rule: third, when: {sale: lost},\n     then: [{add_tag: y}]}\n"
    )
    first, second, third = parse_documents({"a.yaml": text}, CATALOGUE).rule_set.rules

    assert (first.document, first.line, second.line) == ("a.yaml", 3, 10)
    assert first.source_text == "rule: first\ntitle: First  # a remark\nwhen: {sale: sold}\nthen:\n  - add_tag: x"
    assert second.source_text == "{rule: second, when: {sale: lost}, then: [{add_tag: y}]}"
    assert third.source_text == "{rule: third, when: {sale: lost},\n then: [{add_tag: y}]}"


def test_the_header_of_a_rule_is_read():
    rule = make_rule(
        "title: T, why: W, owner: O, priority: 0, when: {sale: sold}, limit: {once_per: company, within: 7 days}"
    )

    assert (rule.title, rule.why, rule.owner, rule.priority) == ("T", "W", "O", 0)
    assert rule.limit is not None
    assert (rule.limit.once_per, rule.limit.within) == ("company", timedelta(days=7))
    assert make_rule("when: {sale: sold}, limit: {once_per: contact}").limit is not None
    assert make_rule("when: {sale: sold}").priority == 50
