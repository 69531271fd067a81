"""The story of a selection: made, changed, filled, frozen, deleted; never so that something that runs would break."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from leadflow.domain.events import Actor
from leadflow.domain.fields import Catalogue
from leadflow.domain.history import Record
from leadflow.domain.selections import Selection, find_selection
from leadflow.domain.text import clean_text, fold
from leadflow.errors import Conflict, Fault, InvalidRequest, NotFound, Refused, StaleWrite
from leadflow.rules.conditions import Condition, Named, named_in
from leadflow.rules.model import Rule
from leadflow.rules.parsing import parse_documents
from leadflow.rules.parsing.selections import read_selection
from leadflow.services.rule_sets import live_documents
from leadflow.services.searches import SearchDesk, read_search
from leadflow.store import selections as store
from leadflow.store.lists import Lists, bump_revision, lock_lists, read_lists
from leadflow.store.reads.selections import SelectionView, names_in, selection

MAX_MEMBERS_AT_ONCE = 10_000
MAX_SLUG_LENGTH = 60
LOCK_TIMEOUT_MS = 10_000
NAMED_AT_MOST = 5

# A hundred thousand members at once take a second or two.
STATEMENT_TIMEOUT_MS = 60_000

Part = Literal["first", "second", "both", "all"]


@dataclass(frozen=True, slots=True)
class Draft:
    """A selection to be. A static one has the records that satisfy `where` now as its members; without it, none."""

    title: str
    subject: Record
    kind: Literal["dynamic", "static"]
    where: Any | None = None
    slug: str | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """How many records came in and went out; those that were in or out already are not counted."""

    added: int
    removed: int


# Definitions ----------------------------------------------------------------------------------------------------------


def create_selection(connection: Connection, searches: SearchDesk, actor: Actor, draft: Draft, now: datetime) -> int:
    """A new selection; its id. Raises: InvalidRequest with every fault; Conflict for a title or slug that is taken."""
    _hold_definitions(connection)
    lists = read_lists(connection)
    title = _title(draft.title)
    slug = draft.slug or _free_slug(connection, title)
    _refuse_taken(connection, lists.catalogue, slug, title, is_new_slug=draft.slug is not None)
    meant = Selection(0, slug, title, draft.subject, draft.where, _zone_of(connection, searches))
    members = None
    if draft.kind == "dynamic":
        _require_condition(meant, lists.catalogue)
    elif draft.where is not None:
        members = read_search(connection, searches, draft.subject, draft.where, None)
    values: dict[str, Any] = {
        "slug": slug,
        "title": title,
        "description": draft.description.strip(),
        "subject": draft.subject,
    }
    values |= {"kind": draft.kind, "condition": draft.where if draft.kind == "dynamic" else None, "zone": meant.zone}
    values |= {"created_by": actor.name, "created_at": now, "updated_at": now}
    selection_id = store.insert_selection(connection, values)
    if members is not None:
        store.add_everybody(connection, selection_id, draft.subject, members.condition, actor.name, now)
    bump_revision(connection)
    return selection_id


def change_selection(
    connection: Connection,
    searches: SearchDesk,
    selection_id: int,
    patch: Mapping[str, Any],
    now: datetime,
    expected_revision: int | None = None,
) -> None:
    """Change title, slug, description or condition.

    Raises: NotFound, StaleWrite, Conflict, InvalidRequest; Refused if a rule or selection would not be understood then.
    """
    _hold_definitions(connection)
    before = _present(connection, selection_id, expected_revision)
    lists = read_lists(connection)
    values = {name: value for name, value in patch.items() if name in ("slug", "description")}
    if "title" in patch:
        values["title"] = _title(patch["title"])
    if "where" in patch:
        if before.kind == "static":
            raise InvalidRequest([Fault("/where", "a static selection has members, not a condition")])
        values |= {"condition": patch["where"], "zone": _zone_of(connection, searches)}
    after = replace(lists.catalogue.selections[before.slug], **_of_selection(values))
    others = {slug: one for slug, one in lists.catalogue.selections.items() if one.id != selection_id}
    known = replace(lists.catalogue, selections=others)
    _refuse_taken(connection, known, after.slug, after.title, is_new_slug=after.slug != before.slug)
    if not after.is_static:
        _require_condition(after, replace(known, selections={**others, after.slug: after}))
    store.update_selection(connection, selection_id, {**values, "updated_at": now})
    bump_revision(connection)
    _refuse_breaking(connection, lists, before, "changed like this")


def _of_selection(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in ("slug", "title", "condition", "zone")}


def delete_selection(
    connection: Connection, selection_id: int, now: datetime, expected_revision: int | None = None
) -> None:
    """Delete a selection softly. Raises: NotFound, StaleWrite; Refused if a rule or another selection asks for it."""
    _hold_definitions(connection)
    before = _present(connection, selection_id, expected_revision)
    lists = read_lists(connection)
    store.update_selection(connection, selection_id, {"deleted_at": now})
    bump_revision(connection)
    _refuse_breaking(connection, lists, before, "deleted")


def _hold_definitions(connection: Connection) -> None:
    """Hold the lists alone: nobody decides by an old meaning, and no two selections get one name."""
    for name, limit in (("lock_timeout", LOCK_TIMEOUT_MS), ("statement_timeout", STATEMENT_TIMEOUT_MS)):
        connection.execute(text("SELECT set_config(:name, :limit, true)"), {"name": name, "limit": f"{limit}ms"})
    lock_lists(connection)


def _present(connection: Connection, selection_id: int, expected_revision: int | None) -> SelectionView:
    before = selection(connection, selection_id)
    if expected_revision is not None and before.revision != expected_revision:
        raise StaleWrite("The selection changed since it was read.")
    return before


def _title(raw: str) -> str:
    title = clean_text(raw)
    if not title:
        raise InvalidRequest([Fault("/title", "must not be blank")])
    return title


def _free_slug(connection: Connection, title: str) -> str:
    """`Spring fair 2026` → `spring-fair-2026`; where that has been given, with a number behind it."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().casefold()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[: MAX_SLUG_LENGTH - 5].strip("-") or "selection"
    used = store.slugs_used(connection, slug)
    return next(one for one in (slug, *(f"{slug}-{number}" for number in range(2, 10_000))) if one not in used)


def _refuse_taken(connection: Connection, known: Catalogue, slug: str, title: str, *, is_new_slug: bool) -> None:
    """A rule names a selection by its slug or its title: no two may be meant by one name."""
    for name in (slug, title):
        if (other := find_selection(known.selections, name)) is not None:
            raise Conflict(f"The selection “{other.title}” already goes by “{name}”.", other.id)
    if is_new_slug and slug in store.slugs_used(connection, slug):
        raise Conflict(f"“{slug}” was the name of a selection that has been deleted; take another one.")


def _require_condition(meant: Selection, catalogue: Catalogue) -> None:
    """Raises: InvalidRequest, each fault at its JSON pointer below /where."""
    if meant.condition is None or read_selection(meant, catalogue) is None:
        raise InvalidRequest([Fault("/where", "a selection that keeps itself up to date needs at least one criterion")])


def _zone_of(connection: Connection, searches: SearchDesk) -> str:
    """The zone in which searches read plain dates just now."""
    _, names = searches.read(connection)
    return names.zone.key if isinstance(names.zone, ZoneInfo) else "UTC"


# Who asks for it ------------------------------------------------------------------------------------------------------


def rules_asking(rules: Iterable[Rule], catalogue: Catalogue) -> dict[str, list[Rule]]:
    """The rules by the slugs of the selections that they ask for, also through segments and other selections."""
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        for slug in dict.fromkeys(_slugs_in(rule.condition, catalogue)):
            found.setdefault(slug, []).append(rule)
    return found


def _slugs_in(condition: Condition | None, catalogue: Catalogue) -> list[str]:
    named: list[Named] = [one for one in named_in(condition) if one.kind == "selection"]
    selections = (find_selection(catalogue.selections, one.name) for one in named)
    return [one.slug for one in selections if one is not None]


def selections_asking(meant: Selection, catalogue: Catalogue) -> list[Selection]:
    """The selections whose condition names this one."""
    names = {fold(meant.slug), fold(meant.title)}
    return [one for one in catalogue.selections.values() if names.intersection(names_in(one.condition))]


def _refuse_breaking(connection: Connection, before: Lists, view: SelectionView, what: str) -> None:
    """What runs must keep running: live rules and selections that would no longer be understood are named."""
    after = read_lists(connection).catalogue
    meant = before.catalogue.selections[view.slug]
    _, documents = live_documents(connection)
    if documents and (problems := parse_documents(documents, after, with_tests=False).problems):
        rules = parse_documents(documents, before.catalogue, with_tests=False).rule_set.rules
        asking = rules_asking(rules, before.catalogue).get(view.slug, [])
        told = _listed([f"“{rule.title}”" for rule in asking]) or f"{problems[0].file}, line {problems[0].line}"
        reason = f"“{view.title}” cannot be {what}: live rules ask for it ({told}). Change the rules first."
        raise Refused(f"{reason} {problems[0].message[:1].upper()}{problems[0].message[1:]}.")
    broken = [one for one in selections_asking(meant, before.catalogue) if not _is_readable(one.slug, after)]
    if broken:
        told = _listed([f"“{one.title}”" for one in broken])
        raise Refused(f"“{view.title}” cannot be {what}: other selections ask for it ({told}). Change them first.")


def _is_readable(slug: str, catalogue: Catalogue) -> bool:
    try:
        one = catalogue.selections.get(slug)
        return one is None or one.is_static or read_selection(one, catalogue) is not None
    except InvalidRequest:
        return False


def _listed(names: Sequence[str]) -> str:
    more = [f"{len(names) - NAMED_AT_MOST} more"] if len(names) > NAMED_AT_MOST else []
    return ", ".join([*names[:NAMED_AT_MOST], *more])


# Members --------------------------------------------------------------------------------------------------------------


def change_members(
    connection: Connection,
    actor: Actor,
    selection_id: int,
    add: Collection[int],
    remove: Collection[int],
    now: datetime,
) -> MembersChanged:
    """Records come into a static selection and go out of it.

    Raises: NotFound; Conflict for a dynamic one; InvalidRequest for records that are not there.
    """
    meant = selection(connection, selection_id)
    if meant.kind != "static":
        raise Conflict(f"“{meant.title}” keeps itself up to date by its criteria; freeze it to choose its members.")
    if missing := sorted(store.missing_records(connection, meant.subject, add)):
        places = {one: place for place, one in enumerate(add)}
        raise InvalidRequest([Fault(f"/add/{places[one]}", f"there is no {meant.subject} {one}") for one in missing])
    if both := sorted(set(add) & set(remove)):
        raise InvalidRequest([Fault("/remove", f"{meant.subject} {both[0]} cannot come in and go out at once")])
    removed = store.remove_members(connection, selection_id, remove) if remove else 0
    added = store.add_members(connection, selection_id, meant.subject, add, actor.name, now) if add else 0
    return MembersChanged(added, removed)


# Two of them ----------------------------------------------------------------------------------------------------------


def combined(one: SelectionView, other: SelectionView, part: Part) -> dict[str, Any]:
    """The condition of a part of two selections. Raises: Conflict for selections of different records."""
    if one.subject != other.subject:
        raise Conflict("Only two selections of companies, or two of contacts, have records in common.")
    first, second = {"selection": one.slug}, {"selection": other.slug}
    parts: dict[Part, dict[str, Any]] = {
        "first": {"all": [first, {"none": [second]}]},
        "second": {"all": [second, {"none": [first]}]},
        "both": {"all": [first, second]},
        "all": {"any": [first, second]},
    }
    return parts[part]


def require_selection(connection: Connection, slug: str) -> Selection:
    """The selection with this slug or title. Raises: NotFound."""
    found = find_selection(read_lists(connection).catalogue.selections, slug)
    if found is None:
        raise NotFound(f"There is no selection “{slug}”.")
    return found
