"""Rules on the screen: written, checked, planned, published, versioned; two who edit at once; a trace as a test."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import text

from leadflow.domain.events import Actor, ActorKind
from leadflow.errors import Conflict
from leadflow.services.access import Role, create_account
from leadflow.services.configuration import read_configuration
from leadflow.services.processing import Desk, process_events
from leadflow.services.rule_documents import rollback, write_document
from leadflow.services.rule_sets import live_documents
from leadflow.store.inbox import claim
from tests.browser.conftest import Site, Watched
from tests.browser.story import ADMIN, CONFIG, PASSWORD, VIEWER

pytestmark = pytest.mark.browser

KIM = "kim.editor@ours.example"
DOCUMENT = "partner-days.yaml"
EDIT = f"/rules/documents/{DOCUMENT}/edit"
RULES = """\
# Rules that only these tests know.
leadflow: 1

rules:
  - rule: partner-day-to-mql
    title: Who comes to a partner day is an MQL
    owner: marketing-ops
    status: live
    when: {form_submitted: {form: partner-day}}
    if:
      all:
        - company.category: {in: [Lost opportunity]}
    then:
      - set_category: {to: Marketing qualified lead}

  - rule: partner-day-tag
    title: Who comes to a partner day has a tag
    owner: marketing-ops
    status: draft
    when: {form_submitted: {form: partner-day}}
    then:
      - add_tag: partner-day
"""
BY_KIM = Actor(ActorKind.PERSON, "2", "Kim Aas", acts_as_person=True)


@pytest.fixture(scope="module")
def kim(site: Site) -> str:
    """The address of a second editor."""
    with site.engine.begin() as connection:
        create_account(connection, KIM, "Kim Aas", Role.EDITOR, datetime.now(UTC), PASSWORD)
    return KIM


@pytest.fixture(autouse=True)
def own_document(site: Site) -> Iterator[None]:
    """A document of these tests' own is live; afterwards the rules are as before, and nobody has a draft."""
    with site.engine.begin() as connection:
        before, documents = live_documents(connection)
        assert DOCUMENT not in documents
    publish(site, RULES)
    yield
    with site.engine.begin() as connection:
        connection.execute(text("DELETE FROM rule_draft"))
        live, _ = live_documents(connection)
        with suppress(Conflict):  # where the test has gone back itself
            rollback(connection, BY_KIM, before or 0, live, datetime.now(UTC))


def publish(site: Site, document: str, note: str | None = None) -> int:
    """Somebody else publishes."""
    with site.engine.begin() as connection:
        version, _ = live_documents(connection)
        return write_document(connection, BY_KIM, DOCUMENT, document, version, datetime.now(UTC), note)


def live_text(site: Site) -> str:
    with site.engine.connect() as connection:
        return live_documents(connection)[1].get(DOCUMENT, "")


def write(page: Page, document: str) -> None:
    """Put this text into the editor, and wait until it was checked and kept."""
    page.locator(".cm-content").click()
    page.keyboard.press("Control+A")
    with page.expect_response(re.compile("/check$")), page.expect_response(re.compile("/draft$")):
        page.keyboard.insert_text(document)


def state(page: Page) -> Locator:
    return page.locator("[data-check-state]")


# -- the journey -------------------------------------------------------------------------------------------------------


def test_a_rule_is_edited_mended_planned_published_and_then_moves_a_company(site: Site, admin: Watched) -> None:
    page = admin.go("/rules")
    page.get_by_role("link", name="Who comes to a partner day is an MQL").click()
    page.get_by_role("link", name="Edit").click()
    write(page, RULES.replace("[Lost opportunity]", "[Leed, Lost opportunity]"))

    problem = page.locator(".problems li").filter(has_text="'Leed' is not a value of company.category")
    expect(problem).to_contain_text("Line 12")
    expect(page.locator(".cm-lintRange-error")).to_have_text("Leed")
    expect(page.get_by_role("button", name="Publish")).to_be_disabled()
    expect(page.locator("#publish-reason")).to_contain_text("1 error keeps it from being published")
    problem.get_by_role("button", name="Change to “Lead”").click()

    expect(state(page)).to_have_text("No problems found")
    page.get_by_role("tab", name="Plan").click()
    planned = page.locator("#panel-plan")
    expect(planned).to_contain_text("would change", timeout=15_000)
    expect(planned.locator(".count-bars")).to_contain_text("Marketing qualified lead")

    page.get_by_label("Note").fill("Leads come, too")
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Published as version")).to_be_visible()
    assert "[Lead, Lost opportunity]" in live_text(site)
    expect(page.get_by_text("edited here", exact=True)).to_be_visible()

    _form_arrives(site, page, "ole@partnerdays.example")
    page = admin.go(f"/companies/{site.company('partnerdays.example')}")
    expect(page.locator(".field-row .chip").first).to_contain_text("Marketing qualified lead")
    page.locator(".timeline-list").get_by_role("link", name="why").first.click()
    trace = page.get_by_role("article").filter(has_text="partner-day-to-mql")
    expect(trace).to_contain_text("Fired")


def _form_arrives(site: Site, page: Page, email: str) -> None:
    """A webhook comes in, and the workers take it."""
    sent = {"form": "partner-day", "email": email, "company": "Partner Days AS"}
    answer = page.request.post(f"{site.address}/hooks/generic", data=sent, headers={"webhook-id": f"rules-{email}"})
    assert answer.ok
    now = datetime.now(UTC)
    with site.engine.begin() as connection:
        process_events(connection, Desk(read_configuration(CONFIG).sources), claim(connection, now, 100), now)


# -- the editor --------------------------------------------------------------------------------------------------------


def test_completion_and_help_come_from_the_schema(admin: Watched) -> None:
    page = admin.go(EDIT)
    page.locator(".cm-line", has_text="company.category").click()
    page.keyboard.press("End")
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    page.keyboard.type(", Opp")
    option = page.locator(".cm-tooltip-autocomplete").get_by_role("option", name="Opportunity", exact=True)
    expect(option).to_be_visible()
    option.click()
    expect(page.locator(".cm-line", has_text="company.category")).to_contain_text("[Lost opportunity, Opportunity]")

    expect(state(page)).to_have_text(re.compile("error|warning|note|No problems"))
    page.locator(".cm-line span", has_text="owner").first.hover()
    expect(page.locator(".lf-help")).to_contain_text("Who answers for the rule.")


def test_the_keyboard_leaves_the_editor_by_escape_and_tab(admin: Watched) -> None:
    page = admin.go(EDIT)
    page.locator(".cm-content").focus()
    page.keyboard.press("Tab")
    expect(page.locator(".cm-content")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.locator(".cm-content")).not_to_be_focused()


def test_what_was_typed_is_there_again_until_it_is_discarded(site: Site, admin: Watched) -> None:
    page = admin.go(EDIT)
    write(page, RULES.replace("has a tag", "has a nice tag"))
    expect(page.get_by_text("Your draft is kept on the server.")).to_be_visible()

    page = admin.go(EDIT)
    expect(page.locator(".cm-content")).to_contain_text("has a nice tag")
    page.get_by_text("Discard draft …").click()
    page.get_by_role("button", name="Discard my draft").click()
    expect(page.locator(".cm-content")).not_to_contain_text("has a nice tag")
    assert live_text(site) == RULES


def test_the_form_beside_the_text_writes_into_it_and_follows_it(admin: Watched) -> None:
    page = admin.go(EDIT + "?rule=partner-day-tag")
    page.get_by_role("tab", name="Form").click()
    title = page.get_by_label("Title")
    expect(title).to_have_value("Who comes to a partner day has a tag")
    title.fill("Partner days leave a tag")
    title.press("Tab")
    expect(page.locator(".cm-content")).to_contain_text("title: Partner days leave a tag")
    expect(page.locator(".cm-content")).to_contain_text("# Rules that only these tests know.")

    page.locator(".cm-line", has_text="Partner days leave a tag").click()
    page.keyboard.press("End")
    page.keyboard.type("!")
    expect(title).to_have_value("Partner days leave a tag!")


def test_failing_tests_keep_a_live_rule_from_being_published(admin: Watched) -> None:
    page = admin.go(EDIT)
    test = """\
    tests:
      - test: a lead is left alone
        given: {company: {category: Lost opportunity}}
        expect: {fires: false}

"""
    write(page, RULES.replace("lead}\n\n", "lead}\n" + test))
    expect(page.get_by_role("button", name="Publish")).to_be_disabled()
    page.get_by_role("tab", name="Tests").click()

    failed = page.locator("#panel-tests .is-bad")
    expect(failed).to_contain_text("a lead is left alone")
    expect(failed).to_contain_text("it was Lost opportunity")


def test_a_new_document_begins_as_a_draft_that_passes(site: Site, admin: Watched) -> None:
    page = admin.go("/rules/new")
    page.get_by_label("Name of the document").fill("webinars")
    page.get_by_label("A look at all records").check()
    page.get_by_role("button", name="Begin").click()

    expect(page.get_by_role("heading", name="webinars.yaml")).to_be_visible()
    expect(page.get_by_text("not published yet")).to_be_visible()
    expect(state(page)).to_have_text(re.compile("No problems|note"))
    expect(page.get_by_role("button", name="Publish")).to_be_enabled()
    page.get_by_role("tab", name="Tests").click()
    expect(page.locator("#panel-tests")).to_contain_text("All 2 tests pass")


def test_without_script_the_page_checks_and_publishes(site: Site, visit: Callable[..., Watched]) -> None:
    page = visit(java_script_enabled=False).page
    page.goto(site.address + EDIT)
    area = page.get_by_label("Text of the document")
    area.fill(RULES.replace("Lost opportunity", "Losst opportunity"))
    page.get_by_role("button", name="Check").click()
    expect(page.locator(".problems")).to_contain_text("'Losst opportunity' is not a value")

    page.get_by_label("Text of the document").fill(RULES.replace("has a tag", "has a label"))
    page.get_by_role("button", name="Check").click()
    expect(page.locator(".problems-none")).to_be_visible()
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Published as version")).to_be_visible()
    assert "has a label" in live_text(site)


def test_a_viewer_reads_and_cannot_publish(site: Site, visit: Callable[..., Watched]) -> None:
    watched = visit(VIEWER)
    page = watched.go(EDIT)
    expect(page.get_by_text("needs the role editor")).to_be_visible()
    expect(page.get_by_role("button", name="Publish")).to_have_count(0)
    expect(page.locator(".cm-content")).to_have_attribute("aria-readonly", "true")

    answer = page.request.post(site.address + f"/rules/documents/{DOCUMENT}/publish", form={"text": "x"})
    assert answer.status == 403
    assert "needs the role editor" in answer.text()


# -- two at once -------------------------------------------------------------------------------------------------------


def test_of_two_editors_the_second_takes_over_what_the_first_has_published(
    site: Site, kim: str, visit: Callable[..., Watched]
) -> None:
    first, second = visit(ADMIN), visit(kim)
    mine, theirs = first.go(EDIT), second.go(EDIT)
    write(theirs, RULES.replace("is an MQL", "is marketing qualified"))
    write(mine, RULES.replace("has a tag", "has a label"))
    mine.get_by_label("Note").fill("A better word")
    mine.get_by_role("button", name="Publish").click()
    expect(mine.get_by_text("Published as version")).to_be_visible()

    theirs.get_by_role("button", name="Publish").click()
    conflict = theirs.locator("#conflict")
    expect(conflict).to_contain_text("Ada Lindgren published version")
    expect(conflict).to_contain_text("A better word")
    expect(conflict.locator(".is-plus")).to_contain_text("has a label")
    expect(theirs.locator(".cm-content")).to_contain_text("is marketing qualified")
    assert "is marketing qualified" not in live_text(site)

    theirs.get_by_role("button", name="Take over these changes and go on with mine").click()
    expect(state(theirs)).to_have_text(re.compile("No problems|note"))
    theirs.get_by_role("button", name="Publish").click()
    expect(theirs.get_by_text("Published as version")).to_be_visible()
    assert "has a label" in live_text(site)
    assert "is marketing qualified" in live_text(site)
    second.troubles = [one for one in second.troubles if "409" not in one]


def test_where_both_changed_one_rule_both_sides_are_shown(site: Site, admin: Watched) -> None:
    page = admin.go(EDIT)
    write(page, RULES.replace("has a tag", "has my tag"))
    publish(site, RULES.replace("has a tag", "has their tag").replace("is an MQL", "is qualified"))

    page = admin.go(EDIT)
    sides = page.locator(".dispute").filter(has_text="partner-day-tag")
    expect(sides).to_contain_text("has their tag")
    expect(sides).to_contain_text("has my tag")
    expect(page.get_by_role("button", name="Publish")).to_be_disabled()
    page.get_by_role("button", name="Keep mine there, take over the rest").click()

    expect(page.locator(".cm-content")).to_contain_text("has my tag")
    expect(page.locator(".cm-content")).to_contain_text("is qualified")
    expect(page.locator("#conflict")).to_have_count(0)


def test_an_edit_of_another_document_does_not_disturb(site: Site, admin: Watched) -> None:
    page = admin.go(EDIT)
    write(page, RULES.replace("has a tag", "has my tag"))
    with site.engine.begin() as connection:
        version, documents = live_documents(connection)
        other = documents["our-rules.yaml"].replace("becomes a tag", "becomes a label")
        write_document(connection, BY_KIM, "our-rules.yaml", other, version, datetime.now(UTC))
    page.get_by_role("button", name="Publish").click()

    expect(page.get_by_text("Published as version")).to_be_visible()
    with site.engine.connect() as connection:
        assert live_documents(connection)[1]["our-rules.yaml"] == other


# -- traces, versions, map ---------------------------------------------------------------------------------------------


def test_a_recorded_trace_becomes_a_test_of_its_rule(site: Site, admin: Watched) -> None:
    page = admin.go("/rules/pricing-page-to-mql")
    page.get_by_role("button", name="Make it a test").first.click()

    expect(page.get_by_text("The trace is a test in your draft now")).to_be_visible()
    expect(page.locator("#panel-tests")).to_contain_text("1 test passes", timeout=15_000)
    with site.engine.connect() as connection:
        draft = connection.scalar(text("SELECT text FROM rule_draft WHERE document = 'our-rules.yaml'"))
    assert "- test: pricing-page-to-mql as it was in run" in draft


def test_an_earlier_version_is_brought_back(site: Site, admin: Watched) -> None:
    earlier = site.id("SELECT live_version FROM installation")
    publish(site, RULES.replace("status: live", "status: shadow"), "Watch it first")
    page = admin.go("/rules/versions")
    newest = page.locator(".version").first
    expect(newest).to_contain_text("Watch it first")
    expect(newest).to_contain_text("changed: status (live → shadow)")

    page = admin.go(f"/rules/versions/{earlier}")
    expect(page.locator(".rule-changes").last).to_contain_text("changed: status (shadow → live)")
    page.get_by_text(f"Bring back version {earlier} …").click()
    page.get_by_role("button", name="Make these rules live").click()
    expect(page.locator(".version").first).to_contain_text(f"brought back version {earlier}")
    assert live_text(site) == RULES


def test_the_lifecycle_shows_which_rule_goes_which_way(site: Site, admin: Watched) -> None:
    page = admin.go("/lifecycle")
    way = page.locator("#way-lost-opportunity-mql")
    expect(way.get_by_role("link", name="Who comes to a partner day is an MQL")).to_be_visible()
    expect(page.locator("#way-none-lead")).to_contain_text("no running rule")

    customers = site.id("SELECT count(*) FROM company WHERE category_key = 'customer'")
    place = page.get_by_role("link", name=re.compile("^Customer: "))
    expect(place).to_contain_text(str(customers))
