"""The host of an e-mail address or URL."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# A host that conditions may name: a dot inside, no white space.
NAMEABLE_HOST = re.compile(r"[^\s@/:]+\.[^\s@/:.]+")


def host_of(text: str) -> str | None:
    """The whole host of a case-folded e-mail address or URL, without port; None when there is none.

    A URL may come without its scheme: `example.com/pricing`.
    """
    if "@" in text and "/" not in text:
        host: str | None = text.rpartition("@")[2]
    else:
        host = _host_of_url(text)
    return host.rstrip(".") or None if host else None


def _host_of_url(text: str) -> str | None:
    try:
        return urlsplit(text if "//" in text else f"//{text}").hostname
    except ValueError:  # such as "http://[::1": no host that anybody could name
        return None
