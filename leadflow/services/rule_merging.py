"""Two edits of one document put together: by its parts, so that each rule is one person's or the other's, never a mix.

A part is a rule with the comments above it, or one of the document's other entries (`lists`, `tests`, …).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# `- rule: its-id` in any depth, and an entry of the document itself.
_RULE = re.compile(r"^\s*-\s+rule:\s*[\"']?([^\s\"'#]+)")
_ENTRY = re.compile(r"^([A-Za-z_]\w*):(?:\s|$)")
_BESIDE = re.compile(r"^\s*(#.*)?$")

HEAD = ""


@dataclass(frozen=True, slots=True)
class Dispute:
    """A part that both have changed, each in another way; None where somebody took it out."""

    part: str
    mine: str | None
    theirs: str | None

    @property
    def rule(self) -> str | None:
        """The id of the rule; None for another part of the document."""
        return self.part.removeprefix("rule ") if self.part.startswith("rule ") else None


@dataclass(frozen=True, slots=True)
class Merge:
    """Both edits in one text. With `disputes` it has my side of those parts, and is to be used only knowingly."""

    text: str
    disputes: tuple[Dispute, ...] = ()

    @property
    def is_clean(self) -> bool:
        return not self.disputes


def merge_documents(base: str, mine: str, theirs: str) -> Merge:
    """What I made of `base`, with what the others made of it meanwhile."""
    if theirs == base or mine == theirs:
        return Merge(mine)
    if mine == base:
        return Merge(theirs)
    old, own, other = (dict(_parts(text)) for text in (base, mine, theirs))
    chosen: dict[str, str] = {}
    disputes = []
    for part in _in_order(list(own), list(other)):
        before, here, there = old.get(part), own.get(part), other.get(part)
        kept = there if here == before else here
        if here != before and there != before and here != there:
            disputes.append(Dispute(part, here, there))
        if kept is not None:
            chosen[part] = kept
    return Merge("".join(_with_line_end(one) for one in chosen.values()), tuple(disputes))


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """The document cut into its parts, in their order; a name that comes again is told apart by a number."""
    lines = text.splitlines(keepends=True)
    starts = [(0, HEAD), *_starts(lines)]
    seen: dict[str, int] = {}
    for (begin, name), (end, _) in zip(starts, [*starts[1:], (len(lines), "")], strict=True):
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name} #{seen[name]}", "".join(lines[begin:end])


def _starts(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Where each part begins: the comments and blank lines above belong to it."""
    for number, line in enumerate(lines):
        found = _RULE.match(line) or _ENTRY.match(line)
        if found is None:
            continue
        begin = number
        while begin and _BESIDE.match(lines[begin - 1]):
            begin -= 1
        yield begin, f"rule {found[1]}" if found.re is _RULE else found[1]


def _in_order(own: Sequence[str], other: Sequence[str]) -> list[str]:
    """The other's order, with what only I have behind what it follows in mine."""
    order = list(other)
    for index, part in enumerate(own):
        if part not in order:
            before = next((one for one in reversed(own[:index]) if one in order), None)
            order.insert(order.index(before) + 1 if before is not None else 0, part)
    return order


def _with_line_end(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
