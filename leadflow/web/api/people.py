"""Accounts and API keys: who may come in. Administered by people; secrets are in one answer each, and never again."""

from __future__ import annotations

from typing import Annotated, Literal

from flask import url_for
from pydantic import BaseModel, Field

from leadflow.services import accounts
from leadflow.services.access import ActsAs, KeyView, Role, create_key, list_keys, revoke_sessions_of
from leadflow.services.accounts import AccountView, SessionView
from leadflow.store.reads import Page
from leadflow.web.api.cursors import read_cursor
from leadflow.web.api.endpoints import Answer, Call, created, endpoint, expected_revision
from leadflow.web.api.models import Body, Moment, Name, PageQuery, RecordPath, Text
from leadflow.web.problems import Problem

LINK = {"sign_in_url": str | None}
RoleName = Literal["viewer", "editor", "admin"]


class KeyPath(BaseModel):
    id: Annotated[str, Field(max_length=100)]


class UserCreate(Body):
    email: Annotated[Text, Field(description="the address to sign in with")]
    name: Name
    role: RoleName
    password: Annotated[
        Text | None,
        Field(description="12 characters or more; without one the answer has a link to choose it by"),
    ] = None


class UserChange(Body):
    name: Name = ""
    role: RoleName = "viewer"
    disabled: Annotated[bool, Field(description="true: signed out everywhere, and let in no more")] = False


class ApiKeyCreate(Body):
    name: Name
    role: RoleName
    acts_as: Annotated[ActsAs, Field(description="automation is bound by the guard as a rule is")] = "automation"
    expires_at: Moment | None = None


class ApiKeyChange(Body):
    name: Name = ""
    role: RoleName = "viewer"
    expires_at: Moment | None = None


def _by_person(call: Call) -> None:
    """A key that acts as automation must not make itself one that acts as a person."""
    if call.caller.actor.is_automation:
        raise Problem(403, "Accounts and keys are administered by people; this key acts as automation.")


def link_address(token: str) -> str:
    """Where the one-time link leads."""
    return url_for("pages.sign_in_by_link", token=token, _external=True)


# Accounts -------------------------------------------------------------------------------------------------------------


@endpoint("get", "/users", role="admin", tag="People", view=AccountView, is_page=True)
def list_users(call: Call, query: PageQuery) -> Page[AccountView]:
    """List the accounts, oldest first."""
    return accounts.accounts(call.connection, after=read_cursor(query.cursor), limit=query.limit)


@endpoint("post", "/users", role="admin", tag="People", view=AccountView, status=201, more=LINK)
def add_user(call: Call, body: UserCreate) -> Answer:
    """Make an account.

    Without a password the answer has `sign_in_url`: a link that works once, within a day, to choose it by. It is in
    no later answer.
    """
    _by_person(call)
    role = Role(body.role)
    account_id, token = accounts.invite(call.connection, body.email, body.name, role, call.now, body.password)
    answer = created("/users", accounts.account(call.connection, account_id))
    return Answer(answer.view, 201, answer.location, once={"sign_in_url": token and link_address(token)})


@endpoint("get", "/users/<id>", role="admin", tag="People", view=AccountView)
def show_user(call: Call, path: RecordPath) -> AccountView:
    """Read an account."""
    return accounts.account(call.connection, path.id)


@endpoint("patch", "/users/<id>", role="admin", tag="People", view=AccountView)
def edit_user(call: Call, path: RecordPath, body: UserChange) -> AccountView:
    """Change an account. The last administrator stays one: 409."""
    _by_person(call)
    expected = expected_revision(accounts.account(call.connection, path.id))
    accounts.change_account(call.connection, path.id, body.given(), call.now, expected)
    return accounts.account(call.connection, path.id)


@endpoint("post", "/users/<id>/sign-in-link", role="admin", tag="People", view=AccountView, more=LINK)
def make_sign_in_link(call: Call, path: RecordPath) -> Answer:
    """Make a link that works once, within a day, by which the owner chooses a new password."""
    _by_person(call)
    token = accounts.make_reset_link(call.connection, path.id, call.now)
    return Answer(accounts.account(call.connection, path.id), once={"sign_in_url": link_address(token)})


@endpoint("get", "/users/<id>/sessions", role="admin", tag="People", view=SessionView, is_list=True)
def list_sessions(call: Call, path: RecordPath) -> list[SessionView]:
    """List the browsers that are signed in as this account, the last seen first; at most 50."""
    accounts.account(call.connection, path.id)
    return accounts.sessions_of(call.connection, path.id, call.now)


@endpoint("post", "/users/<id>/sign-out", role="admin", tag="People", view=AccountView)
def sign_user_out(call: Call, path: RecordPath) -> AccountView:
    """Sign the account out everywhere; links that were not used end too."""
    _by_person(call)
    view = accounts.account(call.connection, path.id)
    revoke_sessions_of(call.connection, path.id, call.now)
    return view


# API keys -------------------------------------------------------------------------------------------------------------


@endpoint("get", "/api-keys", role="admin", tag="People", view=KeyView, is_list=True)
def list_api_keys(call: Call) -> list[KeyView]:
    """List all keys, revoked ones too, oldest first; never their secrets."""
    return list_keys(call.connection)


@endpoint("post", "/api-keys", role="admin", tag="People", view=KeyView, status=201, more={"api_key": str | None})
def add_api_key(call: Call, body: ApiKeyCreate) -> Answer:
    """Make a key; `api_key` is what programs send, and is in no later answer."""
    _by_person(call)
    accounts.refuse_past(body.expires_at, call.now)
    role = Role(body.role)
    sent = create_key(call.connection, body.name, role, call.now, acts_as=body.acts_as, expires_at=body.expires_at)
    answer = created("/api-keys", accounts.key(call.connection, sent.split("_")[1]))
    return Answer(answer.view, 201, answer.location, once={"api_key": sent})


@endpoint("get", "/api-keys/<id>", role="admin", tag="People", view=KeyView)
def show_api_key(call: Call, path: KeyPath) -> KeyView:
    """Read a key; never its secret."""
    return accounts.key(call.connection, path.id)


@endpoint("patch", "/api-keys/<id>", role="admin", tag="People", view=KeyView)
def edit_api_key(call: Call, path: KeyPath, body: ApiKeyChange) -> KeyView:
    """Change a key from its next request on; `expires_at` null: it does not expire."""
    _by_person(call)
    expected = expected_revision(accounts.key(call.connection, path.id))
    accounts.change_key(call.connection, path.id, body.given(), call.now, expected)
    return accounts.key(call.connection, path.id)


@endpoint("delete", "/api-keys/<id>", role="admin", tag="People", view=KeyView)
def drop_api_key(call: Call, path: KeyPath) -> KeyView:
    """Revoke a key at once and for good."""
    _by_person(call)
    expected = expected_revision(accounts.key(call.connection, path.id))
    accounts.end_key(call.connection, path.id, call.now, expected)
    return accounts.key(call.connection, path.id)
