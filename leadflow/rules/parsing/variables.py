"""`vars`: a value with a name, written once and meant wherever `$name` stands alone and without quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from leadflow.rules.nodes import ListNode, MappingNode, Node, ScalarNode
from leadflow.rules.problems import quoted
from leadflow.rules.reading import Reader

_REFERENCE = re.compile(r"\$([A-Za-z_][\w-]*)")
_NAME = re.compile(r"[a-z][a-z0-9_]*")

# The variables by name; None is one with a problem, of which whoever refers to it says nothing more.
Variables = Mapping[str, ScalarNode | None]


def put_in_variables(reader: Reader, root: MappingNode, text: str) -> None:
    """Write each variable's value where it is meant, so that nobody later sees a difference."""
    declared = root.entries.get("vars")
    variables = _read_variables(reader, declared[1]) if declared else {}
    if "$" not in text:
        return
    for key, (_, value) in root.entries.items():
        for node in _values_in(value) if key != "vars" else ():
            if name := _name_in(node):
                _put_in(reader, node, name, variables)


def _read_variables(reader: Reader, node: Node) -> Variables:
    if not isinstance(node, MappingNode):
        reader.add(node, "wrong-type", "vars is written as 'name: value' lines")
        return {}
    return {name: _read_variable(reader, key, value) for name, (key, value) in node.entries.items()}


def _read_variable(reader: Reader, key: ScalarNode, value: Node) -> ScalarNode | None:
    if not _NAME.fullmatch(key.text):
        message = f"{quoted(key.text)} is no name of a variable: small letters, digits and '_', such as nurture_gap"
        reader.add(key, "bad-name", message)
        return None
    if not isinstance(value, ScalarNode):
        reader.add(
            value, "wrong-type", f"the variable {quoted(key.text)} is one value; several are a list, under lists"
        )
        return None
    if _name_in(value):
        reader.add(value, "variable-in-variable", "a variable has a value of its own and refers to no other")
        return None
    return value if reader.text(value, f"the variable {quoted(key.text)}") else None


def _values_in(node: Node) -> Iterator[ScalarNode]:
    """Every single value; keys are none."""
    match node:
        case ScalarNode():
            yield node
        case ListNode(items=items):
            for item in items:
                yield from _values_in(item)
        case MappingNode(entries=entries):
            for _, value in entries.values():
                yield from _values_in(value)


def _name_in(node: ScalarNode) -> str | None:
    """The variable that the text refers to. In quotes, or with more around it, it is ordinary text."""
    found = _REFERENCE.fullmatch(node.text) if node.is_plain else None
    return found[1] if found else None


def _put_in(reader: Reader, node: ScalarNode, name: str, variables: Variables) -> None:
    if name not in variables:
        message = f"there is no variable {quoted(name)}; for the text itself write '{node.text}' in quotes"
        reader.add(node, "unknown-variable", message, suggestion=_nearest(reader, name, variables), allowed=variables)
    value = variables.get(name)
    if value is None:
        node.is_faulty = True
    else:
        node.text, node.is_plain = value.text, value.is_plain


def _nearest(reader: Reader, name: str, variables: Variables) -> str | None:
    near = reader.nearest(name, variables)
    return f"${near}" if near else None
