"""Writing a document back: one rule gets other entries, and nothing else of the text changes, comments included.

The text is never written anew. What differs between the entries as they stand and as they are wanted is changed at its
place, one difference after the other, and the text is read again after each; the last reading is the proof.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import yaml

from leadflow.errors import LeadflowError
from leadflow.rules.parsing.rule import RULE_KEYS

# A rule's entry as plain data: a text, a list of entries, or entries by key.
Plain = str | list[Any] | dict[str, Any]

MAX_EDITS = 200
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Plain scalars that do not mean the text that they are.
_MEANINGFUL = re.compile(r"~|null|Null|NULL|<<|\$.*", re.DOTALL)


class Unwritable(LeadflowError):
    """The edit cannot be put into the text; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class _Edit:
    """Another text between two places."""

    start: int
    end: int
    text: str


def entries_of(text: str, slug: str) -> dict[str, Any] | None:
    """The entries of a rule as plain data, in their order; None where there is no such rule, or no YAML."""
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    node = _rule_node(root, slug)
    found = None if node is None else _plain(node)
    return found if isinstance(found, dict) else None


def part_at(text: str, slug: str, line: int, column: int) -> tuple[str, int | None] | None:
    """Which entry of the rule a place is in, and which item of its list; None outside the rule. Both count from 1."""
    try:
        node = _rule_node(yaml.compose(text, Loader=_LOADER), slug)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    here = (line - 1, column - 1)
    if node is None or not _at(node) <= here <= (node.end_mark.line, node.end_mark.column):
        return None
    found = [(str(key.value), value) for key, value in node.value if _at(key) <= here]
    if not found:
        return None
    name, value = found[-1]
    if name == "if" and isinstance(value, yaml.MappingNode) and len(value.value) == 1:
        value = value.value[0][1]
    items = value.value if isinstance(value, yaml.SequenceNode) else []
    before = [number for number, item in enumerate(items) if _at(item) <= here]
    return name, before[-1] if before else None


def _at(node: Any) -> tuple[int, int]:
    return node.start_mark.line, node.start_mark.column


def rewrite_rule(text: str, slug: str, wanted: Mapping[str, Any]) -> str:
    """The text with other entries in one rule. Raises: Unwritable."""
    before = _outside(text, slug)
    for _ in range(MAX_EDITS):
        root = yaml.compose(text, Loader=_LOADER)
        node = _rule_node(root, slug)
        if node is None:
            raise Unwritable(f"The rule {slug} is not in the document any more.")
        edit = next(_Writer(text).differences(node, wanted), None)
        if edit is None:
            break
        text = text[: edit.start] + edit.text + text[edit.end :]
    _prove(text, slug, wanted, before)
    return text


def _prove(text: str, slug: str, wanted: Mapping[str, Any], before: Any) -> None:
    try:
        is_right = entries_of(text, slug) == dict(wanted) and _outside(text, slug) == before
    except yaml.YAMLError:
        is_right = False
    if not is_right:
        raise Unwritable("This edit cannot be put into the text without touching more of it; write it in the YAML.")


def _outside(text: str, slug: str) -> Any:
    """Everything of the document but the rule."""
    root = yaml.compose(text, Loader=_LOADER)
    plain = _plain(root)
    for rule in plain.get("rules", ()) if isinstance(plain, dict) else ():
        if isinstance(rule, dict) and rule.get("rule") == slug:
            rule.clear()
    return plain


def _rule_node(root: Any, slug: str) -> Any:
    rules = _value_of(root, "rules")
    for item in rules.value if isinstance(rules, yaml.SequenceNode) else ():
        name = _value_of(item, "rule")
        if isinstance(name, yaml.ScalarNode) and name.value.strip() == slug:
            return item
    return None


def _value_of(node: Any, key: str) -> Any:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for one, value in pairs if isinstance(one, yaml.ScalarNode) and one.value == key), None)


def _plain(node: Any) -> Any:
    match node:
        case yaml.ScalarNode():
            return node.value
        case yaml.SequenceNode():
            return [_plain(one) for one in node.value]
        case yaml.MappingNode():
            return {str(key.value): _plain(value) for key, value in node.value}
        case _:
            return None


# -- differences -------------------------------------------------------------------------------------------------------


class _Writer:
    """Finds the first place of a text that is not as wanted, and what has to stand there."""

    def __init__(self, text: str) -> None:
        self._text = text

    def differences(self, node: Any, wanted: Any, in_flow: bool = False) -> Iterator[_Edit]:
        """The edits that the node needs; only the first one is right, as it moves the places of the others."""
        if _plain(node) == wanted:
            return
        in_flow = in_flow or bool(getattr(node, "flow_style", False))
        match node, wanted:
            case yaml.MappingNode(), dict():
                yield from self._in_mapping(node, wanted, in_flow)
            case yaml.SequenceNode(), list():
                yield from self._in_list(node, wanted, in_flow)
            case _:
                yield self._instead(node, wanted, in_flow)

    def _instead(self, node: Any, wanted: Any, in_flow: bool) -> _Edit:
        style = node.style if isinstance(node, yaml.ScalarNode) and isinstance(wanted, str) else None
        start, end = node.start_mark.index, self._end(node)
        if not isinstance(node, yaml.ScalarNode) and not node.flow_style:
            line = self._line_start(start)
            if not self._text[line:start].strip():  # a block below its key: what replaces it follows the key
                start = len(self._text[:line].rstrip())
                return _Edit(start, end, f" {written(wanted, in_flow=in_flow)}")
        text = written(wanted, in_flow=in_flow, style=style)
        gap = " " if start and self._text[start - 1] == ":" else ""
        return _Edit(start, end, gap + text)

    # -- mappings --------------------------------------------------------------------------------------------------

    def _in_mapping(self, node: Any, wanted: Mapping[str, Any], in_flow: bool) -> Iterator[_Edit]:
        present = {str(key.value): (key, value) for key, value in node.value}
        for place, (key, value) in enumerate(node.value):
            if str(key.value) not in wanted:
                yield self._without_entry(node, place)
            else:
                yield from self.differences(value, wanted[str(key.value)], in_flow)
        for key in wanted:
            if key not in present:
                yield self._with_entry(node, key, wanted[key], in_flow)

    def _without_entry(self, node: Any, place: int) -> _Edit:
        key, value = node.value[place]
        if len(node.value) == 1:
            return _Edit(node.start_mark.index, self._end(node), "{}")
        if node.flow_style or self._text[self._line_start(key.start_mark.index) : key.start_mark.index].strip():
            return self._without_part([(one.start_mark.index, self._end(two)) for one, two in node.value], place)
        return self._without_lines(key.start_mark.index, self._end(value))

    def _with_entry(self, node: Any, key: str, value: Any, in_flow: bool) -> _Edit:
        place = self._place_for(node, key)
        if node.flow_style:
            text = f"{written(key, in_flow=True)}: {written(value, in_flow=True)}"
            if not node.value:
                return _Edit(node.start_mark.index + 1, node.end_mark.index - 1, text)
            if place == 0:
                start = node.value[0][0].start_mark.index
                return _Edit(start, start, f"{text}, ")
            end = self._end(node.value[place - 1][1])
            return _Edit(end, end, f", {text}")
        indent = " " * node.start_mark.column
        end = self._line_end(self._end(node.value[max(place, 1) - 1][1]))
        return _Edit(end, end, "".join(f"\n{indent}{line}" for line in block_lines({key: value})))

    @staticmethod
    def _place_for(node: Any, key: str) -> int:
        """Behind the keys that people write before this one; at the end for a key without a fixed place."""
        names = [str(one.value) for one, _ in node.value]
        if key not in RULE_KEYS or "rule" not in names:
            return len(names)
        earlier = RULE_KEYS[: RULE_KEYS.index(key)]
        return max((place + 1 for place, name in enumerate(names) if name in earlier), default=len(names))

    # -- lists -----------------------------------------------------------------------------------------------------

    def _in_list(self, node: Any, wanted: Sequence[Any], in_flow: bool) -> Iterator[_Edit]:
        have = [json.dumps(_plain(one)) for one in node.value]
        want = [json.dumps(one) for one in wanted]
        if len(have) == len(want):
            for one, value in zip(node.value, wanted, strict=True):
                yield from self.differences(one, value, in_flow)
            return
        for kind, first, last, new_first, new_last in SequenceMatcher(None, have, want, autojunk=False).get_opcodes():
            shared = min(last - first, new_last - new_first) if kind == "replace" else 0
            for number in range(shared):
                yield from self.differences(node.value[first + number], wanted[new_first + number], in_flow)
            if kind != "equal" and last - first > shared:
                yield self._without_item(node, first + shared)
            if kind != "equal" and new_last - new_first > shared:
                yield self._with_item(node, first + shared, wanted[new_first + shared])

    def _without_item(self, node: Any, place: int) -> _Edit:
        item = node.value[place]
        if node.flow_style:
            spans = [(one.start_mark.index, self._end(one)) for one in node.value]
            return self._without_part(spans, place)
        return self._without_lines(item.start_mark.index, self._end(item))

    def _with_item(self, node: Any, place: int, value: Any) -> _Edit:
        if node.flow_style or not node.value:
            text = written(value, in_flow=True)
            if not node.value:
                return _Edit(node.start_mark.index, node.end_mark.index, f"[{text}]")
            if place == 0:
                start = node.value[0].start_mark.index
                return _Edit(start, start, f"{text}, ")
            end = self._end(node.value[place - 1])
            return _Edit(end, end, f", {text}")
        indent = " " * node.start_mark.column
        first, *others = block_lines(value)
        lines = [f"{indent}- {first}", *(f"{indent}  {line}" for line in others)]
        if place == 0:
            start = self._line_start(node.start_mark.index)
            if self._text[start : node.start_mark.index].strip():
                raise Unwritable("Lists of lists are written in the YAML.")
            return _Edit(start, start, "".join(f"{line}\n" for line in lines))
        end = self._line_end(self._end(node.value[place - 1]))
        return _Edit(end, end, "".join(f"\n{line}" for line in lines))

    # -- places ----------------------------------------------------------------------------------------------------

    def _end(self, node: Any) -> int:
        """Where what the node says ends; a block's own mark stands where the next thing begins."""
        if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
            start: int = node.start_mark.index
            end: int = node.end_mark.index
            return start + len(self._text[start:end].rstrip())
        last = node.value[-1]
        return self._end(last[1] if isinstance(last, tuple) else last)

    def _line_start(self, index: int) -> int:
        return self._text.rfind("\n", 0, index) + 1

    def _line_end(self, index: int) -> int:
        """The end of the line, its comment included."""
        end = self._text.find("\n", index)
        end = len(self._text) if end < 0 else end
        return end - 1 if self._text[end - 1 : end] == "\r" else end

    def _without_lines(self, start: int, end: int) -> _Edit:
        last = self._text.find("\n", end)
        return _Edit(self._line_start(start), len(self._text) if last < 0 else last + 1, "")

    @staticmethod
    def _without_part(spans: Sequence[tuple[int, int]], place: int) -> _Edit:
        """Out of `a, b, c`, or of keys of which the first stands behind a dash."""
        if place + 1 < len(spans):
            return _Edit(spans[place][0], spans[place + 1][0], "")
        return _Edit(spans[place - 1][1] if place else spans[place][0], spans[place][1], "")


# -- writing -----------------------------------------------------------------------------------------------------------


def block_lines(value: Any) -> list[str]:
    """An entry over several lines, its keys below each other; what is in them stands in braces."""
    if not isinstance(value, dict) or not value:
        return [written(value)]
    return [f"{written(key)}: {written(one)}" for key, one in value.items()]


def written(value: Any, *, in_flow: bool = False, style: str | None = None) -> str:
    """A value as YAML in one line; a text without quotes where that means the same."""
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{written(k, in_flow=True)}: {written(v, in_flow=True)}" for k, v in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(written(one, in_flow=True) for one in value) + "]"
    text = str(value)
    if style == "'" and "\n" not in text and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    if style != '"' and _is_safe(text, in_flow):
        return text
    return json.dumps(text, ensure_ascii=False)


def _is_safe(text: str, in_flow: bool) -> bool:
    """Whether the text without quotes is read as itself."""
    is_variable = bool(re.fullmatch(r"\$[A-Za-z_][\w-]*", text))
    if not text or not text.isprintable() or (_MEANINGFUL.fullmatch(text) and not is_variable):
        return False
    try:
        read: Any = yaml.compose(f"[{text}]" if in_flow else f"a: {text}", Loader=_LOADER)
    except yaml.YAMLError:
        return False
    node = read.value[0] if in_flow and len(read.value) == 1 else None if in_flow else read.value[0][1]
    return isinstance(node, yaml.ScalarNode) and node.value == text and not node.style
