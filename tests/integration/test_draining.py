"""Draining: batches, what is set apart, what is tried again, and one effect whatever dies at whatever point."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError

from leadflow.services import judging, processing
from leadflow.store import records as record_store
from leadflow.store.inbox import claim, next_due
from leadflow.store.records import LostRace
from leadflow.tasks import draining
from leadflow.tasks.draining import BACKOFF, MAX_DEATHS, Drainer, utc_now
from tests.support.scenes import PERSON, Scene

POISON = "poison.example"


class Died(BaseException):
    """Stands for kill -9: nothing of leadflow catches it."""


@contextmanager
def poisoned(monkeypatch: pytest.MonkeyPatch, domain: str = POISON) -> Iterator[None]:
    """Every event of one company raises while it is judged."""
    judge = judging.Judge.judge

    def judge_or_raise(self: judging.Judge, case: Any) -> Any:
        if case.company is not None and case.company.domain == domain:
            raise RuntimeError("poison")
        return judge(self, case)

    with monkeypatch.context() as patch:
        patch.setattr(judging.Judge, "judge", judge_or_raise)
        yield


@contextmanager
def noting_batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[int]]]:
    """The ids of each attempt's events."""
    batches: list[list[int]] = []
    process = draining.process_events

    def note(connection: Connection, desk: Any, events: Any, now: Any) -> Any:
        batches.append([event.id for event in events])
        return process(connection, desk, events, now)

    with monkeypatch.context() as patch:
        patch.setattr(draining, "process_events", note)
        yield batches


def failing_once(error: BaseException, times: int = 1) -> Callable[..., Any]:
    """process_events that raises the first `times` times."""
    process, left = processing.process_events, iter(range(times))

    def fail(*args: Any) -> Any:
        if next(left, None) is not None:
            raise error
        return process(*args)

    return fail


def passing_fault(sqlstate: str) -> OperationalError:
    cause = Exception("a fault that passes")
    cause.sqlstate = sqlstate  # type: ignore[attr-defined]
    return OperationalError("UPDATE", {}, cause)


# Poison events --------------------------------------------------------------------------------------------------------


def test_a_failing_event_is_set_apart_and_the_others_of_its_batch_go_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    emails = [f"a@d{number}.example" for number in range(30)]
    emails[13:13] = [f"a@{POISON}"]
    events = scene.accept_forms({"email": email, "form": "demo-request"} for email in [*emails, f"b@{POISON}"])
    poison, later = events[13], events[-1]

    with poisoned(monkeypatch):
        begin = time.monotonic()
        scene.drain(5)
        seconds = time.monotonic() - begin

    assert [one for one in events if scene.event(one).state == "pending"] == [poison, later]
    failed, waiting = scene.event(poison), scene.event(later)
    assert (failed.failures, failed.starts, failed.error) == (1, 0, "RuntimeError: poison")
    assert failed.next_attempt_at == scene.clock() + BACKOFF[0]
    assert waiting.failures == 0
    assert scene.value("SELECT count(*) FROM change WHERE new = '\"mql\"'") == 30
    assert seconds < 3  # a second on an idle machine


def test_a_failing_event_is_tried_again_ever_later_then_failed_and_its_company_goes_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = scene.post_form("demo-request", f"a@{POISON}")
    later = scene.post_form("newsletter", f"a@{POISON}")

    waits = []
    with poisoned(monkeypatch):
        for _ in range(len(BACKOFF)):
            scene.drain()
            waits.append(scene.event(poison).next_attempt_at - scene.clock())
            scene.clock.now += waits[-1] - timedelta(milliseconds=1)
            scene.drain(0.1)
            assert scene.event(poison).failures == len(waits), "tried before its time"
            scene.clock.pass_by(milliseconds=1)
        scene.drain()
        state_of_later = scene.event(later).failures
    scene.clock.pass_by(seconds=5)
    scene.drain()

    assert waits == [timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10)]
    assert (scene.event(poison).state, scene.event(poison).failures) == ("failed", 5)
    assert state_of_later == 1, "the company's later event was not tried when the poison was out of the way"
    assert scene.event(later).state == "processed"


def test_a_failed_event_replayed_takes_effect_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    event = scene.post_form("demo-request", f"a@{POISON}")
    with poisoned(monkeypatch):
        for wait in (*BACKOFF, timedelta()):
            scene.drain()
            scene.clock.now += wait
    assert scene.event(event).state == "failed"

    assert scene.post(f"/events/{event}/replay").status_code == 200
    assert scene.post(f"/events/{event}/replay").status_code == 409
    scene.drain()

    assert scene.event(event).state == "processed"
    assert scene.post(f"/events/{event}/replay").status_code == 409
    assert scene.steps("company", scene.company_id(POISON), "category") == [
        (None, "lead", "source"), ("lead", "mql", "rule"),
    ]  # fmt: skip
    assert scene.count("task") == 1


def test_an_error_is_told_without_what_the_sender_wrote(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    event = scene.post_form("demo-request")
    cause = Exception("refused\nDETAIL:  Key (email)=(anna@nordwind.example) already exists.")
    fault = DBAPIError("INSERT INTO contact VALUES (:email)", {"email": "anna@nordwind.example"}, cause)
    monkeypatch.setattr(draining, "process_events", failing_once(fault))

    scene.drain(0.1)

    assert scene.event(event).failures == 1
    assert scene.event(event).error == "Exception: refused"


def test_a_query_that_fails_does_not_tell_its_values(scene: Scene) -> None:
    with pytest.raises(DBAPIError, match="division by zero") as raised, scene.engine.begin() as connection:
        connection.execute(text("SELECT CAST(:secret AS int) / 0"), {"secret": 4711})

    assert "4711" not in str(raised.value)


# Order, while something waits -----------------------------------------------------------------------------------------


def test_no_event_is_chosen_alone_past_an_earlier_one_of_its_lane(scene: Scene) -> None:
    """A batch that failed is tried in halves; meanwhile another worker may have the earlier half, and fail too."""
    first, second = scene.post_form("a"), scene.post_form("b")

    with scene.engine.begin() as connection:
        assert claim(connection, scene.clock(), 10, [second]) == []
    with scene.engine.begin() as connection:
        assert [one.id for one in claim(connection, scene.clock(), 10, [first, second])] == [first, second]


def test_a_replayed_event_does_not_wait_for_itself(scene: Scene) -> None:
    events = [scene.post_form("a"), scene.post_form("b")]
    with scene.engine.begin() as connection:
        chosen = claim(connection, scene.clock(), 10, events[:1])

    assert [one.id for one in chosen] == events[:1]


def test_a_lane_belongs_to_one_worker_at_a_time(scene: Scene) -> None:
    scene.post_form("a")
    scene.post_form("a", "x@south.example")
    other = scene.new_engine()

    with scene.engine.begin() as mine, other.begin() as theirs:
        assert len(claim(mine, scene.clock(), 10)) == 2
        assert claim(theirs, scene.clock(), 10) == []
    with other.begin() as theirs:
        assert len(claim(theirs, scene.clock(), 10)) == 2


@pytest.mark.parametrize("locks", ["company", "contact"])
def test_a_company_that_somebody_holds_keeps_only_its_own_events(scene: Scene, locks: str) -> None:
    company = scene.make_company("lead")
    scene.make_contact(company_id=company)
    held = [scene.post_form("demo-request"), scene.post_form("newsletter")]
    others = scene.accept_forms({"email": f"a@d{number}.example"} for number in range(20))
    drainer = scene.new_drainer(clock=utc_now)

    with scene.owner.connect() as holder, holder.begin():
        holder.execute(text(f"SELECT FROM {locks} FOR UPDATE"))
        begin = time.monotonic()
        drainer.drain(1)
        seconds = time.monotonic() - begin
        states = {one: scene.event(one).state for one in [*held, *others]}
        counted = [(scene.event(one).starts, scene.event(one).failures) for one in held]
    drainer.drain(3)

    assert states == {**dict.fromkeys(held, "pending"), **dict.fromkeys(others, "processed")}
    assert counted == [(0, 0), (0, 0)], "a lock of somebody else was counted against the event"
    assert seconds < 3
    assert [scene.event(one).state for one in held] == ["processed", "processed"]
    assert scene.category(company) == "mql"


def test_a_worker_does_not_spin_while_a_company_waits(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.accept_forms({"email": f"{name}@{POISON}"} for name in "abc")
    drainer = scene.new_drainer()

    with poisoned(monkeypatch):
        begin = time.monotonic()
        is_more = drainer.drain(20)

    assert is_more is False
    assert time.monotonic() - begin < 5
    with scene.engine.connect() as connection:
        assert next_due(connection, scene.clock()) == scene.clock() + BACKOFF[0]


def test_the_next_event_is_due_now_later_or_never(scene: Scene) -> None:
    def due() -> Any:
        with scene.engine.connect() as connection:
            return next_due(connection, scene.clock())

    never = due()
    scene.post_form("a")
    now = due()
    with scene.engine.begin() as connection:
        connection.execute(text("UPDATE event SET next_attempt_at = :at"), {"at": scene.clock() + timedelta(hours=1)})
    later = due()
    scene.post_form("b")
    still_later = due()
    scene.post_form("c", "x@south.example")

    assert (never, now, later - scene.clock(), still_later - scene.clock(), due()) == (
        None, scene.clock(), timedelta(hours=1), timedelta(hours=1), scene.clock(),
    )  # fmt: skip


# Faults that pass -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [*map(passing_fault, ["40001", "40P01", "55P03", "23505"]), LostRace("lost")], ids=lambda e: str(e)[:40]
)
def test_a_fault_that_passes_is_tried_again_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    events = [scene.post_form("demo-request"), scene.post_form("a", "x@south.example")]
    monkeypatch.setattr(draining, "process_events", failing_once(error, times=2))

    scene.drain(5)

    assert [(scene.event(one).state, scene.event(one).failures) for one in events] == [("processed", 0)] * 2


def test_a_race_that_is_lost_again_and_again_is_a_failure(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    event = scene.post_form()
    monkeypatch.setattr(draining, "process_events", failing_once(passing_fault("40P01"), times=100))
    monkeypatch.setattr(time, "sleep", lambda _: None)

    scene.drain(0.01)

    assert (scene.event(event).state, scene.event(event).failures) == ("pending", 1)


def test_a_company_made_by_somebody_else_at_this_moment_is_used(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lanes may lead to one new company: the second finds it on its next try."""
    event = scene.post_form("demo-request")
    gather, once = processing.gather, iter([True])

    def make_it_first(*args: Any, **options: Any) -> Any:
        gathered = gather(*args, **options)
        if next(once, False):
            scene.make_company("lead")
        return gathered

    monkeypatch.setattr(processing, "gather", make_it_first)
    scene.drain()

    assert (scene.event(event).state, scene.event(event).failures) == ("processed", 0)
    assert scene.steps("company", scene.company_id(), "category") == [
        (None, "lead", "person"), ("lead", "mql", "rule"),
    ]  # fmt: skip


# Workers that die -----------------------------------------------------------------------------------------------------


def die_on(scene: Scene, monkeypatch: pytest.MonkeyPatch, events: set[int]) -> None:
    """A worker that dies as soon as it works on one of these events."""
    process = draining.process_events

    def process_or_die(connection: Connection, desk: Any, claimed: Any, now: Any) -> Any:
        if events & {event.id for event in claimed}:
            raise Died
        return process(connection, desk, claimed, now)

    with monkeypatch.context() as patch:
        patch.setattr(draining, "process_events", process_or_die)
        with suppress(Died):
            scene.new_drainer().drain(5)


def test_an_attempt_that_died_is_counted_and_made_again_at_once_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = scene.accept_forms({"email": f"a@d{number}.example"} for number in range(4))
    die_on(scene, monkeypatch, {events[1]})
    assert [scene.event(one).starts for one in events] == [1, 1, 1, 1]
    fresh = scene.post_form("a", "a@fresh.example")

    with noting_batches(monkeypatch) as batches:
        scene.new_drainer().drain(5)

    assert sorted(map(len, batches)) == [1, 1, 1, 1, 1]
    assert [fresh] in batches[:2], "a fresh event waited for those that are tried alone"
    assert [(scene.event(one).state, scene.event(one).starts) for one in events] == [("processed", 0)] * 4


def test_an_event_that_kills_every_worker_is_given_up_and_kills_no_neighbour(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly = scene.post_form("demo-request", f"a@{POISON}")
    later = scene.post_form("newsletter", f"a@{POISON}")
    others = scene.accept_forms({"email": f"a@d{number}.example"} for number in range(3))

    deaths = 0
    while scene.event(deadly).state == "pending":
        die_on(scene, monkeypatch, {deadly})
        deaths += 1
        assert deaths < 2 * MAX_DEATHS
    scene.drain()

    assert (scene.event(deadly).state, scene.event(deadly).error) == (
        "failed", "The worker died 25 times while it worked on this event.",
    )  # fmt: skip
    assert [scene.event(one).state for one in [later, *others]] == ["processed"] * 4


# Crash points ---------------------------------------------------------------------------------------------------------

# What runs in one attempt, in order: (where the name is looked up, the name).
POINTS: dict[str, tuple[ModuleType | type, str]] = {
    "after the claim": (draining, "claim"),
    "after the attempt was counted": (draining, "note_starts"),
    "after gathering": (processing, "gather"),
    "after deciding": (processing, "_decide"),
    "after the traces": (processing, "insert_runs"),
    "after the limits": (processing, "write_limits"),
    "after settling": (processing, "settle"),
    "after new companies": (record_store, "_insert_companies"),
    "after new contacts": (record_store, "_insert_contacts"),
    "after the steps": (record_store, "_write_steps"),
    "after the other fields": (record_store, "_write_rest"),
    "after the tasks": (record_store, "_insert_tasks"),
    "after the ledger, before the commit": (record_store, "append_changes"),
    "after the commit": (Drainer, "_attempt"),
}


@dataclass
class Kinds:
    """One event of each kind, each of a company of its own, in one batch; and what must have come of them."""

    scene: Scene
    company_ids: dict[str, int] = field(default_factory=dict)

    def accept(self) -> None:
        scene = self.scene
        scene.publish_documents({
            "lifecycle.yaml": scene.configuration.rule_documents["lifecycle.yaml"],
            "more.yaml": "leadflow: 1\nrules:\n  - {rule: owned, status: live, when: {record_changed: [company.owner]},"
            " then: [{add_tag: {tag: owned, of: company}}, {set_category: {to: mql}}]}\n",
        })  # fmt: skip
        known, sold, owned = (scene.make_company("lead", f"{one}.example") for one in ("known", "sold", "owned"))
        scene.make_contact("a@known.example", known)
        scene.post_form("demo-request", "a@new.example", utm_source="x")
        scene.post_form("demo-request", "a@known.example")
        scene.make_sale(sold, "sold")
        scene.change_company(owned, PERSON, owner="Eva")

    def effects(self) -> dict[str, Any]:
        scene = self.scene
        return {
            "categories": dict(tuple(row) for row in scene.rows("SELECT domain, category_key FROM company")),
            "tasks": [row.title for row in scene.rows("SELECT title FROM task ORDER BY title")],
            "contacts": [row.email for row in scene.rows("SELECT email FROM contact ORDER BY email")],
            "tags": scene.value("SELECT tags FROM company WHERE domain = 'owned.example'"),
            "changes": sorted(
                (row.path, str(row.old), str(row.new), row.actor_name)
                for row in scene.rows("SELECT entity || '.' || field AS path, old, new, actor_name FROM change"
                                      " WHERE field <> 'company_id'")
            ),
            "runs": sorted((row.rule, row.outcome) for row in scene.rows("SELECT rule, outcome FROM run")),
            "limits": scene.count("rule_limit"),
            "states": scene.states(),
            "differences": scene.differences(),
        }  # fmt: skip


def break_once(
    monkeypatch: pytest.MonkeyPatch, scene: Scene, point: str, how: Callable[[Scene, Any], None]
) -> list[bool]:
    """Let the named function do its work and then, once, break; the list says that it did."""
    place, name = POINTS[point]
    original: Any = getattr(place, name)
    broken: list[bool] = []

    def do_and_break(*args: Any, **options: Any) -> Any:
        result = original(*args, **options)
        if not broken:
            broken.append(True)
            how(scene, args[0])
        return result

    monkeypatch.setattr(place, name, do_and_break)
    return broken


def raise_error(_scene: Scene, _connection: Any) -> None:
    raise RuntimeError("broken here")


def die(_scene: Scene, _connection: Any) -> None:
    raise Died


def lose_connection(scene: Scene, connection: Any) -> None:
    if not isinstance(connection, Connection):  # after the commit there is none
        raise Died
    pid = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
    with scene.owner.begin() as killer:
        killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


EXPECTED: dict[str, Any] = {}


@pytest.fixture
def expected(scene: Scene) -> dict[str, Any]:
    """What comes of the four events when nothing breaks; worked out once."""
    if not EXPECTED:
        kinds = Kinds(scene)
        kinds.accept()
        scene.drain()
        EXPECTED.update(kinds.effects())
        assert EXPECTED["states"] == ["processed"] * 5
        assert EXPECTED["differences"] == []
        assert EXPECTED["categories"] == {
            "new.example": "mql", "known.example": "mql", "sold.example": "customer", "owned.example": "mql",
        }  # fmt: skip
    return EXPECTED


def test_what_happens_when_nothing_breaks(expected: dict[str, Any]) -> None:
    assert expected["tags"] == ["owned"]
    assert len(expected["tasks"]) == 2


@pytest.mark.parametrize("how", [raise_error, die, lose_connection])
@pytest.mark.parametrize("point", POINTS)
def test_one_effect_each_whatever_breaks_at_whatever_point(
    reused_database: Any, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch, point: str,
    how: Callable[[Scene, Any], None],
) -> None:  # fmt: skip
    from tests.support.scenes import open_scene

    with open_scene(reused_database.fresh()) as scene:
        kinds = Kinds(scene)
        kinds.accept()
        with monkeypatch.context() as patch:
            broken = break_once(patch, scene, point, how)
            for _ in range(3):
                with suppress(Died, DBAPIError, RuntimeError):
                    scene.new_drainer().drain(5)

        assert broken, "the point was never reached"
        assert kinds.effects() == expected


# Time limits and the end of the work ----------------------------------------------------------------------------------


def test_a_drain_ends_when_its_time_is_over_and_says_that_something_is_left(scene: Scene) -> None:
    scene.accept_forms({"email": f"a@d{number}.example"} for number in range(20))
    drainer = scene.new_drainer(batch_size=1)

    assert drainer.drain(0.0) is True
    assert drainer.drain(10) is False
    assert drainer.settled == 20


def test_a_second_worker_takes_what_the_first_has_not(scene: Scene) -> None:
    """Also where the first worker's events come first in the inbox."""
    events = scene.accept_forms({"email": f"a@d{number}.example"} for number in range(30))

    with scene.engine.begin() as mine, scene.new_engine().begin() as theirs:
        first = [one.id for one in claim(mine, scene.clock(), 10)]
        second = [one.id for one in claim(theirs, scene.clock(), 10)]

    assert (first, second) == (events[:10], events[10:20])


def test_two_workers_share_a_backlog(scene: Scene) -> None:
    scene.accept_forms({"email": f"a@d{number}.example", "form": "demo-request"} for number in range(200))
    drainers = [scene.new_drainer(batch_size=10) for _ in range(2)]

    threads = [threading.Thread(target=one.drain, args=(20,)) for one in drainers]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)

    assert sum(one.settled for one in drainers) == 200
    assert min(one.settled for one in drainers) > 0
    assert set(scene.states()) == {"processed"}
    assert scene.value("SELECT count(*) FROM change WHERE new = '\"mql\"'") == 200
