"""The JSON Schema of single values: what may stand where the parser reads text, numbers, durations, times, choices.

Each schema says something only about the types it knows (`pattern` about strings, `minimum` about numbers), so that a
test can add lists and operators to it without `anyOf`: editors then name the one thing that is wrong.
An editor reads YAML by its own guesses (`1.10` is a number, `no` a text, `true` a truth), and so the types are wide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from leadflow.domain.fields import FALSE_WORDS, TRUE_WORDS, Choice, Field, Kind
from leadflow.rules.durations import UNITS
from leadflow.rules.week import WEEKDAYS

Schema = dict[str, Any]

SCALARS = ["string", "number", "boolean"]
# `$name`: the value of one of the document's `vars`.
VARIABLE = r"\$[A-Za-z_][A-Za-z0-9_-]*"

# JSON has no number of its own for these spellings.
_NUMBER = r"[+-]?(?:[0-9][0-9_]*[.]?[0-9_]*|[.][0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?"


def text(description: str = "") -> Schema:
    """Any one value that is not blank."""
    return described({"type": SCALARS, "pattern": r"\S"}, description)


def words(allowed: Iterable[str], meanings: Mapping[str, str] | None = None) -> Schema:
    """One word of a fixed list, written exactly so."""
    listed = list(allowed)
    told = {"enumDescriptions": [meanings[one] for one in listed]} if meanings else {}
    return {"type": "string", "anyOf": [{"enum": listed, **told}, {"pattern": f"^{VARIABLE}$"}]}


def number(lowest: int | None = None, highest: int | None = None) -> Schema:
    """A number; with a range, a whole one in it. Quoted numbers are numbers too."""
    message = "expected a number"
    schema: Schema = {"type": ["number", "string"], "pattern": whole(_NUMBER), "patternErrorMessage": message}
    if lowest is not None and highest is not None:
        schema |= {"minimum": lowest, "maximum": highest, "multipleOf": 1}
    return schema


def flag(*, is_true: bool = False) -> Schema:
    """true or false, or one of the words that mean them; or only true."""
    allowed = TRUE_WORDS if is_true else TRUE_WORDS | FALSE_WORDS
    schema: Schema = {
        "type": ["boolean", "string", "number"],
        "pattern": whole("|".join(map(any_case, sorted(allowed)))),
        "patternErrorMessage": "expected true" if is_true else "expected true or false",
        "minimum": 1 if is_true else 0,
        "maximum": 1,
        "multipleOf": 1,
    }
    return schema | {"not": {"const": False}} if is_true else schema


def duration(description: str = "") -> Schema:
    """`90 days`."""
    units = "|".join(any_case(unit) for unit in UNITS)
    return described(
        {
            "type": "string",
            "pattern": whole(rf"0*[1-9][0-9]{{0,8}}\s*(?:{units})[sS]?"),
            "patternErrorMessage": f"expected a number and a unit ({', '.join(f'{unit}s' for unit in UNITS)}): 90 days",
            "examples": ["30 days", "1 week", "2 hours"],
        },
        description,
    )


def moment() -> Schema:
    """A day, or a day and a time of day."""
    return {
        "type": ["string", "integer"],
        "pattern": whole(r"[0-9]{4}-?(?:[0-9]{2}|W[0-9]{2}).*"),
        "patternErrorMessage": "expected a day such as 2026-03-01 or a time such as 2026-03-01 14:30",
        "minimum": 10_000_101,
    }


def time_of_day(description: str = "") -> Schema:
    """`"07:00"`; YAML 1.1 reads it as a number of minutes where it is not quoted."""
    return described(
        {
            "type": "string",
            "pattern": whole("(?:[01]?[0-9]|2[0-3]):[0-5][0-9]"),
            "patternErrorMessage": 'expected a time of day such as "07:00"',
            "examples": ["07:00"],
        },
        description,
    )


def weekdays(description: str = "") -> Schema:
    """A list of weekdays."""
    return described({"type": "array", "items": words(WEEKDAYS), "minItems": 1}, description)


def choice(choices: Iterable[Choice], *more: str) -> Schema:
    """A value of a list by key, name or other spelling, in any case; `more` are words beside them.

    The first alternative is what an editor offers and names in its message; the second lets any case pass.
    """
    spelt = [*more]
    for one in choices:
        spelt += [one.name, one.key, *one.spellings]
    offered = list(dict.fromkeys(spelt))
    types = ["string", "number", "boolean"] if any(map(_may_be_no_text, offered)) else ["string"]
    return {"type": types, "anyOf": [{"enum": offered}, {"pattern": whole("|".join(map(any_case, offered)))}]}


def _may_be_no_text(spelling: str) -> bool:
    """Whether an editor reads this spelling as a number or a truth value."""
    return bool(re.fullmatch(r"[+-]?[0-9.].*|true|false", spelling, re.IGNORECASE))


def value_of(field: Field) -> Schema:
    """One value of the field; of a list, one of its texts."""
    match field.kind:
        case Kind.ENUMERATION | Kind.CATEGORY:
            return choice([*field.choices, *field.retired])
        case Kind.NUMBER:
            return number()
        case Kind.BOOLEAN:
            return flag()
        case Kind.DATE | Kind.MOMENT:
            return moment()
        case _:
            return text()


def value_or_blank(field: Field) -> Schema:
    """One value of the field, or the word `blank`."""
    match field.kind:
        case Kind.ENUMERATION | Kind.CATEGORY:
            return choice([*field.choices, *field.retired], "blank")
        case Kind.NUMBER | Kind.BOOLEAN:
            return _with_word(value_of(field), "blank")
        case _:
            return value_of(field)


def _with_word(schema: Schema, word: str) -> Schema:
    return schema | {"pattern": f"{schema['pattern']}|{whole(any_case(word))}"}


def one_or_many(value: Schema) -> Schema:
    """One value, or a list of them."""
    return value | {"type": [*types_of(value), "array"], "items": value, "minItems": 1}


def listed(value: Schema, **limits: int) -> Schema:
    """A list of such values."""
    return {"type": "array", "items": value, **({"minItems": 1} | limits)}


def mapping(properties: Mapping[str, Schema], *required: str, **more: Any) -> Schema:
    """`key: value` lines with these keys and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "additionalProperties": False,
        "minProperties": 1,
        **({"required": list(required)} if required else {}),
        **more,
    }


def short_or(value: Schema, full: Schema) -> Schema:
    """The one value alone, or the mapping that has it among others."""
    return value | full | {"type": [*types_of(value), "object"]}


def types_of(schema: Schema) -> list[str]:
    """The types that the schema allows."""
    kinds = schema["type"]
    return [kinds] if isinstance(kinds, str) else list(kinds)


def described(schema: Schema, description: str) -> Schema:
    """The schema with the words that an editor shows for it."""
    return {"description": description, **schema} if description else schema


def reference(name: str, description: str = "") -> Schema:
    """The definition of this name. In draft-07 nothing counts beside a $ref, so a description stands around it."""
    pointer = {"$ref": f"#/definitions/{name}"}
    return {"description": description, "allOf": [pointer]} if description else pointer


def whole(pattern: str) -> str:
    """A pattern for the whole text, white space around it aside, or for a reference to a variable."""
    return rf"^\s*(?:{VARIABLE}|{pattern})\s*$"


def any_case(spelling: str) -> str:
    """A pattern for the spelling in any case; blanks between its words may be longer."""
    return r"\s+".join("".join(map(_any_case_of, word)) for word in spelling.split())


def _any_case_of(character: str) -> str:
    forms = [one for one in dict.fromkeys((character, character.lower(), character.upper())) if len(one) == 1]
    if len(forms) > 1:
        return f"[{''.join(forms)}]"
    return f"\\{character}" if character in r"\^$.|?*+()[]{}/" else character
