"""The cards of companies and contacts, and what a person may change on them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from flask import Blueprint, current_app, flash, request, url_for
from flask_babel import gettext as _
from sqlalchemy import Connection

from leadflow.domain.fields import UnreadableValue, read_date, read_moment
from leadflow.domain.lead_status import LeadStatus
from leadflow.domain.lifecycle import Category
from leadflow.errors import Conflict, InvalidRequest, StaleWrite, UnknownValue
from leadflow.services.follow_ups import create_task
from leadflow.services.records import change_company, change_contact
from leadflow.store import page_reads, reads
from leadflow.store.lists import Lists
from leadflow.web.auth import current_caller, requires
from leadflow.web.config import web_config
from leadflow.web.pages import desk, wording
from leadflow.web.pages.record_edits import EditField, as_sent, edit_fields, patch_of
from leadflow.web.pages.refusals import sentence_of

SHOWN_CONTACTS = 20
FIRST_ENTRIES = 40
MAX_ENTRIES = 640
CHANGED_MEANWHILE = (
    "Somebody or something changed this record since you opened it. Look at it as it is now, then decide."
)


def register(pages: Blueprint) -> None:
    """Add the cards to the blueprint."""
    _register_cards(pages)
    _register_edits(pages)
    _register_details(pages)


def _register_cards(pages: Blueprint) -> None:
    @pages.get("/companies/<int:company_id>")
    @requires("viewer")
    def company(company_id: int) -> Any:
        return _company_card(desk.expected_id(company_id))

    @pages.get("/contacts/<int:contact_id>")
    @requires("viewer")
    def contact(contact_id: int) -> Any:
        return _contact_card(desk.expected_id(contact_id))


def _register_edits(pages: Blueprint) -> None:
    @pages.post("/companies/<int:company_id>/category")
    @requires("editor")
    def change_company_category(company_id: int) -> Any:
        patch = {"category": request.form.get("category") or None}
        refusal = _try(change_company, desk.expected_id(company_id), patch)
        if refusal:
            return _company_card(company_id, refusal)
        return desk.go(url_for("pages.company", company_id=company_id))

    @pages.post("/contacts/<int:contact_id>/category")
    @requires("editor")
    def change_contact_category(contact_id: int) -> Any:
        patch = {"category": request.form.get("category") or None}
        return _after_contact(contact_id, "category", _try(change_contact, desk.expected_id(contact_id), patch))

    @pages.post("/contacts/<int:contact_id>/lead-status")
    @requires("editor")
    def change_lead_status(contact_id: int) -> Any:
        patch = {"lead_status": request.form.get("lead_status", "")}
        return _after_contact(contact_id, "lead_status", _try(change_contact, desk.expected_id(contact_id), patch))


def _register_details(pages: Blueprint) -> None:
    @pages.post("/companies/<int:company_id>/details")
    @requires("editor")
    def change_company_details(company_id: int) -> Any:
        """Names, owner, tags and own fields."""
        with desk.reading() as connection:
            company = reads.company(connection, desk.expected_id(company_id))
            fields = edit_fields(desk.lists(connection), company)
        refusal = _try_patch(change_company, company_id, fields)
        if refusal:
            return _company_card(company_id, refusal, "details")
        return desk.go(url_for("pages.company", company_id=company_id))

    @pages.post("/contacts/<int:contact_id>/details")
    @requires("editor")
    def change_contact_details(contact_id: int) -> Any:
        """Names, address, company, tags and own fields."""
        with desk.reading() as connection:
            contact = reads.contact(connection, desk.expected_id(contact_id))
            fields = edit_fields(desk.lists(connection), contact, _company_of(connection, contact))
        return _after_contact(contact_id, "details", _try_patch(change_contact, contact_id, fields))

    @pages.post("/companies/<int:company_id>/tasks")
    @requires("editor")
    def add_company_task(company_id: int) -> Any:
        refusal = _add_task(company_id=desk.expected_id(company_id))
        if refusal:
            return _company_card(company_id, refusal, "task")
        return desk.go(url_for("pages.company", company_id=company_id))

    @pages.post("/contacts/<int:contact_id>/tasks")
    @requires("editor")
    def add_contact_task(contact_id: int) -> Any:
        return _after_contact(contact_id, "task", _add_task(contact_id=desk.expected_id(contact_id)))


def _try_patch(change: Any, record_id: int, fields: list[EditField]) -> str | None:
    """Write what the form of details changes; the reason if it is refused."""
    try:
        with desk.reading() as connection:
            patch = patch_of(connection, fields, request.form)
    except InvalidRequest as refusal:
        return sentence_of(refusal)
    return _try(change, record_id, patch)


def _add_task(**subject: int) -> str | None:
    """A task for people about this record; the reason if it cannot be made."""
    draft: dict[str, object] = {"title": request.form.get("title", ""), "owner": request.form.get("owner") or None}
    try:
        if day := request.form.get("due_on", "").strip():
            draft["due_at"] = read_moment(f"{read_date(day).isoformat()}T17:00", UTC)
        with desk.writing() as connection:
            create_task(connection, current_caller().actor, {**draft, **subject}, desk.now())
    except UnreadableValue as fault:
        return f"The day {fault}."
    except InvalidRequest as refusal:
        return sentence_of(refusal)
    flash(_("The task is made."), "green")
    return None


def _company_of(connection: Connection, contact: reads.ContactView) -> reads.CompanyView | None:
    return None if contact.company_id is None else reads.company(connection, contact.company_id)


def _details(fields: list[EditField], refusal_of: str) -> list[EditField]:
    return as_sent(fields, request.form) if refusal_of == "details" else fields


def _why_url(root: str, record_id: int) -> str | None:
    """Where it is explained why a rule did not act here, if this installation has that page."""
    if "pages.explain_record" not in current_app.view_functions:
        return None
    values: dict[str, Any] = {root: record_id}
    return url_for("pages.explain_record", **values)


def _after_contact(contact_id: int, field: str, refusal: str | None) -> Any:
    if refusal:
        return _contact_card(contact_id, refusal, field)
    return desk.go(url_for("pages.contact", contact_id=contact_id))


def _try(change: Any, record_id: int, patch: Mapping[str, Any]) -> str | None:
    """Make the change as the person who is signed in; the reason if it is refused."""
    try:
        with desk.writing() as connection:
            change(connection, current_caller().actor, record_id, patch, desk.now(), desk.sent_revision())
    except StaleWrite:
        return CHANGED_MEANWHILE
    except InvalidRequest as refusal:
        return sentence_of(refusal)
    except (Conflict, UnknownValue) as reason:
        return str(reason)
    web_config().ring()
    flash("Saved. The history names you.", "green")
    return None


# -- lists -------------------------------------------------------------------------------------------------------------


def categories_on_offer(lists: Lists) -> list[Category]:
    """What may be chosen, in rank order."""
    return sorted((one for one in lists.lifecycle.categories.values() if not one.deleted), key=lambda one: one.rank)


def statuses_on_offer(lists: Lists) -> list[LeadStatus]:
    """What may be chosen, in rank order."""
    return sorted((one for one in lists.statuses.by_key.values() if not one.deleted), key=lambda one: one.rank)


# -- cards -------------------------------------------------------------------------------------------------------------


def _company_card(company_id: int, refusal: str | None = None, refusal_of: str = "category") -> Any:
    with desk.reading() as connection:
        values = _company_values(connection, company_id, refusal_of)
        status = 409 if refusal else 200
        told = {"refusal": refusal, "refusal_of": refusal_of if refusal else ""}
        return desk.show(connection, "company.html", "companies", status, **told, **values)


def _company_values(connection: Connection, company_id: int, refusal_of: str) -> dict[str, Any]:
    lists = desk.lists(connection)
    company = reads.company(connection, company_id)
    wanted = reads.ContactFilter(company_id=company_id)
    contacts = page_reads.newest_contacts(connection, wanted, is_lead=False, after=None, limit=SHOWN_CONTACTS)
    timeline = page_reads.timeline_of_company(connection, company_id, limit=_entries_to_show())
    return {
        "company": company,
        "name": wording.company_name(company),
        "category": lists.lifecycle.categories.get(company.category.key) if company.category else None,
        "categories": categories_on_offer(lists),
        "contacts": contacts.items,
        "contact_total": page_reads.contacts_per_company(connection, [company_id]).get(company_id, 0),
        "sales": list(reversed(reads.sales(connection, company_id=company_id).items)),
        "tasks": page_reads.tasks_of_company(connection, company_id),
        "own_fields": _own_fields(lists, "company", company.fields),
        "timeline": timeline,
        "people": _people_in(connection, timeline),
        "show": _entries_to_show(),
        "is_contact_page": False,
        "details": _details(edit_fields(lists, company), refusal_of),
        "why_url": _why_url("company", company_id),
    }


def _contact_card(contact_id: int, refusal: str | None = None, refusal_of: str = "") -> Any:
    with desk.reading() as connection:
        values = _contact_values(connection, contact_id, refusal_of)
        status = 409 if refusal else 200
        told = {"refusal": refusal, "refusal_of": refusal_of}
        return desk.show(connection, "contact.html", "contacts", status, **told, **values)


def _contact_values(connection: Connection, contact_id: int, refusal_of: str) -> dict[str, Any]:
    lists = desk.lists(connection)
    contact = reads.contact(connection, contact_id)
    status = contact.lead_status
    company = _company_of(connection, contact)
    timeline = page_reads.timeline_of_contact(connection, contact, limit=_entries_to_show())
    return {
        "contact": contact,
        "name": wording.contact_name(contact),
        "company": company,
        "category": lists.lifecycle.categories.get(contact.category.key) if contact.category else None,
        "categories": categories_on_offer(lists),
        "status": lists.statuses.by_key.get(status.key) if status else None,
        "statuses": statuses_on_offer(lists),
        "tasks": page_reads.tasks_of_contact(connection, contact_id),
        "own_fields": _own_fields(lists, "contact", contact.fields),
        "timeline": timeline,
        "people": {},
        "show": _entries_to_show(),
        "is_contact_page": True,
        "details": _details(edit_fields(lists, contact, company), refusal_of),
        "why_url": _why_url("contact", contact_id),
    }


def _entries_to_show() -> int:
    """How much of a timeline is asked for: it doubles with each “show earlier”."""
    asked = request.args.get("show", "")
    wanted = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else FIRST_ENTRIES
    return min(max(wanted, FIRST_ENTRIES), MAX_ENTRIES)


def _people_in(connection: Connection, timeline: page_reads.Timeline) -> dict[int, reads.ContactView]:
    ids = {
        one.contact_id
        for entry in timeline.entries
        if (one := entry.change or entry.event or entry.task) and one.contact_id is not None
    }
    return reads.contacts_by_id(connection, ids) if ids else {}


def _own_fields(lists: Lists, record: str, fields: dict[str, Any]) -> list[tuple[str, str]]:
    """The installation's own fields that have a value, with their labels."""
    return [
        (one.label, wording.value_words(lists, one.path, fields[name]))
        for name, one in lists.catalogue.custom(record).items()
        if fields.get(name) is not None
    ]
