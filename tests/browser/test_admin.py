"""What administrators do on the screens: lists, people, keys, the system; and everybody on their own account."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import text

from tests.browser.conftest import Site, Watched

pytestmark = pytest.mark.browser

PASSWORD = "a new long password"


@pytest.fixture
def as_found(site: Site) -> Iterator[None]:
    """The lists are afterwards as they were: others look at them, too."""
    with site.engine.connect() as connection:
        categories = connection.execute(text("SELECT key, name, rank FROM category")).all()
        statuses = connection.execute(text("SELECT key, name, rank FROM lead_status")).all()
    yield
    with site.engine.begin() as connection:
        connection.execute(text("SELECT set_config('leadflow.actor', 'person', true)"))
        for table, rows in (("category", categories), ("lead_status", statuses)):
            for row in rows:
                values = {"key": row.key, "name": row.name, "rank": row.rank}
                change = f"UPDATE {table} SET name = :name, rank = :rank WHERE key = :key"
                connection.execute(text(change), values)
        connection.execute(text("UPDATE installation SET lifecycle_revision = lifecycle_revision + 1"))


# -- categories and lead statuses --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("as_found")
def test_a_category_is_renamed_after_it_is_said_who_is_affected(site: Site, admin: Watched) -> None:
    page = admin.go("/admin/lists")
    page.get_by_role("link", name="Edit: Marketing qualified lead").click()
    page.get_by_label("Name", exact=True).fill("Warm lead")
    page.get_by_role("button", name="Continue").click()

    review = page.get_by_role("region", name="Before you save")
    companies = site.id("SELECT count(*) FROM company WHERE category_key = 'mql'")
    expect(review).to_contain_text(f"{companies} compan")
    expect(review).to_contain_text("live rules name it")
    expect(review.get_by_role("link", name="A demo request makes the company a marketing")).to_be_visible()
    assert site.id("SELECT count(*) FROM category WHERE name = 'Warm lead'") == 0

    review.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved: Warm lead.")).to_be_visible()
    page = admin.go("/companies")
    expect(page.locator(".chip").filter(has_text="Warm lead").first).to_be_visible()


@pytest.mark.usefixtures("as_found")
def test_ranks_are_changed_by_arrows_and_by_dragging(site: Site, admin: Watched) -> None:
    order = "SELECT string_agg(key, ',' ORDER BY rank) FROM lead_status WHERE deleted_at IS NULL"

    def keys() -> list[str]:
        with site.engine.connect() as connection:
            return str(connection.scalar(text(order))).split(",")

    page = admin.go("/admin/lists")
    page.get_by_role("button", name="Move up: Contacting").click()
    expect(page.get_by_text("The order is changed")).to_be_visible()
    assert keys()[:2] == ["contacting", "open"]

    grip = page.locator("#lead-statuses-qualified [data-grip]")
    target = page.locator("#lead-statuses-contacting")
    grip.scroll_into_view_if_needed()
    grip.drag_to(target, target_position={"x": 20, "y": 4})
    expect(page.locator("#lead-statuses tbody tr").first).to_contain_text("Qualified")
    expect(page.get_by_text("The order is changed")).to_be_visible()
    assert keys()[0] == "qualified"


def test_switching_the_lead_status_off_is_said_in_numbers_and_can_be_left(site: Site, admin: Watched) -> None:
    page = admin.go("/admin/lists/categories/opportunity")
    page.get_by_label("Contacts have a lead status").uncheck()
    page.get_by_role("button", name="Continue").click()

    expect(page.get_by_text("no longer leads")).to_be_visible()
    page.get_by_role("link", name="Leave it as it is").click()
    assert site.id("SELECT lead_status_enabled::int FROM category WHERE key = 'opportunity'") == 1


def test_deleting_what_a_rule_moves_to_is_refused_with_the_place(admin: Watched) -> None:
    page = admin.go("/admin/lists/categories/mql")
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Delete it").click()

    expect(page.get_by_role("alert").filter(has_text="Not changed")).to_contain_text("Live rules name")
    admin.troubles = [one for one in admin.troubles if "409" not in one]


# -- people and keys ---------------------------------------------------------------------------------------------------


def invite(page: Page, name: str, email: str) -> str:
    """The link that the page shows once."""
    page.get_by_text("Invite a person").click()
    form = page.locator("form").filter(has=page.get_by_role("button", name="Make a one-time link"))
    form.get_by_label("Name").fill(name)
    form.get_by_label("E-mail").fill(email)
    form.get_by_label("Role").select_option("editor")
    form.get_by_role("button", name="Make a one-time link").click()
    return page.locator("#shown-link").inner_text()


def test_a_person_is_invited_signs_in_by_the_link_and_is_signed_out_again(
    admin: Watched, visit: Callable[..., Watched]
) -> None:
    page = admin.go("/admin/people")
    link = invite(page, "Ingrid Aas", "ingrid@ours.example")
    page = admin.go("/admin/people")
    expect(page.locator("#shown-link")).to_have_count(0)

    guest = visit(None)
    theirs = guest.go(link.removeprefix(admin.address))
    expect(theirs.get_by_role("heading", name="Welcome, Ingrid Aas")).to_be_visible()
    theirs.get_by_label("Choose a password").fill(PASSWORD)
    theirs.get_by_role("button", name="Save and sign in").click()
    expect(theirs.get_by_role("heading", name="Overview")).to_be_visible()
    expect(theirs.get_by_role("link", name="People and keys")).to_have_count(0)

    page.get_by_role("link", name="Ingrid Aas").click()
    session = page.locator("#sessions li")
    expect(session).to_contain_text("Chrome on Linux")
    session.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("Nowhere at the moment.")).to_be_visible()
    guest.go("/companies")
    expect(theirs).to_have_url(re.compile("/sign-in"))

    theirs.get_by_label("E-mail").fill("ingrid@ours.example")
    theirs.get_by_label("Password").fill(PASSWORD)
    theirs.get_by_role("button", name="Sign in").click()
    expect(theirs.get_by_role("heading", name="Companies")).to_be_visible()


def test_the_last_administrator_cannot_be_disabled(admin: Watched) -> None:
    page = admin.go("/admin/people")
    page.get_by_role("link", name="Ada Lindgren", exact=True).click()
    page.get_by_role("button", name="Disable the account").click()

    expect(page.get_by_role("alert").filter(has_text="Not changed")).to_contain_text("the last administrator")
    admin.troubles = [one for one in admin.troubles if "409" not in one]


def test_a_key_is_made_shown_once_used_and_revoked(admin: Watched) -> None:
    page = admin.go("/admin/people")
    page.get_by_text("Make a key").click()
    form = page.locator("form").filter(has=page.get_by_role("button", name="Make the key"))
    form.get_by_label("Name").fill("web shop")
    form.get_by_label("Role").select_option("viewer")
    form.get_by_role("button", name="Make the key").click()
    key = page.locator("#shown-key").inner_text()
    assert key.startswith("lf_")

    def status() -> int:
        answer = page.request.get(f"{admin.address}/api/v1/companies", headers={"Authorization": f"Bearer {key}"})
        return int(answer.status)

    assert status() == 200
    page = admin.go("/admin/people")
    assert key not in page.content()
    row = page.get_by_role("row").filter(has_text="web shop")
    expect(row).to_contain_text("just now")
    row.get_by_label("Revoke: web shop").click()
    row.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_text("is revoked: the next request with it is refused")).to_be_visible()
    assert status() == 401


# -- one's own account -------------------------------------------------------------------------------------------------


def test_people_change_their_password_and_sign_out_everywhere(admin: Watched, visit: Callable[..., Watched]) -> None:
    link = invite(admin.go("/admin/people"), "Nils Lie", "nils@ours.example")
    guest = visit(None)
    page = guest.go(link.removeprefix(admin.address))
    page.get_by_label("Choose a password").fill(PASSWORD)
    page.get_by_role("button", name="Save and sign in").click()
    page.get_by_title("Your account").click()

    page.get_by_label("Present password").fill("not the present one")
    page.get_by_label("New password", exact=True).fill("even longer than before")
    page.get_by_label("New password again").fill("even longer than before")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("alert").filter(has_text="present password")).to_contain_text("is not right")
    guest.troubles.clear()  # the browser notes the 422

    page.get_by_label("Present password").fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill("even longer than before")
    page.get_by_label("New password again").fill("even longer than before")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("Your password is changed.")).to_be_visible()
    expect(page.locator("#sessions li")).to_have_count(1)

    page.get_by_role("button", name="Sign out everywhere").click()
    expect(page).to_have_url(re.compile("/sign-in$"))
    guest.go("/account")
    expect(page).to_have_url(re.compile("/sign-in"))


# -- the system --------------------------------------------------------------------------------------------------------


def test_the_system_page_says_what_to_do_and_refreshes_by_itself(site: Site, admin: Watched) -> None:
    page = admin.go("/system")
    expect(page.get_by_text("Start one:").first).to_be_visible()
    expect(page.locator("code").filter(has_text="leadflow worker")).to_be_visible()
    page.evaluate("window.isTheSamePage = true")
    beat = (
        "INSERT INTO heartbeat (role, host, pid, started_at, seen_at, did_work)"
        " VALUES ('worker', 'host-7', 4711, now(), now(), 99)"
    )
    with site.engine.begin() as connection:
        connection.execute(text(beat))

    expect(page.get_by_text("host-7")).to_be_visible(timeout=10_000)
    assert page.evaluate("window.isTheSamePage")
    with site.engine.begin() as connection:
        connection.execute(text("DELETE FROM heartbeat WHERE host = 'host-7'"))
