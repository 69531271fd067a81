"""What a delivery is before anybody looks inside: is it genuine, is it new, to which lane does it belong."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from leadflow.domain.text import fault_of_text
from leadflow.sources.addresses import UnusableAddress, read_address
from leadflow.sources.mapping import raw_fields, value_at
from leadflow.sources.model import Source
from leadflow.sources.payloads import UnreadablePayload, read_payload

MAX_DELIVERY_ID_LENGTH = 200

# A body that comes again within this window, from a source that sends no ids, is the same delivery.
REPEAT_WINDOW = timedelta(minutes=10)


class NotGenuine(Exception):
    """The delivery does not prove that it comes from its source; the message says what is missing."""


def verify(source: Source, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Check the signature over the raw bytes. `headers` have lower-case names.

    Raises: NotGenuine.
    Source: Standard Webhooks 1.0, `webhook-id.webhook-timestamp.body` under HMAC-SHA256.
    """
    if source.verification.kind == "none":
        return
    if not source.verification.secrets:
        raise NotGenuine("No secret is set for this source, so nothing can be verified.")
    delivery_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not delivery_id or not timestamp or not headers.get("webhook-signature"):
        raise NotGenuine("The headers webhook-id, webhook-timestamp and webhook-signature are required.")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise NotGenuine("webhook-timestamp is not a time in seconds.")
    if abs(now.timestamp() - int(timestamp)) > source.verification.tolerance_seconds:
        raise NotGenuine("webhook-timestamp is too old or in the future.")
    signed = f"{delivery_id}.{timestamp}.".encode("utf-8", "surrogateescape") + body
    given = [part.removeprefix("v1,") for part in headers["webhook-signature"].split() if part.startswith("v1,")]
    if not any(_signs(secret, signed, signature) for secret in source.verification.secrets for signature in given):
        raise NotGenuine("The signature does not match.")


def _signs(secret: str, signed: bytes, signature: str) -> bool:
    expected = hmac.new(signing_key(secret), signed, hashlib.sha256).digest()
    try:
        return hmac.compare_digest(expected, base64.b64decode(signature.encode("ascii", "replace"), validate=True))
    except (binascii.Error, ValueError):
        return False


def signing_key(secret: str) -> bytes:
    """The key bytes of a secret: `whsec_` and base64 as Standard Webhooks writes them.

    Raises: ValueError if it is not base64.
    """
    return base64.b64decode(secret.removeprefix("whsec_"), validate=True)


def peek(source: Source, content_type: str | None, body: bytes) -> Mapping[str, Any] | None:
    """The document if it can be read; None for the bodies that will be held."""
    try:
        return read_payload(content_type, body)
    except UnreadablePayload:
        return None


def find_delivery_id(source: Source, headers: Mapping[str, str], document: Mapping[str, Any] | None) -> str | None:
    """The id the sender gave: a header, else the body path set for the source; None if there is none."""
    candidates: list[Any] = [headers.get(name) for name in source.delivery_id_headers]
    if source.delivery_id_path and document is not None:
        candidates.append(value_at(document, source.delivery_id_path))
    for candidate in candidates:
        if isinstance(candidate, str | int) and not isinstance(candidate, bool) and str(candidate).strip():
            return _storable(str(candidate).strip())
    return None


def _storable(delivery_id: str) -> str:
    if len(delivery_id) <= MAX_DELIVERY_ID_LENGTH and fault_of_text(delivery_id) is None:
        return delivery_id
    return "sha256:" + hashlib.sha256(delivery_id.encode("utf-8", "surrogatepass")).hexdigest()


def computed_delivery_id(body_sha256: bytes, received_at: datetime) -> str:
    """The id of a delivery whose sender gives none: the body's hash and the window it came in."""
    window = int(received_at.timestamp() // REPEAT_WINDOW.total_seconds())
    return f"body:{body_sha256.hex()}:{window}"


def find_sender(source: Source, document: Mapping[str, Any] | None) -> tuple[str, str | None] | None:
    """The sender's e-mail address and company domain, as far as a glance tells; None for what will be held."""
    if document is None:
        return None
    text = raw_fields(source, document).get("email")
    if not isinstance(text, str):
        return None
    try:
        address = read_address(text)
    except UnusableAddress:
        return None
    return address.email, address.company_domain
