"""`when`: from nodes to listeners, and to the scope that they give the rest of the rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from leadflow.domain.events import SaleStep, Trigger
from leadflow.domain.fields import Kind, Value
from leadflow.domain.text import fold
from leadflow.rules.model import TriggerFilter
from leadflow.rules.nodes import ListNode, MappingNode, Node, ScalarNode
from leadflow.rules.operands import read_values_or_blank
from leadflow.rules.parsing.schedules import read_schedule
from leadflow.rules.problems import quoted
from leadflow.rules.reading import ANY_SCOPE, RECORD_ROOTS, ROOT_TRIGGERS, Reader, Scope
from leadflow.rules.triggers import DETAIL_PATHS, Listener
from leadflow.rules.values import TIME_KINDS

TRIGGERS = tuple(trigger.value for trigger in Trigger)
SALE_STEPS = tuple(step.value for step in SaleStep)
RECORDS = ("contact", "company")

# What is always there under a trigger, so that templates need no default for it.
CERTAIN = {
    Trigger.FORM_SUBMITTED: frozenset(
        {"form.form", "form.email", "form.submitted_at", "contact.email", "contact.created_at", "contact.updated_at"}
    ),
    Trigger.SALE: frozenset({"sale.status", "company.created_at", "company.updated_at"}),
    Trigger.EVENT: frozenset({"event.name", "event.at"}),
    Trigger.MANUAL: frozenset({"user.name", "user.role"}),
}
CERTAIN_OF_RECORD = {
    "company": frozenset({"company.created_at", "company.updated_at"}),
    "contact": frozenset({"contact.created_at", "contact.updated_at"}),
}


def read_when(reader: Reader, node: Node) -> tuple[Listener, ...]:
    """One trigger, or a list meaning any of them; nothing when there is a problem."""
    items = reader.items(node, "'when'") if isinstance(node, ListNode) else [node]
    found = [_read_trigger(reader, item) for item in items]
    listeners = tuple(one for one in found if one)
    return listeners if len(listeners) == len(items) else ()


def _read_trigger(reader: Reader, node: Node) -> Listener | None:
    if isinstance(node, ScalarNode):
        message = "a trigger is written as 'form_submitted: {form: demo-request}'"
        reader.add(node, "wrong-type", message, allowed=TRIGGERS)
        return None
    found = reader.single(node, "a trigger")
    if found is None:
        return None
    key, value = found
    if key.text not in TRIGGERS:
        message = f"{quoted(key.text)} is not a trigger"
        near = reader.nearest(key.text, TRIGGERS)
        reader.add(key, "unknown-trigger", message, suggestion=near, allowed=TRIGGERS)
        return None
    trigger = Trigger(key.text)
    return _READ[trigger](reader, value)


def _read_form(reader: Reader, node: Node) -> Listener | None:
    if isinstance(node, ScalarNode):
        word = reader.word(node, "form_submitted", ("any",))
        return Listener(TriggerFilter(Trigger.FORM_SUBMITTED)) if word else None
    given = reader.entries(node, "form_submitted", ("form", "form_type"))
    if not given:
        if given is not None and isinstance(node, MappingNode) and not node.entries:
            reader.add(node, "empty-value", "form_submitted names a form, a form type, or 'any'")
        return None
    texts = {name: reader.text(value, name) for name, value in given.items()}
    wants = {name: fold(text) for name, text in texts.items() if text}
    return _listener(Trigger.FORM_SUBMITTED, wants) if len(wants) == len(texts) else None


def _read_event(reader: Reader, node: Node) -> Listener | None:
    """`{name: webinar_attended}`: an event that the installation has declared."""
    if isinstance(node, ScalarNode) and not node.is_blank:
        reader.add(
            node, "wrong-type", f"the event is written as '{{name: {node.text}}}'", allowed=reader.catalogue.events
        )
        return None
    given = reader.entries(node, "event", ("name",), ("name",))
    text = reader.text(given["name"], "name") if given and "name" in given else None
    if given is None or text is None:
        return None
    known = reader.catalogue.events
    if fold(text) not in map(fold, known):
        message = f"{quoted(text)} is not a declared event" + ("" if known else "; none is declared in fields.yaml")
        reader.add(given["name"], "unknown-event", message, suggestion=reader.nearest(text, known), allowed=known)
        return None
    return _listener(Trigger.EVENT, {"name": fold(text)})


def _read_manual(reader: Reader, node: Node) -> Listener | None:
    record = reader.word(node, "manual", RECORDS)
    return _listener(Trigger.MANUAL, {"record": record}) if record else None


def _read_schedule(reader: Reader, node: Node) -> Listener | None:
    schedule = read_schedule(reader, node)
    if schedule is None:
        return None
    return Listener(TriggerFilter(Trigger.SCHEDULE, {"record": schedule.for_each}), {}, schedule)


def _read_sale(reader: Reader, node: Node) -> Listener | None:
    step = reader.word(node, "sale", SALE_STEPS)
    return _listener(Trigger.SALE, {"step": step}) if step else None


def _read_created(reader: Reader, node: Node) -> Listener | None:
    record = reader.word(node, "record_created", RECORDS)
    return _listener(Trigger.RECORD_CREATED, {"record": record}) if record else None


def _listener(trigger: Trigger, wants: dict[str, str]) -> Listener:
    words = {DETAIL_PATHS[name]: f"is {wanted}" for name, wanted in wants.items()}
    return Listener(TriggerFilter(trigger, wants), words)


def _read_changed(reader: Reader, node: Node) -> Listener | None:
    """`[company.category, …]` or `{contact.lead_status: {from: [Open], to: Re-nurture}}`; any of the fields will do."""
    if isinstance(node, MappingNode):
        pairs: Sequence[tuple[Node, Node | None]] = list(node.entries.values())
    else:
        items = [node] if isinstance(node, ScalarNode) else reader.items(node, "record_changed")
        pairs = [(item, None) for item in items]
    if isinstance(node, MappingNode) and not pairs:
        reader.add(node, "empty-value", "record_changed names the fields it watches")
    watched, words = {}, {}
    for place, moves in pairs:
        found = _read_watched(reader, place, moves)
        if found is None:
            continue
        path, sides, text = found
        watched[path] = sides
        if text:
            words[path] = text
    is_complete = len(watched) == len(pairs) > 0
    return Listener(TriggerFilter(Trigger.RECORD_CHANGED, {}, watched), words) if is_complete else None


Sides = tuple[frozenset[Value] | None, frozenset[Value] | None]


def _read_watched(reader: Reader, place: Node, moves: Node | None) -> tuple[str, Sides, str] | None:
    """A watched field, the values it must have had and have, and the words for that."""
    if not isinstance(place, ScalarNode) or place.is_blank:
        reader.add(place, "wrong-type", "record_changed lists paths of fields, such as company.category")
        return None
    field = reader.field(place, Scope(RECORD_ROOTS))
    if field is None or moves is None:
        return None if field is None else (field.path, (None, None), "")
    given = reader.entries(moves, f"a change of {field.path}", ("from", "to"))
    if given is None:
        return None
    if given and (field.kind is Kind.LIST or field.kind in TIME_KINDS):
        reader.add(moves, "wrong-kind", f"changes of {field.path} ({field.kind}) are not compared by value")
        return None
    found = {side: read_values_or_blank(reader, value, field) for side, value in given.items()}
    if not all(found.values()):
        return None
    operands = {side: operand for side, operand in found.items() if operand}
    sides = tuple(operands[side].value if side in operands else None for side in ("from", "to"))
    words = " ".join(f"{side} {operands[side].words}" for side in ("from", "to") if side in operands)
    return field.path, (sides[0], sides[1]), f"changed {words}" if words else ""


_READ: dict[Trigger, Callable[[Reader, Node], Listener | None]] = {
    Trigger.FORM_SUBMITTED: _read_form,
    Trigger.EVENT: _read_event,
    Trigger.SCHEDULE: _read_schedule,
    Trigger.MANUAL: _read_manual,
    Trigger.SALE: _read_sale,
    Trigger.RECORD_CREATED: _read_created,
    Trigger.RECORD_CHANGED: _read_changed,
}


@dataclass(frozen=True, slots=True)
class _Brings:
    """What decides about the scope of one line of `when`."""

    trigger: Trigger
    names: tuple[str, ...]
    record: str
    watched: tuple[str, ...]


def scope_of(listeners: Sequence[Listener]) -> Scope:
    """What every one of the triggers brings: a rule may only name what is there each time."""
    filters = [one.filter for one in listeners]
    lines = (_Brings(one.trigger, tuple(one.wants), one.wants.get("record", ""), tuple(one.watched)) for one in filters)
    return _scope_under(tuple(lines)) if filters else ANY_SCOPE


@lru_cache(maxsize=256)
def _scope_under(lines: tuple[_Brings, ...]) -> Scope:
    triggers = {one.trigger for one in lines}
    roots = set(RECORD_ROOTS)
    roots |= {root for root, trigger in ROOT_TRIGGERS.items() if triggers == {trigger}}
    if any(one.trigger is Trigger.SCHEDULE and one.record == "company" for one in lines):
        roots.discard("contact")  # a sweep through companies has no contact to look at
    about_company = [_is_about_company(one) for one in lines]
    return Scope(
        roots=frozenset(roots),
        has_changes=triggers == {Trigger.RECORD_CHANGED},
        has_contact=not any(about_company),
        tags_record="company" if all(about_company) else "contact",
        certain=frozenset.intersection(*(_certain_under(one) for one in lines)),
    )


def _is_about_company(one: _Brings) -> bool:
    """Whether the occurrence may come without a contact: a company was created, or one of its fields changed."""
    return one.record == "company" or any(path.startswith("company.") for path in one.watched)


def _certain_under(one: _Brings) -> frozenset[str]:
    wanted = frozenset(DETAIL_PATHS[name] for name in one.names)
    records = {path.partition(".")[0] for path in one.watched} or {one.record}
    of_record = CERTAIN_OF_RECORD.get(records.pop(), frozenset()) if len(records) == 1 else frozenset()
    return wanted | of_record | CERTAIN.get(one.trigger, frozenset())
