"""Who may come in: API keys, accounts, sessions, one-time links, and the brake on guessing passwords.

Of every secret only the SHA-256 is kept (of passwords: argon2id), so a copy of the database opens nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import Connection, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from leadflow.domain.events import Actor, ActorKind
from leadflow.domain.text import clean_text, fault_of_text, fold
from leadflow.errors import Conflict, Fault, InvalidRequest, NotFound
from leadflow.store.tables import AccountRow, ApiKeyRow, SessionRow, SignInFailure, SignInLinkRow

ActsAs = Literal["person", "automation"]

BOOTSTRAP_KEY_ID = "bootstrap"
BOOTSTRAP_KEY_MIN_LENGTH = 16
MAX_KEY_LENGTH = 500

SESSION_IDLE = timedelta(hours=12)
SESSION_LIFETIME = timedelta(days=14)
LINK_LIFETIME = timedelta(hours=24)
# As much of a token's hash as tells the sessions of one account apart.
SESSION_ID_BYTES = 8
# A busy key or session writes its row once a minute, not on every request.
NOTED_EVERY = timedelta(minutes=1)

MAX_FAILURES = 5
FAILURE_WINDOW = timedelta(minutes=15)

PASSWORD_MIN_LENGTH = 12
PASSWORD_MAX_LENGTH = 1_000


class Role(StrEnum):
    """What somebody may do: look; change records; administer."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    def covers(self, wanted: Role) -> bool:
        """Whether this role may do what `wanted` may."""
        order = list(Role)
        return order.index(self) >= order.index(wanted)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request: an account that signed in, or an API key."""

    kind: Literal["account", "key"]
    id: str
    name: str
    role: Role
    acts_as_person: bool
    email: str | None = None

    @property
    def actor(self) -> Actor:
        """How the ledger names the caller."""
        kind = ActorKind.PERSON if self.kind == "account" else ActorKind.API_KEY
        return Actor(kind, self.id, self.name, self.acts_as_person)


@dataclass(frozen=True, slots=True)
class KeyView:
    """An API key as lists show it; the secret is never read back."""

    id: str
    name: str
    role: Role
    acts_as: ActsAs
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    revision: int


# API keys -------------------------------------------------------------------------------------------------------------


def create_key(
    connection: Connection,
    name: str,
    role: Role,
    now: datetime,
    *,
    acts_as: ActsAs = "automation",
    expires_at: datetime | None = None,
) -> str:
    """Make a key and return it, `lf_<id>_<secret>`; this is the only time it can be seen. Raises: InvalidRequest."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    values = {"id": key_id, "secret_sha256": _sha256(secret), "name": read_name(name), "role": role.value}
    times = {"created_at": now, "expires_at": expires_at}
    connection.execute(insert(ApiKeyRow).values(**values, **times, acts_as=acts_as))
    return f"lf_{key_id}_{secret}"


def ensure_bootstrap_key(connection: Connection, value: str | None, now: datetime) -> None:
    """Make `value` the administrator's key that the installation starts with; None ends an earlier one.

    It acts as a person. Raises: InvalidRequest if it is shorter than 16 characters.
    """
    if value is None:
        revoke_key(connection, BOOTSTRAP_KEY_ID, now)
        return
    if not BOOTSTRAP_KEY_MIN_LENGTH <= len(value) <= MAX_KEY_LENGTH or not value.isprintable() or " " in value:
        raise InvalidRequest("The bootstrap API key must have 16 to 500 visible characters without blanks.")
    row = {"secret_sha256": _sha256(value), "name": "bootstrap key", "role": Role.ADMIN.value, "acts_as": "person"}
    statement = upsert(ApiKeyRow).values(id=BOOTSTRAP_KEY_ID, created_at=now, **row)
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_={**row, "revoked_at": None}))


def find_key(connection: Connection, key: str, now: datetime) -> Caller | None:
    """Who calls with this API key; None for one that is unknown, expired or revoked."""
    prefix, _, rest = key.partition("_")
    key_id, _, secret = rest.partition("_")
    row = _key_row(connection, key_id, secret) if prefix == "lf" and secret else None
    row = row or _key_row(connection, BOOTSTRAP_KEY_ID, key)
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        return None
    if row.last_used_at is None or row.last_used_at <= now - NOTED_EVERY:
        _note_use(connection, row.id, now)
    return Caller("key", row.id, row.name, Role(row.role), row.acts_as == "person")


def _key_row(connection: Connection, key_id: str, secret: str) -> Any:
    """The key's row if the secret is right; compared in constant time, also where there is no such row."""
    if fault_of_text(key_id) or fault_of_text(secret):
        return None
    row = connection.execute(select(ApiKeyRow.__table__).where(ApiKeyRow.id == key_id)).one_or_none()
    expected = bytes(32) if row is None else row.secret_sha256
    return row if hmac.compare_digest(expected, _sha256(secret)) else None


def _note_use(connection: Connection, key_id: str, now: datetime) -> None:
    # A note that another request is just writing is as good as ours: never wait for it.
    mine = select(ApiKeyRow.id).where(ApiKeyRow.id == key_id).with_for_update(skip_locked=True).scalar_subquery()
    connection.execute(update(ApiKeyRow).where(ApiKeyRow.id == mine).values(last_used_at=now))


def revoke_key(connection: Connection, key_id: str, now: datetime) -> None:
    """End a key at once; a key that does not exist or has ended stays as it is."""
    ended = update(ApiKeyRow).where(ApiKeyRow.id == key_id, ApiKeyRow.revoked_at.is_(None))
    connection.execute(ended.values(revoked_at=now, revision=ApiKeyRow.revision + 1))


def list_keys(connection: Connection) -> list[KeyView]:
    """All keys, oldest first, without their secrets."""
    columns = [column for column in ApiKeyRow.__table__.c if column.name != "secret_sha256"]
    rows = connection.execute(select(*columns).order_by(ApiKeyRow.created_at, ApiKeyRow.id)).mappings()
    return [KeyView(**{**row, "role": Role(row["role"])}) for row in rows]


# Accounts -------------------------------------------------------------------------------------------------------------

_hasher = PasswordHasher()
# Checked where there is no account, so that a known and an unknown address take equally long.
_HASH_OF_NOBODY = _hasher.hash(secrets.token_hex(16))


def create_account(
    connection: Connection, email: str, name: str, role: Role, now: datetime, password: str | None = None
) -> int:
    """Make an account; without a password it signs in by one-time links only.

    Raises: InvalidRequest; Conflict if the address has an account.
    """
    values = {"email": _read_address(email), "name": read_name(name), "role": role.value, "created_at": now}
    if password is not None:
        values["password_hash"] = _hash_password(password)
    statement = upsert(AccountRow).values(**values).on_conflict_do_nothing(index_elements=["email"])
    account_id = connection.scalar(statement.returning(AccountRow.id))
    if account_id is None:
        existing = connection.scalar(select(AccountRow.id).where(AccountRow.email == values["email"]))
        raise Conflict("There already is an account with this address.", existing)
    return int(account_id)


def ensure_administrator(connection: Connection, email: str, name: str, now: datetime) -> int:
    """The id of the first administrator that can sign in; made without a password if there is none."""
    query = select(AccountRow.id).where(AccountRow.role == Role.ADMIN.value, AccountRow.disabled_at.is_(None))
    found = connection.scalar(query.order_by(AccountRow.id).limit(1))
    return found if found is not None else create_account(connection, email, name, Role.ADMIN, now)


def set_password(connection: Connection, account_id: int, password: str, now: datetime) -> None:
    """Give the account a new password and end its sessions. Raises: InvalidRequest, NotFound."""
    _change_account(connection, account_id, password_hash=_hash_password(password))
    revoke_sessions_of(connection, account_id, now)


def set_role(connection: Connection, account_id: int, role: Role) -> None:
    """Let the account do more or less from its next request on. Raises: NotFound."""
    _change_account(connection, account_id, role=role.value)


def disable_account(connection: Connection, account_id: int, now: datetime) -> None:
    """Let the account in no more and end its sessions. Raises: NotFound."""
    _change_account(connection, account_id, disabled_at=now)
    revoke_sessions_of(connection, account_id, now)


def _change_account(connection: Connection, account_id: int, **values: object) -> None:
    revised = {**values, "revision": AccountRow.revision + 1}
    changed = connection.execute(update(AccountRow).where(AccountRow.id == account_id).values(**revised))
    if changed.rowcount == 0:
        raise NotFound(f"There is no account {account_id}.")


def _hash_password(password: str) -> str:
    if not PASSWORD_MIN_LENGTH <= len(password) <= PASSWORD_MAX_LENGTH or fault_of_text(password):
        length = f"{PASSWORD_MIN_LENGTH} to {PASSWORD_MAX_LENGTH:,}"
        raise InvalidRequest([Fault("password", f"must have {length} characters")])
    return _hasher.hash(password)


def _read_address(email: str) -> str:
    address = "" if fault_of_text(email) else fold(email.strip())
    name, _, domain = address.rpartition("@")
    if not name or not domain or len(address) > 254 or any(c.isspace() for c in address):
        raise InvalidRequest([Fault("email", "must be an e-mail address")])
    return address


def read_name(name: str) -> str:
    cleaned = None if fault_of_text(name) else clean_text(name)
    if cleaned is None or len(cleaned) > 200:
        raise InvalidRequest([Fault("name", "must have 1 to 200 characters")])
    return cleaned


# Signing in -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SignIn:
    """How a sign-in ended: with a session's token, or not; `is_throttled` after too many failures.

    The caller commits in every case: a failure is counted by what was written.
    """

    token: str | None
    is_throttled: bool = False


def sign_in(
    connection: Connection, email: str, password: str, remote: str, now: datetime, agent: str | None = None
) -> SignIn:
    """Open a session for the right password; wrong ones are counted per address and per network address.

    Answer and time are the same whether the account exists or not.
    """
    address = fold(email.strip())[:254].replace("\x00", "").encode("utf-8", "replace").decode()
    subjects = [f"account:{address}", f"remote:{_network_of(remote)}"]
    if _is_throttled(connection, subjects, now):
        return SignIn(None, is_throttled=True)
    row: Any = connection.execute(select(AccountRow.__table__).where(AccountRow.email == address)).one_or_none()
    if not _is_right(row, password):
        connection.execute(insert(SignInFailure), [{"subject": subject, "at": now} for subject in subjects])
        return SignIn(None)
    if _hasher.check_needs_rehash(row.password_hash):
        _change_account(connection, row.id, password_hash=_hasher.hash(password))
    connection.execute(delete(SignInFailure).where(SignInFailure.subject == subjects[0]))
    return SignIn(open_session(connection, row.id, now, remote, agent))


def _is_throttled(connection: Connection, subjects: list[str], now: datetime) -> bool:
    """Whether any subject failed too often; attempts on one subject are judged one after another."""
    for subject in sorted(subjects):
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:subject, 727))"), {"subject": subject})
    recent = select(func.count()).where(SignInFailure.at > now - FAILURE_WINDOW)
    query = recent.where(SignInFailure.subject.in_(subjects)).group_by(SignInFailure.subject)
    return any(count >= MAX_FAILURES for count in connection.scalars(query))


def _is_right(row: Any, password: str) -> bool:
    is_open = row is not None and row.disabled_at is None and row.password_hash is not None
    try:
        _hasher.verify(row.password_hash if is_open else _HASH_OF_NOBODY, password[: PASSWORD_MAX_LENGTH + 1])
    except (VerifyMismatchError, InvalidHashError, UnicodeEncodeError):
        return False
    return is_open


def _network_of(remote: str) -> str:
    """The address that is counted: of IPv6 its /64, which one subscriber has whole."""
    try:
        address = ipaddress.ip_address(remote)
    except ValueError:
        return "unknown"
    prefix = 64 if address.version == 6 else 32
    return str(ipaddress.ip_network((address, prefix), strict=False).network_address)


@dataclass(frozen=True, slots=True)
class LinkView:
    """A link that still works: whom it lets in, and whether they choose a password with it.

    `may_skip`: the account has none yet, but the link was not made for choosing one.
    """

    name: str
    email: str
    asks_password: bool
    may_skip: bool


def create_sign_in_link(connection: Connection, account_id: int, now: datetime, *, asks_password: bool = False) -> str:
    """A token that signs the account in once, within a day; with `asks_password` only along with a new password."""
    token = secrets.token_urlsafe(32)
    values = {"token_sha256": _sha256(token), "account_id": account_id, "asks_password": asks_password}
    times = {"created_at": now, "expires_at": now + LINK_LIFETIME}
    connection.execute(insert(SignInLinkRow).values(**values, **times))
    return token


def find_sign_in_link(connection: Connection, token: str, now: datetime) -> LinkView | None:
    """What a link would do; None if it was used, is too old, or its account is disabled. Looking uses nothing up."""
    columns = (AccountRow.name, AccountRow.email, AccountRow.password_hash, SignInLinkRow.asks_password)
    query = select(*columns).join(AccountRow, AccountRow.id == SignInLinkRow.account_id)
    query = query.where(SignInLinkRow.token_sha256 == _sha256(token), _is_fresh(now), AccountRow.disabled_at.is_(None))
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    has_none = row.password_hash is None
    return LinkView(row.name, row.email, row.asks_password or has_none, has_none and not row.asks_password)


def _is_fresh(now: datetime) -> Any:
    return SignInLinkRow.used_at.is_(None) & (SignInLinkRow.expires_at > now)


def use_sign_in_link(
    connection: Connection,
    token: str,
    now: datetime,
    password: str | None = None,
    remote: str | None = None,
    agent: str | None = None,
) -> str | None:
    """A session's token for a link that is fresh and unused; None otherwise. Two users of one link: one gets in.

    With `password` the account has it from now on. Raises: InvalidRequest for one that is too short, or for none
    where the link asks for one; the link can be used again then.
    """
    statement = update(SignInLinkRow).where(SignInLinkRow.token_sha256 == _sha256(token), _is_fresh(now))
    columns = (SignInLinkRow.account_id, SignInLinkRow.asks_password)
    row = connection.execute(statement.values(used_at=now).returning(*columns)).one_or_none()
    if row is None:
        return None
    is_open = select(AccountRow.id).where(AccountRow.id == row.account_id, AccountRow.disabled_at.is_(None))
    if connection.scalar(is_open) is None:
        return None
    if password is not None or row.asks_password:
        set_password(connection, row.account_id, password or "", now)
    return open_session(connection, row.account_id, now, remote, agent)


# Sessions -------------------------------------------------------------------------------------------------------------


def open_session(
    connection: Connection, account_id: int, now: datetime, remote: str | None = None, agent: str | None = None
) -> str:
    """The token of a new session; `remote` and `agent` let its owner know it from others'."""
    token = secrets.token_urlsafe(32)
    values = {"token_sha256": _sha256(token), "account_id": account_id, "created_at": now, "seen_at": now}
    connection.execute(insert(SessionRow).values(**values, remote=remote, agent=_short(agent)))
    return token


def _short(agent: str | None) -> str | None:
    return None if not agent or fault_of_text(agent) else agent[:300]


def is_alive(now: datetime) -> Any:
    """The condition of sessions that let their owners in."""
    return (
        SessionRow.revoked_at.is_(None)
        & (SessionRow.seen_at > now - SESSION_IDLE)
        & (SessionRow.created_at > now - SESSION_LIFETIME)
    )


def find_session(connection: Connection, token: str, now: datetime) -> Caller | None:
    """Who is signed in with this token; None if the session ended, was idle for 12 hours or is 14 days old."""
    digest = _sha256(token)
    alive = (SessionRow.token_sha256 == digest) & is_alive(now) & AccountRow.disabled_at.is_(None)
    columns = (AccountRow.id, AccountRow.name, AccountRow.email, AccountRow.role, SessionRow.seen_at)
    query = select(*columns).join(AccountRow, AccountRow.id == SessionRow.account_id).where(alive)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    if row.seen_at <= now - NOTED_EVERY:
        mine = select(SessionRow.token_sha256).where(SessionRow.token_sha256 == digest)
        locked = mine.with_for_update(skip_locked=True).scalar_subquery()
        connection.execute(update(SessionRow).where(SessionRow.token_sha256 == locked).values(seen_at=now))
    return Caller("account", str(row.id), row.name, Role(row.role), acts_as_person=True, email=row.email)


def session_id_of(token: str) -> str:
    """What lists of sessions call the session with this token; it opens nothing."""
    return _sha256(token)[:SESSION_ID_BYTES].hex()


def revoke_session(connection: Connection, token: str, now: datetime) -> None:
    """Sign out."""
    ended = update(SessionRow).where(SessionRow.token_sha256 == _sha256(token), SessionRow.revoked_at.is_(None))
    connection.execute(ended.values(revoked_at=now))


def revoke_sessions_of(connection: Connection, account_id: int, now: datetime) -> None:
    """Sign the account out everywhere; links it has not used end too."""
    ended = update(SessionRow).where(SessionRow.account_id == account_id, SessionRow.revoked_at.is_(None))
    connection.execute(ended.values(revoked_at=now))
    unused = update(SignInLinkRow).where(SignInLinkRow.account_id == account_id, SignInLinkRow.used_at.is_(None))
    connection.execute(unused.values(used_at=now))


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
