"""What leaves the system: what was sent, what is parked and why, and where rules may send."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, request, url_for
from flask_babel import lazy_gettext as _l
from sqlalchemy import Connection

from leadflow.errors import InvalidRequest, LeadflowError
from leadflow.outbound.notifications import SERVICES
from leadflow.services import outbound_endpoints
from leadflow.services.access import Role
from leadflow.services.outbox import send_again
from leadflow.store import endpoints as endpoint_store
from leadflow.store import outbox as store
from leadflow.web.auth import current_caller, requires
from leadflow.web.config import web_outside
from leadflow.web.pages import desk
from leadflow.web.pages.wording import Words

STATE_FILTERS = ((None, "All"), ("pending", "Waiting"), ("sent", "Sent"), ("parked", "Parked"))
STATES = {
    "pending": Words(_l("Waiting"), "sky", "hourglass", _l("It waits for its turn or for the next attempt.")),
    "sent": Words(_l("Sent"), "green", "circle-check", _l("The receiver took it.")),
    "parked": Words(_l("Parked"), "red", "alert-triangle", _l("It was given up. Mend the reason, then send it again.")),
}


def register(pages: Blueprint) -> None:
    """Add the outbox to the blueprint."""

    @pages.get("/outbox")
    @requires("viewer")
    def outbox() -> Any:
        return _page()

    @pages.post("/outbox/<int:message_id>/send")
    @requires("editor")
    def send_message_again(message_id: int) -> Any:
        return _send(lambda connection: _send_one(connection, desk.expected_id(message_id)))

    @pages.post("/outbox/endpoints/<name>/send-parked")
    @requires("editor")
    def send_parked_again(name: str) -> Any:
        return _send(lambda connection: _send_all(connection, name))

    _register_administration(pages)


def _register_administration(pages: Blueprint) -> None:
    @pages.post("/outbox/endpoints")
    @requires("admin")
    def create_endpoint() -> Any:
        return _administer(_create)

    @pages.post("/outbox/endpoints/<name>/secret")
    @requires("admin")
    def renew_endpoint_secret(name: str) -> Any:
        return _administer(lambda connection: _change(connection, name, {"new_secret": True}))

    @pages.post("/outbox/endpoints/<name>/enable")
    @requires("admin")
    def enable_endpoint(name: str) -> Any:
        return _administer(lambda connection: _change(connection, name, {"is_enabled": True}))

    @pages.post("/outbox/endpoints/<name>/disable")
    @requires("admin")
    def disable_endpoint(name: str) -> Any:
        return _administer(lambda connection: _change(connection, name, {"is_enabled": False}))

    @pages.post("/outbox/endpoints/<name>/delete")
    @requires("admin")
    def delete_endpoint(name: str) -> Any:
        return _administer(lambda connection: _delete(connection, name))


# -- sending again -----------------------------------------------------------------------------------------------------


def _send(again: Callable[[Connection], str]) -> Any:
    try:
        with desk.writing() as connection:
            said = again(connection)
    except LeadflowError as reason:
        flash(str(reason), "amber")
    else:
        flash(said, "green")
    return desk.go(desk.local_path(request.form.get("back"), url_for("pages.outbox")))


def _send_one(connection: Connection, message_id: int) -> str:
    send_again(connection, message_id, desk.now())
    return "It is sent again now, under the same id."


def _send_all(connection: Connection, name: str) -> str:
    count = store.send_all_again(connection, name, desk.now())
    return f"{count:,} {'message is' if count == 1 else 'messages are'} sent again now."


# -- endpoints ---------------------------------------------------------------------------------------------------------


def _administer(change: Callable[[Connection], tuple[str, str | None]]) -> Any:
    """Change an endpoint; a new secret is shown on the page that answers, and never again."""
    try:
        with desk.writing() as connection:
            said, secret = change(connection)
    except InvalidRequest as error:
        return _page(422, refusal=str(error), draft=request.form)
    except LeadflowError as error:
        return _page(409, refusal=str(error), draft=request.form)
    if secret is not None:
        return _page(shown_secret=secret)
    flash(said, "green")
    return desk.go(url_for("pages.outbox") + "#endpoints")


def _create(connection: Connection) -> tuple[str, str | None]:
    sent = {key: request.form.get(key, "").strip() for key in ("name", "kind", "url", "title")}
    if sent["kind"] not in ("webhook", "channel") or "\x00" in "".join(sent.values()):
        raise InvalidRequest("The page is too old. Load it again and repeat.")
    name, secret = outbound_endpoints.create_endpoint(connection, web_outside(), sent, desk.now())
    return f"The channel {name} is there; rules can send to it.", secret


def _change(connection: Connection, name: str, patch: dict[str, Any]) -> tuple[str, str | None]:
    secret = outbound_endpoints.change_endpoint(connection, web_outside(), name, patch, desk.now())
    return f"{name} is {'enabled' if patch.get('is_enabled') else 'disabled'}.", secret


def _delete(connection: Connection, name: str) -> tuple[str, str | None]:
    outbound_endpoints.delete_endpoint(connection, name)
    return f"{name} is deleted. What rules still send there will be parked.", None


# -- the page ----------------------------------------------------------------------------------------------------------


def _page(code: int = 200, **more: Any) -> tuple[str, int]:
    with desk.reading() as connection:
        return desk.show(connection, "outbox.html", "outbox", code, **_shown(connection), **{**_NOTHING_SAID, **more})


_NOTHING_SAID: dict[str, Any] = {"refusal": None, "shown_secret": None, "draft": {}}


def _shown(connection: Connection) -> dict[str, Any]:
    state, endpoint, after = _asked_state(), desk.asked("to") or None, desk.asked_after()
    wanted = store.MessageFilter(state=state, endpoint=endpoint)
    page = store.messages(connection, wanted, after=after, limit=desk.PAGE_SIZE)
    companies, contacts = desk.records_of(connection, page.items)
    return {
        "messages": page.items,
        "next_key": page.next_key,
        "is_first_page": after is None,
        "state": state,
        "endpoint": endpoint,
        "state_filters": STATE_FILTERS,
        "states": STATES,
        "counts": store.count_unsent(connection),
        "parked": store.parked_per_endpoint(connection),
        "endpoints": endpoint_store.endpoints(connection),
        "is_admin": current_caller().role.covers(Role.ADMIN),
        "services": sorted(SERVICES),
        "companies": companies,
        "contacts": contacts,
    }


def _asked_state() -> Any:
    asked = desk.asked("state")
    return asked if asked in STATES else None
