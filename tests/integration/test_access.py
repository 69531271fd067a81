"""Who gets in: keys, accounts, sessions, links, and a mark on every route."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter

import pytest
from sqlalchemy import Connection, Engine, text

from leadflow.errors import Conflict, InvalidRequest, NotFound
from leadflow.services import access
from leadflow.services.access import Role
from leadflow.store.engine import make_engine
from leadflow.web.auth import mark_of
from tests.integration.api_support import Api, problem_of, running_api
from tests.support.reuse import ReusedDatabase

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"


@pytest.fixture
def engine(reused_database: ReusedDatabase) -> Iterator[Engine]:
    engine = make_engine(reused_database.fresh())
    yield engine
    engine.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        yield connection


@pytest.fixture
def api(reused_database: ReusedDatabase) -> Iterator[Api]:
    with running_api(reused_database.fresh()) as running:
        yield running


# API keys -------------------------------------------------------------------------------------------------------------


def test_a_key_is_found_by_its_secret_of_which_only_a_hash_is_kept(connection: Connection) -> None:
    key = access.create_key(connection, "Zapier", Role.EDITOR, NOW)

    caller = access.find_key(connection, key, NOW)

    assert key.startswith("lf_")
    assert caller is not None
    assert (caller.name, caller.role, caller.acts_as_person) == ("Zapier", Role.EDITOR, False)
    assert caller.actor.is_automation
    stored = str(connection.execute(text("SELECT * FROM api_key")).one())
    assert key.split("_", 2)[2] not in stored


@pytest.mark.parametrize(
    "wrong", ["", "lf_", "lf__", "lf_x_y", "Bearer", "\x00" * 20, "\ud800", "lf_\x00_x", "x" * 9000]
)
def test_a_wrong_key_is_nobody(connection: Connection, wrong: str) -> None:
    access.create_key(connection, "Zapier", Role.EDITOR, NOW)

    assert access.find_key(connection, wrong, NOW) is None


def test_a_key_with_another_keys_secret_is_nobody(connection: Connection) -> None:
    first, second = (access.create_key(connection, name, Role.ADMIN, NOW) for name in ("a", "b"))

    mixed = "_".join([*first.split("_", 2)[:2], second.split("_", 2)[2]])

    assert access.find_key(connection, mixed, NOW) is None


def test_a_key_ends_when_it_expires_or_is_revoked(connection: Connection) -> None:
    key = access.create_key(connection, "Zapier", Role.EDITOR, NOW, expires_at=NOW + timedelta(days=1))
    assert access.find_key(connection, key, NOW + timedelta(hours=23)) is not None
    assert access.find_key(connection, key, NOW + timedelta(days=1)) is None

    access.revoke_key(connection, key.split("_")[1], NOW)

    assert access.find_key(connection, key, NOW) is None
    assert [one.revoked_at for one in access.list_keys(connection)] == [NOW]


def test_the_use_of_a_key_is_noted_once_a_minute(connection: Connection) -> None:
    key = access.create_key(connection, "Zapier", Role.EDITOR, NOW)

    seen = []
    for seconds in (0, 30, 59, 60):
        access.find_key(connection, key, NOW + timedelta(seconds=seconds))
        seen.append(access.list_keys(connection)[0].last_used_at)

    assert seen == [NOW, NOW, NOW, NOW + timedelta(seconds=60)]


def test_noting_the_use_of_a_key_never_waits(engine: Engine) -> None:
    with engine.begin() as connection:
        key = access.create_key(connection, "Zapier", Role.EDITOR, NOW)
    with engine.begin() as busy:
        busy.execute(text("SELECT FROM api_key FOR UPDATE"))
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '100ms'"))
            assert access.find_key(connection, key, NOW) is not None


@pytest.mark.parametrize("value", ["sixteen-letters!", "lf_abc_" + "x" * 30])
def test_the_bootstrap_key_is_exactly_the_given_value(connection: Connection, value: str) -> None:
    access.ensure_bootstrap_key(connection, value, NOW)
    access.ensure_bootstrap_key(connection, value, NOW)

    caller = access.find_key(connection, value, NOW)

    assert caller is not None
    assert (caller.role, caller.acts_as_person) == (Role.ADMIN, True)


def test_another_bootstrap_key_replaces_the_first(connection: Connection) -> None:
    access.ensure_bootstrap_key(connection, "the-first-value-1", NOW)
    access.ensure_bootstrap_key(connection, "the-second-value-2", NOW)
    assert access.find_key(connection, "the-first-value-1", NOW) is None
    assert access.find_key(connection, "the-second-value-2", NOW) is not None

    access.ensure_bootstrap_key(connection, None, NOW)

    assert access.find_key(connection, "the-second-value-2", NOW) is None


@pytest.mark.parametrize("value", ["too-short", "", "has blanks in its middle", "x" * 501])
def test_a_bootstrap_key_is_long_enough(connection: Connection, value: str) -> None:
    with pytest.raises(InvalidRequest):
        access.ensure_bootstrap_key(connection, value, NOW)


# Accounts and sign-in -------------------------------------------------------------------------------------------------


def account(connection: Connection, email: str = "kari@x.example", role: Role = Role.EDITOR) -> int:
    return access.create_account(connection, email, "Kari", role, NOW, PASSWORD)


def sign_in(connection: Connection, email: str = "kari@x.example", password: str = PASSWORD, **more: object) -> object:
    return access.sign_in(connection, email, password, str(more.get("remote", "192.0.2.1")), more.get("now", NOW))  # type: ignore[arg-type]


def test_the_right_password_opens_a_session(connection: Connection) -> None:
    account_id = account(connection)

    opened = access.sign_in(connection, " KARI@x.example ", PASSWORD, "192.0.2.1", NOW)

    assert opened.token is not None
    caller = access.find_session(connection, opened.token, NOW)
    assert caller is not None
    assert (caller.id, caller.role, caller.actor.kind.value, caller.actor.is_automation) == (
        str(account_id),
        Role.EDITOR,
        "person",
        False,
    )
    stored = str([*connection.execute(text("SELECT * FROM account, session"))])
    assert PASSWORD not in stored
    assert opened.token not in stored
    assert "$argon2id$" in stored


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD.upper(), "\x00", "\ud800", "x" * 100_000])
def test_a_wrong_password_opens_nothing(connection: Connection, password: str) -> None:
    account(connection)

    assert sign_in(connection, password=password) == access.SignIn(None)


def test_unknown_disabled_and_passwordless_accounts_answer_like_a_wrong_password(connection: Connection) -> None:
    access.disable_account(connection, account(connection), NOW)
    access.create_account(connection, "link@x.example", "Link only", Role.VIEWER, NOW)

    answers = [
        sign_in(connection, email, remote=f"192.0.2.{number}")
        for number, email in enumerate(("kari@x.example", "link@x.example", "nobody@x.example", "\x00", ""))
    ]

    assert set(answers) == {access.SignIn(None)}


def test_an_unknown_account_takes_as_long_as_a_wrong_password(connection: Connection) -> None:
    account(connection)

    def time_of(email: str) -> float:
        times = []
        for number in range(5):
            begun = perf_counter()
            access.sign_in(connection, email, "wrong", f"192.0.2.{number}", NOW + timedelta(hours=number))
            times.append(perf_counter() - begun)
        return median(times)

    known, unknown = time_of("kari@x.example"), time_of("nobody@x.example")

    assert 0.4 < known / unknown < 2.5


def test_after_five_failures_even_the_right_password_waits_a_quarter_of_an_hour(connection: Connection) -> None:
    account(connection)
    for number in range(5):
        assert sign_in(connection, password="wrong", remote=f"192.0.2.{number}") == access.SignIn(None)

    assert sign_in(connection, remote="192.0.2.99") == access.SignIn(None, is_throttled=True)
    assert sign_in(connection, "nobody@x.example", remote="192.0.2.99") == access.SignIn(None)
    assert sign_in(connection, now=NOW + timedelta(minutes=15)).token is not None  # type: ignore[attr-defined]


def test_failures_count_per_network_address_too(connection: Connection) -> None:
    account(connection)
    for number in range(5):
        sign_in(connection, f"nobody{number}@x.example", "wrong", remote=f"2001:db8::{number}")

    assert sign_in(connection, remote="2001:db8::ffff") == access.SignIn(None, is_throttled=True)
    assert sign_in(connection, remote="2001:db8:0:1::1").token is not None  # type: ignore[attr-defined]


def test_guessing_from_many_connections_at_once_is_slowed_down_too(engine: Engine) -> None:
    with engine.begin() as connection:
        account(connection)
    answers = []

    def guess(number: int) -> None:
        with engine.begin() as connection:
            answers.append(sign_in(connection, password="wrong", remote=f"192.0.2.{number}"))

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(one.is_throttled for one in answers) == [False] * 5 + [True] * 3  # type: ignore[attr-defined]


def test_an_address_has_one_account_and_a_password_is_long_enough(connection: Connection) -> None:
    existing = account(connection)

    with pytest.raises(Conflict) as refused:
        account(connection, "KARI@x.example")
    assert refused.value.existing_id == existing
    for email, name, password in (
        ("no-address", "A", PASSWORD),
        ("a@x.example", " ", PASSWORD),
        ("a@x.example", "A", "short"),
    ):
        with pytest.raises(InvalidRequest):
            access.create_account(connection, email, name, Role.VIEWER, NOW, password)
    with pytest.raises(NotFound):
        access.set_password(connection, 999, PASSWORD, NOW)


def test_the_first_administrator_is_made_once(connection: Connection) -> None:
    first = access.ensure_administrator(connection, "admin@x.example", "Admin", NOW)

    assert access.ensure_administrator(connection, "other@x.example", "Other", NOW) == first
    assert sign_in(connection, "admin@x.example", "") == access.SignIn(None)


# Sessions and links ---------------------------------------------------------------------------------------------------


def opened(connection: Connection) -> str:
    token = access.sign_in(connection, "kari@x.example", PASSWORD, "192.0.2.1", NOW).token
    assert token is not None
    return token


def test_a_session_ends_after_twelve_idle_hours(connection: Connection) -> None:
    account(connection)
    token = opened(connection)

    later = NOW
    for hours in (11, 11, 11):
        later += timedelta(hours=hours)
        assert access.find_session(connection, token, later) is not None
    assert access.find_session(connection, token, later + timedelta(hours=12)) is None


def test_a_session_ends_after_fourteen_days_whatever_happens(connection: Connection) -> None:
    account(connection)
    token = opened(connection)

    hours = [
        number
        for number in range(0, 20 * 24, 6)
        if access.find_session(connection, token, NOW + timedelta(hours=number))
    ]

    assert max(hours) == 14 * 24 - 6


@pytest.mark.parametrize("ends", ["sign out", "password", "disabled", "everywhere"])
def test_a_session_can_be_ended_at_once(connection: Connection, ends: str) -> None:
    account_id = account(connection)
    token, other = opened(connection), opened(connection)

    match ends:
        case "sign out":
            access.revoke_session(connection, token, NOW)
        case "password":
            access.set_password(connection, account_id, "another long password", NOW)
        case "disabled":
            access.disable_account(connection, account_id, NOW)
        case "everywhere":
            access.revoke_sessions_of(connection, account_id, NOW)

    assert access.find_session(connection, token, NOW) is None
    assert (access.find_session(connection, other, NOW) is None) == (ends != "sign out")


def test_a_link_signs_in_once_within_a_day(connection: Connection) -> None:
    account_id = account(connection)
    used, old, unused = (access.create_sign_in_link(connection, account_id, NOW) for _ in range(3))

    token = access.use_sign_in_link(connection, used, NOW + timedelta(hours=1))

    assert token is not None
    assert access.find_session(connection, token, NOW + timedelta(hours=1)) is not None
    assert access.use_sign_in_link(connection, used, NOW + timedelta(hours=1)) is None
    assert access.use_sign_in_link(connection, old, NOW + timedelta(days=1)) is None
    assert access.use_sign_in_link(connection, "anything", NOW) is None
    access.disable_account(connection, account_id, NOW)
    assert access.use_sign_in_link(connection, unused, NOW) is None


def test_a_link_used_twice_at_once_lets_one_in(engine: Engine) -> None:
    with engine.begin() as connection:
        link = access.create_sign_in_link(connection, account(connection), NOW)
    tokens = []

    def use() -> None:
        with engine.begin() as connection:
            tokens.append(access.use_sign_in_link(connection, link, NOW))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([token for token in tokens if token]) == 1


# Routes ---------------------------------------------------------------------------------------------------------------

ADMINISTRATION = (
    "/api/v1/categories",
    "/api/v1/lead-statuses",
    "/api/v1/endpoints",
    "/api/v1/users",
    "/api/v1/api-keys",
    "/api/v1/sources",
)
ALSO_READ_BY_ADMINISTRATORS_ONLY = (
    *("/api/v1/endpoints", "/api/v1/users", "/api/v1/api-keys"),  # an address may be half a secret; whom one knows
    "/api/v1/sources",  # what is accepted without a signature
)
ASKED_BY_POST = ("/search", "/rules/test")  # a question whose words are too long for an address
PUBLIC = {
    *("/healthz", "/readyz", "/metrics", "/hooks/<source>", "/sign-in", "/sign-in/link/<token>", "/sign-out"),
    *("/api/v1/openapi.json", "/api/docs", "/api/docs/start.js"),
}


def test_every_route_says_who_may_use_it(api: Api) -> None:
    for rule in api.app.url_map.iter_rules():
        mark = mark_of(api.app, rule.endpoint)
        assert mark is not None, f"{rule.rule} has no mark"
        is_static = rule.endpoint.endswith("static")
        assert (mark.role is None) == (rule.rule in PUBLIC or is_static), rule.rule
        assert mark.role is not None or mark.why_public, rule.rule


def test_the_api_asks_for_the_role_that_the_method_means(api: Api) -> None:
    for rule in api.app.url_map.iter_rules():
        if not rule.rule.startswith("/api/v1/") or rule.rule in PUBLIC:
            continue
        writes = rule.methods is not None and bool(rule.methods & {"POST", "PATCH", "DELETE", "PUT"})
        writes = writes and not rule.rule.endswith(ASKED_BY_POST)
        writes = writes or rule.rule.startswith(ALSO_READ_BY_ADMINISTRATORS_ONLY)
        wanted = Role.VIEWER if not writes else Role.ADMIN if rule.rule.startswith(ADMINISTRATION) else Role.EDITOR
        mark = mark_of(api.app, rule.endpoint)
        assert mark is not None
        assert mark.role is wanted, f"{rule.methods} {rule.rule}"


def test_a_route_without_a_mark_is_closed(reused_database: ReusedDatabase) -> None:
    with running_api(reused_database.fresh()) as api:
        api.app._got_first_request = False
        api.app.add_url_rule("/forgotten", "forgotten", lambda: "open")

        assert api.client.get("/forgotten").status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer lf_x_y"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer " + "x" * 10_000},
    ],
)
def test_without_a_good_key_nothing_is_told(api: Api, headers: dict[str, str]) -> None:
    for path in ("/api/v1/companies", "/api/v1/companies/1", "/api/v1/events"):
        response = api.client.get(path, headers=headers)
        problem_of(response, 401)
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_role_does_what_it_may_and_no_more(api: Api) -> None:
    sent = {"name": "Nordwind"}

    assert api.get("/companies", role="viewer").status_code == 200
    assert "viewer" in problem_of(api.post("/companies", sent, role="viewer"), 403)["detail"]
    assert api.post("/companies", sent, role="editor").status_code == 201
    problem_of(api.post("/categories", {"key": "new", "name": "New"}, role="editor"), 403)


def test_a_key_opens_the_api_and_not_the_screens(api: Api) -> None:
    response = api.client.get("/companies", headers={"Authorization": f"Bearer {api.key('admin')}"})

    assert response.status_code == 303
    assert response.headers["Location"].startswith("/sign-in")


# Browsers on the API --------------------------------------------------------------------------------------------------


def test_a_browser_with_a_session_reads_the_api_and_writes_with_its_form_token(api: Api) -> None:
    with api.engine.begin() as connection:
        account(connection)
        token = opened(connection)
    browser = api.app.test_client()
    browser.set_cookie("leadflow", token)
    with api.app.test_request_context():
        from flask import session
        from flask_wtf.csrf import generate_csrf

        form_token, raw = generate_csrf(), session["csrf_token"]
    with browser.session_transaction() as kept:
        kept["csrf_token"] = raw

    def post(**headers: str) -> int:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return browser.post("/api/v1/companies", json={"name": "Nordwind"}, headers=sent).status_code

    assert browser.get("/api/v1/companies").status_code == 200
    assert post() == 403
    assert post(X_CSRFToken="wrong") == 403
    assert post(X_CSRFToken=form_token, Origin="https://evil.example") == 403
    assert post(X_CSRFToken=form_token, Origin="null") == 403
    assert post(X_CSRFToken=form_token, Sec_Fetch_Site="cross-site") == 403
    assert post(X_CSRFToken=form_token, Origin="http://localhost") == 201
    assert browser.get("/api/v1/companies", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_cookies_are_bound_to_the_host_and_to_https_unless_on_loopback(reused_database: ReusedDatabase) -> None:
    with running_api(reused_database.fresh(), is_loopback=False) as api:
        with api.engine.begin() as connection:
            account(connection)
            link = access.create_sign_in_link(connection, 1, api.clock())
        browser = api.app.test_client()
        page = browser.get(f"/sign-in/link/{link}", base_url="https://leadflow.example")

        cookies = page.headers.getlist("Set-Cookie")

    assert cookies
    for cookie in cookies:
        assert cookie.startswith("__Host-leadflow")
        assert {"Secure", "HttpOnly", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        assert "SameSite=Lax" in cookie
        assert "Domain" not in cookie
