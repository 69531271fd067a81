"""The system page: queue, workers, scheduler, lag, versions, and the settings in force."""

from __future__ import annotations

from typing import Any

from flask import Blueprint
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from leadflow.services.checking import Finding
from leadflow.services.system import is_alive, look
from leadflow.web.auth import requires
from leadflow.web.config import web_config
from leadflow.web.pages import desk
from leadflow.web.pages.sweeps import STATES as SWEEP_STATES

# What each thing that is looked at is called, and what it is good for.
THINGS = {
    "schema": _l("Database schema"),
    "guard": _l("Guard"),
    "clock": _l("Clocks"),
    "worker": _l("Workers"),
    "scheduler": _l("Scheduler"),
    "inbox": _l("Inbox"),
    "outbox": _l("Outbox"),
    "broker": _l("Broker"),
}
ROLES = {"web": _l("web server"), "worker": _l("worker"), "scheduler": _l("scheduler")}
ORIGINS = {"environment": _l("environment"), "file": _l("file"), "default": _l("default")}
UNITS = ("B", "kB", "MB", "GB", "TB")


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""

    @pages.get("/system")
    @requires("admin")
    def system() -> Any:
        with desk.reading() as connection:
            seen = look(connection, desk.now())
            values = {
                "seen": seen,
                "findings": [*seen.findings, *_broker()],
                "things": THINGS,
                "roles": ROLES,
                "origins": ORIGINS,
                "in_force": web_config().in_force,
                "is_alive": lambda process: is_alive(process, desk.now()),
                "size": size_words,
                "sweep_states": SWEEP_STATES,
            }
            return desk.show(connection, "system.html", "system", **values)


def _broker() -> list[Finding]:
    state = web_config().broker_state()
    if state == "unknown":
        return []
    remedy = _("Start the broker, or correct LEADFLOW_BROKER_URL. Until then events are stored, and taken up later.")
    return [Finding("broker", state == "up", state, "" if state == "up" else str(remedy))]


def size_words(number: float) -> str:
    """Bytes as people say them, such as `1.4 GB`."""
    for unit in UNITS[:-1]:
        if number < 1_000:
            return f"{number:.0f} {unit}" if unit in ("B", "kB") else f"{number:.1f} {unit}"
        number /= 1_000
    return f"{number:.1f} {UNITS[-1]}"
