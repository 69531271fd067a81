"""The inbox: the list of events, and one event with what each rule made of it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from flask import Blueprint, flash, url_for
from sqlalchemy import Connection

from leadflow.errors import Conflict
from leadflow.services.inbox import replay_event as replay
from leadflow.services.rule_sets import live_documents
from leadflow.store import page_reads, reads
from leadflow.web.auth import requires
from leadflow.web.config import web_config
from leadflow.web.pages import desk, rulebook, wording

STATE_FILTERS = (
    (None, "All"),
    ("pending", "Waiting"),
    ("processed", "Processed"),
    ("held", "Held"),
    ("failed", "Failed"),
)
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
            flash("The event is tried again; its changes still happen only once.", "green")
        return desk.go(url_for("pages.event", event_id=event_id))


def _list_of_events(connection: Connection) -> dict[str, Any]:
    known = {key for key, _ in STATE_FILTERS}
    state = desk.asked("state") if desk.asked("state") in known else None
    source, after = desk.asked("source") or None, desk.asked_after()
    wanted = reads.EventFilter(state=state, source=source)
    page = reads.events(connection, wanted, after=after, limit=desk.PAGE_SIZE)
    companies, contacts = desk.records_of(connection, page.items)
    return {
        "events": page.items,
        "next_key": page.next_key,
        "is_first_page": after is None,
        "state": state,
        "source": source,
        "sources": page_reads.sources_of_events(connection),
        "state_filters": STATE_FILTERS,
        "counts": reads.events_per_state(connection),
        "companies": companies,
        "contacts": contacts,
    }


def _one_event(connection: Connection, event_id: int) -> dict[str, Any]:
    event = reads.event(connection, event_id)
    body = page_reads.body_of(connection, event_id)
    companies, contacts = desk.records_of(connection, [event])
    text = None if body.content is None else readable(body.content)
    telling = [run for run in event.runs if run.outcome != "no_match" or run.near_miss]
    return {
        "event": event,
        "title": wording.event_title(event.type, event.fields),
        "said": wording.STATES[event.state],
        "company": companies.get(event.company_id or 0),
        "contact": contacts.get(event.contact_id or 0),
        "lines": wording.field_lines(desk.lists(connection), event.fields),
        "is_unread": not event.runs and event.fields is None,
        "body": body,
        "body_text": text[:SHOWN_CHARACTERS] if text is not None else None,
        "body_is_cut": text is not None and len(text) > SHOWN_CHARACTERS,
        "took": _took(event),
        "telling": sorted(telling, key=lambda run: (run.outcome != "fired", run.outcome == "no_match", run.id)),
        "others": [run for run in event.runs if run not in telling],
        "titles": rulebook.titles_of(live_documents(connection)[1], desk.lists(connection)),
    }


def readable(content: bytes) -> str:
    """The bytes as text that can be shown: JSON set out in lines, what is no character marked as such."""
    text = content[: SHOWN_CHARACTERS * 4].decode("utf-8", "replace")
    if len(content) <= SHOWN_CHARACTERS:
        with suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return "".join(one if one.isprintable() or one in "\n\t" else "�" for one in text)


def _took(event: reads.EventView) -> str | None:
    """How long the event waited and worked, where that is short enough to be told in seconds."""
    if event.processed_at is None:
        return None
    seconds = (event.processed_at - event.received_at).total_seconds()
    if not 0 <= seconds < 120:
        return None
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
