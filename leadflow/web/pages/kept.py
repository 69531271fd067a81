"""Numbers that take long to count: kept for a moment, counted anew behind the back of whoever looks.

What is counted quickly is counted for every answer. What is slow is shown as it was counted last, and counted again in
the background, so that counting never takes more than a small share of the time, and nobody waits for it but the first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine

Value = TypeVar("Value")

QUICK_SECONDS = 0.05
# A number that took a second to count is kept for half a minute.
SHARE_OF_TIME = 30
OLDEST_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Counted(Generic[Value]):
    """What was counted, how long that took, and when (on the monotonic clock)."""

    value: Value
    seconds: float
    at: float

    @property
    def age(self) -> float:
        return time.monotonic() - self.at

    @property
    def is_fresh(self) -> bool:
        return self.age < self.seconds * SHARE_OF_TIME

    @property
    def may_be_shown(self) -> bool:
        return self.seconds > QUICK_SECONDS and self.age < OLDEST_SECONDS


class Kept:
    """What one process has counted; safe for its threads."""

    def __init__(self) -> None:
        self._counted: dict[Hashable, Counted[Any]] = {}
        self._busy: set[Hashable] = set()
        self._lock = threading.Lock()

    def read(
        self, key: Hashable, connection: Connection, count: Callable[[Connection], Value], engine: Engine
    ) -> Counted[Value]:
        """What `count` says, or said a moment ago if it is slow. `count` may run later, on another connection."""
        known: Counted[Value] | None = self._counted.get(key)
        if known is None or not known.may_be_shown:
            return self._count(key, connection, count)
        if not known.is_fresh and self._begin(key):
            threading.Thread(target=self._count_again, args=(key, engine, count), daemon=True).start()
        return known

    def _begin(self, key: Hashable) -> bool:
        with self._lock:
            if key in self._busy:
                return False
            self._busy.add(key)
            return True

    def _count(self, key: Hashable, connection: Connection, count: Callable[[Connection], Value]) -> Counted[Value]:
        start = time.monotonic()
        value = count(connection)
        self._counted[key] = counted = Counted(value, time.monotonic() - start, time.monotonic())
        return counted

    def _count_again(self, key: Hashable, engine: Engine, count: Callable[[Connection], Value]) -> None:
        try:
            with engine.connect() as connection:
                self._count(key, connection, count)
        except Exception:  # the old number stays, and is tried again
            logging.getLogger(__name__).warning("a number could not be counted anew", exc_info=True)
        finally:
            self._busy.discard(key)
