"""Figures of a run: medians with their spread, the target beside them, and whether it was met."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `rounds` are the figure's values in each round; the median of them is judged.

    `kind` says whether the target is the least or the most that is wanted; without a target the line only informs.
    """

    name: str
    rounds: Sequence[float]
    target: float | None = None
    aim: float | None = None
    kind: Literal["at least", "at most"] = "at least"
    unit: str = ""
    beside: str = ""
    reason_if_missed: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def is_met(self) -> bool | None:
        """None without a target."""
        if self.target is None:
            return None
        return self.median >= self.target if self.kind == "at least" else self.median <= self.target

    @property
    def verdict(self) -> str:
        """`met`, `MISSED`, or nothing without a target."""
        return {None: "", True: "met", False: "MISSED"}[self.is_met]

    def line(self) -> str:
        """The line as it is printed."""
        sign = "≥" if self.kind == "at least" else "≤"
        wanted = "" if self.target is None else f"{sign} {_short(self.target)}"
        wanted += "" if self.aim is None else f" (aim {_short(self.aim)})"
        spread = f"{_short(min(self.rounds))}–{_short(max(self.rounds))}" if len(self.rounds) > 1 else ""
        figure = f"{_short(self.median)}{' ' + self.unit if self.unit else ''}"
        line = f"{self.name:<58} {figure:>13} {spread:>15} {wanted:>19}  {self.verdict:<6}  {self.beside}".rstrip()
        return f"{line}\n{'':<4}{self.reason_if_missed}" if self.is_met is False and self.reason_if_missed else line


HEADING = f"{'figure':<58} {'median':>13} {'spread':>15} {'target':>19}  {'':<6}  beside it"


def _short(number: float) -> str:
    """Three digits that matter, thousands with a comma."""
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


@dataclass
class Table:
    """Prints figures as they come and adds them up at the end."""

    figures: list[Figure] = field(default_factory=list)

    def heading(self, text: str) -> None:
        """Begin a part of the table."""
        print(f"\n{text}\n{HEADING}", flush=True)

    def add(self, figure: Figure) -> None:
        """Print a figure and remember it."""
        self.figures.append(figure)
        print(figure.line(), flush=True)

    def summary(self) -> str:
        """How many targets were met, and which were not."""
        judged = [one for one in self.figures if one.is_met is not None]
        missed = [one.name for one in judged if not one.is_met]
        text = f"{len(judged) - len(missed)} of {len(judged)} targets met."
        return text + (f" MISSED: {'; '.join(missed)}." if missed else "")


def ratios(above: Iterable[float], below: Iterable[float]) -> list[float]:
    """Round by round, so that what slowed the machine down slowed both."""
    return [one / other for one, other in zip(above, below, strict=True)]


def percentile(values: Iterable[float], per_cent: float) -> float:
    """The smallest value that at least `per_cent` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(len(ordered) * per_cent) // 100) - 1))]
