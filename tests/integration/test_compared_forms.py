"""The compared forms beside stored text: written on every path, and filled in for rows from before they were there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from alembic import command
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from leadflow.domain.text import clean_text, fold
from leadflow.rules.hosts import NAMEABLE_HOST, host_of
from leadflow.store.engine import normalise_url
from leadflow.store.guard_check import missing_guards
from leadflow.store.migrate import _config, upgrade
from leadflow.store.norms import change_norms, event_norms, lower_ascii, norms_of, plain_host
from tests.support.scenes import Scene

ODD = "Straße İstanbul"
FOLDED = fold(ODD)

CONTACT_FORMS = "email, email_host, first_name_norm, last_name_norm, name_norm, tags_norm, first_touch_source_norm"


def row(connection: Connection, statement: str) -> dict[str, Any]:
    (found,) = connection.execute(text(statement)).mappings()
    return dict(found)


# Written on every path ------------------------------------------------------------------------------------------------


def test_a_form_writes_the_compared_forms_of_what_it_creates(scene: Scene) -> None:
    event_id = scene.post_form(email="Ænna@Nordwind.Example", first_name="ÆNNA", company=ODD, utm_source="LinkedIn")
    scene.drain()

    contact = scene.rows(f"SELECT {CONTACT_FORMS} FROM contact")[0]
    company = scene.rows("SELECT name_norm, domain, first_touch_source_norm FROM company")[0]
    assert tuple(contact) == ("ænna@nordwind.example", "nordwind.example", "ænna", None, "ænna", [], "linkedin")
    assert tuple(company) == (FOLDED, "nordwind.example", "linkedin")
    assert scene.event(event_id).fields_norm == {"first_name": "ænna", "company": FOLDED}


def test_an_ordinary_form_needs_no_compared_forms_of_its_own(scene: Scene) -> None:
    page = "https://Nordwind.example/x?y"
    event_id = scene.post_form(email="Anna@Nordwind.Example", company="Nordwind AS", page_url=page)
    scene.drain()

    assert scene.event(event_id).fields_norm is None


def test_edits_through_the_api_keep_the_compared_forms_in_step(scene: Scene) -> None:
    company = scene.made("/companies", {"name": "Nordwind", "domain": "NORDWIND.example", "tags": ["Key"]})
    contact = scene.made("/contacts", {"email": " Anna@Nordwind.EXAMPLE ", "company_id": company["id"]})
    scene.patch(f"/companies/{company['id']}", {"owner": ODD, "tags": ["Key", ODD], "name": None})
    scene.patch(f"/contacts/{contact['id']}", {"email": "B@Other.EXAMPLE", "last_name": "Łuk"})

    company_row = scene.rows("SELECT name_norm, domain, owner_norm, tags_norm FROM company")[0]
    assert tuple(company_row) == (None, "nordwind.example", FOLDED, ["key", FOLDED])
    contact_row = scene.rows("SELECT email, email_host, last_name_norm, name_norm FROM contact")[0]
    assert tuple(contact_row) == ("b@other.example", "other.example", "łuk", "łuk")
    owners = scene.rows("SELECT new, values_norm FROM change WHERE field = 'owner'")
    assert [tuple(one) for one in owners] == [(ODD, {"new": FOLDED})]


# Rows from before -----------------------------------------------------------------------------------------------------


def test_rows_from_before_get_their_compared_forms_by_the_migration(fresh_database_url: str) -> None:
    engine = create_engine(normalise_url(fresh_database_url), poolclass=NullPool)
    with engine.begin() as connection:
        command.upgrade(_config(connection), "0001")
        _write_as_before(connection)

    upgrade(fresh_database_url)

    with engine.begin() as connection:
        company = row(connection, "SELECT * FROM company WHERE id = 1")
        contact = row(connection, "SELECT * FROM contact")
        assert company["owner_norm"] == FOLDED
        assert company["fields_norm"] == norms_of(company["fields"]) == {
            "website": "https://x.example", "website@host": "x.example", "size": "5", "vip?": True, "likes[]": [FOLDED],
        }  # fmt: skip
        assert (contact["email_host"], contact["first_name_norm"]) == ("nordwind.example", FOLDED)
        assert (contact["tags_norm"], contact["first_touch_campaign_norm"]) == (["hot", FOLDED], FOLDED)
        assert connection.scalar(text("SELECT count(*) FROM company WHERE owner_norm = 'bo'")) == 4_500
        events = connection.execute(text("SELECT fields_norm FROM event ORDER BY id")).scalars().all()
        assert events == [{"company": FOLDED}, None]
        changes = connection.execute(text("SELECT values_norm FROM change ORDER BY id")).scalars().all()
        assert changes == [{"new": FOLDED}, None]
        assert missing_guards(connection) == []


def _write_as_before(connection: Connection) -> None:
    own = json.dumps({"website": "https://X.example", "size": "5", "vip": True, "likes": [ODD]})
    event = "INSERT INTO event (source, delivery_id, type, state, lane, received_at, body_sha256, fields)"
    change = "INSERT INTO change (at, entity, entity_id, field, old, new, actor_kind, actor_name, action)"
    for statement in (
        f"INSERT INTO company (owner, fields, created_at, updated_at) VALUES ('{ODD}', '{own}', now(), now())",
        "INSERT INTO company (owner, created_at, updated_at) SELECT 'Bo', now(), now() FROM generate_series(1, 4500)",
        "INSERT INTO contact (email, first_name, tags, first_touch_campaign, created_at, updated_at)"
        f" VALUES ('anna@nordwind.example', '{ODD}', ARRAY['Hot', '{ODD}'], '{ODD}', now(), now())",
        f"{event} SELECT 'generic', company, 'form_submitted', 'processed', 1, now(), '',"
        f" jsonb_build_object('company', company) FROM unnest(ARRAY['{ODD}', 'Nordwind']) AS company",
        f"{change} SELECT now(), 'company', 1, 'owner', '\"Bo\"', to_jsonb(owner), 'person', 'Paula', ''"
        f" FROM unnest(ARRAY['{ODD}', 'Bo']) AS owner",
    ):
        connection.exec_driver_sql(statement)


# What SQL makes itself ------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).map(clean_text).filter(bool)
LIKE_ADDRESSES = st.from_regex(r"(https?://|HTTP://|//|mailto:)?[A-Za-z0-9@:./?#ßİ_-]{1,20}", fullmatch=True)


@given(TEXTS | LIKE_ADDRESSES)
def test_the_host_that_sql_finds_is_the_host(raw: str) -> None:
    """Where SQL finds none, or another one, the host is stored."""
    folded = fold(raw)
    stored = (event_norms({"x": raw}) or {}).get("x@host")

    found = plain_host(folded) if stored is None else stored
    assert _nameable(found) == _nameable(host_of(folded))


def _nameable(host: str | None) -> str | None:
    return host if host and NAMEABLE_HOST.fullmatch(host) else None


@given(TEXTS)
def test_text_that_sql_cannot_fold_is_stored_folded(raw: str) -> None:
    stored = (event_norms({"x": raw}) or {}).get("x")

    assert (lower_ascii(raw) if stored is None else stored) == fold(raw)
    assert (change_norms(None, raw) or {}).get("new") == stored


@pytest.mark.parametrize("raw", [None, "", "  ", {}, [], [" "], 5, 1.5])
def test_what_is_blank_or_foreign_has_no_compared_form(raw: Any) -> None:
    assert norms_of({"x": raw}) == {}
