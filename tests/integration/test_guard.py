"""The invariants of the domain, tried on every path by which leadflow itself writes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from leadflow.domain.events import SYSTEM, Actor, ActorKind
from leadflow.errors import Refused
from leadflow.services import lists, processing, rule_sets
from leadflow.services.checking import check_database
from tests.support.scenes import ANNA, AUTOMATION, PERSON, POTENTIAL, PROTECTED, Scene


def rule_setting(category: str, when: str = "{form_submitted: any}", slug: str = "tempter", **more: str) -> str:
    extra = "".join(f", {name}: {value}" for name, value in more.items())
    return f"{{rule: {slug}, status: live, when: {when}, then: [{{set_category: {{to: {category}}}}}]{extra}}}"


def make_protected(scene: Scene) -> dict[str, int]:
    """A company in each protected category, with a contact."""
    companies = {one: scene.make_company(one, f"{one}.example") for one in PROTECTED}
    for one, company in companies.items():
        scene.make_contact(f"anna@{one}.example", company)
    return companies


def assert_nothing_moved(scene: Scene, companies: dict[str, int]) -> None:
    assert {one: scene.category(company) for one, company in companies.items()} == {one: one for one in companies}
    moved = scene.rows("SELECT * FROM change WHERE entity = 'company' AND field = 'category' AND old IS NOT NULL")
    assert moved == []
    assert scene.differences() == []


# 1: no downgrade ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", POTENTIAL)
def test_no_rule_moves_a_company_out_of_a_protected_group(scene: Scene, target: str) -> None:
    companies = make_protected(scene)
    scene.publish(rule_setting(target))

    events = [scene.post_form("any", f"anna@{one}.example") for one in companies]
    scene.drain()

    assert [scene.runs(event) for event in events] == [{"tempter": "blocked_by_guard"}] * 4
    (guard,) = {row.guard[-51:] for row in scene.rows("SELECT guard FROM run")}
    assert guard == "automation never takes a company out of that group."
    assert_nothing_moved(scene, companies)


def test_no_chain_of_rules_does(scene: Scene) -> None:
    companies = make_protected(scene)
    scene.publish(
        "{rule: first, status: live, when: {form_submitted: any}, then: [{set_field: {field: company.owner, to: Bo}}]}",
        rule_setting("mql", "{record_changed: [company.owner]}", also_from_rules="true"),
    )

    events = [scene.post_form("any", f"anna@{one}.example") for one in companies]
    scene.drain()

    assert [scene.runs(event)["tempter"] for event in events] == ["blocked_by_guard"] * 4
    assert_nothing_moved(scene, companies)


def test_no_rule_that_hears_of_a_persons_edit_does(scene: Scene) -> None:
    companies = make_protected(scene)
    scene.publish(rule_setting("mql", "{record_changed: [company.owner]}"))

    for company in companies.values():
        scene.change_company(company, owner="Bo")
    scene.drain()

    assert scene.states() == ["processed"] * 4
    assert_nothing_moved(scene, companies)


def test_no_sale_does(scene: Scene) -> None:
    companies = make_protected(scene)

    for company in companies.values():
        sale = scene.make_sale(company)
        for status in ("lost", "open", "stalled", "sold"):
            scene.change_sale(sale, status)
    scene.drain()

    assert set(scene.states()) == {"processed"}
    assert_nothing_moved(scene, companies)


def test_no_replay_does(scene: Scene) -> None:
    """The event was accepted while the company was a lead, failed, and comes again when it is a customer."""
    company = scene.make_company("lead")
    event = scene.post_form("demo-request")
    with scene.transaction() as connection:
        connection.exec_driver_sql("UPDATE event SET state = 'failed', error = 'a test'")
    scene.change_company(company, category="customer")

    assert scene.post(f"/events/{event}/replay", acts_as="automation").status_code == 200
    scene.drain()

    assert scene.event(event).state == "processed"
    assert scene.category(company) == "customer"
    assert scene.runs(event)["demo-request-to-mql"] == "no_match"


@pytest.mark.parametrize("target", [*POTENTIAL, *PROTECTED, None])
def test_no_automation_key_does(scene: Scene, target: str | None) -> None:
    for one, company in make_protected(scene).items():
        answer = scene.patch(f"/companies/{company}", {"category": target}, acts_as="automation")

        assert answer.status_code == (200 if one == target else 409)
        if one != target:
            assert "utomation never take" in answer.get_json(force=True)["detail"]
        assert scene.category(company) == one


def test_an_automation_key_has_no_other_way_either(scene: Scene) -> None:
    company = scene.make_company("customer")
    contact = scene.make_contact(company_id=company)
    lead = scene.make_company("lead", "south.example")

    refused = [
        scene.patch(f"/companies/{company}", {"domain": "elsewhere.example"}, acts_as="automation"),
        scene.patch(f"/companies/{company}", {"domain": None}, acts_as="automation"),
        scene.post("/companies", {"domain": "nordwind.example", "category": "lead"}, acts_as="automation"),
        scene.patch(f"/contacts/{contact}", {"company_id": lead}, acts_as="automation"),
        scene.patch(f"/contacts/{contact}", {"company_id": None}, acts_as="automation"),
        scene.patch(f"/contacts/{contact}", {"category": "lead"}, acts_as="automation"),
        scene.patch("/categories/customer", {"group": "potential_customer"}, acts_as="automation"),
        scene.delete(f"/companies/{company}", acts_as="automation"),
    ]

    assert [one.status_code for one in refused] == [409, 409, 409, 409, 409, 409, 403, 405]
    assert scene.category(company) == "customer"


@pytest.mark.parametrize("kind", [one for one in ActorKind if one not in (ActorKind.PERSON, ActorKind.CONNECTOR)])
def test_whoever_is_no_person_is_bound(scene: Scene, kind: ActorKind) -> None:
    company = scene.make_company("customer")

    with pytest.raises(Refused):
        scene.change_company(company, Actor(kind, None, "somebody"), category="lead")

    assert scene.category(company) == "customer"


def test_a_person_may_move_any_company(scene: Scene) -> None:
    companies = make_protected(scene)

    for company in companies.values():
        assert scene.patch(f"/companies/{company}", {"category": "lead"}).status_code == 200

    assert {scene.category(company) for company in companies.values()} == {"lead"}
    assert scene.differences() == []


def test_a_category_without_a_group_is_protected(scene: Scene) -> None:
    with scene.engine.begin() as connection:
        lists.create_category(connection, PERSON, {"key": "unsorted", "name": "Unsorted", "group": None})
    company = scene.make_company("unsorted")
    scene.publish(rule_setting("mql"))

    event = scene.post_form("any")
    scene.drain()

    assert scene.runs(event) == {"tempter": "blocked_by_guard"}
    assert scene.category(company) == "unsorted"
    assert scene.patch(f"/companies/{company}", {"category": "lead"}, acts_as="automation").status_code == 409


def test_a_company_marked_do_not_automate_is_left_alone(scene: Scene) -> None:
    company = scene.make_company("lead", do_not_automate=True)

    event = scene.post_form("demo-request")
    scene.drain()

    assert scene.runs(event)["demo-request-to-mql"] == "blocked_by_guard"
    assert scene.category(company) == "lead"
    assert scene.patch(f"/companies/{company}", {"category": "mql"}, acts_as="automation").status_code == 409
    assert scene.patch(f"/companies/{company}", {"category": "mql"}).status_code == 200


# 2 and 3: forward only, and the exits ---------------------------------------------------------------------------------


def domain_of(source: str | None, target: str) -> str:
    return f"{source or 'nothing'}-to-{target}.example"


def by_rule(scene: Scene, source: str | None, target: str) -> bool:
    event = scene.post_form(f"to-{target}", f"x@{domain_of(source, target)}")
    scene.drain()
    return scene.runs(event)[f"to-{target}"] == "fired"


def by_key(scene: Scene, source: str | None, target: str) -> bool:
    company = scene.company_id(domain_of(source, target))
    return scene.patch(f"/companies/{company}", {"category": target}, acts_as="automation").status_code == 200


@pytest.mark.parametrize("move", [by_rule, by_key])
def test_automation_takes_exactly_the_steps_of_the_graph(
    scene: Scene, move: Callable[[Scene, str | None, str], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rules that the graph never lets act are refused when they are published; these are older than the graph.
    monkeypatch.setattr(rule_sets, "errors_of", lambda *_: ())
    targets = [*POTENTIAL, *PROTECTED]
    scene.publish(*(rule_setting(one, f"{{form_submitted: {{form: to-{one}}}}}", f"to-{one}") for one in targets))
    pairs = {(source, target) for source, target in product([None, *POTENTIAL], targets) if source != target}
    for source, target in pairs:
        scene.make_company(source, domain_of(source, target))

    taken = {pair for pair in pairs if move(scene, *pair)}

    assert taken == {(edge.source, edge.target) for edge in scene.configuration.edges}
    assert scene.differences() == []


@pytest.mark.parametrize("target", [*POTENTIAL, *PROTECTED])
def test_an_automation_key_begins_a_company_where_the_graph_begins(scene: Scene, target: str) -> None:
    answer = scene.post("/companies", {"name": "New", "category": target}, acts_as="automation")

    assert answer.status_code == (201 if target in ("lead", "mql", "opportunity") else 409)


def test_a_sold_sale_is_the_only_way_out_and_nothing_leads_back(scene: Scene) -> None:
    companies = {one: scene.make_company(one, f"{one}.example") for one in POTENTIAL}
    sales = {one: scene.make_sale(company) for one, company in companies.items()}
    scene.drain()

    for sale in sales.values():
        scene.change_sale(sale, "sold")
    scene.drain()
    for sale in sales.values():
        scene.change_sale(sale, "lost")
    for one in companies:
        scene.post_form("demo-request", f"x@{one}.example")
    scene.drain()

    assert {scene.category(company) for company in companies.values()} == {"customer"}


# 4: people win --------------------------------------------------------------------------------------------------------


def test_a_rule_is_judged_on_what_a_person_wrote_a_moment_before(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker has claimed the event; before it has locked the company, a person makes it a partner."""
    company = scene.make_company("lead")
    event = scene.post_form("demo-request")
    once = iter([True])

    def edit_first(*args: Any, **options: Any) -> Any:
        if next(once, False):
            scene.change_company(company, category="partner")
        return gather(*args, **options)

    gather = processing.gather
    monkeypatch.setattr(processing, "gather", edit_first)
    scene.drain()

    assert scene.category(company) == "partner"
    assert scene.runs(event)["demo-request-to-mql"] == "no_match"


def test_an_edit_that_comes_while_a_rule_decides_waits_and_wins(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker holds the company already; the person's write waits for it, and stands."""
    company = scene.make_company("lead")
    scene.post_form("demo-request")
    person = threading.Thread(target=scene.change_company, args=(company,), kwargs={"category": "partner"})
    decide = processing._decide

    def let_the_person_begin(*args: Any) -> Any:
        person.start()
        person.join(0.3)
        assert person.is_alive(), "the edit went past the worker's lock"
        return decide(*args)

    monkeypatch.setattr(processing, "_decide", let_the_person_begin)
    scene.drain()
    person.join(5)

    steps = scene.steps("company", company, "category")
    assert steps == [(None, "lead", "person"), ("lead", "mql", "rule"), ("mql", "partner", "person")]
    assert scene.category(company) == "partner"


def test_the_lead_status_that_a_person_set_is_not_overwritten_by_a_rule_that_saw_another(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    contact = scene.make_contact(company_id=scene.make_company("lead"))
    scene.publish(
        "{rule: disqualify, status: live, when: {form_submitted: any},"
        " if: {all: [{contact.lead_status: Open}]}, then: [{set_lead_status: {to: Disqualified}}]}"
    )
    event = scene.post_form("any")
    gather, once = processing.gather, iter([True])

    def edit_first(*args: Any, **options: Any) -> Any:
        if next(once, False):
            scene.change_contact(contact, lead_status="qualified")
        return gather(*args, **options)

    monkeypatch.setattr(processing, "gather", edit_first)
    scene.drain()

    assert scene.lead_status(contact) == "qualified"
    assert scene.runs(event) == {"disqualify": "no_match"}


# 7 and 8: whose the category is, and what a form touches --------------------------------------------------------------


@pytest.mark.parametrize("acts_as", ["person", "automation"])
def test_the_category_of_a_contact_with_a_company_is_the_companys(scene: Scene, acts_as: str) -> None:
    company = scene.make_company("lead")
    contact = scene.make_contact(company_id=company)

    changed = scene.patch(f"/contacts/{contact}", {"category": "mql"}, acts_as=acts_as)
    created = scene.post("/contacts", {"email": "bo@x.example", "company_id": company, "category": "mql"})

    for answer in (changed, created):
        assert answer.status_code == 409
        assert f"The category is the company's: change it there (company {company})" in answer.text
    assert scene.get(f"/contacts/{contact}").get_json()["category"]["key"] == "lead"


@pytest.mark.parametrize("category", [None, "mql", "opportunity", "customer", "other"])
def test_a_form_gives_its_default_category_to_new_companies_only(scene: Scene, category: str | None) -> None:
    company = scene.make_company(category)

    scene.post_form("newsletter")
    scene.post_form("newsletter", "new@unknown.example")
    scene.drain()

    assert scene.category(company) == category
    assert scene.steps("company", scene.company_id("unknown.example"), "category") == [(None, "lead", "source")]


def test_a_free_mail_address_makes_no_company(scene: Scene) -> None:
    scene.post_form("demo-request", "anna@gmail.com")
    scene.drain()

    assert scene.states() == ["processed"]
    assert scene.rows("SELECT 1 FROM company") == []
    assert scene.lead_status(scene.contact_id("anna@gmail.com")) is None


# 9: first touch -------------------------------------------------------------------------------------------------------

FIRST = {"utm_source": "linkedin", "utm_medium": "social", "utm_campaign": "spring", "utm_term": "crm",
         "utm_content": "a", "referrer": "https://l.example/"}  # fmt: skip
LATER = {name: f"later {value}" for name, value in FIRST.items()}


def test_the_first_touch_is_written_once_and_each_submission_keeps_its_own(scene: Scene) -> None:
    events = [scene.post_form("a", **FIRST), scene.post_form("b", **LATER), scene.post_form("c")]
    scene.drain()
    company, contact = scene.company_id(), scene.contact_id()

    for path in (f"/companies/{company}", f"/contacts/{contact}"):
        shown = scene.get(path).get_json()["first_touch"]
        assert shown.pop("at") is not None
        assert shown == {name.removeprefix("utm_"): value for name, value in FIRST.items()}
    kept = [scene.event(event).fields for event in events]
    assert [one.get("utm_source") for one in kept] == ["linkedin", "later linkedin", None]


def test_the_first_touch_of_a_contact_is_not_that_of_its_company(scene: Scene) -> None:
    scene.post_form("a", **FIRST)
    scene.post_form("a", "bo@nordwind.example", **LATER)
    scene.drain()

    shown = scene.get(f"/contacts/{scene.contact_id('bo@nordwind.example')}").get_json()
    assert shown["first_touch"]["source"] == "later linkedin"
    assert scene.get(f"/companies/{scene.company_id()}").get_json()["first_touch"]["source"] == "linkedin"


@pytest.mark.parametrize("acts_as", ["person", "automation"])
def test_nobody_writes_a_first_touch_by_the_api(scene: Scene, acts_as: str) -> None:
    scene.post_form("a", **FIRST)
    scene.drain()

    for path in (f"/companies/{scene.company_id()}", f"/contacts/{scene.contact_id()}"):
        answer = scene.patch(path, {"first_touch": {"source": "google"}}, acts_as=acts_as)
        assert answer.status_code == 422
        assert scene.get(path).get_json()["first_touch"]["source"] == "linkedin"


# 12: everything has a cause -------------------------------------------------------------------------------------------


def test_every_change_has_its_cause_and_the_state_is_the_replay_of_the_ledger(scene: Scene) -> None:
    rules = scene.configuration.rule_documents["lifecycle.yaml"]
    scene.publish_documents({
        "lifecycle.yaml": rules,
        "more.yaml": "leadflow: 1\nrules:\n  - {rule: tag, status: live, when: {form_submitted: any}, then: "
        "[{add_tag: 'by:{{ form.utm_campaign | default(\"none\") }}'}, {set_field: {field: company.owner, to: Bo}}]}\n",
    })  # fmt: skip
    scene.post_form("newsletter", utm_campaign="spring")
    scene.post_form("demo-request", "bo@nordwind.example")
    scene.drain()
    company = scene.company_id()
    scene.change_contact(scene.contact_id(), lead_status="qualified", tags=["vip"], fields={"newsletter": True})
    scene.change_company(company, owner="Eva", fields={"employees": 12})
    scene.change_company(company, AUTOMATION, category="opportunity")
    sale = scene.make_sale(company)
    scene.drain()
    scene.change_sale(sale, "sold")
    scene.drain()

    changes = scene.rows("SELECT * FROM change ORDER BY id")
    by_kind = {one.actor_kind for one in changes}
    assert by_kind == {"source", "rule", "person", "api_key"}
    for one in changes:
        assert one.actor_name
        if one.actor_kind in ("rule", "source"):
            assert one.event_id
        if one.actor_kind == "rule":
            assert (one.rule, one.run_id is not None) == (one.actor_name, True)
    assert scene.category(company) == "customer"
    with scene.engine.connect() as connection:
        assert [one.what for one in check_database(connection) if not one.is_fine] == []


def test_a_rules_change_names_its_rule_version_event_and_run(scene: Scene) -> None:
    event = scene.post_form("demo-request")
    scene.drain()

    (change,) = scene.rows("SELECT * FROM change WHERE rule IS NOT NULL AND entity = 'company'")
    (run,) = scene.rows("SELECT * FROM run WHERE id = :id", id=change.run_id)
    version = scene.value("SELECT live_version FROM installation")
    assert (change.field, change.old, change.new) == ("category", "lead", "mql")
    assert (change.event_id, change.rule, change.actor_id) == (event, "demo-request-to-mql", str(version))
    assert (run.event_id, run.rule, run.version, run.outcome) == (event, change.rule, version, "fired")


def test_the_same_value_again_is_no_change(scene: Scene) -> None:
    company = scene.make_company("lead", owner="Bo", tags=["a"])
    contact = scene.make_contact(ANNA, company, first_name="Anna")
    before = scene.count("change")

    scene.change_company(company, category="lead", owner="Bo", tags=["a"])
    scene.change_contact(contact, lead_status="open", first_name="Anna", company_id=company)

    assert scene.count("change") == before


def test_system_is_automation_too(scene: Scene) -> None:
    company = scene.make_company("partner")

    with pytest.raises(Refused):
        scene.change_company(company, SYSTEM, category="lead")
