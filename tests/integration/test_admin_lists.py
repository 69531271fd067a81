"""Who is affected by a change of a list is said before it is made, and is what then happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from leadflow.services import list_impact
from leadflow.services.access import Role, create_account, open_session
from tests.integration.api_support import Api, problem_of, running_api
from tests.support.reuse import ReusedDatabase

RULES = """
leadflow: 1
segments:
  warm:
    any:
      - company.category: [MQL]
rules:
  - rule: by-short-name
    title: By short name
    owner: a
    status: live
    when: {form_submitted: any}
    if: {all: [{company.category: [lead, MQL]}]}
    then: [{add_tag: a}]
  - rule: by-target
    title: By target
    owner: a
    status: live
    when: {form_submitted: any}
    if: {all: [{company.tags: {has: x}}]}
    then: [{set_category: {to: marketing QUALIFIED lead}}]
  - rule: by-status
    title: By status
    owner: a
    status: live
    when: {form_submitted: any}
    if: {all: [{contact.lead_status: Qualified}]}
    then: [{add_tag: b}]
  - rule: says-it-only
    title: A tag called mql is no category
    owner: a
    status: live
    when: {form_submitted: any}
    if: {all: [{company.tags: {has: mql}}]}
    then: [{add_tag: Marketing qualified lead}]
"""


@pytest.fixture
def api(reused_database: ReusedDatabase) -> Iterator[Api]:
    with running_api(reused_database.fresh()) as running:
        yield running


def publish(api: Api) -> None:
    with api.transaction() as connection:
        version = connection.scalar(
            text(
                "INSERT INTO rule_set (created_at, actor_kind, actor_name, origin, listens)"
                " VALUES (now(), 'person', 'test', 'ui', '{}') RETURNING version"
            )
        )
        document = {"version": version, "text": RULES}
        connection.execute(text("INSERT INTO rule_document VALUES (:version, 'mine.yaml', :text)"), document)
        connection.execute(text("UPDATE installation SET live_version = :version"), {"version": version})


def people_of(api: Api, category: str, number: int) -> list[dict[str, Any]]:
    company = api.made("/companies", {"name": f"Company of {category}", "category": category})
    return [
        api.made("/contacts", {"email": f"{category}-{one}@x.example", "company_id": company["id"]})
        for one in range(number)
    ]


def test_rules_that_name_a_value_are_found_by_any_of_its_names(api: Api) -> None:
    publish(api)

    assert api.get("/categories/mql/impact").json["rules"] == ["by-short-name", "by-target"]
    assert api.get("/categories/lead/impact").json["rules"] == ["by-short-name"]
    assert api.get("/lead-statuses/qualified/impact").json["rules"] == ["by-status"]
    assert api.get("/categories/partner/impact").json["rules"] == []
    with api.transaction() as connection:
        places = list_impact.named_by(connection, "category", "mql").rules
    assert [(one.file, RULES.splitlines()[one.line - 1].strip().partition(":")[0]) for one in places] == [
        ("mine.yaml", "if"),
        ("mine.yaml", "then"),
    ]


def test_selections_that_name_a_value_are_found(api: Api) -> None:
    insert = (
        "INSERT INTO selection (slug, title, subject, kind, condition, created_by, created_at, updated_at) VALUES"
        " ('warm', 'Warm', 'company', 'dynamic', CAST(:condition AS jsonb), 'x', now(), now())"
    )
    with api.transaction() as connection:
        connection.execute(text(insert), {"condition": '{"all": [{"company.category": {"in": ["MQL", "Lead"]}}]}'})

    assert "warm" in api.get("/categories/mql/impact").json["selections"]
    assert "warm" not in api.get("/categories/customer/impact").json["selections"]


def test_the_number_of_lead_statuses_that_are_hidden_is_what_then_happens(api: Api) -> None:
    people_of(api, "mql", 3)
    people_of(api, "lead", 1)

    said = api.get("/categories/mql/impact?lead_status_enabled=false").json
    api.patch("/categories/mql", {"lead_status_enabled": False})

    assert (said["becomes_active"], said["becomes_inactive"]) == (0, 3)
    assert [email for email, (_, active) in states(api).items() if active] == ["lead-0@x.example"]


def test_the_number_of_leads_that_begin_anew_is_what_then_happens(api: Api) -> None:
    kept, contacted = people_of(api, "mql", 2)
    api.patch(f"/contacts/{contacted['id']}", {"lead_status": "contacting"})
    api.patch("/categories/mql", {"lead_status_enabled": False})
    api.made("/contacts", {"email": "later@x.example", "company_id": kept["company_id"]})
    before = states(api)

    said = api.get("/categories/mql/impact?lead_status_enabled=true").json
    api.patch("/categories/mql", {"lead_status_enabled": True})

    set_to_open = [email for email, (status, _) in states(api).items() if before[email][0] != status]
    assert set_to_open == ["mql-1@x.example", "later@x.example"]
    assert (said["becomes_active"], said["becomes_inactive"]) == (2, 0)


def states(api: Api) -> dict[str, tuple[str | None, bool]]:
    return {
        one["email"]: (one["lead_status"] and one["lead_status"]["key"], one["lead_status_active"])
        for one in api.get("/contacts").json["items"]
    }


def test_what_would_happen_changes_nothing(api: Api) -> None:
    people_of(api, "mql", 2)
    before, changes = states(api), api.count("change")

    assert api.get("/categories/mql/impact?group=customer").json["becomes_inactive"] == 2
    assert api.get("/categories/customer/impact?group=potential_customer&lead_status_enabled=true").status_code == 200

    assert (states(api), api.count("change")) == (before, changes)


# The page -------------------------------------------------------------------------------------------------------------


class Desk:
    """An administrator with a browser."""

    def __init__(self, api: Api, role: Role = Role.ADMIN) -> None:
        with api.engine.begin() as connection:
            made = create_account(connection, f"{role.value}@ours.example", "Mia", role, api.clock())
            token = open_session(connection, made, api.clock())
        self.client = api.app.test_client()
        self.client.set_cookie("leadflow", token)

    def post(self, path: str, **form: str) -> Any:
        page = self.client.get("/account").text
        token = page.split('name="csrf_token" value="')[1].split('"')[0]
        return self.client.post(path, data={"csrf_token": token, **form})


FIELDS = {"name": "Warm lead", "short_name": "MQL", "description": "Fits.", "group": "potential_customer"}


def test_nothing_is_renamed_before_it_is_confirmed(api: Api) -> None:
    publish(api)
    people_of(api, "mql", 2)
    desk = Desk(api)

    asked = desk.post("/admin/lists/categories/mql", **FIELDS, lead_status_enabled="1")
    assert asked.status_code == 200
    assert "Before you save" in asked.text
    assert "1 company has it." in asked.text
    assert "2 contacts belong to it." in asked.text
    assert "2 live rules name it" in asked.text
    assert api.get("/categories/mql").json["name"] == "Marketing qualified lead"

    done = desk.post("/admin/lists/categories/mql", **FIELDS, lead_status_enabled="1", confirmed="1", revision="1")
    assert done.status_code == 303
    assert api.get("/categories/mql").json["name"] == "Warm lead"


def test_a_change_of_what_changed_meanwhile_is_refused_in_place(api: Api) -> None:
    desk = Desk(api)
    api.patch("/categories/mql", {"description": "Somebody else"})

    late = desk.post("/admin/lists/categories/mql", **FIELDS, lead_status_enabled="1", confirmed="1", revision="1")

    assert late.status_code == 412
    assert "Somebody changed this since you opened the page" in late.text
    assert api.get("/categories/mql").json["name"] == "Marketing qualified lead"


def test_switching_lead_status_off_says_whose_is_hidden_first(api: Api) -> None:
    people_of(api, "mql", 3)

    asked = Desk(api).post("/admin/lists/categories/mql", **{**FIELDS, "name": "Marketing qualified lead"})

    assert "3 contacts are no longer leads" in asked.text
    assert [one[1] for one in states(api).values()] == [True] * 3


def test_the_order_is_changed_by_arrows_and_only_as_it_was_seen(api: Api) -> None:
    desk = Desk(api)
    keys = [one["key"] for one in api.get("/lead-statuses").json["items"]]

    moved = desk.post("/admin/lists/lead-statuses/order", keys=",".join(keys), move="qualified", direction="up")
    assert moved.status_code == 303
    assert [one["key"] for one in api.get("/lead-statuses").json["items"]] == [*keys[:3], "qualified", "re-nurture"]

    api.made("/lead-statuses", {"key": "called", "name": "Called"})
    late = desk.post("/admin/lists/lead-statuses/order", keys=",".join(keys), move="open", direction="down")
    assert late.status_code == 412


def test_the_default_lead_status_is_offered_no_way_out(api: Api) -> None:
    desk = Desk(api)

    assert "cannot be deleted" in desk.client.get("/admin/lists/lead-statuses/open").text
    refused = desk.post("/admin/lists/lead-statuses/open/delete", confirmed="1", revision="1")

    assert refused.status_code == 409
    assert api.get("/lead-statuses/open").json["deleted_at"] is None


def test_a_category_is_added_deleted_and_restored(api: Api) -> None:
    desk = Desk(api)
    sent = {"key": "Reseller", "name": "Reseller", "group": "partner"}

    assert desk.post("/admin/lists/categories", **sent).status_code == 303
    assert api.get("/categories/reseller").json["group"] == "partner"
    assert desk.post("/admin/lists/categories", **sent).status_code == 409
    assert desk.post("/admin/lists/categories", **{**sent, "key": "no good"}).status_code == 422
    assert "Delete Reseller?" in desk.post("/admin/lists/categories/reseller/delete").text
    assert desk.post("/admin/lists/categories/reseller/delete", confirmed="1", revision="1").status_code == 303
    assert api.get("/categories/reseller").json["deleted_at"] is not None
    assert desk.post("/admin/lists/categories/reseller/restore").status_code == 303
    assert api.get("/categories/reseller").json["deleted_at"] is None


def test_only_administrators_come_in(api: Api) -> None:
    editor = Desk(api, Role.EDITOR)

    for path in ("/admin/lists", "/admin/lists/categories/mql", "/admin/people", "/system"):
        assert editor.client.get(path).status_code == 403
    problem_of(api.get("/users", role="editor"), 403)
