"""Categories and lead statuses: edited by people, deleted softly, with no way around the guard."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from leadflow.domain.events import Actor, ActorKind
from leadflow.services.records import create_contact
from leadflow.services.rule_sets import check_documents, live_documents
from tests.integration.api_support import Api, problem_of, running_api
from tests.support.reuse import ReusedDatabase


@pytest.fixture
def api(reused_database: ReusedDatabase) -> Iterator[Api]:
    with running_api(reused_database.fresh()) as running:
        yield running


def status_of(api: Api, contact: dict[str, Any]) -> tuple[str | None, bool]:
    shown = api.get(f"/contacts/{contact['id']}").json
    return shown["lead_status"] and shown["lead_status"]["key"], shown["lead_status_active"]


def company_with_contact(api: Api, category: str, number: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    company = api.made("/companies", {"name": f"Company {number}", "category": category})
    return company, api.made("/contacts", {"email": f"c{number}@x.example", "company_id": company["id"]})


# Reading --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/categories", "/lead-statuses", "/rules", "/rules/documents", "/boards", "/sources"])
def test_a_short_list_comes_whole_or_page_by_page(api: Api, path: str) -> None:
    whole = api.get(path).json
    pages, cursor = [], None
    while True:
        page = api.get(f"{path}?limit=1" + (f"&cursor={cursor}" if cursor else "")).json
        pages += page["items"]
        if (cursor := page["next"]) is None:
            break

    assert whole["next"] is None
    assert [one.get("key") or one.get("name") or one.get("slug") for one in pages] == [
        one.get("key") or one.get("name") or one.get("slug") for one in whole["items"]
    ]
    assert api.get(f"{path}?limit=201").status_code == 422


def test_lists_come_by_rank(api: Api) -> None:
    categories = api.get("/categories").json
    statuses = api.get("/lead-statuses").json

    assert [one["key"] for one in categories["items"]] == [
        *("lead", "mql", "opportunity", "lost-opportunity", "customer", "former-customer", "partner", "other")
    ]
    assert [one["key"] for one in statuses["items"]] == [
        "open",
        "contacting",
        "disqualified",
        "re-nurture",
        "qualified",
    ]
    assert [one["key"] for one in statuses["items"] if one["is_default"]] == ["open"]
    assert categories["next"] is None


# Who ------------------------------------------------------------------------------------------------------------------

WRITES = [
    ("POST", "", {"key": "new", "name": "New"}),
    ("PATCH", "/{}", {"name": "New"}),
    ("DELETE", "/{}", None),
    ("POST", "/{}/restore", None),
]


@pytest.mark.parametrize(("collection", "key"), [("/categories", "other"), ("/lead-statuses", "qualified")])
@pytest.mark.parametrize(("role", "acts_as"), [("viewer", "person"), ("editor", "person"), ("admin", "automation")])
def test_lists_are_edited_by_administrators_who_are_people(
    api: Api, collection: str, key: str, role: str, acts_as: str
) -> None:
    before = api.get(f"{collection}?with_deleted=true").json

    for method, path, sent in WRITES:
        problem_of(api.call(method, collection + path.format(key), sent, role=role, acts_as=acts_as), 403)

    assert api.get(f"{collection}?with_deleted=true").json == before


# Renames and soft deletes ---------------------------------------------------------------------------------------------


def test_a_rename_shows_everywhere(api: Api) -> None:
    company, contact = company_with_contact(api, "mql")

    api.patch("/categories/mql", {"name": "Warm lead"})
    api.patch("/lead-statuses/open", {"name": "Untouched"})

    assert api.get(f"/companies/{company['id']}").json["category"]["name"] == "Warm lead"
    assert api.get(f"/contacts/{contact['id']}").json["lead_status"] == {"key": "open", "name": "Untouched"}
    assert api.patch(f"/companies/{company['id']}", {"category": "warm LEAD"}).status_code == 200


def test_a_deleted_category_leaves_the_lists_keeps_its_name_and_comes_back(api: Api) -> None:
    company, contact = company_with_contact(api, "mql")

    deleted = api.delete("/categories/mql")

    assert (deleted.status_code, deleted.json["deleted_at"]) == (200, "2026-03-01T12:00:00Z")
    assert "mql" not in [one["key"] for one in api.get("/categories").json["items"]]
    assert "mql" in [one["key"] for one in api.get("/categories?with_deleted=true").json["items"]]
    assert api.get(f"/companies/{company['id']}").json["category"]["name"] == "Marketing qualified lead"
    assert status_of(api, contact) == ("open", True)
    problem_of(api.post("/companies", {"name": "New", "category": "mql"}), 422)
    assert api.delete("/categories/mql").json == deleted.json
    assert api.post("/categories/mql/restore").json["deleted_at"] is None
    assert api.post("/companies", {"name": "New", "category": "mql"}).status_code == 201


def test_the_default_lead_status_cannot_be_deleted_until_another_is_the_default(api: Api) -> None:
    assert "default" in problem_of(api.delete("/lead-statuses/open"), 409)["detail"]
    assert "default" in problem_of(api.patch("/lead-statuses/open", {"is_default": False}), 409)["detail"]

    assert api.patch("/lead-statuses/contacting", {"is_default": True}).json["is_default"] is True

    assert api.delete("/lead-statuses/open").status_code == 200
    assert status_of(api, company_with_contact(api, "lead")[1]) == ("contacting", True)
    problem_of(api.patch("/lead-statuses/open", {"is_default": True}), 409)


def test_the_impact_says_who_is_affected(api: Api) -> None:
    company, contact = company_with_contact(api, "mql")
    alone = api.made("/contacts", {"email": "alone@x.example", "category": "mql"})
    company_with_contact(api, "lead", 2)

    assert api.get("/categories/mql/impact").json == {
        "companies": 1,
        "contacts": 2,
        "company_ids": [company["id"]],
        "contact_ids": [contact["id"], alone["id"]],
        "rules": [],
        "selections": ["hot-leads"],
        "becomes_active": 0,
        "becomes_inactive": 0,
    }
    assert api.get("/lead-statuses/open/impact").json["contacts"] == 3
    problem_of(api.get("/categories/none/impact"), 404)


# New values -----------------------------------------------------------------------------------------------------------


def test_a_new_category_stands_last_and_takes_part(api: Api) -> None:
    made = api.made("/categories", {"key": "reseller", "name": "Reseller", "group": "partner"})

    assert (made["rank"], made["group"], made["lead_status_enabled"], made["revision"]) == (90, "partner", False, 1)
    company = api.made("/companies", {"name": "Nordwind", "category": "reseller"})
    problem_of(api.patch(f"/companies/{company['id']}", {"category": "lead"}, acts_as="automation"), 409)


@pytest.mark.parametrize(
    "sent",
    [
        {"key": "lead", "name": "Something"},
        {"key": "mine", "name": "LEAD"},
        {"key": "mine", "name": "mql"},
        {"key": "mine", "name": "Mine", "short_name": "Customer"},
    ],
)
def test_no_two_categories_go_by_one_name(api: Api, sent: dict[str, str]) -> None:
    problem_of(api.post("/categories", sent), 409)


@pytest.mark.parametrize("key", ["", "Upper", "with blank", "-a", "a-", "ä", "a" * 64])
def test_a_key_is_short_plain_and_stable(api: Api, key: str) -> None:
    problem_of(api.post("/categories", {"key": key, "name": "Mine"}), 422)
    problem_of(api.patch("/categories/lead", {"key": "mine"}), 422)


def test_a_change_based_on_an_old_version_is_refused(api: Api) -> None:
    known = {"If-Match": api.get("/categories/lead").headers["ETag"]}

    assert api.patch("/categories/lead", {"description": "New"}, headers=known).status_code == 200
    problem_of(api.patch("/categories/lead", {"description": "Newer"}, headers=known), 412)
    problem_of(api.delete("/categories/lead", headers=known), 412)


# Lead status becomes active -------------------------------------------------------------------------------------------


def test_switching_lead_status_on_opens_the_contacts_concerned_each_with_its_row(api: Api) -> None:
    api.patch("/categories/lead", {"lead_status_enabled": False})
    _, at_company = company_with_contact(api, "lead")
    alone = api.made("/contacts", {"email": "alone@x.example", "category": "lead"})
    _, elsewhere = company_with_contact(api, "customer", 2)
    assert status_of(api, at_company) == (None, False)

    api.clock.pass_by(hours=1)
    api.patch("/categories/lead", {"lead_status_enabled": True})

    assert [status_of(api, one) for one in (at_company, alone, elsewhere)] == [
        ("open", True),
        ("open", True),
        (None, False),
    ]
    changes = api.get("/changes?field=lead_status").json["items"]
    assert [(one["entity_id"], one["old"], one["new"], one["company_id"]) for one in changes] == [
        (at_company["id"], None, "open", at_company["company_id"]),
        (alone["id"], None, "open", None),
    ]
    assert changes[0]["actor"]["name"] == "admin person"
    assert changes[0]["at"] == "2026-03-01T13:00:00Z"


def test_a_contact_made_while_lead_status_is_switched_on_is_opened_too(api: Api) -> None:
    api.patch("/categories/lead", {"lead_status_enabled": False})
    company, _ = company_with_contact(api, "lead")
    admin = threading.Thread(target=lambda: api.patch("/categories/lead", {"lead_status_enabled": True}))
    with api.engine.begin() as writer:
        person = Actor(ActorKind.PERSON, "1", "Kari")
        late = create_contact(writer, person, {"email": "late@x.example", "company_id": company["id"]}, api.clock())
        admin.start()
        admin.join(0.5)
        assert admin.is_alive()  # it waits for the writer
    admin.join()

    assert status_of(api, {"id": late}) == ("open", True)


@pytest.mark.parametrize(("on_reentry", "after"), [("open", "open"), ("keep", "qualified")])
def test_a_status_from_before_is_opened_or_kept_as_configured(api: Api, on_reentry: str, after: str) -> None:
    _, contact = company_with_contact(api, "lead")
    api.patch(f"/contacts/{contact['id']}", {"lead_status": "qualified"})
    with api.transaction("configuration") as connection:
        connection.exec_driver_sql(f"UPDATE installation SET on_reentry = '{on_reentry}'")
    api.patch("/categories/lead", {"lead_status_enabled": False})
    assert status_of(api, contact) == ("qualified", False)

    api.patch("/categories/lead", {"lead_status_enabled": True})

    assert status_of(api, contact) == (after, True)


def test_a_group_that_makes_lead_status_active_opens_it(api: Api) -> None:
    api.made("/categories", {"key": "idea", "name": "Idea", "lead_status_enabled": True})
    assert status_of(api, api.made("/contacts", {"email": "a@x.example"})) == (None, False)

    api.patch("/categories/idea", {"group": "potential_customer"})

    company = api.made("/companies", {"name": "Nordwind", "category": "idea"})
    contact = api.made("/contacts", {"email": "b@x.example", "company_id": company["id"]})
    assert status_of(api, contact) == ("open", True)


# The guard ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["customer", "partner", "lost", "other", None])
def test_a_protected_category_does_not_become_potential_while_companies_carry_it(api: Api, group: str | None) -> None:
    api.made("/categories", {"key": "special", "name": "Special", "group": group})
    company, _ = company_with_contact(api, "special")

    refused = problem_of(api.patch("/categories/special", {"group": "potential_customer"}), 409)

    assert "1 companies and 1 contacts are Special" in refused["detail"]
    api.patch(f"/companies/{company['id']}", {"category": "customer"})
    assert api.patch("/categories/special", {"group": "potential_customer"}).status_code == 200


@pytest.mark.parametrize(
    ("key", "group"), [("lead", "customer"), ("customer", "potential_customer"), ("mql", None), ("opportunity", "lost")]
)
def test_a_group_that_breaks_the_lifecycle_graph_is_refused(api: Api, key: str, group: str | None) -> None:
    refused = problem_of(api.patch(f"/categories/{key}", {"group": group}), 409)

    assert "config/lifecycle.yml" in refused["detail"]
    assert api.get(f"/categories/{key}").json["revision"] == 1


def test_a_change_that_live_rules_would_not_survive_is_refused_and_named(reused_database: ReusedDatabase) -> None:
    with running_api(reused_database.fresh(), with_rules=True) as api:
        refused = problem_of(api.delete("/categories/opportunity"), 409)

        assert "rules" in refused["detail"].lower()
        assert "lifecycle.yaml" in refused["detail"]
        assert api.get("/categories/opportunity").json["deleted_at"] is None


def test_every_process_sees_a_change_of_the_lists_by_its_revision(api: Api) -> None:
    def revision() -> int:
        with api.engine.connect() as connection:
            return int(connection.exec_driver_sql("SELECT lifecycle_revision FROM installation").scalar_one())

    before = revision()
    api.patch("/categories/lead", {"description": "changed"})
    api.patch("/categories/lead", {"description": "changed"})

    assert revision() == before + 1


def test_a_rename_breaks_no_rule_that_wrote_the_old_name(reused_database: ReusedDatabase) -> None:
    with running_api(reused_database.fresh(), with_rules=True) as api:
        with api.engine.connect() as connection:
            before = live_documents(connection)
        for path, name in (("categories/mql", "Warm lead"), ("categories/lost-opportunity", "Lost deal")):
            renamed = api.patch(f"/{path}", {"name": name, "short_name": None})
            assert (renamed.status_code, renamed.json["name"]) == (200, name)

        with api.engine.connect() as connection:
            assert live_documents(connection) == before
            assert check_documents(connection, before[1]) == ()


def test_a_former_name_goes_to_no_other_value(api: Api) -> None:
    api.patch("/categories/mql", {"name": "Warm lead"})
    api.patch("/lead-statuses/open", {"name": "Untouched"})

    taken = api.post("/categories", {"key": "mine", "name": "Marketing qualified LEAD"})
    assert "called so before" in problem_of(taken, 409)["detail"]
    problem_of(api.patch("/lead-statuses/contacting", {"name": "Open"}), 409)
    assert api.patch("/categories/mql", {"name": "Marketing qualified lead"}).status_code == 200
