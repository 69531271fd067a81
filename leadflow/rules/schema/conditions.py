"""The JSON Schema of conditions: one definition for each kind of test, one property for each field and clause."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from leadflow.domain.fields import Catalogue, Field
from leadflow.domain.text import fold
from leadflow.rules.operators import OPERATORS_OF, Operator
from leadflow.rules.parsing.clauses import OR_BLANK
from leadflow.rules.parsing.conditions import GROUPS, NAMED
from leadflow.rules.parsing.special import (
    BY,
    CHANGE_KEYS,
    COUNT,
    COUNT_KEYS,
    EVENT_KEYS,
    LAST_CHANGE,
    LAST_EVENT,
    ROOTS,
    SPECIAL,
    TESTS_OF,
    is_kept,
)
from leadflow.rules.reading import RECORD_ROOTS
from leadflow.rules.schema.operands import operand_of, value_definitions, values_or_blank
from leadflow.rules.schema.values import (
    Schema,
    any_case,
    described,
    duration,
    flag,
    listed,
    mapping,
    number,
    reference,
    text,
    time_of_day,
    types_of,
    value_of,
    weekdays,
    whole,
    words,
)
from leadflow.rules.values import BEFORE, CHOICE_KINDS

CONDITION = "condition"

GROUP_MEANINGS = {
    "all": "Every one of the clauses holds.",
    "any": "At least one of the clauses holds.",
    "none": "None of the clauses holds.",
}
NAMED_MEANINGS = {
    "segment": "The named condition of this name holds.",
    "selection": "The record belongs to the selection of this name.",
}
SPECIAL_MEANINGS = {
    "event_count": "How often something happened, in a stretch of time if you say so.",
    "last_event": "When something happened last. What never happened does not match.",
    "last_change": "When a field last changed. What never changed does not match.",
    "now": "The day of the week and the time of day at which the rule is judged.",
}
PAST_MEANINGS = {
    "of": "What happened: form_submitted, sale, or the name of a declared event.",
    "where": "Only those whose own fields fit, such as `form_type: content`.",
    "by": "Whose: the contact's own, or those of everybody at the company.",
    "within_last": "Count only those of the last so much time.",
    "field": "The field whose changes are meant.",
    "from": "Only changes from one of these values; `blank` is no value.",
    "to": "Only changes to one of these values; `blank` is no value.",
}


def condition_definitions(catalogue: Catalogue) -> dict[str, Schema]:
    """Every definition that conditions refer to, by name."""
    tests = {definition_of(one): field_test(catalogue, one) for one in catalogue.fields.values()}
    wheres = {f"where of {root}": where_of(catalogue, root) for root in ("form", "sale", "event")}
    return {CONDITION: condition(catalogue), **tests, **wheres, **value_definitions(catalogue.fields.values())}


def condition(catalogue: Catalogue) -> Schema:
    """A clause: exactly one of the groups, the special clauses, or a field."""
    properties: dict[str, Schema] = {
        name: listed(reference(CONDITION)) | {"description": GROUP_MEANINGS[name]} for name in GROUPS
    }
    properties |= {name: SPECIAL_FACES[name](catalogue) for name in SPECIAL}
    properties |= {name: text(NAMED_MEANINGS[name]) for name in NAMED}
    properties |= dict(_field_clauses(catalogue))
    return {
        "description": "One clause: a field with its test, a group of clauses, or a clause about what happened before.",
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "propertyNames": {
            "enum": list(properties),
            "errorMessage": f"no field or clause has this name; clauses are {', '.join([*GROUPS, *SPECIAL, *NAMED])}",
        },
        "properties": properties,
    }


def _field_clauses(catalogue: Catalogue) -> Iterator[tuple[str, Schema]]:
    for one in catalogue.fields.values():
        yield one.path, reference(definition_of(one), words_of(one))
    for one in catalogue.fields.values():
        if one.root in RECORD_ROOTS:
            said = f"{words_of(one)} As it was before the change (only under record_changed)."
            yield f"{BEFORE}{one.path}", reference(definition_of(one), said)


def words_of(field: Field) -> str:
    """What an editor shows of a field."""
    more = f": {field.description}" if field.description else ""
    return f"{field.label}{more} ({field.kind})."


def definition_of(field: Field) -> str:
    """The name of the test's definition: one for each kind, and one for each field with a list of its own."""
    return f"test of {field.path}" if field.kind in CHOICE_KINDS else f"test of {field.kind}"


# -- the test of a field -----------------------------------------------------------------------------------------------


def field_test(catalogue: Catalogue, field: Field) -> Schema:
    """A value (is; has for a list field), a list of values (in; has_any), or operators, all of which must hold."""
    operators = OPERATORS_OF[field.kind]
    allows_one = "is" in operators or "has" in operators
    allows_many = "in" in operators or "has_any" in operators
    value = value_of(field)
    return {
        **(value if allows_one else {}),
        **(listed(value) if allows_many else {}),
        **mapping(operators_for(catalogue, field)),
        "type": [*(types_of(value) if allows_one else []), *(["array"] if allows_many else []), "object"],
        "dependencies": {OR_BLANK: {"minProperties": 2}},
    }


def operators_for(catalogue: Catalogue, field: Field) -> dict[str, Schema]:
    """The operators that work on the field, with what may stand beside each, and `or_blank`."""
    faces = {one.name: (one, operand_of(one, catalogue, field)) for one in OPERATORS_OF[field.kind].values()}
    found = {name: described(face, meaning_of(one)) for name, (one, face) in faces.items() if face is not None}
    return {**found, OR_BLANK: described(flag(), "The clause holds for a blank field too.")}


def meaning_of(operator: Operator) -> str:
    """The first line of the operator's docstring, and where it works if that is not everywhere."""
    said = (operator.__doc__ or "").partition("\n")[0]
    return f"{said} Only under record_changed." if operator.only_on_change else said


# -- what happened before ----------------------------------------------------------------------------------------------


def _event_count(catalogue: Catalogue) -> Schema:
    return _past(catalogue, COUNT, COUNT_KEYS)


def _last_event(catalogue: Catalogue) -> Schema:
    return _past(catalogue, LAST_EVENT, EVENT_KEYS)


def _past(catalogue: Catalogue, subject: Field, keys: Sequence[str]) -> Schema:
    faces: dict[str, Schema] = {
        "of": _names(catalogue),
        "where": {"type": "object", "minProperties": 1},
        "by": words(BY),
        "within_last": duration(),
    }
    asked = {key: described(faces[key], PAST_MEANINGS[key]) for key in keys}
    of_each_root = [_where_follows(catalogue, root) for root in ("form", "sale", "event")]
    return _with_test(catalogue, subject, asked, "of") | {"allOf": of_each_root}


def _names(catalogue: Catalogue) -> Schema:
    return _spelt([*ROOTS, *catalogue.events])


def _spelt(names: Sequence[str]) -> Schema:
    return {"type": "string", "anyOf": [{"enum": list(names)}, {"pattern": whole("|".join(map(any_case, names)))}]}


def _where_follows(catalogue: Catalogue, root: str) -> Schema:
    """`where` names the fields of what is counted."""
    names = [name for name in (*ROOTS, *catalogue.events) if ROOTS.get(fold(name), "event") == root]
    if not names:
        return {}
    asked = {"required": ["of"], "properties": {"of": {"pattern": whole("|".join(map(any_case, names)))}}}
    return {"if": asked, "then": {"properties": {"where": reference(f"where of {root}")}}}


def where_of(catalogue: Catalogue, root: str) -> Schema:
    """Tests of an event's own fields, each with or without the name of the record before it."""
    tests = {one.path: reference(definition_of(one), words_of(one)) for one in catalogue.of(root)}
    short = {path.partition(".")[2]: test for path, test in tests.items()}
    return mapping(short | tests)


def _with_test(catalogue: Catalogue, subject: Field, asked: Mapping[str, Schema], required: str) -> Schema:
    """What is asked for, and at least one operator of the number or moment that comes of it."""
    known = operators_for(catalogue, subject)
    operators = {name: known[name] for name in TESTS_OF[subject.path]}
    if subject is COUNT:
        operators = {name: face | _counts(name) for name, face in operators.items()}
    tests = [{"required": [name]} for name in operators if name != OR_BLANK]
    said = SPECIAL_MEANINGS[subject.path]
    return mapping({**asked, **operators}, required, description=said, anyOf=tests)


def _counts(operator: str) -> Schema:
    """How often something happened is a whole number."""
    count = number() | {"minimum": 0, "multipleOf": 1}
    return {"items": count} if operator == "between" else count


def _last_change(catalogue: Catalogue) -> Schema:
    kept = [one for one in catalogue.fields.values() if is_kept(one)]
    faces: dict[str, Schema] = {"field": words([one.path for one in kept]), "from": {}, "to": {}}
    asked = {key: described(faces[key], PAST_MEANINGS[key]) for key in CHANGE_KEYS}
    return _with_test(catalogue, LAST_CHANGE, asked, "field") | {"allOf": [_sides_follow(one) for one in kept]}


def _sides_follow(field: Field) -> Schema:
    """`from` and `to` are values of the field that is named."""
    side: Any = values_or_blank(field)
    sides = dict.fromkeys(("from", "to"), side if side is not None else False)
    return {
        "if": {"required": ["field"], "properties": {"field": {"const": field.path}}},
        "then": {"properties": sides},
    }


def _now(catalogue: Catalogue) -> Schema:
    return mapping(
        {
            "weekday_in": weekdays("The days of the week."),
            "between": listed(time_of_day(), minItems=2, maxItems=2)
            | {"description": "The hours of the day, both ends included; they may go past midnight."},
        },
        description=SPECIAL_MEANINGS["now"],
    )


SPECIAL_FACES: Mapping[str, Callable[[Catalogue], Schema]] = {
    "event_count": _event_count,
    "last_event": _last_event,
    "last_change": _last_change,
    "now": _now,
}
