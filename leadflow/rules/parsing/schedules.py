"""`schedule: {every: day, at: "07:00", for_each: contact}`."""

from __future__ import annotations

from datetime import time
from typing import Literal, cast

from leadflow.rules.model import Schedule
from leadflow.rules.nodes import Node
from leadflow.rules.parsing.special import read_time_of_day, read_weekdays
from leadflow.rules.reading import Reader

Every = Literal["hour", "day", "week", "month"]
PERIODS = ("hour", "day", "week", "month")
RECORDS = ("contact", "company")

# Every month has these days.
LAST_DAY_OF_EVERY_MONTH = 28


def read_schedule(reader: Reader, node: Node) -> Schedule | None:
    """The schedule; None after a problem."""
    problems_before = len(reader.problems)
    given = reader.entries(node, "schedule", ("every", "at", "on", "for_each"), ("every", "for_each"))
    if given is None:
        return None
    every = reader.word(given["every"], "every", PERIODS) if "every" in given else None
    record = reader.word(given["for_each"], "for_each", RECORDS) if "for_each" in given else None
    at = _read_at(reader, given.get("at"), every)
    on = _read_on(reader, given["on"], every) if "on" in given and every else ()
    if every == "week" and not on:
        on = (0,)
    if every is None or record is None or at is None or len(reader.problems) > problems_before:
        return None
    for_each = cast("Literal['contact', 'company']", record)
    return Schedule(cast("Every", every), for_each, at, on, reader.zone)


def _read_at(reader: Reader, node: Node | None, every: str | None) -> time | None:
    """The time of day; of an hourly schedule only the minute counts. Midnight where nothing is said."""
    at = time(0) if node is None else read_time_of_day(reader, node, "at")
    if node is not None and at is not None and every == "hour" and at.hour:
        reader.add(node, "unreadable-value", 'an hourly schedule has a minute only: at: "00:15"')
        return None
    return at


def _read_on(reader: Reader, node: Node, every: str) -> tuple[int, ...]:
    """Weekdays, or days of the month."""
    if every != "month":
        return tuple(sorted(set(read_weekdays(reader, node))))
    items = reader.items(node, "on")
    days = [reader.whole_number(item, "a day of the month", 1, LAST_DAY_OF_EVERY_MONTH) for item in items]
    return tuple(sorted({day for day in days if day}))
