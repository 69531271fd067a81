"""The parts of a test of a rule: `given`, `event`, `expect`, `later`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from leadflow.domain.effects import Record
from leadflow.domain.events import SaleStep, Trigger
from leadflow.domain.selections import find_selection
from leadflow.domain.text import fold
from leadflow.rules.model import Outcome
from leadflow.rules.nodes import ListNode, MappingNode, Node, ScalarNode
from leadflow.rules.parsing.clauses import read_clause
from leadflow.rules.parsing.special import is_kept
from leadflow.rules.parsing.test_values import (
    fields_in,
    is_word,
    read_given_value,
    read_moment_of_test,
    read_record,
    read_sides,
)
from leadflow.rules.problems import find_nearest, quoted
from leadflow.rules.reading import RECORD_ROOTS, Reader, Scope
from leadflow.rules.testing.happening import STATUS_OF_STEP
from leadflow.rules.testing.model import (
    Expected,
    FromNow,
    Given,
    GivenAct,
    GivenChange,
    GivenEvent,
    GivenPast,
    GivenValue,
    Happening,
    Later,
    Move,
    Values,
    Whose,
)

RECORDS: tuple[Record, ...] = ("company", "contact")
GIVEN_KEYS = ("company", "contact", "colleagues", "history", "turn", "selections")
PAST_KEYS = ("form_submitted", "event", "sale", "changed", "fired")
WHOSE = ("contact", "colleague", "company")
EVENT_KEYS = (*(trigger.value for trigger in Trigger), "by_rule", "import")
EXPECT_KEYS = ("fires", "outcome", "because", "company", "contact", "tasks", "messages")
LATER_KEYS = ("after", "meanwhile", "expect")
OUTCOMES = tuple(
    one.value
    for one in (
        Outcome.FIRED,
        Outcome.NO_MATCH,
        Outcome.LIMITED,
        Outcome.BLOCKED_BY_GUARD,
        Outcome.WAITING,
        Outcome.ERROR,
    )
)
MAX_COLLEAGUES = 50
MAX_PAST = 200
MAX_TURN = 1_000_000
MAX_SELECTIONS = 50

# -- given -------------------------------------------------------------------------------------------------------------


def read_given(reader: Reader, node: Node) -> Given:
    """How things stand before."""
    entries = reader.entries(node, "given", GIVEN_KEYS) or {}
    values: dict[str, GivenValue] = {}
    missing = frozenset(root for root in RECORDS if root in entries and is_word(entries[root], "none"))
    for root in RECORDS:
        if root in entries and root not in missing:
            values |= read_record(reader, entries[root], root)
    colleagues = _read_many(reader, entries.get("colleagues"), "colleagues", MAX_COLLEAGUES)
    if colleagues and "company" in missing:
        reader.add(entries["colleagues"], "no-company", "without a company there are no colleagues")
    past = [_read_past(reader, item) for item in _read_many(reader, entries.get("history"), "history", MAX_PAST)]
    turn = reader.whole_number(entries["turn"], "turn", 0, MAX_TURN) if "turn" in entries else 0
    named = _read_many(reader, entries.get("selections"), "selections", MAX_SELECTIONS)
    memberships = [_read_membership(reader, one) for one in named]
    return Given(
        values,
        missing,
        tuple(read_record(reader, one, "contact") for one in colleagues),
        tuple(one for entry in past for one in entry),
        turn or 0,
        tuple(one for one in memberships if one),
    )


def _read_membership(reader: Reader, node: Node) -> tuple[Record, int] | None:
    """A static selection that the company or the contact is in; in one with a condition are those that satisfy it."""
    name = reader.text(node, "a selection")
    if name is None:
        return None
    known = reader.catalogue.selections
    selection = find_selection(known, name)
    if selection is None:
        titles = [one.title for one in known.values()]
        message, near = f"there is no selection {quoted(name)}", find_nearest(name, [*titles, *known])
        reader.add(node, "unknown-selection", message, suggestion=near, allowed=titles)
        return None
    if not selection.is_static:
        message = f"the selection {quoted(selection.title)} has no members of its own: give the record what it asks for"
        reader.add(node, "wrong-kind", message)
        return None
    return selection.subject, selection.id


def _read_many(reader: Reader, node: Node | None, what: str, most: int) -> list[Node]:
    items = list(reader.items(node, what)) if node is not None else []
    if node is not None and len(items) > most:
        reader.add(node, "too-many", f"{what} has at most {most} entries in a test")
    return items[:most]


def _read_past(reader: Reader, node: Node) -> list[GivenPast]:
    """`{ago: 10 days, form_submitted: {…}}`: when, and one thing that happened."""
    entries = reader.entries(node, "an entry of the history", ("ago", "at", "by", *PAST_KEYS)) or {}
    happened = [key for key in PAST_KEYS if key in entries]
    if len(happened) != 1 or ("ago" in entries) is ("at" in entries):
        if isinstance(node, MappingNode) and len(entries) == len(node.entries):
            message = "an entry of the history has 'ago' or 'at', and one thing that happened then"
            reader.add(node, "wrong-keys", message, allowed=PAST_KEYS)
        return []
    at = _read_at(reader, entries)
    by = reader.word(entries["by"], "by", WHOSE) if "by" in entries else "contact"
    what, value = happened[0], entries[happened[0]]
    if at is None or by is None:
        return []
    if what == "changed":
        return _read_past_changes(reader, value, at)
    if what == "fired":
        return [GivenAct(at)] if reader.flag(value, "fired") else []
    name, values = _PAST_EVENTS[what](reader, value)
    return [GivenEvent(at, name, values, cast("Whose", by))] if name else []


def _read_at(reader: Reader, entries: Mapping[str, Node]) -> FromNow | datetime | None:
    if "at" in entries:
        return read_moment_of_test(reader, entries["at"], "at")
    length = reader.duration(entries["ago"], "ago")
    return FromNow(length) if length is not None else None


def _read_past_changes(reader: Reader, node: Node, at: FromNow | datetime) -> list[GivenPast]:
    """`{contact.lead_status: {from: Open, to: Re-nurture}}`, of fields whose changes the ledger keeps."""
    changes: list[GivenPast] = []
    for key, value in _pairs(reader, node, "changed"):
        field = reader.field(key, Scope(RECORD_ROOTS))
        if field is None:
            continue
        if not is_kept(field):
            kept = [one.path for one in reader.catalogue.fields.values() if is_kept(one)]
            message = f"the ledger keeps no changes of {field.path}"
            reader.add(key, "wrong-kind", message, suggestion=find_nearest(field.path, kept), allowed=kept)
            continue
        sides = read_sides(reader, value, field)
        changes.append(GivenChange(at, field.path, sides.get("from"), sides.get("to")))
    return changes


def _pairs(reader: Reader, node: Node, what: str) -> list[tuple[ScalarNode, Node]]:
    if isinstance(node, MappingNode) and node.entries:
        return list(node.entries.values())
    reader.add(node, "wrong-type", f"{what} is written as 'company.category: {{from: Lead, to: Customer}}' lines")
    return []


# -- events ------------------------------------------------------------------------------------------------------------


def read_event(reader: Reader, node: Node) -> Happening | None:
    """What happens: one trigger as under `when`, with the values of its fields."""
    entries = reader.entries(node, "event", EVENT_KEYS)
    triggers = [trigger for trigger in Trigger if entries and trigger.value in entries]
    if entries is None or len(triggers) != 1:
        if isinstance(node, MappingNode) and entries is not None and len(entries) == len(node.entries):
            message = "event has one trigger, such as 'form_submitted: {form: demo-request}'"
            reader.add(node, "wrong-keys", message, allowed=EVENT_KEYS)
        return None
    happening = _EVENTS[triggers[0]](reader, entries[triggers[0].value])
    if happening is None:
        return None
    by_rule = reader.text(entries["by_rule"], "by_rule") if "by_rule" in entries else None
    is_import = bool(reader.flag(entries["import"], "import")) if "import" in entries else False
    return replace(happening, by_rule=by_rule, is_import=is_import)


def _read_form(reader: Reader, node: Node) -> tuple[str, Values]:
    values = {} if is_word(node, "any") else read_record(reader, node, "form")
    return Trigger.FORM_SUBMITTED.value, values


def _read_declared(reader: Reader, node: Node) -> tuple[str, Values]:
    """`{name: webinar_attended, score: 5}`, or the name alone."""
    if isinstance(node, ScalarNode):
        name = _declared(reader, node)
        return name, {"event.name": name}
    if not isinstance(node, MappingNode) or "name" not in node.entries:
        reader.add(node, "missing-key", "an event has a name: '{name: webinar_attended}'")
        return "", {}
    values = read_record(reader, node, "event")
    name = _declared(reader, node.entries["name"][1])
    return name, {**values, "event.name": name}


def _declared(reader: Reader, node: Node) -> str:
    """The event's name as it compares; "" after a problem."""
    text = reader.text(node, "name")
    known = reader.catalogue.events
    if text is not None and fold(text) not in map(fold, known):
        message = f"{quoted(text)} is not a declared event" + ("" if known else "; none is declared in fields.yaml")
        reader.add(node, "unknown-event", message, suggestion=find_nearest(text, known), allowed=known)
        return ""
    return fold(text or "")


def _read_past_sale(reader: Reader, node: Node) -> tuple[str, Values]:
    happening = _read_sale(reader, node)
    if happening is None:
        return "", {}
    status = STATUS_OF_STEP[happening.detail["step"]]
    return Trigger.SALE.value, {"sale.status": status, **happening.values}


def _read_sale(reader: Reader, node: Node) -> Happening | None:
    """`sold`, or `{step: sold, amount: 1000}`."""
    if not isinstance(node, MappingNode):
        step, values = reader.word(node, "sale", tuple(SaleStep)), {}
    elif "step" not in node.entries:
        reader.add(node, "missing-key", "a sale needs its 'step'", allowed=tuple(SaleStep))
        return None
    else:
        step = reader.word(node.entries["step"][1], "step", tuple(SaleStep))
        rest = {key: entry for key, entry in node.entries.items() if key != "step"}
        values = read_record(reader, replace(node, entries=rest), "sale")
    return Happening(Trigger.SALE, values, {"step": step}) if step else None


def _read_created(reader: Reader, node: Node) -> Happening | None:
    record = reader.word(node, "record_created", RECORDS)
    return Happening(Trigger.RECORD_CREATED, {}, {"record": record}) if record else None


def _read_changed(reader: Reader, node: Node) -> Happening | None:
    """`{contact.lead_status: {from: Open, to: Qualified}}`; without `from` it changes from what is given."""
    moves: dict[str, Move] = {}
    for key, value in _pairs(reader, node, "record_changed"):
        field = reader.field(key, Scope(RECORD_ROOTS))
        if field is not None:
            sides = read_sides(reader, value, field)
            moves[field.path] = Move(sides.get("to"), sides.get("from"), is_from_given="from" not in sides)
    return Happening(Trigger.RECORD_CHANGED, moves=moves) if moves else None


def _read_due(reader: Reader, node: Node) -> Happening | None:
    return Happening(Trigger.SCHEDULE) if reader.word(node, "schedule", ("due",)) else None


def _read_manual(reader: Reader, node: Node) -> Happening | None:
    """`contact`, or `{record: contact, name: Anna, role: admin}` to say who starts the rule."""
    if not isinstance(node, MappingNode):
        record, values = reader.word(node, "manual", RECORDS), {}
    elif "record" not in node.entries:
        reader.add(node, "missing-key", "manual needs its 'record'", allowed=RECORDS)
        return None
    else:
        record = reader.word(node.entries["record"][1], "record", RECORDS)
        rest = {key: entry for key, entry in node.entries.items() if key != "record"}
        values = read_record(reader, replace(node, entries=rest), "user")
    return Happening(Trigger.MANUAL, values, {"record": record}) if record else None


_PAST_EVENTS: Mapping[str, Callable[[Reader, Node], tuple[str, Values]]] = {
    "form_submitted": _read_form,
    "event": _read_declared,
    "sale": _read_past_sale,
}
_EVENTS: Mapping[Trigger, Callable[[Reader, Node], Happening | None]] = {
    Trigger.FORM_SUBMITTED: lambda reader, node: Happening(Trigger.FORM_SUBMITTED, _read_form(reader, node)[1]),
    Trigger.EVENT: lambda reader, node: Happening(Trigger.EVENT, _read_declared(reader, node)[1]),
    Trigger.SALE: _read_sale,
    Trigger.RECORD_CREATED: _read_created,
    Trigger.RECORD_CHANGED: _read_changed,
    Trigger.SCHEDULE: _read_due,
    Trigger.MANUAL: _read_manual,
}

# -- expect ------------------------------------------------------------------------------------------------------------


def read_expected(reader: Reader, node: Node) -> Expected:
    """What must be so afterwards."""
    entries = reader.entries(node, "expect", EXPECT_KEYS) or {}
    if isinstance(node, MappingNode) and not node.entries:
        reader.add(node, "empty-value", "a test expects something", allowed=EXPECT_KEYS)
    found: dict[str, Any] = {}
    for name, value in entries.items():
        if name not in RECORDS:
            found[name] = read_expectation(reader, name, value)
    pairs = [pair for root in RECORDS if root in entries for pair in fields_in(reader, entries[root], root)]
    exact = {field.path: read_given_value(reader, value, field) for field, value in pairs if not _is_test(value)}
    tests = [read_clause(reader, field.path, field, value, _AFTER) for field, value in pairs if _is_test(value)]
    return Expected(**found, values=exact, clauses=tuple(one for one in tests if one))


_AFTER = Scope(RECORD_ROOTS)


def _is_test(node: Node) -> bool:
    """`{has: vip}` is a test as rules write them; everything else is the value."""
    return isinstance(node, MappingNode)


def read_expectation(reader: Reader, name: str, node: Node) -> Any:
    """What one key of `expect`, or one column of a table, says of the rule."""
    match name:
        case "fires":
            return reader.flag(node, name)
        case "outcome":
            word = reader.word(node, name, OUTCOMES)
            return Outcome(word) if word else None
        case _:
            return _read_texts(reader, node, name)


def _read_texts(reader: Reader, node: Node, name: str) -> tuple[str, ...]:
    if is_word(node, "none") or (isinstance(node, ListNode) and not node.items):
        return ()
    items = node.items if isinstance(node, ListNode) else [node]
    return tuple(text for item in items if (text := reader.text(item, name)))


def read_later(reader: Reader, node: Node) -> Later | None:
    """`{after: 3 days, meanwhile: {contact: {lead_status: Contacting}}, expect: {…}}`."""
    entries = reader.entries(node, "an entry of later", LATER_KEYS, ("after", "expect"))
    if entries is None or "after" not in entries or "expect" not in entries:
        return None
    after = reader.duration(entries["after"], "after")
    written = reader.entries(entries["meanwhile"], "meanwhile", RECORDS) if "meanwhile" in entries else {}
    values: dict[str, GivenValue] = {}
    for root, value in (written or {}).items():
        values |= read_record(reader, value, root)
    expected = read_expected(reader, entries["expect"])
    return Later(after, values, expected) if after is not None else None
