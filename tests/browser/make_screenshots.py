"""Makes the pictures of the documentation anew: python -m tests.browser.make_screenshots

Needs Chromium. LEADFLOW_TEST_DATABASE_URL may name a PostgreSQL server; without it, one is started for the moment.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import Site
from tests.browser.site import serve
from tests.browser.story import ADMIN, PASSWORD, tell_story
from tests.support import servers

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
WIDE, PHONE = (1440, 900), (390, 844)
SWEEP_OF = "SELECT max(id) FROM sweep WHERE rule = '{}'"
RUN_OF = (
    "SELECT event_id FROM run JOIN company ON company.id = company_id WHERE domain = '{}' AND {} ORDER BY run.id DESC"
)


def pictures(site: Site) -> list[tuple[str, str, str, tuple[int, int]]]:
    """(file name, path, theme, size) of each picture."""
    why = site.id(RUN_OF.format("nordwind.example", "rule = 'demo-request-to-mql' AND outcome = 'fired'") + " LIMIT 1")
    guard = site.id(RUN_OF.format("fjordly.example", "outcome = 'blocked_by_guard'") + " LIMIT 1")
    nordwind, anna = site.company("nordwind.example"), site.contact("anna@nordwind.example")
    warm = '{"any":[{"contact.tags":["spring"]},{"last_event":{"of":"form_submitted","within_last":"9 days"}}]}'
    return [
        ("overview", "/", "light", WIDE),
        ("overview-dark", "/", "dark", WIDE),
        ("dashboard", "/dashboards?complete=1", "light", WIDE),
        ("dashboard-dark", "/dashboards?complete=1", "dark", WIDE),
        ("dashboard-arrange", "/dashboards/leads/arrange", "light", WIDE),
        ("inbox", "/events", "light", WIDE),
        ("inbox-phone", "/events", "dark", PHONE),
        ("event-why", f"/events/{why}", "light", WIDE),
        ("event-guard", f"/events/{guard}", "dark", WIDE),
        ("proposals", "/proposals", "light", WIDE),
        ("tasks", "/tasks", "light", WIDE),
        ("companies", "/companies", "light", WIDE),
        ("companies-grouped", "/companies?group_by=company.category", "dark", WIDE),
        ("company", f"/companies/{nordwind}", "light", WIDE),
        ("contacts-criteria", f"/contacts?where={quote(warm)}", "light", WIDE),
        ("contact", f"/contacts/{anna}", "dark", WIDE),
        ("contact-phone", f"/contacts/{anna}", "light", PHONE),
        ("bulk", "/bulk/contact?of=all&status=active", "light", WIDE),
        ("search", "/search?q=an", "light", WIDE),
        ("selections", "/selections", "light", WIDE),
        ("selection-new", "/selections/new?subject=company", "light", WIDE),
        ("board", "/boards", "light", WIDE),
        ("board-phone", "/boards/companies-by-category", "dark", PHONE),
        ("rules", "/rules", "light", WIDE),
        ("rule", "/rules/pricing-page-to-mql", "dark", WIDE),
        ("rule-scheduled", "/rules/ask-again", "light", WIDE),
        ("rule-editor", "/rules/documents/our-rules.yaml/edit", "light", WIDE),
        ("rule-editor-dark", "/rules/documents/our-rules.yaml/edit", "dark", WIDE),
        ("rule-explain", f"/rules/pricing-page-to-mql/explain?company={nordwind}", "light", WIDE),
        ("explain-all", f"/explain?contact={anna}", "light", WIDE),
        ("rule-versions", "/rules/versions", "light", WIDE),
        ("lifecycle", "/lifecycle", "light", WIDE),
        ("lifecycle-dark", "/lifecycle", "dark", WIDE),
        ("sweeps", "/sweeps", "light", WIDE),
        ("sweep-braked", f"/sweeps/{site.id(SWEEP_OF.format('tag-everybody'))}", "light", WIDE),
        ("outbox", "/outbox", "dark", WIDE),
        ("sources", "/sources", "light", WIDE),
        ("source", "/sources/generic", "light", WIDE),
        ("fitting-room", "/sources/generic/fitting", "light", WIDE),
        ("categories", "/admin/lists", "light", WIDE),
        ("category", "/admin/lists/categories/mql", "dark", WIDE),
        ("people", "/admin/people", "light", WIDE),
        ("account-phone", "/account", "dark", PHONE),
        ("system", "/system", "light", WIDE),
    ]


def sign_in(page: Page) -> None:
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill(ADMIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Overview").wait_for()


def take(browser: Browser, site: Site, name: str, path: str, theme: str, size: tuple[int, int]) -> None:
    context = browser.new_context(
        base_url=site.address,
        color_scheme="dark" if theme == "dark" else "light",
        viewport={"width": size[0], "height": size[1]},
        reduced_motion="reduce",
    )
    page = context.new_page()
    sign_in(page)
    page.goto(path, wait_until="networkidle")  # editor and charts have come
    page.evaluate("document.fonts.ready")
    page.screenshot(path=FOLDER / f"{name}.png")
    context.close()


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    run = servers.Run.begin()
    try:
        with ExitStack() as stack:
            url = stack.enter_context(servers.database(run.postgres_url()))
            servers.prepare_template(url)
            tell_story(url)
            address, engine = stack.enter_context(serve(url))
            playwright = stack.enter_context(sync_playwright())
            browser = playwright.chromium.launch(executable_path=servers.chromium(), args=["--no-sandbox"])
            site = Site(address, engine)
            for picture in pictures(site):
                take(browser, site, *picture)
    finally:
        run.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
