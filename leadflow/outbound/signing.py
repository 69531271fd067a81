"""Signatures after Standard Webhooks: receivers check them with any of that project's libraries."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    """A secret that nobody has seen yet: `whsec_` and 256 random bits in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def message_id(outbox_id: int) -> str:
    """The id of a message: the same at every attempt, so that a receiver can tell a repeat."""
    return f"msg_{outbox_id}"


def body_of(topic: str, at: datetime, data: Mapping[str, Any]) -> bytes:
    """The body of a call. `at` is when it happened, so a repeat has the same body."""
    moment = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    document = {"type": topic, "timestamp": moment, "data": data}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def signed_headers(secrets: Sequence[str], identity: str, now: datetime, body: bytes) -> dict[str, str]:
    """The three headers. With several secrets there is a signature by each, so that they can be changed in peace."""
    timestamp = str(int(now.timestamp()))
    signatures = [f"v1,{_sign(secret, identity, timestamp, body)}" for secret in secrets]
    return {"webhook-id": identity, "webhook-timestamp": timestamp, "webhook-signature": " ".join(signatures)}


def _sign(secret: str, identity: str, timestamp: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{identity}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
