"""Which other files a document means, for whoever gathers documents from a folder."""

from __future__ import annotations

from collections.abc import Iterator

from leadflow.rules.nodes import ListNode, MappingNode, Node, ScalarNode
from leadflow.rules.parsing.paths import places_of
from leadflow.rules.parsing.yaml_tree import decode, read_tree
from leadflow.rules.problems import Report


def files_mentioned(name: str, content: str | bytes) -> tuple[str, ...]:
    """The names that documents under `use` and files of lists may have; none for what cannot be read."""
    decoded = decode(content)
    report = Report(name, decoded.text)
    root = read_tree(report, decoded.text) if decoded.is_clean(report) else None
    if not isinstance(root, MappingNode):
        return ()
    entries = {key: value for key, (_, value) in root.entries.items()}
    paths = [*_texts_in(entries.get("use")), *_files_in(entries.get("lists"))]
    return tuple(dict.fromkeys(place for path in paths for place in places_of(path, name)))


def _files_in(lists: Node | None) -> Iterator[str]:
    for _, one in lists.entries.values() if isinstance(lists, MappingNode) else ():
        if isinstance(one, MappingNode) and "file" in one.entries:
            yield from _texts_in(ListNode(one.line, one.column, items=[one.entries["file"][1]]))


def _texts_in(node: Node | None) -> Iterator[str]:
    for item in node.items if isinstance(node, ListNode) else ():
        if isinstance(item, ScalarNode) and not item.is_blank:
            yield item.text.strip()
