"""The doorbell: tells workers that there is work. Whoever rings never waits; a thread publishes."""

from __future__ import annotations

import os
import threading
import time

import structlog
from celery import Celery

from leadflow.tasks.app import BELL_EXPIRES_SECONDS, DRAIN

# Rings that come closer together than this become one: a worker drains whatever is there. The pause doubles for as long
# as more rings come in each: a lonely event is announced at once, a flood ten times a second.
MIN_PAUSE_SECONDS = 0.005
MAX_PAUSE_SECONDS = 0.1
RETRY_AFTER_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Doorbell:
    """Rings through a broker for one task. `state` says "up", or what was wrong with the last ring."""

    def __init__(self, celery: Celery, task: str = DRAIN) -> None:
        self._celery = celery
        self._task = task
        self._wanted = threading.Event()
        self._lock = threading.Lock()
        self._pid: int | None = None
        self._is_closed = False
        self.state = "unknown"

    def ring(self) -> None:
        """Tell the workers soon; returns at once, whatever the broker does."""
        if self._pid != os.getpid():
            self._start_thread()
        self._wanted.set()

    def close(self) -> None:
        """Stop ringing."""
        self._is_closed = True
        self._wanted.set()

    def _start_thread(self) -> None:
        """Threads do not survive a fork: each process has its own."""
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                threading.Thread(target=self._publish_for_ever, name="doorbell", daemon=True).start()

    def _publish_for_ever(self) -> None:
        pause = MIN_PAUSE_SECONDS
        while True:
            pause = min(pause * 2, MAX_PAUSE_SECONDS) if self._wanted.is_set() else MIN_PAUSE_SECONDS
            self._wanted.wait()
            self._wanted.clear()
            if self._is_closed:
                return
            if self._publish():
                time.sleep(pause)
            else:
                time.sleep(RETRY_AFTER_SECONDS)
                self._wanted.set()

    def _publish(self) -> bool:
        try:
            self._celery.send_task(self._task, expires=BELL_EXPIRES_SECONDS, retry=False)
        except Exception as error:  # noqa: BLE001 - whatever a broker client raises: the sweeper will ring again
            if self.state in ("up", "unknown"):
                log.warning("broker_away", error=f"{type(error).__name__}: {error}"[:200])
            self.state = f"away: {type(error).__name__}"
            return False
        if self.state != "up":
            log.info("broker_up")
        self.state = "up"
        return True
