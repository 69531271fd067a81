"""Accounts and keys through the API: made by people, shown once, ended at once, and never the last administrator."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from leadflow.errors import Conflict
from leadflow.services import access, accounts
from leadflow.services.access import Role
from tests.integration.api_support import START, Api, problem_of, running_api
from tests.support.reuse import ReusedDatabase

PASSWORD = "a long enough password"


@pytest.fixture
def api(reused_database: ReusedDatabase) -> Iterator[Api]:
    with running_api(reused_database.fresh()) as running:
        yield running


def user(api: Api, name: str, role: str = "editor", **more: Any) -> dict[str, Any]:
    return api.made("/users", {"email": f"{name}@ours.example", "name": name.title(), "role": role, **more})


def admitted(api: Api, token: str) -> int:
    return api.client.get("/companies", headers={"Cookie": f"leadflow={token}"}).status_code


def signed_in(api: Api, name: str) -> str:
    with api.engine.begin() as connection:
        token = access.sign_in(connection, f"{name}@ours.example", PASSWORD, "192.0.2.1", api.clock(), "Firefox").token
    assert token is not None
    return token


# Accounts -------------------------------------------------------------------------------------------------------------


def test_an_invitation_is_a_link_shown_once_by_which_a_password_is_chosen(api: Api) -> None:
    made = user(api, "mia")
    shown = api.get(f"/users/{made['id']}").json

    assert (made["role"], made["has_password"], made["revision"]) == ("editor", False, 1)
    assert "sign_in_url" not in shown
    path = made["sign_in_url"].removeprefix("http://localhost")
    client = api.app.test_client()
    assert "Mia" in client.get(path).text
    token = _form_token(client.get(path).text)
    refused = client.post(path, data={"csrf_token": token, "password": "short"})
    assert refused.status_code == 422
    done = client.post(path, data={"csrf_token": token, "password": PASSWORD})
    assert (done.status_code, client.get("/companies").status_code) == (303, 200)
    assert client.get(path).status_code == 410
    assert api.get(f"/users/{made['id']}").json["has_password"] is True
    signed_in(api, "mia")


def _form_token(page: str) -> str:
    return page.split('name="csrf_token" value="')[1].split('"')[0]


def test_a_repeated_invitation_has_its_first_answer_without_the_link(api: Api) -> None:
    sent = {"email": "mia@ours.example", "name": "Mia", "role": "viewer"}
    first, again = (api.post("/users", sent, headers={"Idempotency-Key": "invite-1"}) for _ in range(2))

    assert first.json["sign_in_url"].startswith("http")
    assert (again.status_code, again.json["id"], again.json["sign_in_url"]) == (201, first.json["id"], None)


def test_a_role_counts_from_the_next_request_on(api: Api) -> None:
    made = user(api, "mia", "admin", password=PASSWORD)
    token = signed_in(api, "mia")
    user(api, "olaf", "admin", password=PASSWORD)
    cookie = {"Cookie": f"leadflow={token}"}
    assert api.client.get("/api/v1/users", headers=cookie).status_code == 200

    api.patch(f"/users/{made['id']}", {"role": "viewer"})

    problem_of(api.client.get("/api/v1/users", headers=cookie), 403)
    assert admitted(api, token) == 200


def test_who_is_disabled_is_signed_out_and_comes_back_only_when_enabled(api: Api) -> None:
    made = user(api, "mia", password=PASSWORD)
    token = signed_in(api, "mia")

    disabled = api.patch(f"/users/{made['id']}", {"disabled": True})

    assert disabled.json["disabled_at"] == "2026-03-01T12:00:00Z"
    assert admitted(api, token) == 303
    problem_of(api.post(f"/users/{made['id']}/sign-in-link"), 409)
    api.patch(f"/users/{made['id']}", {"disabled": False})
    assert admitted(api, token) == 303
    assert admitted(api, signed_in(api, "mia")) == 200


@pytest.mark.parametrize("patch", [{"role": "editor"}, {"disabled": True}])
def test_the_last_administrator_stays_one(api: Api, patch: dict[str, Any]) -> None:
    made = user(api, "mia", "admin")
    user(api, "olaf", "editor")

    assert "last administrator" in problem_of(api.patch(f"/users/{made['id']}", patch), 409)["detail"]
    assert api.patch(f"/users/{made['id']}", {"role": "admin", "disabled": False, "name": "Mia B"}).status_code == 200

    user(api, "kari", "admin")
    assert api.patch(f"/users/{made['id']}", patch).status_code == 200


def test_two_administrators_who_remove_each_other_at_once_leave_one(api: Api) -> None:
    ids = [user(api, name, "admin")["id"] for name in ("mia", "olaf")]
    refused: list[int] = []

    def remove(account_id: int) -> None:
        try:
            with api.engine.begin() as connection:
                accounts.change_account(connection, account_id, {"disabled": True}, START)
        except Conflict:
            refused.append(account_id)

    for _ in range(5):
        refused.clear()
        threads = [threading.Thread(target=remove, args=(one,)) for one in ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) == 1
        for one in ids:
            api.patch(f"/users/{one}", {"disabled": False})


def test_an_account_honours_the_version_that_was_read(api: Api) -> None:
    made = user(api, "mia")
    tag = api.get(f"/users/{made['id']}").headers["ETag"]
    api.patch(f"/users/{made['id']}", {"name": "Mia Berg"}, headers={"If-Match": tag})

    problem_of(api.patch(f"/users/{made['id']}", {"role": "viewer"}, headers={"If-Match": tag}), 412)


def test_sessions_are_listed_and_ended_everywhere(api: Api) -> None:
    made = user(api, "mia", password=PASSWORD)
    tokens = [signed_in(api, "mia") for _ in range(2)]

    listed = api.get(f"/users/{made['id']}/sessions").json["items"]

    assert [(one["remote"], one["agent"]) for one in listed] == [("192.0.2.1", "Firefox")] * 2
    assert not any(token in str(listed) for token in tokens)
    api.post(f"/users/{made['id']}/sign-out")
    assert [admitted(api, token) for token in tokens] == [303, 303]
    assert api.get(f"/users/{made['id']}/sessions").json["items"] == []


def test_one_session_of_an_account_is_ended_and_only_by_its_account(api: Api) -> None:
    made, other = user(api, "mia", password=PASSWORD), user(api, "olaf", password=PASSWORD)
    tokens = [signed_in(api, "mia") for _ in range(2)]
    with api.engine.begin() as connection:
        api.clock.pass_by(minutes=2)
        access.find_session(connection, tokens[0], api.clock())
        newest = accounts.sessions_of(connection, made["id"], api.clock())[0]
        with pytest.raises(access.NotFound):
            accounts.end_session(connection, other["id"], newest.id, api.clock())
        accounts.end_session(connection, made["id"], newest.id, api.clock())

    assert [admitted(api, token) for token in tokens] == [303, 200]


def test_an_own_password_is_changed_by_who_knows_the_present_one(api: Api) -> None:
    made = user(api, "mia", password=PASSWORD)
    other = signed_in(api, "mia")

    def change(current: str, remote: str = "192.0.2.9") -> access.SignIn:
        with api.engine.begin() as connection:
            return accounts.change_own_password(
                connection, made["id"], current, "another long password", remote, api.clock()
            )

    assert change("wrong").token is None
    assert admitted(api, other) == 200
    token = change(PASSWORD).token
    assert token is not None
    assert [admitted(api, one) for one in (other, token)] == [303, 200]
    assert [change("wrong", f"192.0.2.{number}").is_throttled for number in range(6)] == [False] * 5 + [True]


# Keys -----------------------------------------------------------------------------------------------------------------


def test_a_key_is_shown_once_works_and_ends_when_it_is_revoked(api: Api) -> None:
    made = api.made("/api-keys", {"name": "website", "role": "viewer", "acts_as": "automation"})
    bearer = {"Authorization": f"Bearer {made['api_key']}"}

    assert api.client.get("/api/v1/companies", headers=bearer).status_code == 200
    assert "api_key" not in api.get(f"/api-keys/{made['id']}").json
    assert made["api_key"] not in api.get("/api-keys").text
    assert api.get(f"/api-keys/{made['id']}").json["last_used_at"] is not None
    assert api.delete(f"/api-keys/{made['id']}").json["revoked_at"] is not None
    problem_of(api.client.get("/api/v1/companies", headers=bearer), 401)
    problem_of(api.patch(f"/api-keys/{made['id']}", {"name": "again"}), 409)


def test_a_key_changes_name_role_and_end(api: Api) -> None:
    made = api.made("/api-keys", {"name": "website", "role": "viewer"})
    bearer = {"Authorization": f"Bearer {made['api_key']}"}
    sent = {"name": "shop", "role": "editor", "expires_at": "2026-03-02T12:00:00Z"}

    changed = api.patch(f"/api-keys/{made['id']}", sent).json

    assert {name: changed[name] for name in sent} == sent
    assert api.client.post("/api/v1/companies", json={"name": "A"}, headers=bearer).status_code == 201
    api.clock.pass_by(days=1)
    problem_of(api.client.get("/api/v1/companies", headers=bearer), 401)
    problem_of(api.patch(f"/api-keys/{made['id']}", {"expires_at": "2026-03-01T00:00:00Z"}), 422)


def test_automation_makes_itself_no_key_that_acts_as_a_person(api: Api) -> None:
    made = user(api, "mia")
    key = api.made("/api-keys", {"name": "website", "role": "admin"})
    writes: list[tuple[str, str, object]] = [
        ("POST", "/api-keys", {"name": "x", "role": "admin", "acts_as": "person"}),
        ("PATCH", f"/api-keys/{key['id']}", {"role": "admin"}),
        ("DELETE", f"/api-keys/{key['id']}", None),
        ("POST", "/users", {"email": "x@x.example", "name": "x", "role": "admin"}),
        ("PATCH", f"/users/{made['id']}", {"role": "admin"}),
        ("POST", f"/users/{made['id']}/sign-in-link", None),
        ("POST", f"/users/{made['id']}/sign-out", None),
    ]

    for method, path, sent in writes:
        problem_of(api.call(method, path, sent, acts_as="automation"), 403)


def test_the_people_are_paged(api: Api) -> None:
    names = ["ane", "bo", "cato"]
    for name in names:
        user(api, name, Role.VIEWER.value)

    first = api.get("/users?limit=2").json
    second = api.get(f"/users?limit=2&cursor={first['next']}").json

    assert [one["name"] for one in first["items"] + second["items"]] == ["Ane", "Bo", "Cato"]
    assert second["next"] is None
