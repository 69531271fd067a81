"""What people do on the screens, with mouse and keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from leadflow.services.access import create_sign_in_link
from leadflow.services.configuration import read_configuration
from leadflow.services.inbox import prepare_arrival, receive_arrivals
from leadflow.services.records import change_company
from tests.browser.conftest import Site, Watched
from tests.browser.story import ADMIN, CONFIG, Actor, ActorKind, Story

pytestmark = pytest.mark.browser

ADA = Actor(ActorKind.PERSON, "1", "Ada Lindgren", acts_as_person=True)


def move(site: Site, domain: str, category: str) -> None:
    """Another person moves the company meanwhile."""
    with site.engine.begin() as connection:
        change_company(connection, ADA, site.company(domain), {"category": category}, datetime.now(UTC))


# -- signing in --------------------------------------------------------------------------------------------------------


def test_an_unknown_address_and_a_wrong_password_get_the_same_answer(visit: Callable[..., Watched]) -> None:
    watched = visit(None)
    said = []
    for email in ("nobody@ours.example", "vera@ours.example"):
        page = watched.go("/sign-in")
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password").fill("not the password")
        page.get_by_role("button", name="Sign in").click()
        said.append(page.get_by_role("alert").inner_text())

    assert said[0] == said[1] == "E-mail address or password is not right."
    watched.troubles.clear()  # the browser notes each 401


def test_who_is_not_signed_in_is_led_back_after_signing_in(visit: Callable[..., Watched]) -> None:
    page = visit(None).go("/rules?x=1")
    page.get_by_label("E-mail").fill(ADMIN)
    page.get_by_label("Password").fill("correct-horse-battery")
    page.get_by_role("button", name="Sign in").click()

    expect(page).to_have_url(re.compile(r"/rules\?x=1$"))


def test_a_link_signs_in_once(site: Site, visit: Callable[..., Watched]) -> None:
    with site.engine.begin() as connection:
        token = create_sign_in_link(connection, 1, datetime.now(UTC))
    watched = visit(None)
    page = watched.go(f"/sign-in/link/{token}")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in$"))
    page = watched.go(f"/sign-in/link/{token}")
    expect(page.get_by_role("heading", name="This link no longer works")).to_be_visible()
    watched.troubles.clear()  # the browser notes the 410


# -- why ---------------------------------------------------------------------------------------------------------------


def test_a_move_on_the_overview_leads_to_its_trace(admin: Watched, story: Story) -> None:
    answers = {"form": "demo-request", "email": "eva@latest-move.example", "company": "Latest Move"}
    story.form(datetime.now(UTC), **answers)
    page = admin.go("/")
    page.get_by_role("listitem").filter(has_text="Latest Move became").get_by_role("link", name="why").click()

    trace = page.get_by_role("article").filter(has_text="demo-request-to-mql")
    expect(trace).to_contain_text("Fired")
    expect(trace).to_contain_text("Category is one of Lead, Lost opportunity, or blank")
    expect(trace.locator(".changes")).to_contain_text("Lead")
    expect(trace.locator(".changes")).to_contain_text("Marketing qualified lead")


def test_a_near_miss_names_the_one_condition_that_failed(site: Site, admin: Watched) -> None:
    event = site.id(
        "SELECT event_id FROM run JOIN company ON company.id = company_id"
        " WHERE is_near_miss AND rule = 'pricing-page-to-mql' AND domain = 'nordwind.example'"
    )
    page = admin.go(f"/events/{event}")

    trace = page.get_by_role("article").filter(has_text="pricing-page-to-mql")
    expect(trace.locator(".is-nearest")).to_have_count(1)
    expect(trace.locator(".is-nearest")).to_contain_text("was France")
    expect(trace.locator(".nearest")).to_have_text(re.compile("would have fired if this had held: Country is one of"))


def test_the_guard_says_why_it_stopped_a_rule(site: Site, admin: Watched) -> None:
    event = site.id("SELECT event_id FROM run WHERE outcome = 'blocked_by_guard' ORDER BY id DESC LIMIT 1")
    page = admin.go(f"/events/{event}")

    expect(page.get_by_text("automation never takes a company out of that group")).to_be_visible()


# -- editing -----------------------------------------------------------------------------------------------------------


def test_a_lead_status_is_changed_and_the_history_names_the_person(site: Site, admin: Watched) -> None:
    page = admin.go(f"/contacts/{site.contact('anna@nordwind.example')}")
    page.get_by_label("Lead status").select_option("Qualified")
    page.get_by_role("button", name="Save").click()

    expect(page.locator("#lead-status .chip")).to_contain_text("Qualified")
    newest = page.locator(".timeline-list > li").first
    expect(newest).to_contain_text("Qualified")
    expect(newest).to_contain_text("Ada Lindgren")


def test_a_lead_status_that_is_no_longer_active_is_refused_with_the_reason(site: Site, admin: Watched) -> None:
    email = "r.berg@solvik.example"
    _send(site, email)
    page = admin.go(f"/contacts/{site.contact(email)}")
    expect(page.get_by_label("Lead status")).to_be_visible()
    move(site, "solvik.example", "customer")
    page.get_by_label("Lead status").select_option("Contacting")
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_role("alert").filter(has_text="Not changed")).to_contain_text(
        "not active while the category is Customer"
    )
    expect(page.get_by_label("Lead status")).to_have_count(0)
    expect(page.locator("#kept-status")).to_have_text("Lead status kept: Open — inactive while Customer")
    admin.troubles = [one for one in admin.troubles if "409" not in one]


def test_an_edit_of_what_changed_meanwhile_is_not_made(site: Site, admin: Watched) -> None:
    page = admin.go(f"/companies/{site.company('ember.example')}")
    page.get_by_text("Change category").click()
    move(site, "ember.example", "former-customer")
    page.get_by_label("Category", exact=True).select_option("Partner")
    page.get_by_role("button", name="Change").click()

    expect(page.get_by_role("alert").filter(has_text="Not changed")).to_contain_text("since you opened it")
    expect(page.locator(".field-row .chip").first).to_contain_text("Former customer")
    admin.troubles = [one for one in admin.troubles if "409" not in one]


def test_a_form_from_another_session_shows_why_it_is_not_taken(site: Site, admin: Watched) -> None:
    page = admin.go(f"/contacts/{site.contact('anna@nordwind.example')}")
    page.evaluate("document.querySelectorAll('[name=csrf_token]').forEach((one) => { one.value = 'x' })")
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_role("heading", name="Not allowed")).to_be_visible()
    expect(page.get_by_text("Load it again and repeat")).to_be_visible()
    admin.troubles = [one for one in admin.troubles if "403" not in one]


def test_a_person_may_take_a_customer_back_to_a_potential_category(site: Site, admin: Watched) -> None:
    move(site, "verdant.example", "customer")
    page = admin.go(f"/companies/{site.company('verdant.example')}")
    page.get_by_text("Change category").click()
    expect(page.get_by_text("You decide here as a person")).to_be_visible()
    page.get_by_label("Category", exact=True).select_option("Opportunity")
    page.get_by_role("button", name="Change").click()

    expect(page.locator(".field-row .chip").first).to_contain_text("Opportunity")
    expect(page.locator(".timeline-list > li").filter(has_text="Customer").first).to_contain_text("Ada Lindgren")


def test_a_viewer_is_offered_no_edit(site: Site, viewer: Watched) -> None:
    for path in (
        f"/contacts/{site.contact('anna@nordwind.example')}",
        f"/companies/{site.company('nordwind.example')}",
    ):
        page = viewer.go(path)
        assert page.locator("main form").count() == 0
    assert viewer.go("/tasks").locator("main form").count() == 0


def test_a_task_is_ticked_off_and_opened_again(admin: Watched) -> None:
    page = admin.go("/tasks")
    page.get_by_role("button", name="Mark done: Call Anna about a demo").click()
    done = page.get_by_role("row").filter(has_text="Nordwind AS")
    expect(done.get_by_role("button", name="Open again")).to_be_visible()

    done.get_by_role("button", name="Open again").click()
    expect(page.get_by_role("button", name="Mark done: Call Anna about a demo")).to_be_visible()


def test_a_held_event_is_replayed(site: Site, admin: Watched) -> None:
    event = site.id("SELECT min(id) FROM event WHERE state = 'held'")
    page = admin.go(f"/events/{event}")
    expect(page.get_by_text("could not be used")).to_be_visible()
    page.get_by_role("button", name="Replay").click()

    expect(page.locator(".record-head .chip")).to_contain_text("Waiting")


# -- quick and quiet ---------------------------------------------------------------------------------------------------


def _send(site: Site, email: str) -> None:
    """A form comes in and is processed."""
    from leadflow.services.processing import Desk, process_events
    from leadflow.store.inbox import claim

    sources = read_configuration(CONFIG).sources
    now = datetime.now(UTC)
    body = f'{{"form": "contact", "email": "{email}"}}'.encode()
    arrival = prepare_arrival(sources["generic"], {"webhook-id": f"test-{email}"}, "application/json", body, now)
    with site.engine.begin() as connection:
        receive_arrivals(connection, [arrival])
    with site.engine.begin() as connection:
        process_events(connection, Desk(sources), claim(connection, now, 100), now)


def test_a_new_event_appears_by_itself(site: Site, admin: Watched) -> None:
    page = admin.go("/events")
    page.evaluate("window.isTheSamePage = true")
    _send(site, "late.visitor@quayside.example")

    expect(page.get_by_text("late.visitor@quayside.example")).to_be_visible(timeout=10_000)
    assert page.evaluate("window.isTheSamePage")


def test_typing_in_the_search_narrows_the_list(admin: Watched) -> None:
    page = admin.go("/companies")
    page.keyboard.press("/")
    page.keyboard.type("nordw")

    expect(page.locator("#record-list tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("q=nordw"))
    expect(page.get_by_label("Search companies", exact=True)).to_be_focused()


def test_the_theme_stays_as_chosen(visit: Callable[..., Watched]) -> None:
    watched = visit(theme="light")
    page = watched.go("/")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Theme: as the system").click()
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(ground) != light

    page = watched.go("/rules")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.get_by_role("button", name="Theme: dark").click()
    assert page.evaluate(ground) == light


def test_the_keyboard_reaches_the_content_and_the_descriptions(site: Site, admin: Watched) -> None:
    page = admin.go(f"/contacts/{site.contact('anna@nordwind.example')}")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()

    tip = page.locator("#status-tip")
    expect(tip).to_be_hidden()
    page.locator("#lead-status .tip").focus()
    expect(tip).to_be_visible()


def test_on_a_phone_the_menu_opens_and_closes(visit: Callable[..., Watched]) -> None:
    page = visit(width=380).go("/")
    expect(page.get_by_role("link", name="Rules", exact=True)).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Rules", exact=True).click()

    expect(page.get_by_role("heading", name="Rules", exact=True)).to_be_visible()
