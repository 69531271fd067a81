"""The work that is measured: forms that come in, and the rules that look at them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

FORMS = ("demo-request", "whitepaper", "webinar", "pricing", "contact-us", "newsletter")
EVENTS_PER_COMPANY = 4


@dataclass(frozen=True, slots=True)
class Form:
    """One submission: its delivery id and its JSON body."""

    delivery_id: str
    body: bytes


def submissions(count: int, series: str) -> Iterator[Form]:
    """`count` forms, four a company: its first contact twice, then two more; every company asks for a demo once.

    So a quarter of the events makes a company, three quarters make a contact, and a quarter moves a category.
    Companies come in waves, as visitors do, not each in a row. `series` makes the companies new.
    """
    companies = max(count // EVENTS_PER_COMPANY, 1)
    for number in range(count):
        company, visit = number % companies, number // companies
        yield _form(f"{series}-{company}", visit, f"{series}-{number}")


def _form(company: str, visit: int, delivery_id: str) -> Form:
    person = max(visit - 1, 0)
    is_request = visit % EVENTS_PER_COMPANY == 1
    document = {
        "form": "demo-request" if is_request else FORMS[1 + (visit + len(company)) % (len(FORMS) - 1)],
        "email": f"person{person}@company{company}.example",
        "first_name": "Anna",
        "last_name": f"Number {person}",
        "company": f"Company {company} AS",
        "job_title": "Head of operations",
        "message": "We would like to hear more about what you do for companies of our size.",
        "utm_source": "linkedin",
        "utm_campaign": "spring",
    }
    return Form(f"bench-{delivery_id}", json.dumps(document).encode())


def bench_rules() -> dict[str, str]:
    """Nineteen rules: the shipped ones about sales, and for each form two or three that look at it."""
    rules = [
        _rule("registered-to-opportunity", "{sale: registered}", "{}", "[{set_category: {to: Opportunity}}]", 80),
        _rule("sold-to-customer", "{sale: sold}", "{}", "[{set_category: {to: Customer}}]", 80),
        _rule(
            "lost-to-lost-opportunity",
            "{sale: lost}",
            "{all: [{company.open_sales: {is: 0}}]}",
            "[{set_category: {to: Lost opportunity}}]",
            80,
        ),
        _rule(
            "demo-request-to-mql",
            "{form_submitted: {form: demo-request}}",
            "{all: [{company.category: {in: [Lead, Lost opportunity], or_blank: true}}]}",
            "[{set_category: {to: Marketing qualified lead}}]",
            70,
        ),
        _rule(
            "disqualified-again",
            "{record_changed: {contact.lead_status: {to: Disqualified}}}",
            "{all: [{company.category: Opportunity}]}",
            '[{add_tag: "look-again"}]',
        ),
    ]
    for form in FORMS:
        when = f"{{form_submitted: {{form: {form}}}}}"
        rules += [
            _rule(
                f"{form}-by-a-chief",
                when,
                "{all: [{form.job_title: {contains: chief}}, {company.category: {in_group: potential_customer}}]}",
                '[{add_tag: "decision-maker"}]',
            ),
            _rule(
                f"{form}-from-search",
                when,
                "{all: [{form.utm_source: [google, bing]}, {contact.lead_status: Open}]}",
                '[{add_tag: "from-search"}]',
            ),
        ]
    return {"bench.yaml": "leadflow: 1\nrules:\n" + "".join(rules)}


def _rule(slug: str, when: str, condition: str, actions: str, priority: int = 50) -> str:
    lines = [
        f"  - rule: {slug}",
        "    status: live",
        f"    priority: {priority}",
        f"    when: {when}",
        *([f"    if: {condition}"] if condition != "{}" else []),
        f"    then: {actions}",
    ]
    return "\n".join(lines) + "\n"
