"""Rules that wait between two of their actions: rows that outlive every process."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, Text, bindparam, text

from leadflow.store.bulk import insert_rows, update_rows
from leadflow.store.tables import WaitingRow

# The rule, and the company and contact it acts on.
Subject = tuple[str, int | None, int | None]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A rule that goes on with action number `step` when it is due; queued ones stand behind another."""

    rule: str
    version: int
    step: int
    recheck: bool
    event_id: int | None
    run_id: int
    company_id: int | None
    contact_id: int | None
    situation: Mapping[str, Any]
    due_at: datetime
    is_queued: bool = False

    @property
    def subject(self) -> Subject:
        return self.rule, self.company_id, self.contact_id


@dataclass
class Waits:
    """What waits for the records of one transaction; new ones and ended ones are noted and written together."""

    open: dict[Subject, list[int]] = field(default_factory=dict)
    added: list[Waiting] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    ended: list[Subject] = field(default_factory=list)

    def is_running(self, subject: Subject) -> bool:
        """Whether the rule waits for this subject, also because of an event of this same transaction."""
        return bool(self.open.get(subject)) or any(one.subject == subject for one in self.added)

    def cancel(self, subject: Subject) -> None:
        """End what waits."""
        self.cancelled += self.open.pop(subject, [])
        self.added = [one for one in self.added if one.subject != subject]

    def resume(self, subject: Subject, waiting_id: int) -> bool:
        """The one that is due goes on now; False if it was cancelled meanwhile."""
        waiting = self.open.get(subject, [])
        if waiting_id not in waiting:
            return False
        waiting.remove(waiting_id)
        self.done.append(waiting_id)
        self.ended.append(subject)
        return True

    def add(self, waiting: Waiting) -> None:
        """Let a rule wait."""
        self.added.append(waiting)


def read_waits(
    connection: Connection, rules: Collection[str], companies: Collection[int], contacts: Collection[int]
) -> Waits:
    """What waits of these rules for these companies and contacts."""
    waits = Waits()
    if not rules:
        return waits
    parameters = {"rules": list(rules), "companies": list(companies), "contacts": list(contacts)}
    for row in connection.execute(_READ, parameters):
        waits.open.setdefault((row.rule, row.company_id, row.contact_id), []).append(row.id)
    return waits


_READ = text(
    "SELECT id, rule, company_id, contact_id FROM waiting"
    " WHERE rule = ANY(:rules) AND state IN ('open', 'queued', 'due')"
    " AND (company_id = ANY(:companies) OR contact_id = ANY(:contacts)) ORDER BY id"
).bindparams(
    bindparam("rules", type_=ARRAY(Text)),
    bindparam("companies", type_=ARRAY(BigInteger)),
    bindparam("contacts", type_=ARRAY(BigInteger)),
)


def write_waits(connection: Connection, waits: Waits, now: datetime) -> None:
    """Write what was noted."""
    rows = [
        {
            "rule": one.rule,
            "version": one.version,
            "step": one.step,
            "recheck": one.recheck,
            "event_id": one.event_id,
            "run_id": one.run_id,
            "company_id": one.company_id,
            "contact_id": one.contact_id,
            "situation": one.situation,
            "state": "queued" if one.is_queued else "open",
            "due_at": one.due_at,
            "created_at": now,
        }
        for one in waits.added
    ]
    insert_rows(connection, WaitingRow, rows)
    _mark(connection, waits.cancelled, "cancelled", now)
    _mark(connection, waits.done, "done", now)
    for subject in dict.fromkeys(waits.ended):
        _open_next(connection, subject, now)


def _mark(connection: Connection, ids: Collection[int], state: str, ended_at: datetime | None) -> None:
    update_rows(connection, WaitingRow, [{"id": one, "state": state, "ended_at": ended_at} for one in ids])


def take_due_waits(connection: Connection, now: datetime, limit: int = 200) -> Sequence[Any]:
    """What is due, locked; what another transaction has taken is left out."""
    return connection.execute(_DUE, {"now": now, "limit": limit}).all()


_DUE = text(
    "SELECT waiting.*, company.domain, contact.email FROM waiting"
    " LEFT JOIN company ON company.id = waiting.company_id LEFT JOIN contact ON contact.id = waiting.contact_id"
    " WHERE state = 'open' AND due_at <= :now ORDER BY due_at, waiting.id LIMIT :limit"
    " FOR UPDATE OF waiting SKIP LOCKED"
)


def mark_due(connection: Connection, ids: Collection[int]) -> None:
    """Their events are in the inbox."""
    _mark(connection, ids, "due", None)


def _open_next(connection: Connection, subject: Subject, now: datetime) -> None:
    """Let the next queued one of the subject begin, if nothing of it waits any more."""
    rule, company_id, contact_id = subject
    connection.execute(_OPEN_NEXT, {"rule": rule, "company": company_id, "contact": contact_id, "now": now})


_OPEN_NEXT = text(
    "UPDATE waiting SET state = 'open', due_at = :now WHERE id = (SELECT min(id) FROM waiting AS queued"
    " WHERE queued.rule = :rule AND queued.company_id IS NOT DISTINCT FROM CAST(:company AS bigint)"
    " AND queued.contact_id IS NOT DISTINCT FROM CAST(:contact AS bigint) AND queued.state = 'queued')"
    " AND NOT EXISTS (SELECT FROM waiting AS running WHERE running.rule = :rule AND running.state IN ('open', 'due')"
    " AND running.company_id IS NOT DISTINCT FROM CAST(:company AS bigint)"
    " AND running.contact_id IS NOT DISTINCT FROM CAST(:contact AS bigint))"
)
