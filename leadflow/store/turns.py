"""Whose turn it is: the counters of round robins, exact however many workers assign at once."""

from __future__ import annotations

from sqlalchemy import Connection, text

TURNS_LOCK = 7_270_005


class Turns:
    """The turns of one transaction. The first one drawn makes other transactions that draw wait until this one ends.

    `is_rehearsal`: nothing will be written, so nobody has to wait.
    """

    def __init__(self, connection: Connection, *, is_rehearsal: bool = False) -> None:
        self._connection = connection
        self._taken: dict[str, int] = {}
        self._is_locked = is_rehearsal

    def next(self, rule: str) -> int:
        """The number of the turn, from 0, each number once."""
        if rule not in self._taken:
            self._taken[rule] = self._read(rule)
        number = self._taken[rule]
        self._taken[rule] = number + 1
        return number

    def _read(self, rule: str) -> int:
        # One lock for all rules: two transactions that draw for two rules in another order do not stop each other.
        if not self._is_locked:
            self._connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": TURNS_LOCK})
            self._is_locked = True
        return int(self._connection.scalar(text("SELECT taken FROM turn WHERE rule = :rule"), {"rule": rule}) or 0)

    def write(self) -> None:
        """Keep what was drawn, for the next transaction."""
        rows = [{"rule": rule, "taken": taken} for rule, taken in sorted(self._taken.items())]
        if rows:
            statement = text(
                "INSERT INTO turn (rule, taken) VALUES (:rule, :taken)"
                " ON CONFLICT (rule) DO UPDATE SET taken = excluded.taken"
            )
            self._connection.execute(statement, rows)
