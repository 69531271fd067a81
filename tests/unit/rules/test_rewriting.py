"""A form writes a rule back: unchanged entries leave every byte, a changed one touches its own place alone."""

from __future__ import annotations

import copy
from difflib import SequenceMatcher
from pathlib import Path
from random import Random
from typing import Any

import pytest

from leadflow.rules.parsing.outline import outline_of
from leadflow.rules.parsing.rewriting import Unwritable, entries_of, rewrite_rule

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = [
    *(one for one in sorted((ROOT / "config" / "rules").glob("*.yaml")) if ".test" not in one.name),
    *(one for one in sorted((ROOT / "tests" / "cases").glob("*.yaml")) if ".test" not in one.name),
]
RULES = [(path, rule.slug) for path in DOCUMENTS for rule in outline_of(path.name, path.read_text()).rules]
TEXTS = ("plain", "with: colon", "a, b", "#hash", "it's", '"quoted"', "- dash", "ä ö", "[x]", "null", "yes", "5", "{a}")


@pytest.mark.parametrize(("path", "slug"), RULES, ids=[slug for _, slug in RULES])
def test_a_rule_that_is_not_changed_stays_as_it_is_to_the_byte(path: Path, slug: str) -> None:
    text = path.read_text()

    assert rewrite_rule(text, slug, entries_of(text, slug) or {}) == text


@pytest.mark.parametrize(("path", "slug"), RULES, ids=[slug for _, slug in RULES])
def test_another_title_changes_that_line_alone(path: Path, slug: str) -> None:
    text = path.read_text()
    entries = entries_of(text, slug) or {}

    changed = rewrite_rule(text, slug, {**entries, "title": "Another: title"})

    before, after = text.splitlines(), changed.splitlines()
    edits = [one for one in SequenceMatcher(None, before, after, autojunk=False).get_opcodes() if one[0] != "equal"]
    assert [(last - first, new_last - new_first) for _, first, last, new_first, new_last in edits] in (
        [(1, 1)],
        [(0, 1)],
    )
    assert entries_of(changed, slug) == {**entries, "title": "Another: title"}


def test_random_edits_mean_what_was_asked_for_and_keep_every_comment() -> None:
    random, refused = Random(4), 0
    for _ in range(600):
        path, slug = random.choice(RULES)
        text = path.read_text()
        wanted = mutated(random, entries_of(text, slug) or {})
        try:
            changed = rewrite_rule(text, slug, wanted)
        except Unwritable:
            refused += 1
            continue
        assert entries_of(changed, slug) == wanted
        own = [line for line in text.splitlines() if line.lstrip().startswith("#")]
        assert [line for line in changed.splitlines() if line.lstrip().startswith("#")] == own
    assert refused == 0


def mutated(random: Random, entries: dict[str, Any]) -> dict[str, Any]:
    """One to three random changes somewhere in the rule."""
    found = copy.deepcopy({key: value for key, value in entries.items() if key != "tests"})
    for _ in range(random.randint(1, 3)):
        change(random, found, depth=0)
    return {**found, **({"tests": entries["tests"]} if "tests" in entries else {})}


def change(random: Random, node: Any, depth: int) -> None:
    if isinstance(node, dict):
        keys = [key for key in node if key != "rule"]
        if random.random() < 0.2 or not keys:
            node["within" if depth else "owner"] = random.choice(TEXTS)
        elif random.random() < 0.15 and len(node) > 1:
            del node[random.choice(keys)]
        else:
            place: Any = random.choice(keys)
            _change_at(random, node, place, depth)
    elif isinstance(node, list) and node:
        if random.random() < 0.25:
            node.insert(random.randint(0, len(node)), random.choice(("new", {"add_tag": "x, y"})))
        elif random.random() < 0.25 and len(node) > 1:
            node.pop(random.randrange(len(node)))
        else:
            _change_at(random, node, random.randrange(len(node)), depth)


def _change_at(random: Random, node: Any, place: Any, depth: int) -> None:
    if isinstance(node[place], str) or random.random() < 0.1:
        node[place] = random.choice(TEXTS)
    else:
        change(random, node[place], depth + 1)


def test_a_new_entry_stands_where_people_write_it() -> None:
    text = (
        "leadflow: 1\nrules:\n  - rule: a  # mine\n    when: {form_submitted: any}\n    then: [{add_tag: x}]\n\n# end\n"
    )

    changed = rewrite_rule(
        text, "a", {**(entries_of(text, "a") or {}), "title": "A b", "limit": {"once_per": "contact"}}
    )

    assert changed == (
        "leadflow: 1\nrules:\n  - rule: a  # mine\n    title: A b\n    when: {form_submitted: any}\n"
        "    then: [{add_tag: x}]\n    limit: {once_per: contact}\n\n# end\n"
    )
