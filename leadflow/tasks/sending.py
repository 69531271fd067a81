"""Sends the outbox from a worker's process: one thread keeps the books, others wait for the receivers.

A call may take 15 seconds, and a worker's process has one task at a time; so calls are no Celery tasks, and events go
on meanwhile. Any number of processes may send: a message is leased to one of them.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from celery import signals
from sqlalchemy import Engine

from leadflow.outbound.addresses import AddressPolicy
from leadflow.outbound.deliveries import Attempt, away
from leadflow.outbound.notifications import Notifier
from leadflow.outbound.sealing import Seals
from leadflow.outbound.webhooks import WebhookCaller
from leadflow.services.outbound_endpoints import Outside, reseal_all
from leadflow.services.outbox import Carriers, Parcel, deliver, park_overdue, settle, take_parcels
from leadflow.services.source_book import reseal_sources
from leadflow.settings import Settings
from leadflow.store.engine import make_engine
from leadflow.store.outbox import due_endpoints
from leadflow.tasks.draining import utc_now

THREADS = 16

# The first call to an endpoint may take any free thread; further ones only while half of them are free, so that no
# number of messages for one slow receiver keeps the others waiting.
CALLS_PER_ENDPOINT = 3

LOOK_SECONDS = 0.5
TROUBLE_SECONDS = 2.0
CLOSE_SECONDS = 5.0

# An endpoint that nobody answered at so often in a row is left alone for a while, longer each time.
PATIENCE = 3
MAX_REST_SECONDS = 60.0

log = structlog.get_logger(__name__)


@dataclass
class Rests:
    """Which endpoints are left alone, because they did not answer."""

    _misses: Counter[str] = field(default_factory=Counter)
    _until: dict[str, float] = field(default_factory=dict)

    def note(self, endpoint: str, attempt: Attempt) -> None:
        """Take an attempt into account: any answer ends the count."""
        if not attempt.is_away:
            self._misses.pop(endpoint, None)
            return
        self._misses[endpoint] += 1
        beyond = self._misses[endpoint] - PATIENCE
        if beyond >= 0:
            self._until[endpoint] = time.monotonic() + min(2.0 ** min(beyond, 10), MAX_REST_SECONDS)

    def resting(self) -> set[str]:
        """The endpoints that are left alone now."""
        now = time.monotonic()
        self._until = {endpoint: until for endpoint, until in self._until.items() if until > now}
        return set(self._until)


class Sender:
    """Delivers what is due; one per process. Books are kept by one thread, so the calls share no connection."""

    def __init__(
        self, engine: Engine, carriers: Carriers, clock: Callable[[], datetime] = utc_now, threads: int = THREADS
    ) -> None:
        self._engine, self._carriers, self._clock = engine, carriers, clock
        self._threads = threads
        self._under_way: Counter[str] = Counter()
        self._finished: deque[tuple[Parcel, Attempt]] = deque()
        self._stirred = threading.Event()
        self._closing = threading.Event()
        self._keeper: threading.Thread | None = None
        self.rests = Rests()

    # -- from outside ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Send from now on, in the background."""
        self._keeper = threading.Thread(target=self._keep_books, name="sender", daemon=True)
        self._keeper.start()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Take nothing more; wait a moment for what is under way. The rest is sent again after its lease."""
        self._closing.set()
        self._stirred.set()
        if self._keeper is not None:
            self._keeper.join(seconds)

    def send_due(self, seconds: float = 30.0) -> None:
        """Send until nothing is due or under way, in this thread; for commands and tests."""
        end = time.monotonic() + seconds
        while (self.step() or self._under_way) and time.monotonic() < end:
            self._stirred.wait(LOOK_SECONDS)
            self._stirred.clear()

    # -- the books ------------------------------------------------------------------------------------------------

    def _keep_books(self) -> None:
        pause = LOOK_SECONDS
        while not self._closing.is_set() or self._under_way:
            self._stirred.wait(pause)
            self._stirred.clear()
            try:
                self.step()
                pause = LOOK_SECONDS
            except Exception as error:  # noqa: BLE001 - the database may be away; the next look tries again
                log.warning("sending_failed", error=f"{type(error).__name__}: {error}"[:300])
                pause = TROUBLE_SECONDS

    def step(self) -> bool:
        """Record what has ended and hand out what is due; whether anything was handed out or parked."""
        self._record()
        went_on = False
        while not self._closing.is_set() and self._hand_out():
            went_on = True
        return went_on

    def _record(self) -> None:
        """What cannot be recorded stays at the head of the list until the database is back."""
        while self._finished:
            parcel, attempt = self._finished[0]
            with self._engine.begin() as connection:
                settle(connection, parcel.message, attempt, self._clock())
            self._finished.popleft()
            self.rests.note(parcel.message.endpoint, attempt)
            self._under_way -= Counter([parcel.message.endpoint])

    def _hand_out(self) -> bool:
        """One message of each endpoint that may have another call; whether there was any."""
        now, resting = self._clock(), self.rests.resting()
        with self._engine.begin() as connection:
            due = due_endpoints(connection, now)
            if left_alone := resting.intersection(due):
                park_overdue(connection, left_alone, now)
            chosen = self._choose(endpoint for endpoint in due if endpoint not in resting)
            if not chosen:
                return False
            taken = take_parcels(connection, chosen, now)
        for parcel in taken.parcels:
            self._under_way[parcel.message.endpoint] += 1
            # A thread of its own costs little beside the call, and a daemon keeps no process from ending.
            threading.Thread(target=self._carry, args=(parcel,), name="sending", daemon=True).start()
        return bool(taken.parcels or taken.parked)

    def _choose(self, endpoints: Iterable[str]) -> list[str]:
        """As many as there are free threads, those with the fewest calls under way first."""
        free = self._threads - self._under_way.total()
        may_have_more = free > self._threads // 2
        limit = CALLS_PER_ENDPOINT if may_have_more else 1
        candidates = [endpoint for endpoint in endpoints if self._under_way[endpoint] < limit]
        random.shuffle(candidates)
        return sorted(candidates, key=lambda endpoint: self._under_way[endpoint])[:free]

    # -- a call ---------------------------------------------------------------------------------------------------

    def _carry(self, parcel: Parcel) -> None:
        """Deliver; a fault of our own is a failed attempt too, shown beside the message."""
        message = parcel.message
        try:
            attempt = deliver(self._carriers, parcel, self._clock())
        except Exception as error:
            log.error("delivery_broke", message_id=message.id, exc_info=error)
            attempt = away(f"leadflow could not send it: {type(error).__name__}.")
        if attempt.ending != "delivered":
            log.warning("delivery_failed", message_id=message.id, endpoint=message.endpoint, attempt=message.attempts)
        self._finished.append((parcel, attempt))
        self._stirred.set()


# -- doors -------------------------------------------------------------------------------------------------------------


def outside_of(settings: Settings) -> Outside:
    """What the settings say about the outside. Raises: ConfigurationError without a secret key."""
    policy = AddressPolicy(settings.outbound_allowed_networks, settings.outbound_allow_http)
    return Outside(Seals(settings.required_secret_key, settings.former_secret_keys), policy)


def make_sender(engine: Engine, outside: Outside) -> Sender:
    """A sender that calls the real world."""
    carriers = Carriers(outside.seals, WebhookCaller(outside.policy), Notifier(outside.policy))
    return Sender(engine, carriers)


def register_sender(settings: Settings) -> None:
    """Let every worker process send, from its start to its end; made after the fork, as threads do not survive it."""
    if settings.secret_key is None:
        log.warning("nothing_is_sent", reason="LEADFLOW_SECRET_KEY is not set; it opens the secrets of endpoints")
        return
    outside, url = outside_of(settings), settings.required_database_url
    started: list[Sender] = []

    def start(**_: object) -> None:
        engine = make_engine(url, pool_size=1)
        started.append(make_sender(engine, outside))
        renew_seals(engine, outside.seals)
        started[-1].start()

    def stop(**_: object) -> None:
        for sender in started:
            sender.close()

    signals.worker_process_init.connect(start, weak=False)
    signals.worker_process_shutdown.connect(stop, weak=False)


def renew_seals(engine: Engine, seals: Seals) -> None:
    """Put all secrets under the present key; a name whose key is missing is logged, and its messages say so."""
    try:
        with engine.begin() as connection:
            unreadable, sources = reseal_all(connection, seals), reseal_sources(connection, seals)
    except Exception as error:  # noqa: BLE001 - the database may be away; the next process tries again
        log.warning("seals_not_renewed", error=f"{type(error).__name__}: {error}"[:300])
        return
    if unreadable:
        log.error("secrets_unreadable", endpoints=unreadable)
    if sources:
        log.error("secrets_unreadable", sources=sources)
