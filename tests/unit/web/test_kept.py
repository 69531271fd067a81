"""Numbers that take long to count are counted behind the back of whoever looks."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from leadflow.web.pages import kept as kept_module
from leadflow.web.pages.kept import Kept


class NoEngine:
    def connect(self) -> Any:
        return nullcontext(None)


def counting(seconds: float) -> tuple[list[int], Callable[[Any], int]]:
    said: list[int] = []

    def count(_connection: Any) -> int:
        time.sleep(seconds)
        said.append(len(said) + 1)
        return said[-1]

    return said, count


def read(kept: Kept, count: Callable[[Any], int]) -> int:
    return kept.read("number", None, count, NoEngine()).value  # type: ignore[arg-type]


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_what_is_quick_is_counted_each_time() -> None:
    kept, (_, count) = Kept(), counting(0)

    assert [read(kept, count), read(kept, count)] == [1, 2]


def test_what_is_slow_is_kept_and_counted_again_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_module, "SHARE_OF_TIME", 0)
    kept, (said, count) = Kept(), counting(0.06)

    assert read(kept, count) == 1
    start = time.monotonic()
    assert read(kept, count) == 1
    assert time.monotonic() - start < 0.05
    until(lambda: len(said) == 2)
    until(lambda: read(kept, count) >= 2)


def test_a_slow_number_is_not_counted_twice_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_module, "SHARE_OF_TIME", 0)
    kept, (said, count) = Kept(), counting(0.06)
    read(kept, count)

    for _ in range(20):
        read(kept, count)
    until(lambda: not kept._busy)

    assert len(said) == 2


def test_a_number_that_cannot_be_counted_anew_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_module, "SHARE_OF_TIME", 0)
    kept, (_, count) = Kept(), counting(0.06)
    read(kept, count)

    def fail(_connection: Any) -> int:
        raise RuntimeError("the database is away")

    assert read(kept, fail) == 1
    until(lambda: not kept._busy)
    assert read(kept, fail) == 1
