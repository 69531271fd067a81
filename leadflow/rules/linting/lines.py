"""Sets of ordered values as unions of intervals: exact numbers, whole numbers, moments as microseconds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

# A place between values: just before a value (-1) or just after it (1). A span reaches from one cut to a later one.
Cut = tuple[Any, int]
Span = tuple[Cut, Cut]

FIRST: Cut = (-math.inf, -1)
LAST: Cut = (math.inf, 1)
BEFORE, AFTER = -1, 1

# More digits than any two numbers that the language reads can need between them.
ENOUGH_DIGITS = 200


@dataclass(frozen=True, slots=True)
class Line:
    """The values between the cuts of each span; spans are in order and do not touch. Whole lines have integers only."""

    spans: tuple[Span, ...]
    is_whole: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.spans

    def __and__(self, other: Line) -> Line:
        found, mine, theirs = [], 0, 0
        while mine < len(self.spans) and theirs < len(other.spans):
            (low, high), (other_low, other_high) = self.spans[mine], other.spans[theirs]
            start, end = max(low, other_low), min(high, other_high)
            if start < end:
                found.append((start, end))
            mine, theirs = (mine + 1, theirs) if high < other_high else (mine, theirs + 1)
        return Line(tuple(found), self.is_whole)

    def __or__(self, other: Line) -> Line:
        joined: list[Span] = []
        for low, high in sorted((*self.spans, *other.spans)):
            if joined and low <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
            else:
                joined.append((low, high))
        return Line(tuple(joined), self.is_whole)

    def __invert__(self) -> Line:
        edges = [FIRST, *(cut for span in self.spans for cut in span), LAST]
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return Line(tuple((low, high) for low, high in pairs if low < high), self.is_whole)

    def shifted(self, distance: int) -> Line:
        """Every value `distance` further up."""
        spans = (((low[0] + distance, low[1]), (high[0] + distance, high[1])) for low, high in self.spans)
        return Line(tuple(spans), self.is_whole)

    def holds(self, value: Any) -> bool:
        """Whether the value is on the line."""
        return any(low < (value, 0) < high for low, high in self.spans)

    def pick(self) -> Any:
        """One of the values, an end where there is one; None of an empty line."""
        return None if self.is_empty else _pick_between(*self.spans[0], self.is_whole)

    @property
    def single(self) -> Any:
        """The only value there is; None if there are more, or none."""
        if len(self.spans) != 1:
            return None
        (low, low_side), (high, high_side) = self.spans[0]
        is_single = low + 1 == high if self.is_whole else low == high and low_side == BEFORE and high_side == AFTER
        return low if is_single else None


def line_between(low: Any, high: Any, has_low: bool, has_high: bool, *, is_whole: bool = False) -> Line:
    """From `low` to `high`, an end of None being none."""
    start = FIRST if low is None else (low, BEFORE if has_low else AFTER)
    end = LAST if high is None else (high, AFTER if has_high else BEFORE)
    if is_whole:
        start, end = _whole(start), _whole(end)
    return Line(((start, end),) if start < end else (), is_whole)


def line_of(values: Iterable[Any], *, is_whole: bool = False) -> Line:
    """Exactly these values."""
    line = Line((), is_whole)
    for value in values:
        line |= line_between(value, value, True, True, is_whole=is_whole)
    return line


def full_line(*, is_whole: bool = False) -> Line:
    """Every value."""
    return Line(((FIRST, LAST),), is_whole)


def _whole(cut: Cut) -> Cut:
    """The cut before the first integer above it, so that equal sets of integers have equal cuts."""
    value, side = cut
    if value in (-math.inf, math.inf):
        return cut
    return (math.ceil(value) if side == BEFORE else math.floor(value) + 1, BEFORE)


def _pick_between(start: Cut, end: Cut, is_whole: bool) -> Any:
    (low, low_side), (high, high_side) = start, end
    with localcontext(prec=ENOUGH_DIGITS):
        if low != -math.inf:
            if low_side == BEFORE:
                return low
            return low + 1 if high == math.inf else high if high_side == AFTER else (low + high) / 2
        if high == math.inf:
            return 0 if is_whole else Decimal(0)
        return high if high_side == AFTER else high - 1
