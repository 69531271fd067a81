"""What a new rule document begins with: complete rules that pass the check, rest, and bring their own tests."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flask_babel import lazy_gettext as _l

from leadflow.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Template:
    """A beginning: what it is called, for what it is good, and its text, in which `RULE` is the rule's id."""

    key: str
    title: str
    about: str
    icon: str
    text: str


_FORM = """\
# What these rules are for, and who agreed to them.
leadflow: 1

rules:
  - rule: RULE
    title: A demo request makes the company a marketing qualified lead
    why: Say here why the rule exists and who agreed to it.
    owner: marketing-ops
    status: draft                # draft | shadow | propose | live | off
    when: {form_submitted: {form: demo-request}}
    if:
      all:
        - company.category: {in: [Lead, Lost opportunity], or_blank: true}
    then:
      - set_category: {to: Marketing qualified lead}
    limit: {once_per: company, within: 7 days}
    tests:
      - test: a lead is moved
        given: {company: {category: Lead}}
        event: {form_submitted: {form: demo-request}}
        expect: {fires: true, company: {category: Marketing qualified lead}}
      - test: a customer is never downgraded
        given: {company: {category: Customer}}
        event: {form_submitted: {form: demo-request}}
        expect: {fires: false, because: company.category}
"""
_CHANGE = """\
# What these rules are for, and who agreed to them.
leadflow: 1

rules:
  - rule: RULE
    title: Sales is told when a lead is sent to re-nurture
    why: Say here why the rule exists and who agreed to it.
    owner: sales-ops
    status: draft                # draft | shadow | propose | live | off
    when: {record_changed: {contact.lead_status: {to: Re-nurture}}}
    then:
      - create_task:
          owner: marketing
          due_in: 2 days
          title: "Plan the next touch for {{ contact.first_name | default('the lead') }}"
    limit: {once_per: contact, within: 30 days}
    tests:
      - test: a lead in re-nurture is planned for
        given: {company: {category: Lead}, contact: {first_name: Anna, lead_status: Contacting}}
        event: {record_changed: {contact.lead_status: {from: Contacting, to: Re-nurture}}}
        expect: {fires: true, tasks: [Plan the next touch for Anna]}
"""
_SCHEDULE = """\
# What these rules are for, and who agreed to them.
leadflow: 1

rules:
  - rule: RULE
    title: Leads that rested for 90 days are opened again
    why: Say here why the rule exists and who agreed to it.
    owner: marketing-ops
    status: draft                # draft | shadow | propose | live | off
    when: {schedule: {every: day, at: "07:00", for_each: contact}}
    if:
      all:
        - contact.lead_status: Re-nurture
        - last_change: {field: contact.lead_status, to: Re-nurture, older_than: 90 days}
    then:
      - set_lead_status: {to: Open}
    limit: {once_per: contact, within: 90 days}
    tests:
      - test: after 91 days it is opened
        given:
          company: {category: Lead}
          contact: {lead_status: Re-nurture}
          history: [{ago: 91 days, changed: {contact.lead_status: {from: Contacting, to: Re-nurture}}}]
        event: {schedule: due}
        expect: {fires: true, contact: {lead_status: Open}}
      - test: after 10 days it rests
        given:
          company: {category: Lead}
          contact: {lead_status: Re-nurture}
          history: [{ago: 10 days, changed: {contact.lead_status: {from: Contacting, to: Re-nurture}}}]
        event: {schedule: due}
        expect: {fires: false, because: last_change}
"""

TEMPLATES = (
    Template(
        "form", _l("A form moves a company"), _l("Somebody sends a form, and the category follows."), "forms", _FORM
    ),
    Template(
        "change",
        _l("A change calls for something"),
        _l("A field changes, and a task or a message follows."),
        "replace",
        _CHANGE,
    ),
    Template(
        "schedule",
        _l("A look at all records"),
        _l("Each day, hour or week: who fits is taken on."),
        "calendar-repeat",
        _SCHEDULE,
    ),
)


def write_template(key: str, document: str) -> str:
    """The text of a new document, with a rule id made from the document's name. Raises: InvalidRequest."""
    found = next((one for one in TEMPLATES if one.key == key), None)
    if found is None:
        raise InvalidRequest("There is no such template.")
    stem = document.rpartition("/")[2].partition(".")[0].lower()
    slug = re.sub(r"[^a-z0-9]+", "-", stem).strip("-") or "new-rule"
    return found.text.replace("rule: RULE", f"rule: {slug}", 1)
