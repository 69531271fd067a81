"""Follow-ups: what is to be done, and what was done lately."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, flash, request, url_for
from sqlalchemy import Connection

from leadflow.services.follow_ups import change_task
from leadflow.store import page_reads
from leadflow.web.auth import requires
from leadflow.web.pages import desk

SHOWN_OPEN = 200
SHOWN_DONE = 30
DONE_SINCE = timedelta(days=7)


def register(pages: Blueprint) -> None:
    """Add the tasks to the blueprint."""

    @pages.get("/tasks")
    @requires("viewer")
    def tasks() -> Any:
        with desk.reading() as connection:
            return desk.show(connection, "tasks.html", "tasks", **_list_of_tasks(connection))

    @pages.post("/tasks/<int:task_id>/done")
    @requires("editor")
    def finish_task(task_id: int) -> Any:
        return _set_done(task_id, True, "Done.")

    @pages.post("/tasks/<int:task_id>/reopen")
    @requires("editor")
    def reopen_task(task_id: int) -> Any:
        return _set_done(task_id, False, "The task is open again.")


def _set_done(task_id: int, is_done: bool, said: str) -> Any:
    with desk.writing() as connection:
        change_task(connection, desk.expected_id(task_id), {"done": is_done}, desk.now())
    flash(said, "green")
    return desk.go(desk.local_path(request.form.get("back"), url_for("pages.tasks")))


def _list_of_tasks(connection: Connection) -> dict[str, Any]:
    found = page_reads.open_tasks(connection, limit=SHOWN_OPEN + 1)
    open_tasks = found[:SHOWN_OPEN]
    done_tasks = page_reads.done_tasks(connection, desk.now() - DONE_SINCE, limit=SHOWN_DONE)
    companies, contacts = desk.records_of(connection, [*open_tasks, *done_tasks])
    return {
        "open_tasks": open_tasks,
        "is_cut": len(found) > SHOWN_OPEN,
        "done_tasks": done_tasks,
        "companies": companies,
        "contacts": contacts,
    }
