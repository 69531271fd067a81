"""Migrations: bring a database up to the tables and triggers of this version."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from leadflow.store.engine import APPLICATION_ROLE, normalise_url
from leadflow.store.tables import Base

MIGRATIONS = Path(__file__).parent / "migrations"

# Two processes that start together upgrade one after the other.
UPGRADE_LOCK = 7_270_001


def upgrade(url: str) -> None:
    """Bring the database at `url` to the newest revision and give the application's role its rights."""
    engine = create_engine(normalise_url(url), poolclass=NullPool, connect_args={"connect_timeout": 5})
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
        command.upgrade(_config(connection), "head")
        _grant_rights(connection)
    engine.dispose()


def revisions(connection: Connection) -> tuple[str | None, str | None]:
    """The revision the database stands at, and the newest one that this version knows."""
    newest = ScriptDirectory.from_config(_config(connection)).get_current_head()
    return MigrationContext.configure(connection).get_current_revision(), newest


def schema_differences(connection: Connection) -> list[str]:
    """What the database's tables lack or have beyond this version's, as Alembic compares them."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return [str(difference) for difference in compare_metadata(context, Base.metadata)]


def new_revision(url: str, message: str) -> None:
    """Write a revision with the differences between `url` and the tables; for developers."""
    engine = create_engine(normalise_url(url), poolclass=NullPool)
    with engine.begin() as connection:
        command.revision(_config(connection), message, autogenerate=True)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def _grant_rights(connection: Connection) -> None:
    """The application's role works on all tables; the ledger it may only read and append to."""
    if not connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": APPLICATION_ROLE}):
        return
    for statement in (
        f"GRANT USAGE ON SCHEMA public TO {APPLICATION_ROLE}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {APPLICATION_ROLE}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {APPLICATION_ROLE}",
        f"REVOKE UPDATE, DELETE, TRUNCATE ON change, guard_override FROM {APPLICATION_ROLE}",
        f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {APPLICATION_ROLE}",
    ):
        connection.execute(text(statement))
