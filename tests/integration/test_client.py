"""The Python client against the real API on a real port: pages, versions, tries again, and problems as exceptions."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from leadflow import client as module
from leadflow.client import (
    ApiError,
    Busy,
    Changed,
    Client,
    Conflict,
    Invalid,
    NoAnswer,
    NotAllowed,
    NotFound,
    NotSignedIn,
)
from leadflow.services.configuration import read_configuration
from tests.integration.api_support import CONFIG, Api, running_api
from tests.support.processes import free_port
from tests.support.reuse import ReusedDatabase
from tests.support.serving import served

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture
def api(reused_database: ReusedDatabase) -> Iterator[Api]:
    sources = read_configuration(CONFIG, {}).sources
    with running_api(reused_database.fresh(), sources=sources) as running:
        yield running


@pytest.fixture
def address(api: Api) -> Iterator[str]:
    with served(api.app, keeps_connections=True) as here:
        yield here


@pytest.fixture
def leadflow(api: Api, address: str) -> Iterator[Client]:
    with Client(address, api.key("admin")) as client:
        yield client


# Against the API ------------------------------------------------------------------------------------------------------


def test_the_example_of_the_readme_runs(api: Api, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = re.search(r"```python\n(from leadflow\.client.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found, "the README shows the client"
    assert found[1].count("\n") <= 15
    example = found[1].replace("http://127.0.0.1:8000", address).replace("lf_…", api.key("admin"))
    company = api.made("/companies", {"name": "Fjellheim", "category": "mql"})
    api.made("/contacts", {"email": "kari@fjellheim.example", "company_id": company["id"]})

    for _ in range(2):
        exec(compile(example, "README.md", "exec"), {})

    said = capsys.readouterr().out
    assert "kari@fjellheim.example Marketing qualified lead" in said
    assert "category None → lead" in said
    assert "owner None → Ada" in said
    assert api.count("sale") == 2


def test_lists_go_on_over_all_pages(leadflow: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_SIZE", 2)
    names = [f"Company {number}" for number in range(5)]
    for name in names:
        leadflow.companies.create(name=name)

    assert [one["name"] for one in leadflow.companies.list(limit=2)] == names
    assert [one["name"] for one in leadflow.companies.search(order_by="company.name")] == names
    assert [one["name"] for one in leadflow.companies.search(order_by="-company.name")] == names[::-1]
    assert leadflow.companies.count({"all": [{"company.name": "Company 3"}]}) == 1
    assert leadflow.companies.first(name="Company 4") == leadflow.companies.get(
        next(one["id"] for one in leadflow.companies.list(name="Company 4"))
    )
    assert leadflow.companies.first(name="Nobody") is None


def test_a_record_is_changed_as_it_was_read_and_no_other_way(leadflow: Client) -> None:
    read = leadflow.companies.create(name="Nordwind")

    changed = leadflow.companies.change(read, owner="Ada")

    assert (changed["owner"], changed.etag == read.etag) == ("Ada", False)
    with pytest.raises(Changed):
        leadflow.companies.change(read, owner="Bo")
    assert leadflow.companies.change(read["id"], owner="Bo")["owner"] == "Bo"


def test_what_is_made_twice_under_one_key_is_made_once(leadflow: Client, api: Api) -> None:
    first, again = (leadflow.companies.create(name="Nordwind", idempotency_key="k-1") for _ in range(2))

    assert (first["id"], first.is_replay, again.is_replay) == (again["id"], False, True)
    leadflow.companies.create(name="Nordwind")
    assert api.count("company") == 2


def test_problems_say_what_is_wrong(leadflow: Client, api: Api, address: str) -> None:
    made = leadflow.companies.create(name="Nordwind", domain="nordwind.example", category="customer")

    with pytest.raises(Conflict) as taken:
        leadflow.companies.create(name="Other", domain="nordwind.example")
    with pytest.raises(Invalid) as wrong:
        leadflow.companies.create(name=7, colour="red")
    with pytest.raises(NotFound, match="no company 99"):
        leadflow.companies.get(99)
    with Client(address, "lf_wrong_key") as stranger, pytest.raises(NotSignedIn):
        stranger.companies.first()
    with Client(address, api.key("viewer")) as viewer, pytest.raises(NotAllowed, match="viewer"):
        viewer.companies.create(name="x")
    with Client(address, api.key("admin", "automation")) as robot, pytest.raises(Conflict):
        robot.companies.change(made["id"], category="lead")

    assert taken.value.existing_id == made["id"]
    assert {one.location for one in wrong.value.faults} == {"name", "colour"}


def test_forms_sales_lists_and_keys_have_their_verbs(leadflow: Client) -> None:
    receipt = leadflow.deliver("generic", {"form": "contact", "email": "a@nordwind.example"}, "d-1")
    again = leadflow.deliver("generic", {"form": "contact", "email": "a@nordwind.example"}, "d-1")
    assert (receipt["duplicate"], again["duplicate"]) == (False, True)
    assert leadflow.events.get(receipt["event_id"])["state"] == "pending"

    company = leadflow.companies.create(name="Nordwind", category="lead")
    sale = leadflow.sales.create(company_id=company["id"], amount=Decimal("12.50"))
    assert leadflow.sales.change(sale, status="sold")["amount"] == "12.50"
    assert leadflow.sales.get(sale["id"]).etag is not None

    due = datetime(2026, 3, 4, 9, tzinfo=UTC)
    assert leadflow.tasks.create(title="Call", due_at=due)["due_at"] == "2026-03-04T09:00:00Z"
    since = datetime(2026, 3, 1, tzinfo=UTC) - timedelta(days=1)
    assert next(leadflow.changes.list(since=since))["entity"] == "company"

    leadflow.categories.delete(leadflow.categories.get("other"))
    assert [one["key"] for one in leadflow.categories.list()][-1] == "partner"
    assert leadflow.categories.restore("other")["deleted_at"] is None
    assert leadflow.lead_statuses.impact("open")["contacts"] == 0
    key = leadflow.api_keys.create(name="shop", role="viewer")
    assert leadflow.api_keys.delete(key["id"])["revoked_at"] is not None


RULE = """leadflow: 1
rules:
  - rule: tag-it
    title: {title}
    owner: marketing
    status: draft
    when: {{form_submitted: any}}
    then: [{{add_tag: seen}}]
"""


def test_rules_are_checked_published_and_rolled_back(leadflow: Client) -> None:
    first = {"team/mine.yaml": RULE.format(title="Once")}
    assert leadflow.rules.check({"a.yaml": "leadflow: 1\nrules: 7\n"})["problems"]
    version = leadflow.rules.publish(first, note="begun")["version"]
    read = leadflow.rules.document("team/mine.yaml")
    assert ([one["slug"] for one in leadflow.rules.list()], read["text"]) == (["tag-it"], first["team/mine.yaml"])

    leadflow.rules.write(read, RULE.format(title="Twice"))
    with pytest.raises((Changed, Conflict)):
        leadflow.rules.write(read, RULE.format(title="Late"))
    assert [one["name"] for one in leadflow.rules.documents()] == ["team/mine.yaml"]
    live = next(leadflow.rules.versions())["version"]
    leadflow.rules.roll_back(version, based_on=live)

    assert leadflow.rules.document("team/mine.yaml")["text"] == first["team/mine.yaml"]
    assert next(leadflow.rules.versions())["restores"] == version


def test_selections_and_pages_of_their_members(leadflow: Client) -> None:
    company = leadflow.companies.create(name="Nordwind", category="lead")
    where = {"all": [{"company.category": "Lead"}]}
    made = leadflow.selections.create(title="Leads of ours", subject="company", where=where)

    assert [one["id"] for one in leadflow.selections.members(made["id"])] == [company["id"]]
    leadflow.selections.delete(made)
    assert [one["key"] for one in leadflow.boards.list()]


# When the server is busy or away --------------------------------------------------------------------------------------


@pytest.fixture
def waits() -> list[float]:
    return []


def asking(server: HTTPServer, waits: list[float], **more: int) -> Client:
    return Client(server.url_for(""), "lf_a_b", sleep=waits.append, timeout_seconds=0.3, **more)  # type: ignore[arg-type]


def answering(*answers: Response) -> tuple[list[Request], object]:
    seen: list[Request] = []

    def answer(request: Request) -> Response:
        seen.append(request)
        return answers[min(len(seen), len(answers)) - 1]

    return seen, answer


def busy(status: int, **headers: str) -> Response:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response('{"title": "Busy"}', status, headers, content_type="application/problem+json")


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says_so(httpserver: HTTPServer, waits: list[float], status: int) -> None:
    fine = Response('{"id": 1}', 201, content_type="application/json")
    seen, answer = answering(busy(status, Retry_After="7"), busy(status), fine)
    httpserver.expect_request("/api/v1/companies").respond_with_handler(answer)  # type: ignore[arg-type]

    made = asking(httpserver, waits).companies.create(name="Nordwind")

    assert made["id"] == 1
    assert waits[0] == 7
    assert 0 < waits[1] < 2
    assert len({one.headers["Idempotency-Key"] for one in seen}) == 1


def test_a_server_that_stays_busy_is_an_error_after_all_tries(httpserver: HTTPServer, waits: list[float]) -> None:
    seen, answer = answering(busy(503))
    httpserver.expect_request("/api/v1/companies/1").respond_with_handler(answer)  # type: ignore[arg-type]

    with pytest.raises(Busy):
        asking(httpserver, waits, tries=3).companies.get(1)

    assert (len(seen), len(waits)) == (3, 2)


def test_a_wait_of_an_hour_is_the_callers_to_decide(httpserver: HTTPServer, waits: list[float]) -> None:
    _, answer = answering(busy(429, Retry_After="3600"))
    httpserver.expect_request("/api/v1/companies/1").respond_with_handler(answer)  # type: ignore[arg-type]

    with pytest.raises(Busy):
        asking(httpserver, waits).companies.get(1)

    assert waits == []


def test_a_server_that_is_away_is_no_answer(waits: list[float]) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with Client(away, "k", sleep=waits.append, tries=3) as client, pytest.raises(NoAnswer):
        client.companies.get(1)

    assert len(waits) == 2


def test_a_change_of_a_version_is_not_sent_twice_when_its_answer_is_lost(
    httpserver: HTTPServer, waits: list[float]
) -> None:
    released = threading.Event()
    seen: list[Request] = []

    def hang(request: Request) -> Response:
        seen.append(request)
        released.wait(2)
        return Response("{}")

    httpserver.expect_request("/api/v1/companies/1").respond_with_handler(hang)
    record = module.Record(id=1)
    record.etag = '"1-a"'
    with pytest.raises(NoAnswer):
        asking(httpserver, waits).companies.change(record, name="x")
    released.set()

    assert (len(seen), waits) == (1, [])


def test_an_answer_that_is_no_json_is_an_error_too(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/v1/companies/1").respond_with_data("<html>", 502)

    with pytest.raises(ApiError, match="502"):
        asking(httpserver, []).companies.get(1)


def test_waits_may_be_written_as_a_date() -> None:
    assert module._retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert module._retry_after("soon") is None
