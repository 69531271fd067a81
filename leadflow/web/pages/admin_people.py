"""Accounts, their roles and sessions, and API keys. A secret is shown on the page that answers, and never again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, flash, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import Connection

from leadflow.errors import InvalidRequest, LeadflowError
from leadflow.services import accounts
from leadflow.services.access import ActsAs, KeyView, Role, create_key, list_keys, revoke_sessions_of
from leadflow.web.auth import current_caller, requires
from leadflow.web.pages import desk
from leadflow.web.pages.browsers import browser_words
from leadflow.web.pages.refusals import sentence_of

ROLES = {
    Role.VIEWER: (_l("Viewer"), _l("sees everything but this administration")),
    Role.EDITOR: (_l("Editor"), _l("edits records, rules, selections and boards")),
    Role.ADMIN: (_l("Admin"), _l("also people, keys, categories, sources and the system")),
}
ACTS_AS = {
    "automation": _l("Automation: bound by the guard as a rule is"),
    "person": _l("A person: may do what its role may"),
}
EXPIRIES = {"30": _l("in 30 days"), "90": _l("in 90 days"), "365": _l("in a year"), "": _l("never")}


def register(pages: Blueprint) -> None:
    """Add people and keys to the blueprint."""

    @pages.get("/admin/people")
    @requires("admin")
    def admin_people() -> Any:
        return _people_page()

    @pages.post("/admin/people")
    @requires("admin")
    def invite_person() -> Any:
        return _invite()

    @pages.post("/admin/keys")
    @requires("admin")
    def make_key() -> Any:
        return _make_key()

    @pages.post("/admin/keys/<key_id>/revoke")
    @requires("admin")
    def revoke_api_key(key_id: str) -> Any:
        return _revoke_key(key_id)

    _register_person(pages)


def _register_person(pages: Blueprint) -> None:
    @pages.get("/admin/people/<int:account_id>")
    @requires("admin")
    def person(account_id: int) -> Any:
        return _person_page(desk.expected_id(account_id))

    @pages.post("/admin/people/<int:account_id>")
    @requires("admin")
    def change_person(account_id: int) -> Any:
        return _change_person(desk.expected_id(account_id))

    @pages.post("/admin/people/<int:account_id>/link")
    @requires("admin")
    def make_reset_link(account_id: int) -> Any:
        return _make_link(desk.expected_id(account_id))

    @pages.post("/admin/people/<int:account_id>/sign-out")
    @requires("admin")
    def sign_person_out(account_id: int) -> Any:
        return _sign_out(desk.expected_id(account_id), None)

    @pages.post("/admin/people/<int:account_id>/sessions/<session_id>/end")
    @requires("admin")
    def end_session_of(account_id: int, session_id: str) -> Any:
        return _sign_out(desk.expected_id(account_id), session_id)


# -- all people and keys -----------------------------------------------------------------------------------------------


def _people_page(status: int = 200, **said: Any) -> Any:
    with desk.reading() as connection:
        page = accounts.accounts(connection, after=desk.asked_after(), limit=desk.PAGE_SIZE)
        keys = list_keys(connection)
        values = {
            "accounts": page.items,
            "next_key": page.next_key,
            "after": desk.asked_after(),
            "presences": accounts.presences(connection, [one.id for one in page.items], desk.now()),
            "live_keys": [one for one in keys if _has_not_ended(one)],
            "ended_keys": [one for one in keys if not _has_not_ended(one)],
            "roles": ROLES,
            "acts_as": ACTS_AS,
            "expiries": EXPIRIES,
            "draft": {},
        }
        return desk.show(connection, "admin_people.html", "admin_people", status, **{**values, **said})


def _has_not_ended(key: KeyView) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > desk.now())


def _invite() -> Any:
    form = request.form
    try:
        role = _role(form.get("role", ""))
        with desk.writing() as connection:
            email, name = form.get("email", ""), form.get("name", "")
            account_id, token = accounts.invite(connection, email, name, role, desk.now())
            made = accounts.account(connection, account_id)
    except LeadflowError as error:
        status = 422 if isinstance(error, InvalidRequest) else 409
        return _people_page(status, refusal=sentence_of(error), refusal_of="people", draft=form)
    return _people_page(invited=made, link=_address_of(token or ""))


def _make_key() -> Any:
    form = request.form
    try:
        acts_as: ActsAs = "person" if form.get("acts_as") == "person" else "automation"
        with desk.writing() as connection:
            name, role = form.get("name", ""), _role(form.get("role", ""))
            ends = _expiry(form.get("expires", ""))
            key = create_key(connection, name, role, desk.now(), acts_as=acts_as, expires_at=ends)
    except LeadflowError as error:
        return _people_page(422, refusal=sentence_of(error), refusal_of="keys", draft=form)
    return _people_page(shown_key=key, key_name=name)


def _expiry(days: str) -> datetime | None:
    if days not in EXPIRIES:
        raise InvalidRequest("There is no such expiry.")
    return desk.now() + timedelta(days=int(days)) if days else None


def _role(text: str) -> Role:
    if text not in {one.value for one in Role}:
        raise InvalidRequest("There is no such role.")
    return Role(text)


def _revoke_key(key_id: str) -> Any:
    with desk.writing() as connection:
        accounts.end_key(connection, key_id, desk.now())
        name = accounts.key(connection, key_id).name
    flash(_("The key “%(name)s” is revoked: the next request with it is refused.", name=name), "green")
    return desk.go(url_for("pages.admin_people") + "#keys")


def _address_of(token: str) -> str:
    return url_for("pages.sign_in_by_link", token=token, _external=True)


# -- one person --------------------------------------------------------------------------------------------------------


def _person_page(account_id: int, status: int = 200, **said: Any) -> Any:
    with desk.reading() as connection:
        values = {
            "account": accounts.account(connection, account_id),
            "sessions": accounts.sessions_of(connection, account_id, desk.now()),
            "roles": ROLES,
            "browser_words": browser_words,
            "is_self": current_caller().id == str(account_id),
        }
        return desk.show(connection, "admin_person.html", "admin_people", status, **{**values, **said})


def _change_person(account_id: int) -> Any:
    form = request.form
    try:
        patch: dict[str, Any] = {"disabled": form["disabled"] == "1"} if "disabled" in form else {}
        if "name" in form:
            patch |= {"name": form["name"], "role": _role(form.get("role", "")).value}
        with desk.writing() as connection:
            accounts.change_account(connection, account_id, patch, desk.now(), desk.sent_revision())
            said = _said_of(connection, account_id, patch)
    except LeadflowError as error:
        status = 422 if isinstance(error, InvalidRequest) else 409
        return _person_page(account_id, status, refusal=sentence_of(error))
    flash(said, "green")
    return desk.go(url_for("pages.person", account_id=account_id))


def _said_of(connection: Connection, account_id: int, patch: dict[str, Any]) -> str:
    name = accounts.account(connection, account_id).name
    if "disabled" not in patch:
        return str(_("Saved: %(name)s.", name=name))
    if patch["disabled"]:
        return str(_("%(name)s is signed out everywhere and can sign in no more.", name=name))
    return str(_("%(name)s can sign in again.", name=name))


def _make_link(account_id: int) -> Any:
    try:
        with desk.writing() as connection:
            token = accounts.make_reset_link(connection, account_id, desk.now())
    except LeadflowError as error:
        return _person_page(account_id, 409, refusal=sentence_of(error))
    return _person_page(account_id, link=_address_of(token))


def _sign_out(account_id: int, session_id: str | None) -> Any:
    try:
        with desk.writing() as connection:
            if session_id is None:
                revoke_sessions_of(connection, account_id, desk.now())
            else:
                accounts.end_session(connection, account_id, session_id, desk.now())
    except LeadflowError as error:
        flash(sentence_of(error), "amber")
    else:
        flash(_("Signed out. Whoever sat there has to sign in again."), "green")
    return desk.go(url_for("pages.person", account_id=account_id))
