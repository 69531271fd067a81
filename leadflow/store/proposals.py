"""Proposals: what a rule would do, for a person to decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from leadflow.store.values import dump


@dataclass(frozen=True, slots=True)
class Proposal:
    """The changes that one run proposes, as they stand in its trace."""

    rule: str
    version: int
    run_id: int
    event_id: int | None
    sweep_id: int | None
    company_id: int | None
    contact_id: int | None
    changes: Sequence[dict[str, Any]]


def insert_proposals(connection: Connection, proposals: Sequence[Proposal], now: datetime) -> None:
    """Write proposals. One that already waits for a decision on the same record and the same values is not repeated."""
    rows = [
        {
            "rule": one.rule,
            "version": one.version,
            "run_id": one.run_id,
            "event_id": one.event_id,
            "sweep_id": one.sweep_id,
            "company_id": one.company_id,
            "contact_id": one.contact_id,
            "changes": dump(list(one.changes)),
            "now": now,
        }
        for one in proposals
    ]
    if rows:
        connection.execute(_INSERT, rows)


_INSERT = text(
    "INSERT INTO proposal (rule, version, run_id, event_id, sweep_id, company_id, contact_id, changes, state,"
    " created_at) SELECT CAST(:rule AS varchar), :version, :run_id,"
    " CAST(:event_id AS bigint), CAST(:sweep_id AS bigint),"
    " CAST(:company_id AS bigint), CAST(:contact_id AS bigint), CAST(:changes AS jsonb), 'open', :now"
    " WHERE NOT EXISTS (SELECT FROM proposal WHERE state = 'open' AND rule = CAST(:rule AS varchar)"
    " AND company_id IS NOT DISTINCT FROM CAST(:company_id AS bigint)"
    " AND contact_id IS NOT DISTINCT FROM CAST(:contact_id AS bigint) AND changes = CAST(:changes AS jsonb))"
)
