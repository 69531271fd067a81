"""The JSON Schema of `then`: one face for each action."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from leadflow.domain.fields import Catalogue, Field, Kind
from leadflow.rules.actions import ACTIONS
from leadflow.rules.actions.base import Action
from leadflow.rules.actions.tags import RECORDS
from leadflow.rules.schema.operands import listed_or_named, values_or_blank
from leadflow.rules.schema.values import (
    Schema,
    choice,
    described,
    duration,
    flag,
    mapping,
    one_or_many,
    reference,
    short_or,
    text,
    value_of,
    words,
)

ACTION = "action"
TEMPLATE = "A text; {{ field | default('…') }} puts the value of a field into it."
FROM = "Only from one of these values; `blank` is no value."


def then() -> Schema:
    """The actions, one after the other."""
    return {
        "description": "What the rule does, one after the other.",
        "type": "array",
        "minItems": 1,
        "items": reference(ACTION),
    }


def one_action(catalogue: Catalogue) -> Schema:
    """Exactly one action with its parameters. Raises: KeyError for an action that has no schema."""
    faces = {one.name: described(FACES[one.name](catalogue), summary_of(one)) for one in ACTIONS}
    return mapping(faces, maxProperties=1)


def summary_of(action: Action) -> str:
    """The first line of the action's docstring."""
    return (action.__doc__ or "").partition("\n")[0]


def _set_category(catalogue: Catalogue) -> Schema:
    return _move(catalogue.fields["company.category"], {})


def _set_lead_status(catalogue: Catalogue) -> Schema:
    of = described(words(("contact", "all_contacts")), "Whose: the event's contact, or everybody at its company.")
    return _move(catalogue.fields["contact.lead_status"], {"of": of})


def _move(field: Field, more: Mapping[str, Schema]) -> Schema:
    to = choice(field.choices)
    keys = {"to": described(to, "The new value."), "from": described(values_or_blank(field) or {}, FROM), **more}
    return short_or(to, mapping(keys, "to"))


def _set_field(catalogue: Catalogue) -> Schema:
    writable = [one for one in catalogue.fields.values() if one.is_writable]
    keys = {
        "field": described(words([one.path for one in writable]), "A field that rules may write."),
        "to": {"description": "The new value; for a text field it may have {{ … }} in it."},
    }
    return mapping(keys, "field", "to", allOf=[_value_follows(one) for one in writable])


def _value_follows(field: Field) -> Schema:
    """`to` is a value of the field that is named."""
    asked = {"required": ["field"], "properties": {"field": {"const": field.path}}}
    return {"if": asked, "then": {"properties": {"to": _written(field)}}}


def _written(field: Field) -> Schema:
    if field.kind is Kind.LIST:
        return one_or_many(text())
    return choice(field.choices) if field.choices else value_of(field)


def _tag(catalogue: Catalogue) -> Schema:
    of = described(words(RECORDS), "Which record; the contact, where there is one.")
    return short_or(text(), mapping({"tag": text(TEMPLATE), "of": of}, "tag"))


def _create_task(catalogue: Catalogue) -> Schema:
    keys = {
        "title": text(TEMPLATE),
        "owner": text("Who is to do it: a person or a team."),
        "due_in": duration("When it is due, from now."),
    }
    return short_or(text(), mapping(keys, "title"))


def _assign_owner(catalogue: Catalogue) -> Schema:
    keys = {
        "to": text("The owner."),
        "round_robin": listed_or_named(text())
        | {"description": "Those who take turns, or the name of a list of them.", "minItems": 2, "uniqueItems": True},
    }
    return short_or(text(), mapping(keys, maxProperties=1))


def _notify(catalogue: Catalogue) -> Schema:
    to = described(_known(catalogue.channels), "A channel that an administrator has set up.")
    return mapping({"to": to, "text": text(TEMPLATE)}, "to", "text")


def _webhook(catalogue: Catalogue) -> Schema:
    endpoint = _known(catalogue.endpoints)
    payload = {
        "description": "Texts that are sent beside the record, by name.",
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": r"\S"},
        "additionalProperties": text(TEMPLATE),
    }
    told = described(endpoint, "An endpoint that an administrator has set up.")
    return short_or(endpoint, mapping({"endpoint": told, "payload": payload}, "endpoint"))


def _known(names: frozenset[str] | None) -> Schema:
    """One of these names; any one where nobody can tell which there are."""
    return text() if names is None else words(sorted(names))


def _wait(catalogue: Catalogue) -> Schema:
    keys = {
        "for": duration("How long."),
        "recheck": described(flag(), "Whether the condition must still hold then; true if nothing is said."),
    }
    return short_or(duration(), mapping(keys, "for"))


def _stop_here(catalogue: Catalogue) -> Schema:
    """Only true says something."""
    return flag(is_true=True) | {"examples": [True]}


FACES: Mapping[str, Callable[[Catalogue], Schema]] = {
    "set_category": _set_category,
    "set_lead_status": _set_lead_status,
    "set_field": _set_field,
    "add_tag": _tag,
    "remove_tag": _tag,
    "create_task": _create_task,
    "assign_owner": _assign_owner,
    "notify": _notify,
    "webhook": _webhook,
    "wait": _wait,
    "stop_here": _stop_here,
}
