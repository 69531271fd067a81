"""What is put away when it is old: raw bodies, ended sessions, remembered answers, processes long gone."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from leadflow.store.heartbeats import forget_dead
from leadflow.store.inbox import forget_bodies
from leadflow.store.outbox import clear_payloads
from leadflow.store.run_days import count_finished_days

ANSWERS_KEPT = timedelta(days=1)
SESSIONS_KEPT = timedelta(days=30)
HEARTBEATS_KEPT = timedelta(hours=1)


def tidy_up(connection: Connection, now: datetime, bodies_kept: timedelta) -> None:
    """Delete what is past its time, and count the days of rules that are over; events, traces and the ledger stay."""
    count_finished_days(connection, now)
    forget_bodies(connection, now - bodies_kept)
    clear_payloads(connection, now - bodies_kept)
    forget_dead(connection, now - HEARTBEATS_KEPT)
    connection.execute(text("DELETE FROM idempotency WHERE created_at < :before"), {"before": now - ANSWERS_KEPT})
    connection.execute(text("DELETE FROM session WHERE seen_at < :before"), {"before": now - SESSIONS_KEPT})
    connection.execute(text("DELETE FROM sign_in_link WHERE expires_at < :before"), {"before": now - SESSIONS_KEPT})
    connection.execute(text("DELETE FROM sign_in_failure WHERE at < :before"), {"before": now - ANSWERS_KEPT})
