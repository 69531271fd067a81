"""Boards in a real browser: cards moved by mouse and by keyboard, refusals, and browsers without script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import text

from leadflow.domain.events import Actor, ActorKind
from leadflow.services.records import change_company, create_company, create_contact
from tests.browser.conftest import Site, Watched
from tests.browser.story import VIEWER

pytestmark = pytest.mark.browser

ADA = Actor(ActorKind.PERSON, "1", "Ada Lindgren", acts_as_person=True)
BOARD = "/boards/contacts-by-lead-status?q=bo.dragged"


@pytest.fixture
def bo(site: Site) -> Iterator[int]:
    """Bo, a lead of a company of this module's own, and gone from all counts afterwards."""
    now = datetime.now(UTC)
    with site.engine.begin() as connection:
        company = create_company(connection, ADA, {"name": "Board & Sons", "category": "lead"}, now)
        sent = {"email": f"bo.dragged{company}@board.example", "first_name": "Bo", "last_name": f"Dragged {company}"}
        contact = create_contact(connection, ADA, {**sent, "company_id": company}, now)
    yield contact
    with site.engine.begin() as connection:
        current = connection.scalar(text("SELECT category_key FROM company WHERE id = :id"), {"id": company})
        if current != "other":
            change_company(connection, ADA, company, {"category": "other"}, now)


def make_inactive(site: Site, contact: int) -> None:
    """The contact's company becomes a customer."""
    with site.engine.begin() as connection:
        company = connection.scalar(text("SELECT company_id FROM contact WHERE id = :id"), {"id": contact})
        change_company(connection, ADA, int(company or 0), {"category": "customer"}, datetime.now(UTC))


def status_of(site: Site, contact: int) -> str:
    with site.engine.connect() as connection:
        return str(connection.scalar(text("SELECT lead_status_key FROM contact WHERE id = :id"), {"id": contact}))


def lane(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def card(page: Page, contact: int) -> Locator:
    return page.locator(f"#card-{contact}")


def drag(page: Page, what: Locator, where: Locator) -> None:
    """As a hand does it: press, move in steps, let go."""
    start, end = what.bounding_box(), where.bounding_box()
    assert start is not None
    assert end is not None
    page.mouse.move(start["x"] + 40, start["y"] + start["height"] - 12)
    page.mouse.down()
    page.mouse.move(start["x"] + 60, start["y"] + 30, steps=4)
    page.mouse.move(end["x"] + end["width"] / 2, end["y"] + 80, steps=12)
    page.mouse.up()


def test_a_dragged_card_writes_the_status(site: Site, visit: Callable[..., Watched], bo: int) -> None:
    page = visit(width=1600).go(BOARD)

    drag(page, card(page, bo), lane(page, "Contacting"))

    expect(lane(page, "Contacting").locator(f"#card-{bo}.is-there")).to_be_visible()
    expect(page.locator("#board-said")).to_have_text(f"Bo Dragged {company_of(site, bo)} moved to Contacting.")
    assert status_of(site, bo) == "contacting"


def company_of(site: Site, contact: int) -> int:
    return site.id("SELECT company_id FROM contact WHERE id = :id", id=contact)


def test_a_drag_of_an_inactive_status_is_refused_and_the_card_goes_back(
    site: Site, visit: Callable[..., Watched], bo: int
) -> None:
    watched = visit(width=1600)
    page = watched.go(BOARD)
    expect(card(page, bo)).to_be_visible()
    make_inactive(site, bo)

    drag(page, card(page, bo), lane(page, "Qualified"))

    expect(page.get_by_role("alert").filter(has_text="stays in Open")).to_contain_text(
        "Lead status is not active while the category is Customer; the value is kept and hidden."
    )
    expect(lane(page, "Open").locator(f"#card-{bo}.is-back")).to_contain_text("inactive while Customer")
    assert status_of(site, bo) == "open"
    watched.troubles = [one for one in watched.troubles if "409" not in one]


def test_a_card_is_moved_by_keyboard_alone(site: Site, admin: Watched, bo: int) -> None:
    page = admin.go(BOARD)
    card(page, bo).get_by_role("link", name="Move Bo").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Contacting")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    expect(lane(page, "Disqualified").locator(f"#card-{bo}")).to_be_visible()
    expect(page.locator("#board-said")).to_contain_text("moved to Disqualified")
    expect(card(page, bo).get_by_role("link", name="Move Bo")).to_be_focused()
    assert status_of(site, bo) == "disqualified"


def test_the_category_of_a_contact_leads_to_its_company(site: Site, admin: Watched, bo: int) -> None:
    page = admin.go("/boards/contacts-by-category?q=bo.dragged")
    card(page, bo).get_by_role("link", name="Move Bo").click()
    page.get_by_role("menuitem", name="Partner").click()

    refusal = page.get_by_role("alert").filter(has_text="The category is the company's")
    expect(lane(page, "Lead").locator(f"#card-{bo}")).to_be_visible()
    refusal.get_by_role("link", name="Open the company Board & Sons").click()
    expect(page.get_by_role("heading", name="Board & Sons")).to_be_visible()
    admin.troubles = [one for one in admin.troubles if "409" not in one]


def test_without_script_a_card_has_a_form(site: Site, visit: Callable[..., Watched], bo: int) -> None:
    page = visit(java_script_enabled=False).page
    page.goto(site.address + BOARD)
    card(page, bo).get_by_role("link", name="Move Bo").click()
    page.get_by_label("Re-nurture").check()
    page.get_by_role("button", name="Move").click()

    expect(page.get_by_text("Moved to Re-nurture. The history names you.")).to_be_visible()
    assert status_of(site, bo) == "re-nurture"


def test_a_viewer_moves_nothing(visit: Callable[..., Watched], bo: int) -> None:
    page = visit(VIEWER).go(BOARD)

    expect(card(page, bo)).to_be_visible()
    expect(page.get_by_role("link", name="Move Bo")).to_have_count(0)
