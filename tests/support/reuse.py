"""One database for many tests: emptied between them, which takes a tenth of the time that a new copy takes."""

from __future__ import annotations

import psycopg
from sqlalchemy import make_url

from tests.support import servers

# What makes a database an installation; a test that changed any of it gets its database dropped, not emptied. The
# number of its revision is none of it: a change to a source moves it on, and the next test's processes are new.
KEPT = (
    "alembic_version",
    "category",
    "lead_status",
    "lifecycle_edge",
    "installation",
    "rule_set",
    "rule_document",
    "selection",
)

_FINGERPRINT = """
    SELECT (SELECT string_agg(c::text, '|' ORDER BY key) FROM category c),
           (SELECT string_agg(s::text, '|' ORDER BY key) FROM lead_status s),
           (SELECT string_agg(e::text, '|' ORDER BY id) FROM lifecycle_edge e),
           (SELECT string_agg(o::text, '|' ORDER BY id) FROM selection o),
           (SELECT (on_reentry, custom_fields::text, events::text)::text FROM installation),
           (SELECT string_agg(v::text, '|') FROM alembic_version v),
           (SELECT md5(string_agg(attrelid::regclass || '.' || attname, '|' ORDER BY attrelid, attnum))
              FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
             WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped),
           (SELECT md5(string_agg(indexdef, '|' ORDER BY indexname)) FROM pg_indexes WHERE schemaname = 'public'),
           (SELECT string_agg((tgrelid::regclass, tgname, tgenabled, tgtype)::text, '|' ORDER BY tgrelid, tgname)
              FROM pg_trigger WHERE NOT tgisinternal)
"""
_TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
_BLOCKING = (("company", "no_truncate"), ("change", "append_only"), ("guard_override", "append_only"))


class ReusedDatabase:
    """A database with `config/` applied: the same for every test, unless one changed the ground it stands on."""

    def __init__(self, server_url: str, template: str) -> None:
        self._server_url, self._template = server_url, template
        self._name: str | None = None
        self._fingerprint: object = None
        self._version: int | None = None

    def fresh(self) -> str:
        """The URL of the database, empty but for its lists and the shipped rules."""
        if self._name is not None and not self._empty():
            self.drop()
        if self._name is None:
            self._name = servers.create_database(self._server_url, self._template)
            with self._connect() as connection:
                self._fingerprint = connection.execute(_FINGERPRINT).fetchone()
                self._version = connection.execute("SELECT live_version FROM installation").fetchone()[0]  # type: ignore[index]
        return make_url(self._server_url).set(database=self._name).render_as_string(hide_password=False)

    def drop(self) -> None:
        if self._name is not None:
            servers.drop_database(self._server_url, self._name)
            self._name = None

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        url = make_url(self._server_url).set(database=self._name)
        return psycopg.connect(**{**url.translate_connect_args(username="user", database="dbname"), **url.query})

    def _empty(self) -> bool:
        """Delete everything that tests wrote; False if that is not enough."""
        try:
            with self._connect() as connection:
                connection.execute("SET lock_timeout = '2s'")
                if connection.execute(_FINGERPRINT).fetchone() != self._fingerprint:
                    return False
                self._truncate(connection)
                connection.execute("UPDATE installation SET live_version = %s", [self._version])
                for table in ("rule_document", "rule_set"):
                    connection.execute(f"DELETE FROM {table} WHERE version > {self._version}")  # type: ignore[call-overload]
        except psycopg.Error:
            return False
        return True

    @staticmethod
    def _truncate(connection: psycopg.Connection[tuple[object, ...]]) -> None:
        tables = [str(row[0]) for row in connection.execute(_TABLES) if row[0] not in KEPT]
        for table, trigger in _BLOCKING:
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")  # type: ignore[call-overload]
        connection.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY")  # type: ignore[call-overload]
        for table, trigger in _BLOCKING:
            connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")  # type: ignore[call-overload]
