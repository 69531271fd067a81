"""Days of rules: counted once when they are over, and as far as needed while they last."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Connection, text

from leadflow.store import run_days
from leadflow.store.engine import make_engine
from leadflow.store.page_reads import newest_runs
from leadflow.store.run_days import count_finished_days, days_of_rules, forget_counted_days

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
TODAY = NOW.date()


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A transaction in a database of the test's own."""
    engine = make_engine(database_url, pool_size=1)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def run(connection: Connection, rule: str, at: datetime, outcome: str = "fired", near: bool = False) -> None:
    values = {"rule": rule, "at": at, "outcome": outcome, "near": near}
    connection.execute(
        text(
            "INSERT INTO run (event_id, rule, version, outcome, is_near_miss, clauses, changes, chain, duration_us, at)"
            " VALUES (1, :rule, 1, :outcome, :near, '[]', '[]', '{}', 1, :at)"
        ),
        values,
    )


def sums(connection: Connection, rule: str, since: date = TODAY - timedelta(days=29)) -> dict[tuple[date, str], int]:
    return {(one.day, one.outcome): one.runs for one in days_of_rules(connection, [rule], since)}


def test_a_day_counts_the_same_before_and_after_it_was_counted(connection: Connection) -> None:
    for days in (0, 1, 1, 5):
        run(connection, "a", NOW - timedelta(days=days))
    run(connection, "a", NOW - timedelta(days=1), "no_match", near=True)
    run(connection, "b", NOW - timedelta(days=1))
    before = sums(connection, "a")

    count_finished_days(connection, NOW)

    assert before == sums(connection, "a")
    counted = {one.day: one.is_counted for one in days_of_rules(connection, ["a"], TODAY - timedelta(days=29))}
    assert counted == {TODAY: False, TODAY - timedelta(days=1): True, TODAY - timedelta(days=5): True}
    assert before == {
        (TODAY, "fired"): 1,
        (TODAY - timedelta(days=1), "fired"): 2,
        (TODAY - timedelta(days=1), "no_match"): 1,
        (TODAY - timedelta(days=5), "fired"): 1,
    }
    assert connection.scalar(text("SELECT count(*) FROM run_day WHERE day = :day"), {"day": TODAY}) == 0


def test_counting_again_counts_nothing_twice_and_goes_on_with_new_days(connection: Connection) -> None:
    run(connection, "a", NOW - timedelta(days=1))
    count_finished_days(connection, NOW)
    run(connection, "a", NOW)
    count_finished_days(connection, NOW)
    count_finished_days(connection, NOW + timedelta(days=1))

    assert sums(connection, "a") == {(TODAY - timedelta(days=1), "fired"): 1, (TODAY, "fired"): 1}
    forget_counted_days(connection)
    assert sums(connection, "a") == {(TODAY - timedelta(days=1), "fired"): 1, (TODAY, "fired"): 1}


def test_a_day_that_is_just_over_waits_for_its_last_transactions(connection: Connection) -> None:
    run(connection, "a", NOW - timedelta(days=1))
    count_finished_days(connection, datetime(2026, 3, 10, 1, 0, tzinfo=UTC))

    assert connection.scalar(text("SELECT count(*) FROM run_day")) == 0


def test_what_is_not_counted_yet_is_read_only_so_far(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_days, "MAX_COUNTED_LIVE", 3)
    for minutes in range(5):
        run(connection, "a", NOW - timedelta(minutes=minutes), "no_match" if minutes < 3 else "fired")

    assert sums(connection, "a") == {(TODAY, "no_match"): 3}


def test_telling_traces_are_looked_for_among_the_newest(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadflow.store.page_reads.LOOKED_AT_RUNS", 3)
    for minutes in range(5):
        run(connection, "a", NOW - timedelta(minutes=minutes), "fired" if minutes in (2, 4) else "no_match")

    found = newest_runs(connection, "a", only_telling=True, limit=10)

    assert [one.at for one in found] == [NOW - timedelta(minutes=2)]
    assert len(newest_runs(connection, "a", only_telling=False, limit=2)) == 2
