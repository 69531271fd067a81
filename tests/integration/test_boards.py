"""Boards: lanes with their counts, page by page, and moves through the guard, on pages and in the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from leadflow.services.access import Role, create_account, open_session
from leadflow.services.boards import Wanted, board_of, lane_of, read_cards
from leadflow.store.lists import read_lists
from leadflow.store.reads import boards as lanes
from leadflow.store.reads.boards import LanePage
from tests.support.scenes import Scene

Move = Callable[..., tuple[int, dict[str, Any]]]

STATUS, CONTACTS, COMPANIES = "contacts-by-lead-status", "contacts-by-category", "companies-by-category"


def counts(scene: Scene, board: str, **query: str) -> dict[str, int]:
    """What the API says of each lane."""
    response = scene.get(f"/boards/{board}", query_string=query)
    assert response.status_code == 200, response.text
    return {lane["key"]: lane["count"] for lane in response.json["lanes"] if lane["count"]}


def cards(scene: Scene, board: str, lane: str, **query: str | int) -> list[int]:
    """The ids of a lane's cards, over all pages."""
    found: list[int] = []
    following = None
    while True:
        asked = {**query, **({"cursor": following} if following else {})}
        page = scene.get(f"/boards/{board}/lanes/{lane}", query_string=asked).json
        found += [one["id"] for one in page["items"]]
        following = page["next"]
        if following is None:
            return found


@pytest.fixture
def firm(scene: Scene) -> dict[str, int]:
    """A lead with three contacts, a customer with one whose status is kept, and a contact of nobody's."""
    lead = scene.make_company("lead", "lead.example", owner="Anna Å")
    sold = scene.make_company("lead", "sold.example")
    found = {"lead": lead, "sold": sold}
    found |= {name: scene.make_contact(f"{name}@lead.example", lead) for name in ("ann", "bob", "cleo")}
    found["dora"] = scene.make_contact("dora@sold.example", sold)
    found["sam"] = scene.make_contact("sam@mail.example", None, category="opportunity")
    scene.change_contact(found["bob"], lead_status="contacting")
    scene.change_company(sold, category="customer")
    return found


def test_a_board_lists_its_lanes_in_rank_order_and_the_one_without_a_value(scene: Scene) -> None:
    boards = {one["key"]: one for one in scene.get("/boards").json["items"]}

    assert [one["key"] for one in boards[STATUS]["lanes"]] == [
        *("open", "contacting", "disqualified", "re-nurture", "qualified", "none"),
    ]
    assert boards[COMPANIES]["lanes"][0] == {
        "key": "lead", "value": "lead", "name": "Lead", "count": 0, "precision": "exactly"
    }  # fmt: skip
    assert boards[COMPANIES]["lanes"][-1]["value"] is None


def test_contacts_by_status_are_the_active_ones_unless_others_are_asked_for(scene: Scene, firm: dict[str, int]) -> None:
    assert counts(scene, STATUS) == {"open": 3, "contacting": 1}
    assert cards(scene, STATUS, "open") == [firm["sam"], firm["cleo"], firm["ann"]]
    assert counts(scene, STATUS, inactive="true") == {"open": 4, "contacting": 1}


def test_contacts_lie_under_their_effective_category(scene: Scene, firm: dict[str, int]) -> None:
    nobody = scene.make_contact("nobody@mail.example")

    assert counts(scene, CONTACTS) == {"lead": 3, "opportunity": 1, "customer": 1, "none": 1}
    assert cards(scene, CONTACTS, "none") == [nobody]
    assert counts(scene, COMPANIES) == {"lead": 1, "customer": 1}


def test_a_board_is_narrowed_by_name_owner_and_criteria(scene: Scene, firm: dict[str, int]) -> None:
    contacting = json.dumps({"all": [{"contact.lead_status": {"in": ["Contacting"]}}]})

    assert counts(scene, STATUS, q="BOB") == {"contacting": 1}
    assert counts(scene, STATUS, owner="ANNA å") == {"open": 2, "contacting": 1}
    assert counts(scene, STATUS, where=contacting) == {"contacting": 1}
    assert scene.get(f"/boards/{STATUS}", query_string={"where": "{"}).status_code == 422


def test_a_lane_is_paged_without_gaps_and_doubles(scene: Scene, firm: dict[str, int]) -> None:
    assert cards(scene, STATUS, "open", limit=1) == [firm["sam"], firm["cleo"], firm["ann"]]


@pytest.mark.parametrize("board", [STATUS, CONTACTS, COMPANIES])
def test_a_lane_read_window_by_window_has_the_same_cards(
    scene: Scene, firm: dict[str, int], monkeypatch: pytest.MonkeyPatch, board: str
) -> None:
    """A big lane is not read as a whole: here everything counts as big, and a window has two records."""

    def all_cards() -> dict[str, list[int]]:
        return {lane: cards(scene, board, lane, limit=3) for lane in ("lead", "customer", "none", "open", "opportunity")
                if scene.get(f"/boards/{board}/lanes/{lane}").status_code == 200}  # fmt: skip

    at_once = all_cards()
    monkeypatch.setattr(lanes, "CHEAP", -1.0)
    monkeypatch.setattr(lanes, "CHEAP_IF_NARROWED", -1.0)
    monkeypatch.setattr(lanes, "WINDOW", 2)

    assert all_cards() == at_once
    assert sum(map(len, at_once.values())) > 0


def test_an_estimate_is_said_to_be_one(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        scene.make_company("lead", f"firm{number}.example")
    monkeypatch.setattr(lanes, "CHEAP", -1.0)
    monkeypatch.setattr(lanes, "WINDOW", 3)

    assert _first_page(scene, limit=2).precision == "about"
    assert (_first_page(scene, limit=5).precision, _first_page(scene, limit=5).count) == ("at_least", 3)


def _first_page(scene: Scene, limit: int) -> LanePage:
    board = board_of(COMPANIES)
    with scene.engine.connect() as connection:
        known = read_lists(connection)
        return read_cards(connection, board, lane_of(board, known, "lead"), known, Wanted(), scene.clock(), limit=limit)


# Moving, as the page does it ------------------------------------------------------------------------------------------


@pytest.fixture
def browser(scene: Scene) -> FlaskClient:
    """The browser of an editor who is signed in."""
    with scene.engine.begin() as connection:
        account_id = create_account(connection, "eva@ours.example", "Eva", Role.EDITOR, scene.clock())
        token = open_session(connection, account_id, scene.clock())
    client = scene.app.test_client()
    client.set_cookie("leadflow", token)
    return client


@pytest.fixture
def move(scene: Scene, browser: FlaskClient) -> Move:
    """Move a card; the status and what the board is told."""

    def send(board: str, record: int, lane: str, revision: int | None = None) -> tuple[int, dict[str, Any]]:
        table = "company" if board == COMPANIES else "contact"
        known = scene.value(f"SELECT revision FROM {table} WHERE id = :id", id=record)
        page = browser.get(f"/boards/{board}/cards/{record}").text
        token = page.split('name="csrf_token" value="')[-1].split('"')[0]
        answer = browser.post(
            f"/boards/{board}/cards/{record}",
            data={"lane": lane, "revision": revision or known, "csrf_token": token},
            headers={"Accept": "application/json"},
        )
        return answer.status_code, answer.get_json()

    return send


def test_a_moved_card_is_an_edit_by_the_person(scene: Scene, firm: dict[str, int], move: Move) -> None:
    status, told = move(STATUS, firm["ann"], "qualified")

    assert (status, told["lane"], told["said"]) == (200, "qualified", "ann@lead.example moved to Qualified.")
    assert scene.steps("contact", firm["ann"], "lead_status")[-1] == ("open", "qualified", "person")


def test_what_the_guard_refuses_stays_and_says_why(scene: Scene, firm: dict[str, int], move: Move) -> None:
    refused = {
        (STATUS, "dora", "qualified"): "Lead status is not active while the category is Customer",
        (STATUS, "ann", "none"): "cannot be taken away",
        (CONTACTS, "ann", "mql"): "The category is the company's",
    }
    for (board, name, lane), words in refused.items():
        status, told = move(board, firm[name], lane)
        assert (status, told["is_moved"]) == (409, False)
        assert words in told["said"]
    status, told = move(CONTACTS, firm["ann"], "mql")
    assert told["way_out"]["href"] == f"/companies/{firm['lead']}"
    assert scene.lead_status(firm["dora"]) == "open"
    assert scene.category(firm["lead"]) == "lead"


def test_a_card_that_changed_meanwhile_is_shown_as_it_is_now(scene: Scene, firm: dict[str, int], move: Move) -> None:
    before = scene.value("SELECT revision FROM company WHERE id = :id", id=firm["lead"])
    scene.change_company(firm["lead"], category="mql")

    status, told = move(COMPANIES, firm["lead"], "partner", before)

    assert (status, told["lane"]) == (409, "mql")
    assert "as it is now" in told["said"]
    assert scene.category(firm["lead"]) == "mql"


def test_nothing_moves_to_a_deleted_value(scene: Scene, firm: dict[str, int], move: Move) -> None:
    with scene.engine.begin() as connection:
        connection.execute(text("SELECT set_config('leadflow.actor', 'configuration', true)"))
        connection.execute(text("UPDATE category SET deleted_at = now() WHERE key = 'partner'"))
        connection.execute(text("UPDATE installation SET lifecycle_revision = lifecycle_revision + 1"))

    status, told = move(COMPANIES, firm["lead"], "partner")

    assert status == 409
    assert "Partner has been deleted" in told["said"]
