"""What the README shows is run: its rules are parsed, its commands exist."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from leadflow.cli import main
from leadflow.rules.parsing import parse_documents
from leadflow.rules.problems import render_text
from leadflow.services.configuration import read_configuration
from leadflow.services.installation import configured_catalogue

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def catalogue():
    return configured_catalogue(read_configuration(ROOT / "config", {}))


@pytest.mark.parametrize("document", blocks("yaml"))
def test_each_rule_is_one_that_leadflow_takes(document, catalogue):
    assert render_text(parse_documents({"readme.yaml": document}, catalogue).problems) == ""


def test_the_mistake_is_shown_as_the_readme_says(catalogue):
    shown = next(block for block in blocks("text") if "error[" in block).splitlines()
    line_number, line = int(shown[0].split(":")[1]), re.sub(r"^ *\d+ \| ", "", shown[1])
    document = blocks("yaml")[0].splitlines()
    document[line_number - 1] = line

    problems = parse_documents({"rules/demo.yaml": "\n".join(document)}, catalogue).problems

    assert render_text(problems).splitlines()[: len(shown)] == shown


@pytest.mark.parametrize(
    "command", sorted({line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()})
)
def test_each_command_exists(command):
    words = command.split()
    if not words or words[0] != "leadflow":
        return
    names = [word for word in words[1:3] if re.fullmatch(r"[a-z-]+", word)]
    for depth in range(len(names), 0, -1):
        result = CliRunner().invoke(main, [*names[:depth], "--help"])
        if result.exit_code == 0:
            return
    pytest.fail(f"{command}: {result.output}")
