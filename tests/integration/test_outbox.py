"""The outbox: in order per company, at least once, parked after three days, whatever dies meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from leadflow.outbound.deliveries import DELIVERED, Attempt, refused
from leadflow.outbound.sealing import Seals, UnreadableSeal
from leadflow.services.checking import diagnose
from leadflow.services.housekeeping import tidy_up
from leadflow.services.outbound_endpoints import change_endpoint, delete_endpoint, reseal_all, signature_of
from leadflow.services.outbox import LEASE, settle, take_parcels
from leadflow.store.endpoints import destinations
from leadflow.store.outbox import _CLAIM as CLAIM
from leadflow.store.outbox import LIFETIME, add_messages, due_endpoints, next_due, note_sent, send_again
from leadflow.tasks.sending import Sender, renew_seals
from tests.support.outbound import (
    AWAY,
    KEY,
    OUTSIDE,
    Receiver,
    carriers_to,
    make_channel,
    make_sender,
    make_webhook,
    outgoing,
    row_of,
    send_out,
    states,
    wait_until,
)
from tests.support.scenes import Scene

CRM = "https://crm.example/"


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def sender(scene: Scene, receiver: Receiver) -> Sender:
    make_webhook(scene)
    return make_sender(scene, carriers_to(receiver))


def failing_first(times: int, attempt: Attempt = AWAY) -> Callable[[str], Attempt]:
    """An endpoint that fails so often and takes everything afterwards."""
    left = [times]

    def answer(_: str) -> Attempt:
        left[0] -= 1
        return attempt if left[0] >= 0 else DELIVERED

    return answer


def pass_by(scene: Scene, sender: Sender, **duration: float) -> None:
    """Time goes on, and no endpoint is left alone any longer."""
    scene.clock.pass_by(**duration)
    sender.rests = type(sender.rests)()


# Once with the cause --------------------------------------------------------------------------------------------------


def test_a_message_is_there_if_and_only_if_its_cause_is(scene: Scene) -> None:
    with scene.engine.connect() as connection:
        add_messages(connection, [outgoing()], scene.clock())
        connection.rollback()
    assert states(scene) == []

    send_out(scene, outgoing())
    assert states(scene) == ["pending"]


def test_one_effect_is_one_message(scene: Scene) -> None:
    send_out(scene, outgoing(number=1), outgoing(number=2), outgoing(number=1, action="webhook:2"))

    with pytest.raises(IntegrityError):
        send_out(scene, outgoing(number=1))
    with pytest.raises(IntegrityError):
        send_out(scene, outgoing(number=9, contact_id=None), outgoing(number=9, contact_id=None))


def test_what_no_rule_caused_has_no_such_limit(scene: Scene) -> None:
    send_out(scene, *(outgoing(rule=None, action="", topic="contact.created") for _ in range(2)))

    assert states(scene) == ["pending", "pending"]


# Order ----------------------------------------------------------------------------------------------------------------


def test_a_company_s_messages_arrive_in_order_though_the_first_fails(
    scene: Scene, sender: Sender, receiver: Receiver
) -> None:
    first = send_out(scene, *(outgoing(company=1, number=number) for number in range(1, 6)))
    other = send_out(scene, outgoing(company=2, number=1))
    receiver.answers[CRM] = lambda identity: AWAY if identity == first[0] else DELIVERED

    sender.send_due()
    assert receiver.ids(CRM).count(first[0]) == 1
    assert set(receiver.ids(CRM)) == {first[0], *other}

    receiver.answers.clear()
    pass_by(scene, sender, seconds=10)
    sender.send_due()

    assert [one for one in receiver.ids(CRM) if one not in other] == [first[0], *first]
    assert states(scene) == ["sent"] * 6


def test_the_order_holds_with_many_senders_and_failures(scene: Scene, receiver: Receiver) -> None:
    make_webhook(scene)
    lanes = {company: send_out(scene, *(outgoing(company=company, number=n) for n in range(8))) for company in (1, 2)}
    tried: dict[str, int] = {}

    def answer(identity: str) -> Attempt:
        tried[identity] = tried.get(identity, 0) + 1
        return Attempt("failed", "It is moody.") if tried[identity] == 1 and int(identity[4:]) % 3 == 0 else DELIVERED

    receiver.answers[CRM] = answer
    senders = [make_sender(scene, carriers_to(receiver)) for _ in range(3)]
    for _ in range(8):
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda one: one.send_due(10), senders))
        scene.clock.pass_by(seconds=10)

    assert set(states(scene)) == {"sent"}
    for ids in lanes.values():
        arrived = [one for one in receiver.ids(CRM) if one in ids]
        assert list(dict.fromkeys(arrived)) == ids
        assert arrived == [one for one in ids for _ in range(tried[one])]


def test_lanes_of_two_endpoints_do_not_wait_for_each_other(scene: Scene, sender: Sender, receiver: Receiver) -> None:
    make_webhook(scene, "erp")
    send_out(scene, outgoing("crm", number=1))
    (ours,) = send_out(scene, outgoing("erp", number=1, action="webhook:2"))
    receiver.answers[CRM] = lambda _: AWAY

    sender.send_due()

    assert receiver.ids("https://erp.example/") == [ours]
    assert states(scene) == ["pending", "sent"]


# At least once --------------------------------------------------------------------------------------------------------


def test_a_worker_that_dies_between_call_and_record_leaves_the_message_to_the_next(
    scene: Scene, sender: Sender, receiver: Receiver
) -> None:
    (identity,) = send_out(scene, outgoing())
    with scene.engine.begin() as connection:
        (parcel,) = take_parcels(connection, ["crm"], scene.clock()).parcels
    receiver.call(CRM, [], identity, b"", scene.clock())  # and here it dies
    assert parcel.message.attempts == 1

    sender.send_due()
    assert receiver.ids(CRM) == [identity]

    scene.clock.now += LEASE
    sender.send_due()

    assert receiver.ids(CRM) == [identity, identity]
    assert states(scene) == ["sent"]
    assert row_of(scene, identity).attempts == 2


def test_a_repeat_has_the_same_body(scene: Scene, sender: Sender, receiver: Receiver) -> None:
    send_out(scene, outgoing())
    receiver.answers[CRM] = failing_first(1)

    sender.send_due()
    pass_by(scene, sender, hours=1)
    sender.send_due()

    assert receiver.bodies[0] == receiver.bodies[1] != b""


def test_no_transaction_is_open_during_a_call(scene: Scene, sender: Sender, receiver: Receiver) -> None:
    seen: list[int] = []
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"

    def answer(_: str) -> Attempt:
        seen.append(scene.value(query))
        return DELIVERED

    receiver.answers[CRM] = answer
    send_out(scene, outgoing())
    sender.send_due()

    assert seen == [0]


def test_two_senders_never_have_one_message_at_a_time(scene: Scene) -> None:
    make_webhook(scene)
    send_out(scene, *(outgoing(company=company) for company in range(20)))
    barrier = threading.Barrier(4)

    def take(_: int) -> list[int]:
        barrier.wait()
        with scene.engine.begin() as connection:
            found = [take_parcels(connection, ["crm"], scene.clock()) for _ in range(5)]
        return [parcel.message.id for one in found for parcel in one.parcels]

    with ThreadPoolExecutor(4) as pool:
        taken = [one for part in pool.map(take, range(4)) for one in part]

    assert len(taken) == len(set(taken))
    assert len(taken) > 0


def test_a_late_failure_does_not_disturb_who_has_the_message_now(scene: Scene) -> None:
    make_webhook(scene)
    (identity,) = send_out(scene, outgoing())
    with scene.engine.begin() as connection:
        (slow,) = take_parcels(connection, ["crm"], scene.clock()).parcels
    scene.clock.now += LEASE
    with scene.engine.begin() as connection:
        (quick,) = take_parcels(connection, ["crm"], scene.clock()).parcels
        settle(connection, slow.message, AWAY, scene.clock())
    assert row_of(scene, identity).next_attempt_at == quick.message.leased_until

    with scene.engine.begin() as connection:
        note_sent(connection, slow.message, scene.clock())
        settle(connection, quick.message, refused("Too late."), scene.clock())
    assert states(scene) == ["sent"]


def test_a_database_that_is_away_for_the_record_does_not_lose_the_delivery(
    scene: Scene, sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_out(scene, outgoing())
    record, troubles = settle, iter([True, True, False])

    def settle_sometimes(*arguments: Any) -> None:
        if next(troubles):
            raise OSError("the database is away")
        record(*arguments)

    monkeypatch.setattr("leadflow.tasks.sending.settle", settle_sometimes)
    monkeypatch.setattr("leadflow.tasks.sending.TROUBLE_SECONDS", 0.01)
    sender.start()
    wait_until(lambda: states(scene) == ["sent"])
    sender.close()

    assert len(receiver.calls) == 1


# Again and again, and then no more ------------------------------------------------------------------------------------


def test_after_three_days_a_message_is_parked_with_the_last_reason(
    scene: Scene, sender: Sender, receiver: Receiver
) -> None:
    (identity,) = send_out(scene, outgoing())
    receiver.answers[CRM] = lambda _: Attempt("failed", "The receiver answered 500.")
    start, waits = scene.clock.now, []

    while states(scene) == ["pending"]:
        before = scene.clock.now
        scene.clock.now = max(before, row_of(scene, identity).next_attempt_at)
        waits.append((scene.clock.now - before).total_seconds())
        sender.rests = type(sender.rests)()
        sender.send_due()
        assert len(waits) < 40

    assert scene.clock.now - start >= LIFETIME
    assert scene.clock.now - start < LIFETIME + timedelta(minutes=1)
    for wait, meant in zip(waits[1:], (5, 30, 120, 600, 1_800, 7_200, 21_600), strict=False):
        assert 0.79 * meant <= wait <= 1.21 * meant
    row = row_of(scene, identity)
    assert (row.state, row.error) == ("parked", "Given up after 3 days. The receiver answered 500.")
    assert len(receiver.calls) == row.attempts == len(waits)


def test_a_parked_message_lets_the_next_of_its_lane_go(scene: Scene, sender: Sender, receiver: Receiver) -> None:
    first, second = send_out(scene, outgoing(number=1), outgoing(number=2))
    receiver.answers[CRM] = lambda identity: refused("It must not.") if identity == first else DELIVERED

    sender.send_due()

    assert receiver.ids(CRM) == [first, second]
    assert states(scene) == ["parked", "sent"]


def test_a_person_sends_a_parked_message_again_for_three_more_days(
    scene: Scene, sender: Sender, receiver: Receiver
) -> None:
    (identity,) = send_out(scene, outgoing())
    receiver.answers[CRM] = failing_first(1, refused("Not now."))
    sender.send_due()
    scene.clock.pass_by(days=30)
    with scene.engine.begin() as connection:
        assert send_again(connection, int(identity[4:]), scene.clock())
        assert not send_again(connection, int(identity[4:]), scene.clock())

    receiver.answers[CRM] = failing_first(1)
    sender.send_due()
    assert row_of(scene, identity).give_up_at == scene.clock.now + LIFETIME
    pass_by(scene, sender, seconds=10)
    sender.send_due()

    assert receiver.ids(CRM) == [identity] * 3
    assert row_of(scene, identity).error is None
    assert states(scene) == ["sent"]


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [(timedelta(seconds=1), 4, 6), (timedelta(minutes=10), 600, 600), (timedelta(days=30), 21_600, 21_600)],
)
def test_a_receiver_may_ask_to_be_left_alone_for_a_while_but_not_for_ever(
    scene: Scene, sender: Sender, receiver: Receiver, asked: timedelta, least: float, most: float
) -> None:
    (identity,) = send_out(scene, outgoing())
    receiver.answers[CRM] = lambda _: Attempt("failed", "429", is_away=True, retry_after=asked)

    sender.send_due()

    wait = (row_of(scene, identity).next_attempt_at - scene.clock.now).total_seconds()
    assert least <= wait <= most


def test_a_receiver_that_is_gone_is_disabled_and_gets_no_more(scene: Scene, sender: Sender, receiver: Receiver) -> None:
    first, second = send_out(scene, outgoing(number=1), outgoing(number=2))
    receiver.answers[CRM] = lambda _: Attempt("gone", "The receiver answered 410 Gone: it wants no more calls.")

    sender.send_due()

    assert receiver.ids(CRM) == [first]
    assert states(scene) == ["parked", "parked"]
    assert "disabled" in row_of(scene, first).error
    assert "disabled" in row_of(scene, second).error
    assert scene.value("SELECT is_enabled FROM endpoint WHERE name = 'crm'") is False


# Nowhere to go --------------------------------------------------------------------------------------------------------


def test_what_has_nowhere_to_go_is_parked_at_once_with_a_sentence(
    scene: Scene, sender: Sender, receiver: Receiver
) -> None:
    make_channel(scene, "sales-chat", "ntfys://leads")
    make_webhook(scene, "off")
    with scene.engine.begin() as connection:
        change_endpoint(connection, OUTSIDE, "off", {"is_enabled": False}, scene.clock())
    sent = [
        *send_out(scene, outgoing("nobody"), outgoing("nobody", number=2), outgoing("off", action="2")),
        *send_out(scene, outgoing("sales-chat", action="3"), outgoing("crm", kind="notification", action="4")),
    ]

    sender.send_due()

    assert receiver.calls == []
    assert [row_of(scene, one).error for one in sent] == [
        *["There is no endpoint 'nobody'. An administrator can add it; then send this again."] * 2,
        "The endpoint 'off' is disabled. An administrator can enable it; then send this again.",
        "'sales-chat' is a channel; this needs a webhook.",
        "'crm' is a webhook; this needs a channel.",
    ]
    assert set(states(scene)) == {"parked"}


def test_messages_for_a_deleted_endpoint_are_parked(scene: Scene, sender: Sender, receiver: Receiver) -> None:
    with scene.engine.begin() as connection:
        delete_endpoint(connection, "crm")
    send_out(scene, outgoing())

    sender.send_due()

    assert (states(scene), receiver.calls) == (["parked"], [])


# Others are not held up -----------------------------------------------------------------------------------------------


def test_a_slow_endpoint_does_not_delay_another(scene: Scene, sender: Sender, receiver: Receiver) -> None:
    make_webhook(scene, "erp")
    goes_on = threading.Event()
    receiver.answers[CRM] = lambda _: DELIVERED if goes_on.wait(20) else AWAY
    send_out(scene, *(outgoing("crm", company=company) for company in range(50)))
    send_out(scene, *(outgoing("erp", company=company, action="2") for company in range(20)))

    sender.start()
    try:
        wait_until(lambda: len(receiver.ids("https://erp.example/")) == 20)
        assert 1 <= len(receiver.ids(CRM)) <= 3
        assert states(scene).count("pending") >= 50
    finally:
        goes_on.set()
        sender.close()


def test_many_slow_endpoints_leave_room_for_a_quick_one(scene: Scene, receiver: Receiver) -> None:
    sender = make_sender(scene, carriers_to(receiver), threads=8)
    goes_on = threading.Event()
    for number in range(6):
        make_webhook(scene, f"slow-{number}")
        receiver.answers[f"https://slow-{number}.example/"] = lambda _: DELIVERED if goes_on.wait(20) else AWAY
        send_out(scene, *(outgoing(f"slow-{number}", company=c, action=f"{number}") for c in range(10)))
    make_webhook(scene, "quick")

    sender.start()
    try:
        wait_until(lambda: len(receiver.calls) >= 6)
        send_out(scene, *(outgoing("quick", company=company, action="quick") for company in range(5)))
        wait_until(lambda: len(receiver.ids("https://quick.example/")) == 5)
    finally:
        goes_on.set()
        sender.close()


def test_an_endpoint_that_nobody_answers_at_is_left_alone_for_a_while(
    scene: Scene, sender: Sender, receiver: Receiver
) -> None:
    receiver.answers[CRM] = lambda _: AWAY
    send_out(scene, *(outgoing(company=company) for company in range(40)))

    sender.send_due()

    assert 3 <= len(receiver.calls) <= 6
    assert states(scene) == ["pending"] * 40


def test_a_message_that_its_receiver_dislikes_does_not_close_the_endpoint(
    scene: Scene, sender: Sender, receiver: Receiver
) -> None:
    receiver.answers[CRM] = lambda _: Attempt("failed", "The receiver answered 422.")
    send_out(scene, *(outgoing(company=company) for company in range(12)))

    sender.send_due()

    assert len(receiver.calls) == 12


def test_a_backlog_of_a_dead_endpoint_is_given_up_without_trying_each(
    scene: Scene, sender: Sender, receiver: Receiver
) -> None:
    receiver.answers[CRM] = lambda _: AWAY
    send_out(scene, *(outgoing(company=company) for company in range(40)))
    sender.send_due()
    scene.clock.now += LIFETIME

    sender.rests.note("crm", AWAY)
    sender.send_due()

    assert set(states(scene)) == {"parked"}
    assert len(receiver.calls) <= 6


def test_a_fault_of_ours_is_a_failed_attempt(scene: Scene, sender: Sender, receiver: Receiver) -> None:
    (identity,) = send_out(scene, outgoing())

    def break_down(_: str) -> Attempt:
        raise KeyError("a bug")

    receiver.answers[CRM] = break_down
    sender.send_due()

    assert (row_of(scene, identity).state, row_of(scene, identity).error) == (
        "pending",
        "leadflow could not send it: KeyError.",
    )


# Due ------------------------------------------------------------------------------------------------------------------


def test_what_is_due_is_found_by_endpoint(scene: Scene) -> None:
    send_out(scene, outgoing("b"), outgoing("a", action="2"), outgoing("a", number=2, action="2"))
    with scene.engine.connect() as connection:
        assert due_endpoints(connection, scene.clock()) == ["a", "b"]
        assert due_endpoints(connection, scene.clock() - timedelta(seconds=1)) == []
        assert next_due(connection) == scene.clock()


def test_an_empty_outbox_has_nothing_due(scene: Scene) -> None:
    with scene.engine.connect() as connection:
        assert (due_endpoints(connection, scene.clock()), next_due(connection)) == ([], None)


def test_taking_the_next_message_reads_no_more_of_a_long_backlog(scene: Scene) -> None:
    send_out(scene, *(outgoing("crm", company=company) for company in range(3_000)))
    lease = {"endpoints": ["crm"], "now": scene.clock(), "leased_until": scene.clock() + LEASE}
    with scene.owner.begin() as connection:
        connection.execute(text("ANALYZE outbox"))
        explained = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {CLAIM.text}").bindparams(*CLAIM._bindparams.values())
        plan = connection.scalar(explained, lease)[0]["Plan"]

    read = [node["Actual Rows"] for node in nodes_of(plan) if node.get("Relation Name") == "outbox"]
    assert read
    assert max(read) <= 2, plan


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes_of(part)


# Secrets --------------------------------------------------------------------------------------------------------------


def test_no_secret_stands_in_the_database_in_plain_text(scene: Scene) -> None:
    secret = make_webhook(scene)
    make_channel(scene, "mail", "mailtos://robot:hunter2-pass@smtp.example?to=sales@nordwind.example")

    shown = " ".join(str(tuple(row)) for row in scene.rows("SELECT * FROM endpoint"))
    raw = b" ".join(bytes(row.sealed) for row in scene.rows("SELECT sealed FROM endpoint"))

    for hidden in (secret, secret.removeprefix("whsec_"), "hunter2-pass", "smtp.example", "sales@nordwind"):
        assert hidden not in shown
        assert hidden.encode() not in raw
    assert {row.url for row in scene.rows("SELECT url FROM endpoint")} == {CRM, "mailtos://…"}


def test_a_sealed_secret_opens_only_with_its_key_and_at_its_place() -> None:
    sealed = Seals(KEY).seal("whsec_x", "crm")

    assert Seals(KEY).open(sealed, "crm") == "whsec_x"
    assert Seals("the next key of all", [KEY]).open(sealed, "crm") == "whsec_x"
    assert Seals(KEY).seal("whsec_x", "crm") != sealed
    for seals, place, stored in (
        (Seals(KEY), "erp", sealed),
        (Seals("another key altogether"), "crm", sealed),
        (Seals(KEY), "crm", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (Seals(KEY), "crm", b""),
        (Seals(KEY), "crm", b"\x02" + sealed[1:]),
    ):
        with pytest.raises(UnreadableSeal):
            seals.open(stored, place)


def test_secrets_move_to_a_new_key_and_the_former_one_can_go(scene: Scene, receiver: Receiver) -> None:
    make_webhook(scene)
    renew_seals(scene.engine, Seals("the next key of all", [KEY]))

    with scene.engine.begin() as connection:
        assert reseal_all(connection, Seals("the next key of all")) == []
        assert reseal_all(connection, Seals(KEY)) == ["crm"]


def test_a_lost_key_parks_the_message_and_says_how_to_mend_it(scene: Scene, receiver: Receiver) -> None:
    make_webhook(scene)
    (identity,) = send_out(scene, outgoing())
    carriers = carriers_to(receiver)
    carriers = type(carriers)(Seals("another key altogether"), carriers.webhooks, carriers.notifier)

    make_sender(scene, carriers).send_due()

    assert "LEADFLOW_FORMER_SECRET_KEYS" in row_of(scene, identity).error
    assert (states(scene), receiver.calls) == (["parked"], [])


def test_after_a_change_of_secret_both_sign_for_a_day(scene: Scene) -> None:
    old = make_webhook(scene)
    with scene.engine.begin() as connection:
        new = change_endpoint(connection, OUTSIDE, "crm", {"new_secret": True}, scene.clock())
        signature = signature_of(destinations(connection, ["crm"])["crm"], OUTSIDE.seals)

    assert new not in (None, old)
    assert signature.valid_at(scene.clock()) == [new, old]
    assert signature.valid_at(scene.clock() + timedelta(days=1)) == [new]


# Told to people -------------------------------------------------------------------------------------------------------


def test_the_doctor_tells_of_parked_and_of_waiting_messages(scene: Scene, sender: Sender) -> None:
    def finding() -> Any:
        with scene.engine.connect() as connection:
            return next(one for one in diagnose(connection, scene.clock()) if one.what == "outbox")

    assert finding().is_fine
    send_out(scene, outgoing("nobody"), outgoing(action="2"))
    scene.clock.pass_by(minutes=2)
    assert not finding().is_fine
    assert "120 s" in finding().detail
    assert "LEADFLOW_SECRET_KEY" in finding().remedy
    sender.send_due()
    assert (finding().is_fine, finding().detail) == (False, "parked: 1 for nobody")


def test_what_was_sent_is_forgotten_after_a_while_and_stays_sent(scene: Scene, sender: Sender) -> None:
    (identity,) = send_out(scene, outgoing())
    sender.send_due()
    (waiting,) = send_out(scene, outgoing("nobody", number=2))
    scene.clock.pass_by(days=31)
    with scene.engine.begin() as connection:
        tidy_up(connection, scene.clock(), timedelta(days=30))

    assert row_of(scene, identity).payload == {}
    assert row_of(scene, waiting).payload != {}
    with pytest.raises(IntegrityError):
        send_out(scene, outgoing())
