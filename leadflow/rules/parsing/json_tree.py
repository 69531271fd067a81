"""JSON as the nodes that the parser reads, with the way back from a problem to its JSON pointer."""

from __future__ import annotations

from leadflow.errors import Fault
from leadflow.rules.nodes import ListNode, MappingNode, Node, ScalarNode
from leadflow.rules.parsing.conditions import GROUPS
from leadflow.rules.parsing.special import CHANGE_KEYS, COUNT_KEYS, EVENT_KEYS
from leadflow.rules.problems import Problem

MAX_SHOWN = 12

# What is no test in these clauses; the first one says what the clause is about.
PARAMETERS = {"event_count": COUNT_KEYS, "last_event": EVENT_KEYS, "last_change": CHANGE_KEYS}

# YAML's words for nothing are ordinary text in JSON, which has null.
NULL_WORDS = ("~", "null", "Null", "NULL")


class JsonTree:
    """JSON values as nodes. Each stands in a line of its own, by which its pointer is found again."""

    def __init__(self) -> None:
        self._pointers: list[str] = []

    def fault(self, problem: Problem) -> Fault:
        """The problem at its pointer, in one sentence."""
        return Fault(self._pointers[problem.line - 1], sentence_of(problem))

    def node(self, value: object, pointer: str) -> Node:
        """The value as the parser takes it."""
        if isinstance(value, dict):
            entries = {key: self._entry(key, one, f"{pointer}/{_escape(key)}") for key, one in value.items()}
            return MappingNode(self._line(pointer), 1, entries=entries)
        if isinstance(value, list):
            items = [self.node(one, f"{pointer}/{number}") for number, one in enumerate(value)]
            return ListNode(self._line(pointer), 1, items=items)
        text = _text(value)
        return ScalarNode(self._line(pointer), 1, text=text, is_plain=text not in NULL_WORDS)

    def _entry(self, key: str, value: object, pointer: str) -> tuple[ScalarNode, Node]:
        return ScalarNode(self._line(pointer), 1, text=key), self.node(value, pointer)

    def _line(self, pointer: str) -> int:
        self._pointers.append(pointer)
        return len(self._pointers)


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def sentence_of(problem: Problem) -> str:
    parts = [problem.message]
    if problem.suggestion:
        parts.append(f"did you mean '{problem.suggestion}'?")
    if problem.allowed:
        shown = ", ".join(problem.allowed[:MAX_SHOWN])
        parts.append(f"allowed: {shown}" + (", …" if len(problem.allowed) > MAX_SHOWN else ""))
    return "; ".join(parts)


# What is left empty ---------------------------------------------------------------------------------------------------


def active_part_of(node: Node) -> Node | None:
    """The condition without the criteria that are left empty; None if nothing is left of it."""
    if not isinstance(node, MappingNode):
        return None if _is_empty(node) else node
    for name, (key, value) in list(node.entries.items()):
        kept = _active_part(name, value)
        if kept is None:
            del node.entries[name]
        else:
            node.entries[name] = (key, kept)
    return node if node.entries else None


def _active_part(name: str, value: Node) -> Node | None:
    if _is_empty(value):
        return None
    if name in GROUPS:
        return _active_group(value)
    if isinstance(value, MappingNode):
        return _active_tests(value, PARAMETERS.get(name, ("or_blank",)))
    return value


def _active_group(value: Node) -> Node | None:
    if not isinstance(value, ListNode):
        return value
    value.items = [kept for item in value.items if (kept := active_part_of(item))]
    return value if value.items else None


def _active_tests(node: MappingNode, parameters: tuple[str, ...]) -> Node | None:
    """The tests that have an operand; None if that leaves no test, or nothing that is asked about."""
    given = set(node.entries)
    if "where" in parameters and "where" in node.entries:
        _activate_where(node.entries["where"][1])
    node.entries = {name: entry for name, entry in node.entries.items() if not _is_empty(entry[1])}
    left = set(node.entries)
    is_about_nothing = parameters[0] in given - left
    has_no_test = not left - {*parameters, "or_blank"}
    return None if given != left and (is_about_nothing or has_no_test) else node


def _activate_where(node: Node) -> None:
    if isinstance(node, MappingNode):
        tests = {name: (key, _active_part(name, value)) for name, (key, value) in node.entries.items()}
        node.entries = {name: (key, kept) for name, (key, kept) in tests.items() if kept}


def _is_empty(node: Node) -> bool:
    match node:
        case ScalarNode():
            return node.is_blank
        case ListNode(items=items):
            return all(_is_empty(item) for item in items)
        case MappingNode(entries=entries):
            return not entries
        case _:
            return False
