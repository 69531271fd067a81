"""Rules as people read them: the trigger in words, the source in colours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from leadflow.domain.events import Trigger
from leadflow.rules.model import Rule, TriggerFilter
from leadflow.rules.parsing import ParsedRules, parse_documents
from leadflow.store.lists import Lists
from leadflow.web.pages import rule_words, wording

SALE_STEPS = {"registered": "a sale is registered", "sold": "a sale is sold", "lost": "a sale is lost"}

# The parts of a YAML line that are coloured: a comment, a key, a quoted text.
_PARTS = re.compile(
    r"""(?P<comment>(?:^|(?<=\s))\#.*$)|(?P<key>[A-Za-z_][\w.]*(?=:(?:\s|$)))|(?P<text>"[^"]*"|'[^']*')"""
)


class _Known:
    """The lists as a cache key: the same revision is the same lists."""

    def __init__(self, lists: Lists) -> None:
        self.lists = lists

    def __hash__(self) -> int:
        return hash(self.lists.revision)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Known) and other.lists.revision == self.lists.revision


@lru_cache(maxsize=8)
def _parse(documents: tuple[tuple[str, str], ...], known: _Known) -> ParsedRules:
    return parse_documents(dict(documents), known.lists.catalogue)


def read(documents: Mapping[str, str], lists: Lists) -> ParsedRules:
    """The rules of the documents; remembered, because a page asks for them again and again."""
    return _parse(tuple(sorted(documents.items())), _Known(lists))


def titles_of(documents: Mapping[str, str], lists: Lists) -> dict[str, str]:
    """The title of each rule by its slug."""
    return {rule.slug: rule.title or rule.slug for rule in read(documents, lists).rule_set.rules}


def trigger_words(rule: Rule, lists: Lists) -> str:
    """`A form “demo-request” is sent`."""
    if rule.schedule is not None:
        text = rule_words.schedule_words(rule.schedule)
    else:
        text = ", or ".join(_trigger(one, lists) for one in rule.triggers)
    return text[:1].upper() + text[1:]


def _trigger(one: TriggerFilter, lists: Lists) -> str:
    match one.trigger:
        case Trigger.FORM_SUBMITTED:
            return _form(one.wants)
        case Trigger.SALE:
            return SALE_STEPS.get(one.wants.get("step", ""), "something happens to a sale")
        case Trigger.RECORD_CREATED:
            return f"a {one.wants.get('record', 'record')} is created"
        case Trigger.EVENT:
            name = one.wants.get("name", "")
            return f"the event “{lists.catalogue.events.get(name, name)}” happens"
        case Trigger.SCHEDULE:
            return f"on a schedule, for each {one.wants.get('record', 'record')}"
        case Trigger.MANUAL:
            return f"somebody starts it for a {one.wants.get('record', 'record')}"
        case Trigger.RECORD_CHANGED:
            return " or ".join(_watched(path, *values, lists) for path, values in one.watched.items())


def _form(wants: Mapping[str, str]) -> str:
    if form := wants.get("form"):
        return f"a form “{form}” is sent"
    if kind := wants.get("form_type"):
        return f"a form of type “{kind}” is sent"
    return "any form is sent"


def _watched(path: str, old: frozenset[object] | None, new: frozenset[object] | None, lists: Lists) -> str:
    text = f"{wording.field_label(lists, path)} changes"
    if old:
        text += f" from {_names(path, old, lists)}"
    if new:
        text += f" to {_names(path, new, lists)}"
    return text


def _names(path: str, keys: frozenset[object], lists: Lists) -> str:
    return " or ".join(sorted(wording.value_words(lists, path, key) for key in keys))


def source_lines(text: str) -> list[list[tuple[str, str]]]:
    """The text by lines, each as (style, piece); pieces without a style are plain."""
    return [_pieces(line) for line in text.rstrip("\n").split("\n")]


def _pieces(line: str) -> list[tuple[str, str]]:
    pieces, end = [], 0
    for found in _PARTS.finditer(line):
        if found.start() > end:
            pieces.append(("", line[end : found.start()]))
        pieces.append((found.lastgroup or "", found.group()))
        end = found.end()
    pieces.append(("", line[end:]))
    return [piece for piece in pieces if piece[1]]
