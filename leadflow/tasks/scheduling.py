"""The scheduler's tick: what is due and what no message announced is found here, and what is old is put away."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event

import structlog
from sqlalchemy import Engine

from leadflow.services.housekeeping import tidy_up
from leadflow.services.resuming import release_due_waits
from leadflow.services.rule_sets import RulesHaveProblems
from leadflow.services.schedules import Timetable
from leadflow.store.heartbeats import beat
from leadflow.store.inbox import next_due
from leadflow.store.sweeps.queue import is_idle
from leadflow.tasks.draining import utc_now

TICK_SECONDS = 1.0
TIDY_SECONDS = 60.0

log = structlog.get_logger(__name__)


@dataclass
class Scheduler:
    """Ticks once a second. Any number of them may run: what is due becomes work once, whoever sees it first."""

    engine: Engine
    ring: Callable[[], None]
    raw_body_days: int
    ring_for_sweeps: Callable[[], None] = lambda: None
    timetable: Timetable = field(default_factory=Timetable)
    _tidied_at: float = float("-inf")
    _trouble: str | None = None

    def run(self, stop: Event) -> None:
        """Tick until `stop` is set; a database that is away is waited for."""
        while not stop.wait(TICK_SECONDS):
            try:
                self.tick()
            except Exception as error:  # noqa: BLE001 - the next tick tries again
                log.warning("tick_failed", error=f"{type(error).__name__}: {error}"[:300])

    def tick(self) -> None:
        """Ring if something is due, start what is scheduled, once a minute put away what is old."""
        now = utc_now()
        with self.engine.begin() as connection:
            release_due_waits(connection, now)
            due = next_due(connection, now)
            beat(connection, "scheduler", now)
        if due is not None and due <= now:
            self.ring()
        self._tend_sweeps(now)
        if time.monotonic() - self._tidied_at >= TIDY_SECONDS:
            self._tidied_at = time.monotonic()
            with self.engine.begin() as connection:
                tidy_up(connection, now, timedelta(days=self.raw_body_days))

    def _tend_sweeps(self, now: datetime) -> None:
        """Turn the rules that are due into sweeps, and ring if nobody is at one."""
        self._follow_timetable(now)
        with self.engine.begin() as connection:
            is_waiting = is_idle(connection, now)
        if is_waiting:
            self.ring_for_sweeps()

    def _follow_timetable(self, now: datetime) -> None:
        """Rules that cannot be read any more rest, until somebody mends them; that is told once."""
        try:
            with self.engine.begin() as connection:
                self.timetable.tick(connection, now)
            self._trouble = None
        except RulesHaveProblems as trouble:
            if str(trouble) != self._trouble:
                log.warning("timetable_rests", problems=len(trouble.problems))
            self._trouble = str(trouble)
