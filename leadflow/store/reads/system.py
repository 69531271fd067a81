"""How the installation is doing, asked so that the answer takes no longer when there is more of everything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

# Counting ends here: "more than 10,000" says enough.
COUNTED = 10_000
TABLES_SHOWN = 8
PROCESSES_SHOWN = 100


@dataclass(frozen=True, slots=True)
class QueueState:
    """How many events are in a state (one above `COUNTED`: more than that)."""

    state: str
    events: int


@dataclass(frozen=True, slots=True)
class ProcessView:
    """A process that was seen lately; `did_work` counts the events that it settled."""

    role: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    did_work: int


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table with its indexes; `rows` as PostgreSQL estimates them, None before it did."""

    name: str
    size_bytes: int
    rows: int | None


_STATE = text("SELECT count(*) FROM (SELECT FROM event WHERE state = :state ORDER BY id LIMIT :most + 1) AS counted")


def queue_depths(connection: Connection) -> list[QueueState]:
    """How many events wait, are held and failed."""
    counted = [
        (state, connection.scalar(_STATE, {"state": state, "most": COUNTED}) or 0)
        for state in ("pending", "held", "failed")
    ]
    return [QueueState(*one) for one in counted]


def received_within(connection: Connection, now: datetime, window: timedelta) -> int:
    """How many events came in lately, one above `COUNTED` at most."""
    query = text("SELECT count(*) FROM (SELECT FROM event WHERE received_at > :since LIMIT :most + 1) AS counted")
    return connection.scalar(query, {"since": now - window, "most": COUNTED}) or 0


def oldest_waiting_at(connection: Connection) -> datetime | None:
    """When the event was received that is next in turn; those that wait for another attempt are left out."""
    query = "SELECT received_at FROM event WHERE state = 'pending' AND next_attempt_at IS NULL ORDER BY id LIMIT 1"
    found: datetime | None = connection.scalar(text(query))
    return found


def last_processed_lag(connection: Connection, most: int = 200) -> float | None:
    """Seconds from arrival to effect in the middle of the newest processed events; None if there are none."""
    query = text(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM processed_at - received_at))"
        " FROM (SELECT processed_at, received_at FROM event WHERE id > (SELECT max(id) FROM event) - :most"
        " AND state = 'processed') AS newest"
    )
    found = connection.scalar(query, {"most": most})
    return None if found is None else float(found)


def processes(connection: Connection, since: datetime) -> list[ProcessView]:
    """The processes seen since, by role."""
    query = text(
        "SELECT role, host, pid, started_at, seen_at, did_work FROM heartbeat WHERE seen_at >= :since"
        " ORDER BY role, seen_at DESC LIMIT :most"
    )
    rows = connection.execute(query, {"since": since, "most": PROCESSES_SHOWN})
    return [ProcessView(*row) for row in rows]


def database_size(connection: Connection) -> int:
    """Bytes on disk."""
    return connection.scalar(text("SELECT pg_database_size(current_database())")) or 0


def biggest_tables(connection: Connection) -> list[TableSize]:
    """The tables that take most room."""
    query = text(
        "SELECT relname, pg_total_relation_size(oid) AS size, nullif(reltuples, -1)::bigint FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY size DESC, relname LIMIT :most"
    )
    return [TableSize(*row) for row in connection.execute(query, {"most": TABLES_SHOWN})]


def postgres_version(connection: Connection) -> str:
    """Such as `15.8`."""
    found = connection.scalar(text("SELECT current_setting('server_version')")) or ""
    return str(found).split(" ", maxsplit=1)[0]
