"""The inbox: every accepted delivery is a row here before its sender hears 200, and stays until it took effect.

Order: events of one lane (one company) take effect in the order of their ids. A worker owns a lane through an
advisory lock for as long as its transaction lasts; a lane with an event that waits for another attempt is closed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, DateTime, LargeBinary, Text, bindparam, text

from leadflow.store.bulk import insert_rows, update_rows
from leadflow.store.lists import LISTS_LOCK
from leadflow.store.norms import event_norms
from leadflow.store.tables import EventRow, RunRow

LANE_LOCKS = 7_270_003
LANE_SHARDS = 4_096

MAX_BATCH_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Arrival:
    """A delivery as received. Its lane is that of the company its sender belongs to, else `lane_key`'s or its own."""

    source: str
    delivery_id: str
    type: str
    content_type: str | None
    body: bytes
    received_at: datetime
    sender_email: str | None = None
    lane_key: str = ""
    is_id_computed: bool = False

    @property
    def body_sha256(self) -> bytes:
        return hashlib.sha256(self.body).digest()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender is told."""

    event_id: int
    is_duplicate: bool


def store_arrivals(
    connection: Connection, arrivals: Sequence[Arrival], repeat_window: timedelta = timedelta(minutes=10)
) -> list[Receipt]:
    """Store the deliveries, or find the events that were stored for them before; one receipt each, in order."""
    known = _find_computed_repeats(connection, arrivals, repeat_window)
    named = [_under_known_id(one, known) for one in arrivals]
    inserted = _insert(connection, named)
    missing = [one for one in named if (one.source, one.delivery_id) not in inserted]
    earlier = _find(connection, missing)
    receipts = []
    for one in named:
        key = (one.source, one.delivery_id)
        event_id = inserted.pop(key, None)
        if event_id is not None:
            earlier[key] = (event_id, one.body_sha256)
            receipts.append(Receipt(event_id, is_duplicate=False))
            continue
        event_id, body_sha256 = earlier[key]
        receipts.append(Receipt(event_id, is_duplicate=True))
        if body_sha256 != one.body_sha256:
            _record_conflict(connection, event_id, one)
    return receipts


def _find_computed_repeats(
    connection: Connection, arrivals: Sequence[Arrival], window: timedelta
) -> dict[tuple[str, bytes], str]:
    computed = [one for one in arrivals if one.is_id_computed]
    if not computed:
        return {}
    since = min(one.received_at for one in computed) - window
    statement = text(
        "SELECT source, body_sha256, delivery_id FROM event WHERE source = ANY(:sources)"
        " AND body_sha256 = ANY(:hashes) AND received_at >= :since AND delivery_id LIKE 'body:%' ORDER BY id DESC"
    ).bindparams(bindparam("hashes", type_=ARRAY(LargeBinary)), bindparam("sources", type_=ARRAY(Text)))
    sources, hashes = [one.source for one in computed], [one.body_sha256 for one in computed]
    rows = connection.execute(statement, {"sources": sources, "hashes": hashes, "since": since})
    return {(row.source, bytes(row.body_sha256)): row.delivery_id for row in rows}


def _under_known_id(one: Arrival, known: Mapping[tuple[str, bytes], str]) -> Arrival:
    delivery_id = known.get((one.source, one.body_sha256)) if one.is_id_computed else None
    if delivery_id is None:
        return one
    return Arrival(one.source, delivery_id, one.type, one.content_type, one.body, one.received_at, is_id_computed=True)


def lane_key_of(company_id: int, domain: str | None) -> str:
    """The lane key of a company."""
    return domain or f"company:{company_id}"


def _insert(connection: Connection, arrivals: Sequence[Arrival]) -> dict[tuple[str, str], int]:
    columns = (
        [one.source for one in arrivals],
        [one.delivery_id for one in arrivals],
        [one.type for one in arrivals],
        [one.sender_email for one in arrivals],
        [one.lane_key or one.delivery_id for one in arrivals],
        [one.received_at for one in arrivals],
        [one.content_type for one in arrivals],
        [one.body for one in arrivals],
    )
    return {(source, delivery_id): id_ for id_, source, delivery_id in connection.exec_driver_sql(_INSERT, columns)}


# The lane of a sender who already belongs to a company is that company's, whatever the address says. One statement
# does it all, with its arrays in binary: every form that comes in pays for this one.
_INSERT = """
INSERT INTO event (source, delivery_id, type, state, lane, received_at, content_type, body, body_sha256)
SELECT source, delivery_id, type, 'pending', ('x' || left(md5(coalesce((
        SELECT coalesce(company.domain, 'company:' || company.id) FROM contact
        JOIN company ON company.id = contact.company_id WHERE contact.email = sender
    ), lane_key)), 16))::bit(64)::bigint, received_at, content_type, body, sha256(body)
FROM unnest(
    %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::text[], %b::bytea[]
) WITH ORDINALITY AS v(source, delivery_id, type, sender, lane_key, received_at, content_type, body, place)
ORDER BY place
ON CONFLICT (source, delivery_id) DO NOTHING RETURNING id, source, delivery_id
"""


def _find(connection: Connection, arrivals: Sequence[Arrival]) -> dict[tuple[str, str], tuple[int, bytes]]:
    if not arrivals:
        return {}
    statement = text(
        # One look into the unique index each, whatever the planner believes of the table's size.
        "SELECT found.* FROM unnest(:sources, :delivery_ids) AS v(s, d) CROSS JOIN LATERAL (SELECT id, source,"
        " delivery_id, body_sha256 FROM event WHERE source = v.s AND delivery_id = v.d LIMIT 1) AS found"
    ).bindparams(bindparam("sources", type_=ARRAY(Text)), bindparam("delivery_ids", type_=ARRAY(Text)))
    parameters = {"sources": [a.source for a in arrivals], "delivery_ids": [a.delivery_id for a in arrivals]}
    rows = connection.execute(statement, parameters)
    return {(row.source, row.delivery_id): (row.id, bytes(row.body_sha256)) for row in rows}


def _record_conflict(connection: Connection, event_id: int, one: Arrival) -> None:
    statement = text(
        "INSERT INTO delivery_conflict (event_id, received_at, body, body_sha256)"
        " VALUES (:event_id, :at, :body, :hash) ON CONFLICT DO NOTHING"
    )
    parameters = {"event_id": event_id, "at": one.received_at, "body": one.body, "hash": one.body_sha256}
    connection.execute(statement, parameters)


# -- claiming ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClaimedEvent:
    """A pending event whose lane this transaction owns."""

    id: int
    source: str
    type: str
    lane: int
    received_at: datetime
    content_type: str | None
    body: bytes
    starts: int
    failures: int


def claim(connection: Connection, now: datetime, limit: int, only: Collection[int] | None = None) -> list[ClaimedEvent]:
    """Up to `limit` due events in the order of acceptance, their lanes owned until this transaction ends.

    `only` narrows the choice to these ids. An event whose lane another transaction owns is not among them. The lists
    are shared from here on: no administrator changes them before this transaction ends (`leadflow.store.lists`).
    """
    candidates = connection.execute(
        _CANDIDATES_AMONG if only is not None else _CANDIDATES,
        {"now": now, "limit": limit} | ({"only": list(only)} if only is not None else {}),
    ).all()
    if not candidates:
        return []
    candidates = _within_memory(candidates)
    shards = sorted({row.lane % LANE_SHARDS for row in candidates})
    locks = {"space": LANE_LOCKS, "lists": LISTS_LOCK, "shards": shards}
    owned = set(connection.scalars(_OWN_LANES, locks))
    ids = [row.id for row in candidates if row.lane % LANE_SHARDS in owned]
    read = _READ if only is None else _READ_AMONG
    return _open_lanes_only(connection.execute(read, {"ids": ids}).all(), now) if ids else []


def _within_memory(candidates: Sequence[Any]) -> list[Any]:
    """The first of the candidates whose bodies together stay below 16 MiB; at least one."""
    totals = accumulate(row.size or 0 for row in candidates)
    return [row for row, total in zip(candidates, totals, strict=True) if total <= MAX_BATCH_BYTES] or [candidates[0]]


_CLOSED = "SELECT lane FROM event WHERE state = 'pending' AND next_attempt_at > :now"
# Without this, a second worker would look at the same first events again and again, and find their lanes taken.
# A transaction's own lanes stay open to it: it may claim again (the demo tells a whole day in one).
_TAKEN = (
    f"SELECT CAST(objid AS bigint) FROM pg_locks WHERE locktype = 'advisory' AND classid = {LANE_LOCKS}"
    " AND objsubid = 2 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND pid <> pg_backend_pid()"
)
_SHARD = f"((lane % {LANE_SHARDS}) + {LANE_SHARDS}) % {LANE_SHARDS}"
_CHOICE = (
    "SELECT id, lane, octet_length(body) AS size FROM event WHERE state = 'pending' AND"
    " (next_attempt_at IS NULL OR next_attempt_at <= :now)"
    f" AND NOT lane = ANY(ARRAY({_CLOSED})) AND NOT {_SHARD} = ANY(ARRAY({_TAKEN}))"
    " {among} ORDER BY id LIMIT :limit"
)
_CANDIDATES = text(_CHOICE.format(among=""))
_CANDIDATES_AMONG = text(_CHOICE.format(among="AND id = ANY(:only)")).bindparams(
    bindparam("only", type_=ARRAY(BigInteger))
)
_OWN_LANES = text(
    "SELECT shard FROM (SELECT pg_advisory_xact_lock_shared(:lists) OFFSET 0) AS shared, unnest(:shards) AS shard"
    " WHERE pg_try_advisory_xact_lock(:space, CAST(shard AS integer))"
).bindparams(bindparam("shards", type_=ARRAY(BigInteger)))
# Read after the locks are held: whoever owned a lane before has committed, and what he did is seen.
_CLAIMED = (
    "SELECT id, source, type, lane, received_at, content_type, body, starts, failures, next_attempt_at"
    " FROM event WHERE id = ANY(:ids) AND state = 'pending'{further} ORDER BY id"
)
_READ = text(_CLAIMED.format(further="")).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))
# A part of a batch that failed may not overtake the other part, which another worker may have got hold of since.
_READ_AMONG = text(
    _CLAIMED.format(
        further=" AND NOT EXISTS (SELECT FROM event AS earlier WHERE earlier.state = 'pending'"
        " AND earlier.lane = event.lane AND earlier.id < event.id AND NOT earlier.id = ANY(:ids))"
    )
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))


def _open_lanes_only(rows: Sequence[Any], now: datetime) -> list[ClaimedEvent]:
    closed: set[int] = set()
    events = []
    for row in rows:
        if row.next_attempt_at is not None and row.next_attempt_at > now:
            closed.add(row.lane)
        elif row.lane not in closed:
            content = (row.content_type, bytes(row.body or b""))
            events.append(
                ClaimedEvent(
                    row.id, row.source, row.type, row.lane, row.received_at, *content, row.starts, row.failures
                )
            )
    return events


def note_starts(connection: Connection, ids: Collection[int]) -> None:
    """Count an attempt on each event. Commit it before the attempt, so that one that kills its worker is counted.

    One statement, so that a connection in autocommit has done with it in one round trip; nobody waits for the disk.
    """
    connection.execute(_NOTE_STARTS, {"ids": list(ids)})


_NOTE_STARTS = text(
    "UPDATE event SET starts = starts + 1 FROM (SELECT set_config('synchronous_commit', 'off', true) OFFSET 0) AS quick"
    " WHERE id = ANY(:ids)"
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))


def find_overtaken(connection: Connection, ids: Collection[int]) -> set[int]:
    """Those of these events of leadflow's own after which a later one of their company and source took effect."""
    return set(connection.scalars(_OVERTAKEN, {"ids": list(ids)})) if ids else set()


_OVERTAKEN = text(
    "SELECT id FROM event WHERE id = ANY(:ids) AND EXISTS (SELECT FROM event AS later WHERE later.id > event.id"
    " AND later.company_id = event.company_id AND later.source = event.source AND later.state = 'processed')"
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))


# -- settling ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Settlement:
    """How an event ended: processed or held (with `error`), what it was about, and its traces."""

    event_id: int
    state: str
    company_id: int | None = None
    contact_id: int | None = None
    fields: Mapping[str, Any] | None = None
    error: str | None = None
    type: str = "form_submitted"
    name: str | None = None


def settle(connection: Connection, settlements: Iterable[Settlement], at: datetime) -> None:
    """Mark events processed or held."""
    rows = [
        {
            "id": one.event_id,
            "state": one.state,
            "type": one.type,
            "name": one.name,
            "processed_at": at,
            "company_id": one.company_id,
            "contact_id": one.contact_id,
            "fields": one.fields,
            "fields_norm": event_norms(one.fields) if one.fields else None,
            "error": one.error,
            "starts": 0,
            "next_attempt_at": None,
        }
        for one in settlements
    ]
    update_rows(connection, EventRow, rows)


def insert_runs(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write traces."""
    insert_rows(connection, RunRow, rows)


def postpone(connection: Connection, ids: Collection[int], until: datetime) -> None:
    """Put events back that could not be worked on now (somebody holds their company); no failure is counted."""
    if ids:
        statement = text("UPDATE event SET starts = 0, next_attempt_at = :until WHERE id = ANY(:ids)")
        connection.execute(statement, {"ids": list(ids), "until": until})


def note_failure(
    connection: Connection, event_id: int, error: str, next_attempt_at: datetime | None, now: datetime
) -> None:
    """Record a failed attempt: another one at `next_attempt_at`, or none: the event is `failed`."""
    connection.execute(
        text(
            "UPDATE event SET starts = 0, failures = failures + 1, error = :error, next_attempt_at = :next,"
            " state = :state, processed_at = :processed WHERE id = :id AND state = 'pending'"
        ),
        {
            "id": event_id,
            "error": error,
            "next": next_attempt_at,
            "state": "pending" if next_attempt_at else "failed",
            "processed": None if next_attempt_at else now,
        },
    )


def failures_of(connection: Connection, event_id: int) -> int:
    """How many attempts on the event ended in an error."""
    return int(connection.scalar(text("SELECT failures FROM event WHERE id = :id"), {"id": event_id}) or 0)


def reopen(connection: Connection, event_id: int) -> bool:
    """Make a held or failed event pending again; False if it is neither."""
    statement = text(
        "UPDATE event SET state = 'pending', starts = 0, failures = 0, next_attempt_at = NULL, error = NULL,"
        " processed_at = NULL WHERE id = :id AND state IN ('held', 'failed') AND body IS NOT NULL"
    )
    return connection.execute(statement, {"id": event_id}).rowcount == 1


def next_due(connection: Connection, now: datetime) -> datetime | None:
    """When the next event can be worked on: `now` if one can already, None if nothing is pending.

    Events that wait for an earlier one of their lane are due when that is.
    """
    due: datetime | None = connection.scalar(_NEXT_DUE, {"now": now})
    return due


_NEXT_DUE = text(
    "SELECT CASE WHEN EXISTS (SELECT FROM event WHERE state = 'pending'"
    f" AND (next_attempt_at IS NULL OR next_attempt_at <= :now) AND NOT lane = ANY(ARRAY({_CLOSED}))) THEN :now"
    " ELSE (SELECT min(next_attempt_at) FROM event WHERE state = 'pending' AND next_attempt_at > :now) END"
).bindparams(bindparam("now", type_=DateTime(timezone=True)))


def forget_bodies(connection: Connection, received_before: datetime, limit: int = 5_000) -> int:
    """Null raw bodies of settled events that are old; how many. The rows stay, so late repeats are still duplicates."""
    connection.execute(
        text("UPDATE delivery_conflict SET body = NULL WHERE body IS NOT NULL AND received_at < :before"),
        {"before": received_before},
    )
    statement = text(
        "UPDATE event SET body = NULL WHERE id IN (SELECT id FROM event WHERE body IS NOT NULL"
        " AND state IN ('processed', 'held', 'failed') AND received_at < :before ORDER BY received_at LIMIT :limit)"
    )
    return connection.execute(statement, {"before": received_before, "limit": limit}).rowcount
