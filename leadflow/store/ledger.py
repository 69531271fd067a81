"""The ledger: one row for each change, appended at the end of the transaction that makes it.

Its ids follow the order of commit, because appending waits for its turn: a reader that goes on from the last id it
saw misses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from leadflow.domain.events import ActorKind
from leadflow.domain.records import Change, Records
from leadflow.store.bulk import insert_rows
from leadflow.store.norms import change_norms
from leadflow.store.tables import ChangeRow

APPEND_LOCK = 7_270_004


def append_changes(connection: Connection, records: Records, changes: Iterable[Change], at: datetime) -> None:
    """Append the changes. Call it last: from here on other writers of the ledger wait for this transaction."""
    rows = [_row(records, change, at) for change in changes]
    if rows:
        insert_rows(connection, ChangeRow, rows, turn=APPEND_LOCK)


def take_turn(connection: Connection) -> None:
    """Wait for the turn to append; it lasts until this transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": APPEND_LOCK})


def _row(records: Records, change: Change, at: datetime) -> dict[str, Any]:
    cause, actor = change.cause, change.cause.actor
    is_contact = change.entity == "contact"
    contact = records.contacts[change.entity_id] if is_contact else None
    return {
        "at": at,
        "entity": change.entity,
        "entity_id": change.entity_id,
        "company_id": contact.company_id if contact else change.entity_id,
        "contact_id": change.entity_id if is_contact else None,
        "field": change.field,
        "old": change.old,
        "new": change.new,
        "values_norm": change_norms(change.old, change.new),
        "actor_kind": actor.kind.value,
        "actor_id": actor.id,
        "actor_name": actor.name,
        "event_id": cause.event_id,
        "sweep_id": cause.sweep_id,
        "run_id": cause.run_id,
        "rule": actor.name if actor.kind is ActorKind.RULE else None,
        "action": cause.action,
    }
