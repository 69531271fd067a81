"""Dashboards in a real browser: a tile from a selection, charts, spans of time, and no script at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import text

from leadflow.domain.events import Actor, ActorKind
from leadflow.services.dashboards import create_dashboard, delete_dashboard, read_tiles
from tests.browser.conftest import Site, Watched
from tests.browser.story import VIEWER

pytestmark = pytest.mark.browser

ADA = Actor(ActorKind.PERSON, "1", "Ada Lindgren", acts_as_person=True)
KINDS = ("funnel", "new_leads", "lead_statuses", "categories", "forms", "moves_by_rule", "time_to_mql")


@pytest.fixture
def mine(site: Site) -> Iterator[str]:
    """The path of a dashboard of this module's own, with one tile of each kind."""
    with site.engine.begin() as connection:
        tiles = read_tiles([{"kind": one} for one in KINDS], {})
        key = create_dashboard(connection, ADA, "Board room", tiles, datetime.now(UTC))
    yield f"/dashboards/{key}"
    with site.engine.begin() as connection:
        delete_dashboard(connection, ADA, key, None)


def tile(page: Page, title: str) -> Locator:
    return page.get_by_role("region", name=title, exact=True)


def shown_number(where: Locator) -> int:
    return int(where.inner_text().replace(",", ""))


def test_a_tile_made_from_a_selection_leads_to_as_many_records_as_it_says(admin: Watched, mine: str) -> None:
    page = admin.go(f"{mine}/arrange")
    page.get_by_label("What the tile shows").select_option(label="Hot leads")
    page.get_by_role("button", name="Add tile").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.get_by_role("link", name="Done").click()

    number = tile(page, "Hot leads").locator(".tile-figure a")
    count = shown_number(number)
    assert count > 0
    number.click()
    expect(page).to_have_url(re.compile(r"/contacts\?where="))
    expect(page.locator("#criteria-count")).to_have_text(re.compile(rf"^\s*{count}\b"))


def test_numbers_lead_to_their_records(site: Site, admin: Watched, mine: str) -> None:
    page = admin.go(mine)
    table = tile(page, "Companies by category")
    table.get_by_text("As a table").click()
    row = table.get_by_role("row").filter(has_text="Customer").first
    count = shown_number(row.get_by_role("link"))
    assert count == site.id("SELECT count(*) FROM company WHERE category_key = 'customer'")
    row.get_by_role("link").click()

    expect(page.locator("tbody tr")).to_have_count(count)


def test_charts_are_drawn_in_the_colours_of_the_theme(admin: Watched, mine: str) -> None:
    page = admin.go(mine)
    drawn = tile(page, "New leads by source").locator("canvas")
    expect(drawn).to_be_visible()
    page.wait_for_timeout(400)
    light = drawn.evaluate("(one) => one.toDataURL()")
    page.get_by_role("button", name="Theme: as the system").click()
    page.get_by_role("button", name="Theme: light").click()
    page.wait_for_timeout(400)

    assert drawn.evaluate("(one) => one.toDataURL()") != light


@pytest.fixture
def send_fair(site: Site) -> Iterator[Callable[[], None]]:
    """A form `fair` of somebody's comes in, and is gone afterwards."""

    def send() -> None:
        with site.engine.begin() as connection:
            connection.execute(text(_FAIR))

    yield send
    with site.engine.begin() as connection:
        connection.execute(text("DELETE FROM event WHERE delivery_id = 'fair-of-dashboards'"))


def test_a_tile_counts_anew_by_itself_and_keeps_its_chart(
    admin: Watched, mine: str, send_fair: Callable[[], None]
) -> None:
    page = admin.go(mine)
    forms = tile(page, "Leads per form")
    forms.get_by_text("As a table").click()
    page.evaluate("document.querySelector('.kind-forms canvas').id = 'the-same'")
    counted = forms.locator("[data-chart]")
    before = counted.get_attribute("data-chart")
    send_fair()
    page.evaluate("document.activeElement.blur()")
    page.evaluate(
        "htmx.ajax('GET', document.querySelector('.kind-forms').getAttribute('hx-get'),"
        " {target: '.kind-forms', swap: 'outerMorph'})"
    )

    expect(counted).not_to_have_attribute("data-chart", before or "")
    expect(forms.locator("canvas#the-same")).to_be_visible()
    expect(forms.get_by_role("row").filter(has_text="fair")).to_be_visible()


_FAIR = """
INSERT INTO event (source, delivery_id, type, state, lane, received_at, body_sha256, fields, contact_id)
SELECT source, 'fair-of-dashboards', type, state, lane, received_at, body_sha256, '{"form": "fair"}', contact_id
FROM event WHERE state = 'processed' AND type = 'form_submitted' AND contact_id IS NOT NULL ORDER BY id DESC LIMIT 1
"""


def test_the_span_stands_in_the_address(admin: Watched, mine: str) -> None:
    page = admin.go(mine)
    page.get_by_role("link", name="This month").click()

    expect(page).to_have_url(re.compile("range=month"))
    assert "between" in (tile(page, "Qualification funnel").get_by_role("link").first.get_attribute("href") or "")
    page.get_by_label("First day").fill("2026-01-01")
    page.get_by_label("Last day").fill("2026-01-31")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("1 Jan – 31 Jan 2026 ·")).to_be_visible()


def test_without_script_there_are_tables(site: Site, visit: Callable[..., Watched], mine: str) -> None:
    page = visit(VIEWER, java_script_enabled=False).page
    page.goto(site.address + mine + "?complete=1")
    table = tile(page, "Leads by status")
    table.get_by_text("As a table").click()

    expect(table.get_by_role("row").filter(has_text="Contacting").get_by_role("link").first).to_be_visible()
    expect(page.get_by_text("Counting …")).to_have_count(0)
    expect(page.get_by_role("link", name="Arrange")).to_have_count(0)


def test_a_dashboard_is_one_page_of_paper(admin: Watched, mine: str) -> None:
    page = admin.go(mine)
    page.wait_for_timeout(400)

    assert len(re.findall(rb"/Type\s*/Page[^s]", page.pdf(format="A4"))) == 1
