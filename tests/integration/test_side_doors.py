"""Plain SQL against the guard: as the application's role, and as the owner of the tables. Nothing comes through."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from leadflow.services.checking import check_database
from leadflow.store.guard_check import missing_guards
from tests.support.scenes import POTENTIAL, PROTECTED, Scene

MOVED, INACTIVE, FIRST_TOUCH, APPEND_ONLY, CONFIGURATION, KEPT = (f"LF00{number}" for number in range(1, 7))
NO_RIGHT = "42501"


@pytest.fixture(params=["application", "owner"])
def engine(request: pytest.FixtureRequest, scene: Scene) -> Engine:
    """Who knocks: leadflow's own role, or the role that owns the tables."""
    return scene.engine if request.param == "application" else scene.owner


def is_owner(engine: Engine) -> bool:
    with engine.connect() as connection:
        return bool(connection.scalar(text("SELECT current_user <> 'leadflow_app'")))


def refusal(engine: Engine, *statements: str, **parameters: Any) -> str | None:
    """The SQLSTATE with which the database refuses one of the statements; None if all are done."""
    try:
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement), parameters)
    except DBAPIError as error:
        return getattr(error.orig, "sqlstate", None)
    return None


def test_the_application_works_as_a_role_that_owns_nothing(scene: Scene) -> None:
    assert scene.value("SELECT current_user") == "leadflow_app"
    assert scene.rows("SELECT 1 FROM pg_class WHERE relowner = 'leadflow_app'::regrole") == []


# 1: no downgrade ------------------------------------------------------------------------------------------------------


def test_no_update_takes_a_company_out_of_a_protected_group(scene: Scene, engine: Engine) -> None:
    companies = {category: scene.make_company(category, f"{category}.example") for category in PROTECTED}

    for (category, company), target in product(companies.items(), [*POTENTIAL, *PROTECTED, None]):
        if target == category:
            continue
        found = refusal(engine, "UPDATE company SET category_key = :to WHERE id = :id", to=target, id=company)
        assert found == MOVED, f"{category} → {target}"
    assert {category: scene.category(company) for category, company in companies.items()} == {
        category: category for category in PROTECTED
    }


def test_no_statement_of_another_kind_does_either(scene: Scene, engine: Engine) -> None:
    company, other = scene.make_company("customer"), scene.make_company("lead", "south.example")
    statements = [
        "INSERT INTO company (id, category_key, created_at, updated_at) VALUES (:id, 'lead', now(), now())"
        " ON CONFLICT (id) DO UPDATE SET category_key = 'lead'",
        "MERGE INTO company USING (SELECT CAST(:id AS bigint) AS id) AS v ON company.id = v.id"
        " WHEN MATCHED THEN UPDATE SET category_key = 'lead'",
        "WITH moved AS (UPDATE company SET category_key = 'mql' WHERE id = :id RETURNING id) SELECT * FROM moved",
        "UPDATE company SET category_key = 'mql' WHERE id IN (:id, :other)",
        "UPDATE company SET id = id + 1000 WHERE id = :id",
        "DELETE FROM company WHERE id = :id",
    ]

    for statement in statements:
        parameters = {"id": company} | ({"other": other} if ":other" in statement else {})
        assert refusal(engine, statement, **parameters) == MOVED, statement
    assert (scene.category(company), scene.category(other)) == ("customer", "lead")


def test_a_customer_cannot_be_deleted_and_made_again(scene: Scene, engine: Engine) -> None:
    company = scene.make_company("customer")

    found = refusal(
        engine,
        "DELETE FROM company WHERE id = :id",
        "INSERT INTO company (domain, category_key, created_at, updated_at)"
        " VALUES ('nordwind.example', 'lead', now(), now())",
        id=company,
    )

    assert found == MOVED
    assert scene.category() == "customer"


@pytest.mark.parametrize("domain", ["'other.example'", "NULL"])
def test_a_customer_keeps_its_domain(scene: Scene, engine: Engine, domain: str) -> None:
    company = scene.make_company("customer")

    assert refusal(engine, f"UPDATE company SET domain = {domain} WHERE id = :id", id=company) == MOVED


def test_no_company_is_born_protected_or_loses_its_category(scene: Scene, engine: Engine) -> None:
    company = scene.make_company("mql")
    birth = "INSERT INTO company (category_key, created_at, updated_at) VALUES (:category, now(), now())"

    assert {one: refusal(engine, birth, category=one) for one in PROTECTED} == dict.fromkeys(PROTECTED, MOVED)
    assert refusal(engine, "UPDATE company SET category_key = NULL WHERE id = :id", id=company) == MOVED


def test_truncating_is_no_way_out(scene: Scene, engine: Engine) -> None:
    scene.make_company("customer")

    found = refusal(engine, "TRUNCATE company CASCADE")

    assert found == (APPEND_ONLY if is_owner(engine) else NO_RIGHT)
    assert scene.category() == "customer"


def test_replication_mode_does_not_switch_the_guard_off(scene: Scene) -> None:
    company = scene.make_company("customer")
    downgrade = "UPDATE company SET category_key = 'lead' WHERE id = :id"

    assert refusal(scene.engine, "SET session_replication_role = replica", downgrade, id=company) == NO_RIGHT
    assert refusal(scene.owner, "SET session_replication_role = replica", downgrade, id=company) == MOVED


SHADOWS = (
    "CREATE TEMP TABLE category AS SELECT 'customer' AS key, 'potential_customer' AS group_key,"
    " true AS lead_status_enabled",
    "CREATE TEMP TABLE lifecycle_edge AS SELECT 'customer' AS source_key, 'lead' AS target_key",
    "CREATE TEMP TABLE guard_override AS SELECT * FROM public.guard_override",
)


def test_the_guard_reads_its_own_lists_not_temporary_ones_of_the_same_name(scene: Scene, engine: Engine) -> None:
    company = scene.make_company("customer")
    downgrade = "UPDATE company SET category_key = 'lead' WHERE id = :id"

    assert refusal(engine, *SHADOWS, downgrade, id=company) == MOVED
    assert scene.category() == "customer"


def test_a_temporary_table_does_not_swallow_the_note_of_an_override(scene: Scene, engine: Engine) -> None:
    company = scene.make_company("customer")
    downgrade = "UPDATE company SET category_key = 'lead' WHERE id = :id"

    as_person = "SELECT set_config('leadflow.actor', 'person', true)"
    assert refusal(engine, *SHADOWS, as_person, downgrade, id=company) is None

    assert scene.value("SELECT count(*) FROM public.guard_override WHERE new_category = 'lead'") == 1


def test_a_temporary_list_does_not_open_a_lead_status_either(scene: Scene, engine: Engine) -> None:
    company = scene.make_company("customer")
    contact = scene.make_contact(company_id=company)

    found = refusal(
        engine,
        "CREATE TEMP TABLE category AS SELECT 'customer' AS key, 'potential_customer' AS group_key,"
        " true AS lead_status_enabled",
        "CREATE TEMP TABLE company AS SELECT CAST(:company AS bigint) AS id, 'lead' AS category_key",
        "UPDATE contact SET lead_status_key = 'open' WHERE id = :contact",
        company=company,
        contact=contact,
    )

    assert found == INACTIVE


def test_the_application_cannot_disable_or_replace_what_guards_it(scene: Scene) -> None:
    statements = [
        "ALTER TABLE company DISABLE TRIGGER guard_update",
        "DROP TRIGGER guard_update ON company",
        "DROP FUNCTION leadflow_guard_company CASCADE",
        "CREATE OR REPLACE FUNCTION leadflow_actor() RETURNS text LANGUAGE sql AS $$ SELECT 'person' $$",
        "CREATE TRIGGER open_door BEFORE UPDATE ON company FOR EACH ROW EXECUTE FUNCTION leadflow_keep_first_touch()",
        "CREATE TABLE public.door (id int)",
        "ALTER TABLE change RENAME TO no_change",
    ]

    for statement in statements:
        assert refusal(scene.engine, statement) == NO_RIGHT, statement
    with scene.engine.connect() as connection:
        assert missing_guards(connection) == []


def test_a_person_is_let_through_and_noted(scene: Scene, engine: Engine) -> None:
    company = scene.make_company("customer")

    done = refusal(
        engine,
        "SELECT set_config('leadflow.actor', 'person', true)",
        "UPDATE company SET category_key = 'lead' WHERE id = :id",
        id=company,
    )

    assert done is None
    (noted,) = scene.rows("SELECT * FROM guard_override WHERE old_category = 'customer'")
    assert (noted.company_id, noted.new_category, noted.actor) == (company, "lead", "person")


def test_the_name_of_a_person_ends_with_the_transaction(scene: Scene) -> None:
    company = scene.make_company("customer")
    with scene.engine.connect() as connection:
        with connection.begin():
            connection.execute(text("SELECT set_config('leadflow.actor', 'person', true)"))
        with pytest.raises(DBAPIError), connection.begin():
            connection.execute(text("UPDATE company SET category_key = 'lead' WHERE id = :id"), {"id": company})


# 2 and 3: forward only, and the exits ---------------------------------------------------------------------------------


def test_the_trigger_allows_exactly_the_steps_of_the_graph(scene: Scene, engine: Engine) -> None:
    steps = {(edge.source, edge.target) for edge in scene.configuration.edges}
    sources = {one: scene.make_company(one, f"{one}.example") for one in [*POTENTIAL, None]}

    found = {
        (source, target): refusal_of_a_try(engine, company, target)
        for (source, company), target in product(sources.items(), [*POTENTIAL, *PROTECTED])
        if source != target
    }

    assert found == {pair: None if pair in steps else MOVED for pair in found}


def refusal_of_a_try(engine: Engine, company: int, target: str) -> str | None:
    """The SQLSTATE with which the database refuses the move, which is undone if it is not."""
    with engine.connect() as connection, connection.begin() as transaction:
        try:
            connection.execute(
                text("UPDATE company SET category_key = :to WHERE id = :id"), {"to": target, "id": company}
            )
        except DBAPIError as error:
            return getattr(error.orig, "sqlstate", None)
        finally:
            transaction.rollback()
    return None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE category SET group_key = 'potential_customer' WHERE key = 'customer'",
        "UPDATE category SET lead_status_enabled = true WHERE key = 'customer'",
        "UPDATE category SET deleted_at = NULL WHERE key = 'customer'",
        "UPDATE category SET name = 'Lead' WHERE key = 'customer'",
        "INSERT INTO category (key, name, description, group_key, rank, lead_status_enabled)"
        " VALUES ('new', 'New', '', 'potential_customer', 1, true)",
        "INSERT INTO lifecycle_edge (source_key, target_key, kind) VALUES ('mql', 'lead', 'move')",
        "UPDATE lifecycle_edge SET target_key = 'lead' WHERE source_key = 'mql' AND target_key = 'opportunity'",
        "DELETE FROM lifecycle_edge WHERE source_key = 'mql'",
        "UPDATE lead_status SET is_default = false WHERE key = 'open'",
        "INSERT INTO lead_status (key, name, description, rank, is_default) VALUES ('new', 'New', '', 9, false)",
    ],
)
def test_lists_and_graph_are_edited_in_the_name_of_a_person_only(scene: Scene, engine: Engine, statement: str) -> None:
    assert refusal(engine, statement) == CONFIGURATION


@pytest.mark.parametrize("source", PROTECTED)
@pytest.mark.parametrize("actor", ["person", "configuration"])
def test_no_step_may_leave_a_protected_group_whoever_writes_it(scene: Scene, source: str, actor: str) -> None:
    step = f"INSERT INTO lifecycle_edge (source_key, target_key, kind) VALUES ('{source}', 'lead', 'move')"

    for engine in (scene.engine, scene.owner):
        assert refusal(engine, f"SELECT set_config('leadflow.actor', '{actor}', true)", step) == MOVED


# 5 to 7: lead status and the category of a contact --------------------------------------------------------------------


@pytest.mark.parametrize("actor", ["", "person"])
def test_a_hidden_lead_status_is_not_edited_by_anybody(scene: Scene, engine: Engine, actor: str) -> None:
    company = scene.make_company("lead")
    contact = scene.make_contact(company_id=company)
    loose = scene.make_contact("bo@gmail.com")
    scene.change_contact(contact, lead_status="qualified")
    scene.change_company(company, category="customer")

    for one, value in product((contact, loose), ("'open'", "NULL")):
        found = refusal(
            engine,
            f"SELECT set_config('leadflow.actor', '{actor}', true)",
            f"UPDATE contact SET lead_status_key = {value} WHERE id = :id",
            id=one,
        )
        assert found == (None if (one, value) == (loose, "NULL") else INACTIVE)
    assert scene.lead_status(contact) == "qualified"


def test_a_contact_of_a_company_has_no_category_of_its_own(scene: Scene, engine: Engine) -> None:
    contact = scene.make_contact(company_id=scene.make_company("lead"))

    assert refusal(engine, "UPDATE contact SET category_key = 'lead' WHERE id = :id", id=contact) == "23514"


def test_the_own_category_of_a_contact_is_guarded_like_a_companys(scene: Scene, engine: Engine) -> None:
    contact = scene.make_contact(category="customer")
    company = scene.make_company("lead", "south.example")

    for target in [*POTENTIAL, "partner", None]:
        found = refusal(engine, "UPDATE contact SET category_key = :to WHERE id = :id", to=target, id=contact)
        assert found == MOVED
    moved = "UPDATE contact SET company_id = :company, category_key = NULL WHERE id = :id"
    assert refusal(engine, moved, company=company, id=contact) == MOVED


# 9, 10 and 12: first touch, soft deletes, ledger ----------------------------------------------------------------------


@pytest.mark.parametrize("table", ["company", "contact"])
@pytest.mark.parametrize("value", ["'google'", "NULL"])
def test_the_first_touch_is_never_written_again(scene: Scene, engine: Engine, table: str, value: str) -> None:
    scene.post_form("newsletter", utm_source="linkedin")
    scene.drain()

    assert refusal(engine, f"UPDATE {table} SET first_touch_source = {value}") == FIRST_TOUCH
    assert refusal(engine, f"UPDATE {table} SET first_touch_at = now()") == FIRST_TOUCH
    assert scene.value(f"SELECT first_touch_source FROM {table}") == "linkedin"


@pytest.mark.parametrize("table", ["category", "lead_status"])
def test_list_rows_are_never_deleted(scene: Scene, engine: Engine, table: str) -> None:
    as_person = "SELECT set_config('leadflow.actor', 'person', true)"

    assert refusal(engine, as_person, f"DELETE FROM {table} WHERE key IN ('other', 'qualified')") == KEPT
    truncated = refusal(engine, as_person, f"TRUNCATE {table} CASCADE")
    assert truncated == (KEPT if is_owner(engine) else NO_RIGHT)


@pytest.mark.parametrize("table", ["change", "guard_override"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET id = id", "DELETE FROM {}", "DELETE FROM {} WHERE false", "TRUNCATE {} CASCADE"]
)
def test_the_ledger_is_only_appended_to(scene: Scene, engine: Engine, table: str, statement: str) -> None:
    scene.make_company("customer")

    found = refusal(engine, statement.format(table))

    assert found == (APPEND_ONLY if is_owner(engine) else NO_RIGHT)


def test_an_effect_stands_in_the_ledger_once(scene: Scene, engine: Engine) -> None:
    scene.post_form()
    scene.drain()
    columns = "at, entity, entity_id, field, old, new, actor_kind, actor_name, event_id, rule, action"

    again = refusal(engine, f"INSERT INTO change ({columns}) SELECT {columns} FROM change WHERE rule IS NOT NULL")

    assert again == "23505"


# What the database cannot stop, it shows ------------------------------------------------------------------------------


def test_a_downgrade_behind_a_disabled_trigger_is_found(scene: Scene) -> None:
    company = scene.make_company("customer")
    tampering = [
        "ALTER TABLE company DISABLE TRIGGER guard_update",
        "UPDATE company SET category_key = 'lead' WHERE id = :id",
    ]
    assert refusal(scene.owner, tampering[0]) is None
    with scene.engine.connect() as connection:
        (guard,) = [one for one in check_database(connection) if one.what == "guard"]
    assert refusal(scene.owner, tampering[1], id=company) is None
    assert refusal(scene.owner, "ALTER TABLE company ENABLE ALWAYS TRIGGER guard_update") is None

    with scene.engine.connect() as connection:
        findings = {one.what: one for one in check_database(connection)}

    assert not guard.is_fine
    assert "company.guard_update" in guard.detail
    assert findings["guard"].is_fine
    assert not findings["ledger"].is_fine
    assert f"company {company}: category is 'lead', the ledger says 'customer'" in findings["ledger"].detail
