"""Lists of companies and contacts: what an address says is what is shown, in its order, page by page, and as a file."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from flask.testing import FlaskClient

from leadflow.services.access import Role, create_account
from leadflow.store.searches import Walk, estimate_found, sampled_ids
from leadflow.web.exports import formula_safe
from leadflow.web.pages import desk, record_lists
from tests.support.scenes import Scene

LEADS = {"company.category": ["lead"]}


@pytest.fixture
def people(scene: Scene) -> FlaskClient:
    """A signed-in viewer, over six companies of three categories."""
    with scene.engine.begin() as connection:
        create_account(connection, "v@x.example", "Vera", Role.VIEWER, scene.clock(), "correct horse battery")
    for number, category in enumerate(("customer", "lead", "mql", "lead", None, "mql")):
        sent = {"name": f"Firm {number}", "category": category, "domain": f"firm{number}.example"}
        scene.made("/companies", sent | {"owner": "=cmd()" if number == 1 else f"O{number % 2}"})
    client = scene.client.application.test_client()
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)
    assert found
    form = {"email": "v@x.example", "password": "correct horse battery", "csrf_token": found[1]}
    assert client.post("/sign-in", data=form).status_code == 303
    return client


def url(path: str, **parameters: Any) -> str:
    said = {name: json.dumps(one) if isinstance(one, dict) else one for name, one in parameters.items()}
    return f"{path}?{urlencode(said)}"


def names(page: str) -> list[str]:
    return re.findall(r'class="row-link">(Firm \d)<', page)


def link(page: str, words: str) -> str:
    """The address behind a link that has these words."""
    found = re.search(rf'<a[^>]*href="([^"]+)"[^>]*>(?:<svg.*?</svg>)? ?{words}', page)
    assert found, words
    return unescape(found[1])


def test_criteria_orders_and_columns_stand_in_the_address(people: FlaskClient) -> None:
    page = people.get(
        url("/companies", where=LEADS, order_by="-company.name", columns="company.domain,created_at")
    ).text

    assert names(page) == ["Firm 3", "Firm 1"]
    assert re.findall(r'class="sort"[^>]*>([^<]+)<', page) == ["Company", "Company domain", "Company created"]
    assert "Category is one of Lead" in page


def test_choices_are_ordered_by_rank_and_blanks_come_last(people: FlaskClient) -> None:
    rising = people.get("/companies?order_by=company.category").text
    falling = people.get("/companies?order_by=-company.category").text

    assert names(rising) == ["Firm 1", "Firm 3", "Firm 2", "Firm 5", "Firm 0", "Firm 4"]
    assert names(falling) == ["Firm 0", "Firm 5", "Firm 2", "Firm 3", "Firm 1", "Firm 4"]


@pytest.mark.parametrize("order", ["", "company.category", "-company.category", "company.name", "-company.owner"])
def test_pages_lead_forth_and_back_again(people: FlaskClient, monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    whole = names(people.get(f"/companies?order_by={order}").text)
    monkeypatch.setattr(desk, "PAGE_SIZE", 2)

    first = people.get(f"/companies?order_by={order}").text
    second = people.get(link(first, "More")).text
    third = people.get(link(second, "More")).text
    back = people.get(link(third, "Before")).text

    assert names(first) + names(second) + names(third) == whole
    assert names(back) == names(second)
    assert names(people.get(link(back, "Before")).text) == names(first)
    assert 'rel="next"' not in third
    assert 'rel="prev"' not in first


def test_groups_stand_in_rank_order_with_their_sizes(people: FlaskClient) -> None:
    page = people.get("/companies?group_by=company.category").text

    heads = re.findall(r'class="group-name">([^<]+)</span> <span class="num muted">(\d+)<', page)
    assert [(label.removeprefix("Category: "), size) for label, size in heads] == [
        ("Lead", "2"),
        ("Marketing qualified lead", "2"),
        ("Customer", "1"),
        ("blank", "1"),
    ]
    assert names(people.get(link(page, "Show all")).text) == ["Firm 3", "Firm 1"]
    by_group = people.get("/companies?group_by=category_group").text
    assert re.findall(r'class="group-name">([^<]+)<', by_group) == ["Customer", "Potential customer", "no group"]


def test_a_filled_form_leads_to_an_address_that_can_be_shared(people: FlaskClient) -> None:
    line = {"c-0-0-about": "company.category", "c-0-0-op": "in", "c-0-0-value": "lead"}
    sent = {"form": "1", **line, "c-0-0-was": "company.category in choices"}

    answer = people.get(url("/companies", **sent, column="company.domain"))

    assert answer.status_code == 303
    query = parse_qs(urlsplit(answer.location).query)
    assert query == {"where": ['{"company.category":["lead"]}'], "columns": ["company.domain"]}
    assert names(people.get(answer.location).text) == ["Firm 3", "Firm 1"]
    assert "Company domain" in people.get("/companies").text  # this browser remembers
    assert "Company domain" not in people.get("/companies?columns=owner").text.split("<tbody")[0].split("<thead")[1]


def test_an_unfinished_line_is_shown_again_and_asks_for_nothing(people: FlaskClient) -> None:
    sent = {"form": "1", "c-0-0-about": "company.owner", "c-0-0-was": ""}

    answer = people.get(url("/companies", **sent))

    assert answer.status_code == 200
    assert 'name="c-0-0-value"' in answer.text
    assert len(names(answer.text)) == 6


def test_what_cannot_be_read_is_said_in_place(people: FlaskClient) -> None:
    broken = people.get("/companies?where={nonsense")
    wrong = people.get(url("/companies", where={"company.category": ["Leed"]}))

    assert broken.status_code == 422
    assert "they are no JSON" in broken.text
    assert "is not a value of company.category" in unescape(wrong.text)
    assert names(broken.text) == names(wrong.text) == []


def test_a_file_has_the_list_and_no_formula(people: FlaskClient) -> None:
    answer = people.get(url("/companies.csv", where=LEADS, columns="company.owner,category", order_by="company.name"))

    assert answer.headers["Content-Disposition"] == 'attachment; filename="companies.csv"'
    head, *rows = answer.text.removeprefix("\ufeff").splitlines()
    assert head == "Number,Company,Domain,Company owner,Category"
    assert [row.split(",", 1)[1] for row in rows] == [
        "Firm 1,firm1.example,'=cmd(),Lead",
        "Firm 3,firm3.example,O1,Lead",
    ]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_what_a_spreadsheet_would_run_gets_a_quote(start: str) -> None:
    assert formula_safe(f"{start}1") == f"'{start}1"
    assert formula_safe(f"1{start}") == f"1{start}"


def test_a_count_that_takes_too_long_is_estimated(
    people: FlaskClient, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadflow.store.searches.first_within", lambda _, limit, query: None if limit < 200 else (3,))
    with scene.engine.connect() as connection:
        count = estimate_found(connection, "company", None, scene.clock())
        share = sampled_ids(connection, "company")[1]

    assert (count.number, count.is_exact, share) == (3, False, 1.0)


def test_an_order_that_takes_too_long_looks_at_the_newest_and_says_so(
    people: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Walk.window
    monkeypatch.setattr(
        Walk, "window", lambda walk, c, s, n, ms=None: None if ms and ms < 1_000 else look(walk, c, s, n, ms)
    )
    monkeypatch.setattr(record_lists, "NEWEST_RECORDS", 2)

    page = people.get("/companies?order_by=company.name").text

    assert "only the newest 2 were looked through" in page
    assert names(page) == ["Firm 4", "Firm 5"]
    assert len(names(people.get(link(page, "Look through all")).text)) == 6


def test_viewers_have_nothing_to_tick(people: FlaskClient) -> None:
    assert "Change chosen" not in people.get("/companies").text
    assert people.get("/bulk/company?of=all").status_code == 403
