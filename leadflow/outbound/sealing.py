"""Secrets at rest: sealed with keys made from LEADFLOW_SECRET_KEY, each bound to the place where it is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PURPOSE = b"leadflow sealed secrets, format 1"
FORMAT = b"\x01"
MARK_BYTES, NONCE_BYTES = 4, 12


class UnreadableSeal(Exception):
    """None of the keys opens it; the message is a sentence."""


class Seals:
    """Seals and opens. The first key seals; the former ones still open what they sealed."""

    def __init__(self, secret_key: str, former_keys: Sequence[str] = ()) -> None:
        keys = [_derive(key) for key in (secret_key, *former_keys)]
        self._newest = _mark(keys[0])
        self._by_mark = {_mark(key): AESGCM(key) for key in reversed(keys)}

    def seal(self, secret: str, place: str) -> bytes:
        """The secret, readable only with the key and only at this place."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._by_mark[self._newest].encrypt(nonce, secret.encode(), place.encode())
        return FORMAT + self._newest + nonce + sealed

    def open(self, sealed: bytes, place: str) -> str:
        """The secret. Raises: UnreadableSeal."""
        mark, nonce, rest = _parts(sealed)
        key = self._by_mark.get(mark) if sealed[:1] == FORMAT else None
        if key is None:
            raise UnreadableSeal(
                "It was sealed with another LEADFLOW_SECRET_KEY; name that one in LEADFLOW_FORMER_SECRET_KEYS."
            )
        try:
            return key.decrypt(nonce, rest, place.encode()).decode()
        except InvalidTag:
            raise UnreadableSeal("What is stored of the secret was changed past leadflow; set it again.") from None

    def is_newest(self, sealed: bytes) -> bool:
        """Whether the present key sealed it, so that no former key is needed for it."""
        return sealed[:1] == FORMAT and _parts(sealed)[0] == self._newest


def _parts(sealed: bytes) -> tuple[bytes, bytes, bytes]:
    head = 1 + MARK_BYTES
    return sealed[1:head], sealed[head : head + NONCE_BYTES], sealed[head + NONCE_BYTES :]


def _derive(secret_key: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(secret_key.encode())


def _mark(key: bytes) -> bytes:
    """Tells keys apart without telling anything of them."""
    return hashlib.sha256(PURPOSE + key).digest()[:MARK_BYTES]
