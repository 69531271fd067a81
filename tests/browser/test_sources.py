"""Sources on the screens: a test that leaves nothing, the fitting room from held to processed, and trying again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import text

from leadflow.services.configuration import read_configuration
from leadflow.services.processing import Desk, process_events
from leadflow.store.inbox import claim
from tests.browser.conftest import Site, Watched
from tests.browser.story import CONFIG
from tests.browser.test_every_page import look_at

pytestmark = pytest.mark.browser

NAME = "fitting-shop"


@pytest.fixture
def shop(site: Site, admin: Watched) -> Iterator[Page]:
    """A source of this test's own, made on its page; what it held is gone afterwards."""
    page = admin.go("/sources")
    page.get_by_label("Name in its address").fill(NAME)
    page.get_by_label("Title").fill("Fitting shop")
    page.get_by_label("How deliveries prove where they come from").select_option("none")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("heading", name="Fitting shop", level=1)).to_be_visible()
    yield page
    with site.engine.begin() as connection:
        connection.execute(text("DELETE FROM event WHERE source = :name AND state <> 'processed'"), {"name": NAME})
        connection.execute(text("DELETE FROM source WHERE name = :name"), {"name": NAME})
        connection.execute(text("UPDATE installation SET lifecycle_revision = lifecycle_revision + 1"))


def deliver(site: Site, page: Page, person: str) -> int:
    document = {"what": "contact", "who": {"address": f"{person}@fitting-shop.example", "name": person.title()}}
    sent = {"data": json.dumps(document), "headers": {"content-type": "application/json", "webhook-id": person}}
    answer = page.request.post(f"{site.address}/hooks/{NAME}", **sent)  # type: ignore[arg-type]
    assert answer.status == 200
    return int(answer.json()["event_id"])


def work(site: Site) -> None:
    """A worker takes what the source sent."""
    now = datetime.now(UTC)
    with site.engine.begin() as connection:
        query = "SELECT id FROM event WHERE source = :name AND state = 'pending'"
        ids = list(connection.scalars(text(query), {"name": NAME}))
        process_events(connection, Desk(read_configuration(CONFIG).sources), claim(connection, now, 100, ids), now)


def contacts(site: Site) -> int:
    return site.id("SELECT count(*) FROM contact WHERE email LIKE '%@fitting-shop.example'")


def test_a_mapping_is_mended_in_the_fitting_room_and_held_events_work_once(
    site: Site, admin: Watched, shop: Page
) -> None:
    for person in ("ole", "pia", "rita"):
        deliver(site, shop, person)
    work(site)
    shop.get_by_role("link", name="Fitting room").click()
    preview = shop.locator("#fitting-preview")
    expect(preview).to_contain_text("3 events are held")
    expect(preview.get_by_role("article").first).to_contain_text("no e-mail address")

    # A click on an unused place of the payload starts a row; choosing its field tries it on.
    preview.get_by_role("button", name="who.address").first.click()
    shop.keyboard.press("Tab")
    row = shop.locator(".fit-row").first
    expect(row.get_by_label("Place in the payload")).to_have_value("who.address")
    row.get_by_label("Field", exact=True).select_option("email")
    expect(preview).to_contain_text("With the new mapping 3 of 3 held events would be taken")
    expect(preview.get_by_role("article").first).to_contain_text("rita@fitting-shop.example")
    assert contacts(site) == 0

    preview.get_by_role("button", name="Save and try 3 again").dblclick()
    expect(shop.get_by_role("status").filter(has_text="of 3")).to_contain_text("0 of 3")
    work(site)
    expect(shop.get_by_role("status").filter(has_text="of 3")).to_contain_text("3 of 3")
    expect(shop.get_by_text("Every event took effect, each once.")).to_be_visible()
    assert look_at(admin, shop.url.removeprefix(site.address)) == []
    assert contacts(site) == 3

    shop.goto(f"/sources/{NAME}/fitting")
    expect(shop.locator("#fitting-preview")).to_contain_text("Nothing is held here")
    expect(shop.locator(".fit-row").first.get_by_label("Place in the payload")).to_have_value("who.address")


def test_a_test_shows_what_became_of_it_and_leaves_nothing(site: Site, shop: Page) -> None:
    before = site.id("SELECT count(*) FROM event")
    shop.get_by_role("button", name="Send the test").click()

    tested = shop.get_by_role("region", name="What the test became")
    expect(tested).to_contain_text("200")
    expect(tested).to_contain_text("a new company: the first form from leadflow-test.example")
    expect(tested.get_by_role("article").filter(has_text="demo-request-to-mql")).to_contain_text("Fired")
    assert site.id("SELECT count(*) FROM event") == before
    assert site.id("SELECT count(*) FROM company WHERE domain = 'leadflow-test.example'") == 0


def test_held_events_are_tried_again_by_their_reason(site: Site, shop: Page) -> None:
    for person in ("una", "vik"):
        deliver(site, shop, person)
    work(site)
    shop.goto(f"/events?state=held&source={NAME}")
    shop.get_by_role("button", name="Try 2 again").click()

    expect(shop).to_have_url(re.compile(r"/events/replays/\d+$"))
    work(site)
    expect(shop.get_by_role("status").filter(has_text="of 2")).to_contain_text("2 of 2")
    expect(shop.locator("#replay-progress")).to_contain_text("no e-mail address")


def test_a_source_that_is_switched_off_holds_what_comes(site: Site, shop: Page) -> None:
    shop.get_by_role("button", name="Switch off").click()
    event_id = deliver(site, shop, "wim")
    work(site)
    shop.goto(f"/events/{event_id}")
    expect(shop.get_by_role("main")).to_contain_text("is switched off")

    shop.goto(f"/sources/{NAME}")
    shop.get_by_role("button", name="Switch on").click()
    expect(shop.get_by_text("is switched on")).to_be_visible()


def test_two_people_editing_a_source_lose_nothing(site: Site, admin: Watched, shop: Page) -> None:
    with site.engine.begin() as connection:
        connection.execute(text("UPDATE source SET revision = revision + 1 WHERE name = :name"), {"name": NAME})
    shop.get_by_role("textbox", name="Title").fill("Mine")
    shop.get_by_role("button", name="Save", exact=True).click()

    expect(shop.get_by_role("alert").first).to_contain_text("changed this source since you opened it")
    expect(shop.get_by_role("textbox", name="Title")).to_have_value("Mine")
    shop.get_by_role("button", name="Save", exact=True).click()
    expect(shop.get_by_role("heading", name="Mine", level=1)).to_be_visible()
    admin.troubles.clear()  # the browser notes the 409
