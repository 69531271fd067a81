"""Every screen and search over a million contacts with a past: the server's time for one answer, no network."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from leadflow.services.access import Role, create_account, create_key, open_session
from leadflow.services.configuration import Configuration
from leadflow.services.installation import apply_configuration
from leadflow.store.engine import make_engine
from leadflow.store.migrate import upgrade
from leadflow.web.app import create_app
from leadflow.web.config import WebConfig
from tests.benchmarks import million
from tests.benchmarks.figures import Figure, Table, percentile
from tests.benchmarks.installation import libpq_address
from tests.benchmarks.past import fill_past

P95_MS, AIM_MS = 150, 50
SLOW_ENOUGH = "Look at its queries: LEADFLOW_LOG_LEVEL=debug, or auto_explain."

# What a walk over the addresses cannot know: filters, orders, searches. `{contact}` and the like are drawn each time.
ADDRESSES: Sequence[str] = (
    "/companies?q=firma+{company}",
    "/companies?category=mql",
    "/companies?order_by=company.category",
    "/companies?order_by=-company.created_at",
    "/companies?order_by=company.owner",
    "/companies?where={nordic}",
    "/contacts?q=nr+{contact}",
    "/contacts?order_by=contact.lead_status",
    "/contacts?order_by=contact.last_name",
    "/contacts?order_by=-contact.last_touched_at",
    "/contacts?group_by=contact.lead_status",
    "/contacts?where={renurture}",
    "/contacts?where={rare}",
    "/events?state=held",
    "/events?state=failed",
    "/proposals?state=decided",
    "/search?q=firma{company}",
    "/companies/{company}",
    "/contacts/{contact}",
    "/events/{event}",
    "/contacts?where={selection}",
    "/bulk/contact?of=all&status=active",
    "/boards/contacts-by-category",
    "/boards/companies-by-category",
    "/dashboards?range=90d",
    "/selections/1",
    "/rules/demo-request-to-mql",
    "/rules/campaign-to-tag",
    "/rules/documents/lifecycle.yaml/edit",
    "/rules/demo-request-to-mql/explain?contact={contact}",
    "/explain?company={company}",
    "/sources/generic/fitting",
)
WHERES: Mapping[str, str] = {
    "nordic": '{"company.tags":{"has":"nordic"}}',
    "renurture": '{"all":[{"contact.lead_status":"Re-nurture"},{"contact.tags":{"has":"newsletter"}}]}',
    "selection": '{"selection":"hot-leads"}',
    "rare": '{"contact.email":{"domain_in":["firma77.example"]}}',
}
SEARCHES: Sequence[tuple[str, str, dict[str, Any]]] = (
    ("one host", "contacts", {"where": {"contact.email": {"domain_in": ["firma{company}.example"]}}}),
    (
        "status and tag",
        "contacts",
        {"where": {"all": [{"contact.lead_status": "Re-nurture"}, {"contact.tags": "newsletter"}]}},
    ),
    ("by rank", "companies", {"where": {"company.tags": "nordic"}, "order_by": "company.category"}),
    ("not touched for 90 days", "contacts", {"where": {"contact.last_touched_at": {"older_than": "90 days"}}}),
)
# Answers that are a stream of everything, or not for people.
LEFT_OUT = ("/static/", "/api/", "/healthz", "/readyz", "/metrics", "/sign-in", "/openapi", ".csv")


@dataclass
class Visitor:
    """Somebody who is signed in, and goes from page to page."""

    client: FlaskClient
    chance: random.Random
    contacts: int

    def draw(self) -> dict[str, str]:
        """Another record each time, so that no answer was just asked for."""
        return {
            "contact": str(self.chance.randint(1, self.contacts)),
            "company": str(self.chance.randint(1, self.contacts // 5)),
            "event": str(self.chance.randint(1, self.contacts // 3)),
            **{name: urlencode({"": where})[1:] for name, where in WHERES.items()},
        }

    def visit(self, address: str) -> float:
        """Milliseconds for one page."""
        path = address.format_map(self.draw())
        start = time.perf_counter()
        answer = self.client.get(path)
        elapsed = (time.perf_counter() - start) * 1_000
        assert answer.status_code in (200, 303), (path, answer.status_code, answer.get_data(as_text=True)[:500])
        return elapsed

    def search(self, records: str, body: dict[str, Any], headers: Mapping[str, str]) -> float:
        """Milliseconds for one search by the API."""
        number = self.draw()["company"]
        asked = _filled(body, number)
        start = time.perf_counter()
        answer = self.client.post(f"/api/v1/{records}/search", json=asked, headers=headers)
        elapsed = (time.perf_counter() - start) * 1_000
        assert answer.status_code == 200, answer.get_data(as_text=True)[:500]
        return elapsed


def _filled(value: Any, number: str) -> Any:
    if isinstance(value, str):
        return value.replace("{company}", number)
    if isinstance(value, list):
        return [_filled(one, number) for one in value]
    if isinstance(value, dict):
        return {key: _filled(one, number) for key, one in value.items()}
    return value


def measure_pages(table: Table, url: str, configuration: Configuration, contacts: int, repeats: int) -> None:
    """Each page by itself, warmed up once: the p95 of its answers."""
    upgrade(url)
    engine = make_engine(url, pool_size=4)
    try:
        app = _installed(engine, url, configuration, contacts)
        visitor, headers = _somebody(app, engine, contacts)
        table.heading(f"Screens over {contacts:,} contacts and {contacts // 5:,} companies, server time, p95")
        for address in _addresses(app):
            _measure(table, address, lambda: visitor.visit(address), repeats)  # noqa: B023
        table.heading("Searches by the API, server time, p95")
        for name, records, body in SEARCHES:
            _measure(table, f"{records}: {name}", lambda: visitor.search(records, body, headers), repeats)  # noqa: B023
    finally:
        engine.dispose()


def _measure(table: Table, name: str, ask: Callable[[], float], repeats: int) -> None:
    ask()
    answers = [ask() for _ in range(repeats)]
    beside = f"median {percentile(answers, 50):.0f} ms"
    table.add(
        Figure(name, [percentile(answers, 95)], P95_MS, AIM_MS, "at most", "ms", beside, reason_if_missed=SLOW_ENOUGH)
    )


def _installed(engine: Engine, url: str, configuration: Configuration, contacts: int) -> Flask:
    now = datetime.now(UTC)
    with engine.begin() as connection:
        apply_configuration(connection, configuration, now)
        create_account(connection, "bench@ours.example", "Bench", Role.ADMIN, now, "correct-horse-battery")
    million.fill(libpq_address(url), contacts, contacts // 5)
    fill_past(libpq_address(url), contacts)
    return create_app(WebConfig(engine, "a secret for benchmarks only", sources=configuration.sources))


def _somebody(app: Flask, engine: Engine, contacts: int) -> tuple[Visitor, dict[str, str]]:
    now = datetime.now(UTC)
    with engine.begin() as connection:
        account = connection.scalar(text("SELECT min(id) FROM account"))
        assert account is not None
        token = open_session(connection, account, now)
        key = create_key(connection, "bench", Role.ADMIN, now)
    client = app.test_client()
    client.set_cookie("leadflow", token)
    return Visitor(client, random.Random(7), contacts), {"Authorization": f"Bearer {key}"}


def _addresses(app: Flask) -> Iterator[str]:
    """Every page that needs no record, then those of `ADDRESSES`."""
    for rule in sorted(app.url_map.iter_rules(), key=str):
        if "GET" in (rule.methods or ()) and not rule.arguments and not any(part in str(rule) for part in LEFT_OUT):
            yield str(rule)
    yield from ADDRESSES
