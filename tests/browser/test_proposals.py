"""A person decides what a rule may do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import text

from leadflow.domain.events import Actor, ActorKind
from leadflow.services.records import change_company
from tests.browser.conftest import Site, Watched
from tests.browser.story import VIEWER, Story

pytestmark = pytest.mark.browser

RULE = "qualified-contact-to-opportunity"
PERSON = Actor(ActorKind.PERSON, "1", "Ada Lindgren", acts_as_person=True)


@pytest.fixture
def propose(site: Site, story: Story) -> Callable[[str], int]:
    """Somebody at this new domain asks for something and is qualified; the company, for which the rule proposes."""

    def tell(domain: str) -> int:
        now = datetime.now(UTC)
        story.form(now, form="contact", email=f"lea@{domain}", first_name="Lea", company=domain.partition(".")[0])
        story.status(now, f"lea@{domain}", "qualified")
        return site.company(domain)

    return tell


def card_of(page: Page, company: str) -> Any:
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=company))


def category_of(site: Site, company_id: int) -> str | None:
    with site.engine.connect() as connection:
        return connection.scalar(text("SELECT category_key FROM company WHERE id = :id"), {"id": company_id})


def find(page: Page, company: str) -> Any:
    """The card of the proposal, on whichever page of the queue it stands."""
    while card_of(page, company).count() == 0:
        page.get_by_role("link", name="More").click()
        page.wait_for_load_state()
    return card_of(page, company)


def test_a_proposal_is_accepted(site: Site, visit: Callable[..., Watched], propose: Callable[[str], int]) -> None:
    company_id = propose("first-proposal.example")
    page = visit().go("/proposals")
    card = find(page, "first-proposal")
    expect(card.get_by_text("Opportunity", exact=True).first).to_be_visible()

    card.get_by_role("button", name="Accept").click()

    expect(page.get_by_text("Accepted: the change is made, in your name.")).to_be_visible()
    assert category_of(site, company_id) == "opportunity"
    page.get_by_role("link", name="Decided", exact=True).click()
    expect(card_of(page, "first-proposal").get_by_text("Ada Lindgren", exact=False).first).to_be_visible()


def test_another_category_is_chosen(site: Site, visit: Callable[..., Watched], propose: Callable[[str], int]) -> None:
    company_id = propose("other-category.example")
    page = visit().go("/proposals")
    card = find(page, "other-category")

    card.get_by_text("Another category").click()
    card.get_by_label("Category instead").select_option("mql")
    card.get_by_role("button", name="Set").click()

    expect(page.get_by_text("Accepted: the change is made, in your name.")).to_be_visible()
    assert category_of(site, company_id) == "mql"


def test_a_proposal_is_declined_with_a_reason(
    site: Site, visit: Callable[..., Watched], propose: Callable[[str], int]
) -> None:
    company_id = propose("declined-proposal.example")
    page = visit().go("/proposals")
    card = find(page, "declined-proposal")

    card.get_by_text("Decline", exact=True).first.click()
    card.get_by_label("Why not?").fill("Budget comes next year")
    card.get_by_role("button", name="Decline").click()

    assert category_of(site, company_id) == "lead"
    page.goto("/proposals?state=decided")
    expect(card_of(page, "declined-proposal").get_by_text("Budget comes next year")).to_be_visible()


def test_what_a_person_edits_in_the_meantime_stays(
    site: Site, visit: Callable[..., Watched], propose: Callable[[str], int]
) -> None:
    company_id = propose("edited-meanwhile.example")
    page = visit().go("/proposals")
    card = find(page, "edited-meanwhile")
    with site.engine.begin() as connection:
        change_company(connection, PERSON, company_id, {"category": "partner"}, datetime.now(UTC))

    card.get_by_role("button", name="Accept").click()

    expect(page.get_by_text("Nothing was done. The category of the company was changed")).to_be_visible()
    assert category_of(site, company_id) == "partner"


def test_a_viewer_sees_proposals_and_decides_nothing(
    visit: Callable[..., Watched], propose: Callable[[str], int]
) -> None:
    propose("only-looking.example")

    page = visit(VIEWER).go("/proposals")

    expect(find(page, "only-looking")).to_be_visible()
    expect(page.get_by_role("button", name="Accept")).to_have_count(0)
