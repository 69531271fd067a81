"""Health, metrics, headers, and the document that describes the API: true, and readable without another host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.integration.api_support import Api, problem_of, running_api
from tests.support.reuse import ReusedDatabase
from tests.support.serving import served


@pytest.fixture
def api(reused_database: ReusedDatabase) -> Iterator[Api]:
    with running_api(reused_database.fresh(), broker_state=lambda: "down: connection refused") as running:
        yield running


# Health ---------------------------------------------------------------------------------------------------------------


def test_a_server_is_ready_with_its_database_and_guard_whatever_the_broker_does(api: Api) -> None:
    response = api.client.get("/readyz")

    assert response.status_code == 200
    assert response.json == {
        "status": "ready",
        "database": "ok",
        "schema": "ok",
        "guard": "ok",
        "broker": "down: connection refused",
    }


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE company DISABLE TRIGGER guard_update",
        "ALTER TABLE company ENABLE TRIGGER guard_update",  # no longer under session_replication_role = replica
        "DROP TRIGGER append_only ON change",
    ],
)
def test_a_server_whose_guard_is_not_in_place_is_not_ready(database_url: str, statement: str) -> None:
    with running_api(database_url) as api:
        as_owner(database_url, statement)
        response = api.client.get("/readyz")

        assert response.status_code == 503
        assert response.json["guard"].startswith("missing or disabled: ")
        assert api.client.get("/healthz").json == {"status": "ok"}


def test_a_server_with_another_schema_is_not_ready(database_url: str) -> None:
    with running_api(database_url) as api:
        as_owner(database_url, "UPDATE alembic_version SET version_num = 'older'")
        response = api.client.get("/readyz")

    assert (response.status_code, "older" in response.json["schema"]) == (503, True)


def as_owner(url: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


def test_metrics_count_events_and_requests_and_name_nobody(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind", "domain": "nordwind.example"})
    api.made("/sales", {"company_id": company["id"]})
    api.clock.pass_by(seconds=30)
    api.get(f"/companies/{company['id']}")
    api.get("/nothing")

    text = api.client.get("/metrics").text

    assert "leadflow_events_pending 1.0" in text
    assert 'leadflow_events{state="pending"} 1.0' in text
    assert 'leadflow_events{state="processed"} 0.0' in text
    assert "leadflow_oldest_pending_seconds 30.0" in text
    assert counted(text, "/api/v1/companies/<id>", "200") == "1.0"
    assert counted(text, "none", "404") == "1.0"
    assert "ordwind" not in text


def counted(text: str, route: str, status: str) -> str:
    """The number of GETs that this process counted."""
    labels = rf'{{method="GET",process="\d+",route="{re.escape(route)}",status="{status}"}}'
    return re.findall(rf"^leadflow_http_requests_total{labels} (.+)$", text, re.MULTILINE)[0]


# Headers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/companies", "/nothing", "/hooks/none", "/sign-in", "/api/docs"])
def test_every_answer_is_locked_down(api: Api, path: str) -> None:
    headers = api.client.get(path).headers

    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy.get("script-src", "")
    assert ("'unsafe-inline'" in headers["Content-Security-Policy"]) == (path == "/api/docs")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_what_a_record_says_is_not_kept_by_shared_caches(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind"})

    assert api.get("/companies").headers["Cache-Control"] == "private, no-store"
    assert api.get(f"/companies/{company['id']}").headers["Cache-Control"] == "private, no-cache"


# The document ---------------------------------------------------------------------------------------------------------


def test_the_document_describes_every_endpoint(api: Api) -> None:
    document = api.client.get("/api/v1/openapi.json").json

    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    served = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in api.app.url_map.iter_rules()
        if rule.rule.startswith(("/api/v1/", "/hooks/")) and rule.endpoint != "docs.document"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert document["openapi"] == "3.1.0"
    assert described == served


def test_every_reference_of_the_document_leads_somewhere(api: Api) -> None:
    document = api.client.get("/api/v1/openapi.json").json

    wanted = set(re.findall(r'"#/components/schemas/(\w+)"', api.client.get("/api/v1/openapi.json").text))

    assert wanted <= set(document["components"]["schemas"])
    identifiers = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(identifiers) == len(set(identifiers))


def test_an_answer_has_the_members_that_the_document_names(api: Api) -> None:
    schemas = api.client.get("/api/v1/openapi.json").json["components"]["schemas"]
    company = api.made("/companies", {"name": "Nordwind", "category": "lead"})
    contact = api.made("/contacts", {"email": "anna@nordwind.example", "company_id": company["id"]})
    sale = api.made("/sales", {"company_id": company["id"]})
    answers: dict[str, dict[str, Any]] = {
        "CompanyView": company,
        "ContactView": contact,
        "SaleView": {name: value for name, value in sale.items() if name != "event_id"},
        "TaskView": api.made("/tasks", {"title": "Call"}),
        "EventView": api.get(f"/events/{sale['event_id']}").json,
        "ChangeView": api.get("/changes").json["items"][0],
        "CategoryView": api.get("/categories/lead").json,
        "LeadStatusView": api.get("/lead-statuses/open").json,
        "Impact": api.get("/categories/lead/impact").json,
    }

    for name, answer in answers.items():
        assert set(answer) == set(schemas[name]["properties"]), name


def test_the_document_promises_no_defaults_for_changes(api: Api) -> None:
    schemas = api.client.get("/api/v1/openapi.json").json["components"]["schemas"]

    assert all("default" not in member for member in schemas["CompanyWrite"]["properties"].values())
    assert schemas["SaleCreate"]["properties"]["status"]["default"] == "open"


@pytest.mark.browser
def test_the_documents_page_shows_the_endpoints_without_another_host(api: Api, browser: Browser) -> None:
    complaints: list[str] = []
    asked: list[str] = []
    with served(api.app) as address:
        page = browser.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/api/docs")
        page.get_by_text("Read a company").first.wait_for()
        page.get_by_text("Change a company").first.click()
        page.get_by_text("the ETag of the version that was read").first.wait_for()
        page.close()

    assert complaints == []
    assert {url for url in asked if not url.startswith((f"{address}/", "data:"))} == set()


def test_an_unknown_source_is_a_problem_too(api: Api) -> None:
    problem_of(api.client.post("/hooks/none", json={}), 404)
