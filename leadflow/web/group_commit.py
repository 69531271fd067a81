"""Group commit: deliveries that arrive while one commit is under way are stored together in the next.

Every request is answered only after the commit that holds its event. There is no thread of its own and no waiting
when nothing else is going on: the first request of a group does the work for all of it.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from leadflow.errors import ServiceUnavailable
from leadflow.services.inbox import receive_arrivals
from leadflow.store.inbox import Arrival, Receipt

MAX_GROUP = 200
MAX_WAIT_SECONDS = 10.0


class _Entry:
    """A delivery and the thread that waits for its receipt."""

    __slots__ = ("arrival", "error", "leads", "receipt", "wake")

    def __init__(self, arrival: Arrival) -> None:
        self.arrival = arrival
        self.receipt: Receipt | None = None
        self.error: BaseException | None = None
        self.leads = False
        self.wake = threading.Event()


class GroupCommit:
    """Stores deliveries of one process in groups. `ring` is called once a group, after its commit."""

    def __init__(self, engine: Engine, ring: Callable[[], None]) -> None:
        self._line = _Line(engine)
        weakref.finalize(self, self._line.hang_up)
        self._ring = ring
        self._lock = threading.Lock()
        self._waiting: deque[_Entry] = deque()
        self._is_busy = False

    def store(self, arrival: Arrival) -> Receipt:
        """Store one delivery; returns after its commit.

        Raises: ServiceUnavailable if the database does not answer.
        """
        entry = _Entry(arrival)
        with self._lock:
            self._waiting.append(entry)
            entry.leads = not self._is_busy
            self._is_busy = True
        if not entry.leads and not entry.wake.wait(MAX_WAIT_SECONDS):
            self._give_up(entry)
        if entry.leads:
            self._lead()
        if entry.error is not None:
            raise entry.error
        if entry.receipt is None:
            raise ServiceUnavailable("The database did not answer in time.")
        return entry.receipt

    def _give_up(self, entry: _Entry) -> None:
        """Leave the queue, unless the lead was handed over at this very moment."""
        with self._lock:
            if not entry.leads and entry in self._waiting:
                self._waiting.remove(entry)

    def _lead(self) -> None:
        """Commit the group that has gathered, then hand the lead to the next one waiting."""
        with self._lock:
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_GROUP))]
        try:
            self._commit(group)
        finally:
            self._hand_over()
            for entry in group:
                entry.wake.set()
        self._ring()

    def _hand_over(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].wake.set()
            else:
                self._is_busy = False

    def _commit(self, group: list[_Entry]) -> None:
        try:
            receipts = self._line.receive([entry.arrival for entry in group])
        except DBAPIError as error:
            if len(group) > 1 and not error.connection_invalidated:
                # One delivery may not fail its neighbours.
                for entry in group:
                    self._commit([entry])
                return
            _fail(group, error)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            _fail(group, error)
        else:
            for entry, receipt in zip(group, receipts, strict=True):
                entry.receipt = receipt


class _Line:
    """One connection, kept: storing a group is one statement, so no BEGIN, COMMIT or ping has to be paid for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._connection: Connection | None = None

    def receive(self, arrivals: list[Arrival]) -> list[Receipt]:
        """Store; a connection that broke while it was idle is opened again, once."""
        was_open = self._connection is not None
        try:
            return self._receive(arrivals)
        except DBAPIError as error:
            if not (was_open and error.connection_invalidated):
                raise
            # What the first try may have stored after all is found again, as a duplicate.
            return self._receive(arrivals)

    def _receive(self, arrivals: list[Arrival]) -> list[Receipt]:
        if self._connection is None:
            self._connection = self._engine.connect()
        try:
            receipts = receive_arrivals(self._connection, arrivals)
            self._connection.commit()
        except BaseException:
            self.hang_up()
            raise
        return receipts

    def hang_up(self) -> None:
        """Close the connection; the next group opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


def _fail(group: list[_Entry], error: BaseException) -> None:
    for entry in group:
        entry.error = error
