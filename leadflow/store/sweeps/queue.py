"""The sweeps as rows: what is to be done, how far it is, who may go on with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ARRAY, BigInteger, Connection, Row, bindparam, text

from leadflow.store.values import dump

Origin = Literal["schedule", "person"]
Funnel = Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep as its row says. `evaluated_at` is None until its records were counted."""

    id: int
    rule: str
    state: str
    version: int | None
    subject: str | None
    evaluated_at: datetime | None
    cursor: int
    matching: int | None
    seen: int
    changed: int
    is_approved: bool
    failures: int
    starts: int
    actor_name: str


@dataclass(frozen=True, slots=True)
class Counted:
    """What counting found: how many records come through each part of the condition, and how many would change."""

    version: int
    subject: str
    evaluated_at: datetime
    funnel: Funnel
    matching: int


_COLUMNS = (
    "id, rule, state, version, subject, evaluated_at, cursor, matching, seen, changed, is_approved, failures, starts,"
    " actor_name"
)


def add_sweep(
    connection: Connection, rule: str, due_at: datetime, origin: Origin, actor_name: str, now: datetime
) -> int | None:
    """A new sweep; its id, or None where there is one for this rule and time already."""
    values = {"rule": rule, "due_at": due_at, "origin": origin, "actor_name": actor_name, "now": now}
    sweep_id: int | None = connection.scalar(_ADD, values)
    return sweep_id


_ADD = text(
    "INSERT INTO sweep (rule, due_at, origin, actor_name, state, created_at)"
    " VALUES (:rule, :due_at, :origin, :actor_name, 'waiting', :now)"
    " ON CONFLICT (rule, due_at) DO NOTHING RETURNING id"
)


def unfinished_of(connection: Connection, rule: str) -> int | None:
    """The sweep of this rule that waits or runs."""
    statement = text("SELECT min(id) FROM sweep WHERE rule = :rule AND state IN ('waiting', 'running')")
    sweep_id: int | None = connection.scalar(statement, {"rule": rule})
    return sweep_id


# -- claiming ----------------------------------------------------------------------------------------------------------


def due_sweeps(connection: Connection, now: datetime) -> list[int]:
    """The sweeps that can be worked on now, the oldest first; others may be at them."""
    return list(connection.scalars(_DUE, {"now": now}))


def is_idle(connection: Connection, now: datetime) -> bool:
    """Whether there is a sweep to work on at which nobody works at this moment."""
    return connection.scalar(_IDLE, {"now": now}) is not None


_UNFINISHED = "state IN ('waiting', 'running') AND (next_attempt_at IS NULL OR next_attempt_at <= :now)"
_DUE = text(f"SELECT id FROM sweep WHERE {_UNFINISHED} ORDER BY id")
_IDLE = text(f"SELECT id FROM sweep WHERE {_UNFINISHED} ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")


def claim(connection: Connection, sweep_id: int, *, waits: bool) -> Sweep | None:
    """The sweep, locked until this transaction ends; None if it is finished, or is locked and this does not wait."""
    row = connection.execute(_CLAIM_WAITING if waits else _CLAIM, {"id": sweep_id}).one_or_none()
    return None if row is None else _sweep(row)


_CLAIM_WAITING = text(f"SELECT {_COLUMNS} FROM sweep WHERE id = :id AND state IN ('waiting', 'running') FOR UPDATE")
_CLAIM = text(f"{_CLAIM_WAITING.text} SKIP LOCKED")


def note_start(connection: Connection, sweep_id: int) -> None:
    """An attempt begins; committed by itself, so that it is known even if the worker dies of it."""
    connection.execute(_START, {"id": sweep_id})


_START = text(f"UPDATE sweep SET starts = starts + 1 WHERE id = (SELECT id FROM ({_CLAIM.text}) AS free)")


def lock_sweep(connection: Connection, sweep_id: int) -> Sweep | None:
    """The sweep in whatever state, locked; None if there is none."""
    row = connection.execute(text(f"SELECT {_COLUMNS} FROM sweep WHERE id = :id FOR UPDATE"), {"id": sweep_id})
    found = row.one_or_none()
    return None if found is None else _sweep(found)


def _sweep(row: Row[Any]) -> Sweep:
    return Sweep(**row._mapping)


# -- progress ----------------------------------------------------------------------------------------------------------


def note_counted(connection: Connection, sweep_id: int, counted: Counted, state: str) -> None:
    """The records are counted; from here on the version and the moment of judging stay."""
    values = {
        "id": sweep_id,
        "version": counted.version,
        "subject": counted.subject,
        "evaluated_at": counted.evaluated_at,
        "funnel": dump([list(line) for line in counted.funnel]),
        "matching": counted.matching,
        "state": state,
    }
    connection.execute(_COUNTED, values)


_COUNTED = text(
    "UPDATE sweep SET version = :version, subject = :subject, evaluated_at = :evaluated_at, matching = :matching,"
    " funnel = CAST(:funnel AS jsonb), state = :state, cursor = 0, failures = 0, starts = 0, next_attempt_at = NULL,"
    " error = NULL"
    " WHERE id = :id"
)


def note_page(connection: Connection, sweep_id: int, cursor: int, seen: int, changed: int) -> None:
    """A page is done: the sweep goes on behind `cursor`."""
    values = {"id": sweep_id, "cursor": cursor, "seen": seen, "changed": changed}
    connection.execute(_PAGE, values)


_PAGE = text(
    "UPDATE sweep SET cursor = :cursor, seen = seen + :seen, changed = changed + :changed, failures = 0, starts = 0,"
    " error = NULL, next_attempt_at = NULL WHERE id = :id"
)


def finish(connection: Connection, sweep_id: int, state: str, now: datetime, error: str | None = None) -> None:
    """The sweep has ended: `done`, `cancelled` or `failed`, with the reason."""
    values = {"id": sweep_id, "state": state, "now": now, "error": error}
    connection.execute(_FINISH, values)


_FINISH = text(
    "UPDATE sweep SET state = :state, finished_at = :now, error = CAST(:error AS text), next_attempt_at = NULL"
    " WHERE id = :id"
)


def note_failure(connection: Connection, sweep_id: int, error: str, next_attempt_at: datetime) -> None:
    """A page went wrong; it is tried again later."""
    values = {"id": sweep_id, "error": error, "next_attempt_at": next_attempt_at}
    connection.execute(_FAILURE, values)


_FAILURE = text(
    "UPDATE sweep SET failures = failures + 1, starts = 0, error = :error, next_attempt_at = :next_attempt_at"
    " WHERE id = :id"
)


# -- the brake ---------------------------------------------------------------------------------------------------------


def approve(connection: Connection, sweep_id: int, actor_name: str) -> None:
    """Let a braked sweep run, on a person's word."""
    statement = text("UPDATE sweep SET state = 'waiting', is_approved = true, actor_name = :actor_name WHERE id = :id")
    connection.execute(statement, {"id": sweep_id, "actor_name": actor_name})


def companies_decided(connection: Connection, sweep_id: int, rule: str, company_ids: Sequence[int]) -> set[int]:
    """Those of the companies for which a contact of this sweep has decided."""
    values = {"sweep_id": sweep_id, "rule": rule, "company_ids": list(company_ids)}
    return set(connection.scalars(_DECIDED, values))


_DECIDED = text(
    "SELECT company_id FROM run WHERE sweep_id = :sweep_id AND rule = :rule AND company_id = ANY(:company_ids)"
).bindparams(bindparam("company_ids", type_=ARRAY(BigInteger)))


def overtake_braked(connection: Connection, rule: str, sweep_id: int, now: datetime) -> None:
    """Earlier sweeps of the rule that still wait for a person have been overtaken by this one."""
    values = {"rule": rule, "id": sweep_id, "now": now, "error": "A later sweep of the rule took its place."}
    connection.execute(_OVERTAKE, values)


_OVERTAKE = text(
    "UPDATE sweep SET state = 'cancelled', finished_at = :now, error = :error"
    " WHERE rule = :rule AND id < :id AND state = 'braked'"
)
