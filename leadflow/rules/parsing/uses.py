"""`use`: which documents a document takes lists and segments from."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TypeVar

from leadflow.rules.nodes import Node, ScalarNode
from leadflow.rules.parsing.document import Document
from leadflow.rules.parsing.paths import find_file
from leadflow.rules.problems import quoted

# What a document may have that others use.
SHARED_KEYS = ("leadflow", "use", "settings", "lists", "segments")

Named = TypeVar("Named")


def link_uses(documents: Mapping[str, Document]) -> None:
    """Follow every `use` to its document; what is not there, what is no document to use, and circles are problems."""
    for document in documents.values():
        if "use" in document.given:
            for item in document.reader.items(document.given["use"], "use"):
                _follow(document, item, documents)
    for document in documents.values():
        for place, used in document.uses:
            _check_use(document, place, used)


def _follow(document: Document, item: Node, documents: Mapping[str, Document]) -> None:
    name = find_file(document.reader, item, "a document under 'use'", documents)
    if name is None or not isinstance(item, ScalarNode):
        return
    if any(used is documents[name] for _, used in document.uses):
        document.reader.add(item, "duplicate-use", f"{quoted(name)} is used already")
    else:
        document.uses.append((item, documents[name]))


def _check_use(document: Document, place: ScalarNode, used: Document) -> None:
    if circle := _way(used, document):
        shown = " → ".join(one.name for one in [document, *circle])
        document.reader.add(place, "use-circle", f"these documents use each other in a circle: {shown}")
    elif further := [key for key in used.given if key not in SHARED_KEYS]:
        message = f"{quoted(used.name)} has {further[0]}; a document that others use has lists and segments only"
        document.reader.add(place, "not-shared", message)


def _way(start: Document, end: Document) -> list[Document]:
    """The shortest way from one document to another along `use`, both included; empty if there is none."""
    came_from: dict[Document, Document | None] = {start: None}
    waiting = deque([start])
    while waiting and end not in came_from:
        one = waiting.popleft()
        for _, used in one.uses:
            if used not in came_from:
                came_from[used] = one
                waiting.append(used)
    way, step = [], end if end in came_from else None
    while step is not None:
        way.append(step)
        step = came_from[step]
    return way[::-1]


def names_for(document: Document, what: str, declared: Callable[[Document], Mapping[str, Named]]) -> dict[str, Named]:
    """What the document may name: its own, and what the documents that it uses declare themselves.

    A name that stands in two of them is a problem at the `use` that brings it a second time.
    """
    found = dict(declared(document))
    homes = dict.fromkeys(found, document)
    for place, used in document.uses:
        for name, one in declared(used).items():
            if name in found and homes[name] is not used:
                message = f"the {what} {quoted(name)} of {used.name} stands in {homes[name].name} too"
                document.reader.add(place, "duplicate-name", message)
            found.setdefault(name, one)
            homes.setdefault(name, used)
    return found
