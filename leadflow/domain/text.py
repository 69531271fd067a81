"""How text enters: NFC, white space collapsed, empty is nothing; and how text compares."""

from __future__ import annotations

import unicodedata


def clean_text(text: str) -> str | None:
    """`text` stripped, in NFC, with runs of white space made one blank; None when nothing is left."""
    return " ".join(unicodedata.normalize("NFC", text).split()) or None


def fold(text: str) -> str:
    """The form in which two texts compare: case-folded, NFC. Stored beside the text, so SQL compares the same."""
    return unicodedata.normalize("NFC", text.casefold())


def fault_of_text(text: str) -> str | None:
    """Why the database cannot hold `text` (a NUL character, a lone surrogate); None when it can."""
    if "\x00" in text:
        return "contains a NUL character"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "contains a lone surrogate, which is no character"
    return None
