"""Work off sweeps: a transaction a page, small enough that events hardly wait; what fails is tried again later."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy import Engine

from leadflow.services.processing import Desk
from leadflow.services.sweeps import (
    PageSize,
    Progress,
    Workbench,
    advance,
    approve_sweep,
    note_failed_page,
    start_sweep,
)
from leadflow.store.sweeps import reads
from leadflow.store.sweeps.queue import due_sweeps, note_start
from leadflow.tasks.app import DRAIN_SECONDS
from leadflow.tasks.draining import MAX_RACES_LOST, is_connection_lost, is_passing, sentence_of, utc_now

# A page that takes longer is followed by a smaller one, one that takes much less by a bigger one.
WANTED_SECONDS = 0.25
MIN_SPAN, MAX_SPAN = 1_000, 5_000_000
MIN_LIMIT, MAX_LIMIT = 100, 20_000

log = structlog.get_logger(__name__)


class Sweeper:
    """Works off the sweeps of one database; one per process. Any number of them may run."""

    def __init__(
        self,
        engine: Engine,
        desk: Desk,
        clock: Callable[[], datetime] = utc_now,
        *,
        max_changes: int | None = None,
        size: PageSize | None = None,
    ) -> None:
        self._engine = engine
        self._bench = Workbench(desk, max_changes)
        self._clock = clock
        self._fixed_size = size
        self._size = size or PageSize()

    def sweep(self, seconds: float = DRAIN_SECONDS, between_pages: Callable[[], object] = lambda: None) -> bool:
        """Work until no sweep is due or the time is over; whether something is left to do now.

        `between_pages` is called outside any transaction: what cannot wait is done there.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self._go_on(end, between_pages):
                return False
        return True

    def _go_on(self, end: float, between_pages: Callable[[], object]) -> bool:
        """Take the first sweep that nobody else is at as far as the time allows; whether there was one."""
        with self._engine.begin() as connection:
            waiting = due_sweeps(connection, self._clock())
        for sweep_id in waiting:
            progress = self.step(sweep_id)
            if progress is None:
                continue
            between_pages()
            while progress is not None and progress.state == "running" and time.monotonic() < end:
                progress = self.step(sweep_id, waits=True)
                between_pages()
            return True
        return False

    def start(self, rule: str, actor_name: str) -> int:
        """A sweep of a scheduled rule, out of its turn; its id. Raises: NotFound, Conflict."""
        with self._engine.begin() as connection:
            return start_sweep(connection, self._bench.desk, rule, actor_name, self._clock())

    def finish(
        self, sweep_id: int, on_progress: Callable[[reads.SweepView], object], approves_as: str | None = None
    ) -> reads.SweepView:
        """Take one sweep as far as it goes: to its end, the brake, or a failure. Other processes may help.

        With the name of a person in `approves_as` the brake is let go.
        """
        while True:
            progress = self.step(sweep_id, waits=True)
            with self._engine.begin() as connection:
                view = reads.sweep(connection, sweep_id)
                if view.state == "braked" and approves_as is not None:
                    approve_sweep(connection, sweep_id, approves_as)
                    continue
            on_progress(view)
            if progress is None or progress.state != "running":
                return view

    def step(self, sweep_id: int, *, waits: bool = False) -> Progress | None:
        """One transaction of a sweep; None if it is finished, has failed for now, or another worker is at it."""
        start = time.monotonic()
        progress = self._attempt(sweep_id, waits=waits)
        if self._fixed_size is None and progress is not None and progress.state == "running":
            self._size = _resized(self._size, time.monotonic() - start, progress.seen)
        return progress

    def _attempt(self, sweep_id: int, *, waits: bool) -> Progress | None:
        with self._engine.begin() as connection:
            note_start(connection, sweep_id)
        for race in range(MAX_RACES_LOST):
            try:
                with self._engine.begin() as connection:
                    return advance(connection, self._bench, sweep_id, self._clock(), self._size, waits=waits)
            except Exception as error:
                if is_connection_lost(error):
                    raise
                if not is_passing(error) or race == MAX_RACES_LOST - 1:
                    self._note_failure(sweep_id, error)
                    return None
                time.sleep(random.uniform(0.01, 0.05) * 2**race)
        return None

    def _note_failure(self, sweep_id: int, error: Exception) -> None:
        with self._engine.begin() as connection:
            is_final = note_failed_page(connection, sweep_id, sentence_of(error), self._clock())
        log.error("sweep_page_failed", sweep_id=sweep_id, is_final=is_final, exc_info=error)


def _resized(size: PageSize, seconds: float, seen: int) -> PageSize:
    """The next page's size, so that it takes about as long as wanted."""
    factor = min(4.0, max(0.25, WANTED_SECONDS / max(seconds, 0.001)))
    if 0.5 < factor < 2:
        return size
    is_full = seen >= size.limit
    span, limit = size.span, size.limit
    if factor < 1 or not is_full:
        span = int(min(MAX_SPAN, max(MIN_SPAN, span * factor)))
    if factor < 1 or is_full:
        limit = int(min(MAX_LIMIT, max(MIN_LIMIT, limit * factor)))
    return PageSize(span, limit)
