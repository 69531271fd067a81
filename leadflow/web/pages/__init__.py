"""The screens: server-rendered pages for the people who use leadflow."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Flask

from leadflow.web.auth import protect_forms
from leadflow.web.config import WebConfig
from leadflow.web.pages import (
    admin_lists,
    admin_people,
    boards,
    bulk,
    criteria,
    dashboards,
    desk,
    entrance,
    events,
    lifecycle_map,
    outbox,
    overview,
    proposals,
    record_lists,
    records,
    rule_editor,
    rule_explain,
    rule_forms,
    rule_versions,
    rules,
    selections,
    sources,
    sweeps,
    system,
    tasks,
)
from leadflow.web.problems import show_errors_with

__all__ = ["make_blueprint"]

ROOMS = (
    admin_lists,
    admin_people,
    boards,
    bulk,
    criteria,
    dashboards,
    entrance,
    events,
    lifecycle_map,
    outbox,
    overview,
    proposals,
    record_lists,
    records,
    rule_editor,
    rule_explain,
    rule_forms,
    rule_versions,
    rules,
    selections,
    sources,
    sweeps,
    system,
    tasks,
)


def make_blueprint(_config: WebConfig | None = None) -> Blueprint:
    """All pages; the application's configuration reaches them through `web_config`."""
    pages = Blueprint("pages", __name__)
    desk.prepare(pages)
    protect_forms(pages)
    for room in ROOMS:
        room.register(pages)
    pages.record_once(lambda state: show_errors_with(cast(Flask, state.app), entrance.show_problem))
    return pages
