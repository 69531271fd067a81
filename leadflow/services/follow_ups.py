"""Tasks for people: created by hand or by rules, changed, done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from leadflow.domain.events import Actor
from leadflow.domain.text import clean_text, fault_of_text
from leadflow.errors import Fault, InvalidRequest, NotFound, StaleWrite
from leadflow.store.tables import CompanyRow, ContactRow, TaskRow

MAX_TITLE_LENGTH = 200


def create_task(connection: Connection, actor: Actor, draft: Mapping[str, object], now: datetime) -> int:
    """Create a task with `title` and, as wished, `owner`, `due_at`, `company_id`, `contact_id`; its id.

    With a contact and no company it belongs to the contact's company too. Raises: InvalidRequest.
    """
    values = {"title": _read_title(draft.get("title")), "owner": _read_owner(draft), "due_at": draft.get("due_at")}
    subjects = _read_subjects(connection, draft)
    origin = {"created_by": actor.name, "action": "", "created_at": now, "updated_at": now}
    statement = insert(TaskRow).values(**values, **subjects, **origin).returning(TaskRow.id)
    task_id: int = connection.execute(statement).scalar_one()
    return task_id


def change_task(
    connection: Connection,
    task_id: int,
    patch: Mapping[str, object],
    now: datetime,
    expected_revision: int | None = None,
) -> None:
    """Change `title`, `owner`, `due_at`; `done` true closes the task, false opens it again.

    Raises: NotFound, StaleWrite, InvalidRequest.
    """
    query = select(TaskRow.__table__).where(TaskRow.id == task_id).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no task {task_id}.")
    if expected_revision is not None and row["revision"] != expected_revision:
        raise StaleWrite("The task changed since it was read.")
    values = _read_patch(patch, row["done_at"], now)
    changed = {name: value for name, value in values.items() if row[name] != value}
    if changed:
        revised = {"updated_at": now, "revision": row["revision"] + 1}
        connection.execute(update(TaskRow).where(TaskRow.id == task_id).values(**changed, **revised))


def _read_patch(patch: Mapping[str, object], done_at: datetime | None, now: datetime) -> dict[str, object]:
    values: dict[str, object] = {}
    if "title" in patch:
        values["title"] = _read_title(patch["title"])
    if "owner" in patch:
        values["owner"] = _read_owner(patch)
    if "due_at" in patch:
        values["due_at"] = patch["due_at"]
    if "done" in patch:
        values["done_at"] = (done_at or now) if patch["done"] else None
    return values


def _read_title(raw: object) -> str:
    title = clean_text(raw) if isinstance(raw, str) and not fault_of_text(raw) else None
    if title is None or len(title) > MAX_TITLE_LENGTH:
        raise InvalidRequest([Fault("title", f"must have 1 to {MAX_TITLE_LENGTH} characters")])
    return title


def _read_owner(draft: Mapping[str, object]) -> str | None:
    owner = draft.get("owner")
    return clean_text(owner) if isinstance(owner, str) else None


def _read_subjects(connection: Connection, draft: Mapping[str, object]) -> dict[str, object]:
    """The company and contact of a new task, which must exist and belong together."""
    company_id, contact_id = draft.get("company_id"), draft.get("contact_id")
    if company_id is not None and connection.scalar(select(CompanyRow.id).where(CompanyRow.id == company_id)) is None:
        raise InvalidRequest([Fault("company_id", f"there is no company {company_id}")])
    if contact_id is not None:
        query = select(ContactRow.id, ContactRow.company_id).where(ContactRow.id == contact_id)
        contact = connection.execute(query).one_or_none()
        if contact is None:
            raise InvalidRequest([Fault("contact_id", f"there is no contact {contact_id}")])
        if company_id is not None and contact.company_id != company_id:
            raise InvalidRequest([Fault("contact_id", f"the contact does not belong to company {company_id}")])
        company_id = contact.company_id
    return {"company_id": company_id, "contact_id": contact_id}
