"""Boards: what their lanes are, which cards lie in them, and the story of a card that a person moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from leadflow.domain.events import Actor
from leadflow.domain.lead_status import LeadStatus
from leadflow.domain.lifecycle import Category
from leadflow.errors import NotFound, Refused
from leadflow.rules.conditions import Condition
from leadflow.services.records import change_company, change_contact
from leadflow.store.conditions import Subject, render
from leadflow.store.lists import Lists
from leadflow.store.reads import boards as lanes
from leadflow.store.reads.boards import LaneField, LaneFilter, LanePage

NO_VALUE = "none"
A_LEAD_HAS_A_STATUS = "A lead status cannot be taken away: move the contact to another status, or change its category."


@dataclass(frozen=True, slots=True)
class Board:
    """Records of one kind, laid out by one field."""

    key: str
    subject: Subject
    field: LaneField

    @property
    def path(self) -> str:
        """The field as criteria name it: a contact's category is its company's."""
        return "contact.lead_status" if self.field == "lead_status" else "company.category"


@dataclass(frozen=True, slots=True)
class Lane:
    """One value of the board's field, in rank order; `value` None is the lane of records without one.

    `key` names the lane in addresses. A deleted value has a lane while records have it, but nothing moves there.
    """

    key: str
    value: str | None
    name: str
    description: str = ""
    group: str | None = None
    is_retired: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which cards: `with_inactive` shows contacts whose lead status is not active too."""

    condition: Condition | None = None
    q: str | None = None
    owner: str | None = None
    with_inactive: bool = False


BOARDS = {
    one.key: one
    for one in (
        Board("contacts-by-lead-status", "contact", "lead_status"),
        Board("contacts-by-category", "contact", "category"),
        Board("companies-by-category", "company", "category"),
    )
}


def board_of(key: str) -> Board:
    """The board with this key. Raises: NotFound."""
    if key not in BOARDS:
        raise NotFound(f"There is no board '{key}'; there are {', '.join(BOARDS)}.")
    return BOARDS[key]


def lanes_of(board: Board, lists: Lists) -> list[Lane]:
    """The lanes of a board, in rank order, the one without a value last."""
    is_by_status = board.field == "lead_status"
    values: list[Category | LeadStatus] = [
        *(lists.statuses.by_key if is_by_status else lists.lifecycle.categories).values()
    ]
    name = "No status" if is_by_status else "No category"
    ranked = sorted(values, key=lambda one: one.rank)
    return [*(_lane(one) for one in ranked), Lane(NO_VALUE, None, name)]


def _lane(one: Category | LeadStatus) -> Lane:
    group = one.group if isinstance(one, Category) else None
    return Lane(one.key, one.key, one.name, one.description, group, one.deleted)


def lane_of(board: Board, lists: Lists, key: str) -> Lane:
    """The lane with this key. Raises: NotFound."""
    for lane in lanes_of(board, lists):
        if lane.key == key:
            return lane
    raise NotFound(f"The board has no lane '{key}'.")


def read_cards(
    connection: Connection,
    board: Board,
    lane: Lane,
    lists: Lists,
    wanted: Wanted,
    now: datetime,
    *,
    after: int | None = None,
    limit: int = 30,
) -> LanePage:
    """The ids of one page of a lane's records, the newest first; the first page says how many there are."""
    asked = None if wanted.condition is None else render(wanted.condition, board.subject, now)
    only_active = board.field == "lead_status" and not wanted.with_inactive
    active = frozenset(_enabled(lists)) if only_active else None
    narrowed = LaneFilter(wanted.q, wanted.owner, asked, active)
    return lanes.read_lane(connection, board.subject, board.field, lane.value, narrowed, after, limit)


def _enabled(lists: Lists) -> Iterator[str]:
    """The categories under which a lead status is active."""
    return (key for key in lists.lifecycle.categories if lists.lifecycle.is_lead_status_active(key))


def move_card(
    connection: Connection,
    actor: Actor,
    board: Board,
    record_id: int,
    lane: Lane,
    now: datetime,
    expected_revision: int | None,
) -> None:
    """Write the lane's value into the record, through the same guard as every edit.

    Raises: NotFound, StaleWrite, InvalidRequest, Refused with the reason.
    """
    if lane.is_retired:
        raise Refused(f"{lane.name} has been deleted from the list; it is not given to records any more.")
    if board.field == "lead_status" and lane.value is None:
        raise Refused(A_LEAD_HAS_A_STATUS)
    change: Any = change_contact if board.subject == "contact" else change_company
    change(connection, actor, record_id, {board.field: lane.value}, now, expected_revision)
