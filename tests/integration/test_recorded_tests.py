"""A recorded run becomes a test of its rule, and says what it could not reproduce."""

from __future__ import annotations

from typing import Any

import yaml

from leadflow.rules.parsing import parse_documents
from leadflow.rules.testing.running import run_test
from leadflow.services.configuration import read_rule_documents
from leadflow.store.lists import read_lists
from tests.integration.api_support import problem_of
from tests.support.scenes import ANNA, CONFIG, PERSON, Scene

RULES = """leadflow: 1
rules:
  - rule: twice
    status: {status}
    when: {{form_submitted: {{form_type: content}}}}
    if:
      all:
        - company.category: {{in: [Lead], or_blank: true}}
        - contact.tags: {{has_none: [stop, blank]}}
        - event_count: {{of: form_submitted, where: {{form_type: content}}, by: contact, within_last: 30 days, gte: 2}}
    then:
      - set_category: {{to: MQL}}
      - create_task: {{title: "Call {{{{ contact.first_name | default('the lead') }}}}"}}
    limit: {{once_per: contact, within: 7 days}}
  - rule: after-the-move
    when: {{record_changed: {{company.category: {{to: MQL}}}}}}
    also_from_rules: true
    if: {{last_change: {{field: company.category, to: MQL, within_last: 1 day}}}}
    then: [{{add_tag: {{tag: moved, of: company}}}}]
"""


def publish(scene: Scene, status: str = "live") -> None:
    scene.publish_documents({"a.yaml": RULES.format(status=status)})


def run_of(scene: Scene, event_id: int, rule: str = "twice") -> Any:
    (row,) = scene.rows("SELECT * FROM run WHERE event_id = :event AND rule = :rule", event=event_id, rule=rule)
    return row


def recorded(scene: Scene, run: Any) -> dict[str, Any]:
    answer = scene.get(f"/runs/{run.id}/test", role="viewer")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json
    return shown


def part_of(shown: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(shown["document"])
    (test,) = document["tests"]
    return dict(test)


def content(scene: Scene, **more: Any) -> int:
    event_id = scene.post_form("guide", first_name="Anna", form_type="content", **more)
    scene.drain()
    return event_id


def test_a_run_that_acted_is_a_test_that_passes(scene: Scene) -> None:
    publish(scene)
    content(scene)
    scene.clock.pass_by(days=3)
    run = run_of(scene, content(scene))
    assert run.outcome == "fired"

    shown = recorded(scene, run)

    assert (shown["is_ok"], shown["faults"]) == (True, [])
    test = part_of(shown)
    assert test["given"]["company"]["category"] == "lead"
    assert test["given"]["contact"]["email"] == ANNA
    assert len(test["given"]["history"]) == 1
    assert test["event"]["form_submitted"]["form_type"] == "content"
    assert test["expect"] == {"outcome": "fired", "company": {"category": "mql"}, "tasks": ["Call Anna"]}


def test_it_passes_beside_the_rules_that_it_was_recorded_with_and_fails_beside_others(scene: Scene) -> None:
    publish(scene)
    content(scene)
    shown = recorded(scene, run_of(scene, content(scene)))
    with scene.engine.connect() as connection:
        lists = read_lists(connection)
    stricter = RULES.format(status="live").replace("gte: 2", "gte: 3")

    for text, is_ok in ((RULES.format(status="live"), True), (stricter, False)):
        parsed = parse_documents({"a.yaml": text, "a.test.yaml": shown["document"]}, lists.catalogue)
        assert not parsed.problems
        rule = next(one for one in parsed.rule_set.rules if one.slug == "twice")
        assert run_test(rule, parsed.tests[0], lists).is_ok is is_ok  # type: ignore[arg-type]


def test_a_run_that_did_not_match_says_because_of_what(scene: Scene) -> None:
    publish(scene)

    shown = recorded(scene, run_of(scene, content(scene)))

    assert part_of(shown)["expect"] == {"outcome": "no_match", "because": ["event_count"]}
    assert shown["is_ok"] is True


def test_a_run_that_was_limited_has_the_act_before_in_its_history(scene: Scene) -> None:
    publish(scene)
    content(scene)
    content(scene)
    company = scene.company_id()
    scene.change_company(company, PERSON, category="lead")
    scene.clock.pass_by(days=1)
    run = run_of(scene, content(scene))
    assert run.outcome == "limited"

    shown = recorded(scene, run)

    assert {"fired": True}.items() <= part_of(shown)["given"]["history"][-1].items()
    assert shown["is_ok"] is True


def test_what_a_rule_changed_calls_the_next_one(scene: Scene) -> None:
    publish(scene)
    content(scene)
    run = run_of(scene, content(scene), "after-the-move")
    assert (run.outcome, list(run.chain)) == ("fired", ["twice"])

    shown = recorded(scene, run)

    test = part_of(shown)
    assert test["event"]["by_rule"] == "twice"
    assert test["event"]["record_changed"]["company.category"] == {"from": "lead", "to": "mql"}
    assert shown["is_ok"] is True, shown


def test_a_persons_change_is_told_from_and_to(scene: Scene) -> None:
    publish(scene)
    company = scene.make_company(category="lead")
    scene.change_company(company, PERSON, category="mql")
    scene.drain()
    (run,) = scene.rows("SELECT * FROM run WHERE rule = 'after-the-move'")

    shown = recorded(scene, run)

    assert part_of(shown)["event"] == {"record_changed": {"company.category": {"from": "lead", "to": "mql"}}}
    assert part_of(shown)["given"]["contact"] == "none"
    assert shown["is_ok"] is True, shown


def test_what_the_ledger_kept_is_given_as_it_was_then(scene: Scene) -> None:
    publish(scene)
    run = run_of(scene, content(scene))
    scene.clock.pass_by(days=1)
    scene.change_company(scene.company_id(), PERSON, category="customer", tags=["late"])

    given = part_of(recorded(scene, run))["given"]

    assert given["company"]["category"] == "lead"
    assert "tags" not in given["company"]


def test_what_was_not_recorded_is_said(scene: Scene) -> None:
    publish(scene)
    content(scene)
    run = run_of(scene, content(scene))
    scene.change_contact(scene.contact_id(), PERSON, first_name="Bea")

    shown = recorded(scene, run)

    assert shown["is_ok"] is False
    assert shown["faults"] == ["expected the tasks “Call Anna”, but there are “Call Bea”"]
    assert "# Not recorded, so the test does not pass: expected the tasks" in shown["document"]
    assert "# Names are as they are now." in shown["document"]


def test_a_rule_in_shadow_is_told_as_if_it_were_live(scene: Scene) -> None:
    publish(scene, status="shadow")
    content(scene)
    run = run_of(scene, content(scene))
    assert run.outcome == "shadow"

    shown = recorded(scene, run)

    assert part_of(shown)["expect"]["fires"] is True
    assert shown["is_ok"] is True


def test_a_tag_that_reads_like_blank_is_no_blank(scene: Scene) -> None:
    publish(scene)
    company = scene.make_company(category="lead")
    scene.make_contact(ANNA, company, tags=["Blank"])
    shown = recorded(scene, run_of(scene, content(scene)))

    assert 'tags: ["Blank"]' in shown["document"] or '- "Blank"' in shown["document"]
    assert part_of(shown)["expect"]["because"] == ["contact.tags", "event_count"]
    assert shown["is_ok"] is True


def test_every_run_of_the_shipped_rules_makes_a_test(scene: Scene) -> None:
    scene.publish_documents(read_rule_documents(CONFIG / "rules"))
    scene.post_form("demo-request", first_name="Anna", utm_campaign="spring")
    scene.drain()
    company = scene.company_id()
    sale = scene.make_sale(company, amount="1000", title="Licence")
    scene.drain()
    scene.change_sale(sale, "lost")
    scene.post_form("demo-request")
    scene.drain()
    runs = scene.rows("SELECT * FROM run ORDER BY id")

    shown = [recorded(scene, run) for run in runs]

    assert len(shown) >= 5
    assert [(one["rule"], one["faults"]) for one in shown if not one["is_ok"]] == []


def test_a_run_that_is_not_there_is_not_found(scene: Scene) -> None:
    problem_of(scene.get("/runs/77/test"), 404)
