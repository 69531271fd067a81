"""How the installation is doing: for the system page, live, so every question is bounded."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from leadflow import __version__
from leadflow.services.checking import Finding, diagnose
from leadflow.store.migrate import revisions
from leadflow.store.outbox import count_unsent
from leadflow.store.reads import system as reads
from leadflow.store.reads.system import ProcessView, QueueState, TableSize
from leadflow.store.schedules import next_due_times
from leadflow.store.sweeps.reads import SweepView, sweeps

# Processes that ended show for a while, so that one sees which is missing.
SEEN_WITHIN = timedelta(minutes=10)
ALIVE_WITHIN = timedelta(seconds=30)
DUE_SHOWN = 6
SWEEPS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class SystemView:
    """One look at everything; `trouble` is what is wrong, each with how to mend it."""

    findings: list[Finding]
    queue: list[QueueState]
    counted_at_most: int
    oldest_waiting_at: datetime | None
    typical_seconds: float | None
    received_last_minute: int
    received_last_hour: int
    processes: list[ProcessView]
    due_next: dict[str, datetime]
    sweeps: list[SweepView]
    outbox: Mapping[str, int]
    database_bytes: int
    tables: list[TableSize]
    versions: dict[str, str]

    @property
    def trouble(self) -> list[Finding]:
        return [one for one in self.findings if not one.is_fine]


def look(connection: Connection, now: datetime) -> SystemView:
    """The installation now."""
    return SystemView(
        diagnose(connection, now, in_depth=False),
        reads.queue_depths(connection),
        reads.COUNTED,
        reads.oldest_waiting_at(connection),
        reads.last_processed_lag(connection),
        reads.received_within(connection, now, timedelta(minutes=1)),
        reads.received_within(connection, now, timedelta(hours=1)),
        reads.processes(connection, now - SEEN_WITHIN),
        dict(list(next_due_times(connection).items())[:DUE_SHOWN]),
        _unfinished_sweeps(connection),
        count_unsent(connection),
        reads.database_size(connection),
        reads.biggest_tables(connection),
        _versions(connection),
    )


def is_alive(process: ProcessView, now: datetime) -> bool:
    """Whether a process gave a sign of life lately."""
    return now - process.seen_at <= ALIVE_WITHIN


def _unfinished_sweeps(connection: Connection) -> list[SweepView]:
    found = [
        one
        for state in ("running", "waiting", "braked")
        for one in sweeps(connection, state=state, limit=SWEEPS_SHOWN).items
    ]
    return found[:SWEEPS_SHOWN]


def _versions(connection: Connection) -> dict[str, str]:
    present, _ = revisions(connection)
    return {
        "leadflow": __version__,
        "Python": platform.python_version(),
        "PostgreSQL": reads.postgres_version(connection),
        "schema": present or "none",
    }
