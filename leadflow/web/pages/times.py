"""Moments as people read them: how long ago, and the full date for those who want to know exactly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

MINUTE, HOUR, DAY = 60, 3600, 86_400


def relative(moment: datetime, now: datetime) -> str:
    """`just now`, `4 min ago`, `in 2 days`; older than a month, the date."""
    seconds = (now - moment).total_seconds()
    if abs(seconds) < 45:
        return "just now"
    if abs(seconds) >= 30 * DAY:
        return short_date(moment, now)
    words = _span(abs(seconds))
    return f"{words} ago" if seconds > 0 else f"in {words}"


def _span(seconds: float) -> str:
    for size, one, many in ((DAY, "day", "days"), (HOUR, "h", "h"), (MINUTE, "min", "min")):
        if seconds >= size * 0.995:
            count = round(seconds / size) if size == MINUTE else int(seconds / size + 0.005)
            return f"{count} {one if count == 1 else many}"
    return "1 min"


def short_date(moment: datetime, now: datetime) -> str:
    """`4 Nov`, with the year where it is another one."""
    text = f"{moment.day} {moment:%b}"
    return text if moment.year == now.year else f"{text} {moment.year}"


def full(moment: datetime) -> str:
    """`Sunday 22 November 2026, 14:31:05 UTC`."""
    utc = moment.astimezone(UTC)
    return f"{utc:%A} {utc.day} {utc:%B} {utc.year}, {utc:%H:%M:%S} UTC"


def machine(moment: datetime) -> str:
    """For the `datetime` attribute."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def due(moment: datetime, now: datetime) -> str:
    """`due in 3 h`, `2 days late`."""
    late = now - moment
    if abs(late) < timedelta(seconds=45):
        return "due now"
    words = _span(abs(late.total_seconds()))
    return f"{words} late" if late > timedelta(0) else f"due in {words}"
