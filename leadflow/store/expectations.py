"""What the server expects of a query before it is run: how many rows it gives, and what all of them cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ClauseElement, Executable


@dataclass(frozen=True, slots=True)
class Expectation:
    """`rows` is an estimate by the server's statistics; `cost` is in its own units, some 100,000 a second."""

    rows: int
    cost: float


class _Explained(Executable, ClauseElement):
    inherit_cache = False

    def __init__(self, query: Select[Any]) -> None:
        self.query = query


@compiles(_Explained)
def _explain(element: _Explained, compiler: Any, **more: Any) -> str:
    return "EXPLAIN (FORMAT JSON) " + str(compiler.process(element.query, **more))


def expect(connection: Connection, query: Select[Any]) -> Expectation:
    """Ask the planner; nothing is run."""
    plan: dict[str, Any] = connection.execute(_Explained(query)).scalar_one()[0]["Plan"]
    return Expectation(int(plan["Plan Rows"]), float(plan["Total Cost"]))


def roughly(number: int) -> int:
    """Two digits of it, as much as an estimate can say: 98,432 → 98,000."""
    digits = len(str(number)) - 2
    return number if digits <= 0 else round(number, -digits)
