"""Days, zones and clock changes: a day is a calendar day of the document's zone; a duration is exact time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadflow.rules.durations import UnreadableDuration, read_duration
from leadflow.rules.values import first_moment_of
from tests.unit.rules.given import holds, parse_one_rule, rule_with, situation_with

AT = "contact.last_touched_at"
OSLO = ZoneInfo("Europe/Oslo")
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)


def holds_at(test: str, moment: datetime, zone: str = "Europe/Oslo", now: datetime | None = None) -> bool:
    return holds(f"{{{AT}: {test}}}", {AT: moment}, zone=zone, now=now or moment)


@pytest.mark.parametrize(("day", "hours"), [(SPRING, 23), (AUTUMN, 25), (date(2026, 6, 15), 24)])
def test_a_day_of_a_clock_change_has_its_own_length(day, hours):
    start = first_moment_of(day, OSLO)

    assert holds_at(f"{{on: {day}}}", start)
    assert holds_at(f"{{on: {day}}}", start + timedelta(hours=hours, microseconds=-1))
    assert holds_at(f"{{after: {day}}}", start + timedelta(hours=hours))
    assert holds_at(f"{{before: {day}}}", start - timedelta(microseconds=1))


@given(
    moment=st.integers(0, 365 * 24 * 60).map(lambda m: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=m)),
    day=st.sampled_from([SPRING, AUTUMN, SPRING - timedelta(days=1), AUTUMN + timedelta(days=1)]),
    zone=st.sampled_from(["Europe/Oslo", "America/New_York", "Pacific/Kiritimati", "America/Havana", "UTC"]),
)
@settings(max_examples=60, deadline=None)
def test_before_on_and_after_part_all_moments(moment, day, zone):
    assert [holds_at(f"{{{name}: {day}}}", moment, zone) for name in ("before", "on", "after")].count(True) == 1


def test_a_day_whose_midnight_does_not_exist_begins_at_the_clock_change():
    sao_paulo = ZoneInfo("America/Sao_Paulo")  # 2018-11-04 began at 01:00

    assert first_moment_of(date(2018, 11, 4), sao_paulo) == datetime(2018, 11, 4, 3, 0, tzinfo=UTC)


def test_a_day_whose_midnight_comes_twice_begins_at_the_first():
    havana = ZoneInfo("America/Havana")  # on 2026-11-01 the hour from 00:00 is repeated

    assert first_moment_of(date(2026, 11, 1), havana) == datetime(2026, 11, 1, 4, 0, tzinfo=UTC)


def test_the_first_and_the_last_day_of_the_calendar_have_a_beginning():
    assert first_moment_of(date.min, ZoneInfo("Asia/Tokyo")) == datetime.min.replace(tzinfo=UTC)
    assert first_moment_of(date.max, ZoneInfo("America/New_York")) > datetime(9999, 12, 31, tzinfo=UTC)


def test_a_time_without_an_offset_is_in_the_zone():
    assert holds_at("{on: '2026-06-15 14:00'}", datetime(2026, 6, 15, 12, tzinfo=UTC))
    assert not holds_at("{on: '2026-06-15 14:00'}", datetime(2026, 6, 15, 14, tzinfo=UTC))


def test_a_duration_is_exact_elapsed_time_over_a_clock_change():
    now = datetime(2026, 3, 29, 12, 0, tzinfo=OSLO)  # 23 hours after noon of the day before

    assert not holds_at("{older_than: 1 day}", datetime(2026, 3, 28, 12, 0, tzinfo=OSLO), now=now)
    assert holds_at("{older_than: 23 hours}", datetime(2026, 3, 28, 11, 59, tzinfo=OSLO), now=now)


def test_a_date_field_counts_as_the_moment_its_day_begins_in_the_zone():
    path = "company.fields.founded"
    now = datetime(2026, 6, 14, 22, 30, tzinfo=UTC)  # 00:30 on the 15th in Oslo

    assert holds(f"{{{path}: {{within_last: 1 hour}}}}", {path: date(2026, 6, 15)}, now=now, zone="Europe/Oslo")
    assert not holds(f"{{{path}: {{within_last: 1 hour}}}}", {path: date(2026, 6, 15)}, now=now, zone="UTC")


def test_a_moment_in_another_zone_of_python_compares_as_the_same_moment():
    twice = datetime(2026, 10, 25, 2, 30, tzinfo=OSLO, fold=1)  # the hour that comes twice
    same = {AT: twice, "contact.created_at": twice.astimezone(UTC)}

    assert rule_with(f"{{{AT}: {{same_as: contact.created_at}}}}").judge(situation_with(same)).holds


def test_starts_and_ends_are_days_of_the_zone_and_the_last_day_counts():
    rule = parse_one_rule(
        "leadflow: 1\nsettings: {timezone: Europe/Oslo}\nrules:\n"
        "- {rule: a, when: {sale: sold}, then: [{set_category: Customer}], starts: 2026-03-29, ends: 2026-03-29}\n"
    )

    assert rule.starts_at == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert rule.ends_at == datetime(2026, 3, 29, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90 days", timedelta(days=90)),
        ("1 day", timedelta(days=1)),
        ("2 weeks", timedelta(days=14)),
        ("36 Hours", timedelta(hours=36)),
        ("15minutes", timedelta(minutes=15)),
    ],
)
def test_durations_are_a_number_and_a_unit(text, length):
    assert read_duration(text) == length


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("3 months", "months and years"),
        ("1 year", "months and years"),
        ("90", "a number and a unit"),
        ("days", "a number and a unit"),
        ("-1 days", "a number and a unit"),
        ("1.5 days", "a number and a unit"),
        ("٣ days", "a number and a unit"),
        ("3 fortnights", "no unit of time"),
        ("0 days", "at least"),
        ("999999999 weeks", "at most"),
    ],
)
def test_other_durations_are_refused_with_the_reason(text, why):
    with pytest.raises(UnreadableDuration, match=why):
        read_duration(text)
