"""Replay: the current state must be what the ledger says, and each row must begin where the one before it ended."""

from __future__ import annotations

from sqlalchemy import Connection, text

# (what, the record's table, the ledger's field, the state as jsonb)
STATES = (
    ("company", "category", "to_jsonb(category_key)"),
    ("company", "owner", "to_jsonb(owner)"),
    ("company", "tags", "CASE WHEN cardinality(tags) > 0 THEN to_jsonb(tags) END"),
    ("contact", "category", "to_jsonb(category_key)"),
    ("contact", "company_id", "to_jsonb(company_id)"),
    ("contact", "lead_status", "to_jsonb(lead_status_key)"),
    ("contact", "tags", "CASE WHEN cardinality(tags) > 0 THEN to_jsonb(tags) END"),
)

MAX_SHOWN = 20


def find_differences(connection: Connection) -> list[str]:
    """Every way in which the state is not the replay of the ledger, as sentences; at most 20 of each kind."""
    found: list[str] = []
    for table, name, state in STATES:
        found += _compare(connection, table, name, state)
    for table in ("company", "contact"):
        found += _compare_own_fields(connection, table)
    return found + _find_breaks(connection)


def _compare(connection: Connection, table: str, name: str, state: str) -> list[str]:
    statement = text(
        f"WITH last AS (SELECT DISTINCT ON (entity_id) entity_id, new FROM change"
        f" WHERE entity = '{table}' AND field = '{name}' ORDER BY entity_id, id DESC)"
        f" SELECT r.id, {state} AS is, last.new AS should_be FROM {table} r LEFT JOIN last ON last.entity_id = r.id"
        f" WHERE {state} IS DISTINCT FROM last.new LIMIT {MAX_SHOWN}"
    )
    return [
        f"{table} {row.id}: {name} is {_shown(row[1])}, the ledger says {_shown(row.should_be)}"
        for row in connection.execute(statement)
    ]


def _compare_own_fields(connection: Connection, table: str) -> list[str]:
    statement = text(
        f"WITH last AS (SELECT DISTINCT ON (entity_id, field) entity_id, field, new FROM change"
        f" WHERE entity = '{table}' AND field LIKE 'fields.%' ORDER BY entity_id, field, id DESC),"
        f" state AS (SELECT r.id, 'fields.' || f.key AS field, f.value FROM {table} r, jsonb_each(r.fields) f)"
        f" SELECT coalesce(state.id, last.entity_id) AS id, coalesce(state.field, last.field) AS field,"
        f" state.value AS is, last.new AS should_be"
        f" FROM state FULL JOIN last ON last.entity_id = state.id AND last.field = state.field"
        f" WHERE state.value IS DISTINCT FROM last.new LIMIT {MAX_SHOWN}"
    )
    return [
        f"{table} {row.id}: {row.field} is {_shown(row[2])}, the ledger says {_shown(row.should_be)}"
        for row in connection.execute(statement)
    ]


def _find_breaks(connection: Connection) -> list[str]:
    statement = text(
        "SELECT id, entity, entity_id, field, old, before FROM (SELECT id, entity, entity_id, field, old,"
        " lag(new) OVER w AS before, row_number() OVER w AS place FROM change"
        " WINDOW w AS (PARTITION BY entity, entity_id, field ORDER BY id)) AS chain"
        f" WHERE old IS DISTINCT FROM before ORDER BY id LIMIT {MAX_SHOWN}"
    )
    return [
        f"change {row.id}: {row.entity} {row.entity_id} {row.field} goes on from {_shown(row.old)},"
        f" but the change before it ended at {_shown(row.before)}"
        for row in connection.execute(statement)
    ]


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)
