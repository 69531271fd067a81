"""Held and failed events, tried again together: opened in one statement, so that two clicks open each but once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, Text, bindparam, func, insert, select, text

from leadflow.errors import NotFound
from leadflow.store.sources import reason_key
from leadflow.store.tables import EventRow, ReplayRow

STATES = ("held", "failed")

# More than this many are opened by several clicks: one statement stays well below its time limit.
MAX_TOGETHER = 10_000


@dataclass(frozen=True, slots=True)
class Choice:
    """Which unsettled events: of a state, a source, a kind of reason (`sources.reason_key`)."""

    state: str | None = None
    source: str | None = None
    reason: str | None = None

    def narrow(self, query: Any) -> Any:
        query = query.where(EventRow.state.in_(STATES) if self.state is None else EventRow.state == self.state)
        if self.source is not None:
            query = query.where(EventRow.source == self.source)
        if self.reason is not None:
            query = query.where(reason_key(EventRow.error) == self.reason)
        return query


@dataclass(frozen=True, slots=True)
class Openable:
    """How many of a choice can be tried again, counted up to `MAX_TOGETHER`, and how many have lost their body."""

    events: int
    without_body: int


def count_openable(connection: Connection, choice: Choice) -> Openable:
    """How many events of the choice there are to try again."""
    window = choice.narrow(select(EventRow.body.is_not(None).label("has_body"))).limit(MAX_TOGETHER).subquery()
    with_body = func.count().filter(window.c.has_body)
    return Openable(*connection.execute(select(with_body, func.count() - with_body)).one())


@dataclass(frozen=True, slots=True)
class Opening:
    """An event about to be opened, locked: with its body, from which its place in the order is found anew."""

    id: int
    source: str
    type: str
    content_type: str | None
    body: bytes


def lock_openable(connection: Connection, choice: Choice, limit: int = MAX_TOGETHER) -> list[Opening]:
    """The oldest of the choice, locked in the order of their ids; what another click opened meanwhile is not there."""
    columns = (EventRow.id, EventRow.source, EventRow.type, EventRow.content_type, EventRow.body)
    query = choice.narrow(select(*columns)).where(EventRow.body.is_not(None))
    rows = connection.execute(query.order_by(EventRow.id).limit(limit).with_for_update())
    return [Opening(row.id, row.source, row.type, row.content_type, bytes(row.body)) for row in rows]


def open_again(
    connection: Connection, ids: Sequence[int], emails: Sequence[str | None], lane_keys: Sequence[str | None]
) -> list[int]:
    """Make these events pending; those that were. Where a lane key is given the event takes its place in that lane:
    what could not be read before was in none, and now waits for the earlier events of its company."""
    return list(connection.scalars(_OPEN, {"ids": list(ids), "emails": list(emails), "keys": list(lane_keys)}))


_OPEN = text(
    "UPDATE event SET state = 'pending', starts = 0, failures = 0, next_attempt_at = NULL, error = NULL,"
    " processed_at = NULL, lane = coalesce(('x' || left(md5(coalesce((SELECT coalesce(company.domain,"
    " 'company:' || company.id) FROM contact JOIN company ON company.id = contact.company_id"
    " WHERE contact.email = v.email), v.key)), 16))::bit(64)::bigint, event.lane)"
    " FROM unnest(:ids, :emails, :keys) AS v(id, email, key)"
    " WHERE event.id = v.id AND state IN ('held', 'failed') AND body IS NOT NULL RETURNING event.id"
).bindparams(
    bindparam("ids", type_=ARRAY(BigInteger)),
    bindparam("emails", type_=ARRAY(Text)),
    bindparam("keys", type_=ARRAY(Text)),
)


@dataclass(frozen=True, slots=True)
class ReplayView:
    """Events that were tried again together, and what has become of them so far."""

    id: int
    title: str
    started_by: str
    created_at: datetime
    total: int
    states: dict[str, int]

    @property
    def done(self) -> int:
        return self.total - self.states.get("pending", 0)

    @property
    def is_over(self) -> bool:
        return self.done == self.total


def add_replay(connection: Connection, title: str, event_ids: Collection[int], started_by: str, now: datetime) -> int:
    """Remember what is tried again together; its number."""
    values = {"title": title, "event_ids": list(event_ids), "started_by": started_by, "created_at": now}
    return int(connection.execute(insert(ReplayRow).values(**values).returning(ReplayRow.id)).scalar_one())


def replay(connection: Connection, replay_id: int) -> ReplayView:
    """One of them, with the states of its events now. Raises: NotFound."""
    row = connection.execute(select(ReplayRow.__table__).where(ReplayRow.id == replay_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no replay {replay_id}.")
    query = select(EventRow.state, func.count()).where(EventRow.id == func.any(_ids(row.event_ids)))
    states: dict[str, int] = dict(connection.execute(query.group_by(EventRow.state)).all())
    return ReplayView(row.id, row.title, row.started_by, row.created_at, len(row.event_ids), states)


def held_again(connection: Connection, replay_id: int, limit: int = 5) -> list[tuple[str, int]]:
    """Why events of it do not go on now, the most frequent reason first."""
    ids = connection.scalar(select(ReplayRow.event_ids).where(ReplayRow.id == replay_id)) or []
    key = reason_key(EventRow.error).label("reason")
    mine = (EventRow.id == func.any(_ids(ids)), EventRow.state.in_(STATES))
    query = select(func.max(EventRow.error), func.count()).where(*mine).group_by(key)
    return [
        (reason or "", count) for reason, count in connection.execute(query.order_by(func.count().desc()).limit(limit))
    ]


def _ids(ids: Sequence[int]) -> Any:
    return bindparam(None, list(ids), type_=ARRAY(BigInteger))
