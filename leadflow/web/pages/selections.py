"""Selections: records with a name, found by a condition or chosen one by one; combined, counted, exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, request, url_for
from flask_babel import gettext as _
from sqlalchemy import Connection

from leadflow.errors import Conflict, InvalidRequest, NotFound, StaleWrite
from leadflow.rules.conditions import Condition
from leadflow.rules.model import Rule
from leadflow.services import selections as stories
from leadflow.services.rule_sets import live_documents
from leadflow.store import page_reads, reads
from leadflow.store.conditions import Subject
from leadflow.store.lists import Lists
from leadflow.store.reads.selections import (
    Place,
    SelectionView,
    dashboards_naming,
    selection,
    selections_by_title,
)
from leadflow.store.searches import Count, count_found, find_page
from leadflow.web.auth import current_caller, requires
from leadflow.web.config import web_config
from leadflow.web.pages import criteria, desk, rulebook
from leadflow.web.pages.record_exports import csv_of_records
from leadflow.web.pages.rule_words import Part, condition_parts
from leadflow.web.pages.selection_sizes import combination, read_meaning, size_of

SECTION = "selections"
SHOWN_MEMBERS = 12
SHOWN_FOUND = 8


@dataclass(frozen=True)
class Use:
    """Where a selection is asked for."""

    rules: Sequence[Rule] = ()
    selections: Sequence[Any] = ()
    dashboards: Sequence[Place] = ()

    @property
    def is_none(self) -> bool:
        return not (self.rules or self.selections or self.dashboards)


def register(pages: Blueprint) -> None:
    """Add the selections to the blueprint."""
    _register_looks(pages)
    _register_definitions(pages)
    _register_members(pages)


def _register_looks(pages: Blueprint) -> None:
    @pages.get("/selections")
    @requires("viewer")
    def selections() -> Any:
        with desk.reading() as connection:
            return desk.show(connection, "selections.html", SECTION, **_overview(connection))

    @pages.get("/selections/<int:selection_id>")
    @requires("viewer")
    def show_selection(selection_id: int) -> Any:
        return _page_of(desk.expected_id(selection_id))

    @pages.get("/selections/combine")
    @requires("viewer")
    def combine_selections() -> Any:
        with desk.reading() as connection:
            return desk.show(connection, "selection_combine.html", SECTION, **combination(connection))

    @pages.get("/selections/<int:selection_id>/export.csv")
    @requires("viewer")
    def export_selection(selection_id: int) -> Any:
        with desk.reading() as connection:
            meant = selection(connection, desk.expected_id(selection_id))
            condition = read_meaning(connection, meant.subject, {"selection": meant.slug}).condition
        return csv_of_records(meant.subject, condition, desk.now(), meant.slug)


def _register_definitions(pages: Blueprint) -> None:
    @pages.get("/selections/new")
    @requires("editor")
    def new_selection() -> Any:
        with desk.reading() as connection:
            return _form(connection, None, _asked_draft())

    @pages.post("/selections")
    @requires("editor")
    def create_selection() -> Any:
        return _create()

    @pages.get("/selections/<int:selection_id>/edit")
    @requires("editor")
    def edit_selection(selection_id: int) -> Any:
        with desk.reading() as connection:
            before = selection(connection, desk.expected_id(selection_id))
            return _form(connection, before, _draft_of(before))

    @pages.post("/selections/<int:selection_id>")
    @requires("editor")
    def save_selection(selection_id: int) -> Any:
        return _save(desk.expected_id(selection_id))

    @pages.post("/selections/<int:selection_id>/delete")
    @requires("editor")
    def delete_selection(selection_id: int) -> Any:
        return _delete(desk.expected_id(selection_id))


def _register_members(pages: Blueprint) -> None:
    @pages.post("/selections/<int:selection_id>/members")
    @requires("editor")
    def change_selection_members(selection_id: int) -> Any:
        return _change_members(desk.expected_id(selection_id))


# The list and one of them ---------------------------------------------------------------------------------------------


def _exact_size(connection: Connection, one: SelectionView, condition: Condition | None) -> Count:
    return Count(count_found(connection, one.subject, condition, desk.now()))


def _uses(connection: Connection, lists: Lists) -> dict[str, Use]:
    """Where each selection is asked for, by its slug."""
    known = lists.catalogue
    _, documents = live_documents(connection)
    rules = stories.rules_asking(rulebook.read(documents, lists).rule_set.rules, known) if documents else {}
    dashboards = dashboards_naming(connection)
    return {
        slug: Use(
            rules.get(slug, ()),
            stories.selections_asking(one, known),
            [*dashboards.get(slug, ()), *dashboards.get(one.title.casefold(), ())],
        )
        for slug, one in known.selections.items()
    }


def _overview(connection: Connection) -> dict[str, Any]:
    every = selections_by_title(connection)
    asked = desk.asked("subject")
    shown = [one for one in every if asked in ("", one.subject)]
    return {
        "items": shown,
        "asked_subject": asked,
        "total": len(every),
        "sizes": {one.id: size_of(connection, one) for one in shown},
        "uses": _uses(connection, desk.lists(connection)),
    }


def _page_of(selection_id: int, refusal: str = "", code: int = 200) -> Any:
    with desk.reading() as connection:
        values = _values_of(connection, selection(connection, selection_id))
        return desk.show(connection, "selection.html", SECTION, code, refusal=refusal, **values)


def _values_of(connection: Connection, one: SelectionView) -> dict[str, Any]:
    where = {"selection": one.slug}
    meaning = read_meaning(connection, one.subject, where)
    exact = desk.asked("exact") == "1" and not meaning.problem
    members = [] if meaning.problem else _members(connection, one.subject, meaning.condition)
    lists = desk.lists(connection)
    return {
        "one": one,
        "problem": meaning.problem,
        "condition_lines": _criteria_words(connection, one, lists),
        "frozen_where": criteria.compact(where),
        "size": _exact_size(connection, one, meaning.condition) if exact else size_of(connection, one),
        "is_exact": exact,
        "members": members,
        "records_url": criteria.records_url(one.subject, where),
        "use": _uses(connection, lists).get(one.slug, Use()),
        "others": [other for other in selections_by_title(connection) if _may_combine(one, other)],
        "found": _found(connection, one, desk.asked("find")),
        "find": desk.asked("find"),
    }


def _may_combine(one: SelectionView, other: SelectionView) -> bool:
    return other.subject == one.subject and other.id != one.id


def _criteria_words(connection: Connection, one: SelectionView, lists: Lists) -> tuple[Part, ...]:
    if one.where is None:
        return ()
    return condition_parts(read_meaning(connection, one.subject, one.where).condition, lists)


def _members(connection: Connection, subject: Subject, condition: Condition | None) -> list[Any]:
    """The first few."""
    ids, _next = find_page(connection, subject, condition, None, None, SHOWN_MEMBERS, desk.now())
    read: Any = reads.contacts_by_id if subject == "contact" else reads.companies_by_id
    known = read(connection, set(ids)) if ids else {}
    return [known[number] for number in ids if number in known]


def _found(connection: Connection, one: SelectionView, text: str) -> list[Any]:
    """Records whose name begins with the text, for a static selection to take in."""
    if not text or one.kind != "static":
        return []
    if one.subject == "company":
        wanted = reads.CompanyFilter(q=text)
        return list(page_reads.newest_companies(connection, wanted, after=None, limit=SHOWN_FOUND).items)
    people = reads.ContactFilter(q=text)
    return list(page_reads.newest_contacts(connection, people, is_lead=False, after=None, limit=SHOWN_FOUND).items)


# Making and changing --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drafted:
    """What the form shows: as asked by the address, as stored, or as sent and refused."""

    title: str = ""
    description: str = ""
    subject: Subject = "contact"
    kind: str = "dynamic"
    where: Any | None = None


def _asked_draft() -> Drafted:
    return Drafted(
        desk.asked("title"),
        "",
        _subject(desk.asked("subject") or "contact"),
        "static" if desk.asked("kind") == "static" else "dynamic",
        criteria.asked_where(),
    )


def _subject(text: str) -> Subject:
    if text not in criteria.SUBJECTS:
        raise NotFound("A selection has companies in it, or contacts.")
    return criteria.SUBJECTS[text]


def _draft_of(one: SelectionView) -> Drafted:
    return Drafted(one.title, one.description, one.subject, one.kind, one.where)


def _form(
    connection: Connection, before: SelectionView | None, drafted: Drafted, refusal: str = "", code: int = 200
) -> Any:
    builder = criteria.builder_of(connection, drafted.subject, drafted.where)
    values = {"before": before, "drafted": drafted, "criteria": builder, "refusal": refusal}
    return desk.show(connection, "selection_edit.html", SECTION, code, **values)


def _sent() -> Drafted:
    sent = request.form
    kind = "static" if sent.get("kind") == "static" else "dynamic"
    subject = _subject(sent.get("subject", ""))
    return Drafted(sent.get("title", ""), sent.get("description", ""), subject, kind, criteria.asked_where())


def _create() -> Any:
    sent = _sent()
    searches, actor = web_config().searches, current_caller().actor
    draft = stories.Draft(
        sent.title,
        sent.subject,
        "static" if sent.kind == "static" else "dynamic",
        sent.where,
        None,
        sent.description,
    )
    try:
        with desk.writing() as connection:
            selection_id = stories.create_selection(connection, searches, actor, draft, desk.now())
    except (InvalidRequest, Conflict) as reason:
        return _refused(None, sent, reason)
    flash(_("“%(title)s” is saved.", title=sent.title.strip()), "green")
    return desk.go(url_for("pages.show_selection", selection_id=selection_id))


def _save(selection_id: int) -> Any:
    with desk.reading() as connection:
        before = selection(connection, selection_id)
    sent = _sent()
    patch: dict[str, Any] = {"title": sent.title, "description": sent.description}
    if before.kind == "dynamic":
        patch["where"] = sent.where
    try:
        with desk.writing() as connection:
            searches, revision = web_config().searches, desk.sent_revision()
            stories.change_selection(connection, searches, selection_id, patch, desk.now(), revision)
    except (InvalidRequest, Conflict, StaleWrite) as reason:
        return _refused(before, sent, reason)
    flash(_("“%(title)s” is saved. Rules ask for it as it is now.", title=sent.title.strip()), "green")
    return desk.go(url_for("pages.show_selection", selection_id=selection_id))


def _refused(before: SelectionView | None, sent: Drafted, reason: Exception) -> Any:
    """The form as it was sent, with the reason above it."""
    code = {InvalidRequest: 422, StaleWrite: 412}.get(type(reason), 409)
    with desk.reading() as connection:
        return _form(connection, before, sent, _sentence(reason), code)


def _sentence(reason: Exception) -> str:
    if isinstance(reason, StaleWrite):
        return str(_("Somebody changed this selection since you opened it. Look at it as it is now, then decide."))
    if not isinstance(reason, InvalidRequest):
        return str(reason)
    if any(one.location == "/title" for one in reason.faults):
        return str(_("Give the selection a title."))
    return criteria.sentences_of(reason)


def _delete(selection_id: int) -> Any:
    try:
        with desk.writing() as connection:
            title = selection(connection, selection_id).title
            stories.delete_selection(connection, selection_id, desk.now(), desk.sent_revision())
    except (InvalidRequest, Conflict, StaleWrite) as reason:
        return _page_of(selection_id, _sentence(reason), 409)
    flash(_("“%(title)s” is deleted. Its records stay as they are.", title=title), "green")
    return desk.go(url_for("pages.selections"))


def _change_members(selection_id: int) -> Any:
    add, remove = (_sent_ids(name) for name in ("add", "remove"))
    try:
        with desk.writing() as connection:
            actor = current_caller().actor
            changed = stories.change_members(connection, actor, selection_id, add, remove, desk.now())
            title = selection(connection, selection_id).title
    except (InvalidRequest, Conflict) as reason:
        return _page_of(selection_id, _sentence(reason), 409)
    flash(_said(changed, title), "green")
    here = url_for("pages.show_selection", selection_id=selection_id)
    return desk.go(desk.local_path(request.form.get("back"), here))


def _sent_ids(name: str) -> list[int]:
    sent = [one for one in request.form.getlist(name) if one]
    if not all(one.isascii() and one.isdigit() and len(one) <= 18 for one in sent):
        raise InvalidRequest("The page is too old. Load it again and repeat.")
    return [int(one) for one in sent]


def _said(changed: stories.MembersChanged, title: str) -> str:
    if changed.added:
        return str(_("In “%(title)s” now.", title=title))
    if changed.removed:
        return str(_("No longer in “%(title)s”.", title=title))
    return str(_("Nothing to do: “%(title)s” was so already.", title=title))
