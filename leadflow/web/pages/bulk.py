"""One change to many records: a preview first, then a reason for every record that was left out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Blueprint, flash, request, url_for
from flask_babel import gettext as _
from sqlalchemy import Connection, Engine

from leadflow.errors import InvalidRequest, NotFound
from leadflow.services import bulk as stories
from leadflow.services.bulk import FIELDS, BulkEffect, Preview, Target
from leadflow.store import bulk_changes, reads
from leadflow.store.bulk_changes import BulkChange
from leadflow.store.conditions import Subject
from leadflow.store.record_lists import QuickFilters
from leadflow.web.auth import current_caller, requires
from leadflow.web.config import web_config
from leadflow.web.exports import csv_response
from leadflow.web.pages import criteria, desk, wording
from leadflow.web.pages.record_lists import SECTIONS
from leadflow.web.pages.records import categories_on_offer, statuses_on_offer
from leadflow.web.pages.refusals import sentence_of

# One answer goes on with the change for so long; the page asks again until it is done.
RUN_SECONDS = 0.7
CSV_CHUNK = 500


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""
    _register_choice(pages)
    _register_run(pages)


def _register_choice(pages: Blueprint) -> None:
    @pages.get("/bulk/<subject>")
    @requires("editor")
    def bulk(subject: str) -> Any:
        """What is to be changed, on the records that a list sent here."""
        return _choice_page(_subject(subject))

    @pages.post("/bulk/<subject>")
    @requires("editor")
    def decide_bulk(subject: str) -> Any:
        """Look at what would happen, or let it happen."""
        return _decide(_subject(subject), is_start=request.form.get("do") == "start")


def _register_run(pages: Blueprint) -> None:
    @pages.get("/bulk/changes/<int:bulk_id>")
    @requires("editor")
    def bulk_change(bulk_id: int) -> Any:
        return _change_page(desk.expected_id(bulk_id))

    @pages.post("/bulk/changes/<int:bulk_id>/run")
    @requires("editor")
    def run_bulk(bulk_id: int) -> Any:
        """Go on with a change for a moment; its page asks for this until it is done."""
        _run(desk.expected_id(bulk_id))
        if request.headers.get("HX-Request") == "true":
            return _change_page(bulk_id)
        return desk.go(url_for("pages.bulk_change", bulk_id=bulk_id))

    @pages.post("/bulk/changes/<int:bulk_id>/stop")
    @requires("editor")
    def stop_bulk(bulk_id: int) -> Any:
        with desk.writing() as connection:
            stories.stop_bulk(connection, desk.expected_id(bulk_id), current_caller().actor, desk.now())
        return desk.go(url_for("pages.bulk_change", bulk_id=bulk_id))

    @pages.get("/bulk/changes/<int:bulk_id>/left-out.csv")
    @requires("editor")
    def export_left_out(bulk_id: int) -> Any:
        with desk.reading() as connection:
            one = bulk_changes.read(connection, desk.expected_id(bulk_id))
        head = [_("Number"), _("Name"), _("Left out because")]
        return csv_response(f"left-out-{bulk_id}", head, _left_out_rows(web_config().engine, one))


def _subject(text: str) -> Subject:
    if text not in criteria.SUBJECTS:
        raise NotFound("There are lists of companies and of contacts only.")
    return criteria.SUBJECTS[text]


# Choosing and looking -------------------------------------------------------------------------------------------------


def _target(subject: Subject) -> Target:
    """The records that the request names. Raises: InvalidRequest."""
    given = request.values
    if given.get("of") == "all":
        quick = QuickFilters(*(given.get(name, "").strip()[:200] for name in ("q", "category", "status")))
        return Target(subject, None, criteria.asked_where(), quick)
    ids = [int(one) for one in given.getlist("id") if one.isascii() and one.isdigit() and len(one) < 19]
    if not ids:
        raise InvalidRequest(_("Choose at least one record in the list."))
    return Target(subject, ids[: stories.MAX_TICKED])


def _choice_page(subject: Subject, preview: Preview | None = None, problem: str = "") -> Any:
    try:
        target = _target(subject)
    except InvalidRequest as refusal:
        flash(sentence_of(refusal), "amber")
        return desk.go(url_for(f"pages.{SECTIONS[subject]}"))
    with desk.reading() as connection:
        lists = desk.lists(connection)
        count = stories.expected(connection, web_config().searches, target, desk.now())
        values = {
            "subject": subject,
            "target": target,
            "count": count,
            "fields": FIELDS[subject],
            "categories": categories_on_offer(lists),
            "statuses": statuses_on_offer(lists),
            "chosen": request.values.get("field", FIELDS[subject][0]),
            "said": request.values,
            "where": criteria.compact(target.where),
            "criteria": criteria.builder_of(connection, subject, target.where) if target.where is not None else None,
            "preview": preview,
            "names": _names(connection, subject, [one.record_id for one in preview.samples] if preview else []),
            "problem": problem,
            "path": path_of(subject, request.values.get("field", "")),
        }
        return desk.show(connection, "bulk.html", SECTIONS[subject], 422 if problem else 200, **values)


def _decide(subject: Subject, *, is_start: bool) -> Any:
    searches, actor = web_config().searches, current_caller().actor
    try:
        target = _target(subject)
        with desk.writing() if is_start else desk.reading() as connection:
            effect = _effect(connection, subject)
            if is_start:
                bulk_id = stories.start_bulk(connection, searches, target, effect, actor, desk.now())
            else:
                preview = stories.preview(connection, searches, target, effect, actor, desk.now())
    except InvalidRequest as refusal:
        return _choice_page(subject, problem=sentence_of(refusal))
    if is_start:
        return desk.go(url_for("pages.bulk_change", bulk_id=bulk_id))
    return _choice_page(subject, preview)


def _effect(connection: Connection, subject: Subject) -> BulkEffect:
    name = request.form.get("field", "")
    return stories.read_effect(desk.lists(connection), subject, name, request.form.get(f"value_{name}"))


def path_of(subject: Subject, name: str) -> str:
    """The path of the field that a bulk change writes."""
    if name == "category":
        return "company.category"
    return f"{subject}.{'tags' if name.endswith('_tag') else name}"


def _names(connection: Connection, subject: Subject, ids: list[int]) -> Mapping[int, str]:
    if not ids:
        return {}
    if subject == "company":
        return {key: wording.company_name(one) for key, one in reads.companies_by_id(connection, set(ids)).items()}
    return {key: wording.contact_name(one) for key, one in reads.contacts_by_id(connection, set(ids)).items()}


# Doing and telling ----------------------------------------------------------------------------------------------------


def _run(bulk_id: int) -> None:
    """Page after page, a transaction each, for a moment."""
    end = time.monotonic() + RUN_SECONDS
    is_running = True
    while is_running and time.monotonic() < end:
        with desk.writing() as connection:
            caller = current_caller().actor
            bulk = stories.run_page(connection, web_config().searches, bulk_id, caller, desk.now())
        is_running = bulk.state == "running"
    web_config().ring()


def _change_page(bulk_id: int) -> Any:
    with desk.reading() as connection:
        one = bulk_changes.read(connection, bulk_id)
        values = {
            "bulk": one,
            "is_mine": str(one.account_id) == current_caller().actor.id,
            "reasons": bulk_changes.reasons(connection, bulk_id),
            "path": path_of(one.subject, one.effect["field"]),
        }
        return desk.show(connection, "bulk_change.html", SECTIONS[one.subject], **values)


def _left_out_rows(engine: Engine, one: BulkChange) -> Iterator[list[str]]:
    with engine.connect() as connection:
        for page in bulk_changes.left_out(connection, one.id, CSV_CHUNK):
            names = _names(connection, one.subject, list(page))
            for record_id, reason in page.items():
                yield [str(record_id), names.get(record_id, ""), reason]
