"""Alembic's entry: runs on the connection that `leadflow.store.migrate` passes in."""

from __future__ import annotations

from alembic import context

from leadflow.store.tables import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
