"""Criteria as lines of FIELD, operator and value: out of a condition, out of a form, and back into a condition.

Lines of a set are ANDed, sets are ORed. What does not fit into lines is kept as it was written, as a line of its own.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from werkzeug.datastructures import MultiDict

from leadflow.domain.fields import Catalogue, Field, Kind, UnreadableValue, read_boolean
from leadflow.domain.lifecycle import GROUP_NAMES
from leadflow.domain.selections import find_selection
from leadflow.domain.text import fold
from leadflow.rules.operators import OPERATORS, OPERATORS_OF, Negative
from leadflow.rules.parsing.special import CHANGE_KEYS, COUNT_KEYS, EVENT_KEYS, TESTS_OF
from leadflow.rules.values import CHOICE_KINDS
from leadflow.store.conditions import Subject

KEPT = "kept"
NAMED = ("selection", "segment")
PAST: Mapping[str, tuple[str, ...]] = {
    "event_count": COUNT_KEYS,
    "last_event": EVENT_KEYS,
    "last_change": CHANGE_KEYS,
}
# `where` of a past clause shows as these; everything else in it is kept as written.
NARROWED_BY = ("form", "form_type")
DETAILS = ("of", "by", "within", "form", "form_type", "field", "from", "to", "list")

MANY = ("in", "not_in", "has_any", "has_all", "has_none")
HOSTS = ("domain_in", "domain_not_in")
GROUPS = ("in_group", "not_in_group")
DURATIONS = ("older_than", "within_last", "within_next")
DAYS = ("before", "on", "after")
FLAGS = {"exists": True, "not_exists": False}
LISTED = (*MANY, *HOSTS, *GROUPS)
TWINS = {one.twin.name: one.name for one in OPERATORS if isinstance(one, Negative)}
TWINS |= {negative: positive for positive, negative in TWINS.items()} | {"exists": "not_exists", "not_exists": "exists"}
MAX_SETS = 20
MAX_LINES = 50

_NAME = re.compile(r"c-(\d{1,2})-(\d{1,2})-([a-z_0-9]+)", re.ASCII)
_DURATION = re.compile(r"(\d{1,9}) ?([a-z]+?)s?", re.ASCII)


@dataclass(frozen=True)
class Line:
    """One criterion. `about` is the path of a field, or one of `NAMED`, `PAST` and `KEPT`; empty: nothing chosen yet.

    `details` are what else a clause about the past says (`of`, `by`, `within`, …), and the named list of a text field.
    """

    about: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()
    or_blank: bool = False
    details: Mapping[str, str] = field(default_factory=dict)
    kept: Any = None

    @property
    def condition(self) -> Any | None:
        """The clause in the rule language; None while the line is empty, which makes it inactive."""
        if self.about == KEPT:
            return self.kept
        if self.about in NAMED:
            return _named_clause(self)
        test = _test_of(self)
        if test is None or not self.about:
            return None
        if self.about in PAST:
            return _past_clause(self, test)
        return {self.about: _shortened(test)}


Sets = list[list[Line]]


def condition_of(sets: Sequence[Sequence[Line]]) -> Any | None:
    """The condition that the lines mean; None if none of them is active."""
    parts = []
    for lines in sets:
        clauses = [clause for line in lines if (clause := line.condition) is not None]
        if clauses:
            parts.append(clauses[0] if len(clauses) == 1 else {"all": clauses})
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else {"any": parts}


def _named_clause(line: Line) -> Any | None:
    name = next((one for one in line.values if one.strip()), None)
    if name is None:
        return None
    return {"none": [{line.about: name}]} if line.operator == "is_not" else {line.about: name}


def _test_of(line: Line) -> dict[str, Any] | None:
    """`{operator: operand}`; None while the operand is empty."""
    if line.operator in FLAGS:
        test: dict[str, Any] = {"exists": FLAGS[line.operator]}
    else:
        operand = _operand_of(line)
        if operand is None or not line.operator:
            return None
        test = {line.operator: operand}
    return {**test, "or_blank": True} if line.or_blank else test


def _operand_of(line: Line) -> Any | None:
    given = [one for one in line.values if one.strip()]
    if line.operator in LISTED:
        return given or line.details.get("list") or None
    if line.operator == "between":
        return list(line.values) if given else None
    return given[0] if given else None


def _shortened(test: dict[str, Any]) -> Any:
    """A test that is written without its operator where the language allows it."""
    match test:
        case {"is": operand, **rest} if not rest:
            return operand
        case {"in": [*operands], **rest} | {"has_any": [*operands], **rest} if not rest:
            return operands
        case _:
            return test


def _past_clause(line: Line, test: dict[str, Any]) -> Any | None:
    said = line.details
    if line.about == "last_change":
        asked = {key: said[key] for key in CHANGE_KEYS if said.get(key)}
        return {"last_change": asked | test} if "field" in asked else None
    asked = {key: said[key] for key in ("of", "by") if said.get(key)}
    where = {key: said[key] for key in NARROWED_BY if said.get(key)}
    within = {"within_last": said["within"]} if said.get("within") and line.about == "event_count" else {}
    return {line.about: asked | ({"where": where} if where else {}) | within | test} if "of" in asked else None


# Out of a condition ---------------------------------------------------------------------------------------------------


def sets_of(where: Any, subject: Subject, catalogue: Catalogue) -> Sets:
    """The condition as sets of lines; an empty one has none. Nothing of a condition is lost."""
    reading = _Reading(subject, catalogue)
    found = [reading.lines(part) for part in _alternatives(where)]
    return [lines for lines in found if lines]


def _alternatives(where: Any) -> list[Any]:
    match where:
        case None:
            return []
        case {"any": [*parts], **rest} if not rest:
            return [one for part in parts for one in _alternatives(part)]
        case _:
            return [where]


@dataclass(frozen=True)
class _Reading:
    subject: Subject
    catalogue: Catalogue

    def lines(self, part: Any) -> list[Line]:
        """The lines that mean the same as a condition."""
        match part:
            case None | "":
                return []
            case {"all": [*parts], **rest} if not rest:
                return [line for one in parts for line in self.lines(one)]
            case {"none": [*parts], **rest} if not rest:
                return [line for one in parts for line in self._negated(one)]
            case {**clause} if len(clause) == 1:
                ((about, said),) = clause.items()
                return self._clause(str(about), said) or [Line(KEPT, kept=part)]
            case {**clause} if not clause:
                return []
            case _:
                return [Line(KEPT, kept=part)]

    def _negated(self, part: Any) -> list[Line]:
        lines = self.lines(part)
        if not lines:
            return []
        if len(lines) == 1 and not lines[0].or_blank and lines[0].about != KEPT:
            line = lines[0]
            if line.operator in TWINS and (line.condition is not None) and self._knows(line, TWINS[line.operator]):
                return [replace(line, operator=TWINS[line.operator])]
        return [Line(KEPT, kept={"none": [part]})]

    def _knows(self, line: Line, operator: str) -> bool:
        if line.about in NAMED:
            return True
        if line.about in PAST:
            return line.about == "event_count" and operator in TESTS_OF[line.about]
        known = self.catalogue.get(line.about)
        return known is not None and (operator in FLAGS or operator in OPERATORS_OF[known.kind])

    def _clause(self, about: str, said: Any) -> list[Line] | None:
        if about in NAMED:
            return [self._named(about, said)] if isinstance(said, str) else None
        if about in PAST:
            return self._past(about, said)
        known = self.catalogue.get(about)
        if known is None:
            return None
        is_list = known.kind is Kind.LIST
        if isinstance(said, list):
            said = {"has_any" if is_list else "in": said}
        elif not isinstance(said, dict):
            said = {"has" if is_list else "is": said}
        return self._tests(about, known, said)

    def _named(self, about: str, name: str) -> Line:
        selection = find_selection(self.catalogue.selections, name) if about == "selection" else None
        return Line(about, "is", (selection.slug if selection else name.strip(),))

    def _tests(self, about: str, known: Field, said: Mapping[str, Any]) -> list[Line] | None:
        tests = {name: operand for name, operand in said.items() if name != "or_blank"}
        or_blank = _flag(said.get("or_blank", False))
        lines = [_line_of(about, known, name, operand) for name, operand in tests.items()]
        if or_blank is None or not lines or None in lines:
            return None
        return [replace(line, or_blank=or_blank) for line in lines if line]

    def _past(self, about: str, said: Any) -> list[Line] | None:
        if not isinstance(said, dict):
            return None
        keys = PAST[about]
        tests = {name: operand for name, operand in said.items() if name not in keys and name != "or_blank"}
        details = self._details(about, {key: said[key] for key in keys if key in said})
        or_blank = _flag(said.get("or_blank", False))
        if details is None or or_blank is None or len(tests) != 1:
            return None
        ((name, operand),) = tests.items()
        kind = Kind.NUMBER if about == "event_count" else Kind.MOMENT
        line = _line_of(about, Field(about, kind, about), name, operand) if name in TESTS_OF[about] else None
        return [replace(line, details=details, or_blank=or_blank)] if line else None

    def _details(self, about: str, asked: Mapping[str, Any]) -> dict[str, str] | None:
        where = asked.get("where") or {}
        plain = {{"within_last": "within"}.get(key, key): one for key, one in asked.items() if key != "where"}
        if not isinstance(where, dict) or set(where) - set(NARROWED_BY):
            return None
        if not all(map(_is_scalar, (*plain.values(), *where.values()))):
            return None
        if about != "last_change" and "by" not in plain:
            if self.subject == "company":
                return None
            plain["by"] = "contact"
        return {key: text_of(one) for key, one in {**plain, **where}.items() if text_of(one).strip()}


def _line_of(about: str, known: Field, name: str, operand: Any) -> Line | None:
    """One test as a line; None if its operand has another form than lines have."""
    operator = OPERATORS_OF[known.kind].get(name)
    if operator is None or operator.only_on_change:
        return None
    if name == "exists":
        flag = _flag(operand)
        return None if flag is None or operand in (None, "") else Line(about, "exists" if flag else "not_exists")
    if name in LISTED:
        return _many(about, known, name, operand)
    if name == "between":
        is_range = isinstance(operand, list) and len(operand) == 2 and all(map(_is_scalar, operand))
        return Line(about, name, tuple(map(text_of, operand))) if is_range else None
    if not _is_scalar(operand):
        return None
    return _one(about, known, name, text_of(operand))


def _many(about: str, known: Field, name: str, operand: Any) -> Line | None:
    if isinstance(operand, str) and name in GROUPS:
        operand = [operand]
    if isinstance(operand, str):
        takes_lists = known.kind not in CHOICE_KINDS and operand.strip()
        return Line(about, name, details={"list": operand.strip()}) if takes_lists else None
    if not isinstance(operand, list) or not all(map(_is_scalar, operand)):
        return None
    texts = (text_of(one) for one in operand)
    return Line(about, name, tuple(_known_value(known, name, one) for one in texts if one.strip()))


def _one(about: str, known: Field, name: str, text: str) -> Line:
    """A single value; of fields with a list of values, and of tags, it is a pick of one."""
    if known.kind in CHOICE_KINDS and name in ("is", "is_not"):
        values = (_known_value(known, name, text),) if text.strip() else ()
        return Line(about, {"is": "in", "is_not": "not_in"}[name], values)
    if name == "has":
        return Line(about, "has_any", (text,) if text.strip() else ())
    if known.kind is Kind.BOOLEAN and (flag := _flag(text)) is not None and text.strip():
        text = "true" if flag else "false"
    return Line(about, name, (text,) if text.strip() else ())


def _known_value(known: Field, name: str, text: str) -> str:
    """The key for a name of a list or group; what is unknown stays as it is, and is complained about elsewhere."""
    if name in GROUPS:
        wanted = fold(text)
        return next((group.value for group, said in GROUP_NAMES.items() if wanted in (group.value, fold(said))), text)
    if known.kind not in CHOICE_KINDS:
        return text
    choice = known.choice(text) or next((one for one in known.retired if one.key == text), None)
    return choice.key if choice else text


def _flag(value: Any) -> bool | None:
    try:
        return False if value in (None, "") else read_boolean(value)
    except UnreadableValue:
        return None


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def text_of(value: Any) -> str:
    """A value of JSON as the language reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


# Out of a form --------------------------------------------------------------------------------------------------------


def has_lines(form: MultiDict[str, str]) -> bool:
    """Whether the request carries the fields of a builder."""
    return any(_NAME.fullmatch(name) for name in form)


def sets_from(form: MultiDict[str, str]) -> Sets:
    """The lines that a form shows, those that are still empty included."""
    numbers = {(int(match[1]), int(match[2])) for name in form if (match := _NAME.fullmatch(name))}
    dropped = form.get("c-drop", "")
    sets: dict[int, list[Line]] = {}
    for one, two in sorted(numbers):
        line = _line_from(form, f"c-{one}-{two}-")
        if line.about and f"{one}-{two}" != dropped:
            sets.setdefault(one, []).append(line)
    return [lines[:MAX_LINES] for lines in list(sets.values())[:MAX_SETS]]


def is_being_edited(form: MultiDict[str, str]) -> bool:
    """Whether a line's field or operator was changed, so that the form has no value for it yet."""
    for name in form:
        match = _NAME.fullmatch(name)
        if match and match[3] == "about" and form[name]:
            prefix = f"c-{match[1]}-{match[2]}-"
            was = form.get(f"{prefix}was", "").split(" ")
            if form[name] != was[0] or (len(was) > 1 and form.get(f"{prefix}op", "") != was[1]):
                return True
    return False


def _line_from(form: MultiDict[str, str], prefix: str) -> Line:
    about = form.get(f"{prefix}about", "")
    if about == KEPT:
        return _kept_from(form.get(f"{prefix}kept", ""))
    was, _, shown = form.get(f"{prefix}was", "").partition(" ")
    if about != was:
        return Line(about)
    operator = form.get(f"{prefix}op", "")
    shown_operator, _, look = shown.partition(" ")
    details = {key: text.strip() for key in DETAILS if (text := form.get(prefix + key, "")).strip()}
    if within := details.get("within"):
        details["within"] = f"{within} {form.get(f'{prefix}within_unit', 'days')}"
    values = _values_from(form, prefix, look) if _family(operator) == _family(shown_operator) else ()
    return Line(about, operator, values, form.get(f"{prefix}blank") == "true", details)


def _kept_from(text: str) -> Line:
    try:
        return Line(KEPT, kept=json.loads(text))
    except (ValueError, RecursionError):
        return Line()


def _values_from(form: MultiDict[str, str], prefix: str, look: str) -> tuple[str, ...]:
    given = [one[:10_000] for one in form.getlist(f"{prefix}value")]
    if look == "texts":
        return tuple(value for text in given for value in split_texts(text))
    if look == "duration":
        return tuple(f"{one.strip()} {form.get(f'{prefix}unit', 'days')}" for one in given if one.strip())
    if look.endswith("range"):
        return (*given[:1], form.get(f"{prefix}value2", ""))
    return tuple(one for one in given if one.strip())


def _family(operator: str) -> str:
    """Operators of one family take the same value: what was typed for one is kept for the other."""
    for name, family in (("hosts", HOSTS), ("groups", GROUPS), ("duration", DURATIONS), ("days", DAYS)):
        if operator in family:
            return name
    return operator if operator in ("between", "same_as", *FLAGS) else "values"


def split_texts(text: str) -> list[str]:
    """Values with commas between them; one that has a comma itself stands in quotes."""
    row = next(csv.reader([" ".join(text.split())], skipinitialspace=True), [])
    return [one.strip() for one in row if one.strip()]


def join_texts(values: Sequence[str]) -> str:
    """The reverse of `split_texts`."""
    quoted = ('"{}"'.format(one.replace('"', '""')) if "," in one or '"' in one else one for one in values)
    return ", ".join(quoted)


def split_duration(text: str) -> tuple[str, str]:
    """`90 days` as number and unit; what is no duration is all number, and is complained about elsewhere."""
    match = _DURATION.fullmatch(text.strip().casefold())
    return (match[1], f"{match[2]}s") if match else (text, "days")
