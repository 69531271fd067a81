"""Signs of life of web servers, workers and schedulers, for `doctor` and the system page."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError


def beat(connection: Connection, role: str, now: datetime, did_work: int = 0) -> None:
    """Say that this process is alive and how many events it settled since the last beat."""
    connection.execute(
        text(
            "INSERT INTO heartbeat (role, host, pid, started_at, seen_at, did_work)"
            " VALUES (:role, :host, :pid, :now, :now, :did_work)"
            " ON CONFLICT (role, host, pid)"
            " DO UPDATE SET seen_at = excluded.seen_at, did_work = heartbeat.did_work + excluded.did_work"
        ),
        {"role": role, "host": socket.gethostname(), "pid": os.getpid(), "now": now, "did_work": did_work},
    )


def alive(connection: Connection, now: datetime, within: timedelta = timedelta(seconds=30)) -> dict[str, int]:
    """How many processes of each role were seen lately."""
    statement = text("SELECT role, count(*) AS number FROM heartbeat WHERE seen_at >= :since GROUP BY role")
    return {row.role: row.number for row in connection.execute(statement, {"since": now - within})}


def forget_dead(connection: Connection, before: datetime) -> None:
    """Drop processes that were not seen since."""
    connection.execute(text("DELETE FROM heartbeat WHERE seen_at < :before"), {"before": before})


def beat_in_background(engine: Engine, role: str, every_seconds: float = 10.0) -> None:
    """Beat from a thread of this process for as long as it lives."""
    threading.Thread(target=_beat_for_ever, args=(engine, role, every_seconds), name="heartbeat", daemon=True).start()


def _beat_for_ever(engine: Engine, role: str, every_seconds: float) -> None:
    while True:
        # A database that is away shows elsewhere; the next beat tries again.
        with suppress(SQLAlchemyError), engine.begin() as connection:
            beat(connection, role, datetime.now(UTC))
        time.sleep(every_seconds)
