"""Stand-ins: temporary tables of the same names, in which tests of rules put records that must never be anybody's.

PostgreSQL looks for a table among the temporary ones first. So conditions are asked exactly as they are asked of the
real tables, and neither the real rows nor their locks are touched. Any server will do, also one without leadflow's
tables. Keys that point at other tables, unique indexes and triggers are left out: two tests may have one address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, MetaData, text
from sqlalchemy.schema import CreateTable

from leadflow.domain.events import Trigger
from leadflow.domain.history import PastChange, PastEvent
from leadflow.domain.records import Records
from leadflow.store.bulk import insert_rows
from leadflow.store.norms import change_norms, event_norms
from leadflow.store.records import insert_as_they_stand
from leadflow.store.tables import ChangeRow, CompanyRow, ContactRow, EventRow, SelectionMemberRow
from leadflow.store.values import form_to_json

TABLES = tuple(one.__table__ for one in (CompanyRow, ContactRow, EventRow, ChangeRow, SelectionMemberRow))

# These are in the inbox under their trigger's name, everything else under that of the declared event.
NAMED_BY_TRIGGER = frozenset({Trigger.FORM_SUBMITTED.value, Trigger.SALE.value})


@contextmanager
def stand_ins(connection: Connection) -> Iterator[None]:
    """Empty tables in place of companies, contacts, events, changes and members, until the end of the block."""
    savepoint = connection.begin_nested()
    try:
        for table in TABLES:
            copy = table.to_metadata(MetaData())  # type: ignore[attr-defined]
            statement = str(CreateTable(copy, include_foreign_key_constraints=[]).compile(connection))
            connection.execute(text(statement.replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1)))
        yield
    finally:
        savepoint.rollback()


def insert_past(
    connection: Connection,
    records: Records,
    events: Iterable[PastEvent],
    changes: Iterable[PastChange],
    members: Iterable[tuple[int, int]] = (),
) -> None:
    """The records as they stand, with what happened to them; `members` are pairs of a static selection and a record."""
    insert_as_they_stand(connection, records)
    insert_rows(connection, EventRow, [_event_row(one) for one in events])
    insert_rows(connection, ChangeRow, [_change_row(number, one, records) for number, one in enumerate(changes, 1)])
    added = {"added_by": "test", "added_at": records.now}
    rows = [{"selection_id": one, "record_id": record_id, **added} for one, record_id in members]
    insert_rows(connection, SelectionMemberRow, rows)


def _event_row(event: PastEvent) -> dict[str, Any]:
    is_trigger = event.name in NAMED_BY_TRIGGER
    fields = form_to_json(event.fields)
    return {
        "id": event.id,
        "source": "test",
        "delivery_id": str(event.id),
        "type": event.name if is_trigger else Trigger.EVENT.value,
        "name": None if is_trigger else event.name,
        "state": "processed",
        "lane": 0,
        "received_at": event.at,
        "processed_at": event.at,
        "body_sha256": b"",
        "fields": fields,
        "fields_norm": event_norms(fields),
        "company_id": event.company_id,
        "contact_id": event.contact_id,
    }


def _change_row(number: int, change: PastChange, records: Records) -> dict[str, Any]:
    entity, _, field = change.path.partition(".")
    contact = records.contacts.get(change.record_id) if entity == "contact" else None
    at: datetime = change.at
    return {
        "id": number,
        "at": at,
        "entity": entity,
        "entity_id": change.record_id,
        "company_id": contact.company_id if contact else change.record_id,
        "contact_id": contact.id if contact else None,
        "field": field,
        "old": change.old,
        "new": change.new,
        "values_norm": change_norms(change.old, change.new),
        "actor_kind": "person",
        "actor_name": "test",
        "action": "",
    }
