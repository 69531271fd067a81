"""Why a rule does not act, what is missing, and the form of a rule, in a browser."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from playwright.sync_api import expect

from leadflow.services.rule_documents import drop_draft, keep_draft
from tests.browser.conftest import Site, Watched
from tests.browser.story import ADMIN, VIEWER


def test_a_viewer_finds_a_record_and_reads_what_is_missing(site: Site, visit: Callable[..., Watched]) -> None:
    page = visit(VIEWER).go("/rules/pricing-page-to-mql/explain")

    page.get_by_label("Company or contact").fill("anna@nordwind")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("list", name="Found").get_by_role("link").first.click()

    expect(page.get_by_role("heading", name="What is missing")).to_be_visible()
    expect(page.get_by_role("heading", name="It would not match.")).to_be_visible()
    expect(page.get_by_text("somebody can change it")).to_be_visible()


def test_all_rules_of_a_record_at_a_glance_lead_to_each_explanation(site: Site, viewer: Watched) -> None:
    page = viewer.go(f"/explain?company={site.company('nordwind.example')}")

    page.get_by_role("list", name="Rules").get_by_role("link").first.click()

    expect(page.get_by_role("heading", name="Its conditions")).to_be_visible()


def test_an_edit_in_the_form_changes_that_place_of_the_text(admin: Watched) -> None:
    page = admin.go("/rules/pricing-page-to-mql/form")
    shown = page.get_by_label("Text of the document")
    before = shown.input_value()

    page.get_by_label("Priority").fill("66")
    page.get_by_label("Priority").press("Tab")
    expect(shown).to_have_value(before.replace("priority: 65", "priority: 66", 1))
    page.get_by_role("button", name="Add a condition").click()
    line = page.get_by_role("group", name="Condition 4")
    line.get_by_label("Field").select_option(label="Company name")
    line.get_by_label("Value").fill("nord")
    line.get_by_label("Value").press("Enter")

    expect(shown).to_have_value(
        before.replace("priority: 65", "priority: 66", 1).replace(
            "{has_none: [student]}\n", "{has_none: [student]}\n        - company.name: nord\n", 1
        )
    )


def test_a_mistake_is_told_at_its_field(admin: Watched) -> None:
    page = admin.go("/rules/pricing-page-to-mql/form")

    page.get_by_label("Within").fill("a while")
    page.get_by_label("Within").press("Enter")

    expect(page.get_by_role("group", name="Limit").locator(".form-problem")).to_contain_text("is not a duration")


def test_without_script_the_form_works_too(visit: Callable[..., Watched]) -> None:
    page = visit(java_script_enabled=False).page
    page.goto("/rules/pricing-page-to-mql/form")

    page.get_by_label("Priority").fill("66")
    page.get_by_role("button", name="Take over").click()

    assert "priority: 66" in page.get_by_label("Text of the document").input_value()
    page.get_by_role("button", name="Go on in the editor").click()
    assert "priority: 66" in page.locator("textarea[name=text]").first.input_value()


def test_a_draft_is_explained_before_it_is_published(site: Site, admin: Watched) -> None:
    page = admin.go("/rules/pricing-page-to-mql/form")
    text = page.get_by_label("Text of the document").input_value().replace("[Norway, Sweden, Germany]", "[Iceland]")
    name = "our-rules.yaml"
    with site.engine.begin() as connection:
        account = site.id("SELECT id FROM account WHERE email = :email", email=ADMIN)
        keep_draft(connection, account, name, text, None, datetime.now(UTC))
    try:
        contact = site.contact("anna@nordwind.example")
        admin.go(f"/rules/pricing-page-to-mql/explain?contact={contact}&draft=1")
        expect(page.get_by_text("As your unpublished draft says")).to_be_visible()
        expect(
            page.get_by_text("Country is Iceland").or_(page.get_by_text("Country is one of Iceland")).first
        ).to_be_visible()
        page.get_by_role("link", name="As it is live").click()
        expect(page.get_by_text("Country is one of Norway").first).to_be_visible()
    finally:
        with site.engine.begin() as connection:
            drop_draft(connection, account, name)
