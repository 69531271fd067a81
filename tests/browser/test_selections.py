"""What people do with selections: make one by criteria, use it, freeze it, compare two and keep a part."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from leadflow.domain.events import Actor, ActorKind
from leadflow.services.records import create_company
from leadflow.services.searches import SearchDesk
from leadflow.services.selections import Draft, create_selection, delete_selection
from leadflow.store.reads.selections import selections_by_title
from tests.browser.conftest import Site, Watched
from tests.browser.test_every_page import look_at

pytestmark = pytest.mark.browser

ADA = Actor(ActorKind.PERSON, "1", "Ada Lindgren", acts_as_person=True)
OURS = {
    "zeta-one.example": ["zeta-fair"],
    "zeta-two.example": ["zeta-fair", "zeta-vip"],
    "zeta-three.example": ["zeta-vip"],
}


@pytest.fixture(scope="module")
def zeta(site: Site) -> Iterator[dict[str, int]]:
    """Three companies that only this file knows, and two selections of them; nothing is left of the selections."""
    now = datetime.now(UTC)
    with site.engine.begin() as connection:
        for domain, tags in OURS.items():
            draft = {"name": domain.removesuffix(".example").title(), "domain": domain, "tags": tags}
            create_company(connection, ADA, draft, now)
    ids = {}
    for title, tag in (("Zeta fair", "zeta-fair"), ("Zeta VIPs", "zeta-vip")):
        with site.engine.begin() as connection:
            draft = Draft(title, "company", "dynamic", {"company.tags": tag})
            ids[title] = create_selection(connection, SearchDesk(), ADA, draft, now)
    yield ids
    with site.engine.begin() as connection:
        mine = [one for one in selections_by_title(connection) if "zeta" in one.title.casefold()]
    for one in sorted(mine, key=lambda one: one.id, reverse=True):
        with site.engine.begin() as connection:
            delete_selection(connection, one.id, now)


def test_a_selection_is_made_by_criteria_and_used(site: Site, admin: Watched, zeta: dict[str, int]) -> None:
    page = admin.go("/selections")
    page.get_by_role("link", name="New selection").click()
    page.get_by_role("link", name="Companies", exact=True).last.click()
    page.get_by_label("Title").fill("Zeta by hand")
    page.get_by_label("Add a criterion…").select_option("company.tags")
    page.get_by_label("Value for Company tags").fill("zeta-vip")
    expect(page.locator("#criteria-count")).to_have_text("2 companies")
    page.get_by_role("button", name="Save selection").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Zeta by hand")
    expect(page.locator("#selection-line")).to_have_text("- selection: zeta-by-hand")
    expect(page.get_by_role("link", name="Zeta-Two", exact=True)).to_be_visible()
    page.get_by_role("link", name="Open as a list").click()
    expect(page.locator("main")).to_contain_text("Zeta-Three")
    expect(page.locator("main")).not_to_contain_text("Zeta-One")


def test_a_selection_without_criteria_is_refused_where_it_is_made(admin: Watched, zeta: dict[str, int]) -> None:
    page = admin.go("/selections/new?subject=company")
    page.get_by_label("Title").fill("Zeta nothing")
    page.get_by_role("button", name="Save selection").click()

    expect(page.get_by_role("alert").first).to_contain_text("needs at least one criterion")
    expect(page.get_by_label("Title")).to_have_value("Zeta nothing")
    admin.troubles.clear()  # the browser notes the 422


def test_two_selections_are_compared_and_a_part_is_frozen(site: Site, admin: Watched, zeta: dict[str, int]) -> None:
    page = admin.go(f"/selections/{zeta['Zeta fair']}")
    page.get_by_label("The other selection").select_option(label="Zeta VIPs")
    page.get_by_role("button", name="Compare").click()

    assert page.locator(".venn-count").all_text_contents() == ["1", "1", "1"]
    assert page.locator(".venn-number").all_inner_texts() == ["1", "1", "1", "3"]
    page.locator("summary", has_text="Save").first.click()
    page.get_by_role("link", name="Static: as it is now").first.click()
    expect(page.get_by_label("Title")).to_have_value("Zeta fair without Zeta VIPs")
    page.get_by_role("button", name="Save selection").click()

    expect(page.locator("#members-title")).to_have_text("Members")
    expect(page.get_by_role("link", name="Zeta-One", exact=True)).to_be_visible()
    add_and_take_out(page)


def add_and_take_out(page: Page) -> None:
    """The page of a static selection that has Zeta-One in it."""
    page.get_by_label("Name or address begins with").fill("zeta-three")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("button", name="Add: Zeta-Three").click()
    expect(page.get_by_role("button", name="Take out: Zeta-Three")).to_be_visible()
    page.get_by_role("button", name="Take out: Zeta-One").click()
    expect(page.locator("main")).to_contain_text("No longer in “Zeta fair without Zeta VIPs”.")
    expect(page.get_by_role("button", name="Take out: Zeta-One")).to_have_count(0)


def test_the_file_has_the_selections_records(site: Site, admin: Watched, zeta: dict[str, int]) -> None:
    admin.go("/selections")
    answer = admin.page.request.get(f"{site.address}/selections/{zeta['Zeta VIPs']}/export.csv")

    assert answer.headers["content-type"].startswith("text/csv")
    assert re.findall(r"zeta-\w+\.example", answer.text()) == ["zeta-two.example", "zeta-three.example"]


def test_who_only_looks_is_offered_nothing_to_change(viewer: Watched, zeta: dict[str, int]) -> None:
    page = viewer.go(f"/selections/{zeta['Zeta fair']}")

    expect(page.get_by_role("link", name="Open as a list")).to_be_visible()
    for name in ("Edit", "Freeze as it is now"):
        expect(page.get_by_role("link", name=name)).to_have_count(0)
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)


@pytest.mark.parametrize(("theme", "width"), [("light", 380), ("dark", 1600)])
def test_the_pages_of_selections_are_accessible(
    site: Site, visit: Callable[..., Watched], zeta: dict[str, int], theme: str, width: int
) -> None:
    watched = visit(theme=theme, width=width)
    fair = zeta["Zeta fair"]
    where = "%7B%22contact.lead_status%22%3A%22open%22%7D"
    paths = [
        "/selections",
        f"/selections/{fair}",
        f"/selections/{fair}/edit",
        f"/selections/new?subject=contact&where={where}&kind=static",
        "/selections/combine",
        "/selections/combine?one=zeta-fair&two=zeta-vips",
    ]

    assert [finding for path in paths for finding in look_at(watched, path)] == []
