"""The outbox: what leaves the system, written with its cause, taken in order per endpoint and lane, ended once.

A message is leased, not locked, while it is sent: no transaction is open during a call, and a worker that dies
leaves its message to the next one when the lease is over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ARRAY, Connection, Select, Text, bindparam, func, select, text, update

from leadflow.errors import NotFound
from leadflow.store.reads.rows import read_page
from leadflow.store.reads.views import Page
from leadflow.store.tables import OutboxRow
from leadflow.store.values import dump

Kind = Literal["webhook", "notification"]
State = Literal["pending", "sent", "parked"]

# How long it is tried before a person is asked.
LIFETIME = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Something to send. Messages of one `lane` (a company's) reach an endpoint in the order in which they were added.

    `rule` and `action` with the event or sweep and the records name the effect: the same one twice is an error.
    """

    kind: Kind
    endpoint: str
    topic: str
    payload: Mapping[str, Any]
    lane: str
    company_id: int | None = None
    contact_id: int | None = None
    event_id: int | None = None
    sweep_id: int | None = None
    run_id: int | None = None
    rule: str | None = None
    action: str = ""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that this process may send until `leased_until`; `attempts` counts this attempt too."""

    id: int
    kind: Kind
    endpoint: str
    topic: str
    payload: dict[str, Any]
    attempts: int
    leased_until: datetime
    give_up_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message of the outbox. `error` says why it is parked, or what went wrong at the last attempt."""

    id: int
    kind: Kind
    endpoint: str
    topic: str
    state: State
    payload: dict[str, Any]
    company_id: int | None
    contact_id: int | None
    event_id: int | None
    run_id: int | None
    rule: str | None
    attempts: int
    next_attempt_at: datetime | None
    error: str | None
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages; None asks nothing."""

    state: State | None = None
    endpoint: str | None = None
    rule: str | None = None
    company_id: int | None = None
    contact_id: int | None = None
    event_id: int | None = None

    def narrow(self, query: Select[Any]) -> Select[Any]:
        for name in ("state", "endpoint", "rule", "company_id", "contact_id", "event_id"):
            if (wanted := getattr(self, name)) is not None:
                query = query.where(getattr(OutboxRow, name) == wanted)
        return query


# -- writing -----------------------------------------------------------------------------------------------------------


def add_messages(connection: Connection, messages: Sequence[Outgoing], now: datetime) -> None:
    """Put the messages into the outbox, in this order, in the transaction of what caused them.

    Raises: IntegrityError for an effect that is there already.
    """
    if messages:
        connection.execute(_ADD, [_row_of(message, now) for message in messages])


def _row_of(message: Outgoing, now: datetime) -> dict[str, Any]:
    names = ("kind", "endpoint", "topic", "lane", "company_id", "contact_id", "event_id", "sweep_id", "run_id")
    row = {name: getattr(message, name) for name in (*names, "rule", "action")}
    return {**row, "payload": dump(message.payload), "now": now, "give_up_at": now + LIFETIME}


_ADD = text(
    "INSERT INTO outbox (kind, endpoint, topic, payload, lane, company_id, contact_id, event_id, sweep_id, run_id,"
    " rule, action, state, next_attempt_at, give_up_at, created_at)"
    " VALUES (:kind, :endpoint, :topic, CAST(:payload AS jsonb), :lane, :company_id, :contact_id, :event_id,"
    " :sweep_id, :run_id, :rule, :action, 'pending', :now, :give_up_at, :now)"
)


def send_again(connection: Connection, message_id: int, now: datetime) -> bool:
    """Try a parked message again from now on; whether it was parked."""
    return _revive(connection, OutboxRow.id == message_id, now) > 0


def send_all_again(connection: Connection, endpoint: str, now: datetime) -> int:
    """The same for everything that is parked for an endpoint; how many."""
    return _revive(connection, OutboxRow.endpoint == endpoint, now)


def _revive(connection: Connection, which: Any, now: datetime) -> int:
    again = {"attempts": 0, "next_attempt_at": now, "give_up_at": now + LIFETIME, "ended_at": None}
    statement = update(OutboxRow).where(which, OutboxRow.state == "parked").values(state="pending", **again)
    return connection.execute(statement).rowcount


def clear_payloads(connection: Connection, before: datetime) -> None:
    """Forget what was sent before then; that it was sent stays, so no effect is ever repeated."""
    connection.execute(
        text("UPDATE outbox SET payload = '{}' WHERE state = 'sent' AND payload <> '{}'::jsonb AND ended_at < :before"),
        {"before": before},
    )


# -- sending -----------------------------------------------------------------------------------------------------------

# The endpoints with messages that wait: a walk along the index, however many messages there are.
_WAITING = (
    "WITH RECURSIVE waiting(endpoint) AS ("
    " (SELECT min(endpoint) FROM outbox WHERE state = 'pending')"
    " UNION ALL SELECT (SELECT min(o.endpoint) FROM outbox o WHERE o.state = 'pending' AND o.endpoint > w.endpoint)"
    " FROM waiting w WHERE w.endpoint IS NOT NULL) "
)
_FIRST_DUE = (
    "SELECT one.endpoint, due.at FROM waiting one CROSS JOIN LATERAL (SELECT next_attempt_at AS at FROM outbox"
    " WHERE endpoint = one.endpoint AND state = 'pending' ORDER BY next_attempt_at LIMIT 1) due"
)


def due_endpoints(connection: Connection, now: datetime) -> list[str]:
    """The endpoints that something is due for."""
    found = connection.execute(text(_WAITING + _FIRST_DUE + " WHERE due.at <= :now"), {"now": now})
    return [row.endpoint for row in found]


def next_due(connection: Connection) -> datetime | None:
    """When the next message is due; None if nothing waits."""
    due: datetime | None = connection.scalar(text(_WAITING + f"SELECT min(at) FROM ({_FIRST_DUE}) every"))
    return due


def claim(connection: Connection, endpoints: Sequence[str], now: datetime, lease: timedelta) -> list[Claimed]:
    """For each of the endpoints the message that is due longest and first of its lane, leased to this process.

    A lane's later messages wait while an earlier one is pending, leased or not; what another process is just
    claiming is passed over.
    """
    parameters = {"endpoints": list(endpoints), "now": now, "leased_until": now + lease}
    rows = connection.execute(_CLAIM, parameters).mappings()
    return [Claimed(**row, leased_until=now + lease) for row in rows]


_CLAIM = text(
    "UPDATE outbox SET attempts = outbox.attempts + 1, next_attempt_at = :leased_until"
    " FROM unnest(:endpoints) AS named(endpoint) CROSS JOIN LATERAL ("
    "   SELECT o.id FROM outbox o WHERE o.endpoint = named.endpoint AND o.state = 'pending'"
    "   AND o.next_attempt_at <= :now AND NOT EXISTS (SELECT FROM outbox earlier WHERE earlier.state = 'pending'"
    "     AND earlier.endpoint = o.endpoint AND earlier.lane = o.lane AND earlier.id < o.id)"
    "   ORDER BY o.next_attempt_at, o.id LIMIT 1 FOR UPDATE OF o SKIP LOCKED) due"
    " WHERE outbox.id = due.id"
    " RETURNING outbox.id, outbox.kind, outbox.endpoint, outbox.topic, outbox.payload, outbox.attempts,"
    " outbox.give_up_at, outbox.created_at"
).bindparams(bindparam("endpoints", type_=ARRAY(Text)))


def note_sent(connection: Connection, message: Claimed, now: datetime) -> None:
    """It was delivered. That holds even if the lease was over: the receiver has it."""
    pending = (OutboxRow.id == message.id, OutboxRow.state == "pending")
    connection.execute(update(OutboxRow).where(*pending).values(state="sent", ended_at=now, error=None))


def note_failure(connection: Connection, message: Claimed, error: str, next_attempt_at: datetime) -> None:
    """It was not delivered and is tried again; nothing if another process has it by now."""
    connection.execute(_leased(message).values(next_attempt_at=next_attempt_at, error=error))


def note_parked(connection: Connection, message: Claimed, error: str, now: datetime) -> None:
    """It is given up until a person sends it again; nothing if another process has it by now."""
    connection.execute(_leased(message).values(state="parked", ended_at=now, error=error))


def park_due(
    connection: Connection, endpoints: Collection[str], error: str, now: datetime, *, only_overdue: bool = False
) -> int:
    """Park what is due at these endpoints, or only what is past its time, as far as nobody has leased it; how many."""
    waiting = (OutboxRow.endpoint.in_(endpoints), OutboxRow.state == "pending", OutboxRow.next_attempt_at <= now)
    statement = update(OutboxRow).where(*waiting).values(state="parked", ended_at=now, error=error)
    if only_overdue:
        statement = statement.where(OutboxRow.give_up_at <= now)
    return connection.execute(statement).rowcount


def _leased(message: Claimed) -> Any:
    return update(OutboxRow).where(
        OutboxRow.id == message.id,
        OutboxRow.state == "pending",
        OutboxRow.next_attempt_at == message.leased_until,
    )


# -- reading -----------------------------------------------------------------------------------------------------------

_SHOWN = [getattr(OutboxRow, name) for name in MessageView.__slots__]


def messages(connection: Connection, wanted: MessageFilter, *, after: int | None, limit: int) -> Page[MessageView]:
    """Messages, the newest first."""
    query = wanted.narrow(select(*_SHOWN))
    return read_page(connection, query, OutboxRow.id, after, limit, _view, newest_first=True)


def message(connection: Connection, message_id: int) -> MessageView:
    """One message. Raises: NotFound."""
    row = connection.execute(select(*_SHOWN).where(OutboxRow.id == message_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no message {message_id}.")
    return _view(row)


def _view(row: Any) -> MessageView:
    waits = row["state"] == "pending"
    return MessageView(**{**row, "next_attempt_at": row["next_attempt_at"] if waits else None})


def count_unsent(connection: Connection) -> dict[str, int]:
    """How many messages are pending and how many are parked: few, found by index."""
    query = select(OutboxRow.state, func.count()).where(OutboxRow.state.in_(("pending", "parked")))
    found = connection.execute(query.group_by(OutboxRow.state))
    return {"pending": 0, "parked": 0} | dict(found.all())


def parked_per_endpoint(connection: Connection) -> dict[str, int]:
    """How many messages are parked for each endpoint that has any."""
    query = select(OutboxRow.endpoint, func.count()).where(OutboxRow.state == "parked").group_by(OutboxRow.endpoint)
    return dict(connection.execute(query.order_by(OutboxRow.endpoint)).all())
