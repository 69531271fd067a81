"""Conditions as JSON: the same grammar, read by the same parser, with every problem at its JSON pointer.

Searches come from screens as well as from programs: a criterion whose value is left empty is inactive, not a mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any

from leadflow.domain.fields import Catalogue
from leadflow.rules.conditions import Condition
from leadflow.rules.nodes import Node
from leadflow.rules.parsing.document import Document, Segment
from leadflow.rules.parsing.documents import open_documents, share_names
from leadflow.rules.parsing.segments import SegmentFinder
from leadflow.rules.parsing.selections import read_json
from leadflow.rules.reading import Reader


@dataclass(frozen=True)
class Names:
    """What a condition outside of any document may name: the segments and lists of all documents, and their zone."""

    zone: tzinfo = UTC
    segments: Mapping[str, Segment] = field(default_factory=dict)
    lists: Mapping[str, Sequence[Node]] = field(default_factory=dict)


def names_of_documents(documents: Mapping[str, str | bytes], catalogue: Catalogue) -> Names:
    """The names that these documents declare; one that two of them declare is nobody's."""
    read, _ = open_documents(documents, catalogue)
    share_names(read.values())
    zone = next((one.zone for one in read.values() if one.zone and "rules" in one.given), UTC)
    return Names(
        zone,
        _unambiguous([one.segments for one in read.values()]),
        _unambiguous([_lists(one) for one in read.values()]),
    )


def _lists(document: Document) -> Mapping[str, Sequence[Node]]:
    return document.lists


def _unambiguous(declared: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = [name for one in declared for name in one]
    return {name: value for one in declared for name, value in one.items() if names.count(name) == 1}


def read_json_condition(
    document: object, catalogue: Catalogue, roots: frozenset[str], names: Names, pointer: str = "/where"
) -> Condition | None:
    """The condition; None, which everything satisfies, if no criterion is active.

    Raises: InvalidRequest with every problem, each at its JSON pointer.
    """
    reader = Reader("", "", catalogue)
    reader.zone, reader.lists = names.zone, names.lists
    reader.find_named = SegmentFinder(reader, names.segments, []).find
    return read_json(reader, document, roots, pointer)
