"""Facts for the tests of the rule language: the seeded lists, and small makers of situations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from leadflow.domain.events import Occurrence, Trigger
from leadflow.domain.fields import Catalogue, Choice, CustomField, Kind, build_catalogue
from leadflow.domain.lead_status import LeadStatus, LeadStatuses
from leadflow.domain.lifecycle import Category, Edge, EdgeKind, Group, Lifecycle
from leadflow.domain.records import Company, Contact
from leadflow.rules.model import Rule, Situation
from leadflow.rules.parsing import parse_documents
from leadflow.rules.problems import render_text

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)

POTENTIAL = Group.POTENTIAL_CUSTOMER
CATEGORIES = (
    Category("lead", "Lead", POTENTIAL, 1, True),
    Category("mql", "Marketing qualified lead", POTENTIAL, 2, True, "MQL"),
    Category("opportunity", "Opportunity", POTENTIAL, 3, True),
    Category("lost-opportunity", "Lost opportunity", POTENTIAL, 4, True),
    Category("customer", "Customer", Group.CUSTOMER, 5),
    Category("former-customer", "Former customer", Group.LOST, 6),
    Category("partner", "Partner", Group.PARTNER, 7),
    Category("other", "Other", Group.OTHER, 8),
    Category("suspect", "Suspect", POTENTIAL, 9, deleted=True),
)
LIFECYCLE = Lifecycle(
    {one.key: one for one in CATEGORIES},
    frozenset({Edge(None, "lead"), Edge("lead", "mql"), Edge("opportunity", "customer", EdgeKind.EXIT)}),
)
STATUSES = LeadStatuses(
    {
        key: LeadStatus(key, name, rank, is_default=key == "open")
        for rank, (key, name) in enumerate(
            {
                "open": "Open",
                "contacting": "Contacting",
                "disqualified": "Disqualified",
                "re-nurture": "Re-nurture",
                "qualified": "Qualified",
            }.items()
        )
    }
)
CUSTOM_FIELDS = (
    CustomField("company", "employees", Kind.NUMBER, "Employees"),
    CustomField("company", "founded", Kind.DATE, "Founded"),
    CustomField("company", "website", Kind.URL, "Website"),
    CustomField("company", "tier", Kind.ENUMERATION, "Tier", choices=(Choice("a", "Gold"), Choice("b", "Silver"))),
    CustomField("contact", "newsletter", Kind.BOOLEAN, "Newsletter"),
    CustomField("contact", "interests", Kind.LIST, "Interests"),
    CustomField("form", "budget", Kind.NUMBER, "Budget"),
    CustomField("event", "minutes", Kind.NUMBER, "Minutes"),
)
EVENTS = {"webinar_attended": "Attended a webinar", "email_opened": "Opened an e-mail"}
CATALOGUE: Catalogue = build_catalogue(LIFECYCLE, STATUSES, CUSTOM_FIELDS, EVENTS)


def parse_one_rule(text: str, catalogue: Catalogue = CATALOGUE) -> Rule:
    """The only rule of a document, which must have no problems."""
    parsed = parse_documents({"test.yaml": text}, catalogue)
    assert not parsed.problems, render_text(parsed.problems)
    (rule,) = parsed.rule_set.rules
    return rule


def rule_with(
    condition: str, when: str = "{form_submitted: any}", then: str = "[{add_tag: x}]", zone: str = "UTC"
) -> Rule:
    """A rule with this condition in flow style."""
    return parse_one_rule(document_with(condition, when, then, zone))


def document_with(
    condition: str, when: str = "{form_submitted: any}", then: str = "[{add_tag: x}]", zone: str = "UTC"
) -> str:
    return (
        f"leadflow: 1\nsettings: {{timezone: {zone}}}\n"
        f"rules:\n  - rule: tested\n    when: {when}\n    if: {condition}\n    then: {then}\n"
    )


def form_situation(form: dict[str, Any] | None = None, *, now: datetime = NOW, **records: Any) -> Situation:
    """A form was submitted: `form` holds its fields."""
    fields = dict(form or {})
    detail = {"form": fields.get("form"), "form_type": fields.get("form_type")}
    return Situation(Occurrence(Trigger.FORM_SUBMITTED, detail), now, form=fields, **records)


def change_situation(changes: dict[str, tuple[object, object]], **records: Any) -> Situation:
    """Fields of a record changed: `changes` holds old and new by path."""
    return Situation(Occurrence(Trigger.RECORD_CHANGED, changes=changes), NOW, **records)


def sale_situation(step: str, sale: dict[str, Any] | None = None, **records: Any) -> Situation:
    """A sale was registered, sold or lost."""
    return Situation(Occurrence(Trigger.SALE, {"step": step}), NOW, sale=dict(sale or {}), **records)


def situation_with(values: dict[str, Any], *, now: datetime = NOW) -> Situation:
    """A form was submitted; each value stands in the field of its path: `company.fields.employees`, `form.email`."""
    company, contact, form = make_company(), make_contact(), {}
    for path, value in values.items():
        root, _, name = path.partition(".")
        if root == "form":
            form[name] = value
        elif name.startswith("fields."):
            (company if root == "company" else contact).fields[name.removeprefix("fields.")] = value
        else:
            setattr(company if root == "company" else contact, name, value)
    return form_situation(form, now=now, company=company, contact=contact)


def holds(condition: str, values: dict[str, Any], *, now: datetime = NOW, zone: str = "UTC") -> bool:
    """Whether the condition holds where the fields have these values."""
    judgement = rule_with(condition, zone=zone).judge(situation_with(values, now=now))
    assert judgement.error is None, judgement.error
    return judgement.holds


def make_company(**values: Any) -> Company:
    return Company(id=1, **values)


def make_contact(**values: Any) -> Contact:
    return Contact(id=2, **values)
