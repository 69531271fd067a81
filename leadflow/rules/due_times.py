"""When a schedule is due: by the clock on the wall of its zone, once each time, also when that clock is changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cronsim import CronSim

from leadflow.rules.model import Rule, Schedule

ONE_SECOND = timedelta(seconds=1)


def next_due(schedule: Schedule, after: datetime) -> datetime:
    """The first moment after `after` at which the schedule is due, in UTC.

    A time that the clock leaps over in spring is due when it lands; one that comes twice in autumn, the first time.
    """
    after = after.astimezone(UTC)  # two times of one zone would compare by their clock
    for due_at in CronSim(_cron(schedule), after.astimezone(schedule.zone)):
        # In the second of autumn's two hours the first one comes up again: it has passed.
        if due_at > after:
            return due_at.astimezone(UTC)
    raise AssertionError("a schedule never ends")


def first_due(rule: Rule, now: datetime) -> datetime | None:
    """When a scheduled rule is due for the first time after `now`, within its dates; None if that is never."""
    if rule.schedule is None:
        return None
    begin = now if rule.starts_at is None else max(now, rule.starts_at - ONE_SECOND)
    due_at = next_due(rule.schedule, begin)
    return due_at if rule.ends_at is None or due_at < rule.ends_at else None


def definition_of(rule: Rule) -> dict[str, Any]:
    """What the due times of a scheduled rule follow from, as JSON: with another definition they start anew."""
    schedule = rule.schedule
    if schedule is None:
        raise ValueError(f"{rule.slug} has no schedule")
    return {
        "every": schedule.every,
        "at": schedule.at.isoformat("minutes"),
        "on": list(schedule.on),
        "zone": str(schedule.zone),
        "starts": rule.starts_at.isoformat() if rule.starts_at else None,
    }


def _cron(schedule: Schedule) -> str:
    """The schedule as cron writes it: minute, hour, day of the month, month, weekday (0 is Sunday)."""
    minute, hour = schedule.at.minute, schedule.at.hour
    match schedule.every:
        case "hour":
            return f"{minute} * * * {_weekdays(schedule)}"
        case "day" | "week":
            return f"{minute} {hour} * * {_weekdays(schedule)}"
        case "month":
            return f"{minute} {hour} {','.join(map(str, schedule.on)) or '1'} * *"


def _weekdays(schedule: Schedule) -> str:
    return ",".join(str((day + 1) % 7) for day in schedule.on) or "*"
