"""A recorded test written into the document of its rule: below the rule, as its author would have."""

from __future__ import annotations

import re
from collections.abc import Sequence

from leadflow.rules.parsing.outline import outline_of

_KEY = re.compile(r"^(\s*)(- )?([A-Za-z_]\w*):(.*)$")
INDENT = "  "


def with_test(text: str, slug: str, recorded: str) -> str:
    """The document `text` with the test of the document `recorded`: below rule `slug`, or where that cannot be
    done, among the tests of the document."""
    head, test = _test_of(recorded)
    written = _below_rule(text, slug, head, test)
    if written is not None and _is_sound(text, written):
        return written
    return _at_the_end(text, head, test)


def _test_of(recorded: str) -> tuple[list[str], list[str]]:
    """The comments above the recorded test, and its lines."""
    lines = recorded.rstrip("\n").split("\n")
    head = [line for line in lines if line.startswith("#")]
    return head, lines[lines.index("tests:") + 1 :]


def _is_sound(before: str, after: str) -> bool:
    """The document still has the same rules."""
    old, new = (outline_of("text", one).rules for one in (before, after))
    return bool(new) and [one.slug for one in old] == [one.slug for one in new]


def _below_rule(text: str, slug: str, head: Sequence[str], test: Sequence[str]) -> str | None:
    """The test as the last one of the rule; None where the rule is not written line by line."""
    lines = text.rstrip("\n").split("\n")
    start = next((number for number, line in enumerate(lines) if _begins(line, slug)), None)
    if start is None:
        return None
    dash = len(lines[start]) - len(lines[start].lstrip())
    key = dash + len(re.match(r"-\s+", lines[start].lstrip())[0])  # type: ignore[index]
    end = _end_of(lines, start, dash)
    own = [number for number in range(start, end) if (found := _KEY.match(lines[number])) and found[3] == "tests"]
    at = next((number for number in own if len(lines[number]) - len(lines[number].lstrip()) == key), None)
    unnamed = [line for line in test if line.strip() != f"rule: {slug}"]
    if at is None:
        new = [f"{' ' * key}tests:", *_indented([*head, *unnamed], key + len(INDENT))]
        return "\n".join([*lines[:end], *new, *lines[end:]]) + "\n"
    if lines[at].split("#")[0].strip() != "tests:":
        return None
    stop = _end_of(lines, at, key)
    items = next((line for line in lines[at + 1 : stop] if line.lstrip().startswith("- ")), None)
    depth = len(items) - len(items.lstrip()) if items is not None else key + len(INDENT)
    return "\n".join([*lines[:stop], *_indented([*head, *unnamed], depth), *lines[stop:]]) + "\n"


def _begins(line: str, slug: str) -> bool:
    found = re.match(r"^\s*-\s+rule:\s*[\"']?([^\s\"'#]+)", line)
    return found is not None and found[1] == slug


def _end_of(lines: Sequence[str], start: int, depth: int) -> int:
    """The line behind what belongs to `start`, which is `depth` columns in: deeper lines, and for a key without a
    value also items as deep as itself. Blank lines and comments at the end stay with what follows."""
    is_key = not lines[start].lstrip().startswith("- ")
    end = start + 1
    for number, line in enumerate(lines[start + 1 :], start + 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if indent < depth or (indent == depth and not (is_key and line.lstrip().startswith("- "))):
            break
        end = number + 1
    return end


def _indented(lines: Sequence[str], depth: int) -> list[str]:
    return [" " * depth + line if line else line for line in lines]


def _at_the_end(text: str, head: Sequence[str], test: Sequence[str]) -> str:
    """The test among those of the document, which name their rule."""
    lines = text.rstrip("\n").split("\n")
    at = next((number for number, line in enumerate(lines) if re.match(r"^tests:\s*(#.*)?$", line)), None)
    if at is None:
        return "\n".join([*lines, "", "tests:", *_indented([*head, *test], 2)]) + "\n"
    stop = _end_of(lines, at, 0)
    items = next((line for line in lines[at + 1 : stop] if line.lstrip().startswith("- ")), "  - ")
    depth = len(items) - len(items.lstrip())
    return "\n".join([*lines[:stop], *_indented([*head, *test], depth), *lines[stop:]]) + "\n"
