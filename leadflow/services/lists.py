"""Administrators edit the lists: categories and lead statuses. Keys stay, names are text, deletes are soft.

A change holds the lists alone until it is committed, so nobody decides by an old list meanwhile; every process sees
the new revision in its next transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, text, update

from leadflow.domain.events import Actor
from leadflow.domain.lifecycle import GROUP_NAMES, Group, find_edge_faults
from leadflow.domain.text import clean_text, fold
from leadflow.errors import Conflict, Fault, InvalidRequest, NotFound, Refused, StaleWrite
from leadflow.services.rule_sets import check_documents, live_documents
from leadflow.store import reads
from leadflow.store.engine import name_actor
from leadflow.store.ledger import take_turn
from leadflow.store.lists import bump_revision, lock_lists, read_lists
from leadflow.store.tables import CategoryRow, LeadStatusRow

List = type[CategoryRow] | type[LeadStatusRow]

NOUNS: dict[List, str] = {CategoryRow: "category", LeadStatusRow: "lead status"}
RANK_STEP = 10

# An administrator waits longer for the lists than others wait for a row; setting many contacts to Open takes time.
LISTS_LOCK_TIMEOUT_MS = 10_000
LISTS_STATEMENT_TIMEOUT_MS = 300_000


# Categories -----------------------------------------------------------------------------------------------------------


def create_category(connection: Connection, actor: Actor, draft: Mapping[str, Any]) -> str:
    """Add a category with `key`, `name` and, as wished, the rest; its key.

    Raises: Refused for automation; Conflict for a key or name that is taken.
    """
    _begin(connection, actor)
    return _create(connection, CategoryRow, {"description": "", "lead_status_enabled": False, **_columns_of(draft)})


def change_category(
    connection: Connection,
    actor: Actor,
    key: str,
    patch: Mapping[str, Any],
    now: datetime,
    expected_revision: int | None = None,
) -> None:
    """Change a category. If lead status becomes active by it, its contacts get the default status (invariant 5).

    Raises: Refused where the change would open a way around the guard; NotFound, Conflict, StaleWrite.
    """
    _begin(connection, actor)
    before = _row_of(connection, CategoryRow, key, expected_revision)
    values = _columns_of(patch)
    if "group_key" in values and values["group_key"] != before["group_key"]:
        _refuse_lifting_protection(connection, before, values["group_key"])
    _change(connection, CategoryRow, before, values)
    _refuse_broken_graph(connection)
    if not _is_active(before) and _is_active({**before, **values}):
        _open_contacts_of(connection, actor, key, now)


def _refuse_lifting_protection(connection: Connection, before: Mapping[str, Any], group: str | None) -> None:
    """Companies leave a protected group one by one, by a person's hand, never because their category is regrouped."""
    if before["group_key"] == Group.POTENTIAL_CUSTOMER or group != Group.POTENTIAL_CUSTOMER:
        return
    key, name = before["key"], before["name"]
    carrying = reads.impact_of_category(connection, key)
    if carrying.companies or carrying.contacts:
        protected = GROUP_NAMES[Group(before["group_key"])] if before["group_key"] else "no group"
        raise Refused(
            f"{carrying.companies} companies and {carrying.contacts} contacts are {name} ({protected}), which "
            f"automation never changes. Give them another category first; then {name} can become a potential customer."
        )


def _refuse_broken_graph(connection: Connection) -> None:
    """The lifecycle graph of `config/lifecycle.yml` must stay sound under the new groups."""
    lifecycle = read_lists(connection).lifecycle
    if faults := find_edge_faults(lifecycle.categories, lifecycle.edges):
        raise Refused(f"The steps in config/lifecycle.yml do not allow this: {'; '.join(sorted(faults))}.")


def _is_active(row: Mapping[str, Any]) -> bool:
    return bool(row["group_key"] == Group.POTENTIAL_CUSTOMER and row["lead_status_enabled"])


_OPEN_CONTACTS = text("""
    WITH entering AS (
        SELECT contact.id, contact.company_id, contact.lead_status_key AS old
        FROM contact LEFT JOIN company ON company.id = contact.company_id
        WHERE coalesce(company.category_key, contact.category_key) = :category
          AND contact.lead_status_key IS DISTINCT FROM :status
          AND (contact.lead_status_key IS NULL OR :reopens)
    ), opened AS (
        UPDATE contact SET lead_status_key = :status, updated_at = :now, revision = revision + 1
        FROM entering WHERE contact.id = entering.id
        RETURNING contact.id
    )
    INSERT INTO change (at, entity, entity_id, company_id, contact_id, field, old, new,
                        actor_kind, actor_id, actor_name, action)
    SELECT :now, 'contact', id, company_id, id, 'lead_status', to_jsonb(old), to_jsonb(CAST(:status AS text)),
           :actor_kind, :actor_id, :actor_name, ''
    FROM entering JOIN opened USING (id) ORDER BY id
""")


def _open_contacts_of(connection: Connection, actor: Actor, category: str, now: datetime) -> None:
    """Give the contacts whose lead status became active the default one, each with its row in the ledger."""
    lists = read_lists(connection)
    take_turn(connection)
    connection.execute(
        _OPEN_CONTACTS,
        {
            "category": category,
            "status": lists.statuses.default.key,
            "reopens": lists.lifecycle.on_reentry == "open",
            "now": now,
            "actor_kind": actor.kind.value,
            "actor_id": actor.id,
            "actor_name": actor.name,
        },
    )


# Lead statuses --------------------------------------------------------------------------------------------------------


def create_lead_status(connection: Connection, actor: Actor, draft: Mapping[str, Any]) -> str:
    """Add a lead status with `key`, `name` and, as wished, `description` and `rank`; its key.

    Raises: Refused for automation; Conflict for a key or name that is taken.
    """
    _begin(connection, actor)
    return _create(connection, LeadStatusRow, {"description": "", "is_default": False, **draft})


def change_lead_status(
    connection: Connection,
    actor: Actor,
    key: str,
    patch: Mapping[str, Any],
    expected_revision: int | None = None,
) -> None:
    """Change a lead status; `is_default` true takes that role from the one that had it.

    Raises: Refused for leaving the list without a default; NotFound, Conflict, StaleWrite.
    """
    _begin(connection, actor)
    before = _row_of(connection, LeadStatusRow, key, expected_revision)
    becomes_default = patch.get("is_default", before["is_default"])
    if before["is_default"] and not becomes_default:
        raise Refused("One lead status must be the default: make another one the default instead.")
    if becomes_default and before["deleted_at"] is not None:
        raise Refused(f"{before['name']} is deleted; restore it before it becomes the default.")
    if becomes_default and not before["is_default"]:
        revised = {"is_default": False, "revision": LeadStatusRow.revision + 1}
        connection.execute(update(LeadStatusRow).where(LeadStatusRow.is_default).values(**revised))
    _change(connection, LeadStatusRow, before, patch)


# Both -----------------------------------------------------------------------------------------------------------------


def reorder_categories(connection: Connection, actor: Actor, keys: Sequence[str]) -> None:
    """Put the categories that are not deleted into this order. Raises: StaleWrite if they are others by now."""
    _reorder(connection, actor, CategoryRow, keys)


def reorder_lead_statuses(connection: Connection, actor: Actor, keys: Sequence[str]) -> None:
    """The same for lead statuses."""
    _reorder(connection, actor, LeadStatusRow, keys)


def _reorder(connection: Connection, actor: Actor, table: List, keys: Sequence[str]) -> None:
    """Ranks in steps, so that the API can put something between two; deleted values keep theirs."""
    _begin(connection, actor)
    rows = connection.execute(select(table.key, table.rank).where(table.deleted_at.is_(None))).all()
    ranks = {row.key: row.rank for row in rows}
    if sorted(keys) != sorted(ranks):
        raise StaleWrite("The list changed since it was read.")
    for place, key in enumerate(keys, start=1):
        if ranks[key] != place * RANK_STEP:
            revised = {"rank": place * RANK_STEP, "revision": table.revision + 1}
            connection.execute(update(table).where(table.key == key).values(**revised))
    bump_revision(connection)


def delete_category(
    connection: Connection, actor: Actor, key: str, now: datetime, expected_revision: int | None = None
) -> None:
    """Take a category off the pick lists; records keep it and its name. Deleting twice changes nothing."""
    _begin(connection, actor)
    _set_deleted(connection, CategoryRow, _row_of(connection, CategoryRow, key, expected_revision), now)


def delete_lead_status(
    connection: Connection, actor: Actor, key: str, now: datetime, expected_revision: int | None = None
) -> None:
    """The same for a lead status. Raises: Refused for the default one."""
    _begin(connection, actor)
    row = _row_of(connection, LeadStatusRow, key, expected_revision)
    if row["is_default"]:
        raise Refused(f"{row['name']} is the default lead status, which every new lead gets; it cannot be deleted.")
    _set_deleted(connection, LeadStatusRow, row, now)


def restore_category(connection: Connection, actor: Actor, key: str) -> None:
    """Put a deleted category back on the pick lists."""
    _begin(connection, actor)
    _set_deleted(connection, CategoryRow, _row_of(connection, CategoryRow, key), None)


def restore_lead_status(connection: Connection, actor: Actor, key: str) -> None:
    """Put a deleted lead status back on the pick lists."""
    _begin(connection, actor)
    _set_deleted(connection, LeadStatusRow, _row_of(connection, LeadStatusRow, key), None)


def _begin(connection: Connection, actor: Actor) -> None:
    """Hold the lists alone, in the name of a person. Raises: Refused for automation."""
    if actor.is_automation:
        raise Refused("Categories and lead statuses are edited by people; this key acts as automation.")
    for name, limit in (("lock_timeout", LISTS_LOCK_TIMEOUT_MS), ("statement_timeout", LISTS_STATEMENT_TIMEOUT_MS)):
        connection.execute(text("SELECT set_config(:name, :limit, true)"), {"name": name, "limit": f"{limit}ms"})
    name_actor(connection, "person")
    lock_lists(connection)


def _columns_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The API's `group` is the column `group_key`."""
    return {"group_key" if name == "group" else name: value for name, value in given.items()}


def _row_of(connection: Connection, table: List, key: str, expected_revision: int | None = None) -> Mapping[str, Any]:
    row = connection.execute(select(table.__table__).where(table.key == key)).one_or_none()
    if row is None:
        raise NotFound(f"There is no {NOUNS[table]} '{key}'.")
    if expected_revision is not None and row.revision != expected_revision:
        raise StaleWrite(f"The {NOUNS[table]} changed since it was read.")
    return row._asdict()


def _create(connection: Connection, table: List, values: Mapping[str, Any]) -> str:
    cleaned = _clean(values)
    key: str = cleaned["key"]
    if connection.scalar(select(table.key).where(table.key == key)) is not None:
        raise Conflict(f"There already is a {NOUNS[table]} '{key}', perhaps a deleted one: restore it.")
    _refuse_taken_names(connection, table, key, cleaned)
    last = connection.scalar(select(func.max(table.rank))) or 0
    connection.execute(insert(table).values(**{"rank": last + RANK_STEP, **cleaned}))
    bump_revision(connection)
    return key


def _change(connection: Connection, table: List, before: Mapping[str, Any], patch: Mapping[str, Any]) -> None:
    values = {name: value for name, value in _clean(patch).items() if before[name] != value}
    if not values:
        return
    _refuse_taken_names(connection, table, before["key"], values)
    _write(connection, table, before, values)


def _set_deleted(connection: Connection, table: List, before: Mapping[str, Any], deleted_at: datetime | None) -> None:
    if (before["deleted_at"] is None) == (deleted_at is None):
        return
    if deleted_at is None:
        _refuse_taken_names(connection, table, before["key"], before)
    _write(connection, table, before, {"deleted_at": deleted_at})


def _write(connection: Connection, table: List, before: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    revised = {**values, "revision": before["revision"] + 1}
    connection.execute(update(table).where(table.key == before["key"]).values(**revised))
    bump_revision(connection)
    _refuse_breaking_rules(connection, before["name"])


def _refuse_breaking_rules(connection: Connection, name: str) -> None:
    """What runs must keep running: live rules that would no longer be understood are named.

    A rename breaks none, because the database keeps the former name.
    """
    _, documents = live_documents(connection)
    problems = check_documents(connection, documents) if documents else ()
    if problems:
        places = "; ".join(f"{one.file}:{one.line}: {one.message}" for one in problems[:3])
        raise Refused(f"Live rules name {name}; change them first. {places}")


def _clean(values: Mapping[str, Any]) -> dict[str, Any]:
    """Texts as stored. Raises: InvalidRequest for a name of blanks only."""
    cleaned = {name: clean_text(value) if isinstance(value, str) else value for name, value in values.items()}
    if "description" in cleaned:
        cleaned["description"] = cleaned["description"] or ""
    if "name" in cleaned and not cleaned["name"]:
        raise InvalidRequest([Fault("name", "must not be blank")])
    return cleaned


def _refuse_taken_names(connection: Connection, table: List, key: str, values: Mapping[str, Any]) -> None:
    """Rules may write a value as key, name, short name or former name: no two that are in use may share one of them."""
    wanted = _spellings([key, values.get("name"), values.get("short_name")])
    query = select(table.__table__).where(table.key != key, table.deleted_at.is_(None))
    for other in connection.execute(query).mappings():
        if taken := wanted & _spellings([other["key"], other["name"], other.get("short_name")]):
            raise Conflict(f"The {NOUNS[table]} {other['name']} already goes by '{sorted(taken)[0]}'.")
        if taken := wanted & _spellings(other["former_names"]):
            raise Conflict(f"Rules may mean {other['name']} by '{sorted(taken)[0]}': it was called so before.")


def _spellings(names: Iterable[str | None]) -> set[str]:
    return {fold(name) for name in names if name}
