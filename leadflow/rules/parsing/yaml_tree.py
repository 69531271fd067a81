"""YAML text to nodes with places, refusing what makes YAML surprising: anchors, tags, merge and duplicate keys.

The tree is built from the parser's events, so depth and anchors are seen before anything is built from them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from leadflow.rules.nodes import ListNode, MappingNode, Node, ScalarNode
from leadflow.rules.problems import LINE_BREAK, Report, quoted

MAX_DOCUMENT_BYTES = 256 * 1024
MAX_DEPTH = 20

# More than any line has: what goes over several lines is marked to the end of its first one.
WHOLE_LINE = 10_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What YAML calls printable, less the NUL and control characters that a text should never have.
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Stop(Exception):
    """The document cannot be read on; its problem has been noted."""


@dataclass(frozen=True, slots=True)
class FileText:
    """The text of a file as far as it can be read; where it cannot, `code` and `fault` say why at which `place`."""

    text: str
    place: Node | None = None
    code: str = ""
    fault: str = ""

    def is_clean(self, report: Report) -> bool:
        """Whether the whole of it is text that a document may have; the reason is noted if it is not."""
        if self.place is not None:
            report.add(self.place, self.code, self.fault)
            return False
        control = _CONTROL.search(self.text)
        if control:
            name = "a NUL character" if control[0] == "\0" else f"the control character U+{ord(control[0]):04X}"
            report.add(place_at(self.text, control.start()), "control-character", f"the document contains {name}")
        return control is None


def decode(content: str | bytes, max_bytes: int = MAX_DOCUMENT_BYTES) -> FileText:
    """What a file says, from its bytes or as it was sent to us."""
    size = len(content) if isinstance(content, bytes) else len(content.encode("utf-8", "surrogatepass"))
    if size > max_bytes:
        fault = f"the document has {size // 1024:,} kB; at most {max_bytes // 1024:,} kB are read"
        return FileText("", Node(1, 1), "too-large", fault)
    if isinstance(content, str):
        return FileText(content.removeprefix("\ufeff"))
    try:
        return FileText(content.decode("utf-8-sig"))
    except UnicodeDecodeError as fault:
        read = content[: fault.start].decode("utf-8-sig", "replace")
        message = "the document is not UTF-8 text; save it as UTF-8"
        return FileText(read, place_at(read, len(read)), "encoding", message)


def place_at(text: str, index: int) -> Node:
    """The line and column of a character."""
    lines = LINE_BREAK.split(text[:index])
    return Node(len(lines), len(lines[-1]) + 1)


def read_tree(report: Report, text: str) -> Node | None:
    """The root node of the one YAML document in a clean text; None when it cannot be read, with its problem noted."""
    builder = _TreeBuilder(report)
    try:
        builder.take_all(yaml.parse(text, Loader=_LOADER))
    except _Stop:
        return None
    except yaml.YAMLError as fault:
        report.add(_place_of(fault), "syntax", f"this is not valid YAML: {_reason_of(fault)}")
        return None
    if builder.root is None:
        report.add(Node(1, 1), "empty-document", "the document is empty; it begins with 'leadflow: 1'")
    return builder.root


def _place_of(fault: yaml.YAMLError) -> Node:
    mark = getattr(fault, "problem_mark", None) or getattr(fault, "context_mark", None)
    return Node(mark.line + 1, mark.column + 1) if mark else Node(1, 1)


def _reason_of(fault: yaml.YAMLError) -> str:
    parts = [getattr(fault, "context", None), getattr(fault, "problem", None)]
    return ", ".join(part for part in parts if part) or "it cannot be read"


class _TreeBuilder:
    """Takes the parser's events one by one and grows the tree."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.root: Node | None = None
        # What is open, from the outermost to the innermost, and what takes the next node for each; at first the root.
        self._open: list[Node] = []
        self._takers: list[Callable[[Node], None]] = [self._take_root]
        self._steps: dict[type, Callable[[Any], None]] = {
            yaml.StreamStartEvent: _pass_over,
            yaml.StreamEndEvent: _pass_over,
            yaml.DocumentStartEvent: self._start_document,
            yaml.DocumentEndEvent: _pass_over,
            yaml.ScalarEvent: self._take_scalar,
            yaml.MappingStartEvent: self._open_mapping,
            yaml.SequenceStartEvent: self._open_list,
            yaml.MappingEndEvent: self._close,
            yaml.SequenceEndEvent: self._close,
            yaml.AliasEvent: self._refuse_alias,
        }

    def take_all(self, events: Iterable[Any]) -> None:
        """Read every event. Raises: _Stop, and whatever the parser raises."""
        steps = self._steps
        for event in events:
            steps[event.__class__](event)

    def _start_document(self, event: Any) -> None:
        if self.root is not None:
            place = _place(event)
            self.report.add(place, "several-documents", "one file holds one document; nothing may follow '---' here")
            raise _Stop

    def _take_root(self, node: Node) -> None:
        self.root = node

    # Most of a document are scalars, so this one does without further calls.
    def _take_scalar(self, event: Any) -> None:
        start, end = event.start_mark, event.end_mark
        line, column = start.line, start.column
        width = end.column - column if end.line == line else WHOLE_LINE
        node = ScalarNode(line + 1, column + 1, width, False, event.value, not event.style)
        if event.anchor is not None or event.tag is not None:
            self._refuse_properties(node, event)
        self._takers[-1](node)

    def _open_mapping(self, event: Any) -> None:
        start = event.start_mark
        node = MappingNode(start.line + 1, start.column + 1)
        self._descend(node, _OpenMapping(node, self.report).take, event)

    def _open_list(self, event: Any) -> None:
        start = event.start_mark
        node = ListNode(start.line + 1, start.column + 1)
        self._descend(node, node.items.append, event)

    def _descend(self, node: Node, take: Callable[[Node], None], event: Any) -> None:
        self._refuse_properties(node, event)
        self._takers[-1](node)
        self._open.append(node)
        self._takers.append(take)
        if len(self._open) > MAX_DEPTH:
            self.report.add(node, "too-deep", f"the document is nested more than {MAX_DEPTH} levels deep")
            raise _Stop

    def _close(self, event: Any) -> None:
        self._takers.pop()
        node, end = self._open.pop(), event.end_mark
        node.width = end.column + 1 - node.column if end.line + 1 == node.line else WHOLE_LINE
        if isinstance(node, MappingNode):
            node.end_line, node.end_column = end.line + 1, end.column + 1

    def _refuse_alias(self, event: Any) -> None:
        place = _place(event)
        self.report.add(place, "anchor", f"'*{quoted(event.anchor)[1:]} repeats an anchor; write the value out")
        self._takers[-1](ScalarNode(place.line, place.column, place.width, is_faulty=True))

    def _refuse_properties(self, node: Node, event: Any) -> None:
        if event.anchor is not None:
            self.report.add(node, "anchor", "anchors ('&name') are not read; write the value where it is used")
        if event.tag is not None:
            self.report.add(node, "tag", f"tags ({quoted(event.tag)}) are not read; the field decides the type")


def _pass_over(event: Any) -> None:
    """Where the text begins and ends says nothing."""


def _place(event: Any) -> Node:
    start, end = event.start_mark, event.end_mark
    return Node(start.line + 1, start.column + 1, max(1, end.column - start.column) if end.line == start.line else 1)


class _OpenMapping:
    """A mapping whose end has not come yet: keys and values come in turn."""

    def __init__(self, node: MappingNode, report: Report) -> None:
        self.node = node
        self._report = report
        self._key: Node | None = None

    def take(self, node: Node) -> None:
        key, self._key = self._key, node
        if key is None:
            return
        self._key = None
        entries = self.node.entries
        if not isinstance(key, ScalarNode):
            self._report.add(key, "wrong-type", "a key is a single word, not a list or a mapping")
        elif key.text in entries:
            first = entries[key.text][0]
            self._report.add(key, "duplicate-key", f"{quoted(key.text)} stands already in line {first.line}")
        elif key.text == "<<" and key.is_plain:
            self._report.add(key, "merge-key", "merge keys ('<<') are not read; write the lines where they belong")
        elif not key.is_faulty:
            entries[key.text] = (key, node)
