"""What holds for every screen: clean, accessible, at home on a phone and on a wide screen, in both themes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import Site, Watched
from tests.browser.story import SCHEDULED

pytestmark = pytest.mark.browser

SWEEP_OF = "SELECT max(id) FROM sweep WHERE rule = '{}'"
RUN_OF = "SELECT event_id FROM run WHERE {} ORDER BY id DESC LIMIT 1"


def paths(site: Site) -> list[str]:
    """Every page, with records that show all it can show."""
    events = [
        site.id(RUN_OF.format("outcome = 'fired' AND rule = 'demo-request-to-mql'")),
        site.id(RUN_OF.format("outcome = 'blocked_by_guard'")),
        site.id(RUN_OF.format("is_near_miss AND rule = 'pricing-page-to-mql'")),
        site.id("SELECT max(id) FROM event WHERE state = 'held'"),
        site.id("SELECT max(id) FROM event WHERE state = 'failed'"),
    ]
    return [
        *(
            "/",
            "/events",
            "/events?state=held",
            "/companies",
            "/companies?q=nord",
            "/contacts",
            "/contacts?status=active",
            "/contacts?group_by=contact.lead_status",
            '/contacts?where={"any":[{"contact.tags":["spring"]},{"last_event":{"of":"sale","within_last":"9 days"}}]}',
            '/companies?columns=domain,category_group&where={"company.category":["lead"]}',
            "/bulk/contact?of=all&status=active",
        ),
        *(f"/sweeps/{site.id(SWEEP_OF.format(slug))}" for slug in SCHEDULED),
        *(
            "/companies?q=nothing-like-it",
            *("/rules", "/rules?status=attention", "/rules/new", "/rules/versions", "/rules/versions/1?against=live"),
            *("/rules/documents/our-rules.yaml/edit", "/rules/documents/lists/freemail.txt/edit", "/lifecycle"),
            "/tasks",
            "/outbox",
            "/sweeps",
            "/search?q=an",
            "/search",
            "/proposals",
            "/proposals?state=decided",
            "/selections",
            "/selections/new?subject=company",
            "/selections/combine",
            *("/boards", "/boards/contacts-by-category", "/boards/companies-by-category?q=n"),
            f"/boards/contacts-by-lead-status/cards/{site.contact('anna@nordwind.example')}",
            *("/dashboards?complete=1", "/dashboards/leads/arrange", "/dashboards/moves"),
            "/account",
            "/admin/lists",
            "/admin/lists/categories/mql",
            "/admin/lists/lead-statuses/open",
            "/admin/people",
            "/admin/people/1",
            "/system",
            "/events?q=nordwind&source=generic&form=demo-request",
            "/sources",
            "/sources/generic",
            "/sources/standard-webhooks",
            "/sources/generic/fitting",
        ),
        *(f"/events/{one}" for one in events),
        *(f"/companies/{site.company(domain)}" for domain in ("nordwind.example", "fjordly.example")),
        *(f"/contacts/{site.contact(email)}" for email in ("anna@nordwind.example", "kim@fjordly.example")),
        f"/contacts/{site.contact('sam.rivers@gmail.com')}",
        *(f"/rules/{slug}" for slug in ("pricing-page-to-mql", "webinar-to-mql", "campaign-to-tag", *SCHEDULED)),
        f"/rules/pricing-page-to-mql/explain?contact={site.contact('anna@nordwind.example')}",
        "/rules/webinar-to-mql/explain?find=an",
        f"/explain?company={site.company('nordwind.example')}",
        "/rules/pricing-page-to-mql/form",
    ]


# Contrast is the theme's and order the width's, so two of the four pairs see all that axe can see.
@pytest.mark.parametrize(("theme", "width"), [("light", 1600), ("dark", 380)])
def test_every_page_is_accessible(site: Site, visit: Callable[..., Watched], theme: str, width: int) -> None:
    watched = visit(theme=theme, width=width)

    assert [finding for path in paths(site) for finding in look_at(watched, path)] == []


@pytest.mark.parametrize(("theme", "width"), [("light", 380), ("dark", 1600)])
def test_every_page_is_clean_and_fits(site: Site, visit: Callable[..., Watched], theme: str, width: int) -> None:
    watched = visit(theme=theme, width=width)

    assert [finding for path in paths(site) for finding in fit(watched, path)] == []


def fit(watched: Watched, path: str) -> list[str]:
    """Open the page; what sticks out to the right. What else is wrong, the watched page notes itself."""
    page = watched.go(path)
    assert page.locator("h1").count() == 1, path
    return [path] if page.evaluate("document.documentElement.scrollWidth > window.innerWidth") else []


def look_at(watched: Watched, path: str) -> list[str]:
    """Open the page; what does not fit, and what axe finds serious or critical."""
    too_wide = fit(watched, path)
    violations = Axe().run(watched.page, options={"resultTypes": ["violations"]}).response["violations"]
    grave = [one for one in violations if one["impact"] in ("serious", "critical")]
    return [*too_wide, *(f"{path}: {one['id']}: {one['nodes'][0]['html'][:160]}" for one in grave)]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_sign_in_page_is_accessible(visit: Callable[..., Watched], theme: str) -> None:
    assert look_at(visit(None, theme=theme, width=380), "/sign-in") == []


@pytest.mark.parametrize("width", [380, 1600])
def test_what_does_not_exist_is_said_in_style(visit: Callable[..., Watched], width: int) -> None:
    watched = visit(width=width)

    findings = look_at(watched, "/companies/987654321")

    assert findings == []
    assert "There is no company 987654321" in watched.page.inner_text("main")
    # The browser itself notes a 404 in the console; that is what was asked for.
    watched.troubles = [one for one in watched.troubles if "404" not in one]
