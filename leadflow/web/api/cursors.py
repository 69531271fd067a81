"""Cursors: where a list goes on, opaque to callers."""

from __future__ import annotations

import base64
import binascii

from leadflow.web.problems import Problem

MAX_KEY = 2**63 - 1


def write_cursor(key: int | None) -> str | None:
    """The cursor that stands behind the record with this key; None at the end."""
    return None if key is None else base64.urlsafe_b64encode(f"after:{key}".encode()).decode().rstrip("=")


def read_cursor(cursor: str | None) -> int | None:
    """The reverse. Raises: Problem 400 for anything that `write_cursor` did not write."""
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        prefix, _, digits = text.partition(":")
        key = int(digits) if prefix == "after" and digits.isdigit() and len(digits) <= 19 else -1
    except (binascii.Error, ValueError):
        key = -1
    if not 0 <= key <= MAX_KEY or write_cursor(key) != cursor:
        raise Problem(400, "The cursor is not one that this API gave; begin the list without it.")
    return key
