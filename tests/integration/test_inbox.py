"""The inbox: every delivery stored once before its sender hears so, in the order of acceptance."""

from __future__ import annotations

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from leadflow.errors import ServiceUnavailable
from leadflow.services.inbox import prepare_arrival, receive_arrivals
from leadflow.web import group_commit
from leadflow.web.group_commit import GroupCommit
from tests.support.processes import wait_until
from tests.support.scenes import ANNA, Scene

BODY = json.dumps({"form": "newsletter", "email": ANNA}).encode()
OTHER = json.dumps({"form": "webinar", "email": ANNA}).encode()


def receipt(response: Any) -> tuple[int, bool]:
    assert response.status_code == 200, response.text
    document = response.get_json()
    assert document.keys() == {"event_id", "duplicate"}
    return document["event_id"], document["duplicate"]


# Duplicates -----------------------------------------------------------------------------------------------------------


def test_a_delivery_id_seen_before_is_a_duplicate_for_ever(scene: Scene) -> None:
    first = receipt(scene.deliver(BODY, delivery_id="d-1"))
    scene.drain()
    scene.clock.pass_by(days=400)

    again = receipt(scene.deliver(BODY, delivery_id="d-1"))

    assert first[1] is False
    assert again == (first[0], True)
    assert scene.count("event") == 1


def test_the_same_id_from_another_source_is_another_delivery(scene: Scene) -> None:
    with scene.engine.begin() as connection:
        source = scene.configuration.sources["generic"]
        there = prepare_arrival(source, {"webhook-id": "d-1"}, None, BODY, scene.clock())
        elsewhere = type(there)("other", *[getattr(there, n) for n in ("delivery_id", "type", "content_type")],
                                BODY, scene.clock())  # fmt: skip
        receipts = receive_arrivals(connection, [there, elsewhere])

    assert [one.is_duplicate for one in receipts] == [False, False]


def test_another_body_under_the_same_id_is_recorded_and_changes_nothing(scene: Scene) -> None:
    first = receipt(scene.deliver(BODY, delivery_id="d-1"))

    again = receipt(scene.deliver(OTHER, delivery_id="d-1"))
    receipt(scene.deliver(OTHER, delivery_id="d-1"))
    scene.drain()

    assert again == (first[0], True)
    (conflict,) = scene.rows("SELECT * FROM delivery_conflict")
    assert (conflict.event_id, bytes(conflict.body)) == (first[0], OTHER)
    assert scene.event(first[0]).fields["form"] == "newsletter"


def test_a_body_without_an_id_is_a_repeat_for_ten_minutes(scene: Scene) -> None:
    """The window is not cut at the full ten minutes of the clock."""
    scene.clock.pass_by(minutes=9)
    first = receipt(scene.deliver(BODY))
    scene.clock.pass_by(minutes=5)
    within = receipt(scene.deliver(BODY))
    scene.clock.pass_by(minutes=5, seconds=1)

    after = receipt(scene.deliver(BODY))

    assert within == (first[0], True)
    assert (after[0] != first[0], after[1]) == (True, False)
    assert receipt(scene.deliver(BODY)) == (after[0], True)


@pytest.mark.parametrize("header", ["webhook-id", "x-delivery-id", "idempotency-key"])
def test_an_id_stands_in_any_header_of_the_source(scene: Scene, header: str) -> None:
    first = receipt(scene.deliver(BODY, headers={header: " d-1 "}))
    again = receipt(scene.deliver(BODY, headers={header: "d-1"}))

    assert again == (first[0], True)
    assert scene.event(first[0]).delivery_id == "d-1"


def test_two_ids_with_one_body_are_two_deliveries(scene: Scene) -> None:
    assert receipt(scene.deliver(BODY, delivery_id="a"))[0] != receipt(scene.deliver(BODY, delivery_id="b"))[0]


# At the same time -----------------------------------------------------------------------------------------------------


def store_all(inboxes: list[GroupCommit], arrivals: list[Any]) -> list[Any]:
    """Each arrival from a thread of its own, all at once."""
    barrier = threading.Barrier(len(arrivals))

    def store(number: int) -> Any:
        barrier.wait(10)
        return inboxes[number % len(inboxes)].store(arrivals[number])

    with ThreadPoolExecutor(len(arrivals)) as threads:
        return list(threads.map(store, range(len(arrivals))))


@pytest.mark.parametrize("gives_ids", [True, False])
def test_repeats_at_the_same_moment_are_one_event(scene: Scene, gives_ids: bool) -> None:
    """Two web processes, 24 threads, 6 deliveries, each four times."""
    source = scene.configuration.sources["generic"]
    bodies = [json.dumps({"form": f"f{number % 6}", "email": ANNA}).encode() for number in range(24)]
    arrivals = [
        prepare_arrival(source, {"webhook-id": f"d{number % 6}"} if gives_ids else {}, None, body, scene.clock())
        for number, body in enumerate(bodies)
    ]
    random.Random(7).shuffle(arrivals)

    receipts = store_all([GroupCommit(scene.new_engine(), lambda: None) for _ in range(2)], arrivals)

    assert scene.count("event") == 6
    assert sum(not one.is_duplicate for one in receipts) == 6
    ids = {arrival.delivery_id: set() for arrival in arrivals}
    for arrival, one in zip(arrivals, receipts, strict=True):
        ids[arrival.delivery_id].add(one.event_id)
    assert all(len(one) == 1 for one in ids.values())


def test_a_group_is_one_commit_and_one_ring(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    first_began, go_on = threading.Event(), threading.Event()

    def receive(connection: Any, arrivals: Any) -> Any:
        groups.append(len(arrivals))
        if len(groups) == 1:
            first_began.set()
            go_on.wait(5)
        return receive_arrivals(connection, arrivals)

    monkeypatch.setattr(group_commit, "receive_arrivals", receive)
    rings: list[bool] = []
    inbox = GroupCommit(scene.engine, lambda: rings.append(True))
    source = scene.configuration.sources["generic"]
    arrivals = [prepare_arrival(source, {"webhook-id": str(n)}, None, BODY, scene.clock()) for n in range(10)]

    with ThreadPoolExecutor(10) as threads:
        futures = [threads.submit(inbox.store, arrivals[0])]
        assert first_began.wait(5)
        futures += [threads.submit(inbox.store, one) for one in arrivals[1:]]
        wait_until(lambda: len(inbox._waiting) == 9, 5)
        go_on.set()
        receipts = [future.result(10) for future in futures]

    assert groups == [1, 9]
    assert len(rings) == 2
    assert [one.is_duplicate for one in receipts] == [False] * 10


def test_one_delivery_that_cannot_be_stored_does_not_fail_its_neighbours(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def receive(connection: Any, arrivals: Any) -> Any:
        if any(one.delivery_id == "bad" for one in arrivals):
            raise OperationalError("INSERT", {}, Exception("refused"))
        return receive_arrivals(connection, arrivals)

    monkeypatch.setattr(group_commit, "receive_arrivals", receive)
    inbox = GroupCommit(scene.engine, lambda: None)
    source = scene.configuration.sources["generic"]
    arrivals = [
        prepare_arrival(source, {"webhook-id": name}, None, BODY, scene.clock()) for name in ("a", "bad", "b", "c")
    ]

    def store(arrival: Any) -> str:
        try:
            return "duplicate" if inbox.store(arrival).is_duplicate else "stored"
        except OperationalError:
            return "refused"

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(store, arrivals)) == ["stored", "refused", "stored", "stored"]


def test_a_sender_hears_503_while_the_database_is_away_and_200_when_it_is_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def receive(connection: Any, arrivals: Any) -> Any:
        raise OperationalError("INSERT", {}, Exception("gone"), connection_invalidated=True)

    with monkeypatch.context() as patch:
        patch.setattr(group_commit, "receive_arrivals", receive)
        away = scene.deliver(BODY, delivery_id="d-1")
    back = scene.deliver(BODY, delivery_id="d-1")

    assert (away.status_code, away.headers["Retry-After"]) == (503, "5")
    assert away.content_type == "application/problem+json"
    assert receipt(back)[1] is False


def test_a_sender_whose_group_never_ends_hears_503(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MAX_WAIT_SECONDS", 0.1)
    go_on, began = threading.Event(), threading.Event()

    def receive(connection: Any, arrivals: Any) -> Any:
        began.set()
        go_on.wait(10)
        return receive_arrivals(connection, arrivals)

    monkeypatch.setattr(group_commit, "receive_arrivals", receive)
    inbox = GroupCommit(scene.engine, lambda: None)
    source = scene.configuration.sources["generic"]
    arrivals = [prepare_arrival(source, {"webhook-id": str(n)}, None, BODY, scene.clock()) for n in range(2)]

    with ThreadPoolExecutor(1) as threads:
        leader = threads.submit(inbox.store, arrivals[0])
        began.wait(5)
        with pytest.raises(ServiceUnavailable):
            inbox.store(arrivals[1])
        go_on.set()
        assert not leader.result(5).is_duplicate
    assert not inbox.store(arrivals[1]).is_duplicate


def test_it_rings_after_the_commit(scene: Scene) -> None:
    counts: list[int] = []
    inbox = GroupCommit(scene.engine, lambda: counts.append(scene.count("event")))

    source = scene.configuration.sources["generic"]
    inbox.store(prepare_arrival(source, {}, None, BODY, scene.clock()))

    assert counts == [1]


# Order ----------------------------------------------------------------------------------------------------------------


def assert_in_order(scene: Scene) -> None:
    """Every company's events took effect in the order of their ids: each wrote the number it carried."""
    rows = scene.rows(
        "SELECT event.company_id, array_agg(c.event_id ORDER BY c.id) AS effects, array_agg(c.event_id ORDER BY"
        " c.event_id) AS accepted FROM change c JOIN event ON event.id = c.event_id WHERE c.field = 'owner'"
        " GROUP BY event.company_id"
    )
    assert rows
    for row in rows:
        assert row.effects == row.accepted, f"company {row.company_id}"


OWNER_RULE = (
    "{rule: count, status: live, when: {form_submitted: any},"
    " then: [{set_field: {field: company.owner, to: '{{ form.message | default(\"-\") }}'}}]}"
)


@pytest.mark.parametrize("batch_size", [3, 50])
def test_events_of_a_company_take_effect_in_order_under_two_workers(scene: Scene, batch_size: int) -> None:
    scene.publish(OWNER_RULE)
    domains = [f"d{number}.example" for number in range(12)]
    numbers = random.Random(3)
    scene.accept_forms(
        {"email": f"p{numbers.randrange(3)}@{numbers.choice(domains)}", "message": f"m{number}"}
        for number in range(150)
    )
    drainers = [scene.new_drainer(batch_size=batch_size) for _ in range(2)]
    barrier = threading.Barrier(2)

    def work(drainer: Any) -> int:
        barrier.wait(5)
        drainer.drain(20)
        return int(drainer.settled)

    with ThreadPoolExecutor(2) as threads:
        settled = list(threads.map(work, drainers))
    scene.drain()

    assert set(scene.states()) == {"processed"}
    assert scene.value("SELECT count(*) FROM change WHERE field = 'owner'") == 150
    assert_in_order(scene)
    assert batch_size > len(domains) or all(settled), f"one of the workers did nothing: {settled}"


def test_known_contacts_keep_the_order_of_their_company_whatever_their_address(scene: Scene) -> None:
    company = scene.make_company("lead")
    scene.make_contact("anna@gmail.com", company)
    scene.make_contact(ANNA, company)

    for email in ("anna@gmail.com", ANNA, "new@nordwind.example"):
        scene.post_form("any", email)

    assert scene.value("SELECT count(DISTINCT lane) FROM event") == 1


# Housekeeping ---------------------------------------------------------------------------------------------------------


def test_a_late_repeat_is_a_duplicate_though_its_body_is_gone(scene: Scene) -> None:
    from leadflow.services.housekeeping import tidy_up

    first = receipt(scene.deliver(BODY, delivery_id="d-1"))
    pending = receipt(scene.deliver(OTHER, delivery_id="d-2"))
    with scene.transaction() as connection:
        connection.exec_driver_sql("UPDATE event SET state = 'held' WHERE delivery_id = 'd-1'")
    scene.clock.pass_by(days=31)
    with scene.engine.begin() as connection:
        tidy_up(connection, scene.clock(), timedelta(days=30))

    assert scene.event(first[0]).body is None
    assert scene.event(pending[0]).body is not None, "a pending event lost its body"
    assert receipt(scene.deliver(BODY, delivery_id="d-1")) == (first[0], True)
    assert scene.post(f"/events/{first[0]}/replay").status_code == 409
