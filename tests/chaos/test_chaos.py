"""Every process real, killed and frozen: what was answered with 200 has exactly one effect in the end.

A small run by default; LEADFLOW_TEST_CHAOS=full for the long one. Each run prints its seed; LEADFLOW_TEST_SEED sets it.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from leadflow.domain.events import SYSTEM
from leadflow.services.rule_sets import publish
from leadflow.store.engine import make_engine
from leadflow.store.inbox import LANE_LOCKS
from leadflow.tasks.draining import utc_now
from tests.support import servers
from tests.support.app_processes import App, Delivery, Proxy, in_background
from tests.support.processes import Processes, wait_until

IS_FULL = os.environ.get("LEADFLOW_TEST_CHAOS") == "full"
EVENTS = 2_500 if IS_FULL else 300
KILLS = 60 if IS_FULL else 20
FROZEN_SECONDS = 20 if IS_FULL else 6
COMPANIES = 25

# Each event leaves exactly one change of its company's owner and one task.
RULES = """\
leadflow: 1
rules:
  - rule: note
    status: live
    when: {form_submitted: any}
    then:
      - set_field: {field: company.owner, to: "{{ form.message | default('-') }}"}
      - create_task: {title: "{{ form.message | default('-') }}"}
  - rule: tempt
    status: live
    when: {form_submitted: any}
    then:
      - set_category: {to: mql}
"""

pytestmark = [pytest.mark.slow]
on_both_brokers = pytest.mark.parametrize(
    "broker",
    [pytest.param("rabbitmq", marks=pytest.mark.rabbitmq), pytest.param("valkey", marks=pytest.mark.redis)],
    indirect=True,
)
on_valkey = pytest.mark.parametrize("broker", [pytest.param("valkey", marks=pytest.mark.redis)], indirect=True)


@pytest.fixture
def seed() -> int:
    seed = int(os.environ.get("LEADFLOW_TEST_SEED", random.SystemRandom().randrange(10**6)))
    sys.stdout.write(f"LEADFLOW_TEST_SEED={seed}\n")
    return seed


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """A broker behind a proxy that can freeze."""
    url = request.getfixturevalue("rabbitmq_url" if request.param == "rabbitmq" else "valkey_database_url")
    proxy = Proxy(url)
    yield proxy
    proxy.close()


@pytest.fixture
def app(
    configured_database_url: str, broker: Proxy, unique_queue: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[App]:
    """Not started yet; its processes end before its database and queue go."""
    engine = make_engine(configured_database_url)
    with engine.begin() as connection:
        publish(connection, SYSTEM, {"chaos.yaml": RULES}, origin="files", now=utc_now())
    engine.dispose()
    processes = Processes(tmp_path)
    yield App(processes, configured_database_url, broker.url, unique_queue, LEADFLOW_BATCH_SIZE="50")
    broker.thaw()
    processes.stop_all()
    if broker.url.startswith("amqp"):
        with suppress(Exception):
            servers.forget_queue(request.getfixturevalue("rabbitmq_url"), unique_queue)


@dataclass
class Story:
    """Forms of some companies, a third of them delivered more than once, in any order."""

    seed: int
    count: int = EVENTS
    deliveries: list[Delivery] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        for number in range(self.count):
            domain = f"c{self.random.randrange(COMPANIES)}.example"
            document = {"form": "any", "email": f"p{number % 40}@{domain}", "message": f"m{number}"}
            self.deliveries.append(Delivery(f"chaos-{number}", document))

    def with_repeats(self) -> list[Delivery]:
        repeats = self.random.sample(self.deliveries, self.count * 3 // 10)
        shuffled = [*self.deliveries, *repeats]
        self.random.shuffle(shuffled)
        return shuffled


def faults(app: App, deliveries: list[Delivery]) -> dict[str, object]:
    """Everything that is wrong at the end; empty if each accepted delivery had exactly one effect."""
    accepted = [one for one in deliveries if one.is_accepted]
    ids = {event_id for one in accepted for event_id in one.event_ids}
    states = dict(app.rows("SELECT id, state FROM event"))
    changes = Counter(row[0] for row in app.rows("SELECT new #>> '{}' FROM change WHERE field = 'owner'"))
    tasks = Counter(row[0] for row in app.rows("SELECT title FROM task"))
    messages = Counter(one.document["message"] for one in accepted)
    moved = "SELECT count(*) FROM change WHERE field = 'category' AND old = '\"customer\"' AND actor_kind <> 'person'"
    found: dict[str, object] = {
        "several events for one delivery": [one.event_ids for one in accepted if len(one.event_ids) > 1],
        "lost": sorted(ids - states.keys()),
        "not processed": {one: state for one, state in states.items() if state != "processed"},
        "effects missing": [*(messages - changes).elements(), *(messages - tasks).elements()],
        "effects too many": [*(changes - messages).elements(), *(tasks - messages).elements()],
        "customers moved": app.value(moved),
    }
    return {name: what for name, what in found.items() if what}


def promote_some(app: App) -> list[int]:
    """A person makes every third company a customer; their ids."""
    companies = [row[0] for row in app.rows("SELECT id FROM company WHERE id % 3 = 0 ORDER BY id")]
    for company in companies:
        app.api("PATCH", f"/companies/{company}", {"category": "customer"})
    return companies


def assert_customers(app: App, companies: list[int]) -> None:
    assert companies
    for company in companies:
        assert app.value(f"SELECT category_key FROM company WHERE id = {company}") == "customer"


# Killed workers -------------------------------------------------------------------------------------------------------


@on_both_brokers
def test_workers_killed_in_the_middle_of_their_batches(app: App, seed: int) -> None:
    app.start()
    story = Story(seed)
    waves = [story.deliveries[number::KILLS] for number in range(KILLS)]
    customers: list[int] = []

    hits = 0
    for number, wave in enumerate(waves):
        sender = in_background(lambda wave=wave: app.post_all([*wave, *wave[: len(wave) // 3]]))
        hits += kill_a_busy_worker(app, whole=number % 7 == 6)
        sender.join(60)
        if number == KILLS // 2:
            customers = promote_some(app)
    app.wait_until_processed(90)

    assert faults(app, story.deliveries) == {}
    assert_customers(app, customers)
    assert hits >= KILLS * 3 // 4, f"only {hits} of {KILLS} kills came while a batch was under way"
    assert all(one.is_accepted for one in story.deliveries)
    work = app.work_by_role()
    # A worker that is killed takes its last note of what it did with it; the hits above are the proof.
    assert min(work["web"], work["scheduler"], work["busy workers"]) >= 1, work
    assert work["worker"] >= 2, work


# A worker that holds lanes is in the middle of a batch.
BUSY = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = {LANE_LOCKS}"
DIED = "SELECT count(*) FROM event WHERE state = 'pending' AND starts > 0"
PROCESSED = "SELECT count(*) FROM event WHERE state = 'processed'"


def _is_caught_at_work(app: App, is_busy: Callable[[], bool]) -> bool:
    """Freeze the workers; whether that was in the middle of a batch. One takes milliseconds, so many looks are late."""
    if not is_busy():
        return False
    app.freeze_workers()
    time.sleep(0.02)  # what was on its way to the database arrives
    if is_busy():
        return True
    app.thaw_workers()
    return False


def kill_a_busy_worker(app: App, *, whole: bool) -> bool:
    """kill -9 in the middle of a batch; whether an attempt died of it. Then wait for some work to be done."""
    with app.database() as connection:

        def count(statement: str) -> int:
            return int(connection.execute(statement).fetchone()[0])  # type: ignore[call-overload, index]

        end = time.monotonic() + 10
        while not _is_caught_at_work(app, lambda: count(BUSY) > 0):
            if time.monotonic() > end:
                return False
        if whole:
            app.workers.pop(0).kill()
        for worker in app.workers:
            app.kill_children(worker)
        app.thaw_workers()
        is_hit, done = count(DIED) > 0, count(PROCESSED)
        if whole:
            app.start_worker()
        with suppress(AssertionError):
            wait_until(lambda: count(PROCESSED) > done, 5)
        return is_hit


# Frozen brokers -------------------------------------------------------------------------------------------------------


@on_both_brokers
def test_a_frozen_broker_delays_no_answer_and_loses_nothing(app: App, broker: Proxy, seed: int) -> None:
    app.start()
    story = Story(seed, count=EVENTS * 2 // 3)
    before, during = story.deliveries[:20], story.deliveries[20:]
    app.post_all(before)
    app.wait_until_processed()

    broker.freeze()
    frozen_at = time.monotonic()
    app.post_all(during, senders=4)
    time.sleep(max(0.0, FROZEN_SECONDS - (time.monotonic() - frozen_at)))
    broker.thaw()
    thawed_at = time.monotonic()
    app.wait_until_processed(30)

    assert broker.passed_bytes > 0, "nobody talked to the broker"
    assert [one.statuses for one in during] == [[200]] * len(during)
    slowest = max(one.slowest_seconds for one in during)
    assert slowest < 1, f"a sender waited {slowest:.2f} s"
    assert time.monotonic() - thawed_at < 15
    assert faults(app, story.deliveries) == {}


@on_both_brokers
def test_events_whose_bell_was_lost_are_found(app: App, broker: Proxy, seed: int) -> None:
    """The web server dies with a ring that the frozen broker never took; the scheduler finds what was stored."""
    app.start(workers=1)
    deliveries = lose_the_bell(app, broker, seed)
    app.wait_until_processed(30)

    assert app.work_by_role()["scheduler"] == 1
    app.start_web()
    app.wait_for_web()
    assert faults(app, deliveries) == {}


@on_valkey
def test_without_a_sweeper_they_are_not(app: App, broker: Proxy, seed: int) -> None:
    """The control: the test before must be able to fail."""
    app.start(workers=1, scheduler=False)
    deliveries = lose_the_bell(app, broker, seed)

    with pytest.raises(AssertionError, match="an empty inbox"):
        app.wait_until_processed(8)

    assert "not processed" in faults(app, deliveries)


def lose_the_bell(app: App, broker: Proxy, seed: int) -> list[Delivery]:
    story = Story(seed, count=30)
    app.post_all(story.deliveries[:5])
    app.wait_until_processed()
    time.sleep(3)  # until the last ring was heard and answered: a broker gives unanswered ones again
    broker.freeze()
    app.post_all(story.deliveries[5:])
    assert app.web is not None
    app.web.kill()
    broker.restart()
    return story.deliveries


# Killed web servers ---------------------------------------------------------------------------------------------------


@on_both_brokers
def test_web_processes_killed_while_they_answer(app: App, seed: int) -> None:
    app.start()
    story = Story(seed)

    killed = hammer_and_kill(app, story.with_repeats())
    app.wait_until_processed(60)

    assert len(killed) >= 3
    assert faults(app, story.deliveries) == {}


@on_valkey
def test_a_build_that_answers_before_the_commit_is_found_out(app: App, seed: int) -> None:
    """The control: harness and load are hard enough to show a 200 for what was never stored."""
    app.start(web=("-m", "tests.chaos.broken", "answers-before-the-commit"))
    story = Story(seed)

    killed = hammer_and_kill(app, story.deliveries)
    time.sleep(1)
    app.wait_until_processed(60)

    assert len(killed) >= 3
    assert faults(app, story.deliveries)["effects missing"]


def hammer_and_kill(app: App, deliveries: list[Delivery], seconds: float = 10.0, senders: int = 8) -> set[int]:
    """Send everything within about so many seconds, and meanwhile kill -9 one web process after the other; the dead."""
    pause = seconds * senders / len(deliveries)
    sender = in_background(lambda: app.post_all(deliveries, senders, pause))
    killed: set[int] = set()
    while sender.is_alive():
        sender.join(3)
        if sender.is_alive():
            killed.add(app.kill_web_process())
    return killed
