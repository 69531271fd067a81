"""The reference of the rule language as Markdown, from the catalogue, the operators, the triggers and the actions.

docs/reference.md is what this module makes of the shipped configuration (`make docs`).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from leadflow.domain.fields import Catalogue, Choice, Field, Kind
from leadflow.domain.lifecycle import GROUP_NAMES
from leadflow.rules.actions import ACTIONS
from leadflow.rules.actions.base import Action
from leadflow.rules.examples import ACTION_EXAMPLES, CLAUSE_EXAMPLES, TRIGGER_EXAMPLES, operand_for
from leadflow.rules.meanings import ERROR_MEANINGS, FILTER_MEANINGS, FINDING_MEANINGS, LIMITS, OUTCOME_MEANINGS
from leadflow.rules.operators import OPERATORS_OF, Operator
from leadflow.rules.reading import RECORD_ROOTS
from leadflow.rules.schema import make_schema
from leadflow.rules.schema.conditions import GROUP_MEANINGS, NAMED_MEANINGS, SPECIAL_MEANINGS, meaning_of
from leadflow.rules.schema.documents import IF_RUNNING_MEANINGS, STATUS_MEANINGS
from leadflow.rules.schema.triggers import MEANINGS as TRIGGER_MEANINGS

# Lines of a table, each cell Markdown.
Rows = Iterable[Sequence[str]]

RECORD_TITLES = {
    "company": "The company",
    "contact": "The contact",
    "form": "The form (under `form_submitted`)",
    "event": "The event (under `event`)",
    "sale": "The sale (under `sale`)",
    "user": "Who pressed the button (under `manual`)",
}

KIND_TITLES = {
    Kind.TEXT: "text",
    Kind.EMAIL: "email",
    Kind.URL: "url",
    Kind.ENUMERATION: "enumeration (one value of a list)",
    Kind.CATEGORY: "category",
    Kind.NUMBER: "number",
    Kind.BOOLEAN: "boolean (true or false)",
    Kind.DATE: "date (a day)",
    Kind.MOMENT: "moment (a day and a time)",
    Kind.LIST: "list (such as tags)",
}


def render_reference(catalogue: Catalogue) -> str:
    """The whole reference; the same catalogue always makes the same text."""
    schema = make_schema(catalogue)
    parts = [
        "# Reference of the rule language\n",
        "Made by `leadflow reference` from what leadflow knows of itself. The guide is [rules.md](rules.md).\n",
        _section("A document", _keys_of(schema)),
        _section("A rule", _keys_of(schema["definitions"]["rule"])),
        _section("Statuses", _table(("status", "meaning"), _told(STATUS_MEANINGS))),
        _section("Triggers", _triggers()),
        _section("Clauses", _clauses()),
        _section("Operators", _operators(catalogue)),
        _section("Actions", _actions(catalogue)),
        _section("Texts with fields in them", _table(("filter", "what it does"), _told(FILTER_MEANINGS))),
        _section("Fields", _fields(catalogue)),
        _section("`if_running`", _table(("word", "meaning"), _told(IF_RUNNING_MEANINGS))),
        _section("Outcomes", _table(("outcome", "meaning"), _told(OUTCOME_MEANINGS))),
        _section("Errors", _table(("code", "meaning"), _told(ERROR_MEANINGS))),
        _section("What checks find in rules without mistakes", _findings()),
        _section("Limits", _table(("what", "at most"), LIMITS)),
    ]
    return "\n".join(parts)


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}"


def _table(header: Sequence[str], rows: Rows) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(_cell(one) for one in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _told(meanings: Mapping[Any, str]) -> list[tuple[str, str]]:
    return [(f"`{one}`", meaning) for one, meaning in meanings.items()]


def _findings() -> str:
    rows = [(f"`{code}`", severity, meaning) for code, (severity, meaning) in FINDING_MEANINGS.items()]
    return _table(("code", "kind", "meaning"), rows)


def _keys_of(schema: Mapping[str, Any], what: str = "key") -> str:
    required = schema.get("required", ())
    rows = [
        (f"`{key}`{' (required)' if key in required else ''}", told.get("description", ""))
        for key, told in schema["properties"].items()
    ]
    return _table((what, "meaning"), rows)


def _triggers() -> str:
    rows = [(f"`{one}`", f"`{TRIGGER_EXAMPLES[one.value]}`", meaning) for one, meaning in TRIGGER_MEANINGS.items()]
    return _table(("trigger", "example", "meaning"), rows)


def _clauses() -> str:
    meanings = {**GROUP_MEANINGS, **SPECIAL_MEANINGS, **NAMED_MEANINGS}
    rows = [(f"`{name}`", f"`{CLAUSE_EXAMPLES[name]}`", meaning) for name, meaning in meanings.items()]
    return _table(("clause", "example", "meaning"), rows)


# -- operators ---------------------------------------------------------------------------------------------------------


def _operators(catalogue: Catalogue) -> str:
    said = "What stands to the right of an operator is its operand. Several operators of one field must all hold.\n"
    return "\n".join([said, *(_operators_of(kind, catalogue) for kind in Kind)])


def _operators_of(kind: Kind, catalogue: Catalogue) -> str:
    field, other = example_fields(catalogue, kind)
    examples = {one: example_of(one, field, other) for one in OPERATORS_OF[kind].values()}
    rows = [(f"`{one.name}`", f"`{example}`", meaning_of(one)) for one, example in examples.items() if example]
    rows.append(("`or_blank`", "`or_blank: true`, beside another operator", "The field may be blank too."))
    return f"### On a field of kind {KIND_TITLES[kind]}\n\n" + _table(("operator", "example", "holds when"), rows)


def example_fields(catalogue: Catalogue, kind: Kind) -> tuple[Field, Field]:
    """Two fields of this kind for examples; where the catalogue has none, one that an installation may add."""
    found = [one for one in catalogue.fields.values() if one.kind is kind]
    found.sort(key=lambda one: one.root not in RECORD_ROOTS)  # of records, where there are some: they may change
    added = Field(f"company.fields.some_{kind}", kind, f"Some {kind}", choices=(Choice("a", "A"),))
    first = next(iter(found), added)
    is_of_record = first.root in RECORD_ROOTS
    alike = (one for one in found[1:] if one.choices == first.choices and (one.root in RECORD_ROOTS) is is_of_record)
    return first, next(alike, first)


def example_of(operator: Operator, field: Field, other: Field) -> str | None:
    """A clause with the operator, as one may write it; None where it cannot be used on such a field."""
    operand = operand_for(operator, field, other)
    if operand is None or (operator.only_on_change and field.root not in RECORD_ROOTS):
        return None
    return f"{field.path}: {{{operator.name}: {operand}}}"


# -- actions -----------------------------------------------------------------------------------------------------------


def _actions(catalogue: Catalogue) -> str:
    faces = make_schema(catalogue)["definitions"]["action"]["properties"]
    return "\n".join(_action(one, faces[one.name]) for one in ACTIONS)


def _action(action: Action, face: Mapping[str, Any]) -> str:
    said = f"### {action.name}\n\n{inspect.getdoc(action)}\n\nExample: `{ACTION_EXAMPLES[action.name]}`\n"
    return said + "\n" + _keys_of(face, "parameter") if "properties" in face else said


# -- fields ------------------------------------------------------------------------------------------------------------


def _fields(catalogue: Catalogue) -> str:
    return "\n".join(_fields_of(root, catalogue) for root in RECORD_TITLES)


def _fields_of(root: str, catalogue: Catalogue) -> str:
    header = ("field", "kind", "label", "meaning and values", "rules write it")
    rows = [
        (f"`{one.path}`", str(one.kind), one.label, _said_of(one), "yes" if one.is_writable else "")
        for one in catalogue.of(root)
    ]
    return f"### {RECORD_TITLES[root]}\n\n" + _table(header, rows)


def _said_of(field: Field) -> str:
    values = ", ".join(_words_of(one) for one in field.choices)
    groups = f"groups: {', '.join(GROUP_NAMES)}" if field.kind is Kind.CATEGORY else ""
    return "; ".join(part for part in (field.description, values, groups) if part)


def _words_of(choice: Choice) -> str:
    return f"{choice.name} ({', '.join(choice.spellings)})" if choice.spellings else choice.name
