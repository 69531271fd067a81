"""`selection: NAME`: found by slug or title, asked for its own records, in no circle; tested with members."""

from __future__ import annotations

from typing import Any

import pytest

from leadflow.domain.fields import Catalogue, build_catalogue
from leadflow.domain.history import History
from leadflow.domain.selections import Selection
from leadflow.errors import InvalidRequest
from leadflow.rules.conditions import MemberClause, Trace, leaves_of
from leadflow.rules.linting import Setting, lint
from leadflow.rules.model import Rule, Situation
from leadflow.rules.parsing import parse_documents
from leadflow.rules.parsing.json_conditions import Names, read_json_condition
from leadflow.rules.parsing.selections import read_selection
from leadflow.rules.past_asked import past_asked_by
from leadflow.rules.testing.examining import examine
from leadflow.rules.testing.stage import Ground
from tests.unit.rules.given import (
    CUSTOM_FIELDS,
    EVENTS,
    LIFECYCLE,
    NOW,
    STATUSES,
    document_with,
    form_situation,
    make_company,
    make_contact,
)

FAIR = Selection(7, "spring-fair", "Spring fair", "company")
GUESTS = Selection(8, "guests", "Guests", "contact")
PROSPECTS = Selection(9, "prospects", "Prospects", "company", {"company.category": ["Lead", "MQL"]})
STRANGERS = Selection(10, "strangers", "Strangers", "company", {"company.category": {"is_not": "Customer"}})
HOT = Selection(11, "hot", "Hot", "contact", {"all": [{"selection": "prospects"}, {"contact.lead_status": "Open"}]})


def catalogue_with(*selections: Selection) -> Catalogue:
    return build_catalogue(LIFECYCLE, STATUSES, CUSTOM_FIELDS, EVENTS, selections=selections)


CATALOGUE = catalogue_with(FAIR, GUESTS, PROSPECTS, STRANGERS, HOT)


def rule_with(condition: str, when: str = "{form_submitted: any}", catalogue: Catalogue = CATALOGUE) -> Rule:
    parsed = parse_documents({"a.yaml": document_with(condition, when)}, catalogue)
    assert not parsed.problems, parsed.problems
    return parsed.rule_set.rules[0]


def problem_of(condition: str, catalogue: Catalogue) -> tuple[str, str]:
    (problem,) = parse_documents({"a.yaml": document_with(condition)}, catalogue).problems
    return problem.code, problem.message


def holds(rule: Rule, situation: Situation) -> bool:
    assert rule.condition is not None
    return rule.condition.compile()(situation, Trace())


@pytest.mark.parametrize("name", ["prospects", "Prospects", "PROSPECTS", "' prospects '"])
def test_a_selection_is_found_by_its_slug_and_its_title(name: str) -> None:
    rule = rule_with(f"{{selection: {name}}}")

    assert holds(rule, form_situation({}, company=make_company(category="lead"), contact=make_contact()))
    assert not holds(rule, form_situation({}, company=make_company(category="customer"), contact=make_contact()))


def test_an_unknown_selection_is_told_with_the_nearest_title() -> None:
    parsed = parse_documents({"a.yaml": document_with("{selection: Sprng fair}")}, CATALOGUE)

    (problem,) = parsed.problems
    assert (problem.code, problem.suggestion) == ("unknown-selection", "Spring fair")
    assert (problem.line, problem.column) == (6, 21)


def test_members_are_what_the_history_has_of_them() -> None:
    rule, company = rule_with("{selection: spring-fair}"), make_company()
    history = History()
    situation = form_situation({}, company=company, contact=make_contact(), history=history)

    assert not holds(rule, situation)
    history.note_member(GUESTS.id, company.id)
    assert not holds(rule, situation)
    history.note_member(FAIR.id, company.id)
    assert holds(rule, situation)
    assert past_asked_by([rule.condition]).selections == {("company", FAIR.id)}


def test_a_trace_shows_the_clauses_of_a_search_and_whether_a_record_is_a_member() -> None:
    rule = rule_with("{all: [{selection: hot}, {none: [{selection: guests}]}]}")

    judged = rule.judge(form_situation({}, company=make_company(category="mql"), contact=make_contact()))

    assert [(one.path, one.test, one.holds) for one in judged.clauses] == [
        ("company.category", "is one of Lead, Marketing qualified lead", True),
        ("contact.lead_status", "is Open", False),
        ("selection(guests)", "not: includes the contact", True),
    ]


def test_a_contact_without_a_company_is_in_no_selection_of_companies() -> None:
    """Though nobody is not a customer either: blanks satisfy what the selection asks for."""
    rule, nobody = rule_with("{selection: strangers}"), form_situation({}, contact=make_contact())

    assert not holds(rule, nobody)
    assert holds(rule_with("{none: [{selection: strangers}]}"), nobody)
    company = make_company(category="lead", created_at=NOW)
    assert holds(rule, form_situation({}, company=company, contact=make_contact()))


def test_a_search_that_asks_for_something_gets_no_clause_beside_its_own() -> None:
    assert len(list(leaves_of(rule_with("{selection: prospects}").condition))) == 1
    assert len(list(leaves_of(rule_with("{selection: strangers}").condition))) == 2


COMPANIES = "{schedule: {every: day, for_each: company}}"


@pytest.mark.parametrize("name", ["Hot", "Guests"])
def test_where_companies_are_asked_about_there_are_no_selections_of_contacts(name: str) -> None:
    text = document_with(f"{{selection: {name}}}", COMPANIES, then="[{add_tag: {tag: x, of: company}}]")
    text = text.rstrip() + "\n    limit: {once_per: company}\n"

    (problem,) = parse_documents({"a.yaml": text}, CATALOGUE).problems

    assert problem.code == "unavailable-field"
    assert problem.message == f"the selection '{name}' is one of contacts, and there is no contact here"


def test_a_segment_that_names_a_selection_of_contacts_is_told_where_a_rule_of_companies_asks_for_it() -> None:
    text = document_with("{segment: warm}", COMPANIES, then="[{add_tag: {tag: x, of: company}}]")
    text = text.rstrip() + "\n    limit: {once_per: company}\nsegments: {warm: {selection: hot}}\n"

    (problem,) = parse_documents({"a.yaml": text}, CATALOGUE).problems

    assert problem.code == "unavailable-field"
    assert "the segment 'warm' asks for the selection 'Hot'" in problem.message


def test_a_circle_of_selections_is_told_at_the_place_that_closes_it() -> None:
    one = Selection(1, "one", "One", "contact", {"any": [{"contact.tags": "x"}, {"selection": "two"}]})
    two = Selection(2, "two", "Two", "contact", {"none": [{"selection": "One"}]})
    known = catalogue_with(one, two)

    with pytest.raises(InvalidRequest) as refusal:
        read_selection(one, known)

    (fault,) = refusal.value.faults
    assert (fault.location, fault.message) == (
        "/where/any/1/selection",
        "these selections ask for each other in a circle: One → Two → One",
    )
    assert problem_of("{selection: two}", known)[0] == "selection-circle"


def test_selections_go_eight_levels_deep_and_no_further() -> None:
    chain = [Selection(n, f"s{n}", f"S {n}", "contact", {"selection": f"s{n + 1}"}) for n in range(1, 9)]
    last = Selection(9, "s9", "S 9", "contact", {"contact.tags": "x"})
    known = catalogue_with(*chain, last)

    assert rule_with("{selection: s2}", catalogue=known)
    assert problem_of("{selection: s1}", known)[0] == "too-deep"


def test_a_selection_asks_for_no_segment() -> None:
    broken = Selection(1, "broken", "Broken", "contact", {"segment": "open_prospect"})

    code, message = problem_of("{selection: broken}", catalogue_with(broken))

    assert code == "broken-selection"
    assert message.startswith("the selection 'Broken' cannot be read: a selection asks for no segment")


def test_a_selection_means_the_same_days_wherever_it_is_asked_for() -> None:
    auckland = Selection(
        1, "new", "New", "company", {"company.created_at": {"after": "2026-06-14"}}, "Pacific/Auckland"
    )
    known = catalogue_with(auckland)
    in_oslo = (
        parse_documents({"a.yaml": document_with("{selection: new}", zone="Europe/Oslo")}, known)
        .rule_set.rules[0]
        .condition
    )
    searched = read_json_condition({"selection": "new"}, known, frozenset({"company", "contact"}), Names())

    assert {leaf.words for leaf in leaves_of(in_oslo)} == {leaf.words for leaf in leaves_of(searched)}
    assert [one.zone.key for one in leaves_of(searched)] == ["Pacific/Auckland"]  # type: ignore[union-attr]


def test_a_search_takes_selections_as_rules_do() -> None:
    found = read_json_condition({"selection": "Spring Fair"}, CATALOGUE, frozenset({"company"}), Names())

    assert list(leaves_of(found)) == [MemberClause("company", 7, "spring-fair", "Spring fair")]
    with pytest.raises(InvalidRequest) as refusal:
        read_json_condition({"all": [{"selection": "hot"}]}, CATALOGUE, frozenset({"company"}), Names())
    assert refusal.value.faults[0].location == "/where/all/0/selection"


TESTED = """
leadflow: 1
rules:
  - rule: invite
    status: live
    when: {form_submitted: any}
    if: {all: [{selection: spring-fair}, {none: [{selection: guests}]}]}
    then: [{add_tag: invited}]
    tests:
      - {test: in the fair, given: {selections: [Spring fair]}, expect: {fires: true}}
      - {test: not there, given: {company: {name: Nord}}, expect: {fires: false, because: selection(spring-fair)}}
      - {test: a guest, given: {selections: [spring-fair, guests]}, expect: {fires: false, because: selection}}
"""


def test_a_test_of_a_rule_says_whose_members_its_records_are() -> None:
    parsed = parse_documents({"a.yaml": TESTED}, CATALOGUE)
    assert not parsed.problems

    report = examine(parsed.rule_set.rules, parsed.tests, Ground(LIFECYCLE, STATUSES, CATALOGUE))

    assert not report.failed
    assert {one.name for one in report.named} == {"selection Spring fair", "selection Guests"}
    for one in report.named:
        assert all(clause.seen_true and clause.seen_false for clause in one.seen.clauses)
        assert one.seen.mutants == 1
        assert not one.seen.survivors


@pytest.mark.parametrize(
    ("name", "code"), [("prospects", "wrong-kind"), ("nobody", "unknown-selection"), ("''", "empty-value")]
)
def test_only_a_static_selection_has_members_to_give(name: str, code: str) -> None:
    text = TESTED.replace("given: {selections: [Spring fair]}", f"given: {{selections: [{name}]}}")

    assert [one.code for one in parse_documents({"a.yaml": text}, CATALOGUE).problems] == [code]


def lint_of(condition: str) -> list[Any]:
    documents = {"a.yaml": document_with(condition)}
    parsed = parse_documents(documents, CATALOGUE)
    setting = Setting(CATALOGUE, LIFECYCLE, NOW)
    return [one.code for one in lint(parsed.rule_set, documents, setting)]


def test_checks_know_that_nobody_is_a_member_and_not_a_member() -> None:
    assert "never-true" in lint_of("{all: [{selection: guests}, {none: [{selection: guests}]}]}")
    assert "implied" in lint_of("{all: [{selection: guests}, {any: [{selection: guests}, {contact.tags: x}]}]}")
    assert lint_of("{all: [{selection: guests}, {selection: spring-fair}]}") == []
    assert "never-true" in lint_of("{all: [{selection: prospects}, {company.category: Customer}]}")
