"""Lists, cards and bulk changes in a browser: columns, criteria, addresses to share, refusals with their reasons."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from leadflow.domain.events import Actor, ActorKind
from leadflow.services.records import create_company, create_contact
from tests.browser.conftest import Site, Watched

pytestmark = pytest.mark.browser

PERSON = Actor(ActorKind.PERSON, "1", "Ada Lindgren", acts_as_person=True)


@dataclass(frozen=True)
class Firms:
    """Two companies that only these tests know: a lead and a customer, each with a contact."""

    lead: int
    customer: int
    lead_contact: int
    customer_contact: int


@pytest.fixture(scope="module")
def firms(site: Site) -> Firms:
    now = datetime.now(UTC)
    with site.engine.begin() as connection:
        ids = []
        for name, category in (("Quartz Lists", "lead"), ("Quartz Paid", "customer")):
            domain = f"{name.replace(' ', '-').lower()}.example"
            sent = {"name": name, "domain": domain, "category": category, "tags": ["quartz"]}
            ids.append(create_company(connection, PERSON, sent, now))
        contacts = [
            create_contact(
                connection, PERSON, {"email": f"q{one}@quartz.example", "company_id": one, "tags": ["quartz"]}, now
            )
            for one in ids
        ]
    return Firms(*ids, *contacts)


@pytest.fixture
def page(admin: Watched) -> Iterator[Page]:
    """The browser notes refusals (409) in its console; they are what is asked for here."""
    yield admin.page
    admin.troubles = [one for one in admin.troubles if "409" not in one]


def add_criterion(page: Page, field: str, *values: str) -> None:
    """Field, its first operator, and values of its list."""
    page.get_by_label("Add a criterion…").select_option(label=field)
    value = page.get_by_label(re.compile(f"^Value for {field}"))
    expect(value).to_be_visible()
    if values and value.evaluate("one => one.tagName") == "SUMMARY":
        value.click()
        for one in values:
            page.locator("#criteria").get_by_label(one, exact=True).check()
    else:
        for one in values:
            value.fill(one)


@pytest.mark.usefixtures("firms")
def test_a_list_is_narrowed_sorted_and_shared(admin: Watched, visit: Callable[..., Watched]) -> None:
    page = admin.go("/companies")
    page.get_by_text("Criteria", exact=True).click()
    add_criterion(page, "Company tags", "quartz")
    rows = page.locator("#record-list tbody tr")
    expect(rows).to_have_count(2)
    expect(page.locator("#criteria-count")).to_have_text("2 companies")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("group", name="Columns").get_by_label("Company domain", exact=True).check()
    expect(page.get_by_role("columnheader", name="Company domain")).to_be_visible()
    page.get_by_role("link", name="Category", exact=True).click()
    expect(page.get_by_role("columnheader", name="Category", exact=True)).to_have_attribute("aria-sort", "ascending")
    assert rows.locator(".row-link").all_inner_texts() == ["Quartz Lists", "Quartz Paid"]
    page.get_by_role("link", name="Category", exact=True).click()
    expect(page.get_by_role("columnheader", name="Category", exact=True)).to_have_attribute("aria-sort", "descending")
    address = page.url.removeprefix(admin.address)

    other = visit().go(address)

    assert other.locator("#record-list .row-link").all_inner_texts() == ["Quartz Paid", "Quartz Lists"]
    expect(other.get_by_role("columnheader", name="Company domain")).to_be_visible()
    other.get_by_role("button", name=re.compile("^Remove: ")).click()
    expect(other.locator("#criteria-count")).not_to_have_text("2 companies")


@pytest.mark.usefixtures("firms")
def test_criteria_are_made_with_the_keyboard_alone(admin: Watched) -> None:
    page = admin.go("/contacts")
    page.get_by_text("Criteria", exact=True).focus()
    page.keyboard.press("Enter")
    fresh = page.get_by_label("Add a criterion…")
    fresh.focus()
    page.keyboard.type("Contact tags")
    page.keyboard.press("Tab")
    value = page.get_by_label("Value for Contact tags")
    expect(value).to_be_visible()
    value.focus()
    page.keyboard.type("quartz")
    expect(page.locator("#record-list tbody tr")).to_have_count(2)
    page.get_by_label(re.compile("^Remove: ")).first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Add a criterion…")).to_be_focused()


def test_details_are_edited_in_place_and_a_refusal_keeps_what_was_typed(
    page: Page, admin: Watched, firms: Firms
) -> None:
    admin.go(f"/companies/{firms.lead}")
    page.get_by_text("Edit details").click()
    page.get_by_label("Owner").fill("Grace")
    page.get_by_label("Domain").fill("gmail.com")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert").first).to_contain_text("free-mail provider")
    assert page.get_by_label("Owner").input_value() == "Grace"

    page.get_by_label("Domain").fill("quartz-lists.example")
    page.get_by_role("button", name="Save").click()

    expect(page.locator(".timeline-list")).to_contain_text("Grace")


def test_the_second_of_two_editors_hears_of_the_first(
    page: Page, admin: Watched, firms: Firms, visit: Callable[..., Watched]
) -> None:
    admin.go(f"/companies/{firms.customer}")
    other = visit().go(f"/companies/{firms.customer}")
    for one, owner in ((other, "First"), (page, "Second")):
        one.get_by_text("Edit details").click()
        one.get_by_label("Owner").fill(owner)
        one.get_by_role("button", name="Save").click()
        expect(one.locator("#card")).to_contain_text(
            "First" if one is other else "changed this record since you opened it"
        )


def test_a_task_is_added_on_a_card(page: Page, admin: Watched, firms: Firms) -> None:
    admin.go(f"/contacts/{firms.lead_contact}")
    page.get_by_text("Add a task").click()
    page.get_by_label("What is to be done").fill("Ring about quartz")
    page.get_by_role("button", name="Add task").click()

    expect(page.locator("#tasks-title ~ *, .lines").get_by_text("Ring about quartz").first).to_be_visible()
    page.get_by_role("button", name="Mark done: Ring about quartz").click()
    expect(page.get_by_role("button", name="Mark done: Ring about quartz")).to_have_count(0)


def test_a_bulk_change_is_looked_at_done_and_reported(admin: Watched, firms: Firms) -> None:
    page = admin.go('/contacts?where={"contact.tags":["quartz"]}')
    page.get_by_label("All on this page").check()
    page.get_by_role("button", name="Change chosen").click()
    page.get_by_label("Lead status", exact=True).check()
    page.get_by_label("New lead status").select_option(label="Contacting")
    page.get_by_role("button", name="Preview").click()
    preview = page.locator("#preview")
    expect(preview).to_contain_text("Lead status is not active while the category is Customer")

    page.get_by_role("button", name="Change 1 record").click()

    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    expect(page.locator("#bulk")).to_contain_text("Lead status is not active while the category is Customer")
    with page.expect_download() as download:
        page.get_by_role("link", name="Every record left out").click()
    lines = download.value.path().read_text("utf-8-sig").splitlines()
    assert lines[1].startswith(f"{firms.customer_contact},q{firms.customer}@quartz.example,Lead status is not active")
    admin.go(f"/contacts/{firms.lead_contact}")
    expect(page.locator(".timeline-list")).to_contain_text("Contacting")
