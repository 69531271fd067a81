"""Whose records a selection has in it, and whom a condition that names it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from leadflow.domain.events import Occurrence, Trigger
from leadflow.domain.fields import Catalogue, Kind
from leadflow.rules.conditions import All, Clause, Condition, FieldTest, Named, NowClause, Trace, leaves_of
from leadflow.rules.model import Situation
from leadflow.rules.nodes import Node
from leadflow.rules.operands import Operand
from leadflow.rules.operators import OPERATORS_OF
from leadflow.rules.problems import quoted
from leadflow.rules.reading import Reader, Scope

PLURALS = {"contact": "contacts", "company": "companies"}


def as_asked_for(reader: Reader, selection: Named, node: Node, scope: Scope) -> Named | None:
    """A selection as the condition at `node` means it; None after a problem.

    Where contacts are asked about, a selection of companies means their company, and there must be one.
    """
    if selection.record is not None and selection.record not in scope.roots:
        message = f"the selection {quoted(selection.name)} {why_absent(selection)}"
        reader.add(node, "unavailable-field", message)
        return None
    if selection.record == "company" and "contact" in scope.roots and _may_hold_for_nobody(selection.condition):
        has_company = _has_company(reader.catalogue)
        return replace(selection, condition=All((has_company, selection.condition)))
    return selection


def why_absent(selection: Named) -> str:
    """Why the selection cannot be asked for where its records are not at hand."""
    record = selection.record or "contact"
    return f"is one of {PLURALS[record]}, and there is no {record} here"


def _may_hold_for_nobody(condition: Condition) -> bool:
    """Whether a condition about companies may hold where there is no company, because blanks satisfy it."""
    if any(isinstance(leaf, NowClause) for leaf in leaves_of(condition)):
        return True
    nobody = Situation(Occurrence(Trigger.SCHEDULE), datetime(2000, 1, 1, tzinfo=UTC))
    return condition.compile()(nobody, Trace())


def _has_company(catalogue: Catalogue) -> Clause:
    field = catalogue.fields["company.created_at"]  # no company is without
    exists = FieldTest(OPERATORS_OF[Kind.MOMENT]["exists"], Operand(True))
    return Clause(field.path, field, (exists,), False, UTC)
