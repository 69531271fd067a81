"""What rules do beside writing fields: stop others, take turns, wait, propose, send, and count what happened before."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from leadflow.services.resuming import release_due_waits
from tests.support.scenes import ANNA, Scene

FORM = "when: {form_submitted: any}"


def document(*rules: str, head: str = "") -> dict[str, str]:
    """A rule document in flow style; `head` goes before the rules."""
    return {"test.yaml": f"leadflow: 1\n{head}rules:\n" + "".join(f"  - {rule}\n" for rule in rules)}


def tags(scene: Scene, email: str = ANNA) -> list[str]:
    found: list[str] = scene.value("SELECT tags FROM contact WHERE email = :email", email=email)
    return found


def run_of(scene: Scene, event_id: int, rule: str) -> Any:
    (row,) = scene.rows("SELECT * FROM run WHERE event_id = :id AND rule = :rule", id=event_id, rule=rule)
    return row


def pass_time(scene: Scene, **duration: float) -> None:
    """Let time pass, as the scheduler and the workers see it."""
    scene.clock.pass_by(**duration)
    with scene.engine.begin() as connection:
        release_due_waits(connection, scene.clock())
    scene.drain()


# -- which rules act ---------------------------------------------------------------------------------------------------


def test_of_a_group_only_the_first_that_matches_acts(scene: Scene) -> None:
    scene.publish_documents(
        document(
            f"{{rule: no-match, group: g, priority: 90, {FORM}, if: {{form.form: other}}, then: [{{add_tag: none}}]}}",
            f"{{rule: first, group: g, priority: 80, {FORM}, then: [{{add_tag: first}}]}}",
            f"{{rule: second, group: g, priority: 70, {FORM}, then: [{{add_tag: second}}]}}",
            f"{{rule: free, priority: 60, {FORM}, then: [{{add_tag: free}}]}}",
            head="groups: {g: {pick: first}}\n",
        )
    )
    event_id = scene.post_form()
    scene.drain()

    assert tags(scene) == ["first", "free"]
    assert scene.runs(event_id) == {
        "no-match": "no_match", "first": "fired", "second": "conflict_lost", "free": "fired",
    }  # fmt: skip
    assert "first" in run_of(scene, event_id, "second").guard


def test_a_rule_that_stops_here_keeps_later_ones_from_acting(scene: Scene) -> None:
    scene.publish(
        f"{{rule: stops, priority: 90, {FORM}, if: {{form.form: press}},"
        " then: [{add_tag: press}, {stop_here: true}]}",
        f"{{rule: later, {FORM}, then: [{{add_tag: later}}]}}",
    )
    stopped = scene.post_form("press")
    other = scene.post_form("demo", "bo@quayside.example")
    scene.drain()

    assert tags(scene) == ["press"]
    assert run_of(scene, stopped, "later").outcome == "chain_stopped"
    assert run_of(scene, stopped, "later").guard == "The rule stops stopped here."
    assert tags(scene, "bo@quayside.example") == ["later"]
    assert scene.runs(other)["stops"] == "no_match"


# -- turns -------------------------------------------------------------------------------------------------------------

ROUND_ROBIN = f"{{rule: assign, {FORM}, then: [{{assign_owner: {{round_robin: [ann, bob, cid]}}}}]}}"


def owners(scene: Scene) -> Counter[str]:
    return Counter(row.owner for row in scene.rows("SELECT owner FROM company"))


def test_owners_are_assigned_in_turn_and_a_company_keeps_its_own(scene: Scene) -> None:
    scene.publish(ROUND_ROBIN)
    for number in range(6):
        scene.post_form(email=f"x@company{number}.example")
    scene.drain()
    assert owners(scene) == {"ann": 2, "bob": 2, "cid": 2}

    again = [scene.post_form(email=f"y@company{number}.example") for number in range(6)]
    scene.drain()
    assert owners(scene) == {"ann": 2, "bob": 2, "cid": 2}
    assert {scene.runs(one)["assign"] for one in again} == {"fired"}

    scene.post_form(email="x@company7.example")
    scene.drain()
    assert owners(scene)["ann"] == 3, "companies that have an owner take no turn"


def test_turns_are_fair_whatever_workers_do_at_once(scene: Scene) -> None:
    scene.publish(ROUND_ROBIN)
    scene.accept_forms({"email": f"x@company{number}.example"} for number in range(120))
    drainers = [scene.new_drainer(batch_size=7) for _ in range(4)]
    threads = [threading.Thread(target=one.drain, args=(20,)) for one in drainers]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    scene.drain()

    assert owners(scene) == {"ann": 40, "bob": 40, "cid": 40}
    assert scene.differences() == []


# -- waiting -----------------------------------------------------------------------------------------------------------

WAITS = (
    f"{{rule: patient, {FORM}, if: {{contact.tags: {{has_none: [stop]}}}},"
    " then: [{add_tag: asked}, {wait: 3 days}, {add_tag: reminded}]%s}"
)


def test_a_rule_waits_and_goes_on(scene: Scene) -> None:
    scene.publish(WAITS % "")
    event_id = scene.post_form()
    scene.drain()
    assert tags(scene) == ["asked"]
    assert scene.runs(event_id) == {"patient": "waiting"}

    pass_time(scene, days=2, hours=23)
    assert tags(scene) == ["asked"]

    pass_time(scene, hours=2)
    assert tags(scene) == ["asked", "reminded"]
    (later,) = scene.rows("SELECT * FROM event WHERE type = 'wait_over'")
    assert later.state == "processed"
    assert scene.runs(later.id) == {"patient": "fired"}

    pass_time(scene, days=30)
    assert scene.value("SELECT count(*) FROM event") == 2
    assert scene.differences() == []


def test_the_condition_is_judged_again_after_the_wait(scene: Scene) -> None:
    scene.publish(WAITS % "")
    scene.post_form()
    scene.drain()
    scene.change_contact(scene.contact_id(), tags=["asked", "stop"])

    pass_time(scene, days=4)

    assert tags(scene) == ["asked", "stop"]
    (later,) = scene.rows("SELECT * FROM run WHERE event_id = (SELECT id FROM event WHERE type = 'wait_over')")
    assert later.outcome == "no_match"
    assert [one["path"] for one in later.clauses if not one["holds"]] == ["contact.tags"]


def test_with_recheck_false_it_is_not(scene: Scene) -> None:
    scene.publish(
        f"{{rule: stubborn, {FORM}, if: {{contact.tags: {{has_none: [stop]}}}},"
        " then: [{wait: {for: 1 hour, recheck: false}}, {add_tag: anyway}]}"
    )
    scene.post_form()
    scene.drain()
    scene.change_contact(scene.contact_id(), tags=["stop"])

    pass_time(scene, hours=2)

    assert tags(scene) == ["stop", "anyway"]


def test_what_the_form_said_is_still_known_after_the_wait(scene: Scene) -> None:
    scene.publish(
        "{rule: recalls, when: {form_submitted: {form: demo}}, if: {form.budget: {gte: 10}},"
        " then: [{wait: 1 day}, {add_tag: \"from {{ form.utm_campaign | default('nowhere') }}\"}]}"
    )
    scene.post_form("demo", budget="12.50", utm_campaign="Spring")
    scene.drain()

    pass_time(scene, days=2)

    assert tags(scene) == ["from Spring"]


def test_a_wait_is_over_once_however_often_it_is_released(scene: Scene) -> None:
    scene.publish(WAITS % "")
    scene.post_form()
    scene.drain()
    scene.clock.pass_by(days=4)
    engines = [scene.new_engine() for _ in range(4)]

    def release(engine: Any) -> None:
        for _ in range(5):
            with engine.begin() as connection:
                release_due_waits(connection, scene.clock())

    threads = [threading.Thread(target=release, args=(one,)) for one in engines]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    scene.drain()

    assert tags(scene) == ["asked", "reminded"]
    assert scene.value("SELECT count(*) FROM event WHERE type = 'wait_over'") == 1


@pytest.mark.parametrize(
    ("choice", "outcome", "reminders"),
    [("skip", "skipped_running", 1), ("restart", "waiting", 1), ("queue", "waiting", 2), ("parallel", "waiting", 2)],
)
def test_what_happens_when_it_fires_again_while_it_waits(
    scene: Scene, choice: str, outcome: str, reminders: int
) -> None:
    scene.publish(f"{{rule: patient, {FORM}, then: [{{wait: 3 days}}, {{create_task: Remind}}], if_running: {choice}}}")
    scene.post_form()
    scene.drain()
    scene.clock.pass_by(days=1)
    second = scene.post_form()
    scene.drain()
    assert scene.runs(second) == {"patient": outcome}

    pass_time(scene, days=2, minutes=1)
    assert scene.count("task") == (0 if choice == "restart" else 1)
    for _ in range(4):
        pass_time(scene, days=4)
    assert scene.count("task") == reminders


def test_a_rule_that_was_changed_or_switched_off_does_not_go_on(scene: Scene) -> None:
    scene.publish(WAITS % "")
    scene.post_form()
    scene.post_form(email="bo@quayside.example")
    scene.drain()
    scene.publish((WAITS % "").replace("{add_tag: asked}, ", ""))
    pass_time(scene, days=4)
    assert tags(scene) == ["asked"]
    assert {row.guard for row in scene.rows("SELECT guard FROM run WHERE outcome = 'no_match'")} == {
        "The rule was changed while it waited, so it does not go on."
    }

    scene.post_form(email="cid@harbour.example")
    scene.drain()
    scene.publish(WAITS % ", status: off")
    pass_time(scene, days=4)
    assert tags(scene, "cid@harbour.example") == []
    assert scene.value("SELECT count(*) FROM waiting WHERE state <> 'done'") == 0


def test_a_contact_who_moved_while_the_rule_waited_is_found_at_the_new_company(scene: Scene) -> None:
    scene.publish(f"{{rule: late, {FORM}, then: [{{wait: 1 day}}, {{set_category: Opportunity}}]}}")
    scene.post_form()
    scene.drain()
    elsewhere = scene.make_company("lead", "quayside.example")
    scene.change_contact(scene.contact_id(), company_id=elsewhere)

    pass_time(scene, days=2)

    assert (scene.category(elsewhere), scene.category()) == ("opportunity", "lead")
    assert "pending" not in scene.states()


def test_an_edit_of_a_contact_who_moved_at_once_is_still_judged(scene: Scene) -> None:
    scene.publish("{rule: sees, when: {record_changed: [contact.lead_status]}, then: [{add_tag: seen}]}")
    contact_id = scene.make_contact(company_id=scene.make_company())
    scene.change_contact(contact_id, lead_status="contacting")
    scene.change_contact(contact_id, company_id=scene.make_company("lead", "quayside.example"))
    scene.drain()

    assert scene.states() == ["processed"]
    assert tags(scene) == ["seen"]


def test_a_customer_stays_one_after_a_wait(scene: Scene) -> None:
    scene.publish(f"{{rule: late, {FORM}, then: [{{wait: 1 day}}, {{set_category: Opportunity}}]}}")
    scene.post_form()
    scene.drain()
    scene.change_company(scene.company_id(), category="customer")

    pass_time(scene, days=2)

    assert scene.category() == "customer"
    assert scene.rows("SELECT outcome FROM run ORDER BY id")[-1].outcome == "blocked_by_guard"


# -- proposals ---------------------------------------------------------------------------------------------------------

PROPOSES = f"{{rule: asks, status: propose, {FORM}, then: [{{set_category: Opportunity}}, {{create_task: Call}}]}}"


def propose(scene: Scene) -> dict[str, Any]:
    scene.publish(PROPOSES)
    scene.post_form()
    scene.drain()
    (found,) = scene.get("/proposals?state=open").json["items"]
    assert scene.category() == "lead"
    return dict(found)


def test_a_proposal_is_accepted(scene: Scene) -> None:
    found = propose(scene)
    assert [(one["field"], one["old"], one["new"]) for one in found["changes"]] == [
        ("category", "lead", "opportunity"),
        ("title", None, "Call"),
    ]

    answer = scene.post(f"/proposals/{found['id']}/accept", role="editor")

    assert answer.json["state"] == "accepted"
    assert scene.category() == "opportunity"
    assert scene.count("task") == 1
    assert scene.steps("company", scene.company_id(), "category")[-1] == ("lead", "opportunity", "api_key")
    assert scene.post(f"/proposals/{found['id']}/accept").status_code == 409


def test_a_proposal_is_accepted_with_another_category_or_declined(scene: Scene) -> None:
    found = propose(scene)
    scene.post(f"/proposals/{found['id']}/accept", {"category": "mql"})
    assert scene.category() == "mql"

    scene.post_form()
    scene.drain()
    (second,) = scene.get("/proposals?state=open").json["items"]
    declined = scene.post(f"/proposals/{second['id']}/decline", {"reason": "Too early."})
    assert (declined.json["state"], declined.json["reason"]) == ("declined", "Too early.")
    assert scene.category() == "mql"


def test_an_edit_in_the_meantime_wins(scene: Scene) -> None:
    found = propose(scene)
    scene.change_company(scene.company_id(), category="mql")

    answer = scene.post(f"/proposals/{found['id']}/accept")

    assert answer.json["state"] == "overtaken"
    assert scene.category() == "mql"
    assert scene.count("task") == 0


def test_the_same_proposal_is_not_made_twice(scene: Scene) -> None:
    propose(scene)
    for _ in range(3):
        scene.post_form()
    scene.drain()

    assert scene.count("proposal") == 1
    assert {row.outcome for row in scene.rows("SELECT outcome FROM run")} == {"proposed"}


def test_a_proposal_past_the_guard_is_never_made(scene: Scene) -> None:
    scene.make_company("customer")
    scene.publish(PROPOSES.replace(", {create_task: Call}", ""))
    event_id = scene.post_form()
    scene.drain()

    assert scene.runs(event_id) == {"asks": "blocked_by_guard"}
    assert scene.count("proposal") == 0


# -- what leaves -------------------------------------------------------------------------------------------------------


def test_messages_are_in_the_outbox_with_the_change_that_caused_them(scene: Scene) -> None:
    scene.publish(
        f"{{rule: tells, {FORM}, then: [{{set_category: Opportunity}},"
        ' {notify: {to: sales, text: "{{ contact.email }} asks"}},'
        " {webhook: {endpoint: crm, payload: {campaign: \"{{ form.utm_campaign | default('none') }}\"}}}]}"
    )
    event_id = scene.post_form()
    scene.drain()

    notification, webhook = scene.rows("SELECT * FROM outbox ORDER BY id")
    assert (notification.kind, notification.endpoint, notification.payload["text"]) == (
        "notification", "sales", f"{ANNA} asks",
    )  # fmt: skip
    assert (webhook.kind, webhook.endpoint, webhook.payload["payload"]) == ("webhook", "crm", {"campaign": "none"})
    assert webhook.payload["company"]["category"]["key"] == "opportunity"
    assert webhook.payload["contact"]["email"] == ANNA
    assert {one.event_id for one in (notification, webhook)} == {event_id}
    assert len(run_of(scene, event_id, "tells").changes) == 3


# -- what happened before ----------------------------------------------------------------------------------------------

TWICE = (
    "{rule: twice, when: {form_submitted: {form_type: content}}, if: {event_count:"
    " {of: form_submitted, where: {form_type: content}, by: %s, within_last: 30 days, gte: 2}},"
    " then: [{add_tag: {tag: hot, of: company}}]}"
)


def company_tags(scene: Scene) -> list[str]:
    found: list[str] = scene.value("SELECT tags FROM company WHERE domain = 'nordwind.example'")
    return found


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_the_second_content_form_in_thirty_days_counts_itself(scene: Scene, in_one_batch: bool) -> None:
    scene.publish(TWICE % "contact")
    first = scene.post_form("guide", form_type="Content")
    if not in_one_batch:
        scene.drain()
        scene.clock.pass_by(days=29)
    second = scene.post_form("guide", form_type="content")
    scene.drain()

    assert (scene.runs(first), scene.runs(second)) == ({"twice": "no_match"}, {"twice": "fired"})
    assert run_of(scene, second, "twice").clauses[-1]["value"] == "2"
    assert company_tags(scene) == ["hot"]


def test_forms_of_another_kind_person_or_time_do_not_count(scene: Scene) -> None:
    scene.publish(TWICE % "contact")
    scene.post_form("guide", form_type="content")
    scene.drain()
    scene.clock.pass_by(days=30, minutes=1)
    scene.post_form("newsletter", form_type="newsletter")
    scene.post_form("guide", email="bo@nordwind.example", form_type="content")
    scene.post_form("guide", form_type="content")
    scene.drain()
    assert company_tags(scene) == []

    scene.publish(TWICE % "company")
    scene.post_form("guide", email="cid@nordwind.example", form_type="content")
    scene.drain()
    assert company_tags(scene) == ["hot"]


def test_the_ledger_tells_how_long_a_status_stands(scene: Scene) -> None:
    scene.publish(
        f"{{rule: lost-long-ago, {FORM}, if: {{last_change: {{field: company.category, to: Lost opportunity,"
        " older_than: 180 days}}, then: [{set_category: MQL}]}"
    )
    company_id = scene.make_company("opportunity")
    scene.change_company(company_id, category="lost-opportunity")
    scene.clock.pass_by(days=100)
    scene.post_form()
    scene.drain()
    assert scene.category() == "lost-opportunity"

    scene.clock.pass_by(days=81)
    scene.post_form()
    scene.drain()
    assert scene.category() == "mql"


def test_a_change_in_the_same_batch_is_past_at_once(scene: Scene) -> None:
    scene.publish(
        "{rule: moves, priority: 90, when: {form_submitted: {form: demo}}, then: [{set_category: MQL}]}",
        "{rule: sees, when: {form_submitted: {form: late}}, if: {last_change: {field: company.category, to: MQL,"
        " within_last: 1 hour}}, then: [{add_tag: fresh}]}",
    )
    scene.post_form("demo")
    scene.post_form("late")
    scene.drain()

    assert tags(scene) == ["fresh"]


def test_an_event_that_never_happened_is_blank(scene: Scene) -> None:
    scene.publish(
        f"{{rule: first-sale, {FORM}, if: {{last_event: {{of: sale, by: company, exists: false}}}},"
        " then: [{add_tag: no-sale}]}"
    )
    scene.post_form()
    scene.drain()
    scene.make_sale(scene.company_id())
    scene.drain()
    scene.post_form(email="bo@nordwind.example")
    scene.drain()

    assert tags(scene) == ["no-sale"]
    assert tags(scene, "bo@nordwind.example") == []


# -- declared events, and rules started by hand ------------------------------------------------------------------------


def test_a_declared_event_triggers_rules_and_is_counted(scene: Scene) -> None:
    scene.publish(
        "{rule: attended, when: {event: {name: webinar_attended}}, then: [{add_tag: webinar}]}",
        "{rule: keen, when: {event: {name: webinar_attended}}, if: {event_count:"
        " {of: webinar_attended, gte: 2}}, then: [{add_tag: keen}]}",
    )
    first = scene.deliver(b'{"event": "webinar_attended", "email": "anna@nordwind.example"}', delivery_id="w-1")
    scene.drain()
    event = scene.event(first.get_json()["event_id"])
    assert (event.type, event.name, event.state) == ("event", "webinar_attended", "processed")
    assert tags(scene) == ["webinar"]

    scene.deliver(b'{"event": "Webinar_Attended", "email": "anna@nordwind.example"}', delivery_id="w-2")
    scene.drain()
    assert tags(scene) == ["webinar", "keen"]


def test_a_person_starts_a_rule_for_one_record(scene: Scene) -> None:
    scene.publish(
        '{rule: by-hand, when: {manual: contact}, then: [{add_tag: "by {{ user.name }}"}]}',
        "{rule: other, when: {manual: contact}, then: [{add_tag: other}]}",
    )
    contact_id = scene.make_contact()

    answer = scene.post("/rules/by-hand/start", {"contact_id": contact_id}, role="editor")
    assert answer.status_code == 201, answer.text
    scene.drain()

    assert tags(scene) == ["by editor person"]
    assert scene.runs(answer.json["id"]) == {"by-hand": "fired"}
    assert scene.post("/rules/by-hand/start", {"company_id": 1}).status_code == 422
    assert scene.post("/rules/nobody/start", {"contact_id": contact_id}).status_code == 404
    assert scene.post("/rules/by-hand/start", {"contact_id": contact_id}, role="viewer").status_code == 403
