"""`segments`: conditions with a name. Each is read once, in its own document; rules name them in any number."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from leadflow.rules.conditions import Condition, leaves_of
from leadflow.rules.nodes import MappingNode, Node, ScalarNode
from leadflow.rules.parsing.conditions import read_condition
from leadflow.rules.parsing.document import Segment
from leadflow.rules.parsing.selections import SelectionFinder
from leadflow.rules.problems import quoted
from leadflow.rules.reading import ANY_SCOPE, Reader

MAX_DEPTH = 8
MAX_CLAUSES = 1_000


def declare_segments(reader: Reader, node: Node) -> dict[str, Segment]:
    """The segments of a document by name, not read yet."""
    if not isinstance(node, MappingNode):
        reader.add(node, "wrong-type", "segments is written as 'name: {all: […]}' lines")
        return {}
    return {name: Segment(name, value, reader) for name, (_, value) in node.entries.items()}


class SegmentFinder:
    """Finds the segments that one document may name. `reading` are those being read, of all documents."""

    def __init__(self, reader: Reader, segments: Mapping[str, Segment], reading: list[Segment]) -> None:
        self._reader = reader
        self._segments = segments
        self._reading = reading
        self._selections = SelectionFinder(reader)

    def find(self, kind: str, node: ScalarNode) -> Condition | None:
        """The condition that `node` names; None after a problem."""
        if kind == "selection":
            return self._selections.find(node)
        if node.text.strip() in self._segments:
            return self._take(self._segments[node.text.strip()], node)
        message = f"there is no segment {quoted(node.text)}"
        near = self._reader.nearest(node.text, self._segments)
        self._reader.add(node, "unknown-segment", message, suggestion=near, allowed=self._segments)
        return None

    def _take(self, segment: Segment, place: Node) -> Condition | None:
        """The segment's condition, for what stands at `place`: a rule, or the segment that is being read."""
        if segment in self._reading:
            circle = [*self._reading[self._reading.index(segment) :], segment]
            shown = " → ".join(one.name for one in circle)
            self._reader.add(place, "segment-circle", f"these segments ask for each other in a circle: {shown}")
            return None
        if not segment.is_read and len(self._reading) < MAX_DEPTH:
            self._read(segment)
        if segment.is_read and segment.condition is None:
            return None
        if self._reading:
            self._reading[-1].depth = max(self._reading[-1].depth, segment.depth + 1)
        if not segment.is_read or (self._reading and self._reading[-1].depth > MAX_DEPTH):
            self._reader.add(place, "too-deep", f"segments ask for segments more than {MAX_DEPTH} levels deep")
            return None
        return segment.condition

    def require(self, segment: Segment) -> None:
        """Have the segment read: its mistakes are told whether somebody asks for it or not."""
        if not segment.is_read:
            self._read(segment)

    def _read(self, segment: Segment) -> None:
        """With everything that any trigger might bring; what a rule lacks is told where the rule asks for it."""
        self._reading.append(segment)
        condition = read_condition(segment.reader, segment.node, ANY_SCOPE)
        self._reading.pop()
        segment.is_read = True
        segment.condition = condition if has_few_clauses(segment.reader, segment.node, condition) else None


def has_few_clauses(reader: Reader, node: Node, condition: Condition | None) -> bool:
    """Whether a condition has no more clauses than a trace can show, those of its segments included."""
    if sum(1 for _ in islice(leaves_of(condition), MAX_CLAUSES + 1)) <= MAX_CLAUSES:
        return True
    reader.add(node, "too-many-clauses", f"this comes to more than {MAX_CLAUSES:,} clauses, with those of its segments")
    return False
