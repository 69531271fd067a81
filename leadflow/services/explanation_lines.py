"""An explanation as lines of text, for the command line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from leadflow.services.explain import change_words
from leadflow.services.explanations import ClauseView, Explanation

GROUPS = {"all": "all of these:", "any": "at least one of these:", "none": "none of these:"}


def explanation_lines(found: Explanation) -> Iterator[str]:
    """The story of one rule and one record, line by line."""
    yield f"Rule {found.rule} ({found.status}), if its trigger occurred now: {found.sentence}"
    for note in (*found.notes, *found.assumed):
        yield f"  {note}"
    yield from _clauses(found.clauses, 1)
    if found.error:
        yield f"  {found.error}"
    if found.guard:
        yield f"  {found.guard}"
    if found.limited_until:
        yield f"  It may act again from {found.limited_until:%Y-%m-%d %H:%M} UTC on."
    yield from (f"  → {change_words(one)}" for one in found.changes)
    if found.nearest:
        yield "  Nearest miss; the rule would act if:"
        yield from (f"    • {one.words}" for one in found.nearest.needs)
    if found.hindrance:
        yield f"  {found.hindrance}"


def _clauses(clauses: Iterable[ClauseView], depth: int) -> Iterator[str]:
    for one in clauses:
        indent, mark = "  " * depth, "✓" if one.holds else "✗"
        if one.kind == "clause":
            yield f"{indent}{mark} {one.label} {one.test}: it is {one.shown}"
        else:
            name = GROUPS.get(one.kind, f"the {one.kind} “{one.label}”:")
            yield f"{indent}{mark} {name}"
            yield from _clauses(one.parts, depth + 1)
