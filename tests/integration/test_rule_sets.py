"""Rule sets: published whole or not at all, versioned, live for the workers at their next transaction."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from leadflow.errors import ConfigurationError, StaleWrite
from leadflow.services.installation import apply_configuration
from leadflow.services.rule_sets import RulesHaveProblems, live_documents, live_origin, publish
from leadflow.store.lists import read_lists
from tests.support.scenes import PERSON, PROTECTED, Scene

TAG = (
    "leadflow: 1\nrules:\n"
    "  - {{rule: tag, status: {status}, when: {{form_submitted: any}}, then: [{{add_tag: {tag}}}]}}\n"
)
TWELVE_MISTAKES = """\
leadflow: 1
colour: red
rules:
  - rule: One
    when: {form_submitted: any}
    then: [{add_tag: a}]
  - rule: two
    status: on
    when: {form_submited: any}
    then: [{add_tag: a}]
  - rule: three
    priority: 700
    when: {form_submitted: any}
    if:
      all:
        - company.category: [Leed]
        - company.size: {is: 3}
        - company.open_sales: {contains: 3}
        - contact.created_at: {older_than: 3 months}
    then:
      - set_category: {to: Custmer}
      - set_mood: happy
  - rule: four
    when: {sale: won}
  - rule: two
    when: {form_submitted: any}
    then: [{add_tag: a}]
"""


def publish_documents(scene: Scene, documents: dict[str, str], based_on: int | None = None) -> int:
    with scene.engine.begin() as connection:
        return publish(connection, PERSON, documents, origin="ui", now=scene.clock(), based_on=based_on)


def live(scene: Scene) -> tuple[int | None, dict[str, str]]:
    with scene.engine.connect() as connection:
        return live_documents(connection)


def tags(scene: Scene) -> list[str]:
    found: list[str] = scene.value("SELECT tags FROM contact")
    return found


def test_workers_see_a_new_version_at_their_next_transaction(scene: Scene) -> None:
    publish_documents(scene, {"a.yaml": TAG.format(status="live", tag="first")})
    scene.post_form("x")
    scene.drain()
    version = publish_documents(scene, {"a.yaml": TAG.format(status="live", tag="second")})

    event = scene.post_form("x")
    scene.drain()

    assert tags(scene) == ["first", "second"]
    assert scene.value("SELECT version FROM run WHERE event_id = :id", id=event) == version


def test_a_set_with_problems_is_not_published_and_what_ran_keeps_running(scene: Scene) -> None:
    before = live(scene)

    with pytest.raises(RulesHaveProblems) as raised:
        publish_documents(scene, {"a.yaml": TAG.format(status="live", tag="x"), "b.yaml": TWELVE_MISTAKES})
    scene.post_form("demo-request")
    scene.drain()

    places = {(one.line, one.column) for one in raised.value.problems}
    assert len(places) >= 12, str(raised.value)
    assert {one.file for one in raised.value.problems} == {"b.yaml"}
    assert live(scene) == before
    assert scene.category() == "mql"


def test_the_same_documents_again_are_no_version(scene: Scene) -> None:
    version, documents = live(scene)

    assert publish_documents(scene, documents) == version
    assert scene.count("rule_set") == 1


def test_an_edit_is_based_on_the_version_it_was_made_from(scene: Scene) -> None:
    version, _ = live(scene)
    newer = publish_documents(scene, {"a.yaml": TAG.format(status="live", tag="x")}, based_on=version)

    with pytest.raises(StaleWrite, match=f"version {newer} by now; your edit was based on version {version}"):
        publish_documents(scene, {"a.yaml": TAG.format(status="live", tag="y")}, based_on=version)

    assert live(scene)[0] == newer


def test_a_version_says_who_made_it_and_stays(scene: Scene) -> None:
    first = live(scene)
    publish_documents(scene, {})

    rows = scene.rows("SELECT * FROM rule_set ORDER BY version")
    assert [(row.actor_kind, row.actor_name, row.origin) for row in rows] == [
        ("system", "leadflow", "config"), ("person", "Paula", "ui"),
    ]  # fmt: skip
    kept = scene.rows("SELECT name, text FROM rule_document WHERE version = :v ORDER BY name", v=first[0])
    assert {row.name: row.text for row in kept} == first[1]
    with scene.engine.connect() as connection:
        assert live_origin(connection) == "ui"


def test_without_rules_a_form_is_processed(scene: Scene) -> None:
    publish_documents(scene, {})

    event = scene.post_form("demo-request")
    scene.drain()

    assert scene.event(event).state == "processed"
    assert scene.category() == "lead"
    assert scene.count("run") == 0


@pytest.mark.parametrize(("status", "outcome", "expected"), [
    ("live", {"tag": "fired"}, ["x"]), ("shadow", {"tag": "shadow"}, []), ("draft", {}, []), ("off", {}, []),
])  # fmt: skip
def test_the_status_says_whether_a_rule_acts(
    scene: Scene, status: str, outcome: dict[str, str], expected: list[str]
) -> None:
    publish_documents(scene, {"a.yaml": TAG.format(status=status, tag="x")})

    event = scene.post_form("x")
    scene.drain()

    assert scene.runs(event) == outcome
    assert tags(scene) == expected


@pytest.mark.parametrize("category", ["lead", *PROTECTED])
def test_a_shadow_rule_records_what_it_would_do_and_writes_nothing(scene: Scene, category: str) -> None:
    company = scene.make_company(category)
    silent = scene.make_contact("bo@nordwind.example", company)
    scene.publish(
        "{rule: shadow, status: shadow, when: {form_submitted: any}, then: [{set_category: {to: mql}},"
        " {set_lead_status: {to: Qualified, of: all_contacts}}, {create_task: {title: Call}}]}"
    )
    before = (scene.category(company), scene.lead_status(silent), scene.count("task"))

    scene.post_form("x", "bo@nordwind.example")
    scene.drain()

    (run,) = scene.rows("SELECT * FROM run")
    assert run.outcome == "shadow"
    moves = [one for one in run.changes if one["field"] == "category"]
    assert moves == ([{"entity": "company", "entity_id": company, "field": "category", "old": "lead", "new": "mql"}]
                     if category == "lead" else [])  # fmt: skip
    assert (scene.category(company), scene.lead_status(silent), scene.count("task")) == before
    assert scene.rows("SELECT 1 FROM change WHERE rule = 'shadow'") == []
    assert scene.differences() == []


# Names that documents share -------------------------------------------------------------------------------------------


def test_a_published_set_may_share_lists_and_segments(scene: Scene) -> None:
    publish_documents(
        scene,
        {
            "shared/names.yaml": "leadflow: 1\nlists: {rivals: {file: rivals.txt}}\n"
            "segments: {rival: {form.email: {domain_in: rivals}}}\n",
            "shared/rivals.txt": "rival.example  # a rival\n",
            "a.yaml": "leadflow: 1\nuse: [shared/names.yaml]\nvars: {label: rival}\nrules:\n"
            "  - {rule: tag, status: live, when: {form_submitted: any}, if: {segment: rival},"
            " then: [{add_tag: $label}]}\n",
        },
    )

    for email in ("anna@rival.example", "bo@nordwind.example"):
        scene.post_form("x", email)
    scene.drain()

    assert [list(row) for row in scene.rows("SELECT email, tags FROM contact ORDER BY email")] == [
        ["anna@rival.example", ["rival"]], ["bo@nordwind.example", []],
    ]  # fmt: skip


def test_a_faulty_list_file_keeps_the_set_from_being_published(scene: Scene) -> None:
    before = live(scene)
    using = (
        "leadflow: 1\nlists: {rivals: {file: rivals.txt}}\nrules:\n  - {rule: tag, when: {form_submitted: any},"
        " if: {form.email: {domain_in: rivals}}, then: [{add_tag: x}]}\n"
    )

    with pytest.raises(RulesHaveProblems) as raised:
        publish_documents(scene, {"a.yaml": using, "rivals.txt": "rival.example\nrival\n"})

    assert [(one.file, one.line) for one in raised.value.problems] == [("rivals.txt", 2)]
    assert live(scene) == before


# Declared events ------------------------------------------------------------------------------------------------------

ATTENDED = (
    "leadflow: 1\nrules:\n"
    "  - {rule: once, status: live, when: {event: {name: webinar_attended}}, if: {event.minutes: {gte: 45}},"
    " then: [{add_tag: attended}]}\n"
    "  - {rule: twice, status: live, when: {form_submitted: any}, if: {event_count: {of: webinar_attended,"
    " where: {minutes: {gte: 45}}, within_last: 30 days, gte: 2}}, then: [{add_tag: keen}]}\n"
)


def post_event(scene: Scene, name: str, **fields: object) -> int:
    document = {"event": name, "email": "anna@nordwind.example", **fields}
    response = scene.deliver(json.dumps(document).encode(), delivery_id=f"{name} {sorted(fields.items())}")
    assert response.status_code == 200
    return int(response.get_json()["event_id"])


def test_a_declared_event_triggers_rules_and_is_counted(scene: Scene) -> None:
    publish_documents(scene, {"a.yaml": ATTENDED})

    post_event(scene, "webinar_attended", minutes=10)
    scene.drain()
    none = tags(scene)
    for number in (1, 2):
        post_event(scene, "webinar_attended", minutes=60, webinar=f"part {number}")
    scene.post_form("x")
    scene.drain()

    assert none == []
    assert set(scene.states()) == {"processed"}
    assert tags(scene) == ["attended", "keen"]


def test_an_undeclared_event_is_held_with_the_nearest_name(scene: Scene) -> None:
    event = post_event(scene, "webinar_atended")
    scene.drain()

    held = scene.event(event)
    assert held.state == "held"
    assert held.error == "The event 'webinar_atended' is not declared; did you mean 'webinar_attended'?"


def test_a_held_event_is_worked_on_once_it_is_declared(scene: Scene) -> None:
    event = post_event(scene, "badge_scanned")
    scene.drain()
    before = scene.event(event).state
    declared = replace(scene.configuration, events={**scene.configuration.events, "badge_scanned": "At the fair"})
    with scene.engine.begin() as connection:
        apply_configuration(connection, declared, scene.clock())
    rules = ATTENDED.replace("webinar_attended", "badge_scanned").replace("gte: 45", "exists: false")
    publish_documents(scene, {"a.yaml": rules})

    scene.replay(event)
    scene.drain()

    assert (before, scene.event(event).state) == ("held", "processed")
    assert tags(scene) == ["attended"]


def test_declared_events_follow_the_files_and_stay_while_a_live_rule_names_them(scene: Scene) -> None:
    publish_documents(scene, {"a.yaml": ATTENDED})

    def apply(events: dict[str, str]) -> None:
        changed = replace(scene.configuration, events=events, rule_documents={})
        with scene.engine.begin() as connection:
            apply_configuration(connection, changed, scene.clock())

    with pytest.raises(ConfigurationError, match="'webinar_attended' is not a declared event"):
        apply({"webinar_atended": "Attended"})
    with scene.engine.connect() as connection:
        assert read_lists(connection).catalogue.events == scene.configuration.events
    apply({"zeta": "Z", "webinar_attended": "Went", "alpha": "A"})
    with scene.engine.connect() as connection:
        events = read_lists(connection).catalogue.events
    assert list(events.items()) == [("zeta", "Z"), ("webinar_attended", "Went"), ("alpha", "A")]


# Limits, conflicts and chains, as workers see them --------------------------------------------------------------------


def test_a_limit_holds_across_batches_and_ends(scene: Scene) -> None:
    for _ in range(2):
        scene.post_form("demo-request")
    scene.drain()
    scene.clock.pass_by(days=6, hours=23)
    scene.post_form("demo-request", "bo@nordwind.example")
    scene.drain()
    within = scene.count("task")
    scene.clock.pass_by(hours=1)
    scene.post_form("demo-request")
    scene.post_form("demo-request", "a@south.example")
    scene.drain()

    assert (within, scene.count("task")) == (1, 3)


def test_the_first_rule_decides_a_field_even_when_the_guard_refuses(scene: Scene) -> None:
    company = scene.make_company("mql")
    scene.publish(
        "{rule: first, status: live, priority: 90, when: {form_submitted: any}, then: [{set_category: {to: lead}}]}",
        "{rule: second, status: live, when: {form_submitted: any}, then: [{set_category: {to: opportunity}}]}",
    )

    event = scene.post_form("x")
    scene.drain()

    assert scene.runs(event) == {"first": "blocked_by_guard", "second": "conflict_lost"}
    assert scene.category(company) == "mql"


def test_an_event_that_calls_a_rule_twice_makes_it_act_once(scene: Scene) -> None:
    """A form of a stranger creates a contact and is a form: a rule that listens to both makes one task."""
    scene.publish(
        "{rule: greet, status: live, when: [{record_created: contact}, {form_submitted: any}],"
        " then: [{create_task: {title: Greet}}]}"
    )

    event = scene.post_form("x")
    scene.drain()

    assert scene.event(event).state == "processed", scene.event(event).error
    assert scene.count("task") == 1


def test_a_rule_called_for_each_of_several_contacts_makes_a_task_for_each(scene: Scene) -> None:
    company = scene.make_company("lead")
    for name in ("anna", "bo"):
        scene.make_contact(f"{name}@nordwind.example", company)
    scene.publish(
        "{rule: qualify, status: live, when: {form_submitted: any},"
        " then: [{set_lead_status: {to: Qualified, of: all_contacts}}]}",
        "{rule: call, status: live, when: {record_changed: [contact.lead_status]}, also_from_rules: true,"
        " then: [{create_task: {title: Call}}]}",
    )

    event = scene.post_form("x")
    scene.drain()

    assert scene.event(event).state == "processed", scene.event(event).error
    assert scene.count("task") == 2


def test_rules_that_call_each_other_end(scene: Scene) -> None:
    company = scene.make_company("lead")
    scene.publish(
        "{rule: ping, status: live, when: [{form_submitted: any}, {record_changed: [company.owner]}],"
        " also_from_rules: true, then: [{add_tag: {tag: ping, of: company}},"
        " {set_field: {field: company.owner, to: Bo}}]}",
        "{rule: pong, status: live, when: {record_changed: [company.owner]}, also_from_rules: true,"
        " then: [{set_field: {field: company.owner, to: Eva}}]}",
    )

    event = scene.post_form("x")
    scene.drain()

    assert scene.event(event).state == "processed", scene.event(event).error
    owners = [new for _, new, _ in scene.steps("company", company, "owner")]
    assert owners == ["Bo", "Eva"]
    assert scene.differences() == []


def test_a_rule_does_not_hear_of_other_rules_unless_it_says_so(scene: Scene) -> None:
    scene.make_company("lead")
    scene.publish(
        "{rule: move, status: live, when: {form_submitted: any}, then: [{set_category: {to: mql}}]}",
        "{rule: deaf, status: live, when: {record_changed: [company.category]},"
        " then: [{add_tag: {tag: heard, of: company}}]}",
    )

    scene.post_form("x")
    scene.drain()

    assert scene.value("SELECT tags FROM company") == []


def test_a_rule_hears_of_a_persons_edit_once(scene: Scene) -> None:
    company = scene.make_company("lead")
    scene.publish(
        "{rule: hears, status: live, when: {record_changed: {company.category: {from: [lead], to: mql}}},"
        " then: [{create_task: {title: Look}}]}"
    )

    scene.change_company(company, category="mql")
    scene.change_company(company, category="mql", owner="Bo")
    scene.change_company(company, category="opportunity")
    scene.drain()

    assert scene.count("task") == 1
    assert set(scene.states()) == {"processed"}
