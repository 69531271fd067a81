"""One told story for all tests of the screens, and browsers that notice everything that is not right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, StorageState
from sqlalchemy import Engine, text

from leadflow.services.configuration import read_configuration
from tests.browser.site import serve
from tests.browser.story import ADMIN, CONFIG, PASSWORD, VIEWER, Story, tell_story
from tests.support import servers

# Says aloud in the console what the browser refused to load or run.
TELL_VIOLATIONS = """document.addEventListener('securitypolicyviolation', (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`))"""

# A browser throws away keys pressed before it has painted the page for the first time, as nobody can have meant them.
PAINTED = "() => new Promise((paint) => requestAnimationFrame(() => requestAnimationFrame(paint)))"


@dataclass(frozen=True)
class Site:
    """The application and its data."""

    address: str
    engine: Engine

    def id(self, query: str, **values: object) -> int:
        """The number that a query finds."""
        with self.engine.connect() as connection:
            return int(connection.scalar(text(query), values))

    def contact(self, email: str) -> int:
        return self.id("SELECT id FROM contact WHERE email = :email", email=email)

    def company(self, domain: str) -> int:
        return self.id("SELECT id FROM company WHERE domain = :domain", domain=domain)


@dataclass
class Watched:
    """A page, and what went wrong on it so far."""

    page: Page
    address: str
    troubles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda said: self._note(said.type in ("error", "warning"), said.text))
        self.page.on("pageerror", lambda error: self._note(True, str(error)))
        self.page.on("request", lambda sent: self._note(self._is_elsewhere(sent.url), f"asked {sent.url}"))

    def _note(self, is_trouble: bool, words: str) -> None:
        if is_trouble:
            self.troubles.append(f"{self.page.url}: {words}")

    def _is_elsewhere(self, url: str) -> bool:
        return not url.startswith((self.address, "data:"))

    def go(self, path: str) -> Page:
        self.page.goto(self.address + path)
        self.page.evaluate(PAINTED)
        return self.page


@pytest.fixture(scope="session")
def site(postgres_url: str, template_database: str) -> Iterator[Site]:
    """The application over a database of this session's own."""
    with servers.database(postgres_url, template_database) as url:
        tell_story(url)
        with serve(url) as (address, engine):
            yield Site(address, engine)


@pytest.fixture
def story(site: Site) -> Story:
    """Lets more happen than the story has told, with delivery ids of its own."""
    told = Story(site.engine, read_configuration(CONFIG))
    told.deliveries = count(time.time_ns())
    return told


@pytest.fixture(scope="session")
def signed_in(site: Site, browser: Browser) -> Callable[[str], StorageState]:
    """The cookies of somebody who signed in by the form."""
    known: dict[str, StorageState] = {}

    def cookies_of(email: str) -> StorageState:
        if email not in known:
            context = browser.new_context(base_url=site.address)
            page = context.new_page()
            page.goto("/sign-in")
            page.get_by_label("E-mail").fill(email)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.get_by_role("heading", name="Overview").wait_for()
            known[email] = context.storage_state()
            context.close()
        return known[email]

    return cookies_of


@pytest.fixture
def visit(site: Site, browser: Browser, signed_in: Callable[[str], StorageState]) -> Iterator[Callable[..., Watched]]:
    """Opens a watched page for an account, and fails at the end if anything went wrong on it."""
    opened: list[tuple[BrowserContext, Watched]] = []

    def open_page(email: str | None = ADMIN, *, theme: str = "light", width: int = 1280, **options: Any) -> Watched:
        state = {"storage_state": signed_in(email)} if email else {}
        context = browser.new_context(
            base_url=site.address,
            color_scheme=theme,  # type: ignore[arg-type]
            viewport={"width": width, "height": 900},
            **state,
            **options,
        )
        context.add_init_script(TELL_VIOLATIONS)
        watched = Watched(context.new_page(), site.address)
        opened.append((context, watched))
        return watched

    yield open_page
    troubles = [trouble for _, watched in opened for trouble in watched.troubles]
    for context, _ in opened:
        context.close()
    assert troubles == []


@pytest.fixture
def admin(visit: Callable[..., Watched]) -> Watched:
    return visit(ADMIN)


@pytest.fixture
def viewer(visit: Callable[..., Watched]) -> Watched:
    return visit(VIEWER)
