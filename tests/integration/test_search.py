"""Searching companies and contacts in the rule language, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.integration.api_support import Api, problem_of
from tests.support.scenes import Scene


@pytest.fixture
def api(scene: Scene) -> Api:
    return scene


def search(api: Api, what: str, where: object = None, **more: Any) -> TestResponse:
    return api.post(f"/{what}/search", {"where": where, **more}, role="viewer")


def found(api: Api, what: str, where: object = None, **more: Any) -> dict[str, Any]:
    response = search(api, what, where, **more)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json
    return document


def names(api: Api, where: object = None, **more: Any) -> list[str]:
    return [one["name"] for one in found(api, "companies", where, **more)["items"]]


def make_companies(api: Api, **categories: str | None) -> dict[str, int]:
    """Companies by name with these categories; their ids."""
    return {
        name: api.made("/companies", {"name": name, "category": category})["id"]
        for name, category in categories.items()
    }


def faults(response: TestResponse) -> dict[str, str]:
    return {one["location"]: one["message"] for one in problem_of(response, 422)["errors"]}


# What is found --------------------------------------------------------------------------------------------------------


def test_without_a_condition_everything_is_found(api: Api) -> None:
    make_companies(api, Nord="lead", Syd=None)

    assert names(api) == names(api, {}) == names(api, {"all": []}) == ["Nord", "Syd"]
    assert api.post("/companies/search", {}, role="viewer").json["items"] == api.get("/companies").json["items"]


def test_conditions_are_those_of_rules(api: Api) -> None:
    make_companies(api, Nord="lead", Syd=None, Ost="customer", Vest="mql")

    assert names(api, {"company.category": "MQL"}) == ["Vest"]
    assert names(api, {"company.category": {"in": ["Lead", "mql"], "or_blank": True}}) == ["Nord", "Syd", "Vest"]
    assert names(api, {"none": [{"company.category": {"in_group": "customer"}}]}) == ["Nord", "Syd", "Vest"]
    assert names(api, {"any": [{"company.name": {"starts_with": "NO"}}, {"company.open_sales": {"gt": 0}}]}) == ["Nord"]
    assert names(api, {"company.name": {"contains": "%"}}) == []


def test_contacts_are_found_by_their_company_too(api: Api) -> None:
    ids = make_companies(api, Nord="lead", Syd="customer")
    for name, company_id in ids.items():
        api.made("/contacts", {"email": f"anna@{name}.example", "company_id": company_id, "tags": ["VIP"]})
    api.made("/contacts", {"email": "alone@x.example"})

    where = {"all": [{"company.category": "lead"}, {"contact.tags": ["vip", "other"]}]}
    assert [one["email"] for one in found(api, "contacts", where)["items"]] == ["anna@nord.example"]
    where = {"company.category": {"not_in": ["lead"]}}
    assert [one["email"] for one in found(api, "contacts", where)["items"]] == ["anna@syd.example", "alone@x.example"]
    hosts = {"contact.email": {"domain_in": ["syd.example"]}}
    assert [one["email"] for one in found(api, "contacts", hosts)["items"]] == ["anna@syd.example"]


def test_the_past_can_be_asked_for(scene: Scene) -> None:
    for _ in range(2):
        scene.post_form("white-paper", "anna@nordwind.example")
    scene.post_form("demo-request", "bo@sydwind.example")
    scene.drain()

    twice = {"event_count": {"of": "form_submitted", "within_last": "30 days", "gte": 2}}
    assert [one["email"] for one in found(scene, "contacts", twice)["items"]] == ["anna@nordwind.example"]
    white_paper = {"event_count": {"of": "form_submitted", "where": {"form": "White-Paper"}, "is": 0}}
    assert [one["email"] for one in found(scene, "contacts", white_paper)["items"]] == ["bo@sydwind.example"]
    opened = {"last_change": {"field": "contact.lead_status", "to": "Open", "within_last": "1 day"}}
    assert len(found(scene, "contacts", opened)["items"]) == 2


@pytest.mark.parametrize(
    "empty",
    [
        {"company.category": ""},
        {"company.category": None},
        {"company.category": []},
        {"company.category": {"in": []}},
        {"company.category": {"in": [], "or_blank": True}},
        {"company.name": {"contains": "  "}},
        {"none": [{"company.name": ""}]},
        {"any": [{"all": [{"company.name": {"is": None}}]}, {}]},
        {"event_count": {"of": "form_submitted", "by": "company", "gte": None}},
        {"event_count": {"of": "", "gte": 2}},
        {"last_change": {"field": None, "older_than": "3 days"}},
        {"now": {"weekday_in": []}},
        {"segment": ""},
    ],
)
def test_a_criterion_that_is_left_empty_is_inactive(api: Api, empty: object) -> None:
    make_companies(api, Nord="lead", Syd=None)

    assert names(api, empty) == ["Nord", "Syd"]
    assert names(api, {"all": [empty, {"company.name": {"is": "Syd", "contains": ""}}]}) == ["Syd"]


def test_false_and_nought_are_values(api: Api) -> None:
    make_companies(api, Nord="lead", Syd=None)

    assert names(api, {"company.do_not_automate": True}) == []
    assert names(api, {"company.do_not_automate": False}) == ["Nord", "Syd"]
    assert names(api, {"company.category": {"exists": False}}) == ["Syd"]
    assert names(api, {"company.open_sales": 0}) == ["Nord", "Syd"]
    assert names(api, {"company.open_sales": {"lt": 0.5}}) == ["Nord", "Syd"]
    assert names(api, {"company.name": "null"}) == []


def test_segments_and_lists_of_the_live_rules_can_be_named(scene: Scene) -> None:
    scene.make_company("lead", "nord.example")
    scene.make_company("customer", "syd.example")
    scene.make_contact("a@syd.example")
    rules = "rules:\n  - {rule: x, when: {form_submitted: any}, then: [{add_tag: x}]}\n"
    body = "segments: {prospects: {company.category: {in_group: potential_customer}}}\nlists: {rivals: [syd.example]}\n"
    scene.publish_documents({"test.yaml": f"leadflow: 1\n{body}{rules}"})

    assert names(scene, {"segment": "prospects"}) == ["nord.example"]
    assert names(scene, {"none": [{"segment": "prospects"}]}) == ["syd.example"]
    rivals = found(scene, "contacts", {"contact.email": {"domain_in": "rivals"}})["items"]
    assert [one["email"] for one in rivals] == ["a@syd.example"]
    wrong = faults(search(scene, "companies", {"all": [{"segment": "prospect"}]}))
    assert "did you mean 'prospects'?" in wrong["/where/all/0/segment"]


# What is wrong --------------------------------------------------------------------------------------------------------


def test_every_problem_is_told_at_its_place(api: Api) -> None:
    where = {"all": [{"company.category": "Leed"}, {"any": [{"company.nme": "x"}]}, {"company.name": {"gt": 3}}, 5]}
    wrong = faults(search(api, "companies", where, order_by="company.nme"))

    assert wrong.keys() == {
        *("/where/all/0/company.category", "/where/all/1/any/0/company.nme", "/where/all/2/company.name/gt"),
        *("/where/all/3", "/order_by"),
    }
    assert "did you mean 'Lead'?" in wrong["/where/all/0/company.category"]
    assert "allowed: " in wrong["/where/all/2/company.name/gt"]
    assert "did you mean 'company.name'?" in wrong["/order_by"]


@pytest.mark.parametrize(
    ("where", "location"),
    [
        ("lead", "/where"),
        ([{"company.name": "x"}], "/where"),
        ({"company.name": "x", "company.owner": "y"}, "/where/company.owner"),
        ({"contact.email": "x"}, "/where/contact.email"),
        ({"form.email": "x"}, "/where/form.email"),
        ({"a/b~c": 1}, "/where/a~1b~0c"),
        ({"company.category": {"in": ["lead", "nope"]}}, "/where/company.category/in/1"),
        ({"company.created_at": {"older_than": "3 months"}}, "/where/company.created_at/older_than"),
        ({"company.category": {"changed": True}}, "/where/company.category/changed"),
        ({"selection": "mine"}, "/where/selection"),
        ({"event_count": {"of": "form_submitted", "by": "contact", "gte": 1}}, "/where/event_count/by"),
        ({"any": [{"company.name": f"n{number}"} for number in range(201)]}, "/where"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_at_its_place(api: Api, where: object, location: str) -> None:
    assert location in faults(search(api, "companies", where))


@pytest.mark.parametrize(
    "sent", [{"limit": 0}, {"limit": 201}, {"columns": ["nme"]}, {"wher": {}}, {"order_by": "company.tags"}]
)
def test_the_rest_of_the_body_is_checked_too(api: Api, sent: dict[str, Any]) -> None:
    assert faults(api.post("/companies/search", sent))


def test_a_deeply_nested_condition_is_refused(api: Api) -> None:
    where: object = {"company.name": "x"}
    for _ in range(40):
        where = {"all": [where]}

    assert faults(search(api, "companies", where))


# Order, pages, columns ------------------------------------------------------------------------------------------------


def all_pages(api: Api, what: str, **more: Any) -> list[dict[str, Any]]:
    """Every item, two on a page."""
    items, cursor = [], None
    while True:
        page = found(api, what, limit=2, cursor=cursor, **more)
        assert len(page["items"]) <= 2
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items


def test_lists_are_ordered_by_rank_and_blanks_come_last(api: Api) -> None:
    make_companies(api, A="customer", B=None, C="lead", D="mql", E="lead", F=None)

    assert [one["name"] for one in all_pages(api, "companies", order_by="company.category")] == list("CEDABF")
    assert [one["name"] for one in all_pages(api, "companies", order_by="-company.category")] == list("ADECFB")


ORDERS = (
    *("company.name", "company.owner", "company.domain", "company.do_not_automate", "company.open_sales"),
    *(
        "company.created_at",
        "company.first_touch.at",
        "company.first_touch.source",
        "contact.email",
        "contact.last_name",
    ),
    *("contact.lead_status", "contact.last_touched_at", "company.category"),
)


@pytest.mark.parametrize("order_by", ORDERS)
def test_pages_in_any_order_have_every_record_once(scene: Scene, order_by: str) -> None:
    for number in range(7):
        email = f"a{number % 3}@{'n' * (number + 1)}.example" if number % 2 else f"b{number}@gmail.com"
        scene.post_form("x", email, last_name="Berg" if number % 3 else None, utm_source="news" if number % 2 else None)
        scene.clock.pass_by(seconds=number % 2)
    scene.drain()

    everybody = sorted(one["id"] for one in scene.get("/contacts").json["items"])
    up = [one["id"] for one in all_pages(scene, "contacts", order_by=order_by)]
    down = [one["id"] for one in all_pages(scene, "contacts", order_by=f"-{order_by}")]
    assert sorted(up) == sorted(down) == everybody
    assert found(scene, "contacts", order_by=order_by)["items"] == all_pages(scene, "contacts", order_by=order_by)


def test_own_fields_sort_by_their_type(api: Api) -> None:
    for name, employees in (("A", "10"), ("B", "9"), ("C", None), ("D", "1e2")):
        api.made("/companies", {"name": name, "fields": {"employees": employees}})

    assert [one["name"] for one in all_pages(api, "companies", order_by="company.fields.employees")] == list("BADC")


def test_a_page_stays_where_it_was_while_records_are_added(api: Api) -> None:
    make_companies(api, B="lead", D="lead", F="lead")
    first = found(api, "companies", order_by="company.name", limit=2)
    make_companies(api, A="lead", E="lead")

    second = found(api, "companies", order_by="company.name", limit=2, cursor=first["next"])
    assert [one["name"] for one in second["items"]] == ["E", "F"]


@pytest.mark.parametrize("cursor", ["x", "W10", "WyIiLDFd", "WyIiLG51bGwsLTFd", "WyIiLG51bGwsdHJ1ZV0", "ü", "bnVsbA"])
def test_a_cursor_that_nobody_gave_is_refused(api: Api, cursor: str) -> None:
    problem_of(search(api, "companies", cursor=cursor), 400)


def test_a_cursor_is_for_its_order_alone(api: Api) -> None:
    make_companies(api, A="lead", B="lead")
    cursor = found(api, "companies", order_by="company.name", limit=1)["next"]

    problem_of(search(api, "companies", cursor=cursor), 400)
    problem_of(search(api, "companies", cursor=cursor, order_by="-company.name"), 400)


def test_columns_narrow_the_items(api: Api) -> None:
    make_companies(api, A="lead")

    (item,) = found(api, "companies", columns=["category", "name"])["items"]
    assert item == {"id": 1, "category": {"key": "lead", "name": "Lead", "group": "potential_customer"}, "name": "A"}


def test_the_count_is_of_everything_that_is_found(api: Api) -> None:
    make_companies(api, A="lead", B="lead", C=None)

    page = found(api, "companies", {"company.category": "lead"}, limit=1, count=True)
    assert (len(page["items"]), page["count"]) == (1, 2)
    assert api.post("/contacts/search?count=true&limit=5", {}).json == {"items": [], "next": None, "count": 0}
    assert "count" not in found(api, "companies")


def test_items_are_those_of_single_records(api: Api) -> None:
    company = api.made("/companies", {"name": "A", "category": "lead", "tags": ["x"]})
    contact = api.made("/contacts", {"email": "a@b.example", "company_id": company["id"]})

    assert found(api, "companies")["items"] == [api.get(f"/companies/{company['id']}").json]
    assert found(api, "contacts")["items"] == [api.get(f"/contacts/{contact['id']}").json]


def test_searches_are_in_the_description_of_the_api(api: Api) -> None:
    document = api.client.get("/api/v1/openapi.json").get_json()
    answer = document["paths"]["/api/v1/contacts/search"]["post"]["responses"]["200"]["content"]["application/json"]

    assert answer["schema"]["properties"].keys() == {"items", "next", "count"}
    assert answer["schema"]["properties"]["items"]["items"] == {"$ref": "#/components/schemas/ContactView"}
    assert "where" in document["components"]["schemas"]["SearchBody"]["properties"]


@pytest.mark.parametrize("order", ["-contact.email", "-email", ["-contact.email"]])
def test_an_order_may_leave_out_the_record_and_may_be_a_list_of_one(scene: Scene, order: object) -> None:
    scene.make_contact("anna@nordwind.example")
    scene.make_contact("bo@quayside.example")

    answer = scene.post("/contacts/search", {"order_by": order})

    assert [one["email"] for one in answer.json["items"]] == ["bo@quayside.example", "anna@nordwind.example"]
