"""Lead statuses of contacts (invariants 5 and 6): Open on entry, hidden and never lost, on every path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from leadflow.services import lists
from leadflow.services.installation import apply_configuration
from tests.support.reuse import ReusedDatabase
from tests.support.scenes import CONFIGURATION, PERSON, POTENTIAL, PROTECTED, Scene, open_scene

BO = "bo@nordwind.example"


@pytest.fixture
def keeping_scene(reused_database: ReusedDatabase) -> Iterator[Scene]:
    """An installation with `on_reentry: keep`."""
    configuration = replace(CONFIGURATION, on_reentry="keep")
    with open_scene(reused_database.fresh(), configuration) as opened:
        with opened.engine.begin() as connection:
            apply_configuration(connection, configuration, datetime.now(UTC))
        yield opened


def set_enabled(scene: Scene, category: str, enabled: bool) -> None:
    with scene.engine.begin() as connection:
        lists.change_category(connection, PERSON, category, {"lead_status_enabled": enabled}, scene.clock())


def shown(scene: Scene, contact: int) -> tuple[str | None, bool]:
    """What the API shows: the lead status and whether it is active."""
    document = scene.get(f"/contacts/{contact}").get_json()
    return document["lead_status"] and document["lead_status"]["key"], document["lead_status_active"]


def steps(scene: Scene, contact: int) -> list[tuple[str | None, str | None]]:
    return [(old, new) for old, new, _ in scene.steps("contact", contact, "lead_status")]


# Entry: created -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", POTENTIAL)
@pytest.mark.parametrize("acts_as", ["person", "automation"])
def test_a_contact_made_under_an_enabled_category_is_open(scene: Scene, category: str, acts_as: str) -> None:
    company = scene.make_company(category)

    contact = scene.made("/contacts", {"email": BO, "company_id": company}, acts_as=acts_as)

    assert (contact["lead_status"]["key"], contact["lead_status_active"]) == ("open", True)
    assert steps(scene, contact["id"]) == [(None, "open")]


@pytest.mark.parametrize("category", [*PROTECTED, None])
def test_a_contact_made_while_inactive_has_no_status(scene: Scene, category: str | None) -> None:
    company = scene.make_company(category)

    contact = scene.make_contact(company_id=company)
    scene.post_form("newsletter", BO)
    scene.drain()

    assert shown(scene, contact) == (None, False)
    assert shown(scene, scene.contact_id(BO)) == (None, False)
    assert steps(scene, contact) == []


def test_a_form_of_a_new_company_makes_an_open_contact(scene: Scene) -> None:
    scene.post_form("demo-request")
    scene.drain()

    contact = scene.contact_id()
    assert shown(scene, contact) == ("open", True)
    assert scene.steps("contact", contact, "lead_status") == [(None, "open", "source")]


def test_another_status_may_be_sent_with_a_new_lead(scene: Scene) -> None:
    sent = {"email": BO, "company_id": scene.make_company("mql"), "lead_status": "contacting"}

    contact = scene.made("/contacts", sent)

    assert steps(scene, contact["id"]) == [(None, "contacting")]


@pytest.mark.parametrize("category", ["customer", None])
def test_no_status_can_be_sent_with_a_contact_that_is_no_lead(scene: Scene, category: str | None) -> None:
    sent = {"email": BO, "company_id": scene.make_company(category), "lead_status": "open"}

    answer = scene.post("/contacts", sent)

    assert answer.status_code == 409
    assert "Lead status is not active" in answer.text


# Entry: the company moves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["lead", "mql", "opportunity"])
@pytest.mark.parametrize("acts_as", ["person", "automation"])
def test_all_contacts_are_open_when_their_company_gets_a_category(scene: Scene, target: str, acts_as: str) -> None:
    company = scene.make_company(None)
    contacts = [scene.make_contact(f"c{number}@nordwind.example", company) for number in range(3)]

    assert scene.patch(f"/companies/{company}", {"category": target}, acts_as=acts_as).status_code == 200

    assert [shown(scene, one) for one in contacts] == [("open", True)] * 3
    assert scene.differences() == []


def test_all_contacts_are_open_when_a_rule_gives_their_company_a_category(scene: Scene) -> None:
    company = scene.make_company(None)
    silent = scene.make_contact(BO, company)

    scene.post_form("demo-request")
    scene.drain()

    assert shown(scene, silent) == shown(scene, scene.contact_id()) == ("open", True)
    assert scene.steps("contact", silent, "lead_status") == [(None, "open", "rule")]


@pytest.mark.parametrize("left", PROTECTED)
def test_on_re_entry_the_old_value_goes_to_the_history(scene: Scene, left: str) -> None:
    company = scene.make_company("mql")
    contact = scene.make_contact(company_id=company)
    scene.change_contact(contact, lead_status="qualified")

    scene.change_company(company, category=left)
    hidden = shown(scene, contact)
    scene.change_company(company, category="lead")

    assert hidden == ("qualified", False)
    assert shown(scene, contact) == ("open", True)
    assert steps(scene, contact) == [(None, "open"), ("open", "qualified"), ("qualified", "open")]


def test_on_reentry_keep_leaves_the_old_value(keeping_scene: Scene) -> None:
    scene = keeping_scene
    company = scene.make_company("mql")
    contact, blank = scene.make_contact(company_id=company), None
    scene.change_contact(contact, lead_status="qualified")
    scene.change_company(company, category="customer")
    blank = scene.make_contact(BO, company)

    scene.change_company(company, category="lead")

    assert shown(scene, contact) == ("qualified", True)
    assert shown(scene, blank) == ("open", True)
    assert steps(scene, contact) == [(None, "open"), ("open", "qualified")]


@pytest.mark.parametrize("path", ["person", "automation", "rule"])
def test_moving_between_enabled_categories_keeps_the_status(scene: Scene, path: str) -> None:
    company = scene.make_company("lead")
    contact = scene.make_contact(company_id=company)
    scene.change_contact(contact, lead_status="qualified")

    if path == "rule":
        scene.post_form("demo-request")
        scene.drain()
    else:
        scene.patch(f"/companies/{company}", {"category": "mql"}, acts_as=path)

    assert scene.category(company) == "mql"
    assert shown(scene, contact) == ("qualified", True)
    assert len(steps(scene, contact)) == 2


# Leaving: hidden, never lost ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("acts_as", ["person", "automation"])
@pytest.mark.parametrize("status", ["open", "qualified"])
def test_a_hidden_status_is_kept_and_not_editable(scene: Scene, acts_as: str, status: str) -> None:
    company = scene.make_company("opportunity")
    contact = scene.make_contact(company_id=company)
    scene.change_contact(contact, lead_status="qualified")
    sale = scene.make_sale(company)
    scene.change_sale(sale, "sold")
    scene.drain()

    answer = scene.patch(f"/contacts/{contact}", {"lead_status": status, "first_name": "X"}, acts_as=acts_as)

    assert scene.category(company) == "customer"
    assert answer.status_code == 409
    assert answer.get_json(force=True)["detail"] == (
        "Lead status is not active while the category is Customer; the value is kept and hidden."
    )
    assert shown(scene, contact) == ("qualified", False)
    assert scene.get(f"/contacts/{contact}").get_json()["first_name"] is None


def test_a_rule_cannot_edit_a_hidden_status(scene: Scene) -> None:
    contact = scene.make_contact(company_id=scene.make_company("customer"))
    scene.publish("{rule: again, status: live, when: {form_submitted: any}, then: [{set_lead_status: {to: Open}}]}")

    event = scene.post_form("any")
    scene.drain()

    assert scene.runs(event) == {"again": "blocked_by_guard"}
    assert scene.value("SELECT guard FROM run").startswith("Lead status is not active while the category is Customer")
    assert shown(scene, contact) == (None, False)


def test_a_hidden_status_is_found_by_a_search(scene: Scene) -> None:
    company = scene.make_company("lead")
    contact = scene.make_contact(company_id=company)
    scene.change_contact(contact, lead_status="re-nurture")
    scene.change_company(company, category="customer")

    (found,) = scene.get("/contacts?lead_status=re-nurture").get_json()["items"]

    assert (found["id"], found["lead_status_active"]) == (contact, False)


def test_a_rule_sets_the_status_of_all_contacts_of_the_company(scene: Scene) -> None:
    company = scene.make_company("lead")
    contacts = [scene.make_contact(f"c{number}@nordwind.example", company) for number in range(3)]
    elsewhere = scene.make_contact("x@south.example", scene.make_company("lead", "south.example"))
    scene.publish(
        "{rule: qualify, status: live, when: {form_submitted: any},"
        " then: [{set_lead_status: {to: Qualified, of: all_contacts}}]}"
    )

    scene.post_form("any", "c0@nordwind.example")
    scene.drain()

    assert [scene.lead_status(one) for one in contacts] == ["qualified"] * 3
    assert scene.lead_status(elsewhere) == "open"


# The flag -------------------------------------------------------------------------------------------------------------


def test_switching_a_category_on_opens_its_contacts(scene: Scene) -> None:
    set_enabled(scene, "lost-opportunity", False)
    company = scene.make_company("lost-opportunity")
    inside, loose = scene.make_contact(company_id=company), scene.make_contact(BO, category="lost-opportunity")
    elsewhere = scene.make_contact("x@south.example", scene.make_company("customer", "south.example"))
    before = [shown(scene, one) for one in (inside, loose, elsewhere)]

    set_enabled(scene, "lost-opportunity", True)

    assert before == [(None, False)] * 3
    assert [shown(scene, one) for one in (inside, loose, elsewhere)] == [("open", True), ("open", True), (None, False)]
    assert scene.steps("contact", inside, "lead_status") == [(None, "open", "person")]
    assert scene.differences() == []


def test_switching_it_off_hides_and_on_again_reopens(scene: Scene) -> None:
    contact = scene.make_contact(company_id=scene.make_company("mql"))
    scene.change_contact(contact, lead_status="qualified")

    set_enabled(scene, "mql", False)
    hidden = shown(scene, contact)
    refused = scene.patch(f"/contacts/{contact}", {"lead_status": "open"}).status_code
    set_enabled(scene, "mql", True)

    assert (hidden, refused) == (("qualified", False), 409)
    assert shown(scene, contact) == ("open", True)
    assert steps(scene, contact)[-1] == ("qualified", "open")


def test_a_company_that_passes_through_a_disabled_category_within_one_batch_re_enters(scene: Scene) -> None:
    """Opportunity (enabled) → Lost opportunity (not) → Opportunity: the silent contacts are Open again."""
    set_enabled(scene, "lost-opportunity", False)
    company = scene.make_company("opportunity")
    silent = scene.make_contact(BO, company)
    scene.change_contact(silent, lead_status="qualified")
    sale = scene.make_sale(company)
    scene.drain()

    scene.change_sale(sale, "lost")
    scene.make_sale(company)
    scene.drain()

    moves = [new for _, new, _ in scene.steps("company", company, "category")]
    assert moves == ["opportunity", "lost-opportunity", "opportunity"]
    assert shown(scene, silent) == ("open", True)
    assert steps(scene, silent)[-1] == ("qualified", "open")


def test_the_same_in_two_batches(scene: Scene) -> None:
    set_enabled(scene, "lost-opportunity", False)
    company = scene.make_company("opportunity")
    silent = scene.make_contact(BO, company)
    scene.change_contact(silent, lead_status="qualified")
    sale = scene.make_sale(company)

    for step in (lambda: scene.change_sale(sale, "lost"), lambda: scene.make_sale(company)):
        step()
        scene.drain()

    assert shown(scene, silent) == ("open", True)


# Contacts that move, contacts without a company -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("customer", "lead", ("open", True)),
        ("lead", "mql", ("qualified", True)),
        ("lead", "customer", ("qualified", False)),
        ("lead", None, ("qualified", False)),
        (None, "lead", ("open", True)),
    ],
)
def test_a_contact_that_moves_to_another_company(
    scene: Scene, start: str | None, end: str | None, expected: tuple[str, bool]
) -> None:
    here, there = scene.make_company("lead", "here.example"), scene.make_company(end, "there.example")
    contact = scene.make_contact(company_id=here)
    scene.change_contact(contact, lead_status="qualified")
    if start != "lead":
        scene.change_company(here, category=start)

    scene.change_contact(contact, company_id=there)

    assert shown(scene, contact) == expected
    assert scene.differences() == []


def test_a_status_sent_with_the_move_is_judged_after_it(scene: Scene) -> None:
    customer, lead = scene.make_company("customer", "here.example"), scene.make_company("lead", "there.example")
    contact = scene.make_contact(company_id=customer)

    moved = scene.patch(f"/contacts/{contact}", {"company_id": lead, "lead_status": "contacting"})
    back = scene.patch(f"/contacts/{contact}", {"company_id": customer, "lead_status": "open"})

    assert (moved.status_code, back.status_code) == (200, 409)
    assert shown(scene, contact) == ("contacting", True)
    assert scene.get(f"/contacts/{contact}").get_json()["company_id"] == lead


def test_a_contact_without_a_company_has_its_own_category(scene: Scene) -> None:
    contact = scene.made("/contacts", {"email": "bo@gmail.com"})["id"]
    before = shown(scene, contact)

    assert scene.patch(f"/contacts/{contact}", {"category": "lead"}, acts_as="automation").status_code == 200
    entered = shown(scene, contact)
    assert scene.patch(f"/contacts/{contact}", {"lead_status": "qualified"}).status_code == 200
    assert scene.patch(f"/contacts/{contact}", {"category": "mql"}, acts_as="automation").status_code == 200
    kept = shown(scene, contact)
    assert scene.patch(f"/contacts/{contact}", {"category": "customer"}).status_code == 200
    hidden = shown(scene, contact)
    assert scene.patch(f"/contacts/{contact}", {"category": "lead"}, acts_as="automation").status_code == 409
    assert scene.patch(f"/contacts/{contact}", {"category": "lead"}).status_code == 200

    assert [before, entered, kept, hidden, shown(scene, contact)] == [
        (None, False), ("open", True), ("qualified", True), ("qualified", False), ("open", True),
    ]  # fmt: skip
    assert scene.differences() == []


def test_a_form_of_a_contact_without_a_company_whose_domain_gets_one(scene: Scene) -> None:
    contact = scene.make_contact()
    scene.make_company("mql")

    scene.post_form("newsletter")
    scene.drain()

    assert shown(scene, contact) == ("open", True)
    assert scene.get(f"/contacts/{contact}").get_json()["company_id"] == scene.company_id()
    assert scene.differences() == []


def test_a_status_that_was_deleted_stays_on_its_contacts(scene: Scene) -> None:
    contact = scene.make_contact(company_id=scene.make_company("lead"))
    scene.change_contact(contact, lead_status="contacting")
    with scene.engine.begin() as connection:
        lists.delete_lead_status(connection, PERSON, "contacting", scene.clock())

    other = scene.make_contact(BO, scene.company_id())

    assert shown(scene, contact) == ("contacting", True)
    assert scene.patch(f"/contacts/{other}", {"lead_status": "contacting"}).status_code == 422
