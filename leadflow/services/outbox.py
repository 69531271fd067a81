"""The story of a message that leaves: taken from the outbox, delivered outside any transaction, and what follows."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from leadflow.errors import Conflict
from leadflow.outbound.deliveries import Attempt, refused
from leadflow.outbound.notifications import Notifier
from leadflow.outbound.sealing import Seals, UnreadableSeal
from leadflow.outbound.signing import body_of, message_id
from leadflow.outbound.webhooks import WebhookCaller
from leadflow.services.outbound_endpoints import channel_of, signature_of
from leadflow.store import outbox
from leadflow.store.endpoints import Destination, destinations, disable_endpoint
from leadflow.store.outbox import Claimed

# Longer than any call takes; a message whose worker died is taken up after it.
LEASE = timedelta(seconds=60)

# Between the attempts; the last one is repeated until the message is given up.
WAITS = tuple(timedelta(seconds=one) for one in (5, 30, 120, 600, 1_800, 7_200, 21_600))
JITTER = 0.2
MAX_RETRY_AFTER = timedelta(hours=6)

KIND_OF_ENDPOINT = {"webhook": "webhook", "notification": "channel"}


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message and where it goes."""

    message: Claimed
    destination: Destination


@dataclass(slots=True)
class Taken:
    """What is to be delivered now, and how many messages were parked meanwhile."""

    parcels: list[Parcel]
    parked: int


@dataclass(frozen=True, slots=True)
class Carriers:
    """Who brings messages out of the house, and what opens the secrets that they need."""

    seals: Seals
    webhooks: WebhookCaller
    notifier: Notifier


def take_parcels(connection: Connection, endpoints: Sequence[str], now: datetime) -> Taken:
    """The first due message of each of these endpoints, leased; what has nowhere to go is parked at once."""
    known = destinations(connection, endpoints)
    faults = {name: fault for name in endpoints if (fault := _fault_of(name, known.get(name)))}
    parked = sum(outbox.park_due(connection, [name], fault, now) for name, fault in faults.items())
    taken = Taken([], parked)
    for message in outbox.claim(connection, [name for name in endpoints if name not in faults], now, LEASE):
        parcel = Parcel(message, known[message.endpoint])
        if fault := _misfit_of(parcel):
            outbox.note_parked(connection, message, fault, now)
            taken.parked += 1
        else:
            taken.parcels.append(parcel)
    return taken


def _fault_of(name: str, destination: Destination | None) -> str | None:
    if destination is None:
        return f"There is no endpoint '{name}'. An administrator can add it; then send this again."
    if not destination.is_enabled:
        return f"The endpoint '{name}' is disabled. An administrator can enable it; then send this again."
    return None


def _misfit_of(parcel: Parcel) -> str | None:
    wanted = KIND_OF_ENDPOINT[parcel.message.kind]
    if parcel.destination.kind == wanted:
        return None
    return f"'{parcel.destination.name}' is a {parcel.destination.kind}; this needs a {wanted}."


def deliver(carriers: Carriers, parcel: Parcel, now: datetime) -> Attempt:
    """Try once, outside any transaction; what became of it."""
    message, destination = parcel.message, parcel.destination
    try:
        if message.kind == "notification":
            return carriers.notifier.notify(channel_of(destination, carriers.seals), message.payload)
        secrets = signature_of(destination, carriers.seals).valid_at(now)
    except UnreadableSeal as error:
        return refused(f"The secret of '{message.endpoint}' cannot be read. {error}")
    body = body_of(message.topic, message.created_at, message.payload)
    return carriers.webhooks.call(destination.url, secrets, message_id(message.id), body, now)


def settle(connection: Connection, message: Claimed, attempt: Attempt, now: datetime) -> None:
    """Record what became of the attempt: sent, to be tried again later, or parked until a person looks at it."""
    if attempt.ending == "delivered":
        outbox.note_sent(connection, message, now)
    elif attempt.ending == "failed" and now < message.give_up_at:
        outbox.note_failure(connection, message, attempt.error, _next_attempt_at(message, attempt, now))
    else:
        outbox.note_parked(connection, message, _last_words(attempt), now)
    if attempt.ending == "gone":
        disable_endpoint(connection, message.endpoint, now)


def _next_attempt_at(message: Claimed, attempt: Attempt, now: datetime) -> datetime:
    """With jitter, so that what failed together does not come back together; the last attempt is at the very end."""
    wait = WAITS[min(message.attempts, len(WAITS)) - 1] * random.uniform(1 - JITTER, 1 + JITTER)
    asked = min(attempt.retry_after or timedelta(0), MAX_RETRY_AFTER)
    return min(now + max(wait, asked), max(message.give_up_at, now + WAITS[0]))


def _last_words(attempt: Attempt) -> str:
    if attempt.ending == "gone":
        return f"{attempt.error} The endpoint was disabled."
    return attempt.error if attempt.ending == "refused" else f"Given up after 3 days. {attempt.error}"


def park_overdue(connection: Connection, endpoints: Collection[str], now: datetime) -> int:
    """Give up what is past its time at endpoints that do not answer, without trying each message; how many."""
    reason = "Given up after 3 days, in which the receiver did not answer."
    return outbox.park_due(connection, endpoints, reason, now, only_overdue=True)


def send_again(connection: Connection, message_id: int, now: datetime) -> None:
    """Let a parked message be tried for three more days. Raises: NotFound, Conflict if it is not parked."""
    if not outbox.send_again(connection, message_id, now):
        state = outbox.message(connection, message_id).state
        raise Conflict(f"The message is {state}; only parked messages are sent again.")
