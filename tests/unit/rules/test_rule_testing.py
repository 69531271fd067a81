"""Tests of rules: how they are read, played and compared, and what they say about themselves."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from leadflow.domain.fields import CustomField, Kind, build_catalogue
from leadflow.rules import testing
from leadflow.rules.parsing import ParsedRules, parse_documents
from leadflow.rules.problems import Problem, render_text
from leadflow.rules.testing.examining import Report, examine
from leadflow.rules.testing.rendering import render_report_json, render_report_junit, render_report_text
from leadflow.rules.testing.running import TestResult, failing_tests, run_test
from leadflow.rules.testing.stage import Ground
from tests.unit.rules.given import CUSTOM_FIELDS, LIFECYCLE, STATUSES

EVENTS = {"webinar_attended": "Attended a webinar", "email_opened": "Opened an e-mail"}
MINUTES = CustomField("event", "minutes", Kind.NUMBER, "Minutes attended")
CATALOGUE = build_catalogue(LIFECYCLE, STATUSES, (*CUSTOM_FIELDS, MINUTES), EVENTS)
GROUND = Ground(LIFECYCLE, STATUSES, CATALOGUE)

DEMO = "{form_submitted: {form: demo-request}}"
TO_MQL = "[{set_category: {to: MQL}}]"


def document_of(tests: str, condition: str = "", when: str = DEMO, then: str = TO_MQL, more: str = "") -> str:
    lines = [f"    if: {condition}\n" if condition else "", f"    {more}\n" if more else ""]
    return (
        f"leadflow: 1\nrules:\n  - rule: tested\n    when: {when}\n{''.join(lines)}    then: {then}\n"
        f"    tests:\n      - {tests}\n"
    )


def parse(*documents: str) -> ParsedRules:
    """Documents that must have no problems; each after the first is one of tests."""
    names = ["rules.yaml", *(f"{number}.test.yaml" for number in range(1, len(documents)))]
    parsed = parse_documents(dict(zip(names, documents, strict=True)), CATALOGUE)
    assert not parsed.problems, render_text(parsed.problems)
    return parsed


def results_of(tests: str, *more: str, **rule: str) -> list[TestResult]:
    parsed = parse(document_of(tests, *more, **rule))
    (tested,) = parsed.rule_set.rules
    return [run_test(tested, test, GROUND) for test in parsed.tests]


def result_of(tests: str, *more: str, **rule: str) -> TestResult:
    (result,) = results_of(tests, *more, **rule)
    return result


def passes(tests: str, *more: str, **rule: str) -> bool:
    result = result_of(tests, *more, **rule)
    return result.is_ok


def problems_in(tests: str, *more: str, **rule: str) -> list[Problem]:
    return list(parse_documents({"rules.yaml": document_of(tests, *more, **rule)}, CATALOGUE).problems)


def examined(document: str) -> Report:
    parsed = parse(document)
    return examine(parsed.rule_set.rules, parsed.tests, GROUND)


def survivors_of(document: str) -> set[str]:
    (rule,) = examined(document).rules
    return {f"{one.path}: {one.change}" for one in rule.seen.survivors}


# What is expected -----------------------------------------------------------------------------------------------------

LEAD = "given: {company: {category: Lead}}"


@pytest.mark.parametrize(
    "expected",
    [
        "{fires: true}",
        "{outcome: fired}",
        "{company: {category: Marketing qualified lead}}",
        "{company: {category: mql}}",
        "{company: {category: MQL}, contact: {lead_status: Open}}",
        "{company: {category: {in: [MQL, Opportunity]}}}",
        "{company: {category: {is_not: Lead}}}",
        "{tasks: none, messages: []}",
    ],
)
def test_what_came_is_what_was_expected(expected):
    assert passes(f"{{test: t, {LEAD}, expect: {expected}}}")


@pytest.mark.parametrize(
    ("expected", "fault"),
    [
        ("{fires: false}", "expected that the rule does not fire, but the rule fired"),
        ("{outcome: no_match}", "expected the outcome no_match, but the rule fired"),
        ("{because: company.category}", "expected that it does not fire because of company.category, but it fired"),
        (
            "{company: {category: Opportunity}}",
            "expected company.category to be Opportunity, but it is Marketing qualified lead",
        ),
        ("{contact: {lead_status: blank}}", "expected contact.lead_status to be blank, but it is Open"),
        (
            "{company: {category: {is: Lead}}}",
            "expected that company.category is Lead, but it is Marketing qualified lead",
        ),
        ("{tasks: [Call]}", "expected the tasks “Call”, but there are none"),
        ("{messages: [sales]}", "expected the messages “sales”, but there are none"),
    ],
)
def test_a_difference_is_told_in_a_sentence(expected, fault):
    assert result_of(f"{{test: t, {LEAD}, expect: {expected}}}").faults == (fault,)


def test_every_difference_is_told_at_once():
    result = result_of(f"{{test: t, {LEAD}, expect: {{fires: false, company: {{category: Lead}}, tasks: [a]}}}}")

    assert len(result.faults) == 3


@pytest.mark.parametrize("because", ["company.category", "[company.category, contact.tags]"])
def test_because_names_the_clauses_that_are_false(because):
    condition = "{all: [{company.category: Lead}, {contact.tags: {has: vip}}, {company.name: Nordwind}]}"
    given = "given: {company: {category: Customer, name: Nordwind}}"

    assert passes(f"{{test: t, {given}, expect: {{fires: false, because: {because}}}}}", condition)
    assert not passes(f"{{test: t, {given}, expect: {{fires: false, because: company.name}}}}", condition)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("{company: {category: Customer}}", "automation never takes a company out of that group"),
        ("{company: {category: Lead, do_not_automate: true}}", "do not automate"),
        ("{company: none}", "no company"),
    ],
)
def test_because_has_words_of_the_guards_reason(given, reason):
    test = f"{{test: t, given: {given}, expect: {{outcome: blocked_by_guard, because: {reason}}}}}"

    assert passes(test)
    assert not passes(test.replace(reason, "something else"))


def test_lists_compare_as_sets_and_text_in_any_case():
    then = "[{add_tag: VIP}, {add_tag: {tag: demo, of: company}}]"

    assert passes("{test: t, given: {contact: {tags: [b, a]}}, expect: {contact: {tags: [vip, A, b]}}}", then=then)
    assert not passes("{test: t, given: {contact: {tags: [b, a]}}, expect: {contact: {tags: [a, b]}}}", then=then)


# What is given --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "given"),
    [
        ("{company.fields.employees: {gte: 20}}", "{company: {fields: {employees: 20}}}"),
        ("{company.fields.employees: {gte: 20}}", "{company: {employees: 20}}"),
        ("{company.fields.employees: {gte: 20}}", "{company: {fields.employees: 20}}"),
        ("{company.first_touch.source: google}", "{company: {first_touch: {source: Google}}}"),
        ("{company.open_sales: {is: 2}}", "{company: {open_sales: 2}}"),
        ("{company.tags: {has_all: [a, b]}}", "{company: {tags: [a, b]}}"),
        ("{company.fields.founded: {older_than: 10 days}}", "{company: {founded: 12 days ago}}"),
        ("{contact.last_name: Berg}", "{contact: {last_name: Berg}}"),
        ("{contact.created_at: {older_than: 30 days}}", "{contact: {created_at: 31 days ago}}"),
        ("{contact.created_at: {after: 2026-01-16}}", "{contact: {created_at: in 2 days}}"),
        ("{contact.created_at: {on: 2026-01-02}}", "{contact: {created_at: 2026-01-02T10:00:00Z}}"),
        ("{contact.email: {domain_in: [nordwind.example]}}", "{contact: {email: Anna@Nordwind.example}}"),
        ("{contact.fields.interests: {has: golf}}", "{contact: {interests: golf}}"),
        ("{company.name: {exists: false}}", "{company: {name: blank}}"),
        ("{company.name: {exists: false}}", "{company: {name: ~}}"),
        ("{contact.first_name: {exists: false}}", "{contact: none}"),
    ],
)
def test_given_values_are_read_by_the_kind_of_their_field(condition, given):
    then = "[{create_task: Look}]"

    assert passes(f"{{test: t, given: {given}, expect: {{fires: true}}}}", condition, then=then)
    assert passes(f"{{test: t, given: {{}}, expect: {{fires: {is_default(condition)}}}}}", condition, then=then)


def is_default(condition: str) -> str:
    """Whether the condition holds for records of which nothing is said."""
    return str("exists: false" in condition).lower()


def test_a_contact_under_an_enabled_category_has_the_default_status():
    condition, then = "{contact.lead_status: Open}", "[{create_task: Look}]"

    assert passes(f"{{test: t, {LEAD}, expect: {{fires: true}}}}", condition, then=then)
    assert passes("{test: t, given: {company: {category: Customer}}, expect: {fires: false}}", condition, then=then)
    blank = "given: {company: {category: Lead}, contact: {lead_status: blank}}"
    assert passes(f"{{test: t, {blank}, expect: {{fires: false}}}}", condition, then=then)


def test_the_form_fills_in_the_name_and_touches_the_contact():
    condition = "{all: [{contact.first_name: Anna}, {contact.last_touched_at: {within_last: 1 hour}}]}"
    event = "event: {form_submitted: {form: demo-request, first_name: Anna}}"
    given = "given: {company: {category: Lead}, contact: {last_touched_at: 91 days ago}}"

    assert passes(f"{{test: t, {given}, {event}, expect: {{fires: true}}}}", condition)


@pytest.mark.parametrize(
    ("entry", "condition"),
    [
        ("{ago: 10 days, form_submitted: {form_type: content}}", "{of: form_submitted, where: {form_type: content}}"),
        ("{ago: 10 days, form_submitted: any}", "{of: form_submitted}"),
        (
            "{ago: 10 days, event: {name: webinar_attended, minutes: 40}}",
            "{of: webinar_attended, where: {minutes: 40}}",
        ),
        ("{ago: 10 days, event: Webinar_Attended}", "{of: webinar_attended}"),
        ("{ago: 10 days, sale: lost}", "{of: sale, where: {status: lost}}"),
        ("{ago: 10 days, sale: {step: sold, amount: 100}}", "{of: sale, where: {amount: {gte: 100}}}"),
        ("{at: 2026-01-05, sale: lost}", "{of: sale}"),
        ("{ago: 10 days, sale: lost, by: colleague}", "{of: sale, by: company}"),
        ("{ago: 10 days, sale: lost, by: company}", "{of: sale, by: company}"),
    ],
)
def test_events_of_the_past_are_counted(entry, condition):
    counted = f"{{event_count: {condition[:-1]}, within_last: 30 days, gte: 1}}}}"
    when, then = "{manual: contact}", "[{create_task: Look}]"

    assert passes(f"{{test: t, given: {{history: [{entry}]}}, expect: {{fires: true}}}}", counted, when, then)
    assert passes("{test: t, expect: {fires: false, because: event_count}}", counted, when, then)


def test_what_a_colleague_did_is_not_the_contacts():
    counted = "{event_count: {of: sale, by: contact, gte: 1}}"
    test = "{test: t, given: {history: [{ago: 1 day, sale: lost, by: colleague}]}, expect: {fires: false}}"

    assert passes(test, counted, "{manual: contact}")


def test_the_event_itself_is_counted():
    assert passes(f"{{test: t, {LEAD}, expect: {{fires: true}}}}", "{event_count: {of: form_submitted, is: 1}}")


def test_changes_of_the_past_are_found():
    condition = "{last_change: {field: contact.lead_status, to: Re-nurture, older_than: 90 days}}"
    entry = "{ago: %s, changed: {contact.lead_status: {from: Open, to: %s}}}"

    def fires(*entries: tuple[str, str]) -> str:
        history = ", ".join(entry % one for one in entries)
        return result_of(f"{{test: t, given: {{history: [{history}]}}, expect: {{fires: true}}}}", condition).outcome

    assert fires(("91 days", "Re-nurture")) != "no_match"
    assert fires(("90 days", "Re-nurture")) == "no_match"
    assert fires(("91 days", "Contacting")) == "no_match"
    assert fires(("91 days", "Re-nurture"), ("1 day", "Re-nurture")) == "no_match"


@pytest.mark.parametrize(
    ("limit", "history", "outcome"),
    [
        ("{once_per: company, within: 7 days}", "[{ago: 6 days, fired: true}]", "limited"),
        ("{once_per: company, within: 7 days}", "[{ago: 7 days, fired: true}]", "fired"),
        ("{once_per: contact}", "[{ago: 900 days, fired: true}]", "limited"),
        ("{once_per: contact}", "[{ago: 900 days, fired: false}]", "fired"),
    ],
)
def test_a_limit_counts_when_the_rule_acted(limit, history, outcome):
    given = f"given: {{company: {{category: Lead}}, history: {history}}}"

    assert passes(f"{{test: t, {given}, expect: {{outcome: {outcome}}}}}", more=f"limit: {limit}")


def test_all_contacts_of_the_company_are_acted_on():
    then = "[{set_lead_status: {to: Contacting, of: all_contacts}}]"
    given = "given: {company: {category: Lead}, contact: {lead_status: Contacting}, colleagues: [{lead_status: Open}]}"

    assert passes(f"{{test: t, {given}, expect: {{outcome: fired}}}}", then=then)


# What happens ---------------------------------------------------------------------------------------------------------

EVERY_TRIGGER = [
    ("{form_submitted: any}", ""),
    ("{form_submitted: {form_type: content}}", ""),
    ("{form_submitted: {form: a}}", "event: {form_submitted: {form: A}},"),
    ("{event: {name: webinar_attended}}", ""),
    ("{event: {name: webinar_attended}}", "event: {event: {name: Webinar_attended, minutes: 3}},"),
    ("{sale: sold}", ""),
    ("{sale: sold}", "event: {sale: sold},"),
    ("{sale: lost}", "event: {sale: {step: lost, amount: 5}},"),
    ("{record_created: contact}", ""),
    ("{record_created: company}", "event: {record_created: company},"),
    ("{record_changed: [company.owner]}", "event: {record_changed: {company.owner: anna}},"),
    ("{manual: company}", ""),
    ("{manual: contact}", "event: {manual: {record: contact, name: Anna, role: admin}},"),
]


@pytest.mark.parametrize(("when", "event"), EVERY_TRIGGER)
def test_every_trigger_can_be_tested(when, event):
    assert passes(f"{{test: t, {LEAD}, {event} expect: {{fires: true}}}}", when=when)


@pytest.mark.parametrize("for_each", ["contact", "company"])
def test_a_schedule_is_due(for_each):
    when = f"{{schedule: {{every: day, for_each: {for_each}}}}}"
    limit = f"limit: {{once_per: {for_each}}}"

    assert passes(f"{{test: t, {LEAD}, expect: {{fires: true}}}}", when=when, more=limit)
    assert passes(f"{{test: t, {LEAD}, event: {{schedule: due}}, expect: {{fires: true}}}}", when=when, more=limit)


@pytest.mark.parametrize("event", ["{sale: sold}", "{form_submitted: {form: other}}", "{manual: company}"])
def test_an_event_that_the_rule_does_not_listen_to_does_not_fire_it(event):
    assert passes(f"{{test: t, {LEAD}, event: {event}, expect: {{fires: false, outcome: no_match}}}}")


def test_a_change_is_made_before_the_rule_is_tried():
    when = "{record_changed: {contact.lead_status: {from: Open, to: Qualified}}}"
    condition = "{all: [{contact.lead_status: Qualified}, {before.contact.lead_status: Open}]}"
    event = "event: {record_changed: {contact.lead_status: %s}}"

    for change in ("Qualified", "{from: Open, to: Qualified}", "{to: Qualified}"):
        assert passes(f"{{test: t, {LEAD}, {event % change}, expect: {{fires: true}}}}", condition, when)
    assert passes(
        f"{{test: t, {LEAD}, {event % '{from: Contacting, to: Qualified}'}, expect: {{fires: false}}}}", condition, when
    )


def test_imports_and_other_rules_call_a_rule_only_if_it_says_so():
    when, event = "{record_changed: [company.owner]}", "event: {record_changed: {company.owner: anna}, %s}"

    def test(beside: str, because: str) -> str:
        return f"{{test: t, {LEAD}, {event % beside}, expect: {{fires: false, because: {because}}}}}"

    assert passes(test("import: true", "include_import"), when=when)
    assert passes(test("by_rule: other", "also_from_rules"), when=when)
    fires = f"{{test: t, {LEAD}, {event % 'import: true'}, expect: {{fires: true}}}}"
    assert passes(fires, when=when, more="include_import: true")
    fires = f"{{test: t, {LEAD}, {event % 'by_rule: other'}, expect: {{fires: true}}}}"
    assert passes(fires, when=when, more="also_from_rules: true")


@pytest.mark.parametrize(
    ("now", "because"), [("2026-02-28T23:59:00Z", "starts"), ("2026-04-01", "ends"), ("2026-03-31T23:59:00Z", None)]
)
def test_a_rule_has_its_dates(now, because):
    expect = f"{{fires: false, because: {because}}}" if because else "{fires: true}"
    test = f"{{test: t, now: {now}, {LEAD}, expect: {expect}}}"

    assert passes(test, more="starts: 2026-03-01\n    ends: 2026-03-31")


def test_now_is_a_thursday_in_working_hours_unless_told():
    hours = "{now: {weekday_in: [thu], between: ['10:00', '10:00']}}"

    assert passes(f"{{test: t, {LEAD}, expect: {{fires: true}}}}", hours)
    assert passes(f"{{test: t, now: 2026-01-17 10:00, {LEAD}, expect: {{fires: false, because: now}}}}", hours)


def test_the_status_of_the_rule_plays_no_part():
    for status in ("draft", "shadow", "propose", "live", "off"):
        assert passes(f"{{test: t, {LEAD}, expect: {{outcome: fired}}}}", more=f"status: {status}")


def test_a_text_that_comes_out_blank_is_an_error():
    then = "[{add_tag: '{{ contact.first_name | default(\"x\") }}'}, {add_tag: '{{ form.phone }}'}]"
    condition = "{any: [{form.phone: {exists: true}}, {company.category: Lead}]}"
    problems = problems_in(f"{{test: t, {LEAD}, expect: {{outcome: error}}}}", condition, then=then)

    assert [one.code for one in problems] == ["bad-template"]  # what may be blank is seen before it happens


def test_messages_name_their_channels_and_endpoints():
    then = "[{notify: {to: sales, text: Look}}, {webhook: {endpoint: crm}}]"

    assert passes("{test: t, expect: {messages: [crm, sales]}}", then=then)


# Turns and waits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "owner"),
    [
        ("{turn: 0}", "anna"),
        ("{turn: 1}", "bert"),
        ("{turn: 5}", "cleo"),
        ("{turn: 1, company: {owner: Cleo}}", "Cleo"),
        ("{turn: 1, company: {owner: somebody else}}", "bert"),
    ],
)
def test_a_round_robin_takes_turns(given, owner):
    then = "[{assign_owner: {round_robin: [anna, bert, cleo]}}]"

    assert passes(f"{{test: t, given: {given}, expect: {{company: {{owner: {owner}}}}}}}", then=then)


WAITS = "[{add_tag: asked}, {wait: 3 days}, {create_task: Ask again}, {wait: 2 days}, {create_task: Give up}]"
STILL_OPEN = "{contact.lead_status: Open}"


def later(*steps: str, expect: str = "{outcome: waiting, tasks: none}") -> str:
    return f"{{test: t, {LEAD}, expect: {expect}, later: [{', '.join(steps)}]}}"


@pytest.mark.parametrize(
    "steps",
    [
        ["{after: 2 days, expect: {outcome: waiting, tasks: none}}"],
        ["{after: 3 days, expect: {outcome: waiting, tasks: [Ask again]}}"],
        ["{after: 5 days, expect: {outcome: fired, tasks: [Ask again, Give up]}}"],
        [
            "{after: 3 days, expect: {tasks: [Ask again]}}",
            "{after: 4 days, expect: {tasks: none}}",
            "{after: 5 days, expect: {outcome: fired, tasks: [Give up]}}",
            "{after: 9 days, expect: {outcome: no_match, tasks: none}}",
        ],
        [
            "{after: 3 days, meanwhile: {contact: {lead_status: Contacting}}, "
            "expect: {outcome: no_match, because: contact.lead_status, tasks: none}}"
        ],
        ["{after: 3 days, expect: {contact: {tags: [asked]}}}"],
    ],
)
def test_a_rule_goes_on_after_its_waits(steps):
    assert passes(later(*steps), STILL_OPEN, then=WAITS)


def test_what_comes_after_a_wait_is_told_with_its_time():
    result = result_of(later("{after: 3 days, expect: {tasks: [Something else]}}"), STILL_OPEN, then=WAITS)

    assert result.faults == ("after 3 days: expected the tasks “Something else”, but there are “Ask again”",)


# Tables ---------------------------------------------------------------------------------------------------------------


def test_a_table_has_a_test_for_each_row():
    table = """table: who moves
        event: {form_submitted: {form: demo-request, country: "NO"}}
        columns: [company.category, company.tags, form.country, now, fires, because, expect.company.category]
        rows:
          - [Lead, [a, b], blank, 2026-03-01, true, none, MQL]
          - [Customer, blank, SE, 2026-03-02, false, company.category, Customer]"""
    results = results_of(table, "{company.category: {in: [Lead]}}")

    assert [one.is_ok for one in results] == [True, True]
    assert [one.test.name for one in results] == [
        "who moves, row 1: Lead, [a, b], blank, 2026-03-01, true, none, MQL",
        "who moves, row 2: Customer, blank, SE, 2026-03-02, false, company.category, Customer",
    ]
    assert [one.test.place.line for one in results] == [12, 13]
    assert [dict(one.test.said) for one in results] == [{"form.country": None}, {"form.country": "SE"}]


def test_a_row_of_a_table_fails_by_itself():
    table = "{table: t, columns: [company.category, fires], rows: [[Lead, true], [Customer, true], [blank, true]]}"

    assert [one.is_ok for one in results_of(table, "{company.category: {exists: true}}")] == [True, False, False]


# Documents of tests ---------------------------------------------------------------------------------------------------

RULES = """leadflow: 1
settings: {timezone: Asia/Tokyo}
rules:
  - {rule: by-day, when: {form_submitted: any}, if: {now: {weekday_in: [mon]}}, then: [{create_task: Look}]}
"""


def test_tests_beside_the_rules_name_their_rule():
    parsed = parse(RULES, "leadflow: 1\ntests: [{test: t, rule: by-day, now: 2026-03-02, expect: {fires: true}}]")
    (rule,), (test,) = parsed.rule_set.rules, parsed.tests

    assert run_test(rule, test, GROUND).is_ok
    assert test.place.file == "1.test.yaml"


def test_plain_times_are_in_the_zone_of_the_rule_or_of_the_tests_own_document():
    # It is Monday 00:00 in Tokyo while it is Sunday in Oslo.
    test = "tests: [{test: t, rule: by-day, now: 2026-03-02 00:00, expect: {fires: %s}}]"
    here = parse(RULES, f"leadflow: 1\n{test % 'true'}")
    there = parse(RULES, f"leadflow: 1\nsettings: {{timezone: Pacific/Honolulu}}\n{test % 'true'}")

    assert here.tests[0].now.isoformat() == "2026-03-01T15:00:00+00:00"
    assert there.tests[0].now.isoformat() == "2026-03-02T10:00:00+00:00"


def test_tests_may_be_passed_over():
    documents = {"a.yaml": document_of("{test: t, given: {company: {category: Leed}}, expect: {}}")}
    parsed = parse_documents(documents, CATALOGUE, with_tests=False)

    assert parsed.tests == ()
    assert parsed.problems == ()


# Mistakes in tests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("test", "code", "part"),
    [
        ("{test: t}", "missing-key", "{test"),
        ("{test: t, expect: {}}", "empty-value", "{}}"),
        ("{test: t, expect: {fire: true}}", "unknown-key", "fire:"),
        ("{test: t, rule: other, expect: {fires: true}}", "unknown-key", "rule:"),
        ("{test: t, expect: {fires: maybe}}", "unreadable-value", "maybe"),
        ("{test: t, expect: {outcome: shadow}}", "unknown-value", "shadow"),
        ("{test: t, given: {company: {category: Leed}}, expect: {fires: true}}", "unknown-value", "Leed"),
        ("{test: t, given: {company: {categry: Lead}}, expect: {fires: true}}", "unknown-field", "categry"),
        ("{test: t, given: {company: {employees: many}}, expect: {fires: true}}", "unreadable-value", "many"),
        ("{test: t, given: {company: {open_sales: 1.5}}, expect: {fires: true}}", "unreadable-value", "1.5"),
        ("{test: t, given: {company: {open_sales: -1}}, expect: {fires: true}}", "unreadable-value", "-1"),
        ("{test: t, given: {company: Lead}, expect: {fires: true}}", "wrong-type", "Lead"),
        ("{test: t, given: {contact: {created_at: 3 months ago}}, expect: {fires: true}}", "unreadable-value", "3 mo"),
        ("{test: t, given: {history: [{ago: 1 day}]}, expect: {fires: true}}", "wrong-keys", "{ago"),
        ("{test: t, given: {history: [{sale: sold}]}, expect: {fires: true}}", "wrong-keys", "{sale"),
        ("{test: t, given: {history: [{ago: 1 day, sale: lst}]}, expect: {fires: true}}", "unknown-value", "lst"),
        ("{test: t, given: {history: [{ago: 1 day, event: x}]}, expect: {fires: true}}", "unknown-event", "x}"),
        (
            "{test: t, given: {history: [{ago: 1 day, changed: {company.name: a}}]}, expect: {fires: true}}",
            "wrong-kind",
            "company.name",
        ),
        ("{test: t, given: {company: none, colleagues: [{}]}, expect: {fires: true}}", "no-company", "[{}]"),
        ("{test: t, given: {turn: -1}, expect: {fires: true}}", "unreadable-value", "-1"),
        ("{test: t, event: {form: x}, expect: {fires: true}}", "unknown-key", "form:"),
        ("{test: t, event: {sale: sold, manual: contact}, expect: {fires: true}}", "wrong-keys", "{sale"),
        ("{test: t, event: {sale: {amount: 1}}, expect: {fires: true}}", "missing-key", "{amount"),
        ("{test: t, event: {schedule: now}, expect: {fires: true}}", "unknown-value", "now"),
        ("{test: t, now: tomorrow, expect: {fires: true}}", "unreadable-value", "tomorrow"),
        ("{test: t, now: 0001-01-01, expect: {fires: true}}", "unreadable-value", "0001-01-01"),
        ("{test: t, expect: {company: {category: {older_than: 1 day}}}}", "wrong-operator", "older_than"),
        ("{test: t, expect: {fires: true}, later: [{after: 1 day}]}", "missing-key", "{after"),
        ("{table: t, columns: [fires], rows: [[true, 1]]}", "wrong-type", "[true, 1]"),
        ("{table: t, columns: [company.category], rows: [[Lead]]}", "missing-key", "[company.category]"),
        ("{table: t, columns: [firs], rows: [[true]]}", "unknown-column", "firs"),
        ("{table: t, columns: [company.nam, fires], rows: [[x, true]]}", "unknown-field", "company.nam"),
        ("{table: t, columns: [expect.form.email, fires], rows: [[x, true]]}", "unavailable-field", "expect.form"),
        ("{table: t, columns: [company.category, fires], rows: [[Leed, true]]}", "unknown-value", "Leed"),
        ("just text", "wrong-type", "just text"),
    ],
)
def test_a_mistake_in_a_test_is_told_at_its_place(test, code, part):
    (problem,) = problems_in(test)

    assert problem.code == code
    assert problem.source_line[problem.column - 1 :].startswith(part)


def test_a_rule_that_listens_to_changes_is_told_which():
    (problem,) = problems_in("{test: t, expect: {fires: true}}", when="{record_changed: [company.owner]}")

    assert (problem.code, "record_changed" in problem.message) == ("missing-key", True)


def test_what_the_package_shows_is_read():
    shown = [line[4:] for line in (testing.__doc__ or "").splitlines() if line.startswith("    ")]
    rules = """leadflow: 1
rules:
  - {rule: demo-request-to-mql, when: {form_submitted: {form: demo-request}}, then: [{set_category: MQL}]}
  - rule: remind
    when: {form_submitted: any}
    then: [{wait: 3 days}, {create_task: Remind}]
"""
    parsed = parse(rules, "\n".join(shown))

    assert [one.rule for one in parsed.tests] == ["demo-request-to-mql", "remind", *["demo-request-to-mql"] * 2]


def test_a_test_of_a_rule_that_is_not_there_is_told():
    tests = "leadflow: 1\ntests: [{test: t, rule: by-dya, expect: {fires: true}}]"
    (problem,) = parse_documents({"a.yaml": RULES, "a.test.yaml": tests}, CATALOGUE).problems

    assert (problem.file, problem.code, problem.suggestion) == ("a.test.yaml", "unknown-rule", "by-day")


def test_mistakes_in_a_rule_and_in_its_tests_are_told_together():
    problems = problems_in("{test: t, given: {company: {category: Leed}}, expect: {fires: true}}", "{company.nam: x}")

    assert [one.code for one in problems] == ["unknown-field", "unknown-value"]


WORDS = "test table given event expect columns rows company history fires ago changed form_submitted blank none true ~"
SHARDS = st.sampled_from([*WORDS.split(), "1 day", "Lead", "company.category", "expect.company.category", "2026-03-01"])
TREES = st.recursive(
    SHARDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SHARDS, inner, max_size=3),
    max_leaves=12,
)


@given_any(TREES)
def test_whatever_stands_under_tests_is_read_or_told(tree):
    parsed = parse_documents({"a.yaml": document_of(json.dumps(tree))}, CATALOGUE)

    render_text(parsed.problems).encode()
    for test in parsed.tests:
        run_test(parsed.rule_set.rules[0], test, GROUND)


# Coverage -------------------------------------------------------------------------------------------------------------


def seen_in(report: Report) -> dict[str, tuple[bool, bool]]:
    (rule,) = report.rules
    return {one.path: (one.seen_true, one.seen_false) for one in rule.seen.clauses}


def test_each_clause_is_seen_true_and_false_or_that_is_told():
    table = (
        "{table: t, columns: [company.category, company.name, fires], rows: [[Lead, a, true], [Customer, a, false]]}"
    )
    report = examined(document_of(table, "{all: [{company.category: Lead}, {company.name: a}]}"))

    assert seen_in(report) == {"company.category": (True, True), "company.name": (True, False)}
    assert "never seen false: rules.yaml:5 company.name is a" in render_report_text(report)


def test_a_test_that_does_not_call_the_rule_shows_nothing_about_its_clauses():
    test = f"{{test: t, {LEAD}, event: {{sale: sold}}, expect: {{fires: false}}}}"

    assert seen_in(examined(document_of(test, "{company.category: Lead}"))) == {"company.category": (False, False)}


def test_rules_without_tests_are_named():
    assert examined(RULES).untested == ("by-day",)


def test_clauses_have_their_lines():
    document = f"""leadflow: 1
rules:
  - rule: tested
    when: {DEMO}
    if:
      any:
        - company.category: Lead
        - none:
            - company.category: Customer
            - event_count: {{of: form_submitted, gte: 2}}
    then: {TO_MQL}
    tests: [{{test: t, {LEAD}, expect: {{fires: true}}}}]
"""
    (rule,) = examined(document).rules

    assert [one.line for one in rule.seen.clauses] == [7, 9, 10]


# Mutants --------------------------------------------------------------------------------------------------------------


def table_of(column: str, *rows: str) -> str:
    return (
        f"{{table: t, given: {{company: {{category: Lead}}}}, columns: [{column}, fires], rows: [{', '.join(rows)}]}}"
    )


EMPLOYEES = "company.fields.employees"


@pytest.mark.parametrize(
    ("condition", "rows", "survivors"),
    [
        ("{gte: 10}", "[10, true], [9, false]", []),
        (
            "{gte: 10}",
            "[100, true], [1, false]",
            ["is at least 10 → is more than 10", "is at least 10 → is at least 9"],
        ),
        ("{gt: 10}", "[11, true], [10, false]", []),
        ("{lt: 10}", "[9, true], [10, false]", []),
        ("{lte: 1.5}", "[1.5, true], [1.6, false]", []),
        ("{lte: 1.5}", "[1.5, true], [2, false]", ["is at most 1.5 → is at most 1.6"]),
        ("{between: [5, 9]}", "[5, true], [9, true], [4, false], [10, false]", []),
        (
            "{between: [5, 9]}",
            "[5, true], [9, true], [3, false], [11, false]",
            ["is between 5 and 9 → is between 4 and 9", "is between 5 and 9 → is between 5 and 10"],
        ),
        ("{is: 7}", "[7, true]", []),
        ("{exists: true}", "[7, true]", []),
    ],
)
def test_boundaries_of_numbers_are_noticed_by_the_rows_beside_them(condition, rows, survivors):
    document = document_of(table_of(EMPLOYEES, rows, "[blank, false]"), f"{{{EMPLOYEES}: {condition}}}")

    assert survivors_of(document) == {f"{EMPLOYEES}: {one}" for one in survivors}


def test_what_holds_for_blanks_is_noticed_by_a_blank():
    rows, clause = ("[7, true]", "[8, false]"), f"{{{EMPLOYEES}: {{is: 7, or_blank: true}}}}"

    assert survivors_of(document_of(table_of(EMPLOYEES, *rows), clause)) == {f"{EMPLOYEES}: or_blank dropped"}
    assert survivors_of(document_of(table_of(EMPLOYEES, *rows, "[blank, true]"), clause)) == set()


@pytest.mark.parametrize(
    ("clause", "rows", "survivors"),
    [
        ("{contact.tags: {has_any: [a, b]}}", "[a, true], [b, true], [c, false], [blank, false]", []),
        (
            "{contact.tags: {has_any: [a, b]}}",
            "[a, true], [c, false], [blank, false]",
            ["has any of a, b → has any of a"],
        ),
        ("{contact.tags: {has_none: [a, b]}}", "[a, false], [c, true]", ["has none of a, b → has none of a"]),
        ("{contact.tags: {has: a}}", "[a, true], [blank, false]", []),
        (
            "{contact.created_at: {older_than: 90 days}}",
            "[100 days ago, true], [80 days ago, false]",
            [f"is more than 90 days ago → is more than {days} days ago" for days in (89, 91)],
        ),
        ("{contact.created_at: {older_than: 90 days}}", "[2161 hours ago, true], [90 days ago, false]", []),
        ("{contact.created_at: {within_last: 90 days}}", "[90 days ago, true], [91 days ago, false]", []),
        (
            "{contact.created_at: {within_last: 90 days}}",
            "[89 days ago, true], [92 days ago, false]",
            [f"is in the last 90 days → is in the last {days} days" for days in (89, 91)],
        ),
        (
            "{contact.created_at: {between: [2026-01-05, 2026-01-06]}}",
            "[2026-01-05, true], [2026-01-06T23:00:00Z, true], [2026-01-07, false], [2026-01-04T23:00:00Z, false]",
            [],
        ),
    ],
)
def test_values_and_durations_are_noticed_where_a_row_needs_them(clause, rows, survivors):
    path = clause[1:].partition(":")[0]

    assert survivors_of(document_of(table_of(path, rows), clause)) == {f"{path}: {one}" for one in survivors}


def test_all_and_any_are_told_apart_by_a_case_in_which_one_part_holds():
    condition = "{all: [{company.category: Lead}, {company.name: a}]}"
    both = "{table: t, columns: [company.category, company.name, fires], rows: [[Lead, a, true], [Customer, b, false]]}"
    one_each = both.replace("[Customer, b, false]", "[Customer, a, false], [Lead, b, false]")

    assert "'all': 'all' → 'any'" in survivors_of(document_of(both, condition))
    assert "'all': 'all' → 'any'" not in survivors_of(document_of(one_each, condition))


def test_a_clause_that_no_test_needs_can_be_dropped():
    condition = "{all: [{company.category: Lead}, {company.name: a}]}"
    table = (
        "{table: t, columns: [company.category, company.name, fires], rows: [[Lead, a, true], [Customer, b, false]]}"
    )

    assert {"company.category: dropped", "company.name: dropped"} <= survivors_of(document_of(table, condition))


@pytest.mark.parametrize(
    ("entries", "survivors"),
    [
        (["{ago: 31 days, %s}", "{ago: 30 days, %s, by: colleague}"], {"in the last 30 days → 29 days"}),
        (
            ["{ago: 60 days, %s}"],
            {"by contact → by company", "in the last 30 days → 29 days", "in the last 30 days → 31 days"},
        ),
    ],
)
def test_windows_and_whose_events_are_mutated(entries, survivors):
    counted = "{event_count: {of: sale, by: contact, within_last: 30 days, gte: 1}}"
    history = ", ".join(entry % "sale: lost" for entry in entries)
    tests = (
        f"{{test: no, given: {{history: [{history}]}}, expect: {{fires: false}}}}\n"
        "      - {test: yes, given: {history: [{ago: 1 day, sale: lost}]}, expect: {fires: true}}"
    )
    found = survivors_of(document_of(tests, counted, "{manual: contact}", "[{create_task: Look}]"))

    assert {one.partition(": ")[2] for one in found} == survivors


def test_hours_are_mutated_by_a_minute_and_a_day():
    hours = "{now: {weekday_in: [thu, fri], between: ['08:00', '17:00']}}"
    (rule,) = examined(document_of(f"{{test: t, {LEAD}, expect: {{fires: true}}}}", hours)).rules
    changes = {one.change for one in rule.seen.survivors}

    assert "is thu, fri between 08:00 and 17:00 → is thu between 08:00 and 17:00" in changes
    assert "is thu, fri between 08:00 and 17:00 → is thu, fri between 07:59 and 17:00" in changes
    assert "is thu, fri between 08:00 and 17:00 → is fri between 08:00 and 17:00" not in changes


def test_a_limit_is_mutated():
    tests = f"{{test: a, {LEAD}, expect: {{fires: true}}}}"
    limit = "limit: {once_per: company, within: 7 days}"
    more = (
        "\n      - {test: b, given: {company: {category: Lead}, history: [{ago: 167 hours, fired: true}]},"
        " expect: {outcome: limited}}"
        "\n      - {test: c, given: {company: {category: Lead}, history: [{ago: 7 days, fired: true}]},"
        " expect: {outcome: fired}}"
    )

    assert survivors_of(document_of(tests, more=limit)) == {
        *("limit: dropped", "limit: once within 6 days", "limit: once within 8 days")
    }
    assert survivors_of(document_of(tests + more, more=limit)) == set()


SEGMENT = """leadflow: 1
segments:
  prospect: {all: [{company.category: {in: [Lead, MQL]}}, {contact.tags: {has_none: [stop]}}]}
rules:
  - rule: one
    when: {manual: contact}
    if: {segment: prospect}
    then: [{create_task: Look}]
    tests:
      - {table: t, columns: [company.category, fires], rows: [[Lead, true], [Customer, false], [blank, false]]}
  - rule: two
    when: {manual: contact}
    if: {segment: prospect}
    then: [{create_task: Look}]
    tests:
      - {table: t, columns: [company.category, contact.tags, fires], rows: [[MQL, go, true], [MQL, stop, false]]}
"""


def test_a_segment_is_seen_by_the_tests_of_all_rules_that_use_it_together():
    report = examined(SEGMENT)
    (named,) = report.named

    assert named.name == "segment prospect"
    assert all(rule.seen.mutants == 0 and not rule.seen.clauses for rule in report.rules)
    assert [(one.line, one.is_covered) for one in named.seen.clauses] == [(3, True), (3, True)]
    assert named.seen.survivors == ()


def test_two_segments_of_one_name_and_one_used_twice_are_told_apart():
    other = SEGMENT.replace("[Lead, MQL]", "[Customer]").replace("rule: one", "rule: three").replace("two", "four")
    twice = "{any: [{segment: prospect}, {all: [{segment: prospect}, {company.name: x}]}]}"
    documents = {"a.yaml": SEGMENT.replace("if: {segment: prospect}", f"if: {twice}", 1), "b.yaml": other}
    parsed = parse_documents(documents, CATALOGUE)
    assert not parsed.problems, render_text(parsed.problems)

    report = examine(parsed.rule_set.rules, parsed.tests, GROUND)

    assert [one.name for one in report.named] == ["segment prospect"] * 2
    assert [len(one.seen.clauses) for one in report.named] == [2, 2]


# Reports --------------------------------------------------------------------------------------------------------------

TWO_TESTS = document_of(
    f"{{test: it <moves> & more, {LEAD}, expect: {{company: {{category: MQL}}}}}}\n"
    f"      - {{test: it fails, {LEAD}, expect: {{fires: false}}}}",
    "{company.category: Lead}",
)


def test_a_report_for_people_says_what_was_expected_and_what_came_with_the_trace():
    text = render_report_text(examined(TWO_TESTS))

    assert "  ok     it <moves> & more\n" in text
    assert "  FAILED it fails\n         expected that the rule does not fire, but the rule fired\n" in text
    assert "           ✓ company.category is Lead: it was lead\n" in text
    assert "2 tests of 1 rules: 1 ok, 1 failed; in memory only." in text


def test_a_report_for_programs_is_json():
    document = json.loads(render_report_json(examined(TWO_TESTS)))

    assert (document["tests"], document["failed"], document["tests_in_sql"]) == (2, 1, None)
    failed = document["rules"][0]["tests"][1]
    assert (failed["test"], failed["is_ok"], failed["line"]) == ("it fails", False, 9)
    assert failed["clauses"][-1] == {"path": "company.category", "test": "is Lead", "holds": True, "value": "lead"}


def test_a_report_for_build_servers_is_junit():
    root = ElementTree.fromstring(render_report_junit(examined(TWO_TESTS)))
    cases = root.findall("testsuite/testcase")

    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    assert [case.get("name") for case in cases] == ["it <moves> & more", "it fails"]
    assert [case.find("failure") is not None for case in cases] == [False, True]
    assert cases[1].find("failure").get("message") == "expected that the rule does not fire, but the rule fired"


def test_the_failing_tests_of_live_rules_are_problems_at_their_place():
    parsed = parse(TWO_TESTS)
    (problem,) = failing_tests(parsed.rule_set.rules, parsed.tests, GROUND)
    resting = parse(TWO_TESTS.replace("    when:", "    status: off\n    when:"))

    assert (problem.file, problem.line, problem.code) == ("rules.yaml", 9, "failing-test")
    assert "it fails" in problem.message
    assert "^" in render_text([problem])
    assert failing_tests(resting.rule_set.rules, resting.tests, GROUND) == ()
