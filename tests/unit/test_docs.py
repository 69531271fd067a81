"""What the documentation shows is run: its rules are parsed and tested, its commands exist, its reference is fresh."""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator

from leadflow.cli import main
from leadflow.domain.events import Trigger
from leadflow.domain.fields import Catalogue, Kind
from leadflow.rules import examples, meanings
from leadflow.rules.actions import ACTIONS
from leadflow.rules.linting import lint
from leadflow.rules.model import IfRunning, Outcome, RuleStatus
from leadflow.rules.operators import OPERATORS_OF
from leadflow.rules.parsing import ParsedRules, parse_documents
from leadflow.rules.parsing.rule import RULE_KEYS
from leadflow.rules.problems import render_text
from leadflow.rules.reading import RECORD_ROOTS
from leadflow.rules.reference import example_fields, example_of, render_reference
from leadflow.rules.schema import make_schema
from leadflow.rules.templates import FILTERS
from leadflow.services.configuration import read_configuration, read_rule_documents
from leadflow.services.installation import configured_catalogue, configured_setting
from leadflow.services.rule_tests import ground_of_configuration, run_tests
from tests.support.editor_yaml import load_as_an_editor

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
GUIDE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
CONFIGURATION = read_configuration(ROOT / "config", {})
CATALOGUE = configured_catalogue(CONFIGURATION)
SHARED = {
    name: text
    for name, text in read_rule_documents(ROOT / "config" / "rules").items()
    if name.startswith(("shared/", "lists/"))
}


@dataclass(frozen=True)
class Block:
    """A piece of YAML, and what it is a piece of: a document, or a part named in a comment before it."""

    line: int
    part: str
    text: str

    @property
    def document(self) -> str:
        """The block as a whole document."""
        match self.part.split():
            case ["document"]:
                return self.text
            case ["rule"]:
                return "leadflow: 1\nrules:\n  - " + textwrap.indent(self.text, "    ").lstrip()
            case ["clauses"]:
                return _rule(clauses=self.text)
            case ["when"]:
                return _rule(when=self.text)
            case ["then"]:
                return _rule(then=self.text)
            case ["tests", "of", slug]:
                owner = next(one.text for one in blocks() if f"rule: {slug}\n" in one.text)
                return f"{owner}tests:\n" + self.text.replace("- test: ", f"- rule: {slug}\n  test: ")
        raise ValueError(f"docs/rules.md:{self.line}: nobody knows what a {self.part} is")


def _rule(when: str = "", clauses: str = "", then: str = "") -> str:
    parts = {"when": when or "form_submitted: any\n", "then": then or "- add_tag: x\n"}
    if clauses:
        parts["if"] = "all:\n" + textwrap.indent(clauses, "  ")
    lines = "".join(f"    {key}:\n{textwrap.indent(text, '      ')}" for key, text in parts.items())
    limit = "    limit: {once_per: contact}\n" if "schedule:" in when else ""
    return f"leadflow: 1\nrules:\n  - rule: shown\n{lines}{limit}"


def blocks() -> list[Block]:
    found = re.finditer(r"(?:^<!-- fragment: (.+?) -->\n)?^```yaml\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    return [Block(GUIDE.count("\n", 0, one.start()) + 1, one[1] or "document", one[2]) for one in found]


def documents_of(text: str) -> dict[str, str]:
    """The document beside the shipped lists, and the shipped segments if it uses them."""
    beside = {name: content for name, content in SHARED.items() if name in text or name.endswith(".txt")}
    return {**beside, "shown.yaml": text}


def parse(text: str) -> ParsedRules:
    return parse_documents(documents_of(text), CATALOGUE)


# -- the guide ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", blocks(), ids=lambda one: f"line {one.line}")
def test_each_rule_in_the_guide_is_one_that_leadflow_takes(block):
    assert render_text(parse(block.document).problems) == ""


@pytest.mark.parametrize("block", blocks(), ids=lambda one: f"line {one.line}")
def test_no_rule_in_the_guide_contradicts_itself_or_loses_to_another(block):
    documents = documents_of(block.document)
    found = lint(parse(block.document).rule_set, documents, configured_setting(CONFIGURATION, NOW))

    assert render_text(one for one in found if one.severity != "note") == ""


@pytest.mark.parametrize("block", blocks(), ids=lambda one: f"line {one.line}")
def test_editors_take_it_too(block):
    validator = Draft7Validator(make_schema(CATALOGUE))

    assert [one.message for one in validator.iter_errors(load_as_an_editor(block.document))] == []


@pytest.mark.parametrize(
    "block",
    [one for one in blocks() if re.search(r"^ *(tests:|- test:)", one.text, re.MULTILINE)],
    ids=lambda one: f"line {one.line}",
)
def test_each_test_in_the_guide_passes(block):
    report = run_tests(parse(block.document), ground_of_configuration(CONFIGURATION))
    results = [result for rule in report.rules for result in rule.results]

    assert results
    assert [(one.test.name, one.faults) for one in results if not one.is_ok] == []


def test_the_six_classic_rules_are_complete():
    classic = [one for one in blocks() if "rule: classic-" in one.text]
    parsed = [parse(one.document) for one in classic]

    assert len(classic) == 6
    assert all(rule.title != rule.slug and rule.why and rule.owner for one in parsed for rule in one.rule_set.rules)
    assert all(len(one.tests) >= 2 for one in parsed)


def test_the_mistake_is_shown_as_the_guide_says():
    (shown,) = re.findall(r"<!-- mistake -->\n```text\n(.*?)```", GUIDE, re.DOTALL)
    rule = textwrap.dedent("""\
        leadflow: 1
        rules:
          - rule: a
            when: {form_submitted: any}
            if:
              all:
                - company.category: [Leed]
            then: [{add_tag: x}]
        """)

    problems = parse_documents({"first.yaml": rule}, CATALOGUE).problems

    assert render_text(problems).splitlines()[:4] == shown.splitlines()


def commands() -> list[str]:
    shells = re.findall(r"^```sh\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    lines = [line.partition("#")[0].strip() for shell in shells for line in shell.splitlines()]
    inline = re.findall(r"`(leadflow [a-z][^`]*)`", GUIDE + REFERENCE)
    return sorted({line for line in (*lines, *inline) if line})


@pytest.mark.parametrize("command", commands())
def test_each_command_in_the_docs_is_a_real_one(command):
    """With its subcommand and its options: what follows is only asked for help, nothing is done."""
    program, *rest = command.split()
    names = [word for word in rest[:2] if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")]
    if rest[0] not in main.commands:
        pytest.fail(f"there is no command {command}")
    is_group = hasattr(main.commands[rest[0]], "commands")
    shown = CliRunner().invoke(main, [*names[: 2 if is_group else 1], "--help"])

    assert program == "leadflow"
    assert shown.exit_code == 0, shown.output
    assert all(option in shown.output for option in re.findall(r"--[a-z-]+", command))


def test_links_lead_somewhere():
    for page, text in {"rules.md": GUIDE, "reference.md": REFERENCE}.items():
        for target in re.findall(r"\]\(([^)]+)\)", text):
            name, _, anchor = target.partition("#")
            other = (ROOT / "docs" / (name or page)).read_text(encoding="utf-8")
            assert not anchor or anchor in {anchor_of(title) for title in re.findall(r"^#+ (.+)$", other, re.MULTILINE)}


def anchor_of(title: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


# -- the reference -----------------------------------------------------------------------------------------------------


def test_the_reference_is_what_the_code_says_of_itself():
    assert render_reference(CATALOGUE) == REFERENCE, "run `make docs`"


def test_the_reference_names_everything():
    words = [one.value for kind in (Trigger, RuleStatus, IfRunning, Outcome) for one in kind]
    words += [*RULE_KEYS, *FILTERS, *(one.path for one in CATALOGUE.fields.values())]
    words += [name for operators in OPERATORS_OF.values() for name in operators]

    assert [word for word in words if f"`{word}`" not in REFERENCE] == []
    assert [one.name for one in ACTIONS if f"### {one.name}\n" not in REFERENCE] == []
    assert set(meanings.OUTCOME_MEANINGS) == set(Outcome)
    assert set(examples.ACTION_EXAMPLES) == {one.name for one in ACTIONS}


@pytest.mark.parametrize("kind", Kind)
def test_each_operator_is_shown_by_an_example_that_leadflow_takes(kind):
    field, other = example_fields(CATALOGUE, kind)
    known = Catalogue({**CATALOGUE.fields, field.path: field, other.path: other}, CATALOGUE.events)
    for operator in OPERATORS_OF[kind].values():
        example = example_of(operator, field, other)
        when = "record_changed: [company.category]\n" if field.root in RECORD_ROOTS else "form_submitted: any\n"
        if example is not None:
            document = _rule(when, f"- {example}\n", "- add_tag: {tag: x, of: company}\n")
            assert render_text(parse_documents({"a.yaml": document}, known).problems) == ""


@pytest.mark.parametrize("example", examples.TRIGGER_EXAMPLES.values())
def test_each_trigger_is_shown_by_an_example_that_leadflow_takes(example):
    document = _rule(f"{example}\n", then="- add_tag: {tag: x, of: company}\n")

    assert render_text(parse_documents({"a.yaml": document}, CATALOGUE).problems) == ""


@pytest.mark.parametrize(("name", "example"), examples.CLAUSE_EXAMPLES.items())
def test_each_clause_is_shown_by_an_example_that_leadflow_takes(name, example):
    named = "segments: {open_prospect: {company.name: {exists: true}}}\n"
    codes = {
        one.code for one in parse_documents({"a.yaml": named + _rule(clauses=f"- {example}\n")}, CATALOGUE).problems
    }

    assert codes <= ({"unknown-selection"} if name == "selection" else set())


@pytest.mark.parametrize("example", examples.ACTION_EXAMPLES.values())
def test_each_action_is_shown_by_an_example_that_leadflow_takes(example):
    document = _rule(then=f"- {example}\n- add_tag: x\n")

    assert render_text(parse_documents({"a.yaml": document}, CATALOGUE).problems) == ""


# -- the codes of problems ---------------------------------------------------------------------------------------------


def codes_in_the_code() -> set[str]:
    """Every code under which the rule language reports something."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "leadflow" / "rules").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {code for node in nodes for part in parts_with_codes(node) for code in codes_of(part)}


def findings_in_the_code() -> set[str]:
    """Every code under which the checks of sound rules find something: the first argument of `find`."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "leadflow/rules/linting").glob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    finding = [one for one in calls if isinstance(one.func, ast.Attribute) and one.func.attr in ("find", "_find")]
    return {code for one in finding for code in codes_of(one.args[0])}


def parts_with_codes(node: ast.AST) -> list[ast.expr]:
    """Where a piece of code may name the code of a problem."""
    match node:
        case ast.Call(func=ast.Attribute(attr="add"), args=[_, code, *_]):
            return [code]
        case ast.Call(func=ast.Attribute(attr="problem") | ast.Name(id="FileText"), args=[*arguments]):
            return arguments
        case ast.Assign(targets=[target], value=value) if "code" in {
            getattr(one, "id", "") for one in ast.walk(target)
        }:
            return [value]
        case _:
            return []


def codes_of(node: ast.expr) -> set[str]:
    texts = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return {text for text in texts if re.fullmatch(r"[a-z]+(-[a-z]+)*", text)}


# Codes that are put together: `unknown-{kind}`, `duplicate-{what}`.
COMPOSED = {
    "unknown-segment",
    "unknown-selection",
    "duplicate-rule",
    "duplicate-group",
    "unknown-channel",
    "unknown-endpoint",
}


def test_every_code_of_a_problem_is_explained():
    codes = {one for one in codes_in_the_code() if "-" in one or one in ("syntax", "anchor", "tag", "encoding")}

    assert len(codes) > 50
    assert (codes | COMPOSED) - meanings.ERROR_MEANINGS.keys() == set()
    assert meanings.ERROR_MEANINGS.keys() - (codes | COMPOSED) == set(), "nothing reports these any more"


def test_everything_that_checks_find_is_explained():
    assert findings_in_the_code() == meanings.FINDING_MEANINGS.keys()
