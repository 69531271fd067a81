"""Scheduled rules do whatever other rules do: they wait, take turns, propose, send, and set other rules going."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from leadflow.services.sweeps import PageSize
from tests.integration.test_rule_steps import pass_time, tags
from tests.integration.test_sweeps import Sweeping, assert_clean, make_leads, rule
from tests.support.scenes import Scene


@pytest.fixture
def sweeping(scene: Scene) -> Iterator[Sweeping]:
    yield Sweeping(scene)
    assert_clean(scene)


def test_a_scheduled_rule_waits_and_goes_on(scene: Scene, sweeping: Sweeping) -> None:
    make_leads(scene, 3)
    scene.publish(rule("{add_tag: asked}, {wait: 3 days}, {add_tag: again}"))

    view = sweeping.run()
    assert (view.matching, view.changed) == (3, 3)
    assert scene.value("SELECT count(*) FROM waiting WHERE state = 'open'") == 3
    scene.clock.pass_by(minutes=1)
    assert sweeping.run().changed == 0, "the limit holds from the first step on"

    pass_time(scene, days=4)
    assert {tuple(row.tags) for row in scene.rows("SELECT tags FROM contact")} == {("asked", "again")}
    assert scene.value("SELECT count(*) FROM waiting WHERE state <> 'done'") == 0


def test_a_scheduled_rule_gives_owners_in_turn(scene: Scene, sweeping: Sweeping) -> None:
    for number in range(6):
        scene.make_company("lead", f"company{number}.example")
    then = "{assign_owner: {round_robin: [ann, bob, cid]}}"
    limit = "{once_per: company, within: 90 days}"
    scene.publish(rule(then, "{company.owner: {exists: false}}", limit, each="company"))

    assert sweeping.run().changed == 6
    owners = [row.owner for row in scene.rows("SELECT owner FROM company ORDER BY id")]
    assert owners == ["ann", "bob", "cid"] * 2
    scene.clock.pass_by(minutes=1)
    assert sweeping.run().changed == 0


def test_a_scheduled_rule_proposes(scene: Scene, sweeping: Sweeping) -> None:
    make_leads(scene, 2)
    scene.publish(rule("{set_lead_status: Open}", more=", status: propose"))

    sweeping.run()

    items = scene.get("/proposals?state=open").json["items"]
    assert [(one["sweep_id"], one["changes"][0]["new"]) for one in items] == [(1, "open"), (1, "open")]
    scene.post(f"/proposals/{items[0]['id']}/accept")
    assert scene.value("SELECT count(*) FROM contact WHERE lead_status_key = 'open'") == 1


def test_a_scheduled_rule_sends_messages_once(scene: Scene, sweeping: Sweeping) -> None:
    make_leads(scene, 3)
    scene.publish(rule("{set_lead_status: Open}, {notify: {to: sales, text: \"{{ contact.email | default('x') }}\"}}"))

    sweeping.run()
    scene.clock.pass_by(minutes=1)
    sweeping.run()

    assert scene.value("SELECT count(DISTINCT payload->>'text') FROM outbox") == 3
    assert scene.count("outbox") == 3


def test_what_a_sweep_changes_sets_other_rules_going(scene: Scene, sweeping: Sweeping) -> None:
    (contact_id,) = make_leads(scene, 1)
    scene.publish(
        rule("{set_lead_status: Open}"),
        "{rule: follows, also_from_rules: true, when: {record_changed: {contact.lead_status: {to: Open}}},"
        " then: [{add_tag: woken}]}",
    )

    sweeping.run()

    email = scene.value("SELECT email FROM contact WHERE id = :id", id=contact_id)
    assert tags(scene, email) == ["woken"]
    (run,) = scene.rows("SELECT * FROM run WHERE rule = 'follows'")
    assert (run.sweep_id, run.chain) == (1, ["wake"])


def test_a_long_sweep_is_judged_at_one_moment(scene: Scene) -> None:
    """Else what is asked of the clock would hold on the first pages and not on the last ones."""
    sweeping = Sweeping(scene, size=PageSize(span=1_000, limit=1))
    make_leads(scene, 3)
    scene.publish(rule("{add_tag: \"{{ contact.email | default('x') }}\"}", "{now: {between: ['12:00', '12:30']}}"))
    sweep_id = sweeping.start()
    for _ in range(6):
        sweeping.sweeper.step(sweep_id)
        scene.clock.pass_by(minutes=20)

    view = sweeping.view(sweep_id)
    assert (view.state, view.matching, view.changed) == ("done", 3, 3)
    assert_clean(scene)
