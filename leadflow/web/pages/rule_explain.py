"""Why a rule would or would not act on a company or contact, and the least that would have to be different."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import Connection

from leadflow.errors import NotFound
from leadflow.rules.parsing import ParsedRules
from leadflow.services import rule_documents
from leadflow.services.explanations import Explanation, explain_live_rule, glance_at_rules
from leadflow.services.rule_sets import live_documents
from leadflow.store import page_reads, reads
from leadflow.web.auth import requires
from leadflow.web.pages import desk, rulebook, wording
from leadflow.web.pages.rule_sheets import account_id

# As many rules are judged for one page; who has more looks at them one by one.
MAX_GLANCES = 60
FOUND = 6

VERDICTS = {
    "fires": wording.Words(_l("Would act"), "green", "bolt"),
    "near_miss": wording.Words(_l("One thing missing"), "amber", "target"),
    "no": wording.Words(_l("Would not act"), "grey", "minus"),
}
BY = {
    "person": wording.Words(_l("somebody can change it"), "sky", "pencil"),
    "event": wording.Words(_l("the event would have to say it"), "indigo", "inbox"),
    "happening": wording.Words(_l("it has to happen"), "violet", "history"),
    "time": wording.Words(_l("time brings it about"), "teal", "clock"),
    "nobody": wording.Words(_l("nobody can change it"), "grey", "lock"),
}


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""

    @pages.get("/rules/<slug>/explain")
    @requires("viewer")
    def rule_explain(slug: str) -> Any:
        with desk.reading() as connection:
            return desk.show(connection, "rule_explain.html", "rules", **_one_rule(connection, slug))

    @pages.get("/explain")
    @requires("viewer")
    def explain_record() -> Any:
        with desk.reading() as connection:
            return desk.show(connection, "explain_record.html", "rules", **_all_rules(connection))


def _rules(connection: Connection) -> ParsedRules:
    """The rules as they are live, or with `draft` as this person's unpublished drafts say."""
    documents = dict(live_documents(connection)[1])
    if _wants_draft():
        documents |= {one.document: one.text for one in rule_documents.read_drafts(connection, account_id())}
    return rulebook.read(documents, desk.lists(connection))


def _wants_draft() -> bool:
    return desk.asked("draft") == "1"


def _asked_ids() -> tuple[int | None, int | None]:
    """The company or the contact of the address; the contact if both are named."""
    company, contact = (_asked_id(name) for name in ("company", "contact"))
    return (None, contact) if contact is not None else (company, None)


def _asked_id(name: str) -> int | None:
    text = desk.asked(name)
    return desk.expected_id(int(text)) if text.isascii() and text.isdigit() and len(text) <= 19 else None


def _one_rule(connection: Connection, slug: str) -> dict[str, Any]:
    rule_set = _rules(connection).rule_set
    rule = next((one for one in rule_set.rules if one.slug == slug), None)
    if rule is None and _wants_draft():
        raise NotFound(_("The rule “%(slug)s” is not in your drafts, or it has mistakes; mend them first.", slug=slug))
    if rule is None:
        raise NotFound(_("There is no live rule “%(slug)s”. It may have been renamed or taken out.", slug=slug))
    company_id, contact_id = _asked_ids()
    lists = desk.lists(connection)
    found: Explanation | None = None
    if company_id is not None or contact_id is not None:
        found = explain_live_rule(connection, lists, rule_set, slug, company_id, contact_id, desk.now())
    return {
        "rule": rule,
        "is_draft": _wants_draft(),
        "trigger": rulebook.trigger_words(rule, lists),
        "told": found,
        "titles": {one.slug: one.title or one.slug for one in rule_set.rules},
        **_record(connection, company_id, contact_id),
        **_picked(connection, lambda **asked: url_for("pages.rule_explain", slug=slug, **asked)),
    }


def _all_rules(connection: Connection) -> dict[str, Any]:
    company_id, contact_id = _asked_ids()
    rule_set, glances = _rules(connection).rule_set, []
    if company_id is not None or contact_id is not None:
        ids = company_id, contact_id
        glances = glance_at_rules(connection, desk.lists(connection), rule_set, *ids, desk.now(), MAX_GLANCES)
    order = {"fires": 0, "near_miss": 1, "no": 2}
    return {
        "glances": sorted(glances, key=lambda one: order[one.verdict]),
        "rest": max(0, sum(one.status.value in ("live", "propose", "shadow") for one in rule_set.rules) - MAX_GLANCES),
        **_record(connection, company_id, contact_id),
        **_picked(connection, lambda **asked: url_for("pages.explain_record", **asked)),
    }


def _record(connection: Connection, company_id: int | None, contact_id: int | None) -> dict[str, Any]:
    """The record that is asked about, its name and the way to it."""
    company = None if company_id is None else reads.company(connection, company_id)
    contact = None if contact_id is None else reads.contact(connection, contact_id)
    asked: dict[str, Any] = {"contact": contact_id} if contact_id is not None else {"company": company_id}
    asked |= {"draft": "1"} if _wants_draft() else {}
    name = wording.contact_name(contact) if contact else wording.company_name(company) if company else ""
    return {"company": company, "contact": contact, "name": name, "asked": asked, "verdicts": VERDICTS, "by": BY}


def _picked(connection: Connection, address: Any) -> dict[str, Any]:
    """What the picker found, with the address of the explanation for each."""
    wanted, more = desk.asked("find"), {"draft": "1"} if _wants_draft() else {}
    if not wanted:
        return {"find": "", "choices": []}
    found = page_reads.newest_companies(connection, reads.CompanyFilter(q=wanted), after=None, limit=FOUND).items
    people = page_reads.newest_contacts(
        connection, reads.ContactFilter(q=wanted), is_lead=False, after=None, limit=FOUND
    ).items
    companies = [
        ("building", wording.company_name(one), one.domain or "", address(company=one.id, **more)) for one in found
    ]
    contacts = [("user", wording.contact_name(one), one.email or "", address(contact=one.id, **more)) for one in people]
    return {"find": wanted, "choices": [*companies, *contacts]}
