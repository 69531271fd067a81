"""Days in time zones: which days begin within a stretch of time, and when a day of a column begins."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, DateTime, Interval, String, case, cast, func, literal

from leadflow.rules.values import first_moment_of

ONE_DAY = timedelta(days=1)
MOMENT = DateTime(timezone=True)

# By how much clocks are set back where that repeats midnight.
CLOCK_CHANGE = timedelta(hours=1)


def first_day_from(moment: datetime, zone: tzinfo, *, is_included: bool) -> date | None:
    """The first calendar day that begins at `moment` or later (without `is_included`: later); None if there is none."""
    day = _day_before(moment)
    while True:
        start = first_moment_of(day, zone)
        if start > moment or (is_included and start == moment):
            return day
        if day == date.max:
            return None
        day += ONE_DAY


def _day_before(moment: datetime) -> date:
    """A day that begins before the moment in every time zone, or the first day of the calendar."""
    return moment.date() - 3 * ONE_DAY if moment.date() > date.min + 3 * ONE_DAY else date.min


def start_of(day: ColumnElement[Any], zone: tzinfo) -> ColumnElement[Any]:
    """The moment at which the day of a column begins, as `first_moment_of` says it; NULL where there is no day."""
    local = cast(day, DateTime(timezone=False))
    name = literal(zone.key if isinstance(zone, ZoneInfo) else "UTC", String)
    start = func.timezone(name, local, type_=MOMENT)
    # Of a midnight that a clock change repeats PostgreSQL takes the second one, we mean the first one.
    earlier = start - literal(CLOCK_CHANGE, Interval)
    first = case((func.timezone(name, earlier, type_=DateTime()) == local, earlier), else_=start)
    beginning = literal(first_moment_of(date.min, UTC), MOMENT)
    return case((first < beginning, beginning), else_=first)
