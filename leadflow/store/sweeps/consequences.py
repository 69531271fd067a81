"""What follows from the traces of a page: the lead statuses of a moved company's contacts, and the ledger."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, text

from leadflow.store.ledger import take_turn
from leadflow.store.records import LostRace

# The changes that the traces of this page tell, in the order in which they were made.
_CHANGES = """
    FROM run CROSS JOIN LATERAL ROWS FROM (
        jsonb_to_recordset(run.changes)
        AS (entity text, entity_id bigint, field text, old jsonb, new jsonb, action text, norms jsonb)
    ) WITH ORDINALITY AS one(entity, entity_id, field, old, new, action, norms, place)
    WHERE run.sweep_id = :sweep_id AND run.id >= :first_run AND one.entity IN ('company', 'contact')
"""


def write_lead_statuses(connection: Connection, sweep_id: int, first_run: int, now: datetime) -> None:
    """Give contacts the lead status that they have at the end of their company's run. Raises: LostRace."""
    row = connection.execute(_LEAD_STATUSES, {"sweep_id": sweep_id, "first_run": first_run, "now": now}).one()
    if row.written != row.meant:
        raise LostRace(f"contacts of sweep {sweep_id} changed while they were locked")


_LEAD_STATUSES = text(f"""
    WITH last AS MATERIALIZED (
        SELECT DISTINCT ON (entity_id) entity_id, new #>> '{{}}' AS new {_CHANGES} AND one.field = 'lead_status'
        ORDER BY entity_id, run.id DESC, place DESC
    ), written AS (
        UPDATE contact SET lead_status_key = last.new, updated_at = :now, revision = revision + 1
        FROM last WHERE contact.id = last.entity_id RETURNING 1
    )
    SELECT (SELECT count(*) FROM last) AS meant, (SELECT count(*) FROM written) AS written
""")


def append_to_ledger(connection: Connection, sweep_id: int, first_run: int, now: datetime) -> None:
    """Append the page's changes. Call it last: from here on other writers of the ledger wait for this transaction."""
    take_turn(connection)
    connection.execute(_APPEND, {"sweep_id": sweep_id, "first_run": first_run, "now": now})


_APPEND = text(f"""
    INSERT INTO change (at, entity, entity_id, company_id, contact_id, field, old, new, values_norm,
                        actor_kind, actor_id, actor_name, sweep_id, run_id, rule, action)
    SELECT :now, one.entity, one.entity_id, run.company_id,
           CASE WHEN one.entity = 'contact' THEN one.entity_id END,
           one.field, one.old, one.new, one.norms,
           'rule', run.version::text, run.rule, run.sweep_id, run.id, run.rule, one.action
    {_CHANGES} ORDER BY run.id, one.place
""")
