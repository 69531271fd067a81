"""Boards: contacts by lead status or category, companies by category; a dragged card writes through the guard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, jsonify, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import Connection

from leadflow.errors import Conflict, InvalidRequest, NotFound, StaleWrite, UnknownValue
from leadflow.services.boards import (
    BOARDS,
    NO_VALUE,
    Board,
    Lane,
    Wanted,
    board_of,
    lane_of,
    lanes_of,
    move_card,
    read_cards,
)
from leadflow.services.searches import read_search
from leadflow.store import reads
from leadflow.store.reads.boards import LanePage, owners
from leadflow.web.auth import current_caller, requires
from leadflow.web.config import web_config
from leadflow.web.pages import desk, wording
from leadflow.web.pages.criteria import (
    Builder,
    asked_where,
    builder_of,
    builder_of_form,
    compact,
    is_unfinished,
    sentences_of,
)
from leadflow.web.pages.criteria_lines import has_lines

CARDS_A_PAGE = 30
FIRST_BOARD = "contacts-by-lead-status"
CHANGED_MEANWHILE = "Somebody or something changed this record since the board showed it. It is shown as it is now."
Record = reads.CompanyView | reads.ContactView


@dataclass(frozen=True, slots=True)
class Ways:
    """How the addresses of a board's cards begin; what follows is the record's id. Made once for hundreds of cards."""

    record: str
    move: str


def _ways(board: Board) -> Ways:
    is_company = board.subject == "company"
    record = url_for("pages.company", company_id=0) if is_company else url_for("pages.contact", contact_id=0)
    return Ways(record.removesuffix("0"), url_for("pages.board_card", key=board.key, record_id=0).removesuffix("0"))


@dataclass(frozen=True, slots=True)
class Card:
    """A record on a board, with its company if it is a contact's."""

    record: Record
    name: str
    company: reads.CompanyView | None
    lane: str
    ways: Ways
    is_inactive: bool = False

    @property
    def url(self) -> str:
        return f"{self.ways.record}{self.record.id}"

    @property
    def move_url(self) -> str:
        return f"{self.ways.move}{self.record.id}"

    @property
    def owner(self) -> str | None:
        return self.company.owner if self.company else None


@dataclass(frozen=True, slots=True)
class LaneShown:
    """A lane with its first cards."""

    lane: Lane
    page: LanePage
    cards: list[Card]


def register(pages: Blueprint) -> None:
    """Add the boards to the blueprint."""
    _register_reading(pages)
    _register_moving(pages)


def _register_reading(pages: Blueprint) -> None:
    @pages.get("/boards")
    @requires("viewer")
    def boards() -> Any:
        return _show_board(board_of(FIRST_BOARD))

    @pages.get("/boards/<key>")
    @requires("viewer")
    def board(key: str) -> Any:
        return _show_board(board_of(key))

    @pages.get("/boards/<key>/lanes/<lane_key>")
    @requires("viewer")
    def board_lane(key: str, lane_key: str) -> Any:
        return _show_lane(board_of(key), lane_key)


def _register_moving(pages: Blueprint) -> None:
    @pages.get("/boards/<key>/cards/<int:record_id>")
    @requires("editor")
    def board_card(key: str, record_id: int) -> Any:
        return _show_card(board_of(key), desk.expected_id(record_id))

    @pages.post("/boards/<key>/cards/<int:record_id>")
    @requires("editor")
    def move_board_card(key: str, record_id: int) -> Any:
        return _move(board_of(key), desk.expected_id(record_id))


# -- showing -----------------------------------------------------------------------------------------------------------


def _show_board(board: Board) -> Any:
    if has_lines(request.args) and not is_unfinished():
        return desk.go(url_for("pages.board", key=board.key, **_filters()))
    with desk.reading() as connection:
        wanted, problem = _wanted(connection, board)
        shown = _lanes_shown(connection, board, lanes_of(board, desk.lists(connection)), wanted)
        lanes = [one for one in shown if one.cards or not one.lane.is_retired]
        frame = _frame(connection, board, wanted, problem)
        return desk.show(connection, "boards.html", "boards", 422 if problem else 200, lanes=lanes, **frame)


def _show_lane(board: Board, lane_key: str) -> Any:
    """More cards of a lane: a part for the page that has it open, a page of its own for a browser without script."""
    with desk.reading() as connection:
        wanted, problem = _wanted(connection, board)
        lane = lane_of(board, desk.lists(connection), lane_key)
        (shown,) = _lanes_shown(connection, board, [lane], wanted, desk.asked_after())
        frame = _frame(connection, board, wanted, problem)
        if request.headers.get("HX-Request"):
            return render_template("parts/board_more.html", shown=shown, can_edit=desk.can_edit(), **frame)
        return desk.show(connection, "boards.html", "boards", 422 if problem else 200, lanes=[shown], **frame)


def _lanes_shown(
    connection: Connection, board: Board, lanes: Sequence[Lane], wanted: Wanted, after: int | None = None
) -> list[LaneShown]:
    """A page of each lane; the records of all of them are read at once."""
    lists, now = desk.lists(connection), desk.now()
    found = [read_cards(connection, board, one, lists, wanted, now, after=after, limit=CARDS_A_PAGE) for one in lanes]
    cards = _cards_of(connection, board, {number for page in found for number in page.ids})
    return [
        LaneShown(lane, page, [cards[one] for one in page.ids if one in cards])
        for lane, page in zip(lanes, found, strict=True)
    ]


def _frame(connection: Connection, board: Board, wanted: Wanted, problem: str) -> dict[str, Any]:
    """What the page around the lanes shows: which boards there are, and what is asked for."""
    return {
        "board": board,
        "boards": [(one.key, _title(one)) for one in BOARDS.values()],
        "title": _title(board),
        "wanted": wanted,
        "problem": problem,
        "filters": _filters(),
        "owners": owners(connection),
        "criteria": _builder(connection, board, problem),
    }


def _builder(connection: Connection, board: Board, problem: str) -> Builder:
    if has_lines(request.args):
        return builder_of_form(connection, board.subject)
    return builder_of(connection, board.subject, None if problem else asked_where())


def _filters() -> dict[str, Any]:
    """What the address asks for, in its shortest form, for the addresses that the page leads to."""
    given: dict[str, Any] = {name: desk.asked(name) for name in ("q", "owner", "inactive")}
    try:
        given["where"] = compact(asked_where()) or ""
    except InvalidRequest:
        given["where"] = ""
    return {name: value for name, value in given.items() if value}


def _wanted(connection: Connection, board: Board) -> tuple[Wanted, str]:
    """Which cards the address asks for, and what is wrong with its criteria; wrong ones find nothing out."""
    q, owner, with_inactive = desk.asked("q") or None, desk.asked("owner") or None, bool(desk.asked("inactive"))
    try:
        search = read_search(connection, web_config().searches, board.subject, asked_where(), None)
    except InvalidRequest as refusal:
        return Wanted(None, q, owner, with_inactive), sentences_of(refusal)
    return Wanted(search.condition, q, owner, with_inactive), ""


def _title(board: Board) -> str:
    titles = {
        "contacts-by-lead-status": _("Contacts by lead status"),
        "contacts-by-category": _("Contacts by category"),
        "companies-by-category": _("Companies by category"),
    }
    return str(titles[board.key])


# -- cards -------------------------------------------------------------------------------------------------------------


def _cards_of(connection: Connection, board: Board, ids: set[int]) -> dict[int, Card]:
    """These records as cards, by id."""
    if not ids:
        return {}
    ways = _ways(board)
    if board.subject == "company":
        return {one: _company_card(board, it, ways) for one, it in reads.companies_by_id(connection, ids).items()}
    contacts = reads.contacts_by_id(connection, ids)
    at = {one.company_id for one in contacts.values() if one.company_id is not None}
    companies = reads.companies_by_id(connection, at) if at else {}
    return {one: _contact_card(board, it, companies, ways) for one, it in contacts.items()}


def _company_card(board: Board, company: reads.CompanyView, ways: Ways) -> Card:
    return Card(company, wording.company_name(company), company, _lane_key(board, company), ways)


def _contact_card(
    board: Board, contact: reads.ContactView, companies: dict[int, reads.CompanyView], ways: Ways
) -> Card:
    company = companies.get(contact.company_id) if contact.company_id is not None else None
    is_inactive = board.field == "lead_status" and not contact.lead_status_active
    return Card(contact, wording.contact_name(contact), company, _lane_key(board, contact), ways, is_inactive)


def _lane_key(board: Board, record: Record) -> str:
    """The lane in which the record lies now."""
    value = record.lead_status if isinstance(record, reads.ContactView) and board.field == "lead_status" else None
    if board.field == "category":
        return record.category.key if record.category else NO_VALUE
    return value.key if value else NO_VALUE


def _card(connection: Connection, board: Board, record_id: int) -> Card:
    """One record as a card. Raises: NotFound."""
    found = _cards_of(connection, board, {record_id})
    if not found:
        raise NotFound(f"There is no {board.subject} {record_id}.")
    return found[record_id]


# -- moving ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a move: the reason if it was refused."""

    lane: Lane
    refusal: str = ""


def _move(board: Board, record_id: int) -> Any:
    outcome = _try_to_move(board, record_id)
    if request.accept_mimetypes.best == "application/json":
        return _as_json(board, record_id, outcome)
    if outcome.refusal:
        return _show_card(board, record_id, outcome.refusal)
    flash(_("Moved to %(lane)s. The history names you.", lane=outcome.lane.name), "green")
    return desk.go(url_for("pages.board", key=board.key))


def _try_to_move(board: Board, record_id: int) -> Outcome:
    """Make the move as the person who is signed in."""
    with desk.reading() as connection:
        lane = lane_of(board, desk.lists(connection), request.form.get("lane", ""))
    try:
        with desk.writing() as connection:
            actor, revision = current_caller().actor, desk.sent_revision()
            move_card(connection, actor, board, record_id, lane, desk.now(), revision)
    except StaleWrite:
        return Outcome(lane, CHANGED_MEANWHILE)
    except (Conflict, InvalidRequest, UnknownValue) as reason:
        return Outcome(lane, str(reason))
    web_config().ring()
    return Outcome(lane)


def _as_json(board: Board, record_id: int, outcome: Outcome) -> Any:
    """The card as it is now, the lane in which it lies, and what a person is told."""
    with desk.reading() as connection:
        card = _card(connection, board, record_id)
        lane = lane_of(board, desk.lists(connection), card.lane)
        html = render_template("parts/board_moved.html", card=card, board=board, can_edit=desk.can_edit())
    told = {"card": html, "lane": lane.key, "is_moved": not outcome.refusal}
    if not outcome.refusal:
        said = _("%(name)s moved to %(lane)s.", name=card.name, lane=lane.name)
        return jsonify({**told, "said": said})
    way_out = _way_out(board, card)
    said = _("%(name)s stays in %(lane)s: %(reason)s", name=card.name, lane=lane.name, reason=outcome.refusal)
    return jsonify({**told, "said": said, "way_out": way_out}), 409


def _way_out(board: Board, card: Card) -> dict[str, str] | None:
    """Where what was refused can be done: the category of a contact at a company is changed at the company."""
    if board.field != "category" or board.subject != "contact" or card.company is None:
        return None
    name = wording.company_name(card.company)
    return {
        "href": url_for("pages.company", company_id=card.company.id),
        "text": _("Open the company %(name)s", name=name),
    }


def _show_card(board: Board, record_id: int, refusal: str = "") -> Any:
    """One card and the lanes that it may go to: for browsers without script, and for a refusal there."""
    with desk.reading() as connection:
        card = _card(connection, board, record_id)
        lanes = [one for one in lanes_of(board, desk.lists(connection)) if not one.is_retired]
        values = {"board": board, "card": card, "lanes": lanes, "refusal": refusal, "title": _title(board)}
        way_out = _way_out(board, card) if refusal else None
        return desk.show(connection, "board_card.html", "boards", 409 if refusal else 200, way_out=way_out, **values)
