"""Searches in the rule language."""

from __future__ import annotations

import base64
import json
from dataclasses import fields
from typing import Any

from leadflow.domain.fields import UnreadableValue
from leadflow.errors import Fault, InvalidRequest
from leadflow.rules.problems import find_nearest, quoted
from leadflow.services.searches import Search, read_search
from leadflow.store import reads
from leadflow.store.conditions import Subject
from leadflow.store.searches import Place, count_found, find_page, place_as_json, place_from_json
from leadflow.web.api.endpoints import Answer, Call, endpoint
from leadflow.web.api.models import SearchBody, SearchQuery
from leadflow.web.config import web_config
from leadflow.web.problems import Problem

COUNT = {"count": int}


@endpoint("post", "/companies/search", role="viewer", tag="Companies", view=reads.CompanyView, is_page=True, more=COUNT)
def search_companies(call: Call, query: SearchQuery, body: SearchBody) -> Answer:
    """Search companies in the rule language.

    `where` is a condition as in rules, as JSON: `{"all": [{"company.category": {"in": ["lead", "mql"]}}]}`. A criterion
    whose value is empty is inactive. `order_by` is a field of the company, `-` before it turns the order round; blanks
    come last. `count` (here or as a parameter) adds how many there are.
    """
    return _answer(call, "company", query, body)


@endpoint("post", "/contacts/search", role="viewer", tag="Contacts", view=reads.ContactView, is_page=True, more=COUNT)
def search_contacts(call: Call, query: SearchQuery, body: SearchBody) -> Answer:
    """Search contacts in the rule language.

    As for companies; the condition and the order may name fields of the contact and of its company:
    `{"all": [{"contact.lead_status": "Open"}, {"company.tags": {"has_none": ["do-not-contact"]}}]}`.
    """
    return _answer(call, "contact", query, body)


def _answer(call: Call, subject: Subject, query: SearchQuery, body: SearchBody) -> Answer:
    search = read_search(call.connection, web_config().searches, subject, body.where, body.order_by)
    view: type[Any] = reads.ContactView if subject == "contact" else reads.CompanyView
    columns = read_columns(view, body.columns)
    after = read_place(search, body.cursor or query.cursor)
    limit = body.limit or query.limit
    ids, next_place = find_page(call.connection, subject, search.condition, search.order, after, limit, call.now)
    page: dict[str, Any] = {
        "items": [_narrowed(one, columns) for one in _views(call, subject, ids)],
        "next": None if next_place is None else write_place(search, next_place),
    }
    if body.count or query.count:
        page["count"] = count_found(call.connection, subject, search.condition, call.now)
    return Answer(page)


def _views(call: Call, subject: Subject, ids: list[int]) -> list[Any]:
    read: Any = reads.contacts_by_id if subject == "contact" else reads.companies_by_id
    found = read(call.connection, set(ids))
    return [found[one] for one in ids]


def read_columns(view: type[Any], columns: list[str] | None) -> list[str] | None:
    """The keys that items are to have; None means all. Raises: InvalidRequest for what is no key of the view."""
    if not columns:
        return None
    known = [one.name for one in fields(view)]
    faults = [
        Fault(f"/columns/{place}", f"{quoted(name)} is not a column{_hint(name, known)}; allowed: {', '.join(known)}")
        for place, name in enumerate(columns)
        if name not in known
    ]
    if faults:
        raise InvalidRequest(faults)
    return list(dict.fromkeys(["id", *columns]))


def _hint(name: str, known: list[str]) -> str:
    near = find_nearest(name, known)
    return f"; did you mean '{near}'?" if near else ""


def _narrowed(view: Any, columns: list[str] | None) -> Any:
    return view if columns is None else {name: getattr(view, name) for name in columns}


# Cursors --------------------------------------------------------------------------------------------------------------


def write_place(search: Search, place: Place) -> str:
    """The cursor that stands behind this place in the search's order."""
    document = [_order_name(search), *place_as_json(place)]
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_place(search: Search, cursor: str | None) -> Place | None:
    """The reverse. Raises: Problem 400 for what `write_place` did not write for this order."""
    if not cursor:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        name, *place = json.loads(text)
        if name != _order_name(search):
            raise UnreadableValue("is for another order")
        return place_from_json(search.order, place)
    except (ValueError, TypeError, RecursionError):
        raise Problem(400, "The cursor is not one that this search gave in this order; begin without it.") from None


def _order_name(search: Search) -> str:
    order = search.order
    return "" if order is None else ("-" if order.is_descending else "") + order.field.path
