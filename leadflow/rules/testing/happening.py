"""What happens in a test: from its `event`, or from what the rule listens to, to an occurrence with its own fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from leadflow.domain.events import Occurrence, Trigger
from leadflow.domain.fields import Value
from leadflow.rules.model import Rule
from leadflow.rules.testing.model import Happening, Move, RuleTest, plain

# What an event always brings, where the test does not say it.
DEFAULT_EMAIL = "someone@example.com"
DEFAULT_FORM = "some-form"
DEFAULT_USER: Mapping[str, Value] = {"name": "Somebody", "role": "editor"}
STATUS_OF_STEP = {"registered": "open", "sold": "sold", "lost": "lost"}

# The part of the catalogue that an event's fields are in, by its trigger.
ROOTS = {
    Trigger.FORM_SUBMITTED: "form",
    Trigger.SALE: "sale",
    Trigger.EVENT: "event",
    Trigger.MANUAL: "user",
}
# Events that a person sent, that touch the contact and that conditions count.
OF_A_PERSON = (Trigger.FORM_SUBMITTED, Trigger.EVENT)


@dataclass(frozen=True, slots=True)
class Told:
    """The occurrence, and the fields that it has of its own, below `root` ("" where it has none)."""

    occurrence: Occurrence
    root: str = ""
    own: Mapping[str, Value] = field(default_factory=dict)


def happening_of(rule: Rule, test: RuleTest) -> Happening | None:
    """What happens in the test; None if neither the test nor the rule says it (a change has to be told)."""
    if test.event is not None:
        return test.event
    first = rule.triggers[0]
    if first.watched:
        return None
    names = {"form", "form_type", "name"} & set(first.wants)
    values = {f"{ROOTS[first.trigger]}.{name}": first.wants[name] for name in sorted(names)}
    detail = {name: wanted for name, wanted in first.wants.items() if name not in names}
    return Happening(first.trigger, values, detail)


def tell(rule: Rule, test: RuleTest, before: Mapping[str, Value]) -> Told:
    """The occurrence of the test; `before` are the values of the records by path, as they stood.

    Raises: ValueError if the test has to say what changed, and does not.
    """
    happening = happening_of(rule, test)
    if happening is None:
        raise ValueError(f"{test.place}: a test of {rule.slug} says what changed")
    said = {path: plain(value, test.now, test.zone) for path, value in {**happening.values, **test.said}.items()}
    own = {path.partition(".")[2]: value for path, value in said.items()}
    own = {**_defaults(happening, test.now, before), **own}
    changes = {path: _change(path, move, test, before) for path, move in happening.moves.items()}
    chain = () if happening.by_rule is None else (happening.by_rule,)
    detail = _detail(rule, happening, own)
    occurrence = Occurrence(happening.trigger, detail, changes, chain, is_import=happening.is_import)
    return Told(occurrence, ROOTS.get(happening.trigger, ""), own)


def _defaults(happening: Happening, now: datetime, before: Mapping[str, Value]) -> Mapping[str, Value]:
    match happening.trigger:
        case Trigger.FORM_SUBMITTED:
            email = before.get("contact.email") or DEFAULT_EMAIL
            return {"form": DEFAULT_FORM, "email": email, "submitted_at": now}
        case Trigger.EVENT:
            return {"at": now}
        case Trigger.SALE:
            return {"status": STATUS_OF_STEP[happening.detail["step"]]}
        case Trigger.MANUAL:
            return DEFAULT_USER
        case _:
            return {}


def _change(path: str, move: Move, test: RuleTest, before: Mapping[str, Value]) -> tuple[Any, Any]:
    old = before.get(path) if move.is_from_given else plain(move.old, test.now, test.zone)
    return old, plain(move.new, test.now, test.zone)


def _detail(rule: Rule, happening: Happening, own: Mapping[str, Value]) -> dict[str, str | None]:
    match happening.trigger:
        case Trigger.FORM_SUBMITTED:
            return {name: _text(own.get(name)) for name in ("form", "form_type")}
        case Trigger.EVENT:
            return {"name": _text(own.get("name"))}
        case Trigger.RECORD_CHANGED:
            return {"record": next(iter(happening.moves)).partition(".")[0]}
        case Trigger.SCHEDULE:
            return {"record": rule.schedule.for_each if rule.schedule else "contact"}
        case _:
            return dict(happening.detail)


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None
