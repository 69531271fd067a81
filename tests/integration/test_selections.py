"""Selections over the API: made, filled, combined with rules; what runs cannot be broken through them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import text

from leadflow.domain.events import Actor, ActorKind
from leadflow.services.installation import apply_configuration
from leadflow.services.rule_sets import publish
from leadflow.store.selections import add_everybody
from tests.integration.api_support import START
from tests.support.scenes import CONFIGURATION, Scene

PEOPLE = Actor(ActorKind.PERSON, "1", "Paula")


def make(scene: Scene, title: str, **more: Any) -> dict[str, Any]:
    answer = scene.post("/selections", {"title": title, "subject": "company", **more})
    assert answer.status_code == 201, answer.json
    found: dict[str, Any] = answer.json
    return found


def companies(scene: Scene, **categories: str | None) -> dict[str, int]:
    ids = {}
    for name, category in categories.items():
        draft = {"name": name, "domain": f"{name.casefold()}.example"} | ({"category": category} if category else {})
        ids[name] = scene.post("/companies", draft).json["id"]
    return ids


def ids_found(scene: Scene, where: Mapping[str, Any], subject: str = "companies") -> list[int]:
    answer = scene.post(f"/{subject}/search", {"where": where})
    assert answer.status_code == 200, answer.json
    return [one["id"] for one in answer.json["items"]]


def members(scene: Scene, selection: Mapping[str, Any]) -> list[int]:
    return [one["id"] for one in scene.get(f"/selections/{selection['id']}/members").json["items"]]


RULE = """
leadflow: 1
rules:
  - rule: invite
    title: Invite them
    status: live
    when: {form_submitted: any}
    if: {selection: Spring fair}
    then: [{add_tag: invited}]
"""


def publish_rule(scene: Scene, document: str = RULE) -> None:
    with scene.engine.begin() as connection:
        publish(connection, PEOPLE, {"invite.yaml": document}, origin="ui", now=START)


# Making them ----------------------------------------------------------------------------------------------------------


def test_a_dynamic_selection_is_a_saved_search(scene: Scene) -> None:
    ids = companies(scene, Nord="lead", Quay="customer", Fjord=None)

    made = make(scene, "Customers of ours", where={"company.category": "Customer"})

    assert made["slug"] == "customers-of-ours"
    assert (made["kind"], made["created_by"]) == ("dynamic", "admin person")
    assert members(scene, made) == ids_found(scene, {"selection": "customers-of-ours"}) == [ids["Quay"]]
    assert ids_found(scene, {"none": [{"selection": "Customers of ours"}]}) == [ids["Nord"], ids["Fjord"]]
    assert scene.get(f"/selections/{made['id']}").json == made
    assert made in scene.get("/selections?subject=company").json["items"]
    assert made not in scene.get("/selections?subject=contact").json["items"]


def test_a_static_selection_begins_with_those_who_match_now(scene: Scene) -> None:
    ids = companies(scene, Nord="lead", Quay="lead")
    made = make(scene, "Frozen", kind="static", where={"company.category": "lead"})
    later = companies(scene, Late="lead")["Late"]

    assert (made["where"], members(scene, made)) == (None, [ids["Nord"], ids["Quay"]])
    changed = scene.post(f"/selections/{made['id']}/members", {"add": [later, ids["Nord"]], "remove": [ids["Quay"]]})
    assert changed.json == {"added": 1, "removed": 1}
    assert members(scene, made) == [ids["Nord"], later]
    page = scene.get(f"/selections/{made['id']}/members?limit=1&count=true").json
    assert (len(page["items"]), page["count"]) == (1, 2)
    rest = scene.get(f"/selections/{made['id']}/members?limit=1&cursor={page['next']}").json
    assert ([one["id"] for one in rest["items"]], rest["next"]) == ([later], None)


def test_members_are_records_of_the_selections_own_kind(scene: Scene) -> None:
    ids = companies(scene, Nord="lead")
    static = make(scene, "Few", kind="static")
    dynamic = make(scene, "Many", where={"company.category": "lead"})

    refused = scene.post(f"/selections/{static['id']}/members", {"add": [ids["Nord"], 4711]})
    assert (refused.status_code, refused.json["errors"]) == (
        422,
        [{"location": "/add/1", "message": "there is no company 4711"}],
    )
    assert scene.post(f"/selections/{dynamic['id']}/members", {"add": [ids["Nord"]]}).status_code == 409
    assert members(scene, static) == []


@pytest.mark.parametrize(
    ("draft", "location"),
    [
        ({"title": " "}, "/title"),
        ({"title": "A"}, "/where"),
        ({"title": "A", "where": {"all": []}}, "/where"),
        ({"title": "A", "where": {"all": [{"company.colour": "red"}]}}, "/where/all/0/company.colour"),
        ({"title": "A", "where": {"selection": "hot-leads"}}, "/where/selection"),
        ({"title": "A", "where": {"segment": "open_prospect"}}, "/where/segment"),
    ],
)
def test_what_cannot_be_asked_is_told_at_its_place(scene: Scene, draft: dict[str, Any], location: str) -> None:
    answer = scene.post("/selections", {"subject": "company", **draft})

    assert (answer.status_code, [one["location"] for one in answer.json["errors"]]) == (422, [location])


def test_no_two_selections_go_by_one_name(scene: Scene) -> None:
    make(scene, "Spring fair", kind="static")

    for draft in ({"title": "SPRING  FAIR"}, {"title": "spring-fair"}, {"title": "Other", "slug": "spring-fair"}):
        assert scene.post("/selections", {"subject": "company", "kind": "static", **draft}).status_code == 409


def test_a_slug_is_never_given_twice(scene: Scene) -> None:
    first = make(scene, "Spring fair", kind="static")
    assert scene.call("DELETE", f"/selections/{first['id']}").status_code == 200
    assert scene.get(f"/selections/{first['id']}").status_code == 404

    assert make(scene, "Spring fair", kind="static")["slug"] == "spring-fair-2"
    again = {"title": "Again", "subject": "company", "kind": "static", "slug": "spring-fair"}
    assert scene.post("/selections", again).status_code == 409


def test_a_change_asks_for_the_revision_that_was_read(scene: Scene) -> None:
    made = make(scene, "Customers", where={"company.category": "customer"})
    etag = scene.get(f"/selections/{made['id']}").headers["ETag"]

    changed = scene.call("PATCH", f"/selections/{made['id']}", {"title": "Buyers"}, headers={"If-Match": etag})
    assert (changed.status_code, changed.json["slug"], changed.json["revision"]) == (200, "customers", 2)
    stale = scene.call("PATCH", f"/selections/{made['id']}", {"title": "Other"}, headers={"If-Match": etag})
    assert stale.status_code == 412
    assert scene.get("/selections", role="viewer").status_code == 200
    assert scene.call("PATCH", f"/selections/{made['id']}", {"title": "No"}, role="viewer").status_code == 403


def test_selections_cannot_be_made_to_ask_for_each_other_in_a_circle(scene: Scene) -> None:
    one = make(scene, "One", where={"company.category": "lead"})
    make(scene, "Two", where={"none": [{"selection": "one"}]})

    answer = scene.call("PATCH", f"/selections/{one['id']}", {"where": {"any": [{"selection": "Two"}]}})

    assert answer.status_code == 422
    (error,) = answer.json["errors"]
    assert error["location"] == "/where/any/0/selection"
    assert error["message"] == "these selections ask for each other in a circle: One → Two → One"
    refused = scene.call("DELETE", f"/selections/{one['id']}")
    assert (refused.status_code, "“Two”" in refused.json["detail"]) == (409, True)


# In rules -------------------------------------------------------------------------------------------------------------


def test_a_rule_acts_on_members_and_sees_who_came_in_since(scene: Scene) -> None:
    fair = make(scene, "Spring fair", kind="static")
    publish_rule(scene)
    ids = companies(scene, Nord="lead")

    for member_of in ([], [ids["Nord"]]):
        scene.post(f"/selections/{fair['id']}/members", {"add": member_of})
        scene.post_form(email=f"anna{len(member_of)}@nord.example")
        scene.drain()

    tags = {one["email"]: one["tags"] for one in scene.get("/contacts").json["items"]}
    assert tags == {"anna0@nord.example": [], "anna1@nord.example": ["invited"]}


def test_a_worker_sees_another_definition_in_its_next_transaction(scene: Scene) -> None:
    fair = make(scene, "Spring fair", where={"company.category": "customer"})
    publish_rule(scene)
    companies(scene, Nord="lead")
    scene.post_form(email="anna@nord.example")
    scene.drain()

    scene.call("PATCH", f"/selections/{fair['id']}", {"where": {"company.category": ["lead", "mql"]}})
    scene.post_form(email="bo@nord.example")
    scene.drain()

    tags = {one["email"]: one["tags"] for one in scene.get("/contacts").json["items"]}
    assert tags == {"anna@nord.example": [], "bo@nord.example": ["invited"]}


def test_a_selection_that_a_live_rule_asks_for_can_neither_be_deleted_nor_renamed_under_it(scene: Scene) -> None:
    fair = make(scene, "Spring fair", kind="static")
    publish_rule(scene)

    for answer in (
        scene.call("DELETE", f"/selections/{fair['id']}"),
        scene.call("PATCH", f"/selections/{fair['id']}", {"title": "Autumn fair"}),
    ):
        assert answer.status_code == 409
        assert "live rules ask for it (“Invite them”)" in answer.json["detail"]
    assert scene.call("PATCH", f"/selections/{fair['id']}", {"description": "All who came."}).status_code == 200

    publish_rule(scene, RULE.replace("Spring fair", "spring-fair"))
    assert scene.call("PATCH", f"/selections/{fair['id']}", {"title": "Autumn fair"}).status_code == 200


def test_a_scheduled_rule_asks_for_members_in_sql_and_traces_them(scene: Scene) -> None:
    fair = make(scene, "Spring fair", kind="static")
    document = RULE.replace("{form_submitted: any}", "{schedule: {every: day, for_each: contact}}")
    publish_rule(scene, document.rstrip() + "\n    limit: {once_per: contact}\n")
    ids = companies(scene, Nord="lead", Quay="lead")
    scene.post(f"/selections/{fair['id']}/members", {"add": [ids["Nord"]]})
    for name, company_id in (*ids.items(), ("nobody", None)):
        scene.post("/contacts", {"email": f"anna@{name.casefold()}.example", "company_id": company_id})

    answer = scene.post("/sweeps", {"rule": "invite", "dry_run": True}).json

    assert (answer["matching"], [one["records"] for one in answer["funnel"]]) == (1, [3, 1, 1])
    assert [one["what"] for one in answer["funnel"]][:2] == ["contacts", "selection Spring fair"]
    assert len(answer["samples"]) == 1


# Many, and those that come along --------------------------------------------------------------------------------------


def test_a_hundred_thousand_members_come_in_one_statement(scene: Scene) -> None:
    big = make(scene, "Big", kind="static")
    with scene.owner.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO company (name, name_norm, created_at, updated_at)"
                " SELECT 'C' || n, 'c' || n, now(), now() FROM generate_series(1, 100000) AS n"
            )
        )
    with scene.engine.begin() as connection:
        assert add_everybody(connection, big["id"], "company", None, "Paula", START) == 100_000

    assert scene.get(f"/selections/{big['id']}/members?limit=1&count=true").json["count"] == 100_000


def test_the_shipped_selections_are_there_once_and_stay_as_people_left_them(scene: Scene) -> None:
    shipped = {one["slug"]: one for one in scene.get("/selections").json["items"]}
    assert shipped.keys() == {"hot-leads", "quiet-prospects"}

    scene.call("DELETE", f"/selections/{shipped['hot-leads']['id']}")
    scene.call("PATCH", f"/selections/{shipped['quiet-prospects']['id']}", {"title": "Sleepers"})
    with scene.engine.begin() as connection:
        apply_configuration(connection, CONFIGURATION, START)

    assert [one["title"] for one in scene.get("/selections").json["items"]] == ["Sleepers"]
