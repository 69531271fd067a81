"""Tasks for people."""

from __future__ import annotations

from leadflow.services.follow_ups import change_task, create_task
from leadflow.store import reads
from leadflow.web.api.cursors import read_cursor
from leadflow.web.api.endpoints import Answer, Call, created, endpoint, expected_revision
from leadflow.web.api.models import RecordPath, TaskChange, TaskCreate, TaskQuery

TAG = "Tasks"


@endpoint("get", "/tasks", role="viewer", tag=TAG, view=reads.TaskView, is_page=True)
def list_tasks(call: Call, query: TaskQuery) -> reads.Page[reads.TaskView]:
    """List tasks, in the order in which they were created."""
    return reads.tasks(
        call.connection,
        is_done=query.done,
        company_id=query.company_id,
        contact_id=query.contact_id,
        owner=query.owner,
        after=read_cursor(query.cursor),
        limit=query.limit,
    )


@endpoint("post", "/tasks", role="editor", tag=TAG, view=reads.TaskView, status=201)
def add_task(call: Call, body: TaskCreate) -> Answer:
    """Create a task; with a contact and no company it belongs to the contact's company too."""
    task_id = create_task(call.connection, call.caller.actor, body.given(), call.now)
    return created("/tasks", reads.task(call.connection, task_id))


@endpoint("get", "/tasks/<id>", role="viewer", tag=TAG, view=reads.TaskView)
def show_task(call: Call, path: RecordPath) -> reads.TaskView:
    """Read a task."""
    return reads.task(call.connection, path.id)


@endpoint("patch", "/tasks/<id>", role="editor", tag=TAG, view=reads.TaskView)
def edit_task(call: Call, path: RecordPath, body: TaskChange) -> reads.TaskView:
    """Change a task; `done` closes it or opens it again."""
    expected = expected_revision(reads.task(call.connection, path.id))
    change_task(call.connection, path.id, body.given(), call.now, expected)
    return reads.task(call.connection, path.id)
