"""When scheduled rules are due next: one row a rule, turned into sweeps by whichever scheduler comes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Connection, Text, bindparam, text

from leadflow.store.values import dump

# Schedulers that follow a new version of the rules do so one after the other.
TIMETABLE_LOCK = 7_270_006


@dataclass(frozen=True, slots=True)
class DueRule:
    """A rule whose time has come."""

    rule: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Planned:
    """When a rule is due next, and the definition that this follows from."""

    definition: Mapping[str, Any]
    next_due_at: datetime


def lock_timetable(connection: Connection) -> None:
    """Keep other schedulers from rewriting the timetable until this transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": TIMETABLE_LOCK})


def keep_schedules(connection: Connection, planned: Mapping[str, Planned]) -> None:
    """Make these the scheduled rules. A rule whose definition is as it was keeps its next time."""
    connection.execute(_FORGET, {"rules": sorted(planned)})
    rows = [
        {"rule": rule, "definition": dump(dict(one.definition)), "next_due_at": one.next_due_at}
        for rule, one in sorted(planned.items())
    ]
    if rows:
        connection.execute(_KEEP, rows)


_FORGET = text("DELETE FROM schedule WHERE rule <> ALL(:rules)").bindparams(bindparam("rules", type_=ARRAY(Text)))
_KEEP = text(
    "INSERT INTO schedule (rule, definition, next_due_at) VALUES (:rule, CAST(:definition AS jsonb), :next_due_at)"
    " ON CONFLICT (rule) DO UPDATE SET definition = excluded.definition, next_due_at = excluded.next_due_at"
    " WHERE schedule.definition <> excluded.definition"
)


def take_due(connection: Connection, now: datetime) -> list[DueRule]:
    """The rules that are due, locked. One that is still swept stays due: the times it misses become one sweep."""
    return [DueRule(row.rule, row.next_due_at) for row in connection.execute(_DUE, {"now": now})]


_DUE = text(
    "SELECT rule, next_due_at FROM schedule WHERE next_due_at <= :now AND NOT EXISTS"
    " (SELECT FROM sweep WHERE sweep.rule = schedule.rule AND sweep.state IN ('waiting', 'running'))"
    " ORDER BY rule FOR UPDATE SKIP LOCKED"
)


def move_on(connection: Connection, rule: str, next_due_at: datetime | None) -> None:
    """The rule is due then; with None never again."""
    if next_due_at is None:
        connection.execute(text("DELETE FROM schedule WHERE rule = :rule"), {"rule": rule})
        return
    statement = text("UPDATE schedule SET next_due_at = :next_due_at WHERE rule = :rule")
    connection.execute(statement, {"rule": rule, "next_due_at": next_due_at})


def next_due_times(connection: Connection) -> dict[str, datetime]:
    """When each scheduled rule is due next, the first one first."""
    rows = connection.execute(text("SELECT rule, next_due_at FROM schedule ORDER BY next_due_at, rule"))
    return {row.rule: row.next_due_at for row in rows}
