"""Dashboards: every number is the number of records behind its link; who arranges, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient

from leadflow.errors import InvalidRequest
from leadflow.services.access import Role, create_account, open_session
from leadflow.services.dashboards import BY
from leadflow.services.date_ranges import DateRange, read_range
from leadflow.services.processing import Desk, process_events
from leadflow.services.searches import read_search
from leadflow.services.tiles import Question, Row, Tile, TileValue, read_tile
from leadflow.store.inbox import claim
from leadflow.store.lists import read_lists
from leadflow.store.record_lists import is_lead
from leadflow.store.searches import count_found, estimate_found
from leadflow.web.config import web_config
from tests.integration.api_support import START, problem_of
from tests.support.scenes import Scene

TO_MQL = "{when: {form_submitted: {form: demo}}, rule: demo-to-mql, status: live, then: [{set_category: {to: mql}}]}"
KINDS = ("funnel", "moves_by_rule", "time_to_mql", "lead_statuses", "categories", "forms")


# Spans of time --------------------------------------------------------------------------------------------------------

NOVEMBER = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("key", "first", "last", "before"),
    [
        ("7d", "2026-11-16", "2026-11-22", ("2026-11-09", "2026-11-15")),
        ("30d", "2026-10-24", "2026-11-22", ("2026-09-24", "2026-10-23")),
        ("month", "2026-11-01", "2026-11-22", ("2026-10-01", "2026-10-31")),
        ("last-month", "2026-10-01", "2026-10-31", ("2026-09-01", "2026-09-30")),
        ("quarter", "2026-10-01", "2026-11-22", ("2026-07-01", "2026-09-30")),
        ("last-quarter", "2026-07-01", "2026-09-30", ("2026-04-01", "2026-06-30")),
    ],
)
def test_a_span_has_whole_days_and_one_before_it(key: str, first: str, last: str, before: tuple[str, str]) -> None:
    span = read_range(key, "", "", NOVEMBER, UTC)

    assert span.criterion == [first, last]
    assert span.before.criterion == list(before)


def test_the_day_is_that_of_the_zone() -> None:
    oslo = read_range("7d", "", "", NOVEMBER, ZoneInfo("Europe/Oslo"))

    assert oslo.last == date(2026, 11, 23)
    assert oslo.end == datetime(2026, 11, 23, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("key", "first", "last"),
    [("9d", "", ""), ("custom", "", ""), ("", "2026-02-30", "2026-03-01"), ("", "2026-03-02", "2026-03-01"),
     ("", "2020-01-01", "2026-03-01"), ("", "0001-01-01", "0001-01-02")],
)  # fmt: skip
def test_a_span_that_cannot_be_is_refused(key: str, first: str, last: str) -> None:
    with pytest.raises(InvalidRequest):
        read_range(key, first, last, NOVEMBER, UTC)


# Numbers and their records --------------------------------------------------------------------------------------------


@pytest.fixture
def past(scene: Scene) -> Scene:
    """Three months of forms, moves by a rule and by a person, an inactive status, a person without a company."""
    scene.publish(TO_MQL)
    told = [
        (80, "ann@old.example", "demo", {"utm_source": "LinkedIn"}),
        (50, "ann@old.example", "Demo", {}),
        (40, "bob@mid.example", "contact", {"utm_source": "linkedin", "utm_campaign": "Spring"}),
        (33, "bob@mid.example", "demo", {}),
        (10, "cleo@new.example", "contact", {"utm_source": "google"}),
        (9, "cleo@new.example", "contact", {}),
        (5, "cleo@new.example", "demo", {}),
        (3, "dan@new.example", "demo", {"utm_source": "LINKEDIN"}),
        (2, "sam@gmail.com", "contact", {}),
        (1.25, "eve@today.example", "contact", {}),
        (0.25, "eve@today.example", "demo", {}),  # after the end of last month
    ]
    for ago, email, form, more in told:
        scene.clock.now = START - timedelta(days=ago)
        scene.post_form(form, email, **more)
        scene.drain()
    scene.clock.now = START - timedelta(days=1)
    scene.change_company(scene.company_id("old.example"), category="lead")
    scene.change_company(scene.company_id("old.example"), category="mql")
    scene.change_company(scene.company_id("mid.example"), category="customer")
    scene.make_contact("own@gmail.com", None, category="opportunity")
    scene.clock.now = START
    return scene


def value_of(scene: Scene, tile: Tile, key: str = "30d") -> tuple[TileValue, DateRange]:
    span = read_range(key, "", "", scene.clock(), UTC)
    with scene.engine.connect() as connection:
        return read_tile(connection, Question(tile, span, read_lists(connection), scene.clock())), span


def found(scene: Scene, subject: str, where: Any) -> int:
    """How many records the condition finds."""
    with scene.app.app_context(), scene.engine.connect() as connection:
        search = read_search(connection, web_config().searches, subject, where, None)  # type: ignore[arg-type]
        return count_found(connection, search.subject, search.condition, scene.clock())


def leads(scene: Scene, status: str) -> int:
    """How many contacts the list of leads with this status has."""
    with scene.engine.connect() as connection:
        lifecycle = read_lists(connection).lifecycle
        enabled = [key for key in lifecycle.categories if lifecycle.is_lead_status_active(key)]
        return estimate_found(connection, "contact", None, scene.clock(), (is_lead(enabled, status),)).number


@pytest.mark.parametrize("key", ["7d", "30d", "90d", "last-month", "quarter"])
def test_each_number_is_that_of_the_records_behind_it(past: Scene, key: str) -> None:
    for tile in (*(Tile("t", kind) for kind in KINDS), *(Tile("t", "new_leads", by=by) for by in BY)):
        value, span = value_of(past, tile, key)

        assert value.subject is not None
        for row in value.rows:
            assert_as_found(past, value.subject, row)
            assert not row.points or (sum(row.points), len(row.points)) == (row.number, len(span.points))
        if value.where is not None:
            assert value.total == found(past, value.subject, value.where)


def assert_as_found(scene: Scene, subject: str, row: Row) -> None:
    """The number is that of the records behind its link."""
    if row.where is not None:
        assert row.number == found(scene, subject, row.where), row
    if row.status is not None:
        assert row.number == leads(scene, row.status), row
        assert row.kept == found(scene, "contact", row.kept_where), row


def test_the_funnel_counts_companies_by_the_stages_they_reached(past: Scene) -> None:
    value, _ = value_of(past, Tile("t", "funnel"))

    assert [(one.key, one.number, one.before) for one in value.rows] == [
        ("lead", 3, 1), ("mql", 3, 1), ("opportunity", 0, 0), ("customer", 1, 0),
    ]  # fmt: skip


def test_new_leads_are_grouped_as_text_compares(past: Scene) -> None:
    value, _ = value_of(past, Tile("t", "new_leads", by="source"))

    assert {one.label: (one.number, one.before) for one in value.rows} == {
        "google": (1, 0), "linkedin": (1, 1), "not known": (2, 0),
    }  # fmt: skip
    assert (value.total, value.before) == (4, 1)


def test_a_status_that_is_not_active_is_counted_apart(past: Scene) -> None:
    value, _ = value_of(past, Tile("t", "lead_statuses"))

    assert [(one.key, one.number, one.kept) for one in value.rows if one.number or one.kept] == [("open", 5, 1)]


def test_the_median_is_that_of_the_moves_in_the_span(past: Scene) -> None:
    value, _ = value_of(past, Tile("t", "time_to_mql"))

    # Cleo's company was Lead for five days, Eve's for one; Ann's was taken back, and moved on in the same moment.
    assert (value.total, value.seconds) == (3, 86_400)
    assert value_of(past, Tile("t", "time_to_mql"), "last-quarter")[0].seconds is None


def test_more_sources_than_are_shown_are_summed_up(scene: Scene) -> None:
    for number in range(9):
        scene.post_form("contact", f"a@firm{number}.example", utm_source=f"source {number:02}")
    scene.drain()

    value, _ = value_of(scene, Tile("t", "new_leads", by="source"))

    assert (value.rows[-1].label, value.rows[-1].number) == ("All others", 3)
    assert found(scene, "contact", value.rows[-1].where) == 3
    assert value.total == 9


# The API --------------------------------------------------------------------------------------------------------------


def test_a_dashboard_is_made_read_changed_and_listed(past: Scene) -> None:
    past.made("/selections", {"slug": "firms", "title": "Firms", "subject": "company", "kind": "dynamic",
                              "where": {"all": [{"company.category": {"in": ["mql"]}}]}})  # fmt: skip
    sent = [{"kind": "funnel", "size": "full"}, {"kind": "selection", "selection": "firms", "title": "Our firms"}]

    made = past.made("/dashboards", {"title": "Über Sales!", "tiles": sent})
    assert (made["key"], [one["id"] for one in made["tiles"]]) == ("uber-sales", ["t1", "t2"])
    response = past.get("/dashboards/uber-sales?range=90d")
    firms = response.json["tiles"][1]
    assert (firms["total"], firms["subject"], firms["is_estimate"]) == (3, "company", False)
    assert found(past, "company", firms["where"]) == 3
    assert response.json["compared_until"] == "2025-12-01"

    changed = past.patch("/dashboards/uber-sales", {"tiles": [{"kind": "forms"}, sent[0]]},
                         headers={"If-Match": response.headers["ETag"]})  # fmt: skip
    assert [one["kind"] for one in changed.json["tiles"]] == ["forms", "funnel"]
    problem_of(
        past.patch("/dashboards/uber-sales", {"title": "x"}, headers={"If-Match": response.headers["ETag"]}), 412
    )
    assert "uber-sales" in [one["key"] for one in past.get("/dashboards").json["items"]]


def test_what_cannot_be_on_a_dashboard_is_refused_with_every_reason(scene: Scene) -> None:
    wrong = [{"kind": "pie"}, {"kind": "selection", "selection": "gone"}, {"kind": "new_leads", "by": "moon"}]

    problem = problem_of(scene.post("/dashboards", {"title": "x", "tiles": wrong}), 422)

    assert [one["location"] for one in problem["errors"]] == ["tiles.0.kind", "tiles.1.selection", "tiles.2.by"]
    problem_of(scene.post("/dashboards", {"title": "x"}, role="viewer"), 403)
    problem_of(scene.post("/dashboards", {"title": "x"}, acts_as="automation"), 409)
    problem_of(scene.get("/dashboards/nothing"), 404)


def test_a_span_is_asked_for_in_the_address(scene: Scene) -> None:
    scene.made("/dashboards", {"key": "mine", "title": "Mine"})

    answer = scene.get("/dashboards/mine?from=2026-02-01&until=2026-02-28").json
    assert (answer["first"], answer["last"], answer["compared_from"]) == ("2026-02-01", "2026-02-28", "2026-01-04")
    assert problem_of(scene.get("/dashboards/mine?from=yesterday&until=2026-02-28"), 422)["errors"] == [
        {"location": "from", "message": "must be a day such as 2026-10-01"}
    ]


# The pages ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def browser(past: Scene) -> Iterator[FlaskClient]:
    """The browser of an editor."""
    with past.engine.begin() as connection:
        account_id = create_account(connection, "eva@ours.example", "Eva", Role.EDITOR, past.clock())
        token = open_session(connection, account_id, past.clock())
    with past.app.test_client() as client:
        client.set_cookie("leadflow", token)
        yield client


def arrange(browser: FlaskClient, key: str, do: str, **more: str) -> Any:
    page = browser.get(f"/dashboards/{key}/arrange").text
    sent = {name: _field(page, name) for name in ("csrf_token", "revision")}
    return browser.post(f"/dashboards/{key}/arrange", data={**sent, "do": do, **more})


def _field(page: str, name: str) -> str:
    return re.findall(rf'name="{name}" value="([^"]*)"', page)[-1]


def kinds(past: Scene, key: str) -> list[str]:
    """The kinds of the dashboard's tiles in their order."""
    return [one["kind"] for one in past.value("SELECT tiles FROM dashboard WHERE key = :key", key=key)]


def test_an_editor_arranges_a_dashboard_step_by_step(past: Scene, browser: FlaskClient) -> None:
    past.made("/dashboards", {"key": "mine", "title": "Mine", "tiles": [{"kind": "funnel"}, {"kind": "forms"}]})

    assert arrange(browser, "mine", "add", kind="new_leads:campaign").status_code == 303
    assert arrange(browser, "mine", "up:t3").status_code == 303
    assert kinds(past, "mine") == ["funnel", "new_leads", "forms"]
    arrange(browser, "mine", "order", order="t2,t3,t1")
    arrange(browser, "mine", "save:t2", size="wide", title="Where they sign up")
    arrange(browser, "mine", "remove:t1")
    assert kinds(past, "mine") == ["forms", "new_leads"]
    assert "Where they sign up" in browser.get("/dashboards/mine").text
    arrange(browser, "mine", "delete")
    assert browser.get("/dashboards/mine").status_code == 404


def test_two_people_who_arrange_at_once_do_not_overwrite_each_other(past: Scene, browser: FlaskClient) -> None:
    past.made("/dashboards", {"key": "mine", "title": "Mine", "tiles": [{"kind": "funnel"}]})

    refused = arrange(browser, "mine", "remove:t1", revision="99")

    assert refused.status_code == 409
    assert "Somebody arranged this dashboard" in refused.text
    assert kinds(past, "mine") == ["funnel"]


def test_every_number_of_the_page_leads_to_a_list(past: Scene, browser: FlaskClient) -> None:
    tiles = [{"kind": kind} for kind in KINDS]
    past.made("/dashboards", {"key": "mine", "title": "Mine", "tiles": [*tiles, {"kind": "new_leads"}]})

    page = browser.get("/dashboards/mine?complete=1").text
    ways = re.findall(r'<a class="(?:num|funnel-step[^"]*)" href="([^"]+)"', page)

    assert len(ways) > 20
    for way in {one.replace("&amp;", "&").replace("&#34;", '"') for one in ways}:
        assert browser.get(way).status_code == 200, way
        where = parse_qs(urlsplit(way).query).get("where")
        assert where is None or json.loads(where[0])


def test_the_moves_behind_a_number_are_listed(past: Scene, browser: FlaskClient) -> None:
    value, span = value_of(past, Tile("t", "moves_by_rule"))
    first, until = span.criterion

    page = browser.get(f"/dashboards/moves?rule=demo-to-mql&from={first}&until={until}").text

    assert value.rows[0].number == page.count('<tr id="move-') == 2
    assert "2 moves" in page


def test_a_big_installation_sends_its_page_before_it_counts(
    past: Scene, browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leadflow.web.pages import dashboards

    past.made("/dashboards", {"key": "mine", "title": "Mine", "tiles": [{"kind": "forms"}, {"kind": "categories"}]})
    monkeypatch.setattr(dashboards, "BIG_TABLE", -2)

    page = browser.get("/dashboards/mine").text
    assert page.count("Counting …") == 1
    assert "load, every 60s" in page
    tile = browser.get("/dashboards/mine/tiles/t1?range=30d").text
    assert "whitepaper" not in tile
    assert "Leads per form" in tile
    assert "Counting …" not in tile


def test_an_event_that_waits_is_not_counted(past: Scene) -> None:
    before = value_of(past, Tile("t", "forms"))[0].rows
    past.post_form("later", "late@late.example")

    assert value_of(past, Tile("t", "forms"))[0].rows == before
    with past.engine.begin() as connection:
        process_events(connection, Desk(past.configuration.sources), claim(connection, past.clock(), 10), past.clock())
    assert "later" in [one.label for one in value_of(past, Tile("t", "forms"))[0].rows]
