"""The story of a search: what it asks for is read, then records are found, counted and shown in their order."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from leadflow.domain.fields import Field, Kind
from leadflow.errors import Fault, InvalidRequest
from leadflow.rules.conditions import Condition
from leadflow.rules.parsing.json_conditions import Names, names_of_documents, read_json_condition
from leadflow.rules.problems import find_nearest, quoted
from leadflow.services.rule_sets import documents_of
from leadflow.store.conditions import Subject
from leadflow.store.lists import Lists, ListsCache
from leadflow.store.searches import Order

ROOTS: Mapping[Subject, tuple[str, ...]] = {"company": ("company",), "contact": ("contact", "company")}


@dataclass(frozen=True)
class Search:
    """A search as read; a condition of None is satisfied by everybody, an order of None is that of the ids."""

    subject: Subject
    condition: Condition | None
    order: Order | None


class SearchDesk:
    """What a process keeps between searches: the lists, and the names that the live rules declare."""

    def __init__(self) -> None:
        self._lists = ListsCache()
        self._names = Names()
        self._key: tuple[int, int | None] | None = None
        self._lock = threading.Lock()

    def read(self, connection: Connection) -> tuple[Lists, Names]:
        """The lists and names as this transaction sees them."""
        with self._lock:
            lists = self._lists.read(connection)
            key = (lists.revision, lists.live_version)
            if key != self._key:
                self._names, self._key = _read_names(connection, lists), key
            return lists, self._names


def _read_names(connection: Connection, lists: Lists) -> Names:
    if lists.live_version is None:
        return Names()
    return names_of_documents(documents_of(connection, lists.live_version), lists.catalogue)


def read_search(connection: Connection, desk: SearchDesk, subject: Subject, where: Any, order_by: str | None) -> Search:
    """The search that this asks for. Raises: InvalidRequest with every problem, at its JSON pointer."""
    lists, names = desk.read(connection)
    faults: list[Fault] = []
    condition, order = None, None
    try:
        condition = read_json_condition(where, lists.catalogue, frozenset(ROOTS[subject]), names)
    except InvalidRequest as refusal:
        faults += refusal.faults
    try:
        order = read_order(lists, subject, order_by)
    except InvalidRequest as refusal:
        faults += refusal.faults
    if faults:
        raise InvalidRequest(faults)
    return Search(subject, condition, order)


def read_order(lists: Lists, subject: Subject, order_by: str | None) -> Order | None:
    """`contact.last_name`, or `-company.category` for the other way round; the record's own name may be left out.

    Raises: InvalidRequest.
    """
    path = (order_by or "").strip()
    if not path:
        return None
    fields = {one.path: one for one in lists.catalogue.of(*ROOTS[subject]) if one.kind is not Kind.LIST}
    name = path.removeprefix("-")
    field = fields.get(name) or fields.get(f"{subject}.{name}")
    if field is None:
        near = find_nearest(path.removeprefix("-"), fields)
        hint = f"; did you mean '{near}'?" if near else ""
        message = f"{quoted(path)} is not a field that a {subject} can be ordered by{hint}"
        raise InvalidRequest([Fault("/order_by", f"{message}; allowed: {', '.join(fields)}")])
    return Order(field, path.startswith("-"), _ranks(lists, field))


def _ranks(lists: Lists, field: Field) -> Mapping[str, int]:
    """The rank of each category or lead status, deleted ones included; other choices in the order of their list."""
    if field.path == "company.category":
        return {key: one.rank for key, one in lists.lifecycle.categories.items()}
    if field.path == "contact.lead_status":
        return {key: one.rank for key, one in lists.statuses.by_key.items()}
    return {one.key: place for place, one in enumerate(field.choices)}
