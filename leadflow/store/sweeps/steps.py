"""What the steps of a rule do, as SQL: the same that `Records` does in memory, for many records at once.

Only steps that are the same in every situation can be said so. Which moves are allowed, and the words for those that
are not, is asked of `Records` itself, once for each category and status: the guard stays written in one place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    String,
    and_,
    any_,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, aggregate_order_by

from leadflow.domain.effects import AddTag, CreateTask, Effect, RemoveTag, SetCategory, SetField, SetLeadStatus
from leadflow.domain.events import Actor, ActorKind, Cause
from leadflow.domain.fields import Kind
from leadflow.domain.lifecycle import MoveDecision
from leadflow.domain.records import Company, Contact, Records
from leadflow.domain.text import fold
from leadflow.store.conditions.fields import lower_ascii
from leadflow.store.lists import Lists
from leadflow.store.norms import change_norms, flag_key, host_key, list_key, norms_of
from leadflow.store.tables import CompanyRow, ContactRow
from leadflow.store.values import to_json

# The columns of the subject that a step reads, as they stand when it is its turn.
Scene = Mapping[str, ColumnElement[Any]]

TEXTS: ARRAY[str] = ARRAY(String)

_NEVER_USED = datetime(2000, 1, 1, tzinfo=UTC)
_AUTOMATION = Cause(Actor(ActorKind.RULE, None, ""))


@dataclass(frozen=True, slots=True)
class Played:
    """What one step does: whether it changes anything, the changes as a trace has them, and what is refused and why.

    `becomes` are the columns of the scene that it leaves changed; `record` whose row is written.
    """

    is_effective: ColumnElement[bool]
    changes: ColumnElement[Any]
    refusal: ColumnElement[Any] | None = None
    becomes: Scene = field(default_factory=dict)
    record: str | None = None


def columns_of(effect: Effect) -> frozenset[str]:
    """The columns of the scene that the effect reads beside the ids."""
    match effect:
        case SetCategory():
            return frozenset({"category", "lead_status"})
        case SetLeadStatus():
            return frozenset({"category", "own_category", "lead_status"})
        case SetField(path="company.owner"):
            return frozenset({"company_owner", "company_owner_norm"})
        case SetField(path=path):
            root = path.partition(".")[0]
            return frozenset({f"{root}_fields", f"{root}_fields_norm"})
        case AddTag(record=record) | RemoveTag(record=record):
            return frozenset({f"{record}_tags", f"{record}_tags_norm"})
        case _:
            return frozenset()


def first_scene(subject: str) -> dict[str, ColumnElement[Any]]:
    """Every column of the scene as it stands in the tables (`rows_of` the subject)."""
    company, contact = CompanyRow.__table__.c, ContactRow.__table__.c
    scene: dict[str, ColumnElement[Any]] = {"company_id": company.id, "category": company.category_key}
    scene |= _own_columns("company", company)
    scene |= {"company_owner": company.owner, "company_owner_norm": company.owner_norm}
    if subject == "contact":
        scene |= {"contact_id": contact.id, "own_category": contact.category_key}
        scene |= {"lead_status": contact.lead_status_key, **_own_columns("contact", contact)}
    else:
        scene |= {"contact_id": literal_column("NULL::bigint"), "lead_status": literal_column("NULL::text")}
    return scene


def _own_columns(record: str, columns: Any) -> dict[str, ColumnElement[Any]]:
    names = ("tags", "tags_norm", "fields", "fields_norm")
    return {f"{record}_{name}": columns[name] for name in names}


def play(effect: Effect, action: str, at: Scene, lists: Lists) -> Played:
    """What the effect does to the subject of the scene."""
    match effect:
        case SetCategory():
            return _set_category(effect, action, at, lists)
        case SetLeadStatus():
            return _set_lead_status(effect, action, at, lists)
        case SetField():
            return _set_field(effect, action, at, lists)
        case AddTag() | RemoveTag():
            return _set_tag(effect, action, at, lists)
        case CreateTask():
            return Played(true(), _list_of(_entry("task", null(), "title", null(), _text(effect.title))))
        case _:
            raise TypeError(f"{type(effect).__name__} is not done by statements on sets")


# -- category and lead status ------------------------------------------------------------------------------------------


def _set_category(effect: SetCategory, action: str, at: Scene, lists: Lists) -> Played:
    asked = {key: _ask(lists, effect, company=Company(0, category=key)) for key in _keys(lists.lifecycle.categories)}
    sources = {key for key, decision in asked.items() if decision.is_allowed}
    is_effective = and_(at["company_id"].is_not(None), is_one_of(at["category"], sources))
    target, default = _text(effect.target), _text(lists.statuses.default.key)
    change = _list_of(_entry("company", at["company_id"], "category", at["category"], target, action))
    becomes: dict[str, ColumnElement[Any]] = {"category": case((is_effective, target), else_=at["category"])}
    enters = and_(is_effective, _enters(effect, sources, at, lists))
    if may_enter(effect, lists):
        change = change.op("||")(case((enters, _entering_contacts(at, action, lists)), else_=_EMPTY))
        is_new = and_(enters, is_waiting_for_default(at["lead_status"], lists))
        becomes["lead_status"] = case((is_new, default), else_=at["lead_status"])
    alone = _ask(lists, effect)
    refusal = case((at["company_id"].is_(None), _text(alone.reason)), else_=_reasons(at["category"], asked))
    return Played(is_effective, case((is_effective, change)), refusal, becomes, "company")


def may_enter(effect: SetCategory, lists: Lists) -> bool:
    """Whether the move can make lead status active for the contacts of the company (domain invariant 5)."""
    is_active = lists.lifecycle.is_lead_status_active
    sources = lists.lifecycle.sources_of(effect.target)
    return is_active(effect.target) and any(not is_active(key) for key in sources)


def _enters(effect: SetCategory, sources: Collection[str | None], at: Scene, lists: Lists) -> ColumnElement[bool]:
    is_active = lists.lifecycle.is_lead_status_active
    if not is_active(effect.target):
        return false()
    return is_one_of(at["category"], {key for key in sources if not is_active(key)})


def is_waiting_for_default(lead_status: ColumnElement[Any], lists: Lists) -> ColumnElement[bool]:
    """Whether a contact whose lead status becomes active gets the default: not where re-entry keeps what it has."""
    if lists.lifecycle.on_reentry == "keep":
        return lead_status.is_(None)
    return lead_status.is_distinct_from(_text(lists.statuses.default.key))


def _entering_contacts(at: Scene, action: str, lists: Lists) -> ColumnElement[Any]:
    contact = ContactRow.__table__.alias("entering")
    default = _text(lists.statuses.default.key)
    change = _entry("contact", contact.c.id, "lead_status", contact.c.lead_status_key, default, action)
    found = (
        select(func.jsonb_agg(aggregate_order_by(change, contact.c.id), type_=JSONB))
        .where(contact.c.company_id == at["company_id"], is_waiting_for_default(contact.c.lead_status_key, lists))
        .scalar_subquery()
    )
    return func.coalesce(found, _EMPTY)


def _set_lead_status(effect: SetLeadStatus, action: str, at: Scene, lists: Lists) -> Played:
    is_active = lists.lifecycle.is_lead_status_active
    active = {key for key in lists.lifecycle.categories if is_active(key)}
    effective = effective_category(at)
    asked = {key: _ask_status(lists, effect, next(iter(active), None), key) for key in _keys(lists.statuses.by_key)}
    sources = {key for key, decision in asked.items() if decision.is_allowed}
    inactive = {
        key: _ask_status(lists, effect, key, None) for key in _keys(lists.lifecycle.categories) if key not in active
    }
    is_effective = and_(is_one_of(effective, active), is_one_of(at["lead_status"], sources))
    target = _text(effect.target)
    change = _list_of(_entry("contact", at["contact_id"], "lead_status", at["lead_status"], target, action))
    refusal = case(
        (is_one_of(effective, active), _reasons(at["lead_status"], asked)), else_=_reasons(effective, inactive)
    )
    becomes = {"lead_status": case((is_effective, target), else_=at["lead_status"])}
    return Played(is_effective, case((is_effective, change)), refusal, becomes, "contact")


def effective_category(at: Scene) -> ColumnElement[Any]:
    """The company's category; for a contact without a company, its own."""
    return case((at["company_id"].is_(None), at["own_category"]), else_=at["category"])


def _keys(known: Collection[str]) -> list[str | None]:
    return [None, *known]


def _ask(lists: Lists, effect: Effect, company: Company | None = None, contact: Contact | None = None) -> MoveDecision:
    """What the domain's guard says to this effect on records that are otherwise empty."""
    records = Records(lists.lifecycle, lists.statuses, _NEVER_USED)
    if company is not None:
        records.hold_company(company)
    if contact is not None:
        records.hold_contacts([contact])
    return records.apply(effect, company, contact, _AUTOMATION).decision


def _ask_status(lists: Lists, effect: SetLeadStatus, category: str | None, status: str | None) -> MoveDecision:
    return _ask(lists, effect, contact=Contact(0, category=category, lead_status=status))


def _reasons(column: ColumnElement[Any], asked: Mapping[str | None, MoveDecision]) -> ColumnElement[Any]:
    """Why the guard refuses, by the value of the column; nothing where it does not, or where nothing is to change."""
    reasons = {key: one.reason for key, one in asked.items() if is_refused(one)}
    named = [(column == key, _text(reason)) for key, reason in sorted(reasons.items(), key=str) if key is not None]
    if None in reasons:
        named.append((column.is_(None), _text(reasons[None])))
    return case(*named, else_=null()) if named else cast(null(), String)


def is_refused(decision: MoveDecision) -> bool:
    """Whether the guard says no; a change to what is there already is none."""
    return not decision.is_allowed and decision.verdict != "unchanged"


# -- fields and tags ---------------------------------------------------------------------------------------------------


def can_write(path: str, lists: Lists) -> bool:
    """Whether the field can be written by a statement on a set: not a number, whose equals may be written otherwise."""
    one = lists.catalogue.get(path)
    if one is None or one.kind is Kind.NUMBER:
        return False
    return path == "company.owner" or path.partition(".")[2].startswith("fields.")


def _set_field(effect: SetField, action: str, at: Scene, lists: Lists) -> Played:
    root, _, name = effect.path.partition(".")
    new, own = to_json(effect.value), name.removeprefix("fields.")
    old: ColumnElement[Any]
    becomes: dict[str, ColumnElement[Any]]
    if effect.path == "company.owner":
        old, old_norm = func.to_jsonb(at["company_owner"]), at["company_owner_norm"]
        becomes = {"company_owner": _text(new), "company_owner_norm": _text(fold(new))}
    else:
        old, old_norm = (
            at[f"{root}_fields"].op("->")(_text(own)),
            at[f"{root}_fields_norm"].op("->>", return_type=String())(_text(own)),
        )
        becomes = _own_field(root, own, new, at)
    value = literal(new, JSONB)
    is_effective = and_(at[f"{root}_id"].is_not(None), old.is_distinct_from(value))
    change = _entry(root, at[f"{root}_id"], name, old, value, action)
    change = cast(change, JSONB).op("||")(_norms(old, old_norm, new))
    refusal = _no_record(effect, root, at, lists)
    return Played(is_effective, case((is_effective, _list_of(change))), refusal, becomes, root)


def _norms(old: ColumnElement[Any], old_norm: ColumnElement[Any], new: Any) -> ColumnElement[Any]:
    """How the two values compare, for the ledger: only what SQL cannot tell from them (`store.norms.change_norms`)."""
    is_text = func.jsonb_typeof(old) == "string"
    plain = lower_ascii(old.op("#>>", return_type=String())(cast(literal("{}"), ARRAY(String))))
    unusual = case((is_text, func.nullif(old_norm, plain)))
    told: ColumnElement[Any]
    ours = (change_norms(None, new) or {}).get("new")
    if ours is None:
        told = case((unusual.is_not(None), func.jsonb_build_object(_word("old"), unusual)))
    else:
        told = func.jsonb_strip_nulls(func.jsonb_build_object(_word("old"), unusual, _word("new"), _text(ours)))
    return case((told.is_not(None), func.jsonb_build_object(_word("norms"), told)), else_=literal_column("'{}'::jsonb"))


def _own_field(root: str, own: str, new: Any, at: Scene) -> dict[str, ColumnElement[Any]]:
    keys = [own, list_key(own), flag_key(own), host_key(own)]
    fields, norms = at[f"{root}_fields"], at[f"{root}_fields_norm"]
    rest = norms.op("-")(literal(keys, ARRAY(String)))
    return {
        f"{root}_fields": fields.op("||")(literal({own: new}, JSONB)),
        f"{root}_fields_norm": cast(rest, JSONB).op("||")(literal(norms_of({own: new}), JSONB)),
    }


def _set_tag(effect: AddTag | RemoveTag, action: str, at: Scene, lists: Lists) -> Played:
    root, folded = effect.record, _text(fold(effect.tag))
    tags, norms = at[f"{root}_tags"], at[f"{root}_tags_norm"]
    is_there = folded == any_(norms)
    new: ColumnElement[Any]
    new_norms: ColumnElement[Any]
    if isinstance(effect, AddTag):
        is_effective = and_(at[f"{root}_id"].is_not(None), ~is_there)
        new = func.array_append(tags, _text(effect.tag), type_=TEXTS)
        new_norms = func.array_append(norms, folded, type_=TEXTS)
    else:
        is_effective = and_(at[f"{root}_id"].is_not(None), is_there)
        new = _without(tags, func.array_position(norms, folded))
        new_norms = func.array_remove(norms, folded, type_=TEXTS)
    becomes = {
        f"{root}_tags": case((is_effective, new), else_=tags),
        f"{root}_tags_norm": case((is_effective, new_norms), else_=norms),
    }
    change = _entry(root, at[f"{root}_id"], "tags", _tags_json(tags), _tags_json(new), action)
    return Played(
        is_effective, case((is_effective, _list_of(change))), _no_record(effect, root, at, lists), becomes, root
    )


def _without(tags: ColumnElement[Any], place: ColumnElement[Any]) -> ColumnElement[Any]:
    """The texts but the one at `place`; each text is there once."""
    return func.array_remove(tags, tags[place], type_=TEXTS)


def _tags_json(tags: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((func.cardinality(tags) > 0, func.to_jsonb(tags)))


def _no_record(effect: Effect, root: str, at: Scene, lists: Lists) -> ColumnElement[Any] | None:
    """Why nothing is written to a company that is not there."""
    if root == "contact":
        return None
    return case((at["company_id"].is_(None), _text(_ask(lists, effect).reason)))


# -- as a trace has it -------------------------------------------------------------------------------------------------

_EMPTY: ColumnElement[Any] = literal_column("'[]'::jsonb")


def _entry(
    entity: str,
    entity_id: ColumnElement[Any],
    name: str,
    old: ColumnElement[Any],
    new: ColumnElement[Any],
    action: str = "",
) -> ColumnElement[Any]:
    """One change as a trace has it; with the action, by which the ledger tells a rule's steps apart."""
    parts: list[ColumnElement[Any]] = [_word("entity"), _text(entity)]
    if entity != "task":
        parts += [_word("entity_id"), entity_id]
    parts += [_word("field"), _text(name), _word("old"), old, _word("new"), new]
    if action:
        parts += [_word("action"), _text(action)]
    return func.jsonb_build_object(*parts, type_=JSONB)


def _list_of(entry: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.jsonb_build_array(entry, type_=JSONB)


def _word(text: str) -> ColumnElement[Any]:
    return literal_column(f"'{text}'")


def _text(text: str) -> ColumnElement[Any]:
    return literal(text, String)


def is_one_of(column: ColumnElement[Any], keys: Collection[str | None]) -> ColumnElement[bool]:
    """Whether the column holds one of the keys; None among them is NULL."""
    named = sorted(key for key in keys if key is not None)
    parts: list[ColumnElement[bool]] = [column == any_(literal(named, ARRAY(String)))] if named else []
    if None in keys:
        parts.append(column.is_(None))
    return func.coalesce(or_(*parts), false()) if parts else false()
