"""Sets of moments and days. Bounds that move with the clock are kept apart from those that do not.

A claim that there is no such moment is one for now and for ever after: what is impossible today but not next year
("after 2030" and "more than 30 days ago") is possible.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo

from leadflow.rules.linting.lines import FIRST, LAST, Line, full_line, line_between
from leadflow.rules.values import first_moment_of

TICK = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# As many days from now on are tried as examples of "today" and "tomorrow".
DAYS_TRIED = 3


def ticks_of(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - EPOCH) // TICK


def moment_of(ticks: int) -> datetime | None:
    """The reverse; None outside the calendar."""
    try:
        return EPOCH + ticks * TICK
    except OverflowError:
        return None


EVERY_TICK = full_line(is_whole=True)
CALENDAR = line_between(
    ticks_of(datetime.min.replace(tzinfo=UTC)),
    ticks_of(datetime.max.replace(tzinfo=UTC)),
    True,
    True,
    is_whole=True,
)
DAYS = line_between(date.min.toordinal(), date.max.toordinal(), True, True, is_whole=True)


@dataclass(frozen=True, slots=True)
class Times:
    """The moments on `absolute` whose distance from now is on `relative`; both in microseconds.

    With a `zone` they are days: `absolute` counts days, and a day is the moment at which it begins there.
    """

    absolute: Line = CALENDAR
    relative: Line = EVERY_TICK
    zone: tzinfo | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is certainly no such moment, whenever it is asked."""
        return self.absolute.is_empty or self.relative.is_empty

    def __and__(self, other: Times) -> Times:
        absolute = self.absolute & other.absolute
        if self.zone != other.zone and not (is_unbound(self.relative) or is_unbound(other.relative)):
            # Days that begin at different moments: of two moving bounds one is enough to say nothing wrong.
            return replace(self, absolute=absolute)
        zone = self.zone if is_unbound(other.relative) else other.zone
        return Times(absolute, self.relative & other.relative, zone)

    def __invert__(self) -> Times:
        """The other moments, of a set that is bound in one way only."""
        if is_unbound(self.relative):
            return replace(self, absolute=~self.absolute & (CALENDAR if self.zone is None else DAYS))
        return replace(self, relative=~self.relative)

    def nows(self) -> Line:
        """Every moment of asking at which there is such a moment, or more."""
        if is_unbound(self.relative):
            return EVERY_TICK
        found = Line((), is_whole=True)
        for low, high in self._ticks().spans:
            for nearest, furthest in self.relative.spans:
                # low ≤ now + distance < high, for a distance from nearest up to furthest - 1
                start, end = low[0] - furthest[0] + 1, high[0] - nearest[0]
                found |= line_between(_finite(start), _finite(end), True, False, is_whole=True)
        return found

    def nows_of_next_days(self, now: int) -> list[int]:
        """Moments of asking from `now` on at which a day begins just at an end of the moving bounds."""
        day = self._day_at(now)
        if day is None or self.zone is None or is_unbound(self.relative):
            return []
        ends = [end for span in self.relative.spans for end in _edges(span, 0)]
        starts = [_first_tick(day.toordinal() + further, self.zone) for further in range(DAYS_TRIED)]
        return sorted(start - end for start in starts for end in ends)

    def at(self, now: int) -> Line:
        """The moments (not days) of the set when it is asked at `now`."""
        return self._ticks() & self.relative.shifted(now)

    def pick(self, now: int) -> datetime | date | None:
        """One of them; None if none is found."""
        fitting = self.at(now)
        if self.zone is None:
            return None if fitting.is_empty else moment_of(_towards(fitting, now))
        days = (self._day_at(edge) for span in fitting.spans for edge in _edges(span, now))
        return next((day for day in days if day and fitting.holds(ticks_of(first_moment_of(day, self.zone)))), None)

    def _ticks(self) -> Line:
        if self.zone is None:
            return self.absolute
        found = Line((), is_whole=True)
        for low, high in self.absolute.spans:
            start, end = (_first_tick(day, self.zone) for day in (low[0], high[0] - 1))
            found |= line_between(start, end, True, True, is_whole=True)
        return found

    def _day_at(self, ticks: int) -> date | None:
        """The day that begins at or after the tick."""
        moment = moment_of(ticks)
        if moment is None or self.zone is None:
            return None
        try:
            day = moment.astimezone(self.zone).date()
            return day if ticks_of(first_moment_of(day, self.zone)) >= ticks else day + timedelta(days=1)
        except OverflowError:
            return None


def is_unbound(relative: Line) -> bool:
    """Whether nothing is asked about the distance from now."""
    return relative.spans == ((FIRST, LAST),)


def days_in(ticks: Line, zone: tzinfo) -> Line:
    """The days that begin at a moment of the line, as ordinals."""
    found = Line((), is_whole=True)
    for low, high in (ticks & CALENDAR).spans:
        found |= line_between(_first_day_from(low[0], zone), _first_day_from(high[0], zone), True, False, is_whole=True)
    return found & DAYS


def _first_day_from(ticks: int, zone: tzinfo) -> int:
    """The ordinal of the first day that begins at the tick or later."""
    moment = moment_of(ticks)
    if moment is None:
        return date.max.toordinal() + 1
    try:
        day = moment.astimezone(zone).date()
    except OverflowError:
        return date.min.toordinal() if moment.year == 1 else date.max.toordinal() + 1
    return day.toordinal() + (ticks_of(first_moment_of(day, zone)) < ticks)


def _first_tick(ordinal: int, zone: tzinfo) -> int:
    return ticks_of(first_moment_of(date.fromordinal(ordinal), zone))


def _finite(ticks: float) -> int | None:
    return int(ticks) if abs(ticks) < float("inf") else None


def _towards(line: Line, now: int) -> int:
    """A value of the line, now or near it if it can be: an example should look like today."""
    if line.holds(now):
        return now
    edges = [edge for span in line.spans for edge in _edges(span, now)]
    return min(edges, key=lambda edge: abs(edge - now))


def _edges(span: tuple[tuple[int | float, int], tuple[int | float, int]], now: int) -> list[int]:
    (low, _), (high, _) = span
    ends = [edge for edge in (low, high - 1) if abs(edge) != float("inf")]
    inner = [now] if low <= now < high else []
    return [int(edge) for edge in (*inner, *ends)]
