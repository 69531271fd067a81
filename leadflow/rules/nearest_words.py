"""What would have to be different, in sentences that a marketer understands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any

from leadflow.domain.fields import Catalogue, Field, Kind
from leadflow.domain.text import fold
from leadflow.rules.conditions import MemberClause, PastClause
from leadflow.rules.linting.cases import ChangedKey, HoursKey
from leadflow.rules.linting.domains import Chosen, Domain
from leadflow.rules.nearest import By, Need
from leadflow.rules.values import BEFORE, as_text

SAYERS = {"form": "The form", "event": "The event", "sale": "The sale", "user": "Who starts the rule"}
# So many values of a list are named; more are told by an example.
MAX_NAMED = 8


def label_of(path: str, catalogue: Catalogue) -> str:
    """What people call the field."""
    field = catalogue.get(path.removeprefix(BEFORE))
    return path if field is None else field.label


def shown(value: Any, field: Field | None, zone: tzinfo) -> str:
    """A value as people read it."""
    if value is None or value == () or value == "":
        return "blank"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone(zone):%Y-%m-%d %H:%M}"
    if isinstance(value, Decimal | int):
        return format(Decimal(value).normalize(), "f")
    return (as_text(field, zone)(value) if field else None) or str(value)


def sentence_of(need: Need, catalogue: Catalogue, zone: tzinfo, asked: Mapping[str, str] | None = None) -> str:
    """One thing that would have to be different, as a sentence. `asked` is what the rule asks of a field, by path."""
    match need.key, need.clause:
        case HoursKey(), _:
            return f"It would have to be another time: the next one is {shown(need.new, None, zone)}."
        case ChangedKey(path=path), _:
            return f"{label_of(path, catalogue)} would have to stay as it is when this happens."
        case _, MemberClause(record=record, title=title):
            return f"The {record} would have to be {'in' if need.new else 'taken out of'} the selection “{title}”."
        case _, PastClause() as clause:
            return _about_past(need, clause, zone)
        case _:
            return _about_field(need, catalogue, zone, (asked or {}).get(need.path, ""))


def _about_past(need: Need, clause: PastClause, zone: tzinfo) -> str:
    if clause.field.path == "event_count":
        more = int(need.new) - int(need.old)
        wanted = f"{more:,} more would have to happen" if more > 0 else f"{-more:,} fewer would have to count"
        return f"{clause.title} is {int(need.old):,}: {wanted}."
    was = "never was" if need.old is None else f"was {shown(need.old, None, zone)}"
    if need.since is not None:
        return f"{clause.title} {was}: time alone makes it match, from {shown(need.since, None, zone)} on."
    wanted = "never" if need.new is None else f"such as {shown(need.new, None, zone)}"
    return f"{clause.title} {was}: it {_as_clause(clause)} only if it were otherwise, {wanted}."


def _as_clause(clause: PastClause) -> str:
    return f"“{clause.words}”"


def _about_field(need: Need, catalogue: Catalogue, zone: tzinfo, asked: str) -> str:
    field = catalogue.get(need.path.removeprefix(BEFORE))
    label, old = label_of(need.path, catalogue), shown(need.old, field, zone)
    if need.path.startswith(BEFORE):
        return f"{label} would have to change from {shown(need.new, field, zone)}."
    wanted = _wanted(need, field, zone)
    if asked and field is not None and not field.choices and field.kind is not Kind.LIST:
        return _as_asked(need, label, asked, old)
    if need.by is By.EVENT:
        said = SAYERS.get(need.path.partition(".")[0])
        return f"{said} would have to say {label}: {wanted}." if said else f"{label} would have to change to {wanted}."
    if field is not None and field.kind is Kind.LIST:
        return f"{label}: {_edits(need.old or (), need.new or ())}."
    return f"{label} is {old}, and would have to be {wanted}{_ending(need, zone)}."


def _as_asked(need: Need, label: str, asked: str, old: str) -> str:
    """In the words of the rule, where any value will do that it asks for."""
    root = need.path.partition(".")[0]
    if root in SAYERS:
        return f"The rule wants: {label} {asked}. {SAYERS[root]} would have to say so; now it is {old}."
    return f"The rule wants: {label} {asked}. Now it is {old}{_ending(need, UTC)}."


def _ending(need: Need, zone: tzinfo) -> str:
    return {
        By.TIME: f"; time alone makes it match, from {shown(need.since, None, zone)} on",
        By.NOBODY: "; leadflow writes it once, so only another record can have it",
        By.HAPPENING: "; people do not edit it, it follows from what happens",
    }.get(need.by, "")


def _wanted(need: Need, field: Field | None, zone: tzinfo) -> str:
    names = _names(need.domain, field) if need.domain is not None else []
    if 1 < len(names) <= MAX_NAMED:
        return f"{', '.join(names[:-1])} or {names[-1]}"
    one = shown(need.new, field, zone)
    is_open = need.domain is not None and not isinstance(need.domain.values, Chosen) and one != "blank"
    return f"otherwise, for example {one}" if is_open and need.by is not By.EVENT else one


def _names(domain: Domain, field: Field | None) -> list[str]:
    if not isinstance(domain.values, Chosen) or field is None or not field.choices:
        return []
    named = [one.name for one in field.choices if one.key in domain.values.values]
    return [*named, *(["blank"] if domain.has_blank else [])]


def _edits(old: Iterable[str], new: Iterable[str]) -> str:
    had, has = {fold(one): one for one in old}, {fold(one): one for one in new}
    added = [f"“{text}” would have to be added" for key, text in has.items() if key not in had]
    removed = [f"“{text}” would have to be taken away" for key, text in had.items() if key not in has]
    return " and ".join([*added, *removed])
