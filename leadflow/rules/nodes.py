"""A document as a tree of nodes with places: what the parser reads and what every problem points at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leadflow.rules.problems import Report


@dataclass(slots=True)
class Node:
    """A piece of a document. `line` and `column` count from 1; `width` is how much of that line it covers.

    A faulty node already has its problem; nothing more is said about it.
    """

    line: int
    column: int
    width: int = 1
    is_faulty: bool = False


@dataclass(slots=True)
class ScalarNode(Node):
    """One text, as written: YAML's guesses at numbers, dates and truth are not asked for."""

    text: str = ""
    is_plain: bool = True

    @property
    def is_blank(self) -> bool:
        """Nothing, white space, or YAML's own words for nothing (which in quotes are ordinary text)."""
        return not self.text.strip() or (self.is_plain and self.text in ("~", "null", "Null", "NULL"))


@dataclass(slots=True)
class SharedNode(ScalarNode):
    """A value of a named list, which other documents may use: a problem with it belongs to its `home`."""

    home: Report | None = None


@dataclass(slots=True)
class ListNode(Node):
    """`[a, b]` or lines with dashes."""

    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class MappingNode(Node):
    """`key: value` lines; keys are distinct. `end_line` and `end_column` is where the next thing begins."""

    entries: dict[str, tuple[ScalarNode, Node]] = field(default_factory=dict)
    end_line: int = 0
    end_column: int = 0
