"""How the server finds what a condition asks for: through the indexes, and without tables that nobody asked about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, select, text

from leadflow.domain.fields import Choice, CustomField, Kind, build_catalogue
from leadflow.rules.parsing.json_conditions import Names, read_json_condition
from leadflow.store.conditions import Subject, render, rows_for
from leadflow.store.engine import make_engine, name_actor
from leadflow.store.lists import insert_lists
from leadflow.store.searches import Order, find_page
from tests.support import servers
from tests.unit.rules.given import CATEGORIES, LIFECYCLE, STATUSES

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
CONTACTS, COMPANIES = 60_000, 12_000

TIERS = tuple(Choice(f"t{number}", f"Tier {number}") for number in range(500))
CATALOGUE = build_catalogue(
    LIFECYCLE,
    STATUSES,
    [
        CustomField("contact", "tier", Kind.ENUMERATION, "Tier", choices=TIERS),
        CustomField("contact", "site", Kind.URL, "Site"),
        CustomField("contact", "likes", Kind.LIST, "Likes"),
        CustomField("company", "code", Kind.TEXT, "Code"),
    ],
)

FILL = (
    f"""INSERT INTO company (name, name_norm, domain, category_key, fields_norm, created_at, updated_at)
        SELECT 'Firm ' || n, 'firm ' || n, n || '.example',
               CASE WHEN n % 400 = 0 THEN 'partner' WHEN n % 3 = 0 THEN 'lead' END,
               jsonb_build_object('code', 'c' || n), now(), now() FROM generate_series(1, {COMPANIES}) AS n""",
    f"""INSERT INTO contact (email, email_host, first_name, first_name_norm, company_id, lead_status_key, tags,
               tags_norm, fields_norm, created_at, updated_at)
        SELECT n || '@' || n / 5 || '.example', n / 5 || '.example', 'Anna', 'anna',
               CASE WHEN n % 4 > 0 THEN 1 + n % {COMPANIES} END,
               CASE WHEN n % 500 = 0 THEN 're-nurture' ELSE 'open' END,
               CASE WHEN n % 900 = 0 THEN ARRAY['Rare'] ELSE '{{}}' END,
               CASE WHEN n % 900 = 0 THEN ARRAY['rare'] ELSE '{{}}' END,
               jsonb_build_object('tier', 't' || n % 500, 'site@host', n / 5 || '.site', 'likes[]', ARRAY['l' || n]),
               now(), now() FROM generate_series(1, {CONTACTS}) AS n""",
    f"""INSERT INTO event (source, delivery_id, type, state, lane, received_at, body_sha256, contact_id, company_id)
        SELECT 'x', n, 'form_submitted', 'processed', 1, now() - n % 400 * interval '1 day', '', 1 + n * 7 % {CONTACTS},
               1 + n % {COMPANIES} FROM generate_series(1, 30000) AS n""",
    f"""INSERT INTO change (at, entity, entity_id, contact_id, field, new, actor_kind, actor_name, action)
        SELECT '2026-01-01', 'contact', n, n, 'lead_status', '"open"', 'person', 'Paula', ''
          FROM generate_series(1, {CONTACTS}) AS n""",
)


@pytest.fixture(scope="module")
def engine(postgres_url: str, template_database: str) -> Iterator[Engine]:
    """A database with tens of thousands of contacts, analysed."""
    with servers.database(postgres_url, template_database) as url:
        engine = make_engine(url)
        with engine.begin() as connection:
            name_actor(connection, "configuration")
            insert_lists(connection, CATEGORIES, STATUSES.by_key.values())
            name_actor(connection, "person")
            for statement in FILL:
                connection.execute(text(statement))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("RESET ROLE"))
            connection.execute(text("VACUUM ANALYZE"))
        yield engine
        engine.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as opened:
        yield opened


def plan_of(connection: Connection, where: object, subject: Subject = "contact") -> dict[str, Any]:
    """The plan of counting what the condition finds."""
    condition = read_json_condition(where, CATALOGUE, frozenset({subject, "company"}), Names())
    asked = render(condition, subject, NOW)
    query = select(func.count()).select_from(rows_for(subject, asked)).where(asked)
    event.listen(connection, "before_cursor_execute", _explain, retval=True)
    try:
        plan: Any = connection.scalar(query)
    finally:
        event.remove(connection, "before_cursor_execute", _explain)
    return dict(plan[0]["Plan"])


def _explain(
    _connection: object, _cursor: object, statement: str, parameters: object, *_: object
) -> tuple[str, object]:
    return f"EXPLAIN (FORMAT JSON) {statement}", parameters


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for one in plan.get("Plans", ()):
        yield from nodes_of(one)


def indexes_in(plan: dict[str, Any]) -> set[str]:
    return {one["Index Name"] for one in nodes_of(plan) if "Index Name" in one}


def tables_in(plan: dict[str, Any]) -> set[str]:
    return {one["Relation Name"] for one in nodes_of(plan) if "Relation Name" in one}


@pytest.mark.parametrize(
    ("where", "index"),
    [
        ({"contact.email": "17@3.example"}, "uq_contact_email or ix_contact_email_begins"),
        ({"contact.email": {"in": ["17@3.example", "18@3.example"]}}, "uq_contact_email or ix_contact_email_begins"),
        ({"contact.email": {"domain_in": ["3.example"]}}, "ix_contact_email_host"),
        ({"contact.email": {"domain_in": [f"{number}.example" for number in range(50)]}}, "ix_contact_email_host"),
        ({"contact.tags": "RARE"}, "ix_contact_tags_norm"),
        ({"contact.tags": {"has_all": ["rare", "other"]}}, "ix_contact_tags_norm"),
        ({"contact.lead_status": "Re-nurture"}, "ix_contact_lead_status_key_id"),
        ({"contact.fields.tier": "Tier 7"}, "ix_contact_fields_norm"),
        ({"contact.fields.tier": ["Tier 7", "t8"]}, "ix_contact_fields_norm"),
        ({"contact.fields.site": {"domain_in": ["7.site"]}}, "ix_contact_fields_norm"),
        ({"contact.fields.likes": ["l7", "l8"]}, "ix_contact_fields_norm"),
        ({"company.category": "Partner"}, "ix_company_category_key_id"),
        ({"company.category": "Partner"}, "ix_contact_company_id_id"),
        ({"company.name": {"starts_with": "Firm 1199"}}, "ix_company_name_norm"),
        ({"company.domain": "7.example"}, "uq_company_domain or ix_company_domain_begins"),
        ({"company.fields.code": "C7"}, "ix_company_fields_norm"),
        ({"any": [{"contact.email": "17@3.example"}, {"contact.tags": "rare"}]}, "ix_contact_tags_norm"),
        ({"all": [{"contact.lead_status": "Re-nurture"}, {"company.category": {"is_not": "lead"}}]},
         "ix_contact_lead_status_key_id"),
    ],
)  # fmt: skip
def test_a_selective_condition_is_served_by_its_index(connection: Connection, where: object, index: str) -> None:
    plan = plan_of(connection, where)

    assert not indexes_in(plan).isdisjoint(index.split(" or ")), json.dumps(plan, indent=1)
    assert not [one for one in nodes_of(plan) if one["Node Type"] == "Seq Scan" and one["Relation Name"] == "contact"]


@pytest.mark.parametrize(
    "where",
    [
        None,
        {"contact.lead_status": {"not_in": ["Open"]}},
        {"none": [{"contact.tags": "rare"}]},
        {"event_count": {"of": "form_submitted", "by": "company", "is": 0}},
    ],
)
def test_companies_are_left_out_where_only_contacts_are_asked_about(connection: Connection, where: object) -> None:
    assert "company" not in tables_in(plan_of(connection, where))


@pytest.mark.parametrize(
    "where",
    [
        {"event_count": {"of": "form_submitted", "gte": 2, "within_last": "90 days"}},
        {"event_count": {"of": "form_submitted", "lt": 2}},
        {"event_count": {"of": "form_submitted", "is": 0}},
        {"last_event": {"of": "form_submitted", "older_than": "60 days"}},
        {"last_change": {"field": "contact.lead_status", "to": "Open", "older_than": "90 days"}},
    ],
)
def test_the_past_of_all_contacts_is_joined_not_looked_up_one_by_one(connection: Connection, where: object) -> None:
    plan = plan_of(connection, where)

    assert not [one for one in nodes_of(plan) if one.get("Parent Relationship") in ("SubPlan", "InitPlan")], plan
    assert any("Join" in one["Node Type"] or one["Node Type"] == "Nested Loop" for one in nodes_of(plan))


def test_a_far_page_enters_the_index_at_its_cursor(connection: Connection) -> None:
    asked: list[tuple[str, Any]] = []
    order = Order(CATALOGUE.fields["contact.email"])
    first, place = find_page(connection, "contact", None, order, None, 100, NOW)
    event.listen(connection, "before_cursor_execute", lambda *sent: asked.append((sent[2], sent[3])))
    following, _ = find_page(connection, "contact", None, order, place, 100, NOW)

    assert not set(first) & set(following)
    ((statement, parameters),) = asked  # a page that is full asks once
    plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()[0]["Plan"]
    (scan,) = (one for one in nodes_of(plan) if one.get("Index Name") == "ix_contact_email_begins")
    assert "~>=~" in scan["Index Cond"]
