"""The tasks of a worker process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from celery import Celery, signals
from sqlalchemy import Engine

from leadflow.services.processing import Desk
from leadflow.store.heartbeats import beat, beat_in_background
from leadflow.store.inbox import next_due
from leadflow.tasks.app import BELL_EXPIRES_SECONDS, DRAIN, SWEEP
from leadflow.tasks.draining import Drainer, utc_now
from leadflow.tasks.sweeping import Sweeper

BEAT_SECONDS = 5.0

# So long events may take between two pages of a sweep, before it gets its next turn.
EVENTS_TURN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Tools:
    """What a worker process has open."""

    engine: Engine
    drainer: Drainer
    sweeper: Sweeper


@dataclass
class Workplace:
    """What a worker process works with. The engine is made in the process that uses it: after the fork."""

    make_engine: Callable[[], Engine]
    make_desk: Callable[[], Desk]
    batch_size: int = 500
    max_changes: int | None = None
    _tools: Tools | None = None
    _beaten_at: float = float("-inf")
    _beaten_settled: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def drain(self) -> bool:
        """Drain the inbox; whether something is left. Threads of one process take turns."""
        with self._lock:
            tools = self._open()
            try:
                return tools.drainer.drain()
            finally:
                self._beat(tools)

    def sweep(self) -> bool:
        """Work on sweeps, and on the inbox between their pages; whether something is left to sweep."""
        with self._lock:
            tools = self._open()
            _drain_what_is_due(tools)
            try:
                return tools.sweeper.sweep(between_pages=lambda: _drain_what_is_due(tools))
            finally:
                self._beat(tools)

    def open(self) -> None:
        """Pay for the first connection before the first event comes, and show signs of life from now on."""
        with self._lock:
            tools = self._open()
        beat_in_background(tools.engine, "worker")

    def _open(self) -> Tools:
        if self._tools is None:
            engine, desk = self.make_engine(), self.make_desk()
            drainer = Drainer(engine, desk, self.batch_size)
            self._tools = Tools(engine, drainer, Sweeper(engine, desk, max_changes=self.max_changes))
        return self._tools

    def _beat(self, tools: Tools) -> None:
        if time.monotonic() - self._beaten_at < BEAT_SECONDS:
            return
        with tools.engine.begin() as connection:
            beat(connection, "worker", utc_now(), tools.drainer.settled - self._beaten_settled)
        self._beaten_at, self._beaten_settled = time.monotonic(), tools.drainer.settled


def _drain_what_is_due(tools: Tools) -> None:
    """Events come first: they wait for a sweep no longer than a page takes."""
    with tools.engine.begin() as connection:
        due = next_due(connection, utc_now())
    if due is not None and due <= utc_now():
        tools.drainer.drain(EVENTS_TURN_SECONDS)


def register_tasks(app: Celery, workplace: Workplace) -> None:
    """Give the app its tasks."""

    @app.task(name=DRAIN)
    def drain() -> None:
        if workplace.drain():
            app.send_task(DRAIN, expires=BELL_EXPIRES_SECONDS)

    @app.task(name=SWEEP)
    def sweep() -> None:
        if workplace.sweep():
            app.send_task(SWEEP, expires=BELL_EXPIRES_SECONDS)

    def open_workplace(**_: object) -> None:
        workplace.open()

    signals.worker_process_init.connect(open_workplace, weak=False)
