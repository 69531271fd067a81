"""The lists of companies and contacts: everything that one shows stands in its address, so that it can be shared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flask import Blueprint, Response, make_response, request, url_for
from sqlalchemy import ColumnElement, Connection

from leadflow.domain.fields import Field, Kind, UnreadableValue
from leadflow.domain.lifecycle import GROUP_NAMES
from leadflow.errors import InvalidRequest
from leadflow.rules.values import CHOICE_KINDS
from leadflow.services.searches import ROOTS, Search, read_search
from leadflow.store.conditions import Subject, render
from leadflow.store.lists import Lists
from leadflow.store.record_lists import (
    QuickFilters,
    begins_with,
    belongs_to,
    count_groups,
    is_among_newest,
)
from leadflow.store.searches import Order, Place, Walk, Window, place_as_json, place_from_json
from leadflow.web.auth import requires
from leadflow.web.config import web_config
from leadflow.web.pages import criteria, desk, wording
from leadflow.web.pages.record_columns import (
    FIRST_COLUMNS,
    MAX_COLUMNS,
    Column,
    Row,
    columns_on_offer,
    name_column,
    rows_of,
)
from leadflow.web.pages.record_exports import export_records
from leadflow.web.pages.records import categories_on_offer, statuses_on_offer

COLUMNS_COOKIE = "leadflow_columns_{}"
COOKIE_SECONDS = 365 * 86_400
# So long a page may look for its records; then it looks among the newest ones only, and says so.
LOOK_MILLISECONDS, PATIENT_MILLISECONDS = 60, 12_000
NEWEST_RECORDS = 10_000
GROUP_ROWS, MAX_GROUPS_SHOWN = 5, 24
GROUPABLE = (Kind.CATEGORY, Kind.ENUMERATION, Kind.BOOLEAN)
GROUPABLE_TEXTS = ("owner", "first_touch.source", "first_touch.medium", "first_touch.campaign")


def register(pages: Blueprint) -> None:
    """Add the lists to the blueprint."""

    @pages.get("/companies")
    @requires("viewer")
    def companies() -> Any:
        return _list_page("company")

    @pages.get("/contacts")
    @requires("viewer")
    def contacts() -> Any:
        return _list_page("contact")

    @pages.get("/companies.csv")
    @requires("viewer")
    def export_companies() -> Any:
        return _export("company")

    @pages.get("/contacts.csv")
    @requires("viewer")
    def export_contacts() -> Any:
        return _export("contact")

    @pages.get("/search")
    @requires("viewer")
    def search() -> Any:
        with desk.reading() as connection:
            return desk.show(connection, "search.html", "search", **_found(connection, desk.asked("q")))


def _list_page(subject: Subject) -> Any:
    with desk.reading() as connection:
        asked = read_asked(connection, subject)
        is_partial = request.headers.get("HX-Request") == "true"
        if asked.is_from_form and not is_partial and not criteria.is_unfinished():
            return _remember(desk.go(asked.url()), asked)
        values = _values(connection, asked)
        code = 422 if asked.problem and not is_partial else 200
        body, code = desk.show(connection, TEMPLATES[subject], SECTIONS[subject], code, **values)
    response = _remember(make_response(body, code), asked)
    if is_partial and asked.is_from_form:
        response.headers["HX-Push-Url"] = asked.url()
    return response


TEMPLATES = {"company": "companies.html", "contact": "contacts.html"}
SECTIONS = {"company": "companies", "contact": "contacts"}


def _remember(response: Any, asked: Asked) -> Any:
    """Let the browser keep the columns that a person chose, for addresses that name none."""
    if asked.are_columns_chosen and isinstance(response, Response):
        name, value = COLUMNS_COOKIE.format(asked.subject), ",".join(asked.columns)
        secure = web_config().has_secure_cookies
        response.set_cookie(name, value, COOKIE_SECONDS, httponly=True, samesite="Lax", secure=secure)
    return response


# What is asked for ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """What an address asks of a list. `problem` says in a sentence why its criteria cannot be read."""

    subject: Subject
    where: Any | None
    q: str
    category: str
    status: str
    columns: tuple[str, ...]
    order_by: str
    group_by: str
    after: str = ""
    before: str = ""
    is_patient: bool = False
    is_from_form: bool = False
    are_columns_chosen: bool = False
    are_columns_named: bool = False
    problem: str = ""

    def url(self, **changes: Any) -> str:
        """The address of this list, or of one that differs in something; it begins at the first page."""
        one = replace(self, after="", before="", **changes)
        return address(f"pages.{SECTIONS[self.subject]}", one.parameters())

    def parameters(self) -> dict[str, str | None]:
        """Everything that makes this list, but for the page of it."""
        named = self.are_columns_chosen or self.are_columns_named
        return {
            "q": self.q,
            "category": self.category,
            "status": self.status,
            "where": criteria.compact(self.where),
            "columns": ",".join(self.columns) if named else None,
            "order_by": self.order_by,
            "group_by": self.group_by,
        }

    def page_url(self, **place: str) -> str:
        """Another page of this list."""
        patient = {"patient": "1"} if self.is_patient else {}
        return address(f"pages.{SECTIONS[self.subject]}", {**self.parameters(), **patient, **place})

    @property
    def export_url(self) -> str:
        """The same records, with the same columns, as a file."""
        given = {**self.parameters(), "group_by": None, "columns": ",".join(self.columns)}
        return address(f"pages.export_{SECTIONS[self.subject]}", given)

    @property
    def is_narrowed(self) -> bool:
        return bool(self.q or self.category or self.status or self.where is not None)


def address(endpoint: str, parameters: Mapping[str, Any]) -> str:
    """The address with those parameters that say something."""
    given: dict[str, Any] = {name: value for name, value in parameters.items() if value}
    return url_for(endpoint, **given)


def read_asked(connection: Connection, subject: Subject) -> Asked:
    """What this request's address, or its filled form, asks for."""
    lists = desk.lists(connection)
    where, problem = None, ""
    try:
        where = criteria.asked_where()
    except InvalidRequest as refusal:
        problem = criteria.sentences_of(refusal)
    given = request.values
    ticked = [one for one in given.getlist("column") if one]
    columns, are_named = _asked_columns(lists, subject, ticked)
    return Asked(
        subject,
        where,
        desk.asked("q"),
        desk.asked("category"),
        desk.asked("status"),
        columns,
        _asked_order(lists, subject, given.get("order_by", "")),
        given.get("group_by", "") if given.get("group_by", "") in groupable(lists, subject) else "",
        given.get("after", "")[:2_000],
        given.get("before", "")[:2_000],
        given.get("patient") == "1",
        "form" in given,
        bool(ticked),
        are_named,
        problem,
    )


def _asked_columns(lists: Lists, subject: Subject, ticked: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """The columns by key, and whether the address names them: ticked, in the address, remembered, or the usual ones."""
    on_offer = columns_on_offer(lists, subject)
    named = request.values.get("columns", "")
    remembered = request.cookies.get(COLUMNS_COOKIE.format(subject), "")
    for names in (ticked, named.split(","), remembered.split(",")):
        known = tuple(dict.fromkeys(one for name in names if (one := _key_of(name, subject)) in on_offer))
        if known:
            return known[:MAX_COLUMNS], names is not ticked and bool(named) and names == named.split(",")
    return FIRST_COLUMNS[subject], False


def _key_of(name: str, subject: Subject) -> str:
    """A column's key, whose own record may be left out of it."""
    aliases = {"category": "company.category", "company": "company.name"}
    name = aliases.get(name.strip(), name.strip())
    if "." in name and name.partition(".")[0] not in ("company", "contact"):
        return f"{subject}.{name}"
    known = ("category_group", "contacts")
    return name if "." in name or name in known else f"{subject}.{name}"


def _asked_order(lists: Lists, subject: Subject, text: str) -> str:
    fields = {one.path for one in lists.catalogue.of(*ROOTS[subject]) if one.kind is not Kind.LIST}
    path = text.strip().removeprefix("-")
    known = next((one for one in (path, f"{subject}.{path}") if one in fields), "")
    return f"-{known}" if known and text.strip().startswith("-") else known


def groupable(lists: Lists, subject: Subject) -> dict[str, str]:
    """What records can be grouped by, with labels."""
    found = {
        one.path: one.label
        for one in lists.catalogue.of(*ROOTS[subject])
        if one.kind in GROUPABLE or (one.kind is Kind.TEXT and one.path.partition(".")[2] in GROUPABLE_TEXTS)
    }
    return {"category_group": columns_on_offer(lists, subject)["category_group"].label, **found}


def narrowing_of(lists: Lists, asked: Asked) -> tuple[ColumnElement[bool], ...]:
    """The quick filters as SQL."""
    return QuickFilters(asked.q, asked.category, asked.status).narrowing(asked.subject, lists.lifecycle)


# What is shown --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listing:
    """A page of a list, or its groups. `is_partial`: the order would take too long, so these are the newest only."""

    rows: list[Row] = field(default_factory=list)
    groups: list[GroupShown] = field(default_factory=list)
    previous_url: str = ""
    next_url: str = ""
    is_partial: bool = False


@dataclass(frozen=True)
class GroupShown:
    """A heading with its size, the first rows, and where the rest is."""

    label: str
    column: Column | None
    value: Any
    count: int
    is_exact: bool
    rows: list[Row]
    url: str


def _values(connection: Connection, asked: Asked) -> dict[str, Any]:
    lists = desk.lists(connection)
    on_offer = columns_on_offer(lists, asked.subject)
    builder = _builder(connection, asked)
    listing = Listing()
    if not asked.problem and not builder.has_faults:
        listing = _listing(connection, lists, asked)
    return {
        "asked": asked,
        "criteria": builder,
        "listing": listing,
        "name_column": name_column(lists, asked.subject),
        "columns": [on_offer[key] for key in asked.columns],
        "column_choices": [*(on_offer[key] for key in asked.columns), *_others(on_offer, asked.columns)],
        "groupable": groupable(lists, asked.subject),
        "categories": categories_on_offer(lists),
        "statuses": statuses_on_offer(lists),
        "q": asked.q,
        "NEWEST_RECORDS": NEWEST_RECORDS,
    }


def _others(on_offer: dict[str, Column], chosen: Sequence[str]) -> list[Column]:
    return sorted((one for key, one in on_offer.items() if key not in chosen), key=lambda one: one.label.casefold())


def _builder(connection: Connection, asked: Asked) -> criteria.Builder:
    if asked.is_from_form:
        return criteria.builder_of_form(connection, asked.subject)
    return criteria.builder_of(connection, asked.subject, asked.where)


def _listing(connection: Connection, lists: Lists, asked: Asked) -> Listing:
    search = read_search(connection, web_config().searches, asked.subject, asked.where, asked.order_by or None)
    if asked.group_by:
        return Listing(groups=_groups(connection, lists, asked, search))
    return _page(connection, lists, asked, search)


def _page(connection: Connection, lists: Lists, asked: Asked, search: Search) -> Listing:
    walk = _walk(lists, asked, search)
    start = _read_place(walk.order, asked.before or asked.after)
    window, is_partial = _look(connection, walk, start, asked.is_patient)
    first, last = (json.dumps(place_as_json(one)) if one else "" for one in (window.first, window.last))
    has_previous = bool(start) if not asked.before else window.has_more
    has_next = window.has_more if not asked.before else bool(window.ids)
    return Listing(
        rows_of(connection, asked.subject, window.ids),
        previous_url=asked.page_url(before=first) if has_previous and first else "",
        next_url=asked.page_url(after=last) if has_next and last else "",
        is_partial=is_partial,
    )


def _walk(lists: Lists, asked: Asked, search: Search) -> Walk:
    asked_sql = render(search.condition, asked.subject, desk.now())
    narrowing, is_backwards = narrowing_of(lists, asked), bool(asked.before)
    return Walk(asked.subject, asked_sql, search.order, narrowing, is_backwards, newest_first=True)


def _look(connection: Connection, walk: Walk, start: Place | None, is_patient: bool) -> tuple[Window, bool]:
    """The records next to a place; if that takes too long, of the newest records only."""
    milliseconds = PATIENT_MILLISECONDS if is_patient else LOOK_MILLISECONDS
    window = walk.window(connection, start, desk.PAGE_SIZE, milliseconds)
    if window is not None:
        return window, False
    newest = is_among_newest(connection, walk.subject, NEWEST_RECORDS)
    walk = replace(walk, narrowing=(*walk.narrowing, newest))
    return walk.window(connection, start, desk.PAGE_SIZE, PATIENT_MILLISECONDS) or Window([], None, None, False), True


def _read_place(order: Order | None, text: str) -> Place | None:
    try:
        return place_from_json(order, json.loads(text)) if text else None
    except (ValueError, RecursionError, UnreadableValue):
        return None


def _export(subject: Subject) -> Response:
    """Everything that the list finds, in its order and with its columns."""
    with desk.reading() as connection:
        lists = desk.lists(connection)
        asked = read_asked(connection, subject)
        if asked.problem:
            raise InvalidRequest(asked.problem)
        search = read_search(connection, web_config().searches, subject, asked.where, asked.order_by or None)
        walk = _walk(lists, replace(asked, before=""), search)
    return export_records(SECTIONS[subject], lists, walk, asked.columns)


# Groups ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Heading:
    """A group before its rows are there."""

    label: str
    value: Any
    count: int
    is_exact: bool
    clause: Any
    narrowing: ColumnElement[bool]


def _groups(connection: Connection, lists: Lists, asked: Asked, search: Search) -> list[GroupShown]:
    by_group = asked.group_by == "category_group"
    path = "company.category" if by_group else asked.group_by
    known = lists.catalogue.fields[path]
    counted = count_groups(connection, asked.subject, search.condition, narrowing_of(lists, asked), known, desk.now())
    headings = [
        _Heading(
            _label(lists, known, one.value),
            one.value,
            one.count,
            one.is_exact,
            {path: {"exists": False}} if one.value is None else {path: _operand(known, one.value)},
            belongs_to(known, one.value),
        )
        for one in counted
    ]
    headings = _ranked(known, headings)
    if by_group:
        headings = _by_category_group(lists, known, headings)
    column = None if by_group else Column(path, known.label, known)
    return _with_rows(connection, asked, column, _walk(lists, asked, search), headings[:MAX_GROUPS_SHOWN])


def _with_rows(
    connection: Connection, asked: Asked, column: Column | None, walk: Walk, headings: Sequence[_Heading]
) -> list[GroupShown]:
    """The headings with the first records of each; what all of them need is read at once."""
    ids = [_first_ids(connection, walk, one.narrowing) for one in headings]
    rows = {one.record.id: one for one in rows_of(connection, asked.subject, [one for few in ids for one in few])}
    return [
        GroupShown(
            one.label,
            column,
            one.value,
            one.count,
            one.is_exact,
            [rows[record_id] for record_id in few if record_id in rows],
            asked.url(group_by="", where=both(asked.where, one.clause)),
        )
        for one, few in zip(headings, ids, strict=True)
    ]


def _first_ids(connection: Connection, walk: Walk, narrowing: ColumnElement[bool]) -> list[int]:
    """The first records of a group; of the newest ones, if its order would take too long."""
    walk = replace(walk, narrowing=(*walk.narrowing, narrowing), is_backwards=False)
    window = walk.window(connection, None, GROUP_ROWS, LOOK_MILLISECONDS // 2)
    if window is None:
        newest = is_among_newest(connection, walk.subject, NEWEST_RECORDS)
        walk = replace(walk, narrowing=(*walk.narrowing, newest))
        window = walk.window(connection, None, GROUP_ROWS, PATIENT_MILLISECONDS)
    return window.ids if window else []


def _label(lists: Lists, known: Field, value: Any) -> str:
    return f"{known.label}: {wording.value_words(lists, known.path, value)}"


def _operand(known: Field, value: Any) -> Any:
    if known.kind in CHOICE_KINDS:
        return [value]
    return str(value).lower() if known.kind is Kind.BOOLEAN else value


def _ranked(known: Field, headings: list[_Heading]) -> list[_Heading]:
    """By rank where the field has a list, else the largest first; records without a value at the end."""
    places = {one.key: place for place, one in enumerate((*known.choices, *known.retired))}
    return sorted(headings, key=lambda one: (one.value is None, places.get(one.value, 0)))


def _by_category_group(lists: Lists, known: Field, headings: list[_Heading]) -> list[_Heading]:
    """Categories put together to their groups."""
    groups = {one.key: one.group for one in (*known.choices, *known.retired)}
    found = []
    for group in (*(one.value for one in GROUP_NAMES), None):
        members = [one for one in headings if groups.get(one.value) == group]
        if members:
            every = [one.value for one in GROUP_NAMES]
            clause = {known.path: {"in_group": group} if group else {"not_in_group": every}}
            keys = [one.value for one in members]
            narrowing = members[0].narrowing
            for one in members[1:]:
                narrowing = narrowing | one.narrowing
            is_exact = all(one.is_exact for one in members)
            total = sum(one.count for one in members)
            found.append(_Heading(wording.group_name(group), keys, total, is_exact, clause, narrowing))
    return found


def both(where: Any | None, clause: Any) -> Any:
    """The condition that both hold."""
    match where:
        case None:
            return clause
        case {"all": [*parts], **rest} if not rest:
            return {"all": [*parts, clause]}
        case _:
            return {"all": [where, clause]}


# Search ---------------------------------------------------------------------------------------------------------------


def _found(connection: Connection, q: str) -> dict[str, Any]:
    """The first companies and contacts that begin with what was typed."""
    if not q:
        return {"q": "", "companies": [], "contacts": []}
    return {
        "q": q,
        "companies": [one.record for one in _first_found(connection, "company", q)],
        "contacts": [one.record for one in _first_found(connection, "contact", q)],
    }


def _first_found(connection: Connection, subject: Subject, q: str) -> list[Row]:
    walk = Walk(subject, render(None, subject, desk.now()), None, (begins_with(subject, q),), newest_first=True)
    window = walk.window(connection, None, 10)
    return rows_of(connection, subject, window.ids if window else [])
