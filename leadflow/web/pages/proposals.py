"""What rules propose and a person decides: accept, another category, or decline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import Connection

from leadflow.errors import Conflict, InvalidRequest, Refused
from leadflow.services import proposals as stories
from leadflow.services.rule_sets import live_documents
from leadflow.store import page_reads, reads
from leadflow.store.reads.views import ProposalView, RunView
from leadflow.web.auth import current_caller, requires
from leadflow.web.config import web_config
from leadflow.web.pages import desk, rulebook
from leadflow.web.pages.records import categories_on_offer
from leadflow.web.pages.wording import Words

SHOWN = 25
SHOWN_DECIDED = 50
# Beyond this number of open proposals the counts by rule are those of the oldest ones.
COUNTED = 5_000
STATES = {
    "accepted": Words(_l("Accepted"), "green", "check", _l("A person made the change.")),
    "declined": Words(_l("Declined"), "grey", "x", _l("A person left everything as it was.")),
    "overtaken": Words(
        _l("Overtaken"), "violet", "arrow-forward-up", _l("Somebody had changed it meanwhile, and that stayed.")
    ),
}


@dataclass(frozen=True, slots=True)
class Item:
    """A proposal with what a person needs to decide on it. `stale`: the changes whose old value no longer stands."""

    proposal: ProposalView
    company: reads.CompanyView | None
    contact: reads.ContactView | None
    run: RunView | None
    stale: Sequence[Mapping[str, Any]]

    @property
    def is_about_category(self) -> bool:
        return any(one.get("field") == "category" for one in self.proposal.changes)

    @property
    def proposed_category(self) -> str | None:
        return next((one["new"] for one in self.proposal.changes if one.get("field") == "category"), None)


def register(pages: Blueprint) -> None:
    """Add the proposals to the blueprint."""

    @pages.get("/proposals")
    @requires("viewer")
    def proposals() -> Any:
        with desk.reading() as connection:
            return desk.show(connection, "proposals.html", "proposals", **_asked_for(connection))

    @pages.post("/proposals/<int:proposal_id>/accept")
    @requires("editor")
    def accept_proposal(proposal_id: int) -> Any:
        category = request.form.get("category") or None
        return _decide(
            proposal_id, lambda connection, actor, at: stories.accept(connection, actor, proposal_id, at, category)
        )

    @pages.post("/proposals/<int:proposal_id>/decline")
    @requires("editor")
    def decline_proposal(proposal_id: int) -> Any:
        reason = request.form.get("reason", "").strip() or None
        return _decide(
            proposal_id, lambda connection, actor, at: stories.decline(connection, actor, proposal_id, at, reason)
        )


def _decide(proposal_id: int, story: Callable[..., None]) -> Any:
    """Decide as the person who is signed in; a refusal is said above the queue, and the proposal stays open."""
    desk.expected_id(proposal_id)
    try:
        with desk.writing() as connection:
            story(connection, current_caller().actor, desk.now())
            decided = reads.proposal(connection, proposal_id)
    except (Conflict, InvalidRequest, Refused) as reason:
        flash(str(reason), "red")
    else:
        web_config().ring()
        flash(*_said(decided))
    return desk.go(desk.local_path(request.form.get("back"), url_for("pages.proposals")))


def _said(decided: ProposalView) -> tuple[str, str]:
    match decided.state:
        case "accepted":
            return _("Accepted: the change is made, in your name."), "green"
        case "overtaken":
            return _("Nothing was done. %(why)s", why=decided.reason), "amber"
        case _:
            return _("Declined: everything stays as it is."), "green"


def _asked_for(connection: Connection) -> dict[str, Any]:
    shows_decided = desk.asked("state") == "decided"
    rule = desk.asked("rule") or None
    found, next_key = _found(connection, shows_decided, rule)
    _, documents = live_documents(connection)
    return {
        "items": _items(connection, found),
        "next_key": next_key,
        "is_first_page": desk.asked_after() is None,
        "shows_decided": shows_decided,
        "rule": rule,
        "rules": reads.open_proposal_counts(connection, limit=COUNTED),
        "states": STATES,
        "titles": rulebook.titles_of(documents, desk.lists(connection)),
        "categories": categories_on_offer(desk.lists(connection)),
    }


def _found(connection: Connection, decided: bool, rule: str | None) -> tuple[Sequence[ProposalView], int | None]:
    if decided:
        return reads.decided_proposals(connection, limit=SHOWN_DECIDED), None
    page = reads.proposals(connection, reads.ProposalFilter("open", rule), after=desk.asked_after(), limit=SHOWN)
    return page.items, page.next_key


def _items(connection: Connection, found: Sequence[ProposalView]) -> list[Item]:
    companies, contacts = desk.records_of(connection, found)
    runs = page_reads.runs_by_id(connection, [one.run_id for one in found])
    return [
        Item(
            one,
            companies.get(one.company_id or 0),
            contacts.get(one.contact_id or 0),
            runs.get(one.run_id),
            [change for change in one.changes if not _stands(change, companies, contacts)],
        )
        for one in found
    ]


def _stands(
    change: Mapping[str, Any],
    companies: Mapping[int, reads.CompanyView],
    contacts: Mapping[int, reads.ContactView],
) -> bool:
    if "entity_id" not in change:
        return True
    known: Mapping[int, Any] = companies if change["entity"] == "company" else contacts
    view = known.get(change["entity_id"])
    return view is None or stories.still_stands(change, view)
