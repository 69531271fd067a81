"""`selection: NAME`: what a selection means, read from what is stored of it. Selections may ask for selections.

A selection asks for no segment and no list with a name: these belong to documents of rules, and what a selection means
must not depend on who asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from leadflow.domain.fields import Catalogue
from leadflow.domain.history import Record
from leadflow.domain.selections import Selection, find_selection
from leadflow.errors import Fault, InvalidRequest
from leadflow.rules.conditions import Condition, MemberClause, Named, leaves_of
from leadflow.rules.nodes import ScalarNode
from leadflow.rules.parsing.conditions import read_condition
from leadflow.rules.parsing.json_tree import JsonTree, active_part_of
from leadflow.rules.problems import quoted
from leadflow.rules.reading import Reader, Scope

MAX_DEPTH = 8
MAX_CLAUSES = 200

ROOTS: Mapping[Record, frozenset[str]] = {
    "company": frozenset({"company"}),
    "contact": frozenset({"company", "contact"}),
}


def read_json(reader: Reader, document: object, roots: frozenset[str], pointer: str) -> Condition | None:
    """A condition as JSON; None, which everything satisfies, if no criterion is active.

    Raises: InvalidRequest with every problem, each at its JSON pointer.
    """
    tree = JsonTree()
    root = active_part_of(tree.node(document, pointer))
    if root is None:
        if not isinstance(document, dict | None):
            raise InvalidRequest([Fault(pointer, 'must be an object, such as {"company.category": "lead"}')])
        return None
    condition = read_condition(reader, root, Scope(roots))
    faults = [tree.fault(one) for one in reader.problems if one.severity == "error"]
    if sum(1 for _ in leaves_of(condition)) > MAX_CLAUSES:
        faults.append(Fault(pointer, f"has more than {MAX_CLAUSES} clauses"))
    if condition is None or faults:
        raise InvalidRequest(faults or [Fault(pointer, "cannot be read")])
    return condition


def read_selection(selection: Selection, catalogue: Catalogue, pointer: str = "/where") -> Condition | None:
    """The condition of a selection that has one; None if it asks for nothing.

    Raises: InvalidRequest with every problem, each at its JSON pointer.
    """
    return read_json(_reader_of(selection, catalogue, ()), selection.condition, ROOTS[selection.subject], pointer)


def _reader_of(selection: Selection, catalogue: Catalogue, reading: tuple[Selection, ...]) -> Reader:
    """The reader of a selection's condition; `reading` are the selections that ask for it, the outermost first."""
    reader = Reader("", "", catalogue)
    reader.zone = _zone(selection.zone)
    finder = SelectionFinder(reader, (*reading, selection))

    def find(kind: str, node: ScalarNode) -> Condition | None:
        if kind == "selection":
            return finder.find(node)
        message = "a selection asks for no segment, which belongs to a document of rules; write its clauses instead"
        reader.add(node, "unknown-segment", message)
        return None

    reader.find_named = find
    return reader


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


# Problems with the way from selection to selection, which say of themselves where they are.
TOLD_AS_THEY_ARE = ("selection-circle", "too-deep")


@dataclass(frozen=True, slots=True)
class _Unread:
    """Why a selection cannot be asked for."""

    code: str
    message: str


class SelectionFinder:
    """Finds the selections that a document or condition names; `reading` are those being read, the outermost first."""

    def __init__(self, reader: Reader, reading: tuple[Selection, ...] = ()) -> None:
        self._reader = reader
        self._reading = reading

    def find(self, node: ScalarNode) -> Named | None:
        """The selection that `node` names; None after a problem."""
        reader, known = self._reader, self._reader.catalogue.selections
        selection = find_selection(known, node.text)
        if selection is None:
            titles = [one.title for one in known.values()]
            near = reader.nearest(node.text, [*titles, *known])
            message = f"there is no selection {quoted(node.text)}"
            reader.add(node, "unknown-selection", message, suggestion=near, allowed=titles)
            return None
        found = reader.once(("selection", selection.slug), lambda: self._read(selection))
        if isinstance(found, _Unread):
            reader.add(node, found.code, found.message)
            return None
        return Named("selection", selection.title, found, record=selection.subject)

    def _read(self, selection: Selection) -> Condition | _Unread:
        if selection.is_static:
            return MemberClause(selection.subject, selection.id, selection.slug, selection.title)
        names = [one.slug for one in self._reading]
        if selection.slug in names:
            circle = [*self._reading[names.index(selection.slug) :], selection]
            shown = " → ".join(one.title for one in circle)
            code = "selection-circle"
            return _Unread(code, f"these selections ask for each other in a circle: {shown}")
        if len(self._reading) >= MAX_DEPTH:
            code = "too-deep"
            return _Unread(code, f"selections ask for selections more than {MAX_DEPTH} levels deep")
        return self._read_condition(selection)

    def _read_condition(self, selection: Selection) -> Condition | _Unread:
        reader = _reader_of(selection, self._reader.catalogue, self._reading)
        try:
            condition = read_json(reader, selection.condition, ROOTS[selection.subject], "")
        except InvalidRequest as refusal:
            told = next((one for one in reader.problems if one.code in TOLD_AS_THEY_ARE), None)
            if told is not None:
                return _Unread(told.code, told.message)
            reason = f"cannot be read: {refusal.faults[0].message}"
        else:
            if condition is not None:
                return condition
            reason = "asks for nothing"
        code = "broken-selection"
        return _Unread(code, f"the selection {quoted(selection.title)} {reason}")
