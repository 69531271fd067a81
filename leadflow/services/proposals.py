"""Proposals: a person accepts what a rule would do, chooses another category, or declines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from leadflow.domain.events import Actor
from leadflow.domain.text import clean_text, fault_of_text
from leadflow.errors import Conflict, Fault, InvalidRequest, NotFound
from leadflow.services.follow_ups import create_task
from leadflow.services.records import change_company, change_contact
from leadflow.store import reads
from leadflow.store.tables import ProposalRow

OVERTAKEN = "{} was changed since the rule proposed this, so that stays."


def accept(connection: Connection, actor: Actor, proposal_id: int, now: datetime, category: str | None = None) -> None:
    """Make the proposed changes as this person, with another category where one is named.

    What somebody changed since the proposal was made stays: then nothing is done, and the proposal is overtaken.
    Raises: NotFound; Conflict if it has been decided; Refused with the guard's reason.
    """
    proposal = _open_proposal(connection, proposal_id)
    changes: list[dict[str, Any]] = proposal["changes"]
    if category is not None and not any(one["field"] == "category" for one in changes):
        raise InvalidRequest([Fault("category", "this proposal is not about the category")])
    if (name := _overtaken_by(connection, changes)) is not None:
        _decide(connection, proposal_id, "overtaken", actor, now, OVERTAKEN.format(name))
        return
    for entity, entity_id, patch in _patches(changes, category):
        change = change_company if entity == "company" else change_contact
        change(connection, actor, entity_id, patch, now)
    for one in changes:
        if one["entity"] == "task":
            create_task(connection, actor, {"title": one["new"], **_subjects(proposal)}, now)
    _decide(connection, proposal_id, "accepted", actor, now)


def decline(connection: Connection, actor: Actor, proposal_id: int, now: datetime, reason: str | None = None) -> None:
    """Leave everything as it is. Raises: NotFound; Conflict if it has been decided."""
    if reason is not None and fault_of_text(reason):
        raise InvalidRequest([Fault("reason", str(fault_of_text(reason)))])
    _open_proposal(connection, proposal_id)
    _decide(connection, proposal_id, "declined", actor, now, clean_text(reason) if reason else None)


def _open_proposal(connection: Connection, proposal_id: int) -> Mapping[str, Any]:
    query = select(ProposalRow.__table__).where(ProposalRow.id == proposal_id).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no proposal {proposal_id}.")
    if row["state"] != "open":
        raise Conflict(f"This proposal was {row['state']} already.")
    return dict(row)


def _overtaken_by(connection: Connection, changes: Sequence[Mapping[str, Any]]) -> str | None:
    """What no longer stands as the rule saw it; None when all does."""
    for one in changes:
        if "entity_id" not in one:
            continue
        read: Any = reads.company if one["entity"] == "company" else reads.contact
        if not still_stands(one, read(connection, one["entity_id"])):
            return f"The {one['field'].replace('_', ' ')} of the {one['entity']}"
    return None


def still_stands(change: Mapping[str, Any], view: Any) -> bool:
    """Whether the record has the value that it had when the change was proposed. `view`: its company or contact."""
    name = change["field"]
    value = view.fields.get(name.removeprefix("fields.")) if name.startswith("fields.") else getattr(view, name)
    return (getattr(value, "key", value) or None) == (change["old"] or None)


def _patches(changes: Sequence[Mapping[str, Any]], category: str | None) -> list[tuple[str, int, dict[str, Any]]]:
    """One patch a record, companies first: with its category a company may open its contacts by itself."""
    patches: dict[tuple[str, int], dict[str, Any]] = {}
    for one in changes:
        if "entity_id" not in one:
            continue
        patch = patches.setdefault((one["entity"], one["entity_id"]), {})
        name, value = one["field"], one["new"]
        if name.startswith("fields."):
            patch.setdefault("fields", {})[name.removeprefix("fields.")] = value
        else:
            patch[name] = category if name == "category" and category is not None else value
    return [(entity, entity_id, patch) for (entity, entity_id), patch in sorted(patches.items())]


def _subjects(proposal: Mapping[str, Any]) -> dict[str, Any]:
    return {"company_id": proposal["company_id"], "contact_id": proposal["contact_id"]}


def _decide(
    connection: Connection, proposal_id: int, state: str, actor: Actor, now: datetime, reason: str | None = None
) -> None:
    values = {"state": state, "decided_at": now, "decided_by": actor.name, "reason": reason}
    statement = update(ProposalRow).where(ProposalRow.id == proposal_id)
    connection.execute(statement.values(revision=ProposalRow.revision + 1, **values))
