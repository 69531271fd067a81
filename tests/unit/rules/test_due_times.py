"""When schedules are due: by the wall's clock, once each time, also where that clock is put forward or back."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadflow.rules.due_times import definition_of, first_due, next_due
from leadflow.rules.model import Rule, Schedule
from tests.unit.rules.given import parse_one_rule

OSLO = ZoneInfo("Europe/Oslo")
LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)
ZONES = ("Europe/Oslo", "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca")


def schedule(every: str = "day", at: str = "02:30", on: tuple[int, ...] = (), zone: str = "Europe/Oslo") -> Schedule:
    return Schedule(every, "contact", time.fromisoformat(at), on, ZoneInfo(zone))  # type: ignore[arg-type]


def due_times(of: Schedule, after: datetime, count: int) -> list[str]:
    """The next times as the clock on the wall shows them."""
    shown = []
    for _ in range(count):
        after = next_due(of, after)
        shown.append(f"{after.astimezone(of.zone):%a %d %b %H:%M %Z}")
    return shown


def test_a_time_that_the_clock_leaps_over_in_spring_is_due_when_it_lands() -> None:
    assert due_times(schedule(), datetime(2026, 3, 28, tzinfo=OSLO), 4) == [
        "Sat 28 Mar 02:30 CET",
        "Sun 29 Mar 03:00 CEST",
        "Mon 30 Mar 02:30 CEST",
        "Tue 31 Mar 02:30 CEST",
    ]


def test_a_time_that_comes_twice_in_autumn_is_due_the_first_time_only() -> None:
    assert due_times(schedule(), datetime(2026, 10, 24, tzinfo=OSLO), 4) == [
        "Sat 24 Oct 02:30 CEST",
        "Sun 25 Oct 02:30 CEST",
        "Mon 26 Oct 02:30 CET",
        "Tue 27 Oct 02:30 CET",
    ]


def test_in_the_second_of_autumns_two_hours_the_first_one_does_not_come_up_again() -> None:
    between = datetime(2026, 10, 25, 2, 5, tzinfo=OSLO, fold=1)

    assert due_times(schedule(), between, 1) == ["Mon 26 Oct 02:30 CET"]


def test_an_hourly_schedule_is_due_every_hour_of_the_longest_day() -> None:
    assert due_times(schedule("hour", "00:30"), datetime(2026, 10, 25, 0, 50, tzinfo=OSLO), 4) == [
        "Sun 25 Oct 01:30 CEST",
        "Sun 25 Oct 02:30 CEST",
        "Sun 25 Oct 02:30 CET",
        "Sun 25 Oct 03:30 CET",
    ]


def test_weekdays_are_those_of_the_zone() -> None:
    # 23:30 UTC on Sunday is Monday in Oslo already.
    sunday_night = datetime(2026, 6, 14, 23, 30, tzinfo=UTC)

    assert due_times(schedule("week", "07:00", (0, 3)), sunday_night, 3) == [
        "Mon 15 Jun 07:00 CEST",
        "Thu 18 Jun 07:00 CEST",
        "Mon 22 Jun 07:00 CEST",
    ]


def test_a_monthly_schedule_is_due_on_its_days_and_on_the_first_where_none_is_said() -> None:
    start = datetime(2026, 1, 31, 12, tzinfo=OSLO)

    assert due_times(schedule("month", "07:00", (1, 28)), start, 3) == [
        "Sun 01 Feb 07:00 CET",
        "Sat 28 Feb 07:00 CET",
        "Sun 01 Mar 07:00 CET",
    ]
    assert due_times(schedule("month", "07:00"), start, 2) == ["Sun 01 Feb 07:00 CET", "Sun 01 Mar 07:00 CET"]


def test_the_moment_itself_has_passed() -> None:
    due_at = next_due(schedule(), datetime(2026, 6, 15, tzinfo=UTC))

    assert next_due(schedule(), due_at) == due_at + timedelta(days=1)
    assert next_due(schedule(), due_at - timedelta(microseconds=1)) == due_at


@given(
    zone=st.sampled_from(ZONES),
    at=st.times().map(lambda one: one.replace(second=0, microsecond=0, fold=0)),
    after=st.integers(0, 4 * 365 * 24 * 3600).map(lambda seconds: LONG_AGO + timedelta(seconds=seconds)),
)
def test_a_daily_schedule_is_due_once_on_every_day_of_every_zone(zone: str, at: time, after: datetime) -> None:
    daily = schedule(at=at.isoformat("minutes"), zone=zone)
    days: list[date] = []
    for _ in range(5):
        due_at = next_due(daily, after)
        assert due_at > after
        after = due_at
        days.append(due_at.astimezone(daily.zone).date())

    assert days == [days[0] + timedelta(days=number) for number in range(5)]


@pytest.mark.parametrize("clock", ["2026-03-28T12:00+00:00", "2026-10-24T12:00+00:00"])
def test_a_scheduler_that_looks_every_ten_minutes_finds_each_day_once(clock: str) -> None:
    now = datetime.fromisoformat(clock)
    due_at, found = next_due(schedule(), now), []
    for _ in range(3 * 24 * 6):
        now += timedelta(minutes=10)
        if due_at <= now:
            found.append(due_at.astimezone(OSLO).date())
            due_at = next_due(schedule(), now)

    assert len(found) == len(set(found)) == 3


def scheduled_rule(more: str = "") -> Rule:
    return parse_one_rule(
        "leadflow: 1\nsettings: {timezone: Europe/Oslo}\nrules:\n  - rule: tested\n"
        f'    when: {{schedule: {{every: day, at: "07:00", for_each: contact}}}}\n{more}'
        "    then: [{add_tag: x}]\n    limit: {once_per: contact}\n"
    )


def test_a_rule_is_due_within_its_dates_only() -> None:
    rule = scheduled_rule("    starts: 2026-07-01\n    ends: 2026-07-02\n")
    first = first_due(rule, datetime(2026, 6, 15, tzinfo=UTC))

    assert first == datetime(2026, 7, 1, 7, tzinfo=OSLO)
    assert first_due(rule, first) == datetime(2026, 7, 2, 7, tzinfo=OSLO)
    assert first_due(rule, datetime(2026, 7, 2, 7, tzinfo=OSLO)) is None


def test_a_rule_that_starts_at_the_moment_it_is_due_is_due_then() -> None:
    rule = scheduled_rule('    starts: "2026-07-01 07:00"\n')

    assert first_due(rule, datetime(2026, 6, 15, tzinfo=UTC)) == datetime(2026, 7, 1, 7, tzinfo=OSLO)


def test_the_definition_has_all_that_due_times_follow_from() -> None:
    assert definition_of(scheduled_rule("    starts: 2026-07-01\n")) == {
        "every": "day",
        "at": "07:00",
        "on": [],
        "zone": "Europe/Oslo",
        "starts": "2026-06-30T22:00:00+00:00",
    }
