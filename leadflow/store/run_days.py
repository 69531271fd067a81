"""How rules ended day by day: finished days are counted once and kept, the rest is counted when somebody looks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection, delete, func, select, text

from leadflow.store.tables import RunDayRow

# A day is finished when the transactions and sweeps that began on it are through.
SETTLED_AFTER = timedelta(hours=2)
FIRST_COUNT_DAYS = 45
# Of each rule, at most so many of the newest traces are counted while somebody waits.
MAX_COUNTED_LIVE = 1_000

# The rules that have traces: a walk along the index of (rule, at), whatever their number.
_RULES = """
WITH RECURSIVE named AS (
    (SELECT rule FROM run ORDER BY rule LIMIT 1)
    UNION ALL
    SELECT (SELECT rule FROM run WHERE rule > named.rule ORDER BY rule LIMIT 1) FROM named WHERE named.rule IS NOT NULL
)
"""
_COUNT_DAYS = f"""
{_RULES}
INSERT INTO run_day (rule, day, outcome, runs, near_misses, last_at)
SELECT named.rule, (run.at AT TIME ZONE 'UTC')::date, run.outcome, count(*),
       count(*) FILTER (WHERE run.is_near_miss), max(run.at)
FROM named JOIN run ON run.rule = named.rule AND run.at >= :since AND run.at < :until
WHERE named.rule IS NOT NULL
GROUP BY 1, 2, 3
ON CONFLICT DO NOTHING
"""
_COUNT_LIVE = """
SELECT newest.rule, (newest.at AT TIME ZONE 'UTC')::date AS day, newest.outcome, count(*) AS runs,
       count(*) FILTER (WHERE newest.is_near_miss) AS near_misses, max(newest.at) AS last_at
FROM unnest(CAST(:rules AS text[])) AS asked (rule)
CROSS JOIN LATERAL (
    SELECT run.rule, run.at, run.outcome, run.is_near_miss FROM run
    WHERE run.rule = asked.rule AND run.at >= :since ORDER BY run.at DESC LIMIT :most
) AS newest
GROUP BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class DayOfRule:
    """How often a rule ended with one outcome on one day (UTC), and when it last did.

    `is_counted`: the day is over, and all of it was counted.
    """

    rule: str
    day: date
    outcome: str
    runs: int
    near_misses: int
    last_at: datetime
    is_counted: bool = True


def count_finished_days(connection: Connection, now: datetime) -> None:
    """Count the days that are over and were not counted yet. Without one, nothing is read but two indexes."""
    until = _start_of((now - SETTLED_AFTER).astimezone(UTC).date())
    counted = connection.scalar(select(func.max(RunDayRow.day)))
    since = until - timedelta(days=FIRST_COUNT_DAYS) if counted is None else _start_of(counted + timedelta(days=1))
    if since < until:
        connection.execute(text(_COUNT_DAYS), {"since": since, "until": until})


def rules_with_runs(connection: Connection) -> list[str]:
    """The rules that were ever tried, by name."""
    return list(connection.scalars(text(f"{_RULES} SELECT rule FROM named WHERE rule IS NOT NULL")))


def forget_counted_days(connection: Connection) -> None:
    """Have all days counted anew, after traces of past days were added."""
    connection.execute(delete(RunDayRow))


def days_of_rules(connection: Connection, rules: Collection[str], since: date) -> list[DayOfRule]:
    """The days of these rules from `since` on: as they were counted, and from the last counted day on as far as the
    newest `MAX_COUNTED_LIVE` traces of each rule tell."""
    counted = connection.scalar(select(func.max(RunDayRow.day)))
    query = select(RunDayRow.__table__).where(RunDayRow.rule.in_(rules), RunDayRow.day >= since)
    known = [DayOfRule(**row) for row in connection.execute(query).mappings()]
    begin = since if counted is None else max(since, counted + timedelta(days=1))
    asked = {"rules": sorted(rules), "since": _start_of(begin), "most": MAX_COUNTED_LIVE}
    live = connection.execute(text(_COUNT_LIVE), asked).mappings()
    return [*known, *(DayOfRule(**row, is_counted=False) for row in live)]


def _start_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
