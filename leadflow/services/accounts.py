"""Administrators decide who comes in: accounts with their roles and sessions, and API keys.

The last administrator who can sign in stays one, so nobody locks everybody out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from leadflow.domain.text import fold
from leadflow.errors import Conflict, Fault, InvalidRequest, NotFound, StaleWrite
from leadflow.services.access import (
    SESSION_ID_BYTES,
    KeyView,
    Role,
    SignIn,
    create_account,
    create_sign_in_link,
    is_alive,
    list_keys,
    open_session,
    read_name,
    revoke_key,
    revoke_sessions_of,
    set_password,
    sign_in,
)
from leadflow.store.reads import Page
from leadflow.store.tables import AccountRow, ApiKeyRow, SessionRow

SESSIONS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class AccountView:
    """A person who may sign in; `has_password` is false as long as only one-time links let them in."""

    id: int
    email: str
    name: str
    role: Role
    has_password: bool
    created_at: datetime
    disabled_at: datetime | None
    revision: int


@dataclass(frozen=True, slots=True)
class SessionView:
    """A browser that is signed in: since when, last seen when, from which address and with which program."""

    id: str
    account_id: int
    created_at: datetime
    seen_at: datetime
    remote: str | None
    agent: str | None


@dataclass(frozen=True, slots=True)
class Presence:
    """How many sessions an account has open, and when it was last seen."""

    sessions: int
    seen_at: datetime


# Accounts -------------------------------------------------------------------------------------------------------------

_COLUMNS = (
    AccountRow.id,
    AccountRow.email,
    AccountRow.name,
    AccountRow.role,
    AccountRow.password_hash.is_not(None).label("has_password"),
    AccountRow.created_at,
    AccountRow.disabled_at,
    AccountRow.revision,
)


def accounts(connection: Connection, *, after: int | None = None, limit: int = 200) -> Page[AccountView]:
    """The accounts in the order in which they were made."""
    query = select(*_COLUMNS).where(AccountRow.id > (after or 0)).order_by(AccountRow.id).limit(limit + 1)
    found = [_view(row) for row in connection.execute(query)]
    return Page(found[:limit], found[limit - 1].id if len(found) > limit else None)


def account(connection: Connection, account_id: int) -> AccountView:
    """One account. Raises: NotFound."""
    row = connection.execute(select(*_COLUMNS).where(AccountRow.id == account_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no account {account_id}.")
    return _view(row)


def find_account(connection: Connection, email: str) -> AccountView:
    """The account with this address, in any case. Raises: NotFound."""
    row = connection.execute(select(*_COLUMNS).where(AccountRow.email == fold(email.strip()))).one_or_none()
    if row is None:
        raise NotFound(f"There is no account with the address {email}.")
    return _view(row)


def _view(row: Any) -> AccountView:
    return AccountView(**{**row._mapping, "role": Role(row.role)})


def presences(connection: Connection, account_ids: list[int], now: datetime) -> dict[int, Presence]:
    """Which of these accounts are signed in, by id."""
    columns = (SessionRow.account_id, func.count(), func.max(SessionRow.seen_at))
    query = select(*columns).where(SessionRow.account_id.in_(account_ids), is_alive(now))
    found = connection.execute(query.group_by(SessionRow.account_id))
    return {account_id: Presence(sessions, seen_at) for account_id, sessions, seen_at in found}


def invite(
    connection: Connection, email: str, name: str, role: Role, now: datetime, password: str | None = None
) -> tuple[int, str | None]:
    """A new account, and the token of the link by which its owner chooses a password; None if it has one.

    Raises: InvalidRequest; Conflict if the address has an account.
    """
    account_id = create_account(connection, email, name, role, now, password)
    if password is not None:
        return account_id, None
    return account_id, create_sign_in_link(connection, account_id, now, asks_password=True)


def make_reset_link(connection: Connection, account_id: int, now: datetime) -> str:
    """The token of a link by which the owner chooses a new password. Raises: NotFound; Conflict if disabled."""
    known = account(connection, account_id)
    if known.disabled_at is not None:
        raise Conflict(f"{known.name}'s account is disabled; enable it first.")
    return create_sign_in_link(connection, account_id, now, asks_password=True)


def change_account(
    connection: Connection,
    account_id: int,
    patch: Mapping[str, Any],
    now: datetime,
    expected_revision: int | None = None,
) -> None:
    """Change `name`, `role` or `disabled`. Who is disabled is signed out everywhere at once.

    Raises: Conflict for the last administrator; NotFound, StaleWrite, InvalidRequest.
    """
    administrators = _lock_administrators(connection)
    before = account(connection, account_id)
    if expected_revision is not None and before.revision != expected_revision:
        raise StaleWrite("The account changed since it was read.")
    values = _changes(before, patch, now)
    if administrators == [account_id] and _leaves(values):
        raise Conflict(f"{before.name} is the last administrator. Make somebody else one first.")
    if values:
        connection.execute(
            update(AccountRow).where(AccountRow.id == account_id).values(**values, revision=AccountRow.revision + 1)
        )
    if values.get("disabled_at"):
        revoke_sessions_of(connection, account_id, now)


def _lock_administrators(connection: Connection) -> list[int]:
    """Who can administer now; two who want to remove each other come one after the other."""
    query = select(AccountRow.id).where(AccountRow.role == Role.ADMIN.value, AccountRow.disabled_at.is_(None))
    return list(connection.scalars(query.order_by(AccountRow.id).with_for_update()))


def _changes(before: AccountView, patch: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "name" in patch:
        values["name"] = read_name(patch["name"])
    if "role" in patch:
        values["role"] = Role(patch["role"]).value
    if "disabled" in patch and patch["disabled"] != (before.disabled_at is not None):
        values["disabled_at"] = now if patch["disabled"] else None
    return {name: value for name, value in values.items() if getattr(before, name) != value}


def _leaves(values: Mapping[str, Any]) -> bool:
    return "role" in values or values.get("disabled_at") is not None


def change_own_password(
    connection: Connection,
    account_id: int,
    current: str,
    password: str,
    remote: str,
    now: datetime,
    agent: str | None = None,
) -> SignIn:
    """A session in place of all the account had, with the new password; the present one is asked if there is one.

    The caller commits in every case, as for `sign_in`. Raises: InvalidRequest for a password that is too short.
    """
    mine = account(connection, account_id)
    if mine.has_password:
        tried = sign_in(connection, mine.email, current, remote, now)
        if tried.token is None:
            return tried
    set_password(connection, account_id, password, now)
    return SignIn(open_session(connection, account_id, now, remote, agent))


# Sessions -------------------------------------------------------------------------------------------------------------

_SESSION_ID = func.encode(func.substring(SessionRow.token_sha256, 1, SESSION_ID_BYTES), "hex")


def sessions_of(connection: Connection, account_id: int, now: datetime) -> list[SessionView]:
    """The account's open sessions, the last seen first."""
    columns = (_SESSION_ID.label("id"), *(getattr(SessionRow, name) for name in SessionView.__slots__[1:]))
    query = select(*columns).where(SessionRow.account_id == account_id, is_alive(now))
    query = query.order_by(SessionRow.seen_at.desc(), SessionRow.created_at.desc()).limit(SESSIONS_SHOWN)
    return [SessionView(**row._mapping) for row in connection.execute(query)]


def end_session(connection: Connection, account_id: int, session_id: str, now: datetime) -> None:
    """Sign one browser of the account out. Raises: NotFound for one that has ended already."""
    mine = (SessionRow.account_id == account_id) & (session_id == _SESSION_ID) & is_alive(now)
    ended = connection.execute(update(SessionRow).where(mine).values(revoked_at=now))
    if ended.rowcount == 0:
        raise NotFound("This session has ended already.")


# API keys -------------------------------------------------------------------------------------------------------------


def key(connection: Connection, key_id: str) -> KeyView:
    """One key, without its secret. Raises: NotFound."""
    found = next((one for one in list_keys(connection) if one.id == key_id), None)
    if found is None:
        raise NotFound(f"There is no API key '{key_id}'.")
    return found


def change_key(
    connection: Connection,
    key_id: str,
    patch: Mapping[str, Any],
    now: datetime,
    expected_revision: int | None = None,
) -> None:
    """Change a key's `name`, `role` or `expires_at` from its next request on.

    Raises: Conflict for one that was revoked; NotFound, StaleWrite, InvalidRequest.
    """
    connection.execute(select(ApiKeyRow.id).where(ApiKeyRow.id == key_id).with_for_update())
    before = key(connection, key_id)
    if expected_revision is not None and before.revision != expected_revision:
        raise StaleWrite("The API key changed since it was read.")
    if before.revoked_at is not None:
        raise Conflict("The API key was revoked; make a new one.")
    values = _key_values(patch, now)
    if values:
        changed = update(ApiKeyRow).where(ApiKeyRow.id == key_id)
        connection.execute(changed.values(**values, revision=ApiKeyRow.revision + 1))


def _key_values(patch: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    values = {name: patch[name] for name in ("name", "role", "expires_at") if name in patch}
    if "name" in values:
        values["name"] = read_name(values["name"])
    if "role" in values:
        values["role"] = Role(values["role"]).value
    refuse_past(values.get("expires_at"), now)
    return values


def refuse_past(expires_at: datetime | None, now: datetime) -> None:
    """Raises: InvalidRequest for a key that would end before it begins."""
    if expires_at is not None and expires_at <= now:
        raise InvalidRequest([Fault("expires_at", "must be in the future; revoke a key that should end now")])


def end_key(connection: Connection, key_id: str, now: datetime, expected_revision: int | None = None) -> None:
    """Revoke a key at once and for good. Raises: NotFound, StaleWrite."""
    before = key(connection, key_id)
    if expected_revision is not None and before.revision != expected_revision:
        raise StaleWrite("The API key changed since it was read.")
    revoke_key(connection, key_id, now)
