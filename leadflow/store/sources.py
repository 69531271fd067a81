"""Sources as people keep them, and what came from each: named queries and the writes of the stories.

What is sealed never leaves but to be opened for a signature.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CompoundSelect, Connection, delete, func, select, union_all, update
from sqlalchemy.dialects.postgresql import insert

from leadflow.errors import Conflict
from leadflow.store.tables import EventRow, Installation, SourceRow

# A list looks at so many events at most: whatever the inbox holds, a page costs the same.
WINDOW = 20_000
REASON_WINDOW = 10_000


@dataclass(frozen=True, slots=True)
class StoredSource:
    """A source as it is kept; its secrets are still sealed."""

    name: str
    definition: dict[str, Any]
    sealed: bytes | None
    is_enabled: bool
    changed_by: str
    created_at: datetime
    updated_at: datetime
    revision: int


_COLUMNS = [getattr(SourceRow, name) for name in StoredSource.__slots__]


def revision_of_lists(connection: Connection) -> int:
    """The number that moves on whenever a source (or a list) changes; 0 without an installation."""
    return connection.scalar(select(Installation.lifecycle_revision)) or 0


def stored_sources(connection: Connection) -> list[StoredSource]:
    """All that people made or changed, by name."""
    rows = connection.execute(select(*_COLUMNS).order_by(SourceRow.name)).mappings()
    return [StoredSource(**row) for row in rows]


def stored_source(connection: Connection, name: str, *, to_change: bool = False) -> StoredSource | None:
    """One of them, None where only a file or nothing is there; locked until the transaction ends if it is to change."""
    query = select(*_COLUMNS).where(SourceRow.name == name)
    row = connection.execute(query.with_for_update() if to_change else query).mappings().one_or_none()
    return None if row is None else StoredSource(**row)


def add_source(connection: Connection, values: Mapping[str, Any], now: datetime) -> None:
    """Raises: Conflict if there is one of this name, also where somebody else made it at this moment."""
    statement = insert(SourceRow).values(**values, created_at=now, updated_at=now)
    if connection.execute(statement.on_conflict_do_nothing()).rowcount == 0:
        raise Conflict(f"There is a source '{values['name']}' already.")


def write_source(connection: Connection, name: str, values: Mapping[str, Any], now: datetime) -> None:
    """Change what is given; the revision moves on."""
    moved = {"updated_at": now, "revision": SourceRow.revision + 1}
    connection.execute(update(SourceRow).where(SourceRow.name == name).values(**values, **moved))


def reseal_source(connection: Connection, name: str, before: bytes, after: bytes) -> None:
    """Put the same secrets under a newer key; nothing else changes, and nothing if somebody wrote meanwhile."""
    same = (SourceRow.name == name, SourceRow.sealed == before)
    connection.execute(update(SourceRow).where(*same).values(sealed=after))


def delete_source(connection: Connection, name: str) -> None:
    """Forget what people made of the source, with its secrets."""
    connection.execute(delete(SourceRow).where(SourceRow.name == name))


# -- what came from them -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Traffic:
    """What came from a source lately, by what became of it, and when the last one came."""

    states: dict[str, int]
    last_at: datetime | None = None

    @property
    def total(self) -> int:
        return sum(self.states.values())


def traffic_since(connection: Connection, since: datetime) -> dict[str, Traffic]:
    """What came from each source since then, as far as the newest `WINDOW` events tell."""
    newest = select(EventRow.source, EventRow.state, EventRow.received_at).where(EventRow.received_at >= since)
    window = newest.order_by(EventRow.received_at.desc()).limit(WINDOW).subquery()
    columns = (window.c.source, window.c.state, func.count(), func.max(window.c.received_at))
    found: dict[str, Traffic] = {}
    for source, state, count, last_at in connection.execute(select(*columns).group_by(window.c.source, window.c.state)):
        known = found.setdefault(source, Traffic({}))
        known.states[state] = count
        known.last_at = max(known.last_at, last_at) if known.last_at else last_at
    return found


def last_received(connection: Connection, source: str) -> datetime | None:
    """When the last event of the source came, if it is among the newest `WINDOW`."""
    window = select(EventRow.source, EventRow.received_at).order_by(EventRow.id.desc()).limit(WINDOW).subquery()
    last_at: datetime | None = connection.scalar(
        select(func.max(window.c.received_at)).where(window.c.source == source)
    )
    return last_at


def unsettled_per_source(connection: Connection) -> dict[str, dict[str, int]]:
    """How many events of each source are held and failed, as far as the newest `REASON_WINDOW` of each state tell."""
    window = _unsettled(("held", "failed")).subquery()
    rows = connection.execute(
        select(window.c.source, window.c.state, func.count()).group_by(window.c.source, window.c.state)
    )
    found: dict[str, dict[str, int]] = {}
    for source, state, count in rows:
        found.setdefault(source, {})[state] = count
    return found


def _unsettled(states: Iterable[str]) -> CompoundSelect[Any]:
    """The newest of each state, by its index: asked for two states at once, PostgreSQL would walk the whole inbox."""
    columns: tuple[Any, ...] = (EventRow.id, EventRow.source, EventRow.state, EventRow.error)
    newest = (
        select(*columns).where(EventRow.state == one).order_by(EventRow.id.desc()).limit(REASON_WINDOW)
        for one in states
    )
    return union_all(*(one.subquery().select() for one in newest))


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some events of a source do not go on; `reason` has dots for what differs from one to the other."""

    source: str
    state: str
    reason: str
    events: int
    example: str


# What a reason quotes of the payload, and the places in it, differ from event to event.
_QUOTED, _NUMBER = "'[^']*'", "[0-9]+"


def reason_key(column: Any) -> Any:
    """The reason without what differs: the same for all events that one mending helps."""
    plain = func.regexp_replace(func.coalesce(column, ""), _QUOTED, "'…'", "g")
    return func.regexp_replace(plain, _NUMBER, "…", "g")


def reasons(connection: Connection, state: str, source: str | None = None, limit: int = 20) -> list[Reason]:
    """Why events are held or failed, the most frequent reason first."""
    window = _unsettled([state]).subquery()
    key = reason_key(window.c.error).label("reason")
    query = select(window.c.source, window.c.state, key, func.count(), func.max(window.c.error))
    if source is not None:
        query = query.where(window.c.source == source)
    query = query.group_by(window.c.source, window.c.state, key).order_by(func.count().desc(), key).limit(limit)
    return [Reason(*row) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class Payload:
    """A delivery as it was stored, with what became of it."""

    id: int
    state: str
    source: str
    type: str
    lane: int
    delivery_id: str
    received_at: datetime
    content_type: str | None
    body: bytes
    error: str | None


_PAYLOAD = [getattr(EventRow, name) for name in Payload.__slots__]

# Events that leadflow makes of a source's deliveries; its own have other types.
_DELIVERED = ("form_submitted", "event")


def payloads(connection: Connection, source: str, limit: int) -> list[Payload]:
    """The stored payloads of a source: the newest held ones first, then the newest of the others."""
    held = payloads_in(connection, source, ("held",), limit)
    return [*held, *_newest(connection, source, limit - len(held))] if len(held) < limit else held


def payloads_in(connection: Connection, source: str, states: Iterable[str], limit: int) -> list[Payload]:
    """The newest stored payloads of a source in these unsettled states."""
    mine = (EventRow.source == source, EventRow.state.in_(list(states)), EventRow.body.is_not(None))
    query = select(*_PAYLOAD).where(*mine, EventRow.type.in_(_DELIVERED)).order_by(EventRow.id.desc()).limit(limit)
    return [_payload(row) for row in connection.execute(query).mappings()]


def _newest(connection: Connection, source: str, limit: int) -> list[Payload]:
    window = select(EventRow.id, EventRow.source, EventRow.state).order_by(EventRow.id.desc()).limit(WINDOW).subquery()
    mine = select(window.c.id).where(window.c.source == source, window.c.state != "held")
    chosen = mine.order_by(window.c.id.desc()).limit(limit).scalar_subquery()
    query = select(*_PAYLOAD).where(EventRow.id.in_(chosen), EventRow.body.is_not(None), EventRow.type.in_(_DELIVERED))
    return [_payload(row) for row in connection.execute(query.order_by(EventRow.id.desc())).mappings()]


def chosen_payloads(connection: Connection, source: str, ids: Iterable[int]) -> list[Payload]:
    """These payloads of the source, newest first; those whose body has been cleared away are missing."""
    mine = (EventRow.source == source, EventRow.id.in_(list(ids)), EventRow.body.is_not(None))
    query = select(*_PAYLOAD).where(*mine, EventRow.type.in_(_DELIVERED)).order_by(EventRow.id.desc())
    return [_payload(row) for row in connection.execute(query).mappings()]


def _payload(row: Mapping[Any, Any]) -> Payload:
    return Payload(**{**row, "body": bytes(row["body"])})
