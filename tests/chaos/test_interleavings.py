"""Six writers race for one company, round after round: nobody takes it out of Customer once a person put it there."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from leadflow.errors import LeadflowError, Refused
from leadflow.services import records, sales
from leadflow.tasks.draining import utc_now
from tests.support.scenes import AUTOMATION, PERSON, Scene

ROUNDS = 300

pytestmark = pytest.mark.slow


class Race:
    """Threads that live for all rounds and start each round together."""

    def __init__(self, writers: list[Callable[[int], None]]) -> None:
        self.errors: list[BaseException] = []
        self._subject = 0
        self._barrier = threading.Barrier(len(writers) + 1)
        self._threads = [threading.Thread(target=self._run, args=(one,), daemon=True) for one in writers]
        for one in self._threads:
            one.start()

    def round(self, subject: int) -> None:
        """All writers write to the subject at once; returns when all have."""
        self._subject = subject
        self._barrier.wait(30)
        self._barrier.wait(30)

    def stop(self) -> None:
        self._subject = 0
        self._barrier.wait(30)
        for one in self._threads:
            one.join(10)

    def _run(self, write: Callable[[int], None]) -> None:
        while True:
            self._barrier.wait(60)
            if not self._subject:
                return
            try:
                write(self._subject)
            except BaseException as error:
                self.errors.append(error)
            self._barrier.wait(60)


class Writers:
    """The six ways to write; each counts what came of it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.counts: Counter[str] = Counter()
        self._drainers = [scene.new_drainer(clock=utc_now), scene.new_drainer(clock=utc_now)]
        self._engine = scene.new_engine()

    def all(self) -> list[Callable[[int], None]]:
        drains = [lambda _, one=one: one.drain(0.001) for one in self._drainers]
        return [*drains, self.person, self.automation_key, self.sale, self.plain_sql]

    def person(self, company: int) -> None:
        with self._engine.begin() as connection:
            records.change_company(connection, PERSON, company, {"category": "customer"}, self.scene.clock())
        self.counts["person"] += 1

    def automation_key(self, company: int) -> None:
        try:
            with self._engine.begin() as connection:
                records.change_company(connection, AUTOMATION, company, {"category": "opportunity"}, self.scene.clock())
            self.counts["key: moved"] += 1
        except Refused:
            self.counts["key: refused"] += 1

    def sale(self, company: int) -> None:
        with self._engine.begin() as connection:
            sent = {"company_id": company, "status": "lost"}
            sales.create_sale(connection, PERSON, sent, self.scene.clock())
        self.counts["sale"] += 1

    def plain_sql(self, company: int) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(text("UPDATE company SET category_key = 'mql' WHERE id = :id"), {"id": company})
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != "LF001":
                raise
            self.counts["sql: refused"] += 1
        else:
            self.counts["sql: moved"] += 1

    @property
    def settled(self) -> list[int]:
        return [one.settled for one in self._drainers]


def test_no_customer_is_downgraded_in_300_races_of_six_writers(scene: Scene) -> None:
    writers = Writers(scene)
    race = Race(writers.all())
    companies = []

    for number in range(ROUNDS):
        domain = f"race-{number}.example"
        companies.append(scene.make_company("lead", domain))
        scene.accept_forms({"form": "demo-request", "email": f"{name}@{domain}"} for name in "ab")
        race.round(companies[-1])
    race.stop()
    scene.new_drainer(clock=utc_now).drain(10)

    assert race.errors == []
    finals = Counter(scene.category(company) for company in companies)
    assert finals == {"customer": ROUNDS}
    assert set(scene.states()) == {"processed"}
    assert scene.value("SELECT sum(failures) FROM event") == 0
    assert_everybody_raced(scene, writers)


def assert_everybody_raced(scene: Scene, writers: Writers) -> None:
    """Each won and lost some: otherwise the rounds proved nothing."""
    counts = writers.counts
    assert counts["person"] == counts["sale"] == ROUNDS
    for name in ("key: moved", "key: refused", "sql: moved", "sql: refused"):
        assert counts[name] > 0, counts
    assert all(writers.settled), writers.settled
    by_rule = scene.value("SELECT count(*) FROM change WHERE rule IS NOT NULL AND field = 'category'")
    assert by_rule > 0
    refused = scene.value("SELECT count(*) FROM run WHERE outcome = 'blocked_by_guard'")
    assert refused > 0


def test_the_same_race_without_a_guard_does_downgrade(scene: Scene) -> None:
    """The control: read, think, write on a table without trigger and without locks. It must go wrong."""
    engine = scene.owner
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE unguarded (id bigint PRIMARY KEY, category_key text)"))
    try:
        assert downgrades_without_guard(scene.new_engine(), engine) > 0
    finally:
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE unguarded"))


def downgrades_without_guard(engine: Engine, owner: Engine) -> int:
    with owner.begin() as connection:
        connection.execute(text("GRANT ALL ON unguarded TO leadflow_app"))

    def think_and_move(company: int) -> None:
        with engine.begin() as connection:
            is_potential = connection.scalar(
                text("SELECT category_key <> 'customer' FROM unguarded WHERE id = :id"), {"id": company}
            )
            if is_potential:
                connection.execute(text("UPDATE unguarded SET category_key = 'mql' WHERE id = :id"), {"id": company})

    def promote(company: int) -> None:
        with engine.begin() as connection:
            connection.execute(text("UPDATE unguarded SET category_key = 'customer' WHERE id = :id"), {"id": company})

    race = Race([promote, *[think_and_move] * 5])
    lost = 0
    for number in range(1, ROUNDS + 1):
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO unguarded VALUES (:id, 'lead')"), {"id": number})
        race.round(number)
        with engine.connect() as connection:
            found = connection.scalar(text("SELECT category_key FROM unguarded WHERE id = :id"), {"id": number})
        lost += found != "customer"
        if lost >= 3:
            break
    race.stop()
    assert race.errors == []
    return lost


def test_people_who_move_one_contact_at_the_same_moment(scene: Scene) -> None:
    """Each move is done or refused with a reason, and the ledger tells one story."""
    companies = [scene.make_company("lead", f"c{number}.example") for number in range(4)]
    contact = scene.make_contact(company_id=companies[0])
    answers: list[int] = []

    def move(to: int) -> Callable[[int], None]:
        def write(_: int) -> None:
            answer = scene.patch(f"/contacts/{contact}", {"company_id": to})
            answers.append(answer.status_code)

        return write

    scene.key("admin")
    race = Race([move(one) for one in companies])
    for _ in range(15):
        race.round(1)
    race.stop()

    assert race.errors == []
    assert set(answers) <= {200, 409, 503}, Counter(answers)
    assert answers.count(200) >= 15
    assert scene.differences() == []


def test_two_people_with_one_version_of_a_company(scene: Scene) -> None:
    company = scene.make_company("lead")
    scene.key("admin")
    statuses: list[tuple[int, ...]] = []

    for number in range(10):
        etag = scene.get(f"/companies/{company}").headers["ETag"]
        answers: list[int] = []

        def edit(name: str, etag: str = etag, answers: list[int] = answers) -> Callable[[int], None]:
            def write(_: int) -> None:
                sent = {"owner": f"{name}{number}"}  # noqa: B023 - the round is over before it changes
                answers.append(scene.patch(f"/companies/{company}", sent, headers={"If-Match": etag}).status_code)

            return write

        race = Race([edit("Bo"), edit("Eva")])
        race.round(1)
        race.stop()
        assert race.errors == []
        statuses.append(tuple(sorted(answers)))

    assert set(statuses) == {(200, 412)}


def test_the_same_new_company_from_everywhere_at_once(scene: Scene) -> None:
    """Forms by two workers, a person, a key: one company, one contact each, no event fails."""
    engine, drainers = scene.new_engine(), [scene.new_drainer(clock=utc_now) for _ in range(2)]

    def create(actor: Any) -> Callable[[int], None]:
        def write(number: int) -> None:
            with suppress(LeadflowError, DBAPIError), engine.begin() as connection:
                sent = {"domain": f"new-{number}.example", "category": "lead"}
                records.create_company(connection, actor, sent, scene.clock())

        return write

    drains = [lambda _, one=one: one.drain(0.001) for one in drainers]
    race = Race([*drains, create(PERSON), create(AUTOMATION)])
    for number in range(1, 61):
        scene.accept_forms({"email": f"{name}@new-{number}.example"} for name in "ab")
        race.round(number)
    race.stop()
    scene.new_drainer(clock=utc_now).drain(10)

    assert race.errors == []
    assert set(scene.states()) == {"processed"}
    assert (scene.count("company"), scene.count("contact")) == (60, 120)
    assert scene.value("SELECT count(*) FROM contact WHERE company_id IS NULL") == 0
    assert scene.differences() == []
