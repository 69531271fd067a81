"""`{{ path | filter }}`: what it shows, when it needs a default, and that nothing else of Jinja is let in."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from leadflow.domain.fields import Unreadable
from leadflow.rules.evaluation import decide
from leadflow.rules.model import Situation
from leadflow.rules.parsing import parse_documents
from leadflow.rules.problems import Problem
from tests.unit.rules.given import CATALOGUE, document_with, parse_one_rule, situation_with

CERTAIN = "{all: [{company.name: {exists: true}}]}"


def task(template: str) -> str:
    return "[{create_task: '" + template.replace("'", "''") + "'}]"


def problems_of(template: str, condition: str = CERTAIN) -> tuple[Problem, ...]:
    return parse_documents({"a.yaml": document_with(condition, then=task(template))}, CATALOGUE).problems


def shown(template: str, values: dict[str, Any], zone: str = "UTC") -> str:
    rule = parse_one_rule(document_with("{company.name: {exists: true}}", then=task(template), zone=zone))
    judgement, effects = decide(rule, situation_with({"company.name": "Nordwind", **values}))
    assert judgement.error is None, judgement.error
    ((_, effect),) = effects
    return effect.title


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("Call Nordwind", {}, "Call Nordwind"),
        ("100 % {sure}", {}, "100 % {sure}"),
        ("Call {{ company.name }}", {}, "Call Nordwind"),
        ("{{company.name|upper}}!", {}, "NORDWIND!"),
        ("{{ company.name | lower }}", {}, "nordwind"),
        ("{{ company.name | lower | title }}", {"company.name": "NORDWIND as"}, "Nordwind As"),
        ("{{ contact.first_name | default('the lead') }}", {}, "the lead"),
        ("{{ contact.first_name | default('x') }}", {"contact.first_name": "Anna"}, "Anna"),
        ("{{ contact.first_name | upper | default('x') }}", {}, "x"),
        ("{{ contact.first_name | default('x') | upper }}", {}, "X"),
        ("{{ company.category | default('none') }}", {"company.category": "mql"}, "Marketing qualified lead"),
        ("{{ company.category | default('mql') }}", {}, "mql"),
        ("{{ company.fields.employees | default('?') }}", {"company.fields.employees": Decimal("100.0")}, "100"),
        (
            "{{ company.fields.employees | number | default('?') }}",
            {"company.fields.employees": Decimal(12430)},
            "12,430",
        ),
        ("{{ company.fields.employees | number(2) | default('?') }}", {"company.fields.employees": Decimal(5)}, "5.00"),
        ("{{ company.fields.employees | number | default('?') }}", {}, "?"),
        (
            "{{ company.fields.founded | date | default('?') }}",
            {"company.fields.founded": date(2020, 1, 2)},
            "2020-01-02",
        ),
        ("{{ company.fields.founded | date | default('?') }}", {}, "?"),
        ("{{ contact.tags | default('-') }}", {"contact.tags": ("a", "b")}, "a, b"),
        ("{{ contact.fields.newsletter | default('-') }}", {"contact.fields.newsletter": False}, "no"),
        ("{{ company.name }}   {{ company.name }}", {}, "Nordwind Nordwind"),
        ("{{ company.name }}", {"company.name": "{{ contact.email }} {% x %}"}, "{{ contact.email }} {% x %}"),
        ("{{ company.name }}", {"company.name": "<b>&</b>"}, "<b>&</b>"),
    ],
)
def test_a_template_shows_the_field(template, values, text):
    assert shown(template, values) == text


def test_times_are_shown_in_the_zone_of_the_document():
    values = {"contact.last_touched_at": datetime(2026, 6, 15, 23, 30, tzinfo=UTC)}

    assert shown("{{ contact.last_touched_at | date | default('-') }}", values, "Europe/Oslo") == "2026-06-16"
    assert shown("{{ contact.last_touched_at | default('-') }}", values, "Europe/Oslo") == "2026-06-16 01:30"


@pytest.mark.parametrize(
    "template",
    [
        "{% for x in company %}x{% endfor %}",
        "{% raw %}x{% endraw %}",
        "{% set x = 1 %}",
        "{# comment #}",
        "{{- company.name }}",
        "{{ company.name -}}",
        "{{ company.name.__class__ }}",
        "{{ company.__class__ }}",
        "{{ company['name'] }}",
        "{{ company.name() }}",
        "{{ company.name.upper() }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ 'text' }}",
        "{{ 1 + 1 }}",
        "{{ company.name ~ company.name }}",
        "{{ company.name if company.name else 'x' }}",
        "{{ company.name is defined }}",
        "{{ company.name == 'x' }}",
        "{{ [company.name] }}",
        "{{ company.name[0] }}",
        "{{ company.name[:3] }}",
        "{{ self }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ range(9) }}",
        "{{ lipsum() }}",
        "{{ }}",
        "{{ company.name ",
        "{{ company.name | }}",
        "{{ company.name | safe }}",
        "{{ company.name | attr('x') }}",
        "{{ company.name | map('upper') }}",
        "{{ company.name | format('x') }}",
        "{{ company.name | replace('a', 'b') }}",
        "{{ company.name | upper('x') }}",
        "{{ company.name | default }}",
        "{{ company.name | default('') }}",
        "{{ company.name | default(' ') }}",
        "{{ company.name | default(5) }}",
        "{{ company.name | default('x', true) }}",
        "{{ company.name | default(value='x') }}",
        "{{ company.name | default(*company) }}",
        "{{ company.name | default(company.domain) }}",
        "{{ company.name | date }}",
        "{{ company.name | number }}",
        "{{ company.open_sales | number('x') | default('-') }}",
        "{{ company.open_sales | number(true) | default('-') }}",
        "{{ company.open_sales | number(99) | default('-') }}",
        "{{ company.open_sales | number(-1) | default('-') }}",
        "{{ company.open_sales | default('-') | number }}",
        "{{ contact.created_at | date('%s') }}",
        "{{ " + "(" * 5_000 + " }}",
        "{{ " + "(" * 900 + "company.name" + ")" * 900 + " }}",
    ],
)
def test_nothing_else_of_jinja_is_let_in(template):
    # A path that leads on from a field is a field that does not exist.
    assert [one.code for one in problems_of(template)] in (["bad-template"], ["unknown-field"])


def test_an_unknown_path_is_an_unknown_field_with_the_nearest_name():
    (problem,) = problems_of("Call {{ contact.frist_name }}")

    assert (problem.code, problem.suggestion) == ("unknown-field", "contact.first_name")


def test_a_path_that_the_trigger_does_not_bring_is_refused():
    (problem,) = problems_of("{{ sale.title | default('-') }}")

    assert problem.code == "unavailable-field"


@pytest.mark.parametrize(
    ("condition", "is_certain"),
    [
        ("{all: [{form.utm_campaign: {exists: true}}]}", True),
        ("{form.utm_campaign: {exists: true}}", True),
        ("{all: [{form.utm_campaign: spring}]}", True),
        ("{all: [{all: [{form.utm_campaign: {starts_with: s}}]}]}", True),
        ("{all: [{form.utm_campaign: {not_in: [x], exists: true}}]}", True),
        ("{all: [{form.utm_campaign: {exists: false}}]}", False),
        ("{all: [{form.utm_campaign: {is_not: x}}]}", False),
        ("{all: [{form.utm_campaign: {is: x, or_blank: true}}]}", False),
        ("{any: [{form.utm_campaign: {exists: true}}]}", False),
        ("{none: [{form.utm_campaign: {exists: false}}]}", False),
        ("{all: [{form.utm_source: {exists: true}}]}", False),
    ],
)
def test_a_path_needs_a_default_unless_the_condition_makes_it_certain(condition, is_certain):
    text = document_with(condition, then="[{add_tag: 'campaign:{{ form.utm_campaign }}'}]")

    assert (not parse_documents({"a.yaml": text}, CATALOGUE).problems) is is_certain


def test_what_a_trigger_always_brings_needs_no_default():
    assert not problems_of("{{ form.email }} {{ form.form }} {{ contact.email }}")
    assert not problems_of("{{ form.email }}", condition="{form.form_type: content}")


def test_a_value_that_could_not_be_read_makes_the_rule_an_error_and_no_effect():
    rule = parse_one_rule(
        document_with("{company.name: {exists: true}}", then=task("{{ form.budget | default('?') }}"))
    )
    situation: Situation = situation_with(
        {"company.name": "x", "form.budget": Unreadable("expected a number, not 'a lot'")}
    )

    judgement, effects = decide(rule, situation)

    assert effects == ()
    assert judgement.error == "form.budget cannot be read: expected a number, not 'a lot'."


def test_a_fault_while_an_effect_is_described_is_an_error_and_no_effect():
    rule = parse_one_rule(
        document_with(
            "{company.name: {exists: true}}", then=task("{{ company.fields.employees | number | default('?') }}")
        )
    )

    judgement, effects = decide(rule, situation_with({"company.name": "x", "company.fields.employees": "many"}))

    assert effects == ()
    assert judgement.error is not None
    assert judgement.error.startswith("0:create_task could not be judged")
