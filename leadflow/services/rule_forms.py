"""The common parts of a rule as a form: shown from its YAML, and put back into it at the places that were edited.

A form says only what it understands. Everything else is shown as kept, and stays in the text as it is. What was not
edited is never written, so a form that is sent as it came leaves every byte of the document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from leadflow.domain.events import Trigger
from leadflow.domain.fields import Catalogue, Field, Kind
from leadflow.domain.lifecycle import GROUP_NAMES
from leadflow.errors import NotFound
from leadflow.rules.model import RuleStatus
from leadflow.rules.operators import OPERATORS_OF, Operator
from leadflow.rules.parsing.rewriting import entries_of, rewrite_rule, written
from leadflow.rules.values import CHOICE_KINDS

GROUPS = ("all", "any")
HEADER = ("title", "why", "owner", "status", "priority")
STATUSES = tuple(one.value for one in RuleStatus)
LISTS = frozenset({"in", "not_in", "has_any", "has_all", "has_none", "domain_in", "domain_not_in", "between"})
GROUP_OPERATORS = frozenset({"in_group", "not_in_group"})
FLAGS = frozenset({"exists", "changed"})
# Their operands are no single values of the field; they are written in the YAML.
TOO_SPECIAL = frozenset({"same_as", "changed_from", "changed_to"})
DEFAULTS = {"status": RuleStatus.LIVE.value, "priority": "50"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field of an action's or trigger's form; the one that may stand alone is `main`."""

    name: str
    label: str
    choices: tuple[tuple[str, str], ...] = ()
    is_main: bool = False
    is_needed: bool = False
    placeholder: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """A trigger or action that the form knows."""

    name: str
    label: str
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A clause `FIELD operator value`, or one kept as written. `place` is where it stands, None for a new one."""

    place: int | None
    field: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()
    or_blank: bool = False
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A trigger or action with its values, or one that is kept as written."""

    place: int | None
    name: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    kept: str = ""


@dataclass(frozen=True, slots=True)
class RuleForm:
    """A rule as its form shows it; `condition_kept` is a whole condition that no lines can show."""

    slug: str
    header: Mapping[str, str]
    trigger: Part
    group: str
    lines: tuple[Line, ...]
    condition_kept: str
    actions: tuple[Part, ...]
    limit: Mapping[str, str]


# -- what there is to choose -------------------------------------------------------------------------------------------

RECORDS = (("contact", "contact"), ("company", "company"))


def trigger_shapes(catalogue: Catalogue) -> dict[str, Shape]:
    """The triggers that the form knows, by the name of what stands in `when`."""
    events = tuple((name, words or name) for name, words in catalogue.events.items())
    watched = tuple((one.path, one.label) for one in catalogue.of("company", "contact") if one.kind in CHOICE_KINDS)
    steps = (("registered", "is registered"), ("sold", "is sold"), ("lost", "is lost"))
    periods = tuple((one, f"every {one}") for one in ("hour", "day", "week", "month"))
    form = (Parameter("form", "Form", placeholder="any form"), Parameter("form_type", "Type of form"))
    change = (
        Parameter("field", "Field", watched, is_needed=True),
        Parameter("from", "From", placeholder="anything"),
        Parameter("to", "To", placeholder="anything"),
    )
    times = (
        Parameter("every", "How often", periods, is_needed=True),
        Parameter("at", "At", placeholder="07:00"),
        Parameter("for_each", "For each", RECORDS, is_needed=True),
    )
    shapes = [
        Shape(Trigger.FORM_SUBMITTED, "A form is sent", form),
        Shape(Trigger.SALE, "A sale", (Parameter("step", "What happens", steps, is_needed=True),)),
        Shape(Trigger.EVENT, "An event happens", (Parameter("name", "Event", events, is_needed=True),)),
        Shape(Trigger.RECORD_CHANGED, "A field changes", change),
        Shape(Trigger.SCHEDULE, "On a schedule", times),
    ]
    return {one.name: one for one in shapes if one.name != Trigger.EVENT or events}


def action_shapes(catalogue: Catalogue) -> dict[str, Shape]:
    """The actions that the form knows."""
    categories, statuses = (
        tuple((one.name, one.name) for one in catalogue.fields[path].choices)
        for path in ("company.category", "contact.lead_status")
    )
    of = Parameter("of", "Of the", RECORDS)
    tag = (Parameter("tag", "Tag", is_main=True, is_needed=True), of)
    task = (
        Parameter("title", "Title", is_main=True, is_needed=True),
        Parameter("owner", "For", placeholder="nobody yet"),
        Parameter("due_in", "Due in", placeholder="1 day"),
    )
    message = (Parameter("to", "To", is_needed=True), Parameter("text", "Text", is_needed=True))
    shapes = (
        Shape("set_category", "Set the category", (Parameter("to", "To", categories, True, True),)),
        Shape("set_lead_status", "Set the lead status", (Parameter("to", "To", statuses, True, True),)),
        Shape("add_tag", "Add a tag", tag),
        Shape("remove_tag", "Take a tag away", tag),
        Shape("create_task", "Create a task", task),
        Shape("assign_owner", "Assign an owner", (Parameter("to", "To", (), True, True),)),
        Shape("notify", "Notify", message),
    )
    return {one.name: one for one in shapes}


def operators_for(one: Field) -> tuple[Operator, ...]:
    """The operators that a line offers for a field."""
    found = OPERATORS_OF[one.kind].values()
    return tuple(op for op in found if not op.only_on_change and op.name not in TOO_SPECIAL)


def choices_for(one: Field, operator: str) -> tuple[Choice, ...]:
    """The values to pick from, in their order; none where any text may be written."""
    if operator in GROUP_OPERATORS:
        return tuple(Choice(group.value, name) for group, name in GROUP_NAMES.items())
    if operator in FLAGS or one.kind is Kind.BOOLEAN:
        return Choice("true", "yes"), Choice("false", "no")
    return tuple(Choice(choice.name, choice.name) for choice in one.choices)


# -- from the YAML -----------------------------------------------------------------------------------------------------


def show_rule(text: str, slug: str, catalogue: Catalogue) -> RuleForm:
    """The rule as its form. Raises: NotFound, if the text has no such rule or cannot be read."""
    entries = entries_of(text, slug)
    if entries is None:
        raise NotFound(f"The rule {slug} is not in this document, or the document is no YAML at the moment.")
    return form_of(slug, entries, catalogue)


def form_of(slug: str, entries: Mapping[str, Any], catalogue: Catalogue) -> RuleForm:
    """The entries of a rule as its form."""
    header = {name: str(entries.get(name, DEFAULTS.get(name, ""))) for name in HEADER}
    group, lines, kept = _lines_of(entries.get("if"), catalogue)
    limit = entries.get("limit")
    known = limit if isinstance(limit, dict) else {}
    then = entries.get("then")
    shapes = action_shapes(catalogue)
    actions = [_action_of(place, one, shapes) for place, one in enumerate(then if isinstance(then, list) else ())]
    return RuleForm(
        slug,
        header,
        _trigger_of(entries.get("when"), trigger_shapes(catalogue)),
        group,
        tuple(lines),
        kept,
        tuple(actions),
        {name: str(known.get(name, "")) for name in ("once_per", "within")},
    )


def _lines_of(condition: Any, catalogue: Catalogue) -> tuple[str, list[Line], str]:
    if condition is None:
        return "all", [], ""
    if isinstance(condition, dict) and len(condition) == 1:
        (name, value), *_ = condition.items()
        if name in GROUPS and isinstance(value, list):
            return name, [_line_of(place, one, catalogue) for place, one in enumerate(value)], ""
        line = _line_of(0, condition, catalogue)
        if not line.kept:
            return "all", [line], ""
    return "all", [], written(condition)


def _line_of(place: int, clause: Any, catalogue: Catalogue) -> Line:
    kept = Line(place, kept=written(clause))
    if not isinstance(clause, dict) or len(clause) != 1:
        return kept
    (path, test), *_ = clause.items()
    one = catalogue.get(path)
    if one is None:
        return kept
    if isinstance(test, str):
        name = "has" if one.kind is Kind.LIST else "is"
        return Line(place, path, name, (_spelt(one, test),)) if name in OPERATORS_OF[one.kind] else kept
    if isinstance(test, list):
        test = {"has_any" if one.kind is Kind.LIST else "in": test}
    if not isinstance(test, dict):
        return kept
    tests = {name: value for name, value in test.items() if name != "or_blank"}
    if len(tests) != 1 or test.get("or_blank", "true") not in ("true", "false"):
        return kept
    (name, value), *_ = tests.items()
    if name not in {op.name for op in operators_for(one)} or not _is_flat(value):
        return kept
    values = tuple(_spelt(one, text) for text in (value if isinstance(value, list) else [value]))
    return Line(place, path, name, values, test.get("or_blank") == "true")


def _is_flat(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))


def _spelt(one: Field, text: str) -> str:
    """A choice by its name, whichever spelling the author used."""
    choice = one.choice(text) if one.kind in CHOICE_KINDS else None
    return choice.name if choice else text


def _trigger_of(when: Any, shapes: Mapping[str, Shape]) -> Part:
    kept = Part(0, kept=written(when) if when is not None else "")
    if not isinstance(when, dict) or len(when) != 1:
        return kept
    (name, given), *_ = when.items()
    shape = shapes.get(name)
    values = _trigger_values(name, given) if shape else None
    if shape is None or values is None or not values.keys() <= {one.name for one in shape.parameters}:
        return kept
    return Part(0, name, values)


def _trigger_values(name: str, given: Any) -> dict[str, str] | None:
    if name == Trigger.FORM_SUBMITTED and given == "any":
        return {}
    if name == Trigger.SALE:
        return {"step": given} if isinstance(given, str) else None
    if not isinstance(given, dict):
        return None
    if name == Trigger.RECORD_CHANGED:
        if len(given) != 1:
            return None
        (path, sides), *_ = given.items()
        given = {"field": path, **sides} if isinstance(sides, dict) else {}
    return dict(given) if given and all(isinstance(one, str) for one in given.values()) else None


def _action_of(place: int, action: Any, shapes: Mapping[str, Shape]) -> Part:
    kept = Part(place, kept=written(action))
    if not isinstance(action, dict) or len(action) != 1:
        return kept
    (name, given), *_ = action.items()
    shape = shapes.get(name)
    if shape is None:
        return kept
    if isinstance(given, str):
        main = next((one.name for one in shape.parameters if one.is_main), None)
        return Part(place, name, {main: given}) if main else kept
    known = {one.name for one in shape.parameters}
    if not isinstance(given, dict) or any(not isinstance(given.get(one, ""), str) for one in known):
        return kept
    if not any(one.name in given for one in shape.parameters if one.is_needed):
        return kept
    return Part(place, name, {key: value for key, value in given.items() if key in known})


# -- back into the YAML ------------------------------------------------------------------------------------------------


def is_complete(line: Line) -> bool:
    """Whether the line says all that a clause needs; until then it is not written."""
    return bool(line.kept or (line.field and line.operator and any(one.strip() for one in line.values)))


def is_filled(part: Part, shapes: Mapping[str, Shape]) -> bool:
    """Whether a trigger or action has all that it needs; until then it is not written."""
    if part.kept or part.name not in shapes:
        return bool(part.kept)
    return all(part.values.get(one.name, "").strip() for one in shapes[part.name].parameters if one.is_needed)


def put_back(text: str, slug: str, sent: RuleForm, catalogue: Catalogue) -> str:
    """The text after the edits of a form that was made from it. Raises: NotFound, Unwritable."""
    shown = show_rule(text, slug, catalogue)
    entries = entries_of(text, slug) or {}
    wanted = dict(entries)
    for name in HEADER:
        if sent.header[name] != shown.header[name]:
            _set(wanted, name, sent.header[name])
    triggers = trigger_shapes(catalogue)
    if not sent.trigger.kept and sent.trigger != shown.trigger and is_filled(sent.trigger, triggers):
        wanted["when"] = _when(sent.trigger, triggers)
    if not shown.condition_kept and (sent.group, sent.lines) != (shown.group, shown.lines):
        _set(wanted, "if", _condition(sent, shown, entries.get("if"), catalogue))
    if sent.actions != shown.actions:
        found = list(_actions(sent, shown, entries.get("then"), action_shapes(catalogue)))
        wanted["then"] = found or entries.get("then", [])
    if sent.limit != shown.limit:
        _set(wanted, "limit", _limit(sent.limit, entries.get("limit")))
    return rewrite_rule(text, slug, wanted)


def _set(entries: dict[str, Any], name: str, value: Any) -> None:
    """An entry that says nothing is left out."""
    if value:
        entries[name] = value
    else:
        entries.pop(name, None)


def _when(part: Part, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    names = [one.name for one in shapes[part.name].parameters]
    given = {name: part.values[name] for name in names if part.values.get(name)}
    if part.name == Trigger.FORM_SUBMITTED:
        return {part.name: given or "any"}
    if part.name == Trigger.SALE:
        return {part.name: given.get("step", "")}
    if part.name == Trigger.RECORD_CHANGED:
        path = given.pop("field", "")
        return {part.name: {path: given} if given else [path]}
    return {part.name: given}


def _condition(sent: RuleForm, shown: RuleForm, before: Any, catalogue: Catalogue) -> Any:
    parts = before.get(shown.group) if isinstance(before, dict) and shown.group in before else None
    clauses = parts if isinstance(parts, list) else [before] if before is not None else []
    known = {one.place: one for one in shown.lines}
    found: list[Any] = []
    for line in sent.lines:
        if not is_complete(line):
            line = known.get(line.place, line)
        original = clauses[line.place] if line.place is not None and line.place < len(clauses) else None
        if original is not None and (line.kept or line == known.get(line.place)):
            found.append(original)
        elif is_complete(line):
            found.append(_clause(line, original, catalogue))
    return {sent.group: found} if found else None


def _clause(line: Line, original: Any, catalogue: Catalogue) -> dict[str, Any]:
    """The clause of a line; a short one stays short."""
    value: Any = list(line.values) if line.operator in LISTS or len(line.values) > 1 else "".join(line.values[:1])
    one = catalogue.get(line.field)
    is_list_field = one is not None and one.kind is Kind.LIST
    short = (("has", "has_any") if is_list_field else ("is", "in"))[isinstance(value, list)]
    was = original.get(line.field) if isinstance(original, dict) else None
    if not line.or_blank and line.operator == short and not isinstance(was, dict):
        return {line.field: value}
    return {line.field: {line.operator: value, **({"or_blank": "true"} if line.or_blank else {})}}


def _actions(sent: RuleForm, shown: RuleForm, before: Any, shapes: Mapping[str, Shape]) -> Iterator[Any]:
    known = {one.place: one for one in shown.actions}
    originals = before if isinstance(before, list) else []
    for part in sent.actions:
        if not is_filled(part, shapes):
            part = known.get(part.place, part)
        original = originals[part.place] if part.place is not None and part.place < len(originals) else None
        if original is not None and (part.kept or part == known.get(part.place)):
            yield original
        elif is_filled(part, shapes):
            yield {part.name: _parameters(part, original, shapes[part.name])}


def _parameters(part: Part, original: Any, shape: Shape) -> Any:
    """The parameters of an action: those that the form does not know stay, a single main one stands alone."""
    before = original.get(part.name) if isinstance(original, dict) else None
    names = {one.name for one in shape.parameters}
    main = next((one.name for one in shape.parameters if one.is_main), None)
    given = {one.name: part.values[one.name] for one in shape.parameters if part.values.get(one.name)}
    if isinstance(before, dict):
        kept = {name: given.get(name, value) for name, value in before.items() if name not in names or name in given}
        return {**kept, **{name: value for name, value in given.items() if name not in kept}}
    if main in given and len(given) == 1 and (isinstance(before, str) or part.name in ("add_tag", "remove_tag")):
        return given[main]
    return given or {main or "to": ""}


def _limit(sent: Mapping[str, str], before: Any) -> dict[str, str] | None:
    if not sent.get("once_per"):
        return None
    old = before if isinstance(before, dict) else {}
    wanted = {**old, **{name: value for name, value in sent.items() if value}}
    return {name: value for name, value in wanted.items() if sent.get(name, value)}
