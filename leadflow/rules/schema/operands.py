"""The JSON Schema of what stands to the right of each operator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from leadflow.domain.fields import Catalogue, Field, Kind
from leadflow.domain.lifecycle import GROUP_NAMES
from leadflow.rules import operands
from leadflow.rules.operands import OperandType
from leadflow.rules.operators import Operator
from leadflow.rules.schema.values import (
    SCALARS,
    Schema,
    any_case,
    duration,
    flag,
    listed,
    moment,
    one_or_many,
    reference,
    text,
    value_of,
    value_or_blank,
    whole,
    words,
)
from leadflow.rules.values import BEFORE, CHOICE_KINDS, TEXT_KINDS, TIME_KINDS

# What the operand of a field looks like; None where the operator cannot be used on it.
Face = Callable[[Catalogue, Field], Schema | None]


def operand_of(operator: Operator, catalogue: Catalogue, field: Field) -> Schema | None:
    """What may stand beside the operator for this field; None if nothing may.

    Raises: KeyError for a type of operand that has no schema (tests/unit/rules/test_schema.py finds it).
    """
    return FACES[type(operator.operand)](catalogue, field)


def _one(catalogue: Catalogue, field: Field) -> Schema:
    return one_value(field)


def _many(catalogue: Catalogue, field: Field) -> Schema:
    return listed_or_named(one_value(field))


def _hosts(catalogue: Catalogue, field: Field) -> Schema:
    return listed_or_named(
        {
            "type": "string",
            "pattern": whole(r"@?[^\s@/:]+[.][^\s@/:.]+[.]?"),
            "patternErrorMessage": "expected a domain such as example.com",
        }
    )


def listed_or_named(value: Schema) -> Schema:
    """A list of such values, or the name of one."""
    return listed(value) | {"type": ["array", *SCALARS], "pattern": r"\S"}


def _pattern(catalogue: Catalogue, field: Field) -> Schema:
    return text()


def _groups(catalogue: Catalogue, field: Field) -> Schema:
    offered = [spelling for group, name in GROUP_NAMES.items() for spelling in (group.value, name)]
    spelt = whole("|".join(map(any_case, offered)))
    return one_or_many({"type": "string", "anyOf": [{"enum": offered}, {"pattern": spelt}]})


def _flag(catalogue: Catalogue, field: Field) -> Schema:
    return flag()


def _duration(catalogue: Catalogue, field: Field) -> Schema:
    return duration()


def _when(catalogue: Catalogue, field: Field) -> Schema:
    return moment()


def _range(catalogue: Catalogue, field: Field) -> Schema:
    return listed(value_of(field), minItems=2, maxItems=2)


def _other_field(catalogue: Catalogue, field: Field) -> Schema:
    paths = [one.path for one in catalogue.fields.values() if compare_alike(field, one)]
    before = [f"{BEFORE}{path}" for path in paths if path.startswith(("company.", "contact."))]
    return words([*paths, *before])


def compare_alike(one: Field, other: Field) -> bool:
    """Whether the values of two fields can be the same."""
    for family in (TEXT_KINDS, TIME_KINDS):
        if one.kind in family:
            return other.kind in family
    return one.kind is other.kind and one.choices == other.choices


def _transition(catalogue: Catalogue, field: Field) -> Schema | None:
    return values_or_blank(field)


def one_value(field: Field) -> Schema:
    """One value of the field; those of a field with a list of its own are defined once."""
    return reference(f"value of {field.path}") if field.kind in CHOICE_KINDS else value_of(field)


def values_or_blank(field: Field) -> Schema | None:
    """What a field changed from or to; None where its changes are not compared by value."""
    if field.kind is Kind.LIST or field.kind in TIME_KINDS:
        return None
    return reference(f"values of {field.path} or blank" if field.kind in CHOICE_KINDS else f"{field.kind}s or blank")


def value_definitions(fields: Iterable[Field]) -> dict[str, Schema]:
    """The definitions that the values of these fields refer to."""
    found: dict[str, Schema] = {}
    for one in fields:
        if one.kind in CHOICE_KINDS:
            found[f"value of {one.path}"] = value_of(one)
            found[f"values of {one.path} or blank"] = one_or_many(value_or_blank(one))
        elif one.kind is not Kind.LIST and one.kind not in TIME_KINDS:
            found[f"{one.kind}s or blank"] = one_or_many(value_or_blank(one))
    return found


FACES: Mapping[type[OperandType], Face] = {
    operands.OneValue: _one,
    operands.ManyValues: _many,
    operands.Pattern: _pattern,
    operands.Hosts: _hosts,
    operands.Groups: _groups,
    operands.Flag: _flag,
    operands.Duration: _duration,
    operands.WhenValue: _when,
    operands.Range: _range,
    operands.FieldPath: _other_field,
    operands.Transition: _transition,
}
