"""The demo: a past that went through the same inbox, rules and guard as everything else, loaded once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine, text

from leadflow.demo import load_demo_in_background, loading
from leadflow.demo.cast import invite_firms
from leadflow.demo.loading import Teller, load_demo
from leadflow.demo.story import DAYS, Chapter, Entry, write_story
from leadflow.domain.events import SYSTEM
from leadflow.services.checking import check_database
from leadflow.services.configuration import read_configuration
from leadflow.services.inbox import prepare_arrival, receive_arrivals
from leadflow.services.installation import apply_configuration
from leadflow.services.processing import Desk
from leadflow.services.rule_sets import publish
from leadflow.store.engine import make_engine
from leadflow.store.inbox import LANE_LOCKS
from leadflow.tasks.draining import Drainer, utc_now
from tests.support import servers

CONFIGURATION = read_configuration(Path(__file__).resolve().parents[2] / "config", {})
RULES = CONFIGURATION.rule_documents
LANES = {"space": LANE_LOCKS}
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BEGINNING = NOW - timedelta(days=DAYS)


@dataclass(frozen=True)
class Demo:
    """An installation with its demo, and what was said while it loaded."""

    engine: Engine
    said: list[str]

    def rows(self, query: str) -> Sequence[Any]:
        with self.engine.connect() as connection:
            return connection.execute(text(query)).all()

    def one(self, query: str) -> Any:
        return self.rows(query)[0][0]

    def load(self, now: datetime = NOW) -> None:
        load_demo(self.engine, CONFIGURATION.sources, self.said.append, lambda: now)

    def told(self) -> dict[str, Any]:
        """Everything the demo made, without ids."""
        return {name: Counter(tuple(row) for row in self.rows(query)) for name, query in TOLD.items()}


# What a live form added in the meantime is no part of the demo.
TOLD = {
    "companies": "SELECT domain, category_key, owner, tags::text, open_sales, created_at, updated_at FROM company"
    " WHERE domain <> 'nordwind.example'",
    "contacts": "SELECT email, first_name, last_name, category_key, lead_status_key, created_at, last_touched_at"
    " FROM contact WHERE email <> 'anna@nordwind.example'",
    "forms": "SELECT delivery_id, state, received_at, processed_at, error FROM event WHERE delivery_id LIKE 'demo-%'",
    "sales": "SELECT title, status, amount, created_at, updated_at FROM sale",
    "tasks": "SELECT title, created_by, due_at, done_at FROM task JOIN contact ON contact.id = contact_id"
    " WHERE email <> 'anna@nordwind.example'",
    "traces": "SELECT rule, outcome, at FROM run WHERE at <= '2026-03-01 12:00Z'",
    "ledger": "SELECT at, field, old::text, new::text, actor_kind, actor_name FROM change"
    " WHERE field <> 'company_id' AND at <= '2026-03-01 12:00Z'",
}


@contextmanager
def installation(url: str) -> Iterator[Demo]:
    engine = make_engine(url)
    with engine.begin() as connection:
        apply_configuration(connection, CONFIGURATION, NOW)
    try:
        yield Demo(engine, [])
    finally:
        engine.dispose()


@pytest.fixture(scope="module")
def demo(postgres_url: str, template_database: str) -> Iterator[Demo]:
    """A loaded demo that the tests only look at."""
    with servers.database(postgres_url, template_database) as url, installation(url) as here:
        here.load()
        yield here


@pytest.fixture
def empty(database_url: str) -> Iterator[Demo]:
    """An installation without the demo."""
    with installation(database_url) as here:
        yield here


# -- what is there afterwards ------------------------------------------------------------------------------------------


def test_there_are_companies_contacts_and_events_enough_to_look_around(demo):
    assert demo.one("SELECT count(*) FROM company") == 140
    assert demo.one("SELECT count(*) FROM contact") == 320
    assert demo.one("SELECT count(*) FROM contact WHERE company_id IS NULL") == 27
    assert 1_200 <= demo.one("SELECT count(*) FROM event") <= 1_800


def test_it_says_how_far_it_is_in_a_few_lines(demo):
    assert demo.said[:2] == ["Demo data: day 30 of 90 …", "Demo data: day 60 of 90 …"]
    assert demo.said[2].startswith("Demo data is loaded: 140 companies, 320 contacts, 1,")
    assert len(demo.said) == 3


def test_the_funnel_looks_like_one(demo):
    found = dict(demo.rows("SELECT category_key, count(*) FROM company GROUP BY 1"))

    assert found.keys() == {one.key for one in CONFIGURATION.categories}
    assert found["lead"] > found["mql"] > found["opportunity"]
    assert 15 <= found["customer"] <= 22
    assert found["lost-opportunity"] >= 5


def test_every_lead_status_and_sale_status_is_in_use(demo):
    found = dict(demo.rows("SELECT lead_status_key, count(*) FROM contact GROUP BY 1"))

    assert found.keys() - {None} == {one.key for one in CONFIGURATION.lead_statuses}
    assert found["open"] > found["qualified"]
    assert {status for (status,) in demo.rows("SELECT DISTINCT status FROM sale")} >= {"open", "sold", "lost"}


def test_tasks_are_done_open_and_overdue(demo):
    now = f"'{NOW.isoformat()}'"
    assert demo.one("SELECT count(*) FROM task WHERE done_at IS NOT NULL") > 50
    assert demo.one(f"SELECT count(*) FROM task WHERE done_at IS NULL AND due_at > {now}") > 0
    assert 0 < demo.one(f"SELECT count(*) FROM task WHERE done_at IS NULL AND due_at <= {now}") < 20


def test_visitors_come_from_campaigns_and_of_their_own_accord(demo):
    sources = {source for (source,) in demo.rows("SELECT DISTINCT first_touch_source FROM contact")}
    assert sources >= {None, "linkedin", "google", "newsletter", "partner"}


def test_the_database_is_sound_and_the_state_is_the_replay_of_the_ledger(demo):
    with demo.engine.begin() as connection:
        assert [one for one in check_database(connection) if not one.is_fine] == []


def test_nothing_waits_and_what_cannot_be_read_is_held_with_its_reason(demo):
    states = dict(demo.rows("SELECT state, count(*) FROM event GROUP BY 1"))
    reasons = " ".join(reason for (reason,) in demo.rows("SELECT error FROM event WHERE state = 'held'"))

    assert states.keys() == {"processed", "held"}
    assert states["held"] == 5
    assert "no e-mail address" in reasons
    assert "not JSON" in reasons


def test_no_rule_moved_a_customer_and_the_traces_say_why(demo):
    """Former customers, partners and others too: only people took them anywhere."""
    taken = demo.rows(
        "SELECT actor_kind FROM change JOIN category ON key = old #>> '{}' WHERE field = 'category'"
        " AND entity = 'company' AND group_key <> 'potential_customer'"
    )
    outcomes = dict(demo.rows("SELECT outcome, count(*) FROM run GROUP BY 1"))

    assert {kind for (kind,) in taken} == {"person"}
    assert outcomes.keys() >= {"fired", "no_match", "limited", "blocked_by_guard"}
    assert demo.one("SELECT count(*) FROM run WHERE guard LIKE 'Customer is in the group Customer;%'") >= 5


def test_lost_opportunities_come_back(demo):
    steps = demo.rows("SELECT DISTINCT old #>> '{}', new #>> '{}' FROM change WHERE field = 'category'")
    assert {tuple(step) for step in steps} >= {
        ("lead", "mql"),
        ("lead", "opportunity"),
        ("mql", "opportunity"),
        ("opportunity", "lost-opportunity"),
        ("lost-opportunity", "mql"),
        ("opportunity", "customer"),
    }


# -- when it was -------------------------------------------------------------------------------------------------------


def test_it_happened_within_the_ninety_days_and_never_in_the_future(demo):
    first, last, processed = demo.rows("SELECT min(received_at), max(received_at), max(processed_at) FROM event")[0]

    assert BEGINNING <= first < BEGINNING + timedelta(days=2)
    assert NOW - timedelta(hours=1) < last < processed < NOW
    for column in (
        "company.updated_at",
        "contact.updated_at",
        "run.at",
        "change.at",
        "sale.updated_at",
        "task.done_at",
    ):
        table, _, name = column.partition(".")
        assert demo.one(f"SELECT min({name}) FROM {table}") >= BEGINNING, column
        assert demo.one(f"SELECT max({name}) FROM {table}") < NOW, column


def test_the_last_hours_were_busy(demo):
    since = (NOW - timedelta(hours=8)).isoformat()
    assert demo.one(f"SELECT count(*) FROM event WHERE received_at > '{since}'") >= 12
    assert demo.one(f"SELECT count(*) FROM change WHERE field = 'category' AND at > '{since}'") >= 5


def test_every_event_took_effect_when_it_came(demo):
    assert demo.one("SELECT max(processed_at - received_at) FROM event") < timedelta(seconds=1)
    assert demo.one("SELECT count(*) FROM run JOIN event ON event.id = event_id WHERE at <> processed_at") == 0


@pytest.mark.parametrize("table", ["event", "change", "run"])
def test_ids_grow_with_time(demo, table):
    moment = "received_at" if table == "event" else "at"
    backwards = (
        f"SELECT count(*) FROM (SELECT {moment} < lag({moment}) OVER (ORDER BY id) AS back FROM {table}) AS told"
        " WHERE back"
    )
    assert demo.one(backwards) == 0


# -- once, and in pieces -----------------------------------------------------------------------------------------------


def test_loading_again_changes_nothing(demo):
    before, said = demo.told(), list(demo.said)

    demo.load(now=NOW + timedelta(days=3))

    assert demo.told() == before
    assert demo.said == said


class Killed(BaseException):
    """Nobody catches it, as nobody catches kill -9."""


def die_at(call: int) -> Callable[..., Any]:
    """`process_events` that dies in the middle of a day."""
    calls, real = iter(range(1, call + 1)), loading.process_events

    def process(*arguments: Any) -> Any:
        if next(calls) == call:
            raise Killed
        return real(*arguments)

    return process


def test_a_load_that_was_killed_is_taken_up_while_live_forms_come_in(demo, empty, monkeypatch):
    monkeypatch.setattr(loading, "process_events", die_at(700))
    with pytest.raises(Killed):
        empty.load()
    monkeypatch.undo()
    half = empty.one("SELECT count(*) FROM event")
    assert 500 < half < 800

    with live_worker(empty.engine):
        receive_live_form(empty.engine)
        empty.load(now=NOW + timedelta(hours=3))

    assert empty.told() == demo.told()
    company = "SELECT category_key FROM company WHERE domain = 'nordwind.example'"
    assert empty.one(company) == "mql"
    assert empty.one("SELECT count(*) FROM event WHERE state = 'pending'") == 0


@contextmanager
def live_worker(engine: Engine) -> Iterator[None]:
    """A worker with the real clock that takes whatever is pending."""
    drainer, stop = Drainer(engine, Desk(CONFIGURATION.sources), clock=utc_now), threading.Event()

    def work() -> None:
        while not stop.wait(0.01):
            drainer.drain()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def receive_live_form(engine: Engine) -> None:
    body = b'{"form": "demo-request", "email": "anna@nordwind.example", "company": "Nordwind AS"}'
    arrival = prepare_arrival(CONFIGURATION.sources["generic"], {"webhook-id": "d-1"}, None, body, utc_now())
    with engine.begin() as connection:
        receive_arrivals(connection, [arrival])


def test_a_day_waits_for_a_worker_that_holds_one_of_its_companies(empty):
    chapter = write_story(NOW)[0]
    with empty.engine.begin() as worker:
        worker.execute(
            text("SELECT pg_advisory_xact_lock(:space, shard) FROM generate_series(0, 4095) AS shard"), LANES
        )
        telling = threading.Thread(target=Teller(empty.engine, CONFIGURATION.sources).tell, args=(chapter,))
        telling.start()
        telling.join(0.4)
        assert empty.one("SELECT count(*) FROM event") == 0
    telling.join(20)

    assert empty.one("SELECT count(*) FROM event WHERE state <> 'pending'") > 0


def test_rules_that_listen_to_people_work_too(empty):
    """With the shipped rule that only proposes: a contact that a seller qualifies makes the company an opportunity."""
    documents = {name: text.replace("status: propose", "status: live") for name, text in RULES.items()}
    with empty.engine.begin() as connection:
        publish(connection, SYSTEM, documents, origin="test", now=BEGINNING)
    teller = Teller(empty.engine, CONFIGURATION.sources)
    for chapter in write_story(NOW)[:35]:
        teller.tell(chapter)

    assert empty.one("SELECT count(*) FROM event WHERE type = 'record_changed' AND state = 'processed'") > 0
    assert empty.one("SELECT count(*) FROM change WHERE rule = 'qualified-contact-to-opportunity'") > 0
    assert empty.one("SELECT count(*) FROM event WHERE state = 'pending'") == 0


def test_without_its_source_nothing_is_loaded(empty):
    load_demo(empty.engine, {}, empty.said.append, lambda: NOW)

    assert empty.one("SELECT count(*) FROM event") == 0
    assert "no source 'generic'" in empty.said[0]


def test_a_database_that_goes_away_is_reported_in_one_line():
    said: list[str] = []
    engine = make_engine("postgresql://127.0.0.1:1/nowhere")

    load_demo_in_background(engine, CONFIGURATION.sources, said.append).join(20)

    assert said == ["Demo data: loading was cut off. The next start with --demo goes on where it stopped."]


# -- the story ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", range(7))
def test_the_story_is_told_in_order_and_ends_before_now_on_every_weekday(days):
    ends_at = NOW + timedelta(days=days)

    entries = entries_of(write_story(ends_at))

    moments = [one.at for one in entries]
    assert moments == sorted(moments)
    assert ends_at - timedelta(days=DAYS) <= moments[0]
    assert moments[-1] < ends_at


def test_the_same_seed_tells_the_same_story():
    assert write_story(NOW) == write_story(NOW)


def test_weekends_are_quiet():
    per_weekday = Counter(one.at.weekday() for one in entries_of(write_story(NOW)))
    assert 3 * max(per_weekday[5], per_weekday[6]) < min(per_weekday[day] for day in range(5))


def test_no_company_of_the_demo_could_be_a_real_one_or_the_readmes():
    firms = invite_firms(Random(1))

    assert all(firm.domain.endswith(".example") for firm in firms)
    assert "nordwind.example" not in {firm.domain for firm in firms}
    assert len({firm.domain for firm in firms}) == len({firm.name for firm in firms}) == 140


def entries_of(chapters: Sequence[Chapter]) -> list[Entry]:
    return [entry for chapter in chapters for entry in chapter.entries]
