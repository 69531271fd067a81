"""What callers may send, and what they get for the rest: every fault named, nothing done twice, never a 500."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from tests.integration.api_support import Api, problem_of, running_api
from tests.support.reuse import ReusedDatabase


@pytest.fixture
def api(reused_database: ReusedDatabase) -> Iterator[Api]:
    with running_api(reused_database.fresh()) as running:
        yield running


def send(api: Api, body: bytes, content_type: str = "application/json", path: str = "/companies") -> Any:
    return api.call("POST", path, data=body, content_type=content_type)


# Strictness -----------------------------------------------------------------------------------------------------------


def test_all_faults_of_a_body_are_named_with_what_is_allowed(api: Api) -> None:
    problem = problem_of(api.post("/companies", {"nam": "Nordwind", "owner": 5, "do_not_automate": "yes"}), 422)

    messages = {one["location"]: one["message"] for one in problem["errors"]}
    assert set(messages) == {"nam", "owner", "do_not_automate"}
    assert messages["nam"] == (
        "is not a known key; allowed: name, domain, category, owner, tags, fields, do_not_automate, external_ids"
    )


def test_an_unknown_field_of_a_record_is_an_error_that_names_the_known_ones(api: Api) -> None:
    problem = problem_of(api.post("/companies", {"name": "Nordwind", "fields": {"budgte": 5}}), 422)

    assert problem["errors"][0]["location"] == "fields.budgte"
    assert "allowed" in problem["errors"][0]["message"]


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ("limit=201", "limit"),
        ("limit=0", "limit"),
        ("limit=many", "limit"),
        ("limit=5&limit=6", "limit"),
        ("state=done", "state"),
        ("company_id=9223372036854775808", "company_id"),
        ("compny_id=5", "compny_id"),
        ("source=%00", "source"),
    ],
)
def test_a_wrong_query_parameter_is_named(api: Api, query: str, location: str) -> None:
    problem = problem_of(api.get(f"/events?{query}"), 422)

    assert [one["location"] for one in problem["errors"]] == [location]


def test_an_endpoint_without_parameters_takes_none(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind"})

    problem_of(api.get(f"/companies/{company['id']}?fields=name"), 422)


@pytest.mark.parametrize("cursor", ["x", "YWZ0ZXI6LTE", "YWZ0ZXI6MQ==", "%F0%9F%92%A9", "YWZ0ZXI6MDE", "a" * 500])
def test_a_cursor_that_the_api_did_not_give_is_refused(api: Api, cursor: str) -> None:
    assert "cursor" in problem_of(api.get(f"/companies?cursor={cursor}"), 400)["detail"]


@pytest.mark.parametrize("path", ["0", "-1", "x", "9223372036854775808", "1.0", "%00", "%ED%A0%80"])
def test_what_cannot_be_an_id_is_not_found(api: Api, path: str) -> None:
    problem_of(api.get(f"/companies/{path}"), 404)


def test_unknown_addresses_and_methods_are_problems_too(api: Api) -> None:
    problem_of(api.get("/nothing"), 404)
    refused = api.delete("/companies")
    problem_of(refused, 405)
    assert "POST" in refused.headers["Allow"]


# Hostile bodies -------------------------------------------------------------------------------------------------------

DEEP = 100_000
HOSTILE = {
    "empty": (b"", 400),
    "cut off": (b'{"name": "Nord', 400),
    "two documents": (b'{"name": "a"} {"name": "b"}', 400),
    "not UTF-8": (b'{"name": "\xff"}', 400),
    "UTF-16": ('{"name": "a"}'.encode("utf-16"), 400),
    "a mark before it": (b'\xef\xbb\xbf{"name": "a"}', 400),
    "NaN": (b'{"name": "a", "fields": {"budget": NaN}}', 400),
    "Infinity": (b'{"name": "a", "fields": {"budget": -Infinity}}', 400),
    "a number of 5,000 digits": (b'{"name": "a", "fields": {"budget": ' + b"9" * 5000 + b"}}", 400),
    "a key twice": (b'{"name": "a", "name": "b"}', 400),
    "lists 100,000 deep": (b'{"tags": ' + b"[" * DEEP + b"]" * DEEP + b"}", 400),
    "objects 100,000 deep": (b'{"fields": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}", 400),
    "100 deep": (b'{"fields": ' + b'{"a":' * 100 + b"1" + b"}" * 100 + b"}", 422),
    "a list": (b"[]", 422),
    "a text": (b'"{}"', 422),
    "null": (b"null", 422),
    "a NUL": (b'{"name": "a\\u0000b"}', 422),
    "a NUL in a key": (b'{"name": "a", "fields": {"\\u0000": 1}}', 422),
    "a lone surrogate": (b'{"name": "\\ud800"}', 422),
    "a huge exponent": (b'{"name": "a", "fields": {"budget": 1e999999}}', 422),
    "a number for a text": (b'{"name": 5}', 422),
    "a text of 20,000 characters": (b'{"name": "' + b"a" * 20_000 + b'"}', 422),
    "300 tags": (json.dumps({"tags": [str(number) for number in range(300)]}).encode(), 422),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_refused_and_stores_nothing(api: Api, name: str) -> None:
    body, status = HOSTILE[name]

    problem_of(send(api, body), status)

    assert api.count("company") == 0


def test_a_body_over_a_mebibyte_is_too_large(api: Api) -> None:
    problem_of(send(api, b'{"name": "' + b"a" * 1024 * 1024 + b'"}'), 413)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"])
def test_a_body_that_is_not_declared_as_json_is_refused(api: Api, content_type: str) -> None:
    problem_of(send(api, b'{"name": "a"}', content_type), 415)


def test_a_json_dialect_is_taken(api: Api) -> None:
    assert send(api, b'{"name": "a"}', "application/merge-patch+json; charset=utf-8").status_code == 201


# Idempotency ----------------------------------------------------------------------------------------------------------

KEY = {"Idempotency-Key": "order-1"}


def test_the_same_post_again_gets_the_first_answer_and_has_no_second_effect(api: Api) -> None:
    first = api.post("/companies", {"name": "Nordwind"}, headers=KEY)
    api.patch(f"/companies/{first.json['id']}", {"name": "Renamed"})
    second = api.post("/companies", {"name": "Nordwind"}, headers=KEY)

    assert "Idempotency-Replayed" not in first.headers
    assert (second.status_code, second.data) == (201, first.data)
    assert second.headers["Idempotency-Replayed"] == "true"
    for name in ("ETag", "Location", "Content-Type"):
        assert second.headers[name] == first.headers[name]
    assert api.count("company") == 1


def test_a_key_is_good_for_one_request_only(api: Api) -> None:
    api.post("/companies", {"name": "Nordwind"}, headers=KEY)

    problem_of(api.post("/companies", {"name": "Other"}, headers=KEY), 422)
    problem_of(api.post("/tasks", {"title": "Call"}, headers=KEY), 422)
    assert api.post("/categories/lead/restore", headers={"Idempotency-Key": "k"}).status_code == 200
    problem_of(api.post("/categories/mql/restore", headers={"Idempotency-Key": "k"}), 422)
    assert api.count("company") == 1


def test_keys_of_different_callers_do_not_meet(api: Api) -> None:
    api.post("/companies", {"name": "Nordwind"}, headers=KEY)

    assert api.post("/companies", {"name": "Other"}, headers=KEY, role="editor").status_code == 201


def test_a_refused_post_does_not_use_up_its_key(api: Api) -> None:
    problem_of(api.post("/companies", {"name": 5}, headers=KEY), 422)
    problem_of(api.post("/sales", {"company_id": 999}, headers=KEY), 422)

    assert api.post("/companies", {"name": "Nordwind"}, headers=KEY).status_code == 201


@pytest.mark.parametrize("key", ["", "two words", "ü", "a" * 256])
def test_a_key_is_visible_ascii(api: Api, key: str) -> None:
    problem_of(api.post("/companies", {"name": "Nordwind"}, headers={"Idempotency-Key": key}), 422)


def test_the_same_post_eight_times_at_once_has_one_effect(api: Api) -> None:
    api.key("admin")
    answers: list[tuple[int, bytes]] = []
    barrier = threading.Barrier(8)

    def post() -> None:
        barrier.wait()
        response = api.post("/companies", {"name": "Nordwind"}, headers=KEY)
        answers.append((response.status_code, response.data))

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 8
    assert len(set(answers)) == 1
    assert answers[0][0] == 201
    assert api.count("company") == 1


def test_workers_hear_of_a_post_once_and_only_after_it_is_stored(api: Api) -> None:
    api.post("/companies", {"name": "Nordwind"}, headers=KEY)
    problem_of(api.post("/companies", {"name": 5}), 422)
    api.get("/companies")

    assert api.rings == [True]


# What goes wrong behind the API ---------------------------------------------------------------------------------------


def test_a_database_that_is_away_is_503_with_a_time_to_try_again(reused_database: ReusedDatabase) -> None:
    with running_api(reused_database.fresh()) as api:
        api.key("admin")
        for name in ("_creator", "_invoke_creator"):  # no further connection can be made
            if hasattr(api.engine.pool, name):
                setattr(api.engine.pool, name, _refuse)
        api.engine.pool.dispose()
        response = api.get("/companies")

    assert problem_of(response, 503)["detail"] == "The database does not answer now."
    assert int(response.headers["Retry-After"]) > 0


def _refuse(*_: object) -> None:
    from psycopg import OperationalError

    raise OperationalError("connection refused")


def test_a_record_that_others_hold_is_503_and_can_be_tried_again(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind"})
    with api.engine.begin() as busy:
        busy.execute(text("SELECT FROM company FOR UPDATE"))
        response = api.patch(f"/companies/{company['id']}", {"owner": "Kari"})

    assert "by others" in problem_of(response, 503)["detail"]
    assert api.patch(f"/companies/{company['id']}", {"owner": "Kari"}).status_code == 200


def test_a_refusal_by_the_databases_own_guard_is_a_conflict_with_its_words(api: Api) -> None:
    from leadflow.web.problems import problem_of as problem_from

    company = api.made("/companies", {"name": "Nordwind", "category": "customer"})
    try:
        with api.engine.begin() as connection:
            connection.execute(text("UPDATE company SET category_key = 'lead' WHERE id = :id"), {"id": company["id"]})
    except Exception as error:
        problem = problem_from(error)

    assert problem.status == 409
    assert problem.detail == f"Company {company['id']} may not go from customer to lead by automation."


def test_an_error_that_nobody_foresaw_says_nothing_and_is_logged(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("leadflow.store.reads.companies", fail)

    response = api.get("/companies")

    problem_of(response, 500)
    assert "secret" not in response.text
    assert "secret detail" in caplog.text
