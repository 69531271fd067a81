"""One example for everything that the reference of the rule language lists. tests/unit/test_docs.py reads each."""

from __future__ import annotations

from collections.abc import Mapping

from leadflow.domain.fields import Field, Kind
from leadflow.rules.operators import Operator
from leadflow.rules.values import CHOICE_KINDS, TIME_KINDS

TRIGGER_EXAMPLES = {
    "form_submitted": "{form_submitted: {form: demo-request}}",
    "event": "{event: {name: webinar_attended}}",
    "sale": "{sale: registered}",
    "record_created": "{record_created: contact}",
    "record_changed": "{record_changed: {contact.lead_status: {from: Open, to: Re-nurture}}}",
    "schedule": '{schedule: {every: day, at: "07:00", for_each: contact}}',
    "manual": "{manual: company}",
}

CLAUSE_EXAMPLES = {
    "all": "{all: [{company.name: {exists: true}}, {company.tags: partner}]}",
    "any": "{any: [{company.tags: fair}, {contact.tags: fair}]}",
    "none": "{none: [{contact.tags: do-not-contact}]}",
    "segment": "{segment: open_prospect}",
    "selection": "{selection: Hot leads}",
    "event_count": "{event_count: {of: form_submitted, where: {form_type: content}, within_last: 30 days, gte: 2}}",
    "last_event": "{last_event: {of: form_submitted, by: company, older_than: 60 days}}",
    "last_change": "{last_change: {field: contact.lead_status, to: Re-nurture, older_than: 90 days}}",
    "now": '{now: {weekday_in: [mon, tue, wed, thu, fri], between: ["08:00", "17:00"]}}',
}

ACTION_EXAMPLES = {
    "set_category": "{set_category: {to: Opportunity, from: [Lead, blank]}}",
    "set_lead_status": "{set_lead_status: {to: Contacting, of: all_contacts}}",
    "set_field": "{set_field: {field: company.owner, to: anna}}",
    "add_tag": "{add_tag: {tag: demo, of: company}}",
    "remove_tag": "{remove_tag: demo}",
    "create_task": "{create_task: {title: \"Call {{ contact.first_name | default('the lead') }}\", due_in: 1 day}}",
    "assign_owner": "{assign_owner: {round_robin: [anna, bert]}}",
    "notify": '{notify: {to: sales, text: "{{ contact.email }} asks for a demo"}}',
    "webhook": "{webhook: {endpoint: crm, payload: {campaign: \"{{ form.utm_campaign | default('none') }}\"}}}",
    "wait": "{wait: {for: 3 days, recheck: true}}",
    "stop_here": "{stop_here: true}",
}

# What stands to the right of an operator: by its name; values of the field's kind stand below.
OPERANDS = {
    "contains": "pricing",
    "not_contains": "test",
    "starts_with": "nord",
    "ends_with": ".example",
    "like": '"nord*"',
    "domain_in": "[nordwind.example, example.com]",
    "domain_not_in": "[rival.example]",
    "in_group": "potential_customer",
    "not_in_group": "[customer, partner]",
    "older_than": "90 days",
    "within_last": "30 days",
    "within_next": "2 weeks",
    "before": "2026-03-01",
    "on": "2026-03-01",
    "after": "2026-03-01",
    "has": "fair",
    "has_any": "[fair, webinar]",
    "has_all": "[fair, webinar]",
    "has_none": "[do-not-contact]",
    "exists": "true",
    "changed": "true",
}

RANGES = {Kind.NUMBER: "[10, 50]", Kind.DATE: "[2026-03-01, 2026-03-31]", Kind.MOMENT: "[2026-03-01, 2026-03-31]"}
VALUES: Mapping[Kind, list[str]] = {
    Kind.EMAIL: ["anna@nordwind.example", "info@nordwind.example"],
    Kind.NUMBER: ["100"],
    Kind.BOOLEAN: ["true"],
    Kind.URL: ["https://www.nordwind.example/pricing", "https://www.nordwind.example/demo"],
}


def operand_for(operator: Operator, field: Field, other: Field) -> str | None:
    """Something that may stand to the right of the operator on this field; None where it cannot be used on it.

    `other` is a field of the same kind.
    """
    match operator.name:
        case name if name in OPERANDS:
            return OPERANDS[name]
        case "same_as":
            return other.path
        case "between":
            return RANGES[field.kind]
        case "changed_from" | "changed_to" if field.kind is Kind.LIST or field.kind in TIME_KINDS:
            return None
        case "in" | "not_in":
            return f"[{', '.join(_values_of(field))}]"
        case _:
            return _values_of(field)[0]


def _values_of(field: Field) -> list[str]:
    if field.kind in CHOICE_KINDS:
        return [one.name for one in field.choices[:2]]
    return VALUES.get(field.kind, ["Nordwind", "Sommer"])
