"""What the page of a rule says of it in words."""

from __future__ import annotations

import pytest

from leadflow.rules.model import Rule
from leadflow.store.lists import Lists
from leadflow.web.pages import rule_words, rulebook
from tests.unit.rules.given import CATALOGUE, LIFECYCLE, STATUSES, parse_one_rule, rule_with

LISTS = Lists(1, 1, LIFECYCLE, STATUSES, CATALOGUE)


def told(parts: tuple[rule_words.Part, ...], indent: str = "") -> list[str]:
    return [line for part in parts for line in (indent + part.text, *told(part.parts, indent + "  "))]


def scheduled(schedule: str) -> str:
    head = "leadflow: 1\nsettings: {timezone: Europe/Oslo}\nrules:\n  - rule: tested\n"
    rule = parse_one_rule(
        head + f"    when: {{schedule: {schedule}}}\n    then: [{{add_tag: {{tag: x, of: company}}}}]\n"
        "    limit: {once_per: company}\n"
    )
    return rulebook.trigger_words(rule, LISTS)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ('{every: day, at: "07:00", for_each: contact}', "Every day at 07:00 (Europe/Oslo), for each contact"),
        (
            '{every: week, on: [thu, mon], at: "07:30", for_each: company}',
            "Every Monday and Thursday at 07:30 (Europe/Oslo), for each company",
        ),
        ("{every: week, for_each: company}", "Every Monday at 00:00 (Europe/Oslo), for each company"),
        (
            '{every: month, on: [1, 15], at: "06:00", for_each: company}',
            "Every month on day 1 and 15 at 06:00 (Europe/Oslo), for each company",
        ),
        ('{every: hour, at: "00:15", for_each: contact}', "Every hour at minute 15 (Europe/Oslo), for each contact"),
    ],
)
def test_a_schedule_is_told_by_its_days_and_its_clock(schedule, words):
    assert scheduled(schedule) == words


def test_a_condition_is_told_line_by_line_with_what_stands_below():
    rule = parse_one_rule(
        "leadflow: 1\n"
        "segments:\n  open:\n    all:\n"
        "      - company.category: {in_group: potential_customer}\n"
        "      - contact.tags: {has_none: [x]}\n"
        "rules:\n  - rule: tested\n    when: {record_changed: [contact.lead_status]}\n    if:\n      all:\n"
        "        - segment: open\n"
        "        - any: [{company.name: {contains: nord}}, {none: [{before.contact.lead_status: Open}]}]\n"
        "        - last_change: {field: contact.lead_status, to: Re-nurture, older_than: 90 days}\n"
        "        - event_count: {of: form_submitted, within_last: 30 days, gte: 2}\n"
        "        - now: {weekday_in: [mon]}\n"
        "    then: [{add_tag: x}]\n"
    )

    assert told(rule_words.condition_parts(rule.condition, LISTS)) == [
        "The segment “open”:",
        "  Category is in the group Potential customer",
        "  Contact tags has none of x",
        "At least one of these:",
        "  Company name contains nord",
        "  None of these:",
        "    Lead status before the change is Open",
        "The last change (Lead status to Re-nurture) is more than 90 days ago",
        "The number of times (forms, by contact, in the last 30 days) is at least 2",
        "The time is mon",
    ]


def test_a_rule_without_a_condition_has_no_lines():
    rule = parse_one_rule("leadflow: 1\nrules: [{rule: a, when: {sale: sold}, then: [{add_tag: x}]}]\n")

    assert rule_words.condition_parts(rule.condition, LISTS) == ()


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (
            "{set_category: {to: MQL, from: [Lead, blank]}}",
            "Set Category from Lead or blank to Marketing qualified lead",
        ),
        ("{set_lead_status: {to: Open, of: all_contacts}}", "Set Lead status of all contacts to Open"),
        ("{set_field: {field: company.owner, to: anna}}", "Set Company owner to anna"),
        ("{set_field: {field: company.owner, to: '{{ form.form }}'}}", "Set Company owner to a text made from fields"),
        ("{add_tag: demo}", "Add the tag “demo” to the contact"),
        ("{add_tag: 'f:{{ form.form }}'}", "Add a tag made from a text"),
        ("{remove_tag: {tag: demo, of: company}}", "Remove the tag “demo” from the company"),
        ("{create_task: {title: Call, owner: sales, due_in: 1 day}}", "Create the task “Call” for sales, due in 1 day"),
        ("{assign_owner: anna}", "Assign the company to anna"),
        ("{assign_owner: {round_robin: [anna, bert]}}", "Assign the company in turn to anna, bert"),
        ("{notify: {to: sales, text: Hello}}", "Notify sales"),
        ("{webhook: crm}", "Call the webhook crm"),
        ("{wait: 3 days}", "Wait 3 days, then go on if the condition still holds"),
        ("{wait: {for: 90 minutes, recheck: false}}", "Wait 90 minutes, then go on in any case"),
        ("{stop_here: true}", "Let no later rule act on this"),
    ],
)
def test_each_action_is_told_in_words(action, words):
    rule = rule_with("{form.form: {exists: true}}", then=f"[{action}, {{add_tag: last}}]")

    assert rule_words.step_lines(rule, LISTS)[0] == words


def test_limits_waits_and_other_sources_are_told_where_there_are_some():
    plain = rule_with("{company.name: x}")
    waiting = _with("limit: {once_per: company, within: 7 days}, if_running: restart, include_import: true")

    assert (rule_words.limit_words(plain.limit), rule_words.running_words(plain)) == (None, None)
    assert rule_words.listening_words(plain) is None
    assert rule_words.limit_words(waiting.limit) == "once per company within 7 days"
    assert rule_words.limit_words(_with("limit: {once_per: contact}").limit) == "once per contact, ever"
    assert rule_words.running_words(waiting) == "a second start begins the wait anew"
    assert rule_words.listening_words(waiting) == "imports"
    assert rule_words.listening_words(_with("also_from_rules: true, include_import: true")) == (
        "changes made by other rules and imports"
    )


def _with(keys: str) -> Rule:
    then = "[{wait: 1 day}, {add_tag: x}]"
    return parse_one_rule(f"leadflow: 1\nrules: [{{rule: a, when: {{form_submitted: any}}, then: {then}, {keys}}}]\n")
