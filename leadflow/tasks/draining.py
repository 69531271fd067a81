"""Drain the inbox: batch after batch, a transaction each; what fails is set apart so that others go on."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from leadflow.services.processing import Desk, process_events
from leadflow.services.rule_sets import RulesHaveProblems
from leadflow.store.inbox import ClaimedEvent, claim, failures_of, next_due, note_failure, note_starts, postpone
from leadflow.store.records import LostRace
from leadflow.tasks.app import DRAIN_SECONDS

# After each failure the next attempt waits so long; after the last, the event is `failed` and waits for a person.
BACKOFF = (timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10))

# A worker's death may not be the event's fault (a deploy, an operator), so it is tried again at once, alone.
MAX_DEATHS = 25

MAX_RACES_LOST = 6
# serialization failure, deadlock, lock timeout, and a row that somebody else created first.
PASSING_FAULTS = frozenset({"40001", "40P01", "55P03", "23505"})

# A batch costs as much as some twenty events, however small it is. Where so many came in at once that more will follow,
# a moment is left for them to gather: one worker then does twice as much, and at a calm rate nobody waits.
CROWD = 10
GATHERING_SECONDS = 0.05

POLL_SECONDS = 0.05
WORTH_WAITING_SECONDS = 0.5

log = structlog.get_logger(__name__)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Drainer:
    """Works off the inbox of one database; one per process."""

    def __init__(
        self, engine: Engine, desk: Desk, batch_size: int = 500, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._engine = engine
        self._desk = desk
        self._batch_size = batch_size
        self._clock = clock
        self._suspects_turn = False
        self.settled = 0

    def drain(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Work until nothing is due or the time is over; whether something is left to do now."""
        is_second_look = False
        with self._connected():
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                if self._next_batch():
                    is_second_look = False
                elif self._is_worth_waiting():
                    # What came in just now is there at the second look; what a lock or a postponement keeps is not.
                    if is_second_look:
                        time.sleep(POLL_SECONDS)
                    is_second_look = True
                else:
                    return False
        return True

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Two connections for as long as there is work: to take them anew for each batch cost as much as a small one.

        The second one counts attempts, each in a transaction of its own.
        """
        quick = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        with self._engine.connect() as self._working, quick.connect() as self._counting:
            yield

    def _is_worth_waiting(self) -> bool:
        """Whether an event is due within half a second."""
        with self._working.begin():
            due = next_due(self._working, self._clock())
        return due is not None and (due - self._clock()).total_seconds() <= WORTH_WAITING_SECONDS

    def _next_batch(self) -> bool:
        """Work on one batch; whether there was one."""
        chosen: list[ClaimedEvent] = []
        try:
            is_fruitful = self._attempt(None, chosen)
        except Exception as error:  # noqa: BLE001 - sorted out there; what is not an event's fault is raised again
            self._recover([event.id for event in chosen], error)
            return True
        if is_fruitful and CROWD <= len(chosen) < self._batch_size // 2:
            time.sleep(GATHERING_SECONDS)
        return is_fruitful

    def _attempt(self, only: Sequence[int] | None, chosen: list[ClaimedEvent]) -> bool:
        """Claim, count the attempt, process, commit. `chosen` tells the caller what was tried, whatever happens."""
        connection = self._working
        with _collector_paused(), connection.begin():
            claimed = claim(connection, self._clock(), self._batch_size, only)
            claimed = self._give_up_deadly(claimed)
            chosen += claimed if only is not None else self._choose(claimed)
            if not chosen:
                return False
            self._count_attempt([event.id for event in chosen])
            processed = process_events(connection, self._desk, chosen, self._clock())
        self.settled += processed.settled
        for event_id in processed.held:
            # The reason stays in the database: it may quote what the sender wrote.
            log.warning("event_held", event_id=event_id)
        return processed.settled > 0

    def _give_up_deadly(self, claimed: list[ClaimedEvent]) -> list[ClaimedEvent]:
        deadly = [event for event in claimed if event.starts >= MAX_DEATHS]
        if not deadly:
            return claimed
        now, reason = self._clock(), f"The worker died {MAX_DEATHS} times while it worked on this event."
        with self._engine.begin() as connection:
            for event in deadly:
                note_failure(connection, event.id, reason, None, now)
        return [event for event in claimed if event.starts < MAX_DEATHS]

    def _choose(self, claimed: Sequence[ClaimedEvent]) -> list[ClaimedEvent]:
        """Events that no worker died on, as a batch; in turn with each of the others, alone."""
        suspects = [event for event in claimed if event.starts > 0]
        if not suspects:
            return list(claimed)
        shadowed = {event.lane: event.id for event in reversed(suspects)}
        fresh = [event for event in claimed if not event.starts and shadowed.get(event.lane, event.id) >= event.id]
        self._suspects_turn = not self._suspects_turn or not fresh
        if not self._suspects_turn:
            return fresh
        first_of_lane = {event.lane: event for event in reversed(claimed)}
        alone = [event for event in suspects if first_of_lane[event.lane] is event]
        return [min(alone, key=lambda event: (event.starts, event.id))] if alone else fresh

    def _count_attempt(self, ids: Sequence[int]) -> None:
        """In a transaction of its own, so that it is there even if this process does not live to see the end."""
        note_starts(self._counting, ids)

    # -- what goes wrong -------------------------------------------------------------------------------------------

    def _recover(self, ids: Sequence[int], error: Exception, races_lost: int = 0) -> None:
        if not ids or is_connection_lost(error):
            raise error
        if isinstance(error, RulesHaveProblems):
            # Not these events' fault: they wait, uncounted, until somebody mends the rules.
            self._put_back(ids)
            raise error
        if is_passing(error) and races_lost < MAX_RACES_LOST:
            time.sleep(random.uniform(0.01, 0.05) * 2**races_lost)
            self._again(ids, races_lost + 1)
        elif len(ids) > 1:
            middle = len(ids) // 2
            self._again(ids[:middle])
            self._again(ids[middle:])
        else:
            self._note_failure(ids[0], error)

    def _put_back(self, ids: Sequence[int]) -> None:
        with self._engine.begin() as connection:
            postpone(connection, ids, self._clock() + BACKOFF[0])

    def _again(self, ids: Sequence[int], races_lost: int = 0) -> None:
        try:
            self._attempt(ids, [])
        except Exception as error:  # noqa: BLE001 - sorted out there
            self._recover(ids, error, races_lost)

    def _note_failure(self, event_id: int, error: Exception) -> None:
        now = self._clock()
        with self._engine.begin() as connection:
            failures = failures_of(connection, event_id)
            wait = BACKOFF[failures] if failures < len(BACKOFF) else None
            note_failure(connection, event_id, sentence_of(error), now + wait if wait else None, now)
        log.error("event_failed", event_id=event_id, attempt=failures + 1, is_final=wait is None, exc_info=error)


def sentence_of(error: Exception) -> str:
    """What people read of it. A database's error has a first line; what follows quotes the values."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return f"{type(cause).__name__}: {cause}".partition("\n")[0][:500]


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Let Python look for cycles between batches: what a batch makes lives until its end, so during it none are found.

    Measured: a fifth of the drain's own time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def is_connection_lost(error: Exception) -> bool:
    """Whether the database, not the work, is the trouble."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def is_passing(error: Exception) -> bool:
    """Whether the same work may well succeed at once: two transactions were in each other's way."""
    if isinstance(error, LostRace):
        return True
    sqlstate = getattr(getattr(error, "orig", None), "sqlstate", None)
    return isinstance(error, DBAPIError | IntegrityError) and sqlstate in PASSING_FAULTS
