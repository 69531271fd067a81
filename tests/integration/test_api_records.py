"""Companies, contacts, sales, tasks and the ledger through the API: shapes, guards, versions, pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.api_support import Api, problem_of, running_api
from tests.support.reuse import ReusedDatabase

LEAD = {"key": "lead", "name": "Lead", "group": "potential_customer"}
CUSTOMER = {"key": "customer", "name": "Customer", "group": "customer"}
OPEN = {"key": "open", "name": "Open"}


@pytest.fixture
def api(reused_database: ReusedDatabase) -> Iterator[Api]:
    with running_api(reused_database.fresh()) as running:
        yield running


# Companies ------------------------------------------------------------------------------------------------------------


def test_a_company_has_the_shape_of_the_contract(api: Api) -> None:
    made = api.made("/companies", {"name": "Nordwind AS", "domain": "nordwind.example", "category": "lead"})

    assert made == {
        "id": made["id"],
        "name": "Nordwind AS",
        "domain": "nordwind.example",
        "category": LEAD,
        "owner": None,
        "tags": [],
        "fields": {},
        "do_not_automate": False,
        "open_sales": 0,
        "first_touch": None,
        "external_ids": {},
        "created_at": "2026-03-01T12:00:00Z",
        "updated_at": "2026-03-01T12:00:00Z",
        "revision": 1,
    }
    assert api.get(f"/companies/{made['id']}").json == made
    assert api.get("/companies").json == {"items": [made], "next": None}


def test_a_new_company_without_a_category_has_none(api: Api) -> None:
    assert api.made("/companies", {"name": "Nordwind"})["category"] is None


def test_a_domain_that_is_taken_names_the_company_that_has_it(api: Api) -> None:
    first = api.made("/companies", {"name": "Nordwind", "domain": "nordwind.example"})

    problem = problem_of(api.post("/companies", {"name": "Other", "domain": "NORDWIND.example"}), 409)

    assert problem["existing_id"] == first["id"]


def test_a_new_record_says_where_it_is(api: Api) -> None:
    response = api.post("/companies", {"name": "Nordwind"})

    assert response.headers["Location"] == f"/api/v1/companies/{response.json['id']}"
    assert api.rings == [True]


def test_a_change_leaves_other_fields_alone_and_null_empties_one(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind", "owner": "Kari", "tags": ["a"]})

    changed = api.patch(f"/companies/{company['id']}", {"owner": None}).json

    assert (changed["name"], changed["owner"], changed["tags"]) == ("Nordwind", None, ["a"])


@pytest.mark.parametrize("category", ["customer", "partner", "former-customer", "other"])
def test_an_automation_key_never_takes_a_company_out_of_a_protected_group(api: Api, category: str) -> None:
    company = api.made("/companies", {"name": "Nordwind", "category": category})

    refused = api.patch(f"/companies/{company['id']}", {"category": "lead"}, acts_as="automation")

    assert "automation never" in problem_of(refused, 409)["detail"]
    assert api.get(f"/companies/{company['id']}").json["category"]["key"] == category
    assert api.patch(f"/companies/{company['id']}", {"category": "lead"}).json["category"] == LEAD


def test_companies_are_found_by_name_domain_and_category(api: Api) -> None:
    nord = api.made("/companies", {"name": "Nordwind AS", "domain": "nordwind.example", "category": "lead"})
    api.made("/companies", {"name": "100% Süd", "domain": "sued.example"})

    for query in ("q=nordw", "q=NORDWIND.ex", "name=nordwind as", "domain=nordwind.example", "category=lead"):
        assert [one["id"] for one in api.get(f"/companies?{query}").json["items"]] == [nord["id"]], query
    assert len(api.get("/companies?q=100%25").json["items"]) == 1
    assert api.get("/companies?q=1_0").json["items"] == []


def test_pages_of_a_list_join_without_a_gap_while_records_are_added(api: Api) -> None:
    made = [api.made("/companies", {"name": f"Company {number}"})["id"] for number in range(5)]

    seen, cursor = [], ""
    while True:
        page = api.get(f"/companies?limit=2{cursor}").json
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
        if len(made) == 5:
            made.append(api.made("/companies", {"name": "Added meanwhile"})["id"])

    assert seen == made


# Contacts -------------------------------------------------------------------------------------------------------------


def test_a_contact_has_its_companys_category_and_the_default_status(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind", "category": "lead"})

    made = api.made("/contacts", {"email": "Anna@Nordwind.Example", "first_name": "Anna", "company_id": company["id"]})

    assert made == {
        "id": made["id"],
        "email": "anna@nordwind.example",
        "first_name": "Anna",
        "last_name": None,
        "company_id": company["id"],
        "category": LEAD,
        "lead_status": OPEN,
        "lead_status_active": True,
        "tags": [],
        "fields": {},
        "do_not_automate": False,
        "first_touch": None,
        "last_touched_at": None,
        "created_at": "2026-03-01T12:00:00Z",
        "updated_at": "2026-03-01T12:00:00Z",
        "revision": 1,
    }
    assert api.get("/contacts").json["items"] == [made]


def test_an_inactive_status_is_kept_shown_and_not_editable(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind", "category": "lead"})
    contact = api.made("/contacts", {"email": "anna@nordwind.example", "company_id": company["id"]})
    api.patch(f"/contacts/{contact['id']}", {"lead_status": "qualified"})
    api.patch(f"/companies/{company['id']}", {"category": "customer"})

    shown = api.get(f"/contacts/{contact['id']}").json
    refused = problem_of(api.patch(f"/contacts/{contact['id']}", {"lead_status": "open"}), 409)

    assert (shown["lead_status"]["key"], shown["lead_status_active"], shown["category"]) == (
        "qualified",
        False,
        CUSTOMER,
    )
    assert "not active" in refused["detail"]
    assert [one["id"] for one in api.get("/contacts?lead_status=qualified").json["items"]] == [contact["id"]]


def test_the_category_of_a_contact_with_a_company_is_the_companys(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind", "category": "lead"})
    contact = api.made("/contacts", {"email": "anna@nordwind.example", "company_id": company["id"]})

    assert "company's" in problem_of(api.patch(f"/contacts/{contact['id']}", {"category": "mql"}), 409)["detail"]


def test_contacts_are_found_by_name_address_company_status_and_category(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind", "category": "lead"})
    anna = api.made("/contacts", {"email": "anna@nordwind.example", "first_name": "Anna", "company_id": company["id"]})
    api.made("/contacts", {"email": "bo@sued.example"})

    queries = ("q=ann", "q=Anna@", "email=ANNA@nordwind.example", f"company_id={company['id']}", "lead_status=open")
    for query in (*queries, "category=lead"):
        assert [one["id"] for one in api.get(f"/contacts?{query}").json["items"]] == [anna["id"]], query


# Versions -------------------------------------------------------------------------------------------------------------


def test_a_change_that_was_based_on_an_old_version_is_refused(api: Api) -> None:
    made = api.post("/companies", {"name": "Nordwind"})
    path, old = f"/companies/{made.json['id']}", made.headers["ETag"]

    first = api.patch(path, {"owner": "Kari"}, headers={"If-Match": old})
    second = api.patch(path, {"owner": "Ola"}, headers={"If-Match": old})

    assert first.status_code == 200
    problem_of(second, 412)
    assert api.get(path).json["owner"] == "Kari"
    assert api.patch(path, {"owner": "Ola"}, headers={"If-Match": first.headers["ETag"]}).status_code == 200
    assert api.patch(path, {"owner": "Liv"}, headers={"If-Match": "*"}).status_code == 200


def test_the_version_of_a_contact_changes_with_its_companys_category(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind", "category": "lead"})
    contact = api.made("/contacts", {"email": "anna@nordwind.example", "company_id": company["id"]})
    known = api.get(f"/contacts/{contact['id']}").headers["ETag"]

    unchanged = api.get(f"/contacts/{contact['id']}", headers={"If-None-Match": known})
    api.patch(f"/companies/{company['id']}", {"category": "mql"})
    changed = api.get(f"/contacts/{contact['id']}", headers={"If-None-Match": known})

    assert (unchanged.status_code, unchanged.data) == (304, b"")
    assert (changed.status_code, changed.json["category"]["key"]) == (200, "mql")


# Sales ----------------------------------------------------------------------------------------------------------------


def test_a_sale_answers_with_its_event(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind", "category": "lead"})

    made = api.made("/sales", {"company_id": company["id"], "title": "Licence", "amount": "12500.10"})

    assert {name: made[name] for name in ("company_id", "contact_id", "status", "title", "amount")} == {
        "company_id": company["id"],
        "contact_id": None,
        "status": "open",
        "title": "Licence",
        "amount": "12500.10",
    }
    event = api.get(f"/events/{made['event_id']}").json
    assert (event["type"], event["state"], event["company_id"]) == ("sale", "pending", company["id"])
    assert api.get(f"/sales?company_id={company['id']}").json["items"][0]["id"] == made["id"]


def test_only_a_new_status_of_a_sale_is_an_event(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind"})
    path = f"/sales/{api.made('/sales', {'company_id': company['id']})['id']}"

    assert api.patch(path, {"title": "Licence", "status": "open"}).json["event_id"] is None
    sold = api.patch(path, {"status": "sold"})
    assert (sold.status_code, sold.json["status"], isinstance(sold.json["event_id"], int)) == (200, "sold", True)
    assert api.patch(path, {"status": "sold"}).json["event_id"] is None


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "12,5", "1" * 61, True, [], "1e999999999"])
def test_an_amount_is_an_exact_decimal(api: Api, amount: object) -> None:
    company = api.made("/companies", {"name": "Nordwind"})

    problem = problem_of(api.post("/sales", {"company_id": company["id"], "amount": amount}), 422)

    assert problem["errors"][0]["location"] == "amount"


# Tasks ----------------------------------------------------------------------------------------------------------------


def test_a_task_is_made_done_and_opened_again(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind"})
    contact = api.made("/contacts", {"email": "anna@nordwind.example", "company_id": company["id"]})

    task = api.made(
        "/tasks", {"title": "Call Anna", "contact_id": contact["id"], "due_at": "2026-03-02T09:00:00+01:00"}
    )
    assert (task["company_id"], task["due_at"], task["done_at"], task["created_by"]) == (
        company["id"],
        "2026-03-02T08:00:00Z",
        None,
        "admin person",
    )
    api.clock.pass_by(hours=1)
    done = api.patch(f"/tasks/{task['id']}", {"done": True, "owner": "Kari"}).json
    assert (done["done_at"], done["owner"], done["title"]) == ("2026-03-01T13:00:00Z", "Kari", "Call Anna")
    assert api.get("/tasks?done=false").json["items"] == []
    assert api.patch(f"/tasks/{task['id']}", {"done": False}).json["done_at"] is None


def test_a_task_belongs_to_records_that_exist_and_belong_together(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind"})
    contact = api.made("/contacts", {"email": "bo@sued.example"})

    for sent in ({"company_id": 999}, {"contact_id": 999}, {"company_id": company["id"], "contact_id": contact["id"]}):
        problem_of(api.post("/tasks", {"title": "Call", **sent}), 422)
    assert problem_of(api.post("/tasks", {"title": "  "}), 422)["errors"][0]["location"] == "title"


def test_a_task_changed_by_two_people_is_changed_by_the_first(api: Api) -> None:
    made = api.post("/tasks", {"title": "Call"})
    path, known = f"/tasks/{made.json['id']}", {"If-Match": made.headers["ETag"]}

    assert api.patch(path, {"owner": "Kari"}, headers=known).status_code == 200
    problem_of(api.patch(path, {"owner": "Ola"}, headers=known), 412)


# The ledger -----------------------------------------------------------------------------------------------------------


def test_the_ledger_names_what_changed_and_who_did_it(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind", "category": "lead"})
    api.clock.pass_by(minutes=5)
    api.patch(f"/companies/{company['id']}", {"category": "mql"})

    changes = api.get(f"/changes?company_id={company['id']}").json["items"]

    assert [(one["field"], one["old"], one["new"]) for one in changes] == [
        ("category", None, "lead"),
        ("category", "lead", "mql"),
    ]
    assert changes[1]["at"] == "2026-03-01T12:05:00Z"
    assert (changes[1]["entity"], changes[1]["entity_id"]) == ("company", company["id"])
    assert changes[1]["actor"] == {"kind": "api_key", "id": changes[1]["actor"]["id"], "name": "admin person"}
    assert (changes[1]["event_id"], changes[1]["run_id"], changes[1]["undone_by"]) == (None, None, None)


@pytest.mark.parametrize("since", ["2026-03-01T12:05:00Z", "2026-03-01T13:05:00%2B01:00", "2026-03-01T13:05:00+01:00"])
def test_since_includes_its_moment(api: Api, since: str) -> None:
    company = api.made("/companies", {"name": "Nordwind", "category": "lead"})
    api.clock.pass_by(minutes=5)
    api.patch(f"/companies/{company['id']}", {"category": "mql"})

    assert [one["new"] for one in api.get(f"/changes?since={since}").json["items"]] == ["mql"]


def test_an_undone_change_names_the_one_that_took_it_back(api: Api) -> None:
    api.made("/companies", {"name": "Nordwind", "category": "lead"})
    change = api.get("/changes").json["items"][0]
    with api.transaction() as connection:
        connection.exec_driver_sql(
            "INSERT INTO change (at, entity, entity_id, company_id, field, old, actor_kind, actor_name, action, undoes)"
            " SELECT at, entity, entity_id, company_id, field, new, 'person', 'Kari', 'undo', id FROM change"
        )

    first, second = api.get("/changes").json["items"]

    assert (first["id"], first["undone_by"], second["undone_by"]) == (change["id"], second["id"], None)


# Events ---------------------------------------------------------------------------------------------------------------


def test_only_held_and_failed_events_can_be_replayed(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind"})
    event_id = api.made("/sales", {"company_id": company["id"]})["event_id"]
    refused = problem_of(api.post(f"/events/{event_id}/replay"), 409)
    with api.transaction() as connection:
        connection.exec_driver_sql("UPDATE event SET state = 'held', error = 'no address'")
    api.rings.clear()

    replayed = api.post(f"/events/{event_id}/replay")

    assert "pending" in refused["detail"]
    assert (replayed.status_code, replayed.json["state"], api.rings) == (200, "pending", [True])


def test_events_come_newest_first_with_their_traces(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind"})
    ids = [api.made("/sales", {"company_id": company["id"]})["event_id"] for _ in range(3)]
    with api.transaction() as connection:
        connection.exec_driver_sql(
            "INSERT INTO run (event_id, rule, version, outcome, is_near_miss, clauses, changes, chain, duration_us, at)"
            """ SELECT id, 'demo', 1, 'no_match', true,
                '[{"path": "form.form", "test": "is", "holds": false, "value": 1}]',
                '[]', '{}', 5, received_at FROM event"""
        )

    page = api.get("/events?limit=2&state=pending").json

    assert [one["id"] for one in page["items"]] == [ids[2], ids[1]]
    assert [one["id"] for one in api.get(f"/events?cursor={page['next']}").json["items"]] == [ids[0]]
    run = page["items"][0]["runs"][0]
    assert (run["rule"], run["outcome"], run["near_miss"], run["clauses"][0]["holds"]) == (
        "demo",
        "no_match",
        True,
        False,
    )
