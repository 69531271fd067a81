"""The JSON Schema of `when`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from leadflow.domain.events import Trigger
from leadflow.domain.fields import Catalogue
from leadflow.rules.parsing.schedules import LAST_DAY_OF_EVERY_MONTH, PERIODS
from leadflow.rules.parsing.triggers import RECORDS, SALE_STEPS
from leadflow.rules.reading import RECORD_ROOTS
from leadflow.rules.schema.operands import values_or_blank
from leadflow.rules.schema.values import (
    Schema,
    any_case,
    described,
    listed,
    mapping,
    number,
    reference,
    text,
    time_of_day,
    weekdays,
    whole,
    words,
)

TRIGGER = "trigger"

MEANINGS = {
    Trigger.FORM_SUBMITTED: "Somebody sent a form. Brings form.*, contact.* and company.*.",
    Trigger.EVENT: "A declared event happened, such as webinar_attended. Brings event.*, contact.* and company.*.",
    Trigger.SALE: "A sale was registered, sold or lost. Brings sale.*, contact.* and company.*.",
    Trigger.RECORD_CREATED: "A contact or a company was made.",
    Trigger.RECORD_CHANGED: "One of these fields has a new value. Brings before.*, the values it had.",
    Trigger.SCHEDULE: "The clock: goes through all contacts or companies that fit the condition.",
    Trigger.MANUAL: "Somebody presses the button on a contact or a company. Brings user.*.",
}
SALE_MEANINGS = {
    "registered": "A sale was opened.",
    "sold": "A sale was won.",
    "lost": "A sale was lost.",
}


def when() -> Schema:
    """One trigger, or a list meaning any of them."""
    return one_trigger() | {
        "description": "What the rule listens to: one trigger, or a list meaning any of these.",
        "type": ["object", "array"],
        "items": reference(TRIGGER),
        "minItems": 1,
    }


def one_trigger() -> Schema:
    """Exactly one trigger with what it asks for."""
    return mapping({one.value: reference(_definition_of(one), MEANINGS[one]) for one in Trigger}, maxProperties=1)


def trigger_definitions(catalogue: Catalogue) -> dict[str, Schema]:
    """Every definition that `when` refers to, by name."""
    return {TRIGGER: one_trigger(), **{_definition_of(one): FACES[one](catalogue) for one in Trigger}}


def _definition_of(trigger: Trigger) -> str:
    return f"trigger {trigger.value}"


def _form(catalogue: Catalogue) -> Schema:
    keys = {"form": text("The form of this name."), "form_type": text("Every form of this type, such as content.")}
    return mapping(keys) | {"type": ["string", "object"], "anyOf": [{"enum": ["any"]}, {"type": "object"}]}


def _event(catalogue: Catalogue) -> Schema:
    names = list(catalogue.events)
    spelt = {"anyOf": [{"enum": names}, {"pattern": whole("|".join(map(any_case, names)))}]} if names else {"enum": []}
    return mapping({"name": {"description": "A declared event.", "type": "string", **spelt}}, "name")


def _sale(catalogue: Catalogue) -> Schema:
    return words(SALE_STEPS, SALE_MEANINGS)


def _record(catalogue: Catalogue) -> Schema:
    return words(RECORDS)


def _changed(catalogue: Catalogue) -> Schema:
    fields = [one for one in catalogue.fields.values() if one.root in RECORD_ROOTS]
    paths = [one.path for one in fields]
    watched: dict[str, Schema] = {}
    for one in fields:
        side = values_or_blank(one)
        sides = {} if side is None else {"from": side, "to": side}
        watched[one.path] = mapping(sides, minProperties=0)
    return mapping(watched) | {
        "type": ["string", "array", "object"],
        "anyOf": [*words(paths)["anyOf"], {"type": ["array", "object"]}],
        "items": words(paths),
        "minItems": 1,
    }


def _schedule(catalogue: Catalogue) -> Schema:
    days = {"description": "Days of the week, or of the month (1 to 28).", "type": "array", "minItems": 1}
    keys = {
        "every": described(words(PERIODS), "How often."),
        "at": time_of_day('The time of day, in the time zone of the document: "07:00".'),
        "on": days,
        "for_each": described(words(RECORDS), "What the rule goes through."),
    }
    of_month = _follows(["month"], {"on": listed(number(1, LAST_DAY_OF_EVERY_MONTH))})
    of_week = _follows([one for one in PERIODS if one != "month"], {"on": weekdays()})
    at_minute = {"pattern": whole("0?0:[0-5][0-9]"), "patternErrorMessage": 'every hour has a minute only: "00:15"'}
    of_hour = _follows(["hour"], {"at": at_minute})
    return mapping(keys, "every", "for_each", allOf=[of_month, of_week, of_hour])


def _follows(periods: list[str], keys: Mapping[str, Schema]) -> Schema:
    asked = {"required": ["every"], "properties": {"every": {"enum": periods}}}
    return {"if": asked, "then": {"properties": keys}}


FACES: Mapping[Trigger, Callable[[Catalogue], Schema]] = {
    Trigger.FORM_SUBMITTED: _form,
    Trigger.EVENT: _event,
    Trigger.SALE: _sale,
    Trigger.RECORD_CREATED: _record,
    Trigger.RECORD_CHANGED: _changed,
    Trigger.SCHEDULE: _schedule,
    Trigger.MANUAL: _record,
}
