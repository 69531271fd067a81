"""The JSON Schema of rule documents: it takes what the parser takes, and sees the mistakes that a schema can see."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft7Validator

from leadflow.cli import main
from leadflow.domain.events import Trigger
from leadflow.domain.fields import Kind
from leadflow.rules.actions import ACTIONS
from leadflow.rules.operators import OPERATORS, OPERATORS_OF
from leadflow.rules.parsing import parse_documents
from leadflow.rules.parsing.special import SPECIAL
from leadflow.rules.schema import actions, conditions, make_schema, operands, render_schema, triggers
from leadflow.services.configuration import read_configuration, read_rule_documents
from leadflow.services.installation import configured_catalogue
from tests.support.editor_yaml import load_as_an_editor
from tests.unit.rules.given import CATALOGUE, document_with
from tests.unit.rules.test_problems import MISTAKES

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "config" / "rules" / "schema" / "leadflow-1.json"
SCHEMA = make_schema(CATALOGUE)
VALIDATOR = Draft7Validator(SCHEMA)

# Mistakes of YAML itself: there is no value to hold against a schema, or it is lost before.
UNREAD = {
    "syntax",
    "anchor",
    "tag",
    "merge-key",
    "duplicate-key",
    "several-documents",
    "control-character",
    "too-deep",
    "too-large",
    "encoding",
}

# What takes more than the shape of a document to see: the code, why, and a document that shows it.
ELSEWHERE = "its name is given elsewhere"
ONE_RULE = "leadflow: 1\nrules: [{rule: a, when: {sale: sold}, %s then: [{add_tag: x}]}]\n"
BEYOND_A_SCHEMA = {
    "unavailable-field": ("it depends on the trigger", ONE_RULE % "if: {form.email: {exists: true}},"),
    "no-contact": (
        "it depends on the trigger",
        document_with("{company.name: x}", "{manual: company}", "[{set_lead_status: Open}]"),
    ),
    "bad-template": (
        "templates have a language of their own",
        document_with("{form.email: a@b.example}", then='[{add_tag: "{{ form.phone }}"}]'),
    ),
    "empty-range": ("it compares values", document_with("{company.fields.employees: {between: [5, 1]}}")),
    "duplicate-rule": (
        "it compares values",
        "leadflow: 1\nrules:\n" + 2 * "  - {rule: a, when: {sale: sold}, then: [{add_tag: x}]}\n",
    ),
    "duplicate-value": (
        "it compares names in any case",
        document_with("{company.name: x}", then="[{assign_owner: {round_robin: [anna, ANNA, bert]}}]"),
    ),
    "unknown-list": (ELSEWHERE, document_with("{company.name: {in: friends}}")),
    "unknown-group": (ELSEWHERE, ONE_RULE % "group: b,"),
    "unknown-segment": (ELSEWHERE, document_with("{segment: friends}")),
    "unknown-selection": (ELSEWHERE, document_with("{selection: friends}")),
    "unknown-variable": (ELSEWHERE, document_with("{contact.created_at: {older_than: $gap}}")),
    "unknown-file": (ELSEWHERE, "lists: {a: {file: b.txt}}\n" + ONE_RULE % ""),
    "segment-circle": (ELSEWHERE, "segments: {s: {segment: s}}\n" + ONE_RULE % ""),
    "useless-wait": (
        "it would have to know the last of several actions",
        document_with("{company.name: x}", then="[{wait: 3 days}]"),
    ),
}

# Single mistakes of classes that the schema sees otherwise.
UNSEEN = {
    "on: 2026-02-30": "a calendar",
    "9999-12-31": "a calendar",
    "{changed: true}": "only under record_changed",
    "etc/passwd": "a list of time zones",
    "timezone: Europe}": "a list of time zones",
    '"a\\0b"': "characters",
    "vars: {gap: soon}": "where the variable is meant",
    "if_running: skip": "there is no `then` in it",
    "segments: {}": "whether another document uses it",
    "{{ form.emial }}": "templates have a language of their own",
}


def faults(document: str, validator: Draft7Validator = VALIDATOR) -> list[str]:
    return [f"{one.json_path}: {one.message}" for one in validator.iter_errors(load_as_an_editor(document))]


def faults_like(document: str, code: str) -> list[str]:
    """The faults, less those of keys that are missing: most of the small mistakes lack `when` and `then` besides."""
    found = VALIDATOR.iter_errors(load_as_an_editor(document))
    return [one.message for one in found if one.validator != "required" or code == "missing-key"]


def has_a_value(text: str) -> bool:
    try:
        load_as_an_editor(text)
    except yaml.YAMLError:
        return False
    return True


def codes_of(text: str) -> set[str]:
    return {one.code for one in parse_documents({"a.yaml": text}, CATALOGUE).problems}


READABLE_MISTAKES = [
    (text, code) for text, _, code in MISTAKES if code not in UNREAD and has_a_value(text) and code in codes_of(text)
]


@pytest.mark.parametrize(("text", "code"), READABLE_MISTAKES, ids=range(len(READABLE_MISTAKES)))
def test_what_the_parser_refuses_the_schema_refuses_where_it_can(text, code):
    codes = codes_of(text) - {"missing-key"}
    is_beyond = bool(codes) and codes <= BEYOND_A_SCHEMA.keys()

    assert faults_like(text, code) or is_beyond or any(one in text for one in UNSEEN)


@pytest.mark.parametrize("code", BEYOND_A_SCHEMA)
def test_what_a_schema_cannot_see_is_listed_with_the_reason(code):
    why, text = BEYOND_A_SCHEMA[code]

    assert why
    assert codes_of(text) == {code}
    assert faults(text) == []


def test_the_file_with_twelve_mistakes_is_marked_at_each_line_that_a_schema_can_see():
    text = (Path(__file__).parent / "twelve_mistakes.yaml").read_text()
    found = "\n".join(faults(text))

    for word in ("titel", "Leed", "company.catgory", "lt", "3 months", "many", "None", "set_categry"):
        assert word in found


# -- what the parser takes, the schema takes ---------------------------------------------------------------------------


def shipped_documents() -> dict[str, str]:
    found = read_rule_documents(ROOT / "config" / "rules")
    return {name: text for name, text in found.items() if not name.endswith(".txt")}


@pytest.mark.parametrize("name", shipped_documents())
def test_the_shipped_rules_are_taken(name):
    schema = make_schema(configured_catalogue(read_configuration(ROOT / "config", {})))

    assert faults(shipped_documents()[name], Draft7Validator(schema)) == []


def texts_in_tests() -> list[str]:
    """Every text in the tests of the rule language that is a rule document or a condition."""
    found: set[str] = set()
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {node.value, document_with(node.value)}
                found.add(document_with("{company.name: x}", then=node.value))
                found.add(document_with("{company.name: {exists: true}}", when=node.value))
    return sorted(found)


def test_whatever_the_tests_of_the_language_parse_is_taken():
    taken = [text for text in texts_in_tests() if not parse_documents({"a.yaml": text}, CATALOGUE).problems]

    assert len(taken) > 60
    assert {text: found for text in taken if (found := faults(text))} == {}


# -- every operator with every kind of operand, both ways --------------------------------------------------------------

FIELDS = (
    "company.category",
    "company.name",
    "company.tags",
    "company.do_not_automate",
    "company.open_sales",
    "company.created_at",
    "company.fields.founded",
    "company.fields.website",
    "company.fields.tier",
    "contact.email",
    "contact.lead_status",
    "form.submitted_at",
)
OPERANDS = (
    *(
        "x",
        "'x'",
        "5",
        "'5'",
        "-1.5",
        "1e3",
        "1_000",
        "+7",
        "0",
        "1",
        "true",
        "True",
        "no",
        "'yes'",
        "off",
        "maybe",
    ),
    *(
        "~",
        "''",
        "' '",
        "[]",
        "{}",
        "[x]",
        "[x, '']",
        "[x, ~]",
        "[[x]]",
        "{a: b}",
        "[5, 7]",
        "[7, 5]",
        "[5]",
        "[1, 2, 3]",
    ),
    *(
        "Lead",
        "lead",
        "LEAD",
        "mql",
        "'Lost  opportunity'",
        "Leed",
        "Suspect",
        "[Lead, MQL]",
        "[Lead, x]",
        "blank",
        "[blank, Lead]",
    ),
    *("Open", "re-nurture", "[Open, x]", "Gold", "b", "customer", "Potential Customer", "[lost, partner]", "prospects"),
    *("90 days", "1 day", "2 WEEKS", "3 hour", "0 days", "90", "3 months", "days", "1day", "[1 day]"),
    *("2026-03-01", "'2026-03-01'", "2026-03-01 14:30", "2026-03-01T14:30:00Z", "soon", "14:30"),
    *("[2026-03-01, 2026-04-01]", "[2026-04-01, 2026-03-01]", "[2026-03-01]", "[soon, 2026-03-01]"),
    *("example.com", "'@Example.COM.'", "[example.com, b.example]", "[gmail]", "[a@b.com]", "domains"),
    *("a*", "'*'", "company.owner", "before.company.owner", "company.category", "contact.lead_status", "company.nam"),
    *("contact.created_at", "company.open_sales", "company.tags", "company.do_not_automate", "form.email"),
)
WATCHED = "{record_changed: [company.category]}"
ON_CLAUSES = Draft7Validator({"$ref": "#/definitions/condition", "definitions": SCHEMA["definitions"]})

# What the schema lets pass here: names of lists, order of values, the calendar, the range of dates.
LET_PASS = {"unknown-list", "empty-range", "unavailable-field"}


def clauses_of(path: str) -> list[str]:
    """Each operator on the field, and the field alone, with each operand."""
    names = [*OPERATORS_OF[CATALOGUE.fields[path].kind], "or_blank", "isnt"]
    alone = [f"{{{path}: {operand}}}" for operand in OPERANDS]
    return alone + [f"{{{path}: {{{name}: {operand}}}}}" for name in names for operand in OPERANDS]


def parsed_codes(clause: str) -> set[str]:
    return codes_of(document_with(clause, WATCHED, "[{add_tag: {tag: x, of: company}}]"))


@pytest.mark.parametrize("path", FIELDS)
def test_parser_and_schema_take_the_same_tests_of_a_field(path):
    refused_by_schema, let_pass = [], []
    for clause in clauses_of(path):
        codes, is_taken = parsed_codes(clause), ON_CLAUSES.is_valid(load_as_an_editor(clause))
        if not codes and not is_taken:
            refused_by_schema.append(clause)
        if codes - LET_PASS and is_taken:
            let_pass.append((clause, codes))

    assert refused_by_schema == []
    assert let_pass == []


def test_the_fields_above_are_of_every_kind():
    assert {CATALOGUE.fields[path].kind for path in FIELDS} == set(Kind)


# -- what people see of it ---------------------------------------------------------------------------------------------


def test_every_field_operator_trigger_and_action_is_explained():
    definitions = SCHEMA["definitions"]
    explained = [definitions[name]["properties"] for name in ("condition", "rule", "trigger", "action")]
    explained += [
        one["properties"] for name, one in definitions.items() if name.startswith("test of ") and " rule" not in name
    ]

    assert [key for keys in explained for key, told in keys.items() if not told.get("description")] == []
    assert {one.name for one in OPERATORS} <= {key for keys in explained for key in keys}
    assert set(definitions["action"]["properties"]) == {one.name for one in ACTIONS}
    assert set(definitions["trigger"]["properties"]) == {one.value for one in Trigger}


@pytest.mark.parametrize(
    ("faces", "wanted"),
    [
        (operands.FACES, {type(one.operand) for one in OPERATORS}),
        (conditions.SPECIAL_FACES, set(SPECIAL)),
        (triggers.FACES, set(Trigger)),
        (actions.FACES, {one.name for one in ACTIONS}),
    ],
)
def test_everything_that_the_parser_knows_has_a_face_and_nothing_else_has(faces, wanted):
    assert set(faces) == wanted


def test_an_editor_offers_names_keys_and_short_names():
    value = SCHEMA["definitions"]["value of company.category"]

    assert {"Marketing qualified lead", "mql", "MQL"} <= set(value["anyOf"][0]["enum"])


def test_a_rule_that_asks_what_happens_while_it_waits_must_wait():
    actions_of = "leadflow: 1\nrules: [{rule: a, when: {sale: sold}, if_running: restart, then: [%s {add_tag: x}]}]"

    assert faults(actions_of % "{wait: 3 days},") == []
    assert faults(actions_of % "") != []


def test_every_pattern_is_one_that_editors_read_too():
    """They run JavaScript's: a backslash stands only before what has a meaning of its own."""
    patterns = [one for one in values_under(SCHEMA, "pattern") if isinstance(one, str)]
    escaped = {mark for pattern in patterns for mark in re.findall(r"\\(.)", pattern)}

    assert patterns
    assert escaped <= set("sS^$.|?*+()[]{}/\\")


def values_under(schema: object, key: str) -> Iterator[object]:
    if isinstance(schema, dict):
        yield from (value for name, value in schema.items() if name == key)
        schema = list(schema.values())
    for inner in schema if isinstance(schema, list) else ():
        yield from values_under(inner, key)


def test_it_is_a_schema_and_all_its_references_lead_somewhere():
    Draft7Validator.check_schema(SCHEMA)
    names = {str(one).removeprefix("#/definitions/") for one in values_under(SCHEMA, "$ref")}

    assert names <= SCHEMA["definitions"].keys()
    assert SCHEMA["definitions"].keys() - names == set(), "nobody refers to these"


def test_the_committed_schema_is_that_of_the_shipped_configuration():
    catalogue = configured_catalogue(read_configuration(ROOT / "config", {}))

    assert COMMITTED.read_text(encoding="utf-8") == render_schema(catalogue), "run `make docs`"
    assert json.loads(render_schema(catalogue)) == make_schema(catalogue)


def test_the_schema_beside_the_rules_is_no_rule_document():
    assert COMMITTED.is_file()
    assert all(name.endswith((".yaml", ".yml")) for name in shipped_documents())


@pytest.mark.parametrize("name", shipped_documents())
def test_each_shipped_document_tells_editors_where_the_schema_is(name):
    first = shipped_documents()[name].splitlines()[0]

    assert first.startswith("# yaml-language-server: $schema=")
    assert (ROOT / "config" / "rules" / name).parent.joinpath(first.partition("=")[2]).resolve() == COMMITTED


def test_the_command_writes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADFLOW_CONFIG", str(ROOT / "config"))
    written = tmp_path / "deep" / "schema.json"

    shown = CliRunner().invoke(main, ["schema"])
    told = CliRunner().invoke(main, ["schema", "--output", str(written)])

    assert (shown.exit_code, told.exit_code) == (0, 0)
    assert shown.output == written.read_text(encoding="utf-8") == COMMITTED.read_text(encoding="utf-8")
