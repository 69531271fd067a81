"""`db check`: schema, guard and ledger verified; `doctor`: everything, with how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from leadflow.store.guard_check import missing_guards
from leadflow.store.heartbeats import alive
from leadflow.store.inbox import next_due
from leadflow.store.migrate import revisions, schema_differences
from leadflow.store.outbox import next_due as next_message_due
from leadflow.store.outbox import parked_per_endpoint
from leadflow.store.replay import find_differences

MAX_CLOCK_DIFFERENCE_SECONDS = 5.0
MAX_LAG_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: fine, or what is wrong and how to mend it."""

    what: str
    is_fine: bool
    detail: str
    remedy: str = ""


def check_database(connection: Connection) -> list[Finding]:
    """The schema is this version's, the guard's triggers are in place, and the state is the replay of the ledger."""
    findings = [_check_schema(connection)]
    if not findings[0].is_fine:
        return findings
    findings.append(_check_guard(connection))
    differences = find_differences(connection)
    changes = connection.scalar(text("SELECT count(*) FROM change"))
    detail = "\n".join(differences) if differences else f"{changes:,} changes replayed, the state is the same"
    remedy = "Somebody wrote to the database past leadflow; compare with a backup." if differences else ""
    return [*findings, Finding("ledger", not differences, detail, remedy)]


def _check_schema(connection: Connection, *, in_depth: bool = True) -> Finding:
    present, newest = revisions(connection)
    if present != newest:
        return Finding(
            "schema", False, f"at revision {present}, this version needs {newest}", "Run `leadflow db upgrade`."
        )
    if in_depth and (differences := schema_differences(connection)):
        return Finding(
            "schema", False, "\n".join(differences), "Restore the tables as `leadflow db upgrade` makes them."
        )
    return Finding("schema", True, f"at revision {present}")


def _check_guard(connection: Connection) -> Finding:
    missing = missing_guards(connection)
    if missing:
        remedy = "Enable them: ALTER TABLE … ENABLE ALWAYS TRIGGER …; until then nothing proves that no customer moves."
        return Finding("guard", False, "missing or disabled: " + ", ".join(missing), remedy)
    return Finding("guard", True, "all triggers are in place")


def diagnose(connection: Connection, now: datetime, *, in_depth: bool = True) -> list[Finding]:
    """What can be told from the database: schema, guard, clock, processes and lag.

    `in_depth` compares every table with what this version makes, which takes a second; else the revision must do.
    """
    findings = [_check_schema(connection, in_depth=in_depth)]
    if not findings[0].is_fine:
        return findings
    findings += [_check_guard(connection), _check_clock(connection, now)]
    running = alive(connection, now)
    for role in ("worker", "scheduler"):
        number = running.get(role, 0)
        detail = f"{number} seen in the last 30 seconds" if number else "none was seen in the last 30 seconds"
        findings.append(Finding(role, number > 0, detail, "" if number else f"Start one: `leadflow {role}`."))
    return [*findings, _check_lag(connection, now), _check_outbox(connection, now)]


def _check_clock(connection: Connection, now: datetime) -> Finding:
    database_now = connection.scalar(text("SELECT clock_timestamp()"))
    difference = abs((now - database_now).total_seconds()) if isinstance(database_now, datetime) else 0.0
    is_fine = difference <= MAX_CLOCK_DIFFERENCE_SECONDS
    detail = f"{difference:.1f} s apart from the database server's"
    return Finding("clock", is_fine, detail, "" if is_fine else "Set both clocks by NTP.")


def _check_lag(connection: Connection, now: datetime) -> Finding:
    due = next_due(connection, now)
    # The first by id, which an index finds however many wait; the order of ids is that of acceptance.
    oldest = connection.scalar(
        text("SELECT received_at FROM event WHERE state = 'pending' AND next_attempt_at IS NULL ORDER BY id LIMIT 1")
    )
    if oldest is None or due is None:
        return Finding("inbox", True, "nothing is waiting")
    seconds = (now - oldest).total_seconds()
    is_fine = seconds <= MAX_LAG_SECONDS
    return Finding(
        "inbox", is_fine, f"the oldest event waits for {seconds:.0f} s", "" if is_fine else "Start more workers."
    )


def _check_outbox(connection: Connection, now: datetime) -> Finding:
    """Nothing is parked, and nothing waits for a worker that may send."""
    if parked := parked_per_endpoint(connection):
        listed = ", ".join(f"{count:,} for {endpoint}" for endpoint, count in parked.items())
        remedy = "The outbox page says why; mend the endpoint and send them again."
        return Finding("outbox", False, f"parked: {listed}", remedy)
    due = next_message_due(connection)
    seconds = (now - due).total_seconds() if due is not None else 0.0
    if seconds > MAX_LAG_SECONDS:
        remedy = "Start a worker with LEADFLOW_SECRET_KEY set; it opens the secrets of endpoints."
        return Finding("outbox", False, f"the oldest message waits for {seconds:.0f} s", remedy)
    return Finding("outbox", True, "nothing is parked")
