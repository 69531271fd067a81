"""What the checks say of rules without mistakes, and what they rightly do not say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from leadflow.domain.lifecycle import Edge, Lifecycle
from leadflow.rules.conditions import Condition, compile_judge
from leadflow.rules.linting import NO_DATA, Setting, lint
from leadflow.rules.linting.cases import Algebra
from leadflow.rules.linting.examples import find_example
from leadflow.rules.model import Situation
from leadflow.rules.parsing import parse_documents
from leadflow.rules.problems import Problem, errors_among, render_github, render_json, render_text
from tests.unit.rules.given import CATALOGUE, LIFECYCLE, NOW, rule_with

SETTING = Setting(CATALOGUE, LIFECYCLE, NOW)
WIDE = frozenset({*LIFECYCLE.edges, Edge("mql", "opportunity"), Edge("lead", "opportunity"), Edge(None, "mql")})
WIDE_SETTING = replace(SETTING, lifecycle=Lifecycle(LIFECYCLE.categories, WIDE))


def check(*rules: str, setting: Setting = WIDE_SETTING, head: str = "") -> tuple[Problem, ...]:
    """What the checks find; each rule is written in flow style, live, and has its number as name."""
    lines = "".join(f"  - {{rule: r{number}, {rule}}}\n" for number, rule in enumerate(rules, 1))
    documents = {"a.yaml": f"leadflow: 1\n{head}rules:\n{lines}"}
    parsed = parse_documents(documents, setting.catalogue)
    assert not parsed.problems, render_text(parsed.problems)
    return lint(parsed.rule_set, documents, setting)


def told(*rules: str, **more: Any) -> list[str]:
    """`error never-true`, in reading order."""
    return [f"{one.severity} {one.code}" for one in check(*rules, **more)]


def on_form(condition: str, then: str = "[{add_tag: x}]", when: str = "{form_submitted: any}", more: str = "") -> str:
    return f"when: {when}, if: {condition}, then: {then}{more}"


def marked(problem: Problem) -> str:
    """The words under the caret."""
    start = problem.column - 1
    return problem.source_line[start : start + problem.caret_width]


# -- never true ------------------------------------------------------------------------------------------------------

NEVER = [
    "{company.category: {in: [Lead, MQL], is_not: Lead, not_in: [MQL]}}",
    "{company.category: {in_group: customer, is: Lead}}",
    "{company.fields.employees: {gt: 10, lte: 10}}",
    "{company.fields.employees: {between: [1, 5], gt: 5}}",
    "{company.open_sales: {gt: 0, lt: 1}}",
    "{company.open_sales: {lt: 0}}",
    "{contact.created_at: {older_than: 90 days, within_last: 30 days}}",
    "{contact.created_at: {before: 2026-01-01, within_last: 30 days}}",
    "{contact.created_at: {after: 2026-03-01, before: 2026-03-01}}",
    "{company.fields.founded: {after: '2026-03-01 10:00', before: '2026-03-01 12:00'}}",
    "{contact.tags: {has_all: [a, b], has_none: [b, c]}}",
    "{contact.email: {domain_in: [a.example], domain_not_in: [a.example, b.example]}}",
    "{contact.first_name: {starts_with: an, is: Bo}}",
    "{contact.first_name: {starts_with: an, like: 'b*'}}",
    "{contact.first_name: {contains: nna, not_contains: nn}}",
    "{all: [{contact.fields.newsletter: {is: true}}, {contact.fields.newsletter: {exists: false}}]}",
    "{all: [{contact.lead_status: Open}, {none: [{contact.lead_status: {in: [Open, Qualified]}}]}]}",
    "{all: [{contact.first_name: {same_as: contact.last_name}}, {contact.last_name: {exists: false}}]}",
    "{all: [{contact.first_name: {same_as: contact.last_name, is: a}}, {contact.last_name: b}]}",
    "{all: [{contact.first_name: {same_as: form.phone}}, {none: [{form.phone: {same_as: contact.first_name}}]}]}",
    "{event_count: {of: form_submitted, gte: 1, lt: 1}}",
    "{all: [{event_count: {of: sale, gte: 2}}, {event_count: {of: sale, is: 0}}]}",
    "{last_event: {of: sale, within_last: 2 hours, older_than: 1 day}}",
    "{all: [{now: {weekday_in: [sat]}}, {now: {weekday_in: [mon, tue]}}]}",
    "{all: [{now: {weekday_in: [sat]}}, {none: [{now: {weekday_in: [sat, sun]}}]}]}",
    "{all: [{form.country: no}, {any: [{form.country: se}, {form.country: {starts_with: d}}]}]}",
]
POSSIBLE = [
    "{company.fields.employees: {gt: 10, lt: 10.1}}",
    "{contact.created_at: {after: 2030-01-01, older_than: 30 days}}",
    "{contact.created_at: {before: 2027-01-01, within_last: 30 days}}",
    "{contact.tags: {has_any: [a, b], has_none: [b]}}",
    "{contact.first_name: {starts_with: an, ends_with: na, is_not: anna}}",
    "{all: [{event_count: {of: sale, gte: 2}}, {event_count: {of: sale, within_last: 3 days, is: 0}}]}",
    "{all: [{now: {weekday_in: [sat]}}, {now: {between: ['22:00', '06:00']}}]}",
    "{all: [{now: {weekday_in: [sat, sun]}}, {none: [{now: {weekday_in: [sat]}}]}]}",
    "{all: [{form.phone: {exists: false}}, {none: [{form.phone: {same_as: form.country}}]}]}",
    "{all: [{last_event: {of: sale, older_than: 60 days}}, {last_event: {of: form_submitted, within_last: 9 days}}]}",
    "{all: [{last_change: {field: contact.lead_status, to: Re-nurture, older_than: 90 days}}, {contact.tags: a}]}",
    "{all: [{contact.first_name: {same_as: contact.last_name, is: a}}, {contact.last_name: {like: 'a*'}}]}",
    "{all: [{form.phone: a}, {none: [{form.phone: {same_as: form.country}}]}, {form.country: {exists: true}}]}",
]


@pytest.mark.parametrize("condition", NEVER)
def test_a_condition_that_contradicts_itself_is_an_error(condition):
    assert "error never-true" in told(on_form(condition))


@pytest.mark.parametrize("condition", POSSIBLE)
def test_a_condition_that_can_hold_has_an_example_that_the_evaluator_accepts(condition):
    rule = rule_with(condition)
    algebra = Algebra(CATALOGUE, NOW)

    example = find_example(algebra, algebra.cases_of_rule(rule), lambda situation: True)

    assert "error never-true" not in told(on_form(condition))
    assert example is not None
    assert rule.judge(example.situation).holds


@pytest.mark.parametrize(
    ("when", "condition"),
    [
        ("{form_submitted: {form: demo}}", "{form.form: contact}"),
        ("{form_submitted: {form_type: content}}", "{form.form_type: {not_in: [Content]}}"),
        ("{sale: lost}", "{sale.status: {in: [Open, Sold]}}"),
        ("{sale: registered}", "{sale.status: Sold}"),
        ("{record_changed: {contact.lead_status: {to: Qualified}}}", "{contact.lead_status: Open}"),
        ("{record_changed: {contact.lead_status: {to: Qualified}}}", "{contact.lead_status: {changed_to: Open}}"),
        ("{record_changed: {company.category: {from: Lead}}}", "{before.company.category: {in_group: customer}}"),
        ("{record_changed: [company.owner]}", "{company.owner: {changed: false}}"),
        ("[{form_submitted: {form: a}}, {form_submitted: {form: b}}]", "{form.form: c}"),
    ],
)
def test_a_clause_that_contradicts_the_trigger_is_an_error(when, condition):
    (problem,) = errors_among(check(on_form(condition, "[{add_tag: {tag: x, of: company}}]", when)))

    assert problem.code == "never-true"
    assert problem.message.endswith("can never hold here: it contradicts the trigger")


def test_a_change_to_the_value_that_was_there_never_happens():
    def on_change(sides: str) -> list[str]:
        return told(on_form("{contact.tags: a}", when=f"{{record_changed: {{{sides}}}}}"))

    assert on_change("contact.lead_status: {from: Open, to: Open}") == ["error never-true"]
    assert on_change("contact.lead_status: {from: [Open, blank], to: Open}") == []
    assert on_change("contact.first_name: {from: anna, to: Anna}") == []  # another case is another text


def test_the_clause_and_the_one_it_contradicts_are_named():
    (problem,) = check(on_form("{all: [{company.category: Lead}, {form.country: no}, {company.category: Customer}]}"))

    assert marked(problem) == "company.category"
    assert problem.column > problem.source_line.index("Lead")
    assert "'company.category is Customer' contradicts 'company.category is Lead' in line 3" in problem.message


def test_of_three_clauses_that_only_together_contradict_the_last_is_told():
    condition = (
        "{all: [{contact.tags: {has_any: [a, b]}}, {contact.tags: {has_none: [a]}}, {contact.tags: {has_none: [b]}}]}"
    )

    (problem,) = check(on_form(condition))

    assert "contradicts the clauses before it" in problem.message


# -- always true, implied ----------------------------------------------------------------------------------------------


AT = "form.submitted_at"
IDLE = [
    ("{all: [{company.category: Lead}, {company.category: {in: [Lead, MQL]}}]}", "implied", "company.category"),
    ("{all: [{form.budget: {gt: 9}}, {form.budget: {gt: 5}}]}", "implied", "form.budget"),
    ("{all: [{event_count: {of: sale, gt: 2}}, {event_count: {of: sale, gte: 3}}]}", "implied", "event_count"),
    ("{all: [{form.submitted_at: {within_last: 7 days}}, {form.submitted_at: {after: 2020-01-01}}]}", "implied", AT),
    ("{all: [{form.country: no}, {form.country: {exists: true}}]}", "implied", "form.country"),
    ("{all: [{form.country: no}, {any: [{form.phone: a}, {form.phone: {is_not: a}}]}]}", "always-true", "any"),
    ("{all: [{form.country: no}, {event_count: {of: sale, gte: 0}}]}", "always-true", "event_count"),
    ("{any: [{form.phone: a}, {form.phone: {in: [a, b]}}]}", "implied", "form.phone"),
    ("{all: [{form.country: no}, {any: [{form.country: se}, {form.phone: a}]}]}", "never-true", "form.country"),
    ("{all: [{form.country: no}, {none: [{form.country: se}]}]}", "implied", "none"),
    ("{all: [{form.country: no}, {none: [{form.country: se}, {form.phone: a}]}]}", "never-true", "form.country"),
    ("{all: [{contact.tags: a}, {contact.tags: {has_any: [a, b]}}]}", "implied", "contact.tags"),
    ("{all: [{form.phone: {starts_with: anna}}, {form.phone: {contains: nn}}]}", "implied", "form.phone"),
    ("{all: [{segment: open}, {company.category: {is_not: Customer}}]}", "implied", "company.category"),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "code", "word"), IDLE)
def test_what_could_be_left_out_is_a_warning_at_its_place(condition, code, word):
    head = "segments: {open: {all: [{company.category: {in_group: potential_customer}}]}}\n"
    (problem,) = [one for one in check(on_form(condition), head=head) if one.severity == "warning"]

    assert (problem.code, marked(problem)) == (code, word)


@pytest.mark.parametrize(
    "condition",
    [
        "{all: [{form.country: no}, {company.category: {in: [Lead, MQL], is_not: Customer}}]}",
        "{all: [{company.fields.employees: {gt: 5}}, {company.fields.employees: {lt: 50}}]}",
        "{any: [{form.phone: {starts_with: a}}, {form.phone: {contains: b}}]}",
        "{all: [{contact.created_at: {older_than: 7 days}}, {contact.created_at: {after: 2020-01-01}}]}",
        "{all: [{event_count: {of: sale, gte: 2}}, {event_count: {of: form_submitted, gte: 1}}]}",
        "{all: [{contact.created_at: {before: 2030-01-01}}, {contact.created_at: {older_than: 1 day}}]}",
    ],
)
def test_what_says_something_is_not_told(condition):
    assert told(on_form(condition)) == []


def test_a_condition_that_always_holds_is_told_once():
    assert told(on_form("{any: [{form.phone: a}, {form.phone: {is_not: a}}]}")) == ["warning always-true"]


def test_of_two_equal_clauses_the_later_one_is_told():
    (problem,) = check(on_form("{all: [{form.country: no}, {form.country: 'NO '}]}"))

    assert (problem.code, problem.column) == ("implied", problem.source_line.rindex("form.country") + 1)


def test_the_trigger_may_already_say_what_a_clause_says():
    rule = on_form("{all: [{form.form: demo}, {form.country: no}]}", when="{form_submitted: {form: demo}}")

    assert told(rule) == ["warning always-true"]


def test_a_clause_that_asks_whether_a_change_still_stands_is_not_idle():
    # Somebody may have written another value between the change and the moment at which the rule is tried.
    rule = on_form("{contact.lead_status: Qualified}", when="{record_changed: {contact.lead_status: {to: Qualified}}}")

    assert told(rule) == []


# -- blanks ------------------------------------------------------------------------------------------------------------


class Counted:
    """Records as a check sees them."""

    def __init__(self, blanks: int | None, record: str | None = None) -> None:
        self.blanks = blanks
        self.record = record
        self.asked: list[Condition | None] = []

    def count_blank(self, path: str) -> int | None:
        return self.blanks

    def find_record(self, subject: str, condition: Condition | None, situation: Situation) -> str | None:
        if condition is not None:
            assert compile_judge([condition.compile()])(situation).holds
        self.asked.append(condition)
        return self.record


def notes(condition: str, blanks: int | None = 12_430, head: str = "") -> list[str]:
    setting = replace(WIDE_SETTING, data=Counted(blanks))
    return [one.message for one in check(on_form(condition), setting=setting, head=head) if one.severity == "note"]


def test_a_negative_clause_tells_how_many_blanks_it_matches():
    assert notes("{contact.lead_status: {is_not: Disqualified}}") == [
        "'contact.lead_status is not Disqualified' also matches blank (12,430 contacts today)"
    ]
    assert notes("{company.category: {not_in: [Customer]}}")[0].endswith("(12,430 companies today)")


def test_without_data_the_note_has_no_number_and_without_blanks_there_is_no_note():
    assert notes("{contact.first_name: {is_not: Anna}}", None) == [
        "'contact.first_name is not Anna' also matches blank"
    ]
    assert notes("{contact.first_name: {is_not: Anna}}", 0) == []


@pytest.mark.parametrize(
    "condition",
    [
        "{contact.first_name: {is_not: Anna, or_blank: true}}",
        "{contact.first_name: {is_not: Anna, exists: true}}",
        "{all: [{contact.first_name: {is_not: Anna}}, {contact.first_name: {exists: true}}]}",
        "{contact.tags: {has_none: [a]}}",
        "{form.country: {is_not: no}}",
        "{contact.first_name: Anna}",
        "{none: [{contact.first_name: {is: Anna, or_blank: true}}]}",
    ],
)
def test_a_clause_that_says_what_happens_to_blanks_gets_no_note(condition):
    assert notes(condition) == []


def test_a_clause_under_none_is_negative_too():
    assert notes("{none: [{contact.first_name: Anna}]}") == [
        "'contact.first_name not: is Anna' also matches blank (12,430 contacts today)"
    ]


def test_a_note_about_a_segment_stands_where_the_rule_names_it():
    head = "segments: {open: {all: [{contact.lead_status: {is_not: Disqualified}}]}}\n"
    (note,) = [one for one in check(on_form("{segment: open}"), head=head) if one.severity == "note"]

    assert marked(note) == "segment"


# -- conflicts ---------------------------------------------------------------------------------------------------------

TO_MQL, TO_OPPORTUNITY = "[{set_category: MQL}]", "[{set_category: Opportunity}]"
FROM_LEAD = "{company.category: Lead}"
QUALIFIED = "{contact.lead_status: Qualified}"


def test_two_rules_that_want_different_values_are_told_with_an_example():
    setting = replace(WIDE_SETTING, data=NO_DATA)
    (problem,) = check(on_form(FROM_LEAD, TO_MQL), on_form(QUALIFIED, TO_OPPORTUNITY), setting=setting)

    assert (problem.severity, problem.code, problem.line) == ("warning", "conflict", 4)
    assert marked(problem) == "set_category"
    assert problem.message.startswith(
        "'r1' writes another value to company.category when both match, for example where "
    )
    assert "company.category is Lead and contact.lead_status is Qualified" in problem.message
    assert "it is tried first and wins" in problem.message


def test_the_order_of_priority_says_who_wins():
    first, second = on_form(FROM_LEAD, TO_MQL), on_form(QUALIFIED, TO_OPPORTUNITY, more=", priority: 90")

    (problem,) = check(first, second)

    assert problem.message.startswith("'r2' writes another value")


def test_the_example_is_out_of_the_data_where_there_is_one():
    data = Counted(None, "on the contact 7, anna@nordwind.example")

    (problem,) = check(
        on_form(FROM_LEAD, TO_MQL), on_form(QUALIFIED, TO_OPPORTUNITY), setting=replace(WIDE_SETTING, data=data)
    )

    assert "for example on the contact 7, anna@nordwind.example" in problem.message
    assert len(data.asked) == 1


GROUPED = ", group: g"
FORM_A, FORM_B = "{form_submitted: {form: a}}", "{form_submitted: {form: b}}"
ENDS = ", ends: 2026-01-01"
TAGS_A_AND_B = "{contact.tags: {has_all: [a, b]}}"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (on_form(FROM_LEAD, TO_MQL), on_form(QUALIFIED, TO_MQL)),
        (on_form(FROM_LEAD, TO_MQL), on_form("{company.category: MQL}", TO_OPPORTUNITY)),
        (on_form(FROM_LEAD, TO_MQL, more=GROUPED), on_form(QUALIFIED, TO_OPPORTUNITY, more=GROUPED)),
        (on_form(FROM_LEAD, "[{set_category: MQL}, {stop_here: true}]"), on_form(QUALIFIED, TO_OPPORTUNITY)),
        (on_form(FROM_LEAD, TO_MQL), on_form(QUALIFIED, TO_OPPORTUNITY, more=", status: draft")),
        (on_form(FROM_LEAD, TO_MQL, more=", status: shadow"), on_form(QUALIFIED, TO_OPPORTUNITY)),
        (on_form(FROM_LEAD, TO_MQL, FORM_A), on_form(QUALIFIED, TO_OPPORTUNITY, FORM_B)),
        (on_form(FROM_LEAD, TO_MQL), on_form(QUALIFIED, TO_OPPORTUNITY, "{sale: registered}")),
        (on_form(FROM_LEAD, TO_MQL, more=ENDS), on_form(QUALIFIED, TO_OPPORTUNITY, more=", starts: 2026-02-01")),
        (on_form(FROM_LEAD, "[{wait: 1 day}, {set_category: MQL}]"), on_form(QUALIFIED, TO_OPPORTUNITY)),
        (on_form(FROM_LEAD, "[{add_tag: a}]"), on_form(QUALIFIED, "[{remove_tag: b}]")),
    ],
)  # fmt: skip
def test_rules_that_cannot_disagree_are_no_conflict(first, second):
    assert "warning conflict" not in told(first, second, head="groups: {g: {pick: first}}\n")


def test_tags_fields_and_owners_conflict_too():
    assert told(on_form(FROM_LEAD, "[{add_tag: a}]"), on_form(QUALIFIED, "[{remove_tag: A}]")) == ["warning conflict"]
    assert told(
        on_form(FROM_LEAD, "[{assign_owner: anna}]"),
        on_form(QUALIFIED, "[{set_field: {field: company.owner, to: bo}}]"),
    ) == ["warning conflict"]


def test_two_sweeps_that_undo_each_other_are_a_conflict():
    when, limit = "{schedule: {every: day, for_each: contact}}", ", limit: {once_per: contact, within: 9 days}"
    first = on_form("{contact.tags: a}", "[{set_lead_status: Contacting}, {create_task: x}]", when, limit)
    second = on_form("{contact.tags: b}", "[{set_lead_status: Open}, {create_task: x}]", when, limit)

    (problem,) = check(first, second)

    assert problem.message.endswith("each sweep undoes the other's work")


# -- subsumed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (on_form("{company.category: {in: [Lead, MQL]}}", TO_OPPORTUNITY), on_form(FROM_LEAD, TO_MQL)),
        (on_form("{contact.tags: a}", "[{add_tag: z}, {stop_here: yes}]"), on_form(TAGS_A_AND_B, "[{create_task: x}]")),
        (on_form("{contact.tags: a}", "[{create_task: x}]", more=GROUPED), on_form(TAGS_A_AND_B, more=GROUPED)),
        (f"when: {FORM_A}, then: [{{set_category: MQL}}]", on_form(FROM_LEAD, TO_OPPORTUNITY, FORM_A)),
    ],
)  # fmt: skip
def test_a_rule_that_an_earlier_one_always_beats_is_told(first, second):
    problems = check(first, second, head="groups: {g: {pick: first}}\n")

    assert [(one.severity, one.code) for one in problems if one.code in ("subsumed", "conflict")] == [
        ("warning", "subsumed")
    ]
    assert "whenever it matches, 'r1' has decided before" in problems[-1].message


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (on_form(FROM_LEAD, TO_OPPORTUNITY), on_form("{company.category: {in: [Lead, MQL]}}", TO_MQL)),
        (on_form(FROM_LEAD, TO_OPPORTUNITY), on_form(FROM_LEAD, "[{set_category: MQL}, {create_task: x}]")),
        (on_form(FROM_LEAD, TO_OPPORTUNITY, more=", limit: {once_per: company}"), on_form(FROM_LEAD, TO_MQL)),
        (on_form(FROM_LEAD, TO_OPPORTUNITY, more=", starts: 2026-01-01"), on_form(FROM_LEAD, TO_MQL)),
        (on_form(FROM_LEAD, TO_OPPORTUNITY, FORM_A), on_form(FROM_LEAD, TO_MQL)),
        (on_form(FROM_LEAD, TO_OPPORTUNITY), on_form(FROM_LEAD, TO_MQL, "{sale: registered}")),
        (on_form(FROM_LEAD, TO_OPPORTUNITY, "{record_changed: [contact.lead_status]}"),
         on_form(FROM_LEAD, TO_MQL, "{record_changed: [contact.lead_status]}", ", include_import: true")),
    ],
)  # fmt: skip
def test_a_rule_that_sometimes_acts_alone_is_not_subsumed(first, second):
    assert "warning subsumed" not in told(first, second)


# -- circles -----------------------------------------------------------------------------------------------------------

CHAINED = ", also_from_rules: true"


ON_CONTACTING = "{record_changed: {contact.lead_status: {to: Contacting}}}"


def on_status(to: str, then: str, condition: str = "{contact.first_name: {exists: true}}", more: str = CHAINED) -> str:
    return on_form(
        condition, f"[{{set_lead_status: {then}}}]", f"{{record_changed: {{contact.lead_status: {{to: {to}}}}}}}", more
    )


def test_rules_that_trigger_each_other_are_told_with_their_circle():
    (problem,) = check(
        on_status("Open", "Contacting"), on_status("Contacting", "Qualified"), on_status("Qualified", "Open")
    )

    assert (problem.code, problem.line) == ("trigger-cycle", 3)
    assert "'r1' → 'r2' → 'r3' → 'r1'" in problem.message


@pytest.mark.parametrize(
    "rules",
    [
        [on_status("Open", "Contacting"), on_status("Contacting", "Open", more="")],
        [on_status("Open", "Contacting"), on_status("Qualified", "Open")],
        [on_status("Open", "Contacting", FROM_LEAD), on_status("Contacting", "Open", "{company.category: MQL}")],
        [on_status("Open", "Contacting"), on_status("Contacting", "Open", more=CHAINED + ", status: off")],
        [on_form(FROM_LEAD, TO_MQL, "{record_changed: [company.category]}", CHAINED)],
    ],
)
def test_rules_that_come_to_rest_are_no_circle(rules):
    assert "warning trigger-cycle" not in told(*rules)


def test_a_rule_whose_own_change_triggers_it_is_a_circle_if_it_writes_another_value_each_time():
    when = "{record_changed: [contact.tags]}"
    same = on_form("{contact.tags: a}", "[{add_tag: b}]", when, CHAINED)
    other = on_form("{contact.tags: a}", "[{add_tag: b}, {remove_tag: b}]", when, CHAINED)

    assert told(same) == []
    assert told(other) == ["warning trigger-cycle"]


def test_a_circle_that_a_record_can_go_only_once_is_none():
    there = on_form(
        "{company.category: Lead}", "[{set_category: MQL}, {set_lead_status: Open}]", ON_CONTACTING, CHAINED
    )

    assert told(there, on_status("Open", "Contacting")) == []
    assert told(there.replace("{set_category: MQL}, ", ""), on_status("Open", "Contacting")) == [
        "warning trigger-cycle"
    ]


# -- sweeps ------------------------------------------------------------------------------------------------------------


def sweep(condition: str, then: str, limit: str = "{once_per: contact, within: 90 days}") -> str:
    return f"when: {{schedule: {{every: day, for_each: contact}}}}, if: {condition}, then: {then}, limit: {limit}"


def test_a_sweep_that_finds_its_own_work_again_is_told():
    assert told(sweep("{contact.lead_status: Open}", "[{add_tag: open}]")) == ["warning selects-itself"]
    assert told(sweep("{contact.lead_status: {in: [Open, Qualified]}}", "[{set_lead_status: Qualified}]")) == [
        "warning selects-itself"
    ]


@pytest.mark.parametrize(
    "rule",
    [
        sweep("{contact.lead_status: Re-nurture}", "[{set_lead_status: Open}]"),
        sweep("{all: [{contact.lead_status: Open}, {contact.tags: {has_none: [open]}}]}", "[{add_tag: Open}]"),
        sweep("{contact.lead_status: Open}", "[{create_task: Call}]"),
        sweep("{contact.lead_status: Open}", "[{add_tag: open}]", "{once_per: contact}"),
        sweep("{last_change: {field: contact.lead_status, older_than: 90 days}}", "[{set_lead_status: {to: Open}}]"),
    ],
)
def test_a_sweep_that_comes_to_rest_or_reminds_is_fine(rule):
    assert "warning selects-itself" not in told(rule)


# -- what the guard refuses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "then", "why"),
    [
        ("{company.category: MQL}", "[{set_category: Lead}]", "no step from Marketing qualified lead to Lead"),
        ("{company.category: {in_group: customer}}", "[{set_category: Lead}]", "no step from Customer to Lead"),
        ("{contact.tags: a}", "[{set_category: Partner}]", "no step to Partner for automation"),
        ("{contact.tags: a}", "[{set_category: {to: MQL, from: [Opportunity]}}]", "no step from Opportunity to"),
        (FROM_LEAD, "[{set_category: {to: Opportunity, from: [MQL]}}]", "the move is from Marketing qualified lead, "),
        (FROM_LEAD, "[{set_category: MQL}, {set_category: Lead}]", "no step from Lead and Marketing qualified lead "),
    ],
)  # fmt: skip
def test_a_move_that_the_guard_always_refuses_is_an_error(condition, then, why):
    (problem,) = [one for one in check(on_form(condition, then)) if one.code == "outside-graph"]

    assert problem.severity == "error"
    assert why in problem.message


FROM_THREE = "[{set_category: {to: MQL, from: [Lead, Opportunity, Customer]}}]"


@pytest.mark.parametrize(
    ("condition", "then", "names"),
    [
        ("{form.form: a}", FROM_THREE, "Opportunity and Customer"),
        ("{company.category: {in_group: potential_customer}}", TO_MQL, "Opportunity and Lost opportunity"),
        ("{company.category: {in: [Lead, Opportunity], or_blank: true}}", TO_MQL, "Opportunity"),
    ],
)  # fmt: skip
def test_sources_that_the_author_names_and_the_guard_refuses_are_told(condition, then, names):
    (problem,) = [one for one in check(on_form(condition, then)) if one.code == "outside-graph"]

    assert problem.severity == "warning"
    assert f"no step from {names} to Marketing qualified lead;" in problem.message


@pytest.mark.parametrize(
    ("condition", "then"),
    [
        ("{contact.tags: a}", TO_MQL),
        ("{company.category: {in: [Lead, MQL]}}", TO_MQL),
        ("{company.category: {not_in: [Opportunity]}}", TO_MQL),
        (FROM_LEAD, "[{set_category: MQL}, {set_category: Opportunity}]"),
        ("{company.category: Customer}", "[{wait: {for: 1 day, recheck: false}}, {set_category: MQL}]"),
    ],
)
def test_a_move_that_nobody_named_wrongly_is_fine(condition, then):
    assert not [one for one in check(on_form(condition, then)) if one.code == "outside-graph"]


def test_a_lead_status_where_none_is_active_is_told():
    customer = "{company.category: {in: [Customer, Partner]}}"

    (problem,) = check(on_form(customer, "[{set_lead_status: Qualified}]"))

    assert (problem.severity, problem.code) == ("warning", "inactive-status")
    assert "while the category is Customer and Partner" in problem.message
    for condition in (FROM_LEAD, "{company.category: {is: Customer, or_blank: true}}", "{contact.tags: a}"):
        assert told(on_form(condition, "[{set_lead_status: Qualified}]")) == []


# -- how it is told ----------------------------------------------------------------------------------------------------


def test_every_format_tells_warnings_apart_from_errors():
    problems = check(on_form("{all: [{form.country: no}, {form.country: {exists: true}}]}"))

    assert "a.yaml:3:77: warning[implied]: " in render_text(problems)
    assert '"severity": "warning"' in render_json(problems)
    assert render_github(problems).startswith("::warning file=a.yaml,line=3,")


def test_no_error_is_lost_behind_a_hundred_warnings():
    idle = on_form("{all: [{form.country: no}, {form.country: {exists: true}}]}", "[{create_task: x}]")
    problems = check(*[idle] * 150, on_form("{company.category: MQL}", "[{set_category: Lead}]"))

    assert [one.code for one in errors_among(problems)] == ["outside-graph"]


def test_a_condition_of_too_many_alternatives_is_not_judged_at_all():
    names = ("country", "phone", "message", "job_title", "company", "utm_source", "utm_term")
    groups = (
        f"{{any: [{{form.{name}: a}}, {{form.{name}: {{starts_with: b}}}}, {{contact.tags: {name}}}]}}"
        for name in names
    )

    everything = ", ".join(groups)

    assert told(on_form(f"{{all: [{everything}, {{form.budget: {{gt: 2}}}}, {{form.budget: {{gt: 1}}}}]}}")) == []
    assert told(on_form(f"{{all: [{everything}, {{form.budget: 2}}, {{form.budget: 1}}]}}")) == ["error never-true"]


def test_rules_that_pin_a_field_to_different_values_are_never_compared():
    rules = [
        on_form(f"{{all: [{{form.utm_campaign: c{n}}}, {FROM_LEAD}]}}", (TO_MQL, TO_OPPORTUNITY)[n % 2])
        for n in range(60)
    ]

    assert told(*rules) == []
    assert told(*rules, on_form("{form.utm_campaign: c8}", TO_OPPORTUNITY)) == ["warning conflict"]
    assert told(*rules, on_form("{contact.tags: a}", TO_OPPORTUNITY)) == ["warning conflict"]
