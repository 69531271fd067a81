"""Judging a situation: every clause is told, errors are never "no match", a missing record is blank."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadflow.domain.events import Occurrence, Trigger
from leadflow.domain.fields import Unreadable
from leadflow.domain.records import FirstTouch
from leadflow.rules.model import ClauseResult, Situation
from tests.unit.rules.given import (
    NOW,
    change_situation,
    form_situation,
    make_company,
    make_contact,
    rule_with,
    sale_situation,
    situation_with,
)


def clauses_of(condition: str, values: dict[str, object]) -> list[tuple[str, str, bool, object]]:
    judgement = rule_with(condition).judge(situation_with(values))
    return [(one.path, one.test, one.holds, one.value) for one in judgement.clauses]


def test_every_clause_is_told_though_the_first_one_decides():
    condition = "{all: [{company.name: A}, {any: [{company.domain: b}, {company.owner: c}]}]}"

    assert clauses_of(condition, {"company.owner": "C"}) == [
        ("company.name", "is A", False, None),
        ("company.domain", "is b", False, None),
        ("company.owner", "is c", True, "C"),
    ]


def test_a_clause_under_none_is_told_as_holding_when_it_is_false():
    condition = "{none: [{company.name: A}, {none: [{company.owner: b}]}]}"

    assert clauses_of(condition, {"company.name": "A", "company.owner": "b"}) == [
        ("company.name", "not: is A", False, "A"),
        ("company.owner", "is b", True, "b"),
    ]


@pytest.mark.parametrize(
    ("clause", "words"),
    [
        (
            "{company.category: {in: [Lead, Lost opportunity], or_blank: true}}",
            "is one of Lead, Lost opportunity, or blank",
        ),
        ("{company.category: MQL}", "is Marketing qualified lead"),
        ("{company.category: {in_group: [customer, lost]}}", "is in the group Customer, Lost"),
        ("{company.fields.employees: {gte: 10, lt: 50}}", "is at least 10 and is less than 50"),
        ("{company.fields.employees: {between: [10, 50]}}", "is between 10 and 50"),
        ("{contact.created_at: {older_than: 90 days}}", "is more than 90 days ago"),
        ("{contact.created_at: {on: 2026-03-01}}", "is on 2026-03-01"),
        ("{contact.tags: {has_none: [a, b]}}", "has none of a, b"),
        ("{company.name: {exists: false}}", "is blank"),
        ("{company.name: {same_as: form.company}}", "is the same as form.company"),
        ("{company.name: {contains: '{x}'}}", "contains {x}"),
    ],
)
def test_a_test_is_told_in_words(clause, words):
    assert [test for _, test, _, _ in clauses_of(clause, {})] == [words]


def test_the_form_that_a_rule_asks_for_is_the_first_clause():
    rule = rule_with("{company.name: A}", when="{form_submitted: {form: Demo-Request, form_type: sales}}")
    situation = form_situation({"form": "demo-request", "form_type": "content"})

    assert rule.judge(situation).clauses[:2] == (
        ClauseResult("form.form", "is demo-request", True, "demo-request"),
        ClauseResult("form.form_type", "is sales", False, "content"),
    )


def test_a_change_that_a_rule_asks_for_is_the_first_clause():
    rule = rule_with(
        "{company.name: {exists: false}}",
        when="{record_changed: {contact.lead_status: {from: [Open, blank], to: Qualified}}}",
    )

    judgement = rule.judge(change_situation({"contact.lead_status": (None, "qualified")}))

    assert judgement.holds
    assert judgement.clauses[0] == ClauseResult(
        "contact.lead_status", "changed from Open, blank to Qualified", True, "qualified"
    )


def test_an_occurrence_that_the_rule_does_not_listen_to_does_not_hold():
    rule = rule_with("{company.name: {exists: false}}", when="[{sale: sold}, {sale: lost}]")

    other_step, other_trigger = rule.judge(sale_situation("registered")), rule.judge(form_situation())

    assert not other_step.holds
    assert other_step.clauses[0] == ClauseResult("sale.step", "is sold", False, "registered")
    assert other_trigger.clauses[0] == ClauseResult("trigger", "is sale", False, "form_submitted")
    assert rule.judge(sale_situation("lost")).holds


def test_near_miss_is_exactly_one_false_clause():
    rule = rule_with("{all: [{company.name: A}, {company.owner: b}]}")

    assert rule.judge(situation_with({"company.name": "A"})).is_near_miss
    assert not rule.judge(situation_with({})).is_near_miss


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "condition",
    [
        "{form.budget: {gte: 5}}",
        "{form.budget: {exists: false}}",
        "{none: [{form.budget: {gte: 5}}]}",
        "{any: [{company.name: {exists: false}}, {form.budget: {gte: 5}}]}",
        "{company.fields.employees: {same_as: form.budget}}",
    ],
)
def test_a_value_that_could_not_be_read_is_an_error_and_never_no_match(condition):
    judgement = rule_with(condition).judge(
        situation_with(
            {"form.budget": Unreadable("expected a number, not 'a lot'"), "company.fields.employees": Decimal(5)}
        )
    )

    assert not judgement.holds
    assert not judgement.is_near_miss
    assert judgement.error == "form.budget cannot be read: expected a number, not 'a lot'."


def test_the_other_clauses_are_told_beside_an_error():
    judgement = rule_with("{all: [{form.budget: {gte: 5}}, {company.name: A}]}").judge(
        situation_with({"form.budget": Unreadable("no number"), "company.name": "A"})
    )

    assert [(one.path, one.holds) for one in judgement.clauses] == [("form.budget", False), ("company.name", True)]


def test_an_unreadable_value_that_no_clause_asks_for_does_no_harm():
    judgement = rule_with("{company.name: A}").judge(
        situation_with({"form.budget": Unreadable("no number"), "company.name": "A"})
    )

    assert judgement.holds
    assert judgement.error is None


def test_a_fault_inside_is_an_error_that_names_the_field():
    judgement = rule_with("{company.fields.employees: {gte: 5}}").judge(
        situation_with({"company.fields.employees": "many"})
    )

    assert not judgement.holds
    assert judgement.error is not None
    assert judgement.error.startswith("company.fields.employees could not be judged")


# -- records ----------------------------------------------------------------------------------------------------------


def test_a_record_that_is_not_there_is_blank_in_all_its_fields():
    empty = Situation(Occurrence(Trigger.FORM_SUBMITTED), NOW)

    for path in (
        "company.category",
        "company.first_touch.source",
        "company.fields.employees",
        "company.open_sales",
        "contact.tags",
    ):
        assert rule_with(f"{{{path}: {{exists: false}}}}").judge(empty).holds


def test_first_touch_and_counts_are_read():
    situation = situation_with(
        {
            "company.first_touch": FirstTouch(source="linkedin", at=datetime(2026, 1, 1, tzinfo=UTC)),
            "company.open_sales": 2,
        }
    )

    assert rule_with("{company.first_touch.source: LinkedIn}").judge(situation).holds
    assert rule_with("{company.first_touch.at: {before: 2026-01-02}}").judge(situation).holds
    (clause,) = rule_with("{company.open_sales: {gte: 2}}").judge(situation).clauses
    assert clause.value == Decimal(2)
    assert isinstance(clause.value, Decimal)


def test_the_fields_of_a_sale_are_read_under_its_trigger():
    rule = rule_with("{all: [{sale.amount: {gte: 1000}}, {sale.status: Sold}]}", when="{sale: sold}")

    assert rule.judge(sale_situation("sold", {"amount": Decimal(1000), "status": "sold"})).holds


# -- changes ----------------------------------------------------------------------------------------------------------

CHANGE = "{record_changed: [company.category, company.owner]}"


@pytest.mark.parametrize(
    ("condition", "change", "expected"),
    [
        ("{company.category: {changed: true}}", ("lead", "mql"), True),
        ("{company.category: {changed: false}}", ("lead", "mql"), False),
        ("{company.owner: {changed: false}}", ("lead", "mql"), True),
        ("{company.category: {changed_from: Lead}}", ("lead", "mql"), True),
        ("{company.category: {changed_from: [Lead, blank]}}", (None, "mql"), True),
        ("{company.category: {changed_from: Lead}}", (None, "mql"), False),
        ("{company.category: {changed_to: [MQL, Opportunity]}}", ("lead", "mql"), True),
        ("{company.category: {changed_to: blank}}", ("lead", None), True),
        ("{company.category: {changed_from: Lead, changed_to: Customer}}", ("lead", "mql"), False),
        ("{company.owner: {changed_to: anna}}", ("lead", "mql"), False),
        ("{before.company.category: Lead}", ("lead", "mql"), True),
        ("{before.company.category: {exists: false}}", (None, "mql"), True),
        ("{before.company.category: {same_as: company.category}}", ("lead", "mql"), False),
        ("{company.owner: {same_as: before.company.owner}}", ("lead", "mql"), True),
    ],
)
def test_what_changed_can_be_asked_for(condition, change, expected):
    company = make_company(category=change[1], owner="Anna")

    judgement = rule_with(condition, when=CHANGE).judge(change_situation({"company.category": change}, company=company))

    assert judgement.error is None
    assert judgement.holds is expected


def test_a_change_to_the_same_value_is_no_change():
    situation = change_situation({"company.category": ("lead", "lead")}, company=make_company(category="lead"))

    assert not rule_with("{company.category: Lead}", when=CHANGE).judge(situation).holds


def test_texts_that_changed_compare_case_folded():
    situation = change_situation({"company.owner": ("ANNA", "Bert")}, company=make_company(owner="Bert"))

    assert rule_with("{company.owner: {changed_from: anna, changed_to: BERT}}", when=CHANGE).judge(situation).holds
    assert (
        rule_with("{company.owner: bert}", when="{record_changed: {company.owner: {from: Anna}}}")
        .judge(situation)
        .holds
    )


# -- the tree ---------------------------------------------------------------------------------------------------------

leaves = st.sampled_from(["{company.name: A}", "{company.owner: {is_not: b}}", "{contact.first_name: {exists: true}}"])
trees = st.recursive(
    leaves,
    lambda inner: st.tuples(st.sampled_from(["all", "any", "none"]), st.lists(inner, min_size=1, max_size=3)).map(
        lambda pair: f"{{{pair[0]}: [{', '.join(pair[1])}]}}"
    ),
    max_leaves=6,
)


@given(tree=trees, name=st.sampled_from([None, "a", "x"]), owner=st.sampled_from([None, "B", "x"]))
@settings(max_examples=100, deadline=None)
def test_none_of_any_tree_is_its_complement_and_asks_the_same_clauses(tree, name, owner):
    situation = form_situation(company=make_company(name=name, owner=owner), contact=make_contact())

    plain, negated = rule_with(tree).judge(situation), rule_with(f"{{none: [{tree}]}}").judge(situation)

    assert plain.holds is not negated.holds
    assert [(one.path, not one.holds) for one in plain.clauses] == [(one.path, one.holds) for one in negated.clauses]
