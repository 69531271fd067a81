"""What each action wants to do, from its parameters."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from leadflow.domain.effects import (
    AddTag,
    AssignOwner,
    CallWebhook,
    CreateTask,
    Notify,
    RemoveTag,
    SetCategory,
    SetField,
    SetLeadStatus,
    Step,
    StopHere,
    Wait,
)
from leadflow.domain.fields import CustomField, Kind, build_catalogue
from leadflow.rules.actions import ACTIONS
from leadflow.rules.actions.base import NothingToWrite
from leadflow.rules.evaluation import decide
from leadflow.rules.parsing import parse_documents
from tests.unit.rules.given import (
    CATALOGUE,
    CUSTOM_FIELDS,
    LIFECYCLE,
    STATUSES,
    change_situation,
    document_with,
    parse_one_rule,
    situation_with,
)

ANY = "{company.name: {exists: true}}"


def effect_of(action: str, **values: object) -> Step:
    rule = parse_one_rule(document_with(ANY, then=f"[{action}]"))
    judgement, effects = decide(rule, situation_with({"company.name": "x", **values}))
    assert judgement.error is None
    ((_, effect),) = effects
    return effect


@pytest.mark.parametrize(
    ("action", "effect"),
    [
        ("{set_category: MQL}", SetCategory("mql")),
        ("{set_category: {to: customer}}", SetCategory("customer")),
        (
            "{set_category: {to: MQL, from: [Lead, lost opportunity, blank]}}",
            SetCategory("mql", frozenset({"lead", "lost-opportunity", None})),
        ),
        ("{set_category: {to: MQL, from: Lead}}", SetCategory("mql", frozenset({"lead"}))),
        ("{set_category: {to: MQL, from: Suspect}}", SetCategory("mql", frozenset({"suspect"}))),
        ("{set_category: {to: Lead, from: blank}}", SetCategory("lead", frozenset({None}))),
        ("{set_lead_status: Contacting}", SetLeadStatus("contacting")),
        (
            "{set_lead_status: {to: Open, from: [Re-nurture], of: all_contacts}}",
            SetLeadStatus("open", frozenset({"re-nurture"}), "all_contacts"),
        ),
        ("{add_tag: demo}", AddTag("contact", "demo")),
        ("{add_tag: {tag: demo, of: company}}", AddTag("company", "demo")),
        ("{remove_tag: demo}", RemoveTag("contact", "demo")),
        ("{remove_tag: {tag: demo, of: contact}}", RemoveTag("contact", "demo")),
        ("{set_field: {field: company.owner, to: anna}}", SetField("company.owner", "anna")),
        ("{set_field: {field: company.owner, to: 007}}", SetField("company.owner", "007")),
        (
            "{set_field: {field: company.fields.employees, to: 1.10}}",
            SetField("company.fields.employees", Decimal("1.1")),
        ),
        ("{set_field: {field: company.fields.tier, to: Gold}}", SetField("company.fields.tier", "a")),
        ("{set_field: {field: contact.fields.newsletter, to: no}}", SetField("contact.fields.newsletter", False)),
        (
            "{set_field: {field: contact.fields.interests, to: [a, b, a]}}",
            SetField("contact.fields.interests", ("a", "b")),
        ),
        ("{set_field: {field: contact.fields.interests, to: a}}", SetField("contact.fields.interests", ("a",))),
        ("{create_task: Call them}", CreateTask("Call them")),
        ("{create_task: {title: Call, owner: sales, due_in: 1 day}}", CreateTask("Call", "sales", timedelta(days=1))),
        ("{assign_owner: Anna}", AssignOwner(("Anna",))),
        ("{assign_owner: {to: Anna Berg}}", AssignOwner(("Anna Berg",))),
        ("{assign_owner: {round_robin: [Anna, bert]}}", AssignOwner(("Anna", "bert"))),
        ("{notify: {to: sales, text: Look}}", Notify("sales", "Look")),
        ("{webhook: crm}", CallWebhook("crm")),
        ("{webhook: {endpoint: crm}}", CallWebhook("crm")),
        (
            "{webhook: {endpoint: crm, payload: {kind: demo, n: 1.10}}}",
            CallWebhook("crm", {"kind": "demo", "n": "1.10"}),
        ),
        ("{stop_here: true}", StopHere()),
        ("{stop_here: yes}", StopHere()),
    ],
)
def test_an_action_describes_its_effect(action, effect):
    assert effect_of(action) == effect


@pytest.mark.parametrize(
    ("action", "step"),
    [
        ("{wait: 3 days}", Wait(timedelta(days=3))),
        ("{wait: {for: 2 hours}}", Wait(timedelta(hours=2))),
        ("{wait: {for: 1 week, recheck: true}}", Wait(timedelta(weeks=1))),
        ("{wait: {for: 1 week, recheck: false}}", Wait(timedelta(weeks=1), recheck=False)),
    ],
)
def test_a_wait_says_how_long_and_whether_to_judge_again(action, step):
    rule = parse_one_rule(document_with(ANY, then=f"[{action}, {{add_tag: x}}]"))

    assert rule.actions[0].step == step
    assert rule.waits


def test_those_who_take_turns_may_stand_in_a_list_with_a_name():
    text = document_with(ANY, then="[{assign_owner: {round_robin: sales}}]")

    rule = parse_one_rule(text.replace("rules:", "lists: {sales: [Anna, Bert, Carla]}\nrules:"))

    assert rule.actions[0].step == AssignOwner(("Anna", "Bert", "Carla"))


@pytest.mark.parametrize("then", [
    "{set_category: MQL}", "{set_lead_status: Open}", "{set_field: {field: company.owner, to: anna}}", "{add_tag: x}",
    "{remove_tag: x}", "{create_task: x}", "{assign_owner: anna}", "{notify: {to: a, text: b}}", "{webhook: a}",
    "{webhook: {endpoint: a, payload: {b: c}}}", "{stop_here: true}",
])  # fmt: skip
def test_a_step_that_is_always_the_same_is_known_beforehand(then):
    (planned,) = parse_one_rule(document_with(ANY, then=f"[{then}]")).actions

    assert planned.step is not None
    assert planned.describe(situation_with({})) == planned.step


@pytest.mark.parametrize(
    ("then", "step"),
    [
        ("{notify: {to: sales, text: 'Call {{ company.name }}'}}", Notify("sales", "Call x")),
        (
            "{webhook: {endpoint: crm, payload: {who: '{{ company.name }}', kind: demo}}}",
            CallWebhook("crm", {"who": "x", "kind": "demo"}),
        ),
    ],
)
def test_messages_may_be_templates(then, step):
    (planned,) = parse_one_rule(document_with(ANY, then=f"[{then}]")).actions

    assert planned.step is None
    assert planned.describe(situation_with({"company.name": "x"})) == step


@pytest.mark.parametrize(
    "then", ["{notify: {to: sales, text: '%s'}}", "{webhook: {endpoint: crm, payload: {a: '%s'}}}"]
)
def test_a_message_that_comes_out_blank_is_an_error_and_no_effect(then):
    template = "{{ contact.first_name }}"
    rule = parse_one_rule(document_with("{contact.first_name: {exists: true}}", then=f"[{then % template}]"))

    with pytest.raises(NothingToWrite, match="came out blank"):
        rule.actions[0].describe(situation_with({"contact.first_name": None}))


@pytest.mark.parametrize(
    ("endpoints", "channels", "codes"),
    [
        (None, None, []),
        (frozenset({"crm"}), frozenset({"sales"}), []),
        (frozenset(), frozenset(), ["unknown-endpoint", "unknown-channel"]),
        (frozenset({"crn"}), frozenset({"sale"}), ["unknown-endpoint", "unknown-channel"]),
    ],
)
def test_endpoints_and_channels_are_checked_where_they_are_known(endpoints, channels, codes):
    text = document_with(ANY, then="[{webhook: crm}, {notify: {to: sales, text: x}}]")
    catalogue = replace(CATALOGUE, endpoints=endpoints, channels=channels)

    problems = parse_documents({"a.yaml": text}, catalogue).problems

    assert [one.code for one in problems] == codes
    assert [one.suggestion for one in problems] == ([None, None] if not endpoints else ["crn", "sale"])[: len(codes)]


@pytest.mark.parametrize("when", ["{schedule: {every: day, for_each: company}}", "{manual: company}"])
@pytest.mark.parametrize(
    ("then", "fits"),
    [
        ("{set_lead_status: Open}", False),
        ("{set_lead_status: {to: Open, of: contact}}", False),
        ("{set_lead_status: {to: Open, of: all_contacts}}", True),
        ("{set_field: {field: contact.fields.newsletter, to: true}}", False),
        ("{set_field: {field: contact.fields.interests, to: a}}", False),
        ("{set_field: {field: company.owner, to: a}}", True),
        ("{add_tag: {tag: a, of: contact}}", False),
        ("{remove_tag: {tag: a, of: contact}}", False),
        ("{add_tag: a}", True),
        ("{remove_tag: a}", True),
        ("{set_category: MQL}", True),
        ("{assign_owner: anna}", True),
        ("{create_task: x}", True),
        ("{notify: {to: a, text: b}}", True),
        ("{webhook: a}", True),
    ],
)
def test_a_rule_that_goes_through_companies_writes_no_contact_but_all(when, then, fits):
    text = document_with(ANY, when, f"[{then}]").replace("    if:", "    limit: {once_per: company}\n    if:")

    codes = [one.code for one in parse_documents({"a.yaml": text}, CATALOGUE).problems]

    assert codes == ([] if fits else ["no-contact"])


def test_texts_of_tags_and_fields_may_be_templates():
    values = {"contact.first_name": "Anna"}

    assert effect_of("{add_tag: \"by:{{ contact.first_name | lower | default('?') }}\"}", **values) == AddTag(
        "contact", "by:anna"
    )
    assert effect_of(
        "{set_field: {field: company.owner, to: \"{{ contact.first_name | default('?') }}\"}}", **values
    ) == SetField("company.owner", "Anna")


def test_actions_carry_their_number_and_name_in_order():
    rule = parse_one_rule(document_with(ANY, then="[{add_tag: a}, {set_category: Lead}, {add_tag: b}]"))

    assert [one.action for one in rule.actions] == ["0:add_tag", "1:set_category", "2:add_tag"]


@pytest.mark.parametrize("when", ["{record_created: company}", "{record_changed: [company.category]}"])
def test_a_tag_of_a_rule_about_companies_is_the_companys(when):
    rule = parse_one_rule(document_with("{company.name: x}", when, "[{add_tag: a}]"))

    assert rule.actions[0].describe(change_situation({})) == AddTag("company", "a")


def test_a_rule_says_when_it_reaches_all_contacts_of_a_company():
    of_all = "[{add_tag: a}, {set_lead_status: {to: Open, of: all_contacts}}]"

    assert parse_one_rule(document_with(ANY, then=of_all)).uses_all_contacts
    assert not parse_one_rule(document_with(ANY, then="[{set_lead_status: Open}]")).uses_all_contacts


def test_a_text_that_a_written_field_cannot_hold_is_an_error_and_no_effect():
    email = CustomField("company", "slogan", Kind.TEXT, "Slogan")
    catalogue = build_catalogue(LIFECYCLE, STATUSES, [*CUSTOM_FIELDS, email])
    then = "[{set_field: {field: company.fields.slogan, to: '{{ company.name }}'}}]"
    rule = parse_one_rule(document_with(ANY, then=then), catalogue)

    judgement, effects = decide(rule, situation_with({"company.name": "x" * 10_001}))

    assert effects == ()
    assert judgement.error is not None
    assert judgement.error.startswith("company.fields.slogan cannot be written")


def test_every_action_has_an_example_here():
    assert {one.name for one in ACTIONS} == {
        "set_category",
        "set_lead_status",
        "add_tag",
        "remove_tag",
        "set_field",
        "create_task",
        "assign_owner",
        "notify",
        "webhook",
        "wait",
        "stop_here",
    }
    assert all("company" in path or "contact" in path for path, one in CATALOGUE.fields.items() if one.is_writable)
