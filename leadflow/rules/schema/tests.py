"""The JSON Schema of tests of rules: `tests` in a rule, or in a document of their own."""

from __future__ import annotations

from collections.abc import Mapping

from leadflow.domain.events import SaleStep, Trigger
from leadflow.domain.fields import Catalogue, Field, Kind
from leadflow.rules.parsing.test_parts import EVENT_KEYS, OUTCOMES, PAST_KEYS, RECORDS, WHOSE
from leadflow.rules.parsing.tests import RESULT_COLUMNS, TABLE_KEYS, TEST_KEYS
from leadflow.rules.schema.conditions import definition_of
from leadflow.rules.schema.values import (
    SCALARS,
    Schema,
    choice,
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
from leadflow.rules.values import CHOICE_KINDS

TEST = "test of a rule"
GIVEN, EVENT, PAST, EXPECT, LATER = (f"{TEST}: {part}" for part in ("given", "event", "history", "expect", "later"))

KEY_MEANINGS = {
    "test": "What the test shows, in one sentence.",
    "table": "What the table shows, in one sentence.",
    "rule": "The id of the rule, in a document of tests.",
    "now": "When it happens; Thursday 2026-01-15 10:00 if nothing is said.",
    "columns": f"Fields of what is given or of the event, expect.FIELD, now, {', '.join(RESULT_COLUMNS)}.",
    "rows": "A row for each case, with a value for each column.",
    "later": "What is so after the waits of the rule.",
}


def test_definitions(catalogue: Catalogue) -> dict[str, Schema]:
    """Every definition that tests refer to, by name."""
    return {
        TEST: _test(),
        GIVEN: _given(),
        EVENT: _event(),
        PAST: _past(),
        EXPECT: _expect(catalogue),
        LATER: _later(),
        _name_of("sale"): _record(catalogue, "sale", step=words([step.value for step in SaleStep])),
        _name_of("user"): _record(catalogue, "user", record=words(RECORDS)),
    } | {_name_of(root): _record(catalogue, root) for root in (*RECORDS, "form", "event")}


def _name_of(root: str) -> str:
    return f"{TEST}: {root}" if root != "event" else f"{TEST}: fields of an event"


def _test() -> Schema:
    keys: dict[str, Schema] = {name: text() for name in ("test", "table", "rule")}
    keys |= {"now": moment(), "columns": listed(text()), "rows": listed({"type": "array", "minItems": 1})}
    keys = {name: described(schema, KEY_MEANINGS[name]) for name, schema in keys.items()}
    keys |= {"given": reference(GIVEN), "event": reference(EVENT), "expect": reference(EXPECT)}
    keys["later"] = listed(reference(LATER)) | {"description": KEY_MEANINGS["later"]}
    alternatives = [{"required": ["test", "expect"]}, {"required": ["table", "columns", "rows"]}]
    return mapping({name: keys[name] for name in dict.fromkeys((*TEST_KEYS, *TABLE_KEYS))}, anyOf=alternatives)


def _given() -> Schema:
    return mapping(
        {
            "company": described(_or_none("company"), "The company as it stands before; none, if there is none."),
            "contact": described(_or_none("contact"), "The contact as it stands before; none, if there is none."),
            "colleagues": listed(reference(_name_of("contact"))) | {"description": "Further contacts of the company."},
            "history": listed(reference(PAST)) | {"description": "What happened before."},
            "selections": listed(text()) | {"description": "The static selections that the company or contact is in."},
            "turn": described(number(0, 1_000_000), "How many companies the rule's round robin has given away."),
        },
        minProperties=0,
        description="How things stand before. What is not said is blank.",
    )


def _or_none(root: str) -> Schema:
    return {"anyOf": [reference(_name_of(root)), {"enum": ["none"]}]}


def _past() -> Schema:
    faces = _event_faces()
    keys: dict[str, Schema] = {
        "ago": duration("How long before now."),
        "at": described(moment(), "When."),
        "by": described(words(WHOSE), "Whose event it was; the contact's if nothing is said."),
        "changed": described({"type": "object", "minProperties": 1}, "Fields with what they changed from and to."),
        "fired": described(flag(), "The rule acted then, as its limit counts."),
    }
    keys |= {name: faces[name] for name in ("form_submitted", "event", "sale")}
    return mapping(keys, oneOf=[{"required": [name]} for name in PAST_KEYS])


def _event_faces() -> Mapping[str, Schema]:
    steps, records = words([step.value for step in SaleStep]), words(RECORDS)
    change = {"type": "object", "minProperties": 1}
    return {
        Trigger.FORM_SUBMITTED.value: {"anyOf": [reference(_name_of("form")), {"enum": ["any"]}]},
        Trigger.EVENT.value: {"anyOf": [text(), reference(_name_of("event"))]},
        Trigger.SALE.value: {"anyOf": [steps, reference(_name_of("sale"))]},
        Trigger.RECORD_CREATED.value: records,
        Trigger.RECORD_CHANGED.value: change,
        Trigger.SCHEDULE.value: words(("due",)),
        Trigger.MANUAL.value: {"anyOf": [records, reference(_name_of("user"))]},
        "by_rule": described(text(), "Another rule made the change."),
        "import": described(flag(), "An import made the change."),
    }


def _event() -> Schema:
    faces, triggers = _event_faces(), [trigger.value for trigger in Trigger]
    return mapping(
        {name: faces[name] for name in EVENT_KEYS},
        oneOf=[{"required": [name]} for name in triggers],
        description="What happens; what the rule listens to first if nothing is said.",
    )


def _expect(catalogue: Catalogue) -> Schema:
    texts: Schema = {"type": [*SCALARS, "array"], "items": text()}
    return mapping(
        {
            "fires": described(flag(), "Whether the rule acts."),
            "outcome": described(words(OUTCOMES), "How the rule ends."),
            "because": described(texts, "The path of a clause that is false, or words of the reason."),
            "company": described(_record(catalogue, "company", has_tests=True), "The company afterwards, in part."),
            "contact": described(_record(catalogue, "contact", has_tests=True), "The contact afterwards, in part."),
            "tasks": described(texts, "The titles of all tasks that the rule creates; none, if it creates none."),
            "messages": described(texts, "The channels and endpoints that the rule sends something to."),
        },
        description="What must be so afterwards. What is not said may be as it likes.",
    )


def _later() -> Schema:
    records: dict[str, Schema] = {root: reference(_name_of(root)) for root in RECORDS}
    keys = {
        "after": duration("How long after the event."),
        "meanwhile": mapping(records, description="What people have written in between."),
        "expect": reference(EXPECT),
    }
    return mapping(keys, "after", "expect")


def _record(catalogue: Catalogue, root: str, *, has_tests: bool = False, **beside: Schema) -> Schema:
    """The fields of a record by their names, own fields and first touch also in a mapping of their own.

    What stands `beside` them is required.
    """
    values = {one.path.partition(".")[2]: _value(one, has_tests) for one in catalogue.of(root)}
    for below in ("fields", "first_touch"):
        inner = {name.removeprefix(f"{below}."): face for name, face in values.items() if name.startswith(f"{below}.")}
        if inner:
            values = inner | values | {below: mapping(inner)} if below == "fields" else values | {below: mapping(inner)}
    return mapping(values | beside, *beside, minProperties=0)


def _value(field: Field, has_tests: bool) -> Schema:
    value = _given_value(field)
    return {"anyOf": [value, reference(definition_of(field))]} if has_tests else value


def _given_value(field: Field) -> Schema:
    if field.kind in CHOICE_KINDS:
        return {"anyOf": [choice([*field.choices, *field.retired], "blank"), {"type": "null"}]}
    return {"type": [*SCALARS, "null", *(["array"] if field.kind is Kind.LIST else [])]}
