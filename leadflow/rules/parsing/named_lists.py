"""`lists`: values with a name, written in the document or in a text file with one of them a line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from leadflow.domain.text import clean_text
from leadflow.rules.nodes import MappingNode, Node, ScalarNode, SharedNode
from leadflow.rules.parsing.paths import find_file
from leadflow.rules.parsing.yaml_tree import decode
from leadflow.rules.problems import Report, quoted
from leadflow.rules.reading import Reader

LIST_FILE_SUFFIX = ".txt"
MAX_LIST_BYTES = 1024 * 1024

# A comment begins at the start of a line or after a blank, as in YAML.
_COMMENT = re.compile(r"(?:^|\s)#.*")


class ListFile:
    """A text file of values: one a line; blank lines and what follows a `#` count for nothing."""

    def __init__(self, name: str, content: str | bytes) -> None:
        decoded = decode(content, MAX_LIST_BYTES)
        self.report = Report(name, decoded.text)
        self._is_readable = decoded.is_clean(self.report)

    @cached_property
    def values(self) -> Sequence[Node]:
        """The values at their places; a problem if there is none."""
        if not self._is_readable:
            return ()
        values = [one for number, line in enumerate(self.report.lines, 1) if (one := self._read_line(number, line))]
        if not values:
            self.report.add(Node(1, 1), "empty-list", f"{self.report.file} has no values: write one a line")
        return values

    def _read_line(self, number: int, line: str) -> Node | None:
        value = _COMMENT.sub("", line).strip()
        if not value:
            return None
        column = line.index(value) + 1
        return SharedNode(number, column, len(value), text=clean_text(value) or "", is_plain=False, home=self.report)


def read_lists(reader: Reader, node: Node, files: Mapping[str, ListFile]) -> dict[str, Sequence[Node]]:
    """The named lists of a document. Clauses read the values by the kind of their field; here they are only texts."""
    if not isinstance(node, MappingNode):
        reader.add(node, "wrong-type", "lists is written as 'name: [value, value]' lines")
        return {}
    return {name: _read_list(reader, name, value, files) for name, (_, value) in node.entries.items()}


def _read_list(reader: Reader, name: str, node: Node, files: Mapping[str, ListFile]) -> Sequence[Node]:
    what = f"the list {quoted(name)}"
    if isinstance(node, MappingNode):
        given = reader.entries(node, what, ("file",), ("file",))
        file = find_file(reader, given["file"], "file", files) if given and "file" in given else None
        return files[file].values if file else ()
    if isinstance(node, ScalarNode):
        message = f"{what} is written as [value, value], or as the file of its values: {{file: lists/{name}.txt}}"
        reader.add(node, "wrong-type", message)
        return ()
    items = reader.items(node, what)
    values = [item for item in items if reader.text(item, f"a value of {what}") and isinstance(item, ScalarNode)]
    return [
        SharedNode(one.line, one.column, one.width, one.is_faulty, one.text, one.is_plain, reader) for one in values
    ]
