"""Boards: their lanes, and the cards in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, RootModel

from leadflow.errors import Fault, InvalidRequest
from leadflow.services.boards import BOARDS, Board, Lane, Wanted, board_of, lane_of, lanes_of, read_cards
from leadflow.services.searches import read_search
from leadflow.store import reads
from leadflow.store.lists import Lists, read_lists
from leadflow.store.reads.boards import LaneField, Precision
from leadflow.web.api.cursors import read_cursor
from leadflow.web.api.endpoints import Call, endpoint
from leadflow.web.api.models import KeyPath, PageQuery, Query
from leadflow.web.config import web_config

TAG = "Boards"
Where = Annotated[
    str | None, Field(max_length=50_000, description="a condition of the rule language, as JSON; narrows the cards")
]
Inactive = Annotated[bool, Field(description="contacts whose lead status is not active, too")]


class Card(RootModel[reads.ContactView | reads.CompanyView]):
    """A record on a board, in the shape that it has everywhere."""


@dataclass(frozen=True, slots=True)
class LaneView:
    """A lane; `value` is what a card in it has, and moving a card writes it. `count` is exact, about, or at least."""

    key: str
    value: str | None
    name: str
    count: int | None
    precision: Precision


@dataclass(frozen=True, slots=True)
class BoardView:
    """A board: records of one kind by one field. A card is moved by changing the record."""

    key: str
    subject: Literal["company", "contact"]
    field: LaneField
    lanes: list[LaneView]


class BoardQuery(Query):
    where: Where = None
    q: Annotated[str | None, Field(max_length=200, description="beginning of a name or address")] = None
    owner: Annotated[str | None, Field(max_length=200, description="owner of the company")] = None
    inactive: Inactive = False


class CardQuery(PageQuery, BoardQuery):
    """A page of a lane's cards."""


class LanePath(KeyPath):
    lane: Annotated[str, Field(max_length=100)]


@endpoint("get", "/boards", role="viewer", tag=TAG, view=BoardView, is_list=True)
def list_boards(call: Call) -> list[BoardView]:
    """List the boards with their lanes and how many cards each has.

    Contacts by lead status are those whose lead status is active. Big lanes are estimated; `precision` says so.
    """
    return [_view(call, one, Wanted()) for one in BOARDS.values()]


@endpoint("get", "/boards/<key>", role="viewer", tag=TAG, view=BoardView)
def show_board(call: Call, path: KeyPath, query: BoardQuery) -> BoardView:
    """Read a board with its lanes, narrowed as asked."""
    board = board_of(path.key)
    return _view(call, board, _wanted(call, board, query))


@endpoint("get", "/boards/<key>/lanes/<lane>", role="viewer", tag=TAG, view=Card, is_page=True)
def list_cards(call: Call, path: LanePath, query: CardQuery) -> reads.Page[Any]:
    """List the cards of a lane, the newest record first; `none` is the lane of records without a value.

    In a big lane a page may have fewer cards than `limit`, or none, and still a `next`.
    """
    board, lists = board_of(path.key), read_lists(call.connection)
    lane, wanted, after = lane_of(board, lists, path.lane), _wanted(call, board, query), read_cursor(query.cursor)
    page = read_cards(call.connection, board, lane, lists, wanted, call.now, after=after, limit=query.limit)
    read: Any = reads.contacts_by_id if board.subject == "contact" else reads.companies_by_id
    found = read(call.connection, set(page.ids)) if page.ids else {}
    return reads.Page([found[one] for one in page.ids if one in found], page.next_after)


def _wanted(call: Call, board: Board, query: BoardQuery) -> Wanted:
    search = read_search(call.connection, web_config().searches, board.subject, _condition(query.where), None)
    return Wanted(search.condition, query.q, query.owner, query.inactive)


def _condition(where: str | None) -> Any:
    try:
        return None if where is None else json.loads(where)
    except (ValueError, RecursionError):
        raise InvalidRequest([Fault("where", "is not JSON")]) from None


def _view(call: Call, board: Board, wanted: Wanted) -> BoardView:
    lists = read_lists(call.connection)
    shown = [_lane_view(call, board, one, lists, wanted) for one in lanes_of(board, lists) if not one.is_retired]
    return BoardView(board.key, board.subject, board.field, shown)


def _lane_view(call: Call, board: Board, lane: Lane, lists: Lists, wanted: Wanted) -> LaneView:
    page = read_cards(call.connection, board, lane, lists, wanted, call.now, limit=1)
    return LaneView(lane.key, lane.value, lane.name, page.count, page.precision)
