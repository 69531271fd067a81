"""`if`: from nodes to the condition tree."""

from __future__ import annotations

from dataclasses import replace

from leadflow.rules.conditions import (
    All,
    AnyOf,
    Clause,
    Condition,
    Leaf,
    MemberClause,
    Named,
    NoneOf,
    NowClause,
    PastClause,
    leaves_of,
    named_in,
)
from leadflow.rules.nodes import ListNode, Node, ScalarNode
from leadflow.rules.operands import OtherField
from leadflow.rules.parsing.belonging import as_asked_for, why_absent
from leadflow.rules.parsing.clauses import read_clause
from leadflow.rules.parsing.special import SPECIAL
from leadflow.rules.past import EventsAsked
from leadflow.rules.problems import quoted
from leadflow.rules.reading import Reader, Scope
from leadflow.rules.values import BEFORE

GROUPS: dict[str, type[All | AnyOf | NoneOf]] = {"all": All, "any": AnyOf, "none": NoneOf}
NAMED = ("segment", "selection")


def read_condition(reader: Reader, node: Node, scope: Scope) -> Condition | None:
    """`{all: […]}`, `{any: […]}`, `{none: […]}`, `{FIELD: test}` or one of `SPECIAL`; None after a problem."""
    if isinstance(node, ListNode):
        reader.add(node, "wrong-type", "several clauses stand under 'all:', 'any:' or 'none:'", allowed=GROUPS)
        return None
    found = reader.single(node, "a clause")
    if found is None:
        return None
    key, value = found
    if key.text in GROUPS:
        return _read_group(reader, key, value, scope)
    if key.text in NAMED:
        return _read_named(reader, key, value, scope)
    if key.text in SPECIAL:
        special = SPECIAL[key.text](reader, value, scope)
        return None if special is None else replace(special, place=key)
    if "." not in key.text:
        message = f"{quoted(key.text)} is no clause and not the path of a field"
        words = [*GROUPS, *SPECIAL, *NAMED]
        near = reader.nearest(key.text, [*words, *reader.catalogue.fields])
        reader.add(key, "unknown-key", message, suggestion=near, allowed=[*words, "FIELD"])
        return None
    field = reader.field(key, scope)
    return None if field is None else read_clause(reader, key.text, field, value, scope, key)


def _read_named(reader: Reader, key: ScalarNode, node: Node, scope: Scope) -> Condition | None:
    """`segment: NAME` or `selection: NAME`: a condition with a name, which may ask only for what this rule brings."""
    name = reader.text(node, f"the {key.text}")
    if name is None or not isinstance(node, ScalarNode):
        return None
    condition = reader.named_condition(key.text, node)
    if condition is None:
        return None
    if isinstance(condition, Named) and key.text == "selection":
        selection = as_asked_for(reader, condition, node, scope)
        return None if selection is None else replace(selection, place=key)
    key_of_answer = (key.text, name, scope.roots, scope.has_changes)
    if missing := reader.once(key_of_answer, lambda: _missing_for(condition, scope)):
        reader.add(node, "unavailable-field", f"the {key.text} {quoted(name)} asks for {missing}")
        return None
    return Named(key.text, name, condition, key)


def _missing_for(condition: Condition, scope: Scope) -> str | None:
    """What a named condition needs that the rule does not bring, in words."""
    selections = (one for one in named_in(condition) if one.record is not None and one.record not in scope.roots)
    if (selection := next(selections, None)) is not None:
        return f"the selection {quoted(selection.name)}, which {why_absent(selection)}"
    return next((missing for leaf in leaves_of(condition) if (missing := _missing_for_leaf(leaf, scope))), None)


def _missing_for_leaf(leaf: Leaf, scope: Scope) -> str | None:
    match leaf:
        case Clause(path=path, field=field, tests=tests):
            others = [one.operand.value for one in tests if isinstance(one.operand.value, OtherField)]
            named = [(path, field), *((other.path, other.field) for other in others)]
            absent = next((one.path for _, one in named if one.root not in scope.roots), None)
            if absent is not None:
                return f"{absent}, which this rule's trigger does not bring"
            is_about_change = any(one.operator.only_on_change for one in tests)
            is_about_change = is_about_change or any(where.startswith(BEFORE) for where, _ in named)
            return f"a change of {path}, and this rule has none" if is_about_change and not scope.has_changes else None
        case PastClause(asked=asked):
            root = asked.by if isinstance(asked, EventsAsked) else asked.field.root
            return None if root in scope.roots else f"the past of a {root}, and this rule has none"
        case MemberClause(record=record):
            return None if record in scope.roots else f"members, which are {record} records, and this rule has none"
        case NowClause():
            return None


def _read_group(reader: Reader, key: ScalarNode, node: Node, scope: Scope) -> Condition | None:
    items = reader.items(node, f"'{key.text}'")
    parts = [part for item in items if (part := read_condition(reader, item, scope))]
    return GROUPS[key.text](tuple(parts), key) if parts and len(parts) == len(items) else None
