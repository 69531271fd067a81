"""Migrations: from nothing to this version, twice without harm; what was tampered with is found."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from leadflow.services.checking import check_database
from leadflow.services.installation import apply_configuration
from leadflow.store.engine import make_engine, normalise_url
from leadflow.store.guard_check import GUARDS, missing_guards
from leadflow.store.migrate import revisions, schema_differences, upgrade
from tests.support.scenes import CONFIGURATION, Scene


def asked(url: str, question: Callable[..., Any]) -> Any:
    """An answer about the database at `url`, asked as its owner."""
    engine = create_engine(normalise_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        return question(connection)


def test_upgrading_from_nothing_gives_the_tables_of_the_code(fresh_database_url: str) -> None:
    upgrade(fresh_database_url)

    assert asked(fresh_database_url, schema_differences) == []
    assert asked(fresh_database_url, missing_guards) == []
    present, newest = asked(fresh_database_url, revisions)
    assert present == newest is not None


def test_every_trigger_of_ours_is_watched(scene: Scene) -> None:
    """A guard that `db check` does not know of could be disabled in silence."""
    triggers = scene.rows(
        "SELECT tgrelid::regclass || '.' || tgname AS name, tgenabled FROM pg_trigger WHERE NOT tgisinternal"
    )

    assert {one.name for one in triggers} == GUARDS | {one.name for one in triggers if one.name in GUARDS}
    assert {one.name for one in triggers} - GUARDS == set()
    assert {one.tgenabled for one in triggers} in ({"A"}, {b"A"})


def test_upgrading_twice_changes_nothing(scene: Scene) -> None:
    scene.post_form()
    scene.drain()
    before = scene.rows("SELECT * FROM change ORDER BY id")

    upgrade(scene.url)

    assert scene.rows("SELECT * FROM change ORDER BY id") == before
    assert asked(scene.url, schema_differences) == []


def test_processes_that_start_together_upgrade_one_after_the_other(fresh_database_url: str) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            upgrade(fresh_database_url)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)

    assert errors == []
    assert asked(fresh_database_url, missing_guards) == []


def test_applying_the_configuration_again_changes_nothing(scene: Scene) -> None:
    def ground() -> list[Any]:
        tables = ("category", "lead_status", "lifecycle_edge", "installation", "rule_set", "rule_document")
        return [scene.rows(f"SELECT * FROM {table} t ORDER BY t::text") for table in tables]

    before = ground()
    with scene.engine.begin() as connection:
        apply_configuration(connection, CONFIGURATION, datetime.now(UTC))

    assert ground() == before


def test_a_database_without_the_right_to_make_roles_is_guarded_all_the_same(
    postgres_url: str, fresh_database_url: str
) -> None:
    """Hosted servers give an account that owns one database and nothing else."""
    owner, database = "leadflow_test_limited", make_url(fresh_database_url).database
    url = make_url(postgres_url)
    address = {**url.translate_connect_args(username="user", database="dbname"), **url.query}
    with psycopg.connect(**address, autocommit=True) as connection:
        connection.execute(f"DROP ROLE IF EXISTS {owner}")
        connection.execute(f"CREATE ROLE {owner} LOGIN NOCREATEROLE")
        connection.execute(f'ALTER DATABASE "{database}" OWNER TO {owner}')
    try:
        engine = create_engine(normalise_url(fresh_database_url), poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text(f"SET LOCAL ROLE {owner}"))
            connection.execute(text("CREATE TABLE probe (id int)"))
            connection.execute(text("DROP TABLE probe"))
        limited = make_url(fresh_database_url).set(username=owner).render_as_string(hide_password=False)
        upgrade(limited)
        assert asked(limited, missing_guards) == []
        app = make_engine(limited)
        with app.begin() as connection:
            apply_configuration(connection, CONFIGURATION, datetime.now(UTC))
        app.dispose()
    finally:
        with psycopg.connect(**{**address, "dbname": database}, autocommit=True) as connection:
            connection.execute(f"REASSIGN OWNED BY {owner} TO CURRENT_USER")
            connection.execute(f"DROP OWNED BY {owner}")
            connection.execute(f"DROP ROLE {owner}")


# What is found --------------------------------------------------------------------------------------------------------


def findings(scene: Scene) -> dict[str, str]:
    """What `db check` finds wrong, by what it looked at."""
    with scene.engine.connect() as connection:
        return {one.what: one.detail for one in check_database(connection) if not one.is_fine}


def tamper(scene: Scene, *statements: str) -> None:
    with scene.owner.begin() as connection:
        connection.execute(text("SELECT set_config('leadflow.actor', 'person', true)"))
        for statement in statements:
            connection.execute(text(statement))


def test_an_untouched_database_is_fine(scene: Scene) -> None:
    scene.post_form()
    scene.drain()

    assert findings(scene) == {}


@pytest.mark.parametrize(
    ("statement", "what", "words"),
    [
        ("ALTER TABLE contact DISABLE TRIGGER guard_lead_status", "guard", "contact.guard_lead_status"),
        ("ALTER TABLE company ENABLE TRIGGER guard_update", "guard", "company.guard_update"),
        ("DROP TRIGGER append_only ON change", "guard", "change.append_only"),
        ("ALTER TABLE company DISABLE TRIGGER ALL", "guard", "company.guard_insert_delete"),
        ("ALTER TABLE company ADD COLUMN extra text", "schema", "extra"),
        ("ALTER TABLE sale DROP COLUMN title", "schema", "title"),
        ("DROP INDEX uq_change_effect", "schema", "uq_change_effect"),
        ("UPDATE alembic_version SET version_num = '0000'", "schema", "0000"),
        ("UPDATE company SET category_key = 'lead'", "ledger", "category is 'lead', the ledger says 'mql'"),
        ("UPDATE company SET owner = 'Bo'", "ledger", "owner is 'Bo', the ledger says nothing"),
        ("UPDATE company SET tags = '{a}'", "ledger", "tags is ['a']"),
        ("UPDATE company SET fields = '{\"employees\": \"5\"}'", "ledger", "fields.employees is '5'"),
        ("UPDATE contact SET lead_status_key = 'qualified'", "ledger", "lead_status is 'qualified'"),
        ("UPDATE contact SET company_id = NULL", "ledger", "company_id is nothing"),
        (
            "INSERT INTO company (category_key, created_at, updated_at) VALUES ('mql', now(), now())",
            "ledger", "company 2: category is 'mql'",
        ),
        (
            "INSERT INTO change (at, entity, entity_id, field, old, new, actor_kind, actor_name, action)"
            " VALUES (now(), 'company', 1, 'category', '\"customer\"', '\"mql\"', 'person', 'x', '')",
            "ledger", "goes on from 'customer'",
        ),
    ],
)  # fmt: skip
def test_what_was_tampered_with_is_found(scene: Scene, statement: str, what: str, words: str) -> None:
    scene.post_form()
    scene.drain()

    tamper(scene, statement)

    found = findings(scene)
    assert found.keys() == {what}
    assert words in found[what]
