"""The JSON Schema of whole rule documents, generated from what the parser knows: one source, two faces."""

from __future__ import annotations

import json
from typing import Any

from leadflow.domain.fields import Catalogue
from leadflow.rules.model import IfRunning, RuleStatus
from leadflow.rules.parsing.documents import DOCUMENT_KEYS, GRAMMAR_VERSION
from leadflow.rules.parsing.rule import MAX_SLUG_LENGTH, REQUIRED_KEYS, RULE_KEYS
from leadflow.rules.parsing.uses import SHARED_KEYS
from leadflow.rules.schema.actions import ACTION, one_action, then
from leadflow.rules.schema.conditions import CONDITION, condition_definitions
from leadflow.rules.schema.tests import TEST, test_definitions
from leadflow.rules.schema.triggers import trigger_definitions, when
from leadflow.rules.schema.values import (
    Schema,
    described,
    duration,
    flag,
    listed,
    mapping,
    moment,
    number,
    reference,
    text,
    words,
)

DIALECT = "http://json-schema.org/draft-07/schema#"
RULE = "rule"
MAX_LINE = 120

STATUS_MEANINGS = {
    RuleStatus.DRAFT: "It is checked, but it does not run.",
    RuleStatus.SHADOW: "It runs on what really happens and records what it would do; it writes nothing.",
    RuleStatus.PROPOSE: "It asks a person, who accepts, changes or declines.",
    RuleStatus.LIVE: "It acts. This is what a rule without a status is.",
    RuleStatus.OFF: "It rests.",
}
IF_RUNNING_MEANINGS = {
    IfRunning.SKIP: "The new start is skipped; the one that waits goes on. This is the default.",
    IfRunning.RESTART: "The one that waits is given up; the wait begins anew.",
    IfRunning.QUEUE: "The new start waits until the other one is done.",
    IfRunning.PARALLEL: "Both run beside each other.",
}


def make_schema(catalogue: Catalogue) -> Schema:
    """The schema of the rule documents of an installation with this catalogue. Equal catalogues make equal schemas."""
    keys = _document_keys()
    return {
        "$schema": DIALECT,
        "title": "leadflow rules",
        "description": f"A rule document of leadflow, grammar {GRAMMAR_VERSION}.",
        **mapping({key: keys[key] for key in DOCUMENT_KEYS}, "leadflow"),
        "anyOf": [{"required": [key]} for key in ("rules", "tests", *SHARED_KEYS[1:])],
        "definitions": {
            RULE: _rule(),
            **trigger_definitions(catalogue),
            ACTION: one_action(catalogue),
            **condition_definitions(catalogue),
            **test_definitions(catalogue),
        },
    }


def render_schema(catalogue: Catalogue) -> str:
    """The schema as the text of a file: what is short stands in one line, so that a difference can be read."""
    return "\n".join(_lines_of(make_schema(catalogue), "")) + "\n"


def _lines_of(value: Any, indent: str) -> list[str]:
    """The JSON of a value, in as few lines as are short."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= MAX_LINE or not value or not isinstance(value, dict | list):
        return [line]
    if isinstance(value, list):
        parts = [_lines_of(item, indent + " ") for item in value]
    else:
        parts = [_prefixed(f"{json.dumps(key)}: ", _lines_of(item, indent + " ")) for key, item in value.items()]
    inner = [f" {text}" for part in parts[:-1] for text in (*part[:-1], part[-1] + ",")]
    opening, closing = "[]" if isinstance(value, list) else "{}"
    return [opening, *inner, *(f" {text}" for text in parts[-1]), closing]


def _prefixed(key: str, lines: list[str]) -> list[str]:
    return [key + lines[0], *lines[1:]]


def _document_keys() -> dict[str, Schema]:
    return {
        "leadflow": {
            "description": "The version of the rule language.",
            "type": ["integer", "string"],
            "enum": [int(GRAMMAR_VERSION), GRAMMAR_VERSION],
        },
        "use": listed(text()) | {"description": "Documents whose lists and segments this one takes."},
        "settings": mapping(
            {"timezone": text("What plain dates and times of day mean: Europe/Oslo.")},
            minProperties=0,
            description="Settings of this document.",
        ),
        "vars": _named(text(), "Values with a name: `nurture_gap: 90 days`, meant wherever $nurture_gap stands alone."),
        "lists": _named(_list(), "Lists of values that clauses name: `domain_in: freemail`."),
        "segments": _named(reference(CONDITION), "Conditions with a name that rules share: `segment: open_prospect`."),
        "groups": _named(
            mapping({"pick": words(("first",), {"first": "Of its rules that match, the first one acts."})}, "pick"),
            "Groups of rules of which only the first that matches acts.",
        ),
        "rules": listed(reference(RULE)) | {"description": "The rules; each begins with `- rule: its-id`."},
        "tests": listed(reference(TEST)) | {"description": "Tests of rules; each begins with `- test: what it shows`."},
    }


def _named(value: Schema, description: str) -> Schema:
    return {"description": description, "type": "object", "additionalProperties": value}


def _list() -> Schema:
    """Values, or the name of a text file with one of them a line."""
    in_file = mapping({"file": text("A text file beside the documents, one value a line.")}, "file")
    return listed(text()) | in_file | {"type": ["array", "object"]}


def _rule() -> Schema:
    keys = _rule_keys()
    listens_to_schedule = {"type": "object", "required": ["schedule"]}
    is_scheduled = {
        "required": ["when"],
        "properties": {
            "when": {"anyOf": [listens_to_schedule, {"type": "array", "contains": listens_to_schedule}]},
        },
    }
    needs_limit = {
        "if": is_scheduled,
        "then": {"required": ["limit"], "properties": {"when": {"maxItems": 1}}},
    }
    waits = {"properties": {"then": {"contains": {"type": "object", "required": ["wait"]}}}}
    return mapping(
        {key: keys[key] for key in RULE_KEYS}, *REQUIRED_KEYS, allOf=[needs_limit], dependencies={"if_running": waits}
    )


def _rule_keys() -> dict[str, Schema]:
    return {
        "rule": {
            "description": "The id of the rule: small letters, digits and single hyphens. It is never used again.",
            "type": ["string", "number"],
            "pattern": r"^\s*[a-z0-9]+(-[a-z0-9]+)*\s*$",
            "patternErrorMessage": "small letters, digits and single hyphens, such as demo-to-mql",
            "maxLength": MAX_SLUG_LENGTH,
        },
        "title": text("What people read: one short sentence."),
        "why": text("Why the rule exists, and who agreed to it."),
        "owner": text("Who answers for the rule."),
        "status": described(words(*_told(STATUS_MEANINGS)), "Whether the rule acts."),
        "starts": described(moment(), "The first day on which the rule acts."),
        "ends": described(moment(), "The last day on which the rule acts."),
        "group": text("One of `groups`: only its first matching rule acts."),
        "priority": described(number(0, 100), "0 to 100, 50 if nothing is said; higher ones are tried first."),
        "when": when(),
        "if": reference(CONDITION, "What must hold. Without it the rule always acts."),
        "then": then(),
        "limit": _limit(),
        "if_running": described(words(*_told(IF_RUNNING_MEANINGS)), "What a new start does while the rule waits."),
        "also_from_rules": described(flag(), "Whether changes made by other rules count."),
        "include_import": described(flag(), "Whether changes made by an import count."),
        "tests": listed(reference(TEST)) | {"description": "Examples of what the rule does and does not do."},
    }


def _told(meanings: dict[RuleStatus, str] | dict[IfRunning, str]) -> tuple[list[str], dict[str, str]]:
    return [one.value for one in meanings], {one.value: meaning for one, meaning in meanings.items()}


def _limit() -> Schema:
    keys = {
        "once_per": described(words(("company", "contact")), "Whom the rule acts on once."),
        "within": duration("In this stretch of time; ever, if nothing is said."),
    }
    return mapping(keys, "once_per", description="How often the rule may act.")
