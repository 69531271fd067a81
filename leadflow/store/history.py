"""What happened before to the records of a batch: the events and changes that the running rules ask for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, DateTime, Text, bindparam, text

from leadflow.domain.events import Trigger
from leadflow.domain.fields import Catalogue, UnreadableValue, Value
from leadflow.domain.history import History, PastChange, PastEvent
from leadflow.rules.past_asked import PastAsked
from leadflow.store.values import read_fields, read_stored

ROOTS = {Trigger.FORM_SUBMITTED.value: "form", Trigger.SALE.value: "sale", Trigger.EVENT.value: "event"}


def read_history(
    connection: Connection,
    catalogue: Catalogue,
    asked: PastAsked,
    companies: Collection[int],
    contacts: Collection[int],
    now: datetime,
) -> History:
    """The past of these companies and contacts as far as `asked`; nothing is read where nothing is asked."""
    history = History()
    for event in _read_events(connection, catalogue, asked, companies, contacts, now):
        history.note_event(event)
    for change in _read_changes(connection, catalogue, asked.fields, companies, contacts):
        history.note_change(change)
    for selection_id, record_id in _read_members(connection, asked, companies, contacts):
        history.note_member(selection_id, record_id)
    return history


def _read_members(
    connection: Connection, asked: PastAsked, companies: Collection[int], contacts: Collection[int]
) -> Iterator[tuple[int, int]]:
    """The memberships of these records in the static selections that are asked for."""
    for record, ids in (("company", companies), ("contact", contacts)):
        selections = [number for kind, number in asked.selections if kind == record]
        if selections and ids:
            for row in connection.execute(_MEMBERS, {"selections": selections, "ids": list(ids)}):
                yield row.selection_id, row.record_id


_MEMBERS = text(
    "SELECT selection_id, record_id FROM selection_member"
    " WHERE record_id = ANY(:ids) AND selection_id = ANY(:selections)"
).bindparams(bindparam("selections", type_=ARRAY(BigInteger)), bindparam("ids", type_=ARRAY(BigInteger)))


def _read_events(
    connection: Connection,
    catalogue: Catalogue,
    asked: PastAsked,
    companies: Collection[int],
    contacts: Collection[int],
    now: datetime,
) -> Iterator[PastEvent]:
    if not asked.events:
        return
    parameters = {
        "names": sorted(asked.events),
        "companies": list(companies) if "company" in asked.by else [],
        "contacts": list(contacts) if "contact" in asked.by else [],
        "since": now - asked.within if asked.within else None,
    }
    for row in connection.execute(_EVENTS, parameters):
        fields = read_fields(catalogue, ROOTS.get(row.type, "event"), row.fields or {})
        yield PastEvent(row.id, row.called, row.received_at, fields, row.company_id, row.contact_id)


_EVENTS = text(
    "SELECT id, type, coalesce(name, type) AS called, received_at, fields, company_id, contact_id FROM event"
    " WHERE state = 'processed' AND coalesce(name, type) = ANY(:names)"
    " AND (contact_id = ANY(:contacts) OR company_id = ANY(:companies))"
    " AND (CAST(:since AS timestamptz) IS NULL OR received_at >= :since) ORDER BY id"
).bindparams(
    bindparam("names", type_=ARRAY(Text)),
    bindparam("companies", type_=ARRAY(BigInteger)),
    bindparam("contacts", type_=ARRAY(BigInteger)),
    bindparam("since", type_=DateTime(timezone=True)),
)


def _read_changes(
    connection: Connection,
    catalogue: Catalogue,
    paths: Collection[str],
    companies: Collection[int],
    contacts: Collection[int],
) -> Iterator[PastChange]:
    for entity, ids in (("company", companies), ("contact", contacts)):
        names = sorted(path.partition(".")[2] for path in paths if path.startswith(f"{entity}."))
        if not names or not ids:
            continue
        for row in connection.execute(_CHANGES, {"entity": entity, "fields": names, "ids": list(ids)}):
            path = f"{entity}.{row.field}"
            old, new = _side(catalogue, path, row.old), _side(catalogue, path, row.new)
            yield PastChange(path, row.entity_id, old, new, row.at)


def _side(catalogue: Catalogue, path: str, raw: Any) -> Value:
    """One side of a change. What the field cannot hold any more is neither blank nor one of its values, as in SQL."""
    one = catalogue.get(path)
    try:
        return read_stored(one, raw) if one and raw is not None else raw
    except UnreadableValue:
        return str(raw)


_CHANGES = text(
    "SELECT entity_id, field, old, new, at FROM change"
    " WHERE entity = :entity AND field = ANY(:fields) AND entity_id = ANY(:ids) ORDER BY id"
).bindparams(bindparam("fields", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(BigInteger)))
