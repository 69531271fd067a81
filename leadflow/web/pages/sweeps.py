"""Sweeps: what scheduled rules did and do, and those that wait for a person before they change so much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, flash, url_for
from flask_babel import lazy_gettext as _l
from sqlalchemy import Connection

from leadflow.errors import Conflict, InvalidRequest
from leadflow.services import sweeps as stories
from leadflow.services.rule_sets import live_documents
from leadflow.store.schedules import next_due_times
from leadflow.store.sweeps import reads
from leadflow.web.auth import current_caller, requires
from leadflow.web.config import web_config
from leadflow.web.pages import desk, rulebook
from leadflow.web.pages.wording import Words

STATE_FILTERS = ((None, "All"), ("braked", "Need you"), ("running", "Running"), ("done", "Done"), ("failed", "Failed"))
STATES = {
    "waiting": Words(_l("Waiting"), "sky", "hourglass", _l("It begins in a moment.")),
    "running": Words(_l("Running"), "sky", "refresh", _l("It goes through the records, page by page.")),
    "done": Words(_l("Done"), "green", "circle-check", _l("Every record was looked at.")),
    "braked": Words(
        _l("Needs you"), "amber", "hand-stop", _l("It would change so much that a person decides. Nothing changed.")
    ),
    "cancelled": Words(_l("Cancelled"), "grey", "ban", _l("It ended early. What it changed before stays.")),
    "failed": Words(
        _l("Failed"), "red", "alert-triangle", _l("It was tried several times. What it changed before stays.")
    ),
}
SHOWN_TRACES = 12

# A sweep that began later than this after its time is told to be late.
LATE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the funnel; `share` of the first one, for its bar."""

    what: str
    records: int
    share: float


def register(pages: Blueprint) -> None:
    """Add the sweeps to the blueprint."""

    @pages.get("/sweeps")
    @requires("viewer")
    def sweeps() -> Any:
        with desk.reading() as connection:
            return desk.show(connection, "sweeps.html", "sweeps", **_all_sweeps(connection))

    @pages.get("/sweeps/<int:sweep_id>")
    @requires("viewer")
    def sweep(sweep_id: int) -> Any:
        with desk.reading() as connection:
            return desk.show(connection, "sweep.html", "sweeps", **_one_sweep(connection, desk.expected_id(sweep_id)))

    @pages.post("/sweeps/rules/<slug>")
    @requires("editor")
    def start_sweep(slug: str) -> Any:
        return _change("It begins in a moment.", lambda connection: _start(connection, slug))

    @pages.post("/sweeps/<int:sweep_id>/approve")
    @requires("editor")
    def approve_sweep(sweep_id: int) -> Any:
        return _change("It runs in a moment.", lambda connection: _approve(connection, desk.expected_id(sweep_id)))

    @pages.post("/sweeps/<int:sweep_id>/cancel")
    @requires("editor")
    def cancel_sweep(sweep_id: int) -> Any:
        return _change("It is cancelled.", lambda connection: _cancel(connection, desk.expected_id(sweep_id)))


def _change(said: str, change: Callable[[Connection], int | None]) -> Any:
    """Change a sweep and show it; where that is not possible any more, say why."""
    sweep_id = None
    try:
        with desk.writing() as connection:
            sweep_id = change(connection)
    except Conflict as reason:
        flash(str(reason), "amber")
        sweep_id = reason.existing_id
    else:
        flash(said, "green")
    return desk.go(url_for("pages.sweep", sweep_id=sweep_id) if sweep_id else url_for("pages.sweeps"))


def _start(connection: Connection, slug: str) -> int:
    return stories.start_sweep(connection, web_config().sweeps.desk, slug, current_caller().name, desk.now())


def _approve(connection: Connection, sweep_id: int) -> int:
    stories.approve_sweep(connection, sweep_id, current_caller().name)
    return sweep_id


def _cancel(connection: Connection, sweep_id: int) -> int:
    stories.cancel_sweep(connection, sweep_id, current_caller().name, desk.now())
    return sweep_id


def _all_sweeps(connection: Connection) -> dict[str, Any]:
    state = desk.asked("state") or None
    if state not in {key for key, _ in STATE_FILTERS}:
        raise InvalidRequest("There is no such filter.")
    after = desk.asked_after()
    page = reads.sweeps(connection, state=state, after=after, limit=desk.PAGE_SIZE)
    return {
        "sweeps": page.items,
        "next_key": page.next_key,
        "is_first_page": after is None,
        "state": state,
        "state_filters": STATE_FILTERS,
        "states": STATES,
        "planned": next_due_times(connection),
        "titles": _titles(connection),
        "is_late": is_late,
    }


def _titles(connection: Connection) -> dict[str, str]:
    return rulebook.titles_of(live_documents(connection)[1], desk.lists(connection))


def _one_sweep(connection: Connection, sweep_id: int) -> dict[str, Any]:
    view = reads.sweep(connection, sweep_id)
    runs = reads.newest_runs(connection, sweep_id, limit=SHOWN_TRACES)
    companies, contacts = desk.records_of(connection, runs)
    return {
        "sweep": view,
        "states": STATES,
        "steps": funnel_steps(view),
        "records": {"contact": "contacts", "company": "companies"}.get(view.subject or "", "records"),
        "is_late": is_late,
        "runs": runs,
        "events": {},
        "companies": companies,
        "contacts": contacts,
        "titles": _titles(connection),
    }


def funnel_steps(view: reads.SweepView) -> list[Step]:
    """The funnel with the share of all records that each line keeps."""
    total = max((line.records for line in view.funnel), default=0) or 1
    return [Step(line.what, line.records, line.records / total) for line in view.funnel]


def is_late(due_at: datetime, created_at: datetime) -> bool:
    """Whether the sweep began well after its time: no scheduler ran, or an earlier sweep was still under way."""
    return created_at - due_at > LATE
