"""Whether the database still guards itself: every trigger of the migrations is there and fires."""

from __future__ import annotations

from sqlalchemy import Connection, text

GUARDS = frozenset(
    {
        "company.guard_insert_delete",
        "company.guard_update",
        "company.keep_first_touch",
        "company.no_truncate",
        "contact.guard_lead_status",
        "contact.guard_own_category",
        "contact.keep_first_touch",
        "change.append_only",
        "guard_override.append_only",
        "category.guard_configuration",
        "category.keep_former_name",
        "category.no_delete",
        "lead_status.guard_configuration",
        "lead_status.keep_former_name",
        "lead_status.no_delete",
        "lifecycle_edge.guard_configuration",
        "lifecycle_edge.guard_edge",
    }
)

# 'A': enabled always, also under session_replication_role = replica.
_ENABLED = text("""
    SELECT relname || '.' || tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE NOT tgisinternal AND tgenabled = 'A' AND relnamespace = 'public'::regnamespace
""")


def missing_guards(connection: Connection) -> list[str]:
    """The triggers (`table.name`) that are missing or disabled; an empty list when the guard is in place."""
    return sorted(GUARDS - set(connection.scalars(_ENABLED)))
