"""Administration of endpoints: webhooks with a secret that is shown once, channels whose address is sealed whole."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from leadflow.domain.text import clean_text
from leadflow.errors import Fault, InvalidRequest, StaleWrite
from leadflow.outbound.addresses import AddressPolicy, fault_of_url
from leadflow.outbound.notifications import fault_of_channel, service_of
from leadflow.outbound.sealing import Seals, UnreadableSeal
from leadflow.outbound.signing import new_secret
from leadflow.store import endpoints as store
from leadflow.store.endpoints import Destination, EndpointView

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
MAX_TITLE_LENGTH = 200

# After a change of secret both sign for this long, so that the receiver has time to take the new one.
FORMER_SECRET_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Outside:
    """What an installation says about the outside: which addresses may be called, and the keys of its secrets."""

    seals: Seals
    policy: AddressPolicy = field(default_factory=AddressPolicy)


@dataclass(frozen=True, slots=True)
class Signature:
    """The secrets of a webhook; `former` signs too until `former_until`."""

    secret: str
    former: str | None = None
    former_until: str | None = None

    def valid_at(self, now: datetime) -> list[str]:
        """The secrets to sign with, the present one first."""
        is_kept = self.former is not None and datetime.fromisoformat(self.former_until or "") > now
        return [self.secret, *([self.former] if is_kept and self.former else [])]

    def followed_by(self, secret: str, now: datetime) -> Signature:
        """A new secret, beside which this one stays for a while."""
        return Signature(secret, self.secret, (now + FORMER_SECRET_KEPT).isoformat())


def create_endpoint(
    connection: Connection, outside: Outside, draft: Mapping[str, Any], now: datetime
) -> tuple[str, str | None]:
    """Create an endpoint from `name`, `kind`, `url` and, as wished, `title`; its name, and a webhook's secret.

    The secret is in no other answer. Raises: InvalidRequest, Conflict.
    """
    name, kind, url = str(draft["name"]), str(draft["kind"]), str(draft["url"])
    if not NAME.fullmatch(name):
        raise InvalidRequest([Fault("name", "must be a slug: lower-case letters, digits and inner hyphens")])
    _check_url(kind, url, outside.policy)
    secret = new_secret() if kind == "webhook" else None
    values = {
        "name": name,
        "kind": kind,
        "title": _read_title(draft.get("title") or name),
        "is_enabled": draft.get("is_enabled", True),
        "url": _shown_url(kind, url),
        "sealed": outside.seals.seal(_to_text(Signature(secret)) if secret else url, name),
    }
    store.add_endpoint(connection, values, now)
    return name, secret


def change_endpoint(
    connection: Connection,
    outside: Outside,
    name: str,
    patch: Mapping[str, Any],
    now: datetime,
    expected_revision: int | None = None,
) -> str | None:
    """Change `title`, `url`, `is_enabled`; with `new_secret` a webhook gets another secret, which is returned once.

    Raises: NotFound, StaleWrite, InvalidRequest.
    """
    view = _to_change(connection, name, expected_revision)
    values: dict[str, Any] = {}
    if "title" in patch:
        values["title"] = _read_title(patch["title"])
    if "is_enabled" in patch:
        values["is_enabled"] = patch["is_enabled"]
    if "url" in patch:
        values |= _new_url(outside, view, str(patch["url"]))
    secret = _replace_secret(connection, outside, view, values, now) if patch.get("new_secret") else None
    if values:
        store.write_endpoint(connection, name, values, now)
    return secret


def delete_endpoint(connection: Connection, name: str, expected_revision: int | None = None) -> EndpointView:
    """Delete the endpoint and its secret; as it was. What is addressed to it will be parked.

    Raises: NotFound, StaleWrite.
    """
    view = _to_change(connection, name, expected_revision)
    store.delete_endpoint(connection, name)
    return view


def _to_change(connection: Connection, name: str, expected_revision: int | None) -> EndpointView:
    view = store.endpoint(connection, name, to_change=True)
    if expected_revision is not None and view.revision != expected_revision:
        raise StaleWrite("The endpoint changed since it was read.")
    return view


def _new_url(outside: Outside, view: EndpointView, url: str) -> dict[str, Any]:
    _check_url(view.kind, url, outside.policy)
    sealed = {"sealed": outside.seals.seal(url, view.name)} if view.kind == "channel" else {}
    return {"url": _shown_url(view.kind, url), **sealed}


def _replace_secret(
    connection: Connection, outside: Outside, view: EndpointView, values: dict[str, Any], now: datetime
) -> str:
    if view.kind != "webhook":
        raise InvalidRequest([Fault("new_secret", "only webhooks are signed; a channel has no secret")])
    secret = new_secret()
    try:
        former = signature_of(store.destinations(connection, [view.name])[view.name], outside.seals)
        signature = former.followed_by(secret, now)
    except UnreadableSeal:
        signature = Signature(secret)  # the very way to mend an endpoint whose key was lost
    values["sealed"] = outside.seals.seal(_to_text(signature), view.name)
    return secret


def _check_url(kind: str, url: str, policy: AddressPolicy) -> None:
    if fault := fault_of_url(url, policy) if kind == "webhook" else fault_of_channel(url, policy):
        raise InvalidRequest([Fault("url", fault)])


def _shown_url(kind: str, url: str) -> str:
    """A channel's address may hold a password in any of its parts, so only the service shows."""
    return url if kind == "webhook" else f"{service_of(url)}://…"


def _read_title(raw: object) -> str:
    title = clean_text(raw) if isinstance(raw, str) else None
    if title is None or len(title) > MAX_TITLE_LENGTH:
        raise InvalidRequest([Fault("title", f"must have 1 to {MAX_TITLE_LENGTH} characters")])
    return title


# -- what is sealed ----------------------------------------------------------------------------------------------------


def signature_of(destination: Destination, seals: Seals) -> Signature:
    """The secrets of a webhook. Raises: UnreadableSeal."""
    return Signature(**json.loads(seals.open(destination.sealed, destination.name)))


def channel_of(destination: Destination, seals: Seals) -> str:
    """The address of a channel. Raises: UnreadableSeal."""
    return seals.open(destination.sealed, destination.name)


def _to_text(signature: Signature) -> str:
    return json.dumps(asdict(signature))


def reseal_all(connection: Connection, seals: Seals) -> list[str]:
    """Put every secret under the present key, so that the former keys can go; the endpoints that no key opens."""
    unreadable = []
    for name, sealed in sorted(store.all_sealed(connection).items()):
        if seals.is_newest(sealed):
            continue
        try:
            store.reseal(connection, name, sealed, seals.seal(seals.open(sealed, name), name))
        except UnreadableSeal:
            unreadable.append(name)
    return unreadable
