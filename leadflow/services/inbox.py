"""Receive an event: stored durably before its sender hears so. And replay what was held or failed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, text

from leadflow.domain.events import Trigger
from leadflow.errors import Conflict, NotFound
from leadflow.sources.deliveries import (
    REPEAT_WINDOW,
    NotGenuine,
    computed_delivery_id,
    find_delivery_id,
    find_sender,
    peek,
)
from leadflow.sources.model import Source
from leadflow.store.inbox import Arrival, Receipt, lane_key_of, reopen, store_arrivals
from leadflow.store.replays import Choice, Opening, add_replay, lock_openable, open_again


def prepare_arrival(
    source: Source, headers: Mapping[str, str], content_type: str | None, body: bytes, now: datetime
) -> Arrival:
    """A delivery ready to be stored; `headers` have lower-case names. Never raises for what a sender wrote."""
    document = peek(source, content_type, body)
    given = find_delivery_id(source, headers, document)
    sender = find_sender(source, document)
    email, domain = sender or (None, None)
    return Arrival(
        source=source.name,
        delivery_id=given or computed_delivery_id(hashlib.sha256(body).digest(), now),
        type=Trigger.FORM_SUBMITTED.value,
        content_type=_printable(content_type),
        body=body,
        received_at=now,
        sender_email=email,
        lane_key=domain or email or "",
        is_id_computed=given is None,
    )


def _printable(content_type: str | None) -> str | None:
    return None if content_type is None else content_type.encode("ascii", "replace").decode()[:200].replace("\x00", "?")


def receive_arrivals(connection: Connection, arrivals: Sequence[Arrival]) -> list[Receipt]:
    """Store deliveries, each once; one receipt each, in order. The senders may be told after the commit."""
    return store_arrivals(connection, arrivals, REPEAT_WINDOW)


def store_own_event(
    connection: Connection,
    source: str,
    type_: Trigger,
    document: Mapping[str, Any],
    company: tuple[int, str | None] | None,
    contact: tuple[int, str | None] | None,
    now: datetime,
) -> int:
    """Store an event of leadflow's own (a sale's step, a change by a person) in the caller's transaction; its id.

    `company` is (id, domain), `contact` (id, e-mail): the event takes its place in that company's order.
    """
    lane = lane_key_of(*company) if company else (contact[1] or f"contact:{contact[0]}") if contact else str(uuid4())
    body = json.dumps(document, ensure_ascii=False).encode()
    arrival = Arrival(source, uuid4().hex, type_.value, "application/json", body, now, lane_key=lane)
    receipt = store_arrivals(connection, [arrival])[0]
    # People look for it on the cards before it has been processed.
    connection.execute(
        text("UPDATE event SET company_id = :company, contact_id = :contact WHERE id = :id"),
        {
            "company": company[0] if company else None,
            "contact": contact[0] if contact else None,
            "id": receipt.event_id,
        },
    )
    return receipt.event_id


def require_open_door(source: Source, accepts_unverified: bool) -> None:
    """Raises: NotGenuine if the source has no verification, and this server may be reached by anybody."""
    if source.is_verified or accepts_unverified or source.allow_unverified:
        return
    raise NotGenuine(
        f"The source '{source.name}' has no verification, and this server can be reached from other machines. Give it"
        " one, or allow it with allow_unverified: true in its file or LEADFLOW_ALLOW_UNVERIFIED_SOURCES=true."
    )


# -- once more ---------------------------------------------------------------------------------------------------------


def replay_event(connection: Connection, event_id: int, now: datetime) -> None:
    """Process a held or failed event again; its effects still happen once.

    Raises: NotFound; Conflict if the event is pending or processed, or its raw body has been deleted.
    """
    row = connection.execute(
        text("SELECT state, body IS NULL AS is_forgotten FROM event WHERE id = :id FOR UPDATE"), {"id": event_id}
    ).one_or_none()
    if row is None:
        raise NotFound(f"There is no event {event_id}.")
    if row.state not in ("held", "failed"):
        raise Conflict(f"Only held and failed events can be replayed; this one is {row.state}.")
    if row.is_forgotten or not reopen(connection, event_id):
        raise Conflict("The raw body of this event has been deleted by now, so it cannot be replayed.")


@dataclass(frozen=True, slots=True)
class Replayed:
    """Events that are tried again together: the number under which their progress is told, and how many."""

    id: int
    events: int


def replay_events(
    connection: Connection, sources: Mapping[str, Source], choice: Choice, title: str, by: str, now: datetime
) -> Replayed:
    """Process all held or failed events of the choice again, the oldest first; their effects still happen once.

    Who comes second, with a double click or from another browser, finds them opened and opens none. An event that
    could not be read before takes its place in the order of the company that `sources` now read in it.
    Raises: Conflict if there is none.
    """
    found = lock_openable(connection, choice)
    places = [_place_of(one, sources) for one in found]
    opened = open_again(connection, [one.id for one in found], [one[0] for one in places], [one[1] for one in places])
    if not opened:
        raise Conflict("There is nothing to try again: no event is held or failed here, or somebody was quicker.")
    return Replayed(add_replay(connection, title, sorted(opened), by, now), len(opened))


def _place_of(one: Opening, sources: Mapping[str, Source]) -> tuple[str | None, str | None]:
    """The sender's address and the key of the lane; nothing where the event keeps its place."""
    source = sources.get(one.source)
    if source is None or one.type != Trigger.FORM_SUBMITTED:
        return None, None
    email, domain = find_sender(source, peek(source, one.content_type, one.body)) or (None, None)
    return email, domain or email
