"""The system page: what runs, what is wrong and how to mend it, which settings hold; bounded, and never a secret."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from leadflow.cli import main
from leadflow.errors import ConfigurationError
from leadflow.services.access import Role, create_account, find_session, open_session, use_sign_in_link
from leadflow.services.system import look
from leadflow.settings import settings_in_force
from leadflow.store.engine import make_engine
from leadflow.store.heartbeats import beat
from leadflow.store.reads import system as reads
from leadflow.tasks.draining import utc_now
from tests.integration.api_support import Api, running_api
from tests.support.reuse import ReusedDatabase

SECRETS = {
    "LEADFLOW_SECRET_KEY": "hush-hush-hush-hush",
    "LEADFLOW_BOOTSTRAP_API_KEY": "key-key-key-key-key",
    "LEADFLOW_DATABASE_URL": "postgresql://leadflow:passw0rd@db.example:5433/leads?sslpassword=x1x2x3",
    "LEADFLOW_BROKER_URL": "amqp://guest:rabbit@broker.example//",
    "LEADFLOW_FORMER_SECRET_KEYS": "older-older-older-older",
    "LEADFLOW_SOURCE_TYPEFORM_SECRET": "whsec_secret",
}


@pytest.fixture
def api(reused_database: ReusedDatabase) -> Iterator[Api]:
    with running_api(reused_database.fresh(), broker_state=lambda: "down: refused") as running:
        yield running


# Settings -------------------------------------------------------------------------------------------------------------


def test_each_setting_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "leadflow.yaml").write_text("raw_body_days: 7\nbatch_size: 100\n")

    found = {one.variable: one for one in settings_in_force(tmp_path, {"LEADFLOW_BATCH_SIZE": "200"})}

    assert (found["LEADFLOW_BATCH_SIZE"].value, found["LEADFLOW_BATCH_SIZE"].origin) == ("200", "environment")
    assert (found["LEADFLOW_RAW_BODY_DAYS"].value, found["LEADFLOW_RAW_BODY_DAYS"].origin) == ("7", "file")
    assert (found["LEADFLOW_LOG_LEVEL"].value, found["LEADFLOW_LOG_LEVEL"].origin) == ("info", "default")


def test_no_secret_is_ever_told(tmp_path: Path) -> None:
    told = str(settings_in_force(tmp_path, SECRETS))

    for secret in ("hush", "key-key", "passw0rd", "x1x2x3", "rabbit", "older", "whsec"):
        assert secret not in told
    assert "postgresql://leadflow:…@db.example:5433/leads" in told
    assert "amqp://guest:…@broker.example//" in told


def test_wrong_settings_are_a_configuration_error_here_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        settings_in_force(tmp_path, {"LEADFLOW_BATCH_SIZE": "many"})


# The look -------------------------------------------------------------------------------------------------------------


def test_a_look_says_what_waits_what_runs_and_what_is_wrong(api: Api) -> None:
    company = api.made("/companies", {"name": "Nordwind"})
    for _ in range(3):
        api.made("/sales", {"company_id": company["id"]})
    with api.engine.begin() as connection:
        beat(connection, "scheduler", api.clock())
        beat(connection, "worker", api.clock() - timedelta(minutes=2), did_work=7)
        seen = look(connection, api.clock() + timedelta(seconds=20))

    assert {one.state: one.events for one in seen.queue} == {"pending": 3, "held": 0, "failed": 0}
    assert seen.oldest_waiting_at == api.clock()
    assert (seen.received_last_minute, seen.received_last_hour) == (3, 3)
    assert [(one.role, one.did_work) for one in seen.processes] == [("scheduler", 0), ("worker", 7)]
    assert "worker" in [one.what for one in seen.trouble]
    assert "scheduler" not in [one.what for one in seen.trouble]
    assert all(one.remedy for one in seen.trouble)
    assert seen.versions["schema"]
    assert seen.versions["PostgreSQL"][0].isdigit()
    assert seen.database_bytes > 1_000_000


def test_counting_ends_where_it_would_keep_the_page_waiting(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "COUNTED", 2)
    company = api.made("/companies", {"name": "Nordwind"})
    for _ in range(5):
        api.made("/sales", {"company_id": company["id"]})

    with api.engine.begin() as connection:
        depths = {one.state: one.events for one in reads.queue_depths(connection)}
        received = reads.received_within(connection, api.clock(), timedelta(hours=1))

    assert (depths["pending"], received) == (3, 3)


def test_the_page_names_a_guard_that_is_not_in_place_and_how_to_mend_it(database_url: str) -> None:
    with running_api(database_url, broker_state=lambda: "down: refused") as api:
        with api.engine.begin() as connection:
            made = create_account(connection, "a@ours.example", "Ada", Role.ADMIN, api.clock())
            token = open_session(connection, made, api.clock())
        owner = make_engine(database_url)
        with owner.begin() as connection:
            connection.execute(text("RESET ROLE"))
            connection.execute(text("ALTER TABLE company DISABLE TRIGGER guard_update"))
        owner.dispose()

        page = api.client.get("/system", headers={"Cookie": f"leadflow={token}"}).text

    assert "missing or disabled: company.guard_update" in page
    assert "ENABLE ALWAYS TRIGGER" in page
    assert "down: refused" in page
    assert "Start the broker" in page


# Coming in on the command line ----------------------------------------------------------------------------------------


def test_a_link_of_the_command_line_lets_a_locked_out_administrator_choose_a_password(
    configured_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADFLOW_DATABASE_URL", configured_database_url)
    run = CliRunner()
    password = "correct horse battery"
    arguments = ["users", "add", "ada@ours.example", "--name", "Ada", "--role", "admin", "--password", password]
    assert run.invoke(main, arguments).exit_code == 0

    made = run.invoke(main, ["users", "link", "ADA@ours.example", "--address", "https://leads.firm.example/"])
    unknown = run.invoke(main, ["users", "link", "nobody@ours.example"])

    assert made.output.startswith("https://leads.firm.example/sign-in/link/")
    assert (unknown.exit_code, "no account with the address" in unknown.output) == (1, True)
    engine = make_engine(configured_database_url)
    with engine.begin() as connection:
        session = use_sign_in_link(connection, made.output.strip().rpartition("/")[2], utc_now(), "another long one")
        assert session is not None
        assert find_session(connection, session, utc_now()) is not None
    engine.dispose()
