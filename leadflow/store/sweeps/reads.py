"""Sweeps as screens and programs read them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, select, text

from leadflow.errors import NotFound
from leadflow.store.reads import DEFAULT_PAGE_SIZE, Page, RunView
from leadflow.store.reads.rows import read_page
from leadflow.store.tables import RunRow, SweepRow

SweepState = Literal["waiting", "running", "done", "braked", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class FunnelLine:
    """How many records came through one part of the condition and all before it."""

    what: str
    records: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One record that would be changed, and how."""

    company_id: int | None
    contact_id: int | None
    changes: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class SweepView:
    """One run of a scheduled rule over all records. `due_at` before `created_at`: it came late.

    A dry run has no `id`, the state `dry_run`, `samples` of what would change, and says whether it would be braked.
    """

    id: int | None
    rule: str
    version: int | None
    origin: Literal["schedule", "person"]
    subject: Literal["contact", "company"] | None
    state: SweepState | Literal["dry_run"]
    due_at: datetime
    evaluated_at: datetime | None
    funnel: list[FunnelLine]
    matching: int | None
    seen: int
    changed: int
    is_approved: bool
    actor_name: str
    error: str | None
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    samples: list[Sample]
    would_brake: bool = False

    @property
    def progress(self) -> float:
        """The share of the matching records that were looked at, from 0 to 1."""
        if self.state == "done":
            return 1.0
        return min(1.0, self.seen / self.matching) if self.matching else 0.0


_COLUMNS = [column for column in SweepRow.__table__.c if column.name not in ("cursor", "failures", "starts")]


def sweep(connection: Connection, sweep_id: int) -> SweepView:
    """One sweep. Raises: NotFound."""
    row = connection.execute(select(*_COLUMNS).where(SweepRow.id == sweep_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no sweep {sweep_id}.")
    return _view(row)


def sweeps(
    connection: Connection,
    *,
    rule: str | None = None,
    state: str | None = None,
    after: int | None = None,
    limit: int = DEFAULT_PAGE_SIZE,
) -> Page[SweepView]:
    """Sweeps, newest first."""
    query = select(*_COLUMNS)
    if rule is not None:
        query = query.where(SweepRow.rule == rule)
    if state is not None:
        query = query.where(SweepRow.state == state)
    return read_page(connection, query, SweepRow.id, after, limit, _view, newest_first=True)


def _view(row: RowMapping) -> SweepView:
    values = {**row, "funnel": [FunnelLine(what, records) for what, records in row["funnel"]], "samples": []}
    return SweepView(**values)


def newest_runs(connection: Connection, sweep_id: int, *, limit: int) -> list[RunView]:
    """The latest traces of a sweep."""
    columns = (column for column in RunRow.__table__.c if column.name != "is_near_miss")
    query = select(RunRow.is_near_miss.label("near_miss"), *columns).where(RunRow.sweep_id == sweep_id)
    return [RunView(**row) for row in connection.execute(query.order_by(RunRow.id.desc()).limit(limit)).mappings()]


def read_samples(connection: Connection, sweep_id: int, rule: str, limit: int) -> list[Sample]:
    """What the first runs of a sweep changed."""
    values = {"sweep_id": sweep_id, "rule": rule, "limit": limit}
    return [Sample(row.company_id, row.contact_id, row.changes) for row in connection.execute(_SAMPLES, values)]


_SAMPLES = text(
    "SELECT company_id, contact_id, changes FROM run WHERE sweep_id = :sweep_id AND rule = :rule"
    " ORDER BY id LIMIT :limit"
)
