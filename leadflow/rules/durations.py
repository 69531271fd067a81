"""Durations as people write them: `90 days`. Months and years are no units, since their lengths differ."""

from __future__ import annotations

import re
from datetime import timedelta

UNITS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
MAX_DURATION = timedelta(days=36_525)

_DURATION = re.compile(r"(\d{1,9}) ?([a-z]+?)s?", re.ASCII)


class UnreadableDuration(ValueError):
    """Not a duration; the message says why."""


def read_duration(text: str) -> timedelta:
    """An exact length of time, from a minute to a hundred years. Raises: UnreadableDuration."""
    match = _DURATION.fullmatch(text.strip().casefold())
    if match is None:
        raise UnreadableDuration("expected a number and a unit, such as 90 days")
    if match[2] in ("month", "year"):
        raise UnreadableDuration("months and years differ in length; write days or weeks")
    if match[2] not in UNITS:
        raise UnreadableDuration(f"'{match[2]}' is no unit of time; write minutes, hours, days or weeks")
    if int(match[1]) == 0:
        raise UnreadableDuration("a duration is at least 1 minute")
    if int(match[1]) > MAX_DURATION // UNITS[match[2]]:
        raise UnreadableDuration("a duration is at most 100 years (36525 days)")
    return int(match[1]) * UNITS[match[2]]
