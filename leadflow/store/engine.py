"""The engine: PostgreSQL through psycopg, with the timeouts that keep one stuck transaction from stopping others."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text

APPLICATION_ROLE = "leadflow_app"

# Milliseconds. Short enough that a stuck writer is noticed, long enough for a batch of several hundred events.
LOCK_TIMEOUT_MS = 3_000
STATEMENT_TIMEOUT_MS = 30_000
IDLE_TIMEOUT_MS = 10_000


def make_engine(url: str, pool_size: int = 5, **options: Any) -> Engine:
    """An engine whose connections work as the application's role and give up on locks after 3 s.

    The application's role may not change the ledger or disable the guard. On servers where the role could not be
    made, connections stay with the role of the URL; the triggers hold for it too.
    """
    engine = create_engine(
        normalise_url(url),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        pool_timeout=5,
        hide_parameters=True,  # an error's text goes to logs and screens, what a sender wrote does not
        connect_args={"connect_timeout": 3, "options": _session_options(), "application_name": "leadflow"},
        **options,
    )
    event.listen(engine, "connect", _become_application_role)
    return engine


def normalise_url(url: str) -> str:
    """`postgres://` and `postgresql://` mean the psycopg 3 driver."""
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def _session_options() -> str:
    settings = {
        "lock_timeout": LOCK_TIMEOUT_MS,
        "statement_timeout": STATEMENT_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": IDLE_TIMEOUT_MS,
        "timezone": "UTC",
        "jit": "off",
        # An index look-up costs what it costs on solid-state disks and in memory; the server's default means turning
        # platters and reads whole tables for a batch.
        "random_page_cost": 1.1,
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def _become_application_role(connection: Any, _record: Any) -> None:
    connection.execute(
        "SELECT set_config('role', rolname, false) FROM pg_roles"
        f" WHERE rolname = '{APPLICATION_ROLE}' AND pg_has_role(current_user, rolname, 'MEMBER')"
    )
    connection.commit()


def name_actor(connection: Connection, actor: str) -> None:
    """Tell the guard who writes in this transaction: `person`, `connector`, or `configuration` for lists and graph."""
    connection.execute(text("SELECT set_config('leadflow.actor', :actor, true)"), {"actor": actor})
