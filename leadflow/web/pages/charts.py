"""Small charts as shapes: numbers in, coordinates out; the templates draw them as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from leadflow.store import reads

BAR_HEIGHT = 120.0
# In the order in which they stand on each other, from the ground up.
STATE_SHAPES = (("processed", "good"), ("pending", "idle"), ("held", "warn"), ("failed", "bad"))


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar: where it lies along the bar, how long it is, and its style."""

    start: float
    size: float
    style: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class DayBar:
    """One day's events as a bar; `y` of a segment is its upper edge."""

    x: float
    width: float
    day: date
    total: int
    segments: tuple[Segment, ...]
    words: str
    shows_date: bool


def day_bars(counts: Iterable[reads.DayCount], last: date, days: int, width: float = 700.0) -> list[DayBar]:
    """A stacked bar for each of the `days` up to `last`, days without events included."""
    by_day: dict[date, dict[str, int]] = {}
    for one in counts:
        by_day.setdefault(one.day, {})[one.state] = one.events
    span = [last - timedelta(days=back) for back in reversed(range(days))]
    highest = max((sum(by_day.get(day, {}).values()) for day in span), default=0) or 1
    step = width / days
    return [
        _day_bar(day, by_day.get(day, {}), index * step, step * 0.72, highest, index % 2 == (days - 1) % 2)
        for index, day in enumerate(span)
    ]


def _day_bar(day: date, states: dict[str, int], x: float, width: float, highest: int, shows_date: bool) -> DayBar:
    segments, top = [], BAR_HEIGHT
    for state, style in STATE_SHAPES:
        if count := states.get(state, 0):
            size = max(count / highest * BAR_HEIGHT, 1.5)
            top -= size
            segments.append(Segment(round(top, 1), round(size, 1), style, state, count))
    parts = ", ".join(f"{one.count:,} {one.label}" for one in segments) or "no events"
    words = f"{day.day} {day:%B}: {parts}"
    return DayBar(round(x, 1), round(width, 1), day, sum(states.values()), tuple(segments), words, shows_date)


def stacked(parts: Sequence[tuple[str, str, int]], width: float = 120.0) -> list[Segment]:
    """(label, style, count) as segments of one bar; nothing counted gives none."""
    total = sum(count for _, _, count in parts)
    segments, start = [], 0.0
    for label, style, count in parts:
        if count:
            size = count / total * width
            segments.append(Segment(round(start, 2), round(size, 2), style, label, count))
            start += size
    return segments


@dataclass(frozen=True, slots=True)
class Spark:
    """A line and the area under it, on a ground of 100 × 30."""

    line: str
    area: str


def spark(values: Sequence[int]) -> Spark | None:
    """A sparkline; None when there is nothing to see."""
    if len(values) < 2 or not any(values):
        return None
    highest, step = max(values), 100 / (len(values) - 1)
    points = [f"{index * step:.1f},{28 - value / highest * 25:.1f}" for index, value in enumerate(values)]
    return Spark(" ".join(points), " ".join(("0,30", *points, "100,30")))


def per_day(counts: Iterable[reads.DayCount], last: date, days: int, state: str | None = None) -> list[int]:
    """Events per day, of one state or of all."""
    sums = {last - timedelta(days=back): 0 for back in reversed(range(days))}
    for one in counts:
        if one.day in sums and state in (None, one.state):
            sums[one.day] += one.events
    return list(sums.values())
