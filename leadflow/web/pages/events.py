"""The inbox: the list of events, one event with what each rule made of it, and trying again what is held or failed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from flask import Blueprint, flash, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from sqlalchemy import Connection

from leadflow.errors import Conflict
from leadflow.services.inbox import replay_event as replay
from leadflow.services.inbox import replay_events
from leadflow.services.matches import match_of_event
from leadflow.services.rule_sets import live_documents
from leadflow.services.sources import TEST_PREFIX
from leadflow.sources.explaining import Explained, explain_payload
from leadflow.store import inbox_reads, reads, replays
from leadflow.store import sources as source_store
from leadflow.store.inbox_reads import Delivered, InboxFilter
from leadflow.web.auth import current_caller, requires
from leadflow.web.config import web_config
from leadflow.web.pages import desk, rulebook, wording
from leadflow.web.pages.sources import said_of

STATE_FILTERS = (
    (None, _l("All")),
    ("pending", _l("Waiting")),
    ("processed", _l("Processed")),
    ("held", _l("Held")),
    ("failed", _l("Failed")),
)
STUCK = ("held", "failed")
DELIVERED = ("form_submitted", "event")
SHOWN_CHARACTERS = 20_000


def register(pages: Blueprint) -> None:
    """Add the inbox to the blueprint."""

    @pages.get("/events")
    @requires("viewer")
    def events() -> Any:
        with desk.reading() as connection:
            return desk.show(connection, "events.html", "events", **_list_of_events(connection))

    @pages.get("/events/<int:event_id>")
    @requires("viewer")
    def event(event_id: int) -> Any:
        with desk.reading() as connection:
            return desk.show(connection, "event.html", "events", **_one_event(connection, desk.expected_id(event_id)))

    @pages.post("/events/<int:event_id>/replay")
    @requires("editor")
    def replay_event(event_id: int) -> Any:
        try:
            with desk.writing() as connection:
                replay(connection, desk.expected_id(event_id), desk.now())
        except Conflict as reason:
            flash(str(reason), "amber")
        else:
            web_config().ring()
            flash(_("The event is tried again; its changes still happen only once."), "green")
        return desk.go(url_for("pages.event", event_id=event_id))

    _register_replays(pages)


def _register_replays(pages: Blueprint) -> None:
    @pages.post("/events/replay")
    @requires("editor")
    def replay_stuck_events() -> Any:
        return _replay_all()

    @pages.get("/events/replays/<int:replay_id>")
    @requires("viewer")
    def event_replay(replay_id: int) -> Any:
        with desk.reading() as connection:
            view = replays.replay(connection, desk.expected_id(replay_id))
            reasons = replays.held_again(connection, view.id) if view.is_over else []
            return desk.show(connection, "event_replay.html", "events", view=view, reasons=reasons)


# -- the list ----------------------------------------------------------------------------------------------------------


def _list_of_events(connection: Connection) -> dict[str, Any]:
    known = {key for key, _label in STATE_FILTERS}
    state = desk.asked("state") if desk.asked("state") in known else None
    asked = {name: desk.asked(name) or None for name in ("source", "form", "q")}
    wanted, after = InboxFilter(state=state, **asked), desk.asked_after()
    page = inbox_reads.inbox_page(connection, wanted, after=after, limit=desk.PAGE_SIZE)
    companies, contacts = desk.records_of(connection, page.items)
    return {
        "events": page.items,
        "next_key": page.next_key,
        "looked_back_to": page.looked_back_to,
        "window": inbox_reads.WINDOW,
        "is_first_page": after is None,
        "wanted": wanted,
        "asked": {"state": state, **asked},
        "sources": inbox_reads.source_names(connection),
        "forms": inbox_reads.recent_forms(connection),
        "reasons": source_store.reasons(connection, state, wanted.source) if state in STUCK and after is None else [],
        "state_filters": STATE_FILTERS,
        "counts": reads.events_per_state(connection),
        "companies": companies,
        "contacts": contacts,
        "test_prefix": TEST_PREFIX,
    }


# -- one event ---------------------------------------------------------------------------------------------------------


def _one_event(connection: Connection, event_id: int) -> dict[str, Any]:
    event = reads.event(connection, event_id)
    body = inbox_reads.delivered(connection, event_id)
    companies, contacts = desk.records_of(connection, [event])
    company, contact = companies.get(event.company_id or 0), contacts.get(event.contact_id or 0)
    telling = [run for run in event.runs if run.outcome != "no_match" or run.near_miss]
    return {
        "event": event,
        "title": wording.event_title(event.type, event.fields),
        "said": wording.STATES[event.state],
        "match": match_of_event(connection, event, company, contact),
        "company": company,
        "contact": contact,
        "lines": wording.field_lines(desk.lists(connection), event.fields),
        "is_unread": not event.runs and event.fields is None,
        "is_test": event.delivery_id.startswith(TEST_PREFIX),
        "body": body,
        **_mapping(connection, event, body),
        **_texts(body),
        "took": _took(event),
        "telling": sorted(telling, key=lambda run: (run.outcome != "fired", run.outcome == "no_match", run.id)),
        "others": [run for run in event.runs if run not in telling],
        "titles": rulebook.titles_of(live_documents(connection)[1], desk.lists(connection)),
    }


def _mapping(connection: Connection, event: reads.EventView, body: Delivered) -> dict[str, Any]:
    """Which place of the payload gives which field, by the mapping in force now."""
    source = web_config().desk.book.read(connection).get(event.source)
    mapped: Explained | None = None
    if source is not None and body.body is not None and event.type in DELIVERED:
        mapped = explain_payload(source, body.content_type, body.body, desk.lists(connection).catalogue)
    return {"mapped": mapped, "said_value": said_of, "has_source": source is not None and event.type in DELIVERED}


def _texts(body: Delivered) -> dict[str, Any]:
    text = None if body.body is None else readable(body.body)
    raw = None if body.body is None else _printable(body.body[:SHOWN_CHARACTERS].decode("utf-8", "replace"))
    return {
        "body_text": text[:SHOWN_CHARACTERS] if text is not None else None,
        "body_raw": raw if raw != text else None,
        "body_is_cut": text is not None and len(text) > SHOWN_CHARACTERS,
        "other_bodies": [(one.received_at, None if one.body is None else readable(one.body)) for one in body.others],
    }


def readable(content: bytes) -> str:
    """The bytes as text that can be shown: JSON set out in lines, what is no character marked as such."""
    text = content[: SHOWN_CHARACTERS * 4].decode("utf-8", "replace")
    if len(content) <= SHOWN_CHARACTERS:
        with suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return _printable(text)


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() or one in "\n\t" else "�" for one in text)


def _took(event: reads.EventView) -> str | None:
    """How long the event waited and worked, where that is short enough to be told in seconds."""
    if event.processed_at is None:
        return None
    seconds = (event.processed_at - event.received_at).total_seconds()
    if not 0 <= seconds < 120:
        return None
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


# -- once more ---------------------------------------------------------------------------------------------------------


def _replay_all() -> Any:
    form: Mapping[str, str] = request.form
    state = form.get("state") if form.get("state") in STUCK else None
    source, reason = ((form.get(name) or "").replace("\x00", "") or None for name in ("source", "reason"))
    title = _(
        "%(state)s events of %(name)s", state=wording.STATES[state or "held"].label, name=source or _("all sources")
    )
    try:
        with desk.writing() as connection:
            sources = web_config().desk.book.read(connection)
            choice = replays.Choice(state, source, reason)
            started = replay_events(connection, sources, choice, title, current_caller().name, desk.now())
    except Conflict as conflict:
        flash(str(conflict), "amber")
        return desk.go(url_for("pages.events", state=state, source=source))
    web_config().ring()
    flash(ngettext("%(num)s event is tried again.", "%(num)s events are tried again.", started.events), "green")
    return desk.go(url_for("pages.event_replay", replay_id=started.id))
