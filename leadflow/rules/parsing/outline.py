"""The outline of a document: its rules and named parts as plain data, without asking what they mean.

It serves where two versions are compared, one of which may name fields or categories that are not there any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leadflow.rules.nodes import ListNode, MappingNode, Node, ScalarNode
from leadflow.rules.parsing.yaml_tree import decode, read_tree
from leadflow.rules.problems import Report

# The parts of a document, beside its rules, that have names and that rules may use.
NAMED_PARTS = ("vars", "lists", "segments", "groups")


@dataclass(frozen=True, slots=True)
class RuleOutline:
    """One rule: its slug, the line it begins in, and its entries as texts, lists and mappings."""

    slug: str
    line: int
    entries: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outline:
    """The rules of a document in their order, and by part (`lists`, `segments`, …) what it names."""

    rules: tuple[RuleOutline, ...] = ()
    named: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    settings: Any = None


def outline_of(name: str, content: str | bytes) -> Outline:
    """What stands in the document; an empty outline for what cannot be read at all."""
    decoded = decode(content)
    report = Report(name, decoded.text)
    root = read_tree(report, decoded.text) if decoded.is_clean(report) else None
    if not isinstance(root, MappingNode):
        return Outline()
    entries = {key: value for key, (_, value) in root.entries.items()}
    named = {part: _mapping(entries[part]) for part in NAMED_PARTS if part in entries}
    settings = _plain(entries["settings"]) if "settings" in entries else None
    return Outline(_rules(entries.get("rules")), named, settings)


def _rules(node: Node | None) -> tuple[RuleOutline, ...]:
    found = []
    for item in node.items if isinstance(node, ListNode) else ():
        if isinstance(item, MappingNode) and isinstance(slug := item.entries.get("rule", (None, None))[1], ScalarNode):
            entries = {key: _plain(value) for key, (_, value) in item.entries.items() if key != "rule"}
            found.append(RuleOutline(slug.text.strip(), item.line, entries))
    return tuple(found)


def _mapping(node: Node) -> dict[str, Any]:
    return {key: _plain(value) for key, (_, value) in node.entries.items()} if isinstance(node, MappingNode) else {}


def _plain(node: Node) -> Any:
    match node:
        case ScalarNode(text=text):
            return text
        case ListNode(items=items):
            return [_plain(one) for one in items]
        case MappingNode(entries=entries):
            return {key: _plain(value) for key, (_, value) in entries.items()}
        case _:
            return None
