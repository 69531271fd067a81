"""A document on its way to rules, and the names that it declares for itself and for documents that use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from leadflow.rules.conditions import Condition
from leadflow.rules.model import Rule
from leadflow.rules.nodes import Node, ScalarNode
from leadflow.rules.reading import Reader


@dataclass(slots=True, eq=False)
class Segment:
    """A named condition. It is read once, where it stands, when somebody first asks for it.

    `depth` is how many segments deep it goes, itself included.
    """

    name: str
    node: Node
    reader: Reader
    is_read: bool = False
    condition: Condition | None = None
    depth: int = 1


@dataclass(slots=True, eq=False)
class Document:
    """One document: its top entries, what it declares under which name, and which documents it uses at which place.

    `root` is None where the text could not be read at all.
    """

    reader: Reader
    root: Node | None = None
    given: dict[str, Node] = field(default_factory=dict)
    zone: tzinfo | None = None
    uses: list[tuple[ScalarNode, Document]] = field(default_factory=list)
    lists: dict[str, Sequence[Node]] = field(default_factory=dict)
    segments: dict[str, Segment] = field(default_factory=dict)
    groups: dict[str, ScalarNode] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    slugs: list[ScalarNode] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.reader.file
