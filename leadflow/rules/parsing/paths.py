"""How a path in a document is meant: from the root of the rules, or from the document's own folder."""

from __future__ import annotations

from collections.abc import Collection
from posixpath import dirname, join, normpath

from leadflow.rules.nodes import Node
from leadflow.rules.problems import quoted
from leadflow.rules.reading import Reader


def places_of(path: str, document: str) -> tuple[str, ...]:
    """The names that a path in a document may stand for.

    `/a.yaml` begins at the root of the rules, `./a.yaml` and `../a.yaml` at the document's folder, `a.yaml` at either.
    """
    from_root, from_here = normpath(path.removeprefix("/")), normpath(join(dirname(document), path))
    if path.startswith("/"):
        return (from_root,)
    if path.startswith(("./", "../")):
        return (from_here,)
    return tuple(dict.fromkeys((from_root, from_here)))


def find_file(reader: Reader, node: Node, what: str, names: Collection[str]) -> str | None:
    """The name that the path at `node` stands for; none, and several, are a problem."""
    path = reader.text(node, what)
    if path is None:
        return None
    found = [name for name in places_of(path, reader.file) if name in names]
    if len(found) > 1:
        message = (
            f"{quoted(path)} may be {found[0]} or {found[1]}; write '/{path}' for the first, './{path}' for the other"
        )
        reader.add(node, "ambiguous-file", message)
    elif not found:
        others = [name for name in names if name != reader.file]
        message = f"there is no {quoted(path)} among the rules, neither from their root nor beside {reader.file}"
        reader.add(node, "unknown-file", message, suggestion=reader.nearest(path, others), allowed=others)
    return found[0] if len(found) == 1 else None
