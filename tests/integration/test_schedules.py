"""The timetable: what is due becomes a sweep once, whoever ticks, however late."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leadflow.services.schedules import Timetable
from leadflow.store.schedules import next_due_times
from leadflow.tasks.scheduling import Scheduler
from tests.support.scenes import Scene

# The scene's clock starts on Sunday, 1 March 2026, 12:00 UTC.
TOMORROW_AT_SEVEN = datetime(2026, 3, 2, 7, tzinfo=UTC)


def rule(more: str = "", every: str = "day", at: str = "07:00", slug: str = "wake") -> str:
    return (
        f'{{rule: {slug}, when: {{schedule: {{every: {every}, at: "{at}", for_each: contact}}}},'
        f" if: {{all: [{{contact.lead_status: Re-nurture}}]}}, then: [{{set_lead_status: {{to: Open}}}}],"
        f" limit: {{once_per: contact, within: 90 days}}{more}}}"
    )


def tick(scene: Scene, timetable: Timetable) -> int:
    with scene.engine.begin() as connection:
        return timetable.tick(connection, scene.clock())


def due(scene: Scene) -> dict[str, datetime]:
    with scene.engine.begin() as connection:
        return next_due_times(connection)


def sweeps(scene: Scene) -> list[Any]:
    return scene.rows("SELECT rule, due_at, created_at, origin, state FROM sweep ORDER BY id")


def finish_sweeps(scene: Scene) -> None:
    with scene.transaction() as connection:
        connection.exec_driver_sql("UPDATE sweep SET state = 'done', finished_at = created_at")


def test_a_due_rule_becomes_a_sweep_and_moves_on(scene: Scene) -> None:
    scene.publish(rule())
    timetable = Timetable()

    assert tick(scene, timetable) == 0
    assert due(scene) == {"wake": TOMORROW_AT_SEVEN}

    scene.clock.now = TOMORROW_AT_SEVEN + timedelta(seconds=1)
    assert tick(scene, timetable) == 1
    assert tick(scene, timetable) == 0

    (one,) = sweeps(scene)
    assert (one.rule, one.due_at, one.origin, one.state) == ("wake", TOMORROW_AT_SEVEN, "schedule", "waiting")
    assert due(scene) == {"wake": TOMORROW_AT_SEVEN + timedelta(days=1)}


def test_times_missed_while_nobody_ticked_become_one_late_sweep(scene: Scene) -> None:
    scene.publish(rule())
    timetable = Timetable()
    tick(scene, timetable)

    scene.clock.pass_by(days=5)
    assert tick(scene, timetable) == 1

    (one,) = sweeps(scene)
    assert one.created_at - one.due_at == scene.clock() - TOMORROW_AT_SEVEN
    assert due(scene) == {"wake": TOMORROW_AT_SEVEN + timedelta(days=5)}


def test_a_rule_that_is_still_swept_waits_for_that(scene: Scene) -> None:
    scene.publish(rule(every="hour", at="00:00"))
    timetable = Timetable()
    tick(scene, timetable)
    scene.clock.pass_by(hours=1)
    tick(scene, timetable)
    scene.clock.pass_by(hours=3)

    assert tick(scene, timetable) == 0
    finish_sweeps(scene)
    assert tick(scene, timetable) == 1
    assert [one.due_at.hour for one in sweeps(scene)] == [13, 14]


def test_two_schedulers_do_no_harm(scene: Scene) -> None:
    scene.publish(*(rule(slug=f"wake-{number}") for number in range(5)))
    tick(scene, Timetable())
    scene.clock.now = TOMORROW_AT_SEVEN
    start = threading.Barrier(4)

    def run(engine: Any) -> None:
        timetable = Timetable()
        start.wait(10)
        for _ in range(3):
            with engine.begin() as connection:
                timetable.tick(connection, scene.clock())

    threads = [threading.Thread(target=run, args=(scene.new_engine(),)) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert sorted(one.rule for one in sweeps(scene)) == [f"wake-{number}" for number in range(5)]
    assert set(due(scene).values()) == {TOMORROW_AT_SEVEN + timedelta(days=1)}


def test_a_clock_that_goes_back_repeats_nothing(scene: Scene) -> None:
    scene.publish(rule())
    timetable = Timetable()
    tick(scene, timetable)
    scene.clock.now = TOMORROW_AT_SEVEN
    tick(scene, timetable)
    finish_sweeps(scene)

    scene.clock.now = TOMORROW_AT_SEVEN - timedelta(minutes=10)
    tick(scene, timetable)
    tick(scene, Timetable())
    scene.clock.now = TOMORROW_AT_SEVEN + timedelta(minutes=1)

    assert tick(scene, timetable) == 0
    assert len(sweeps(scene)) == 1


def test_the_timetable_follows_the_live_rules(scene: Scene) -> None:
    scene.publish(rule(), rule(slug="other"))
    timetable = Timetable()
    tick(scene, timetable)
    scene.clock.pass_by(hours=1)

    scene.publish(
        rule(), rule(slug="other", at="09:00"), rule(slug="resting").replace("{rule:", "{status: draft, rule:")
    )
    tick(scene, timetable)
    # The one that stayed as it was keeps its time, the changed one starts anew, a draft does not run.
    assert due(scene) == {"wake": TOMORROW_AT_SEVEN, "other": TOMORROW_AT_SEVEN + timedelta(hours=2)}

    scene.publish(rule(slug="other", at="09:00"))
    tick(scene, timetable)
    assert due(scene) == {"other": TOMORROW_AT_SEVEN + timedelta(hours=2)}


def test_a_due_time_is_not_lost_when_the_rules_are_published_just_before_it_is_seen(scene: Scene) -> None:
    scene.publish(rule())
    timetable = Timetable()
    tick(scene, timetable)

    scene.clock.now = TOMORROW_AT_SEVEN + timedelta(seconds=1)
    scene.publish(rule(), rule(slug="other"))

    assert tick(scene, timetable) == 1


def test_a_rule_is_swept_within_its_dates_only(scene: Scene) -> None:
    scene.publish(rule(", starts: 2026-03-04, ends: 2026-03-04"))
    timetable = Timetable()
    tick(scene, timetable)
    assert due(scene) == {"wake": TOMORROW_AT_SEVEN + timedelta(days=2)}

    scene.clock.now = TOMORROW_AT_SEVEN + timedelta(days=4)  # nobody ticked on the only day
    assert tick(scene, timetable) == 0
    assert due(scene) == {}


@pytest.mark.parametrize(("day", "moment"), [("2026-03-29", "01:00"), ("2026-10-25", "00:30")])
def test_a_daily_rule_in_oslo_runs_once_on_the_day_the_clock_changes(scene: Scene, day: str, moment: str) -> None:
    body = rule(at="02:30")
    scene.clock.now = datetime.fromisoformat(f"{day}T00:00+00:00") - timedelta(hours=12)
    scene.publish_documents({"oslo.yaml": f"leadflow: 1\nsettings: {{timezone: Europe/Oslo}}\nrules:\n  - {body}\n"})
    timetable = Timetable()

    for _ in range(30 * 2):
        tick(scene, timetable)
        finish_sweeps(scene)
        scene.clock.pass_by(minutes=30)

    assert [one.due_at for one in sweeps(scene)] == [datetime.fromisoformat(f"{day}T{moment}+00:00")]


def test_the_scheduler_rings_for_a_sweep_that_nobody_works_on(scene: Scene) -> None:
    scene.publish(rule())
    rings: list[str] = []
    scheduler = Scheduler(scene.engine, lambda: None, 30, lambda: rings.append("sweep"))
    scheduler.tick()
    assert rings == []

    with scene.transaction() as connection:
        connection.exec_driver_sql("UPDATE schedule SET next_due_at = now() - interval '1 day'")
    scheduler.tick()
    assert rings == ["sweep"]

    with scene.new_engine().begin() as worker:
        worker.exec_driver_sql("SELECT FROM sweep FOR UPDATE")
        scheduler.tick()
    assert rings == ["sweep"]
