"""Notifications through Apprise: e-mail and chat channels, by services and parameters that can do no harm."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import apprise

from leadflow.outbound.addresses import AddressPolicy
from leadflow.outbound.deliveries import DELIVERED, Attempt, away, refused
from leadflow.outbound.watching import watching

MAX_URL_LENGTH = 2_000
MAX_TEXT_LENGTH = 10_000

# By service the parameters that only say to whom and how it looks. All others are refused: some of Apprise's read
# files of this machine (templates, keys, attachments) or turn the check of certificates off.
_MAIL = frozenset(["from", "to", "cc", "bcc", "reply", "name", "user", "pass", "smtp", "mode", "format"])
SERVICES: Mapping[str, frozenset[str]] = {
    "mailto": _MAIL,
    "mailtos": _MAIL,
    "slack": frozenset(["to", "footer", "blocks", "timestamp", "mode", "image"]),
    "discord": frozenset(["thread", "footer", "avatar", "tts", "image"]),
    "workflows": frozenset(["id", "sig", "ver", "pa", "image", "wrap"]),
    "gchat": frozenset(["workspace", "key", "token", "thread"]),
    "tgram": frozenset(["to", "topic", "thread", "silent", "preview", "image"]),
    "ntfy": frozenset(["to", "priority", "tags", "mode", "click", "email"]),
    "ntfys": frozenset(["to", "priority", "tags", "mode", "click", "email"]),
    "mmost": frozenset(["channel", "channels", "to", "team", "botname", "mode", "image"]),
    "mmosts": frozenset(["channel", "channels", "to", "team", "botname", "mode", "image"]),
}

# These speak plain HTTP; the twin with an s at its end is encrypted.
PLAIN = frozenset({"ntfy", "mmost"})

# By these, chat services ring everybody's phone. A visitor could write them into a form.
LOUD = re.compile(r"@(?=(?:everyone|here|channel|all)\b)|<(?=[!@])", re.IGNORECASE)
ZERO_WIDTH_SPACE = "\u200b"

LOGGER = "apprise"

_ASSET = apprise.AppriseAsset(
    app_id="leadflow",
    app_desc="leadflow",
    app_url="",
    async_mode=False,
    http_redirects=False,
    allow_templates=False,
    storage_mode=apprise.PersistentStoreMode.MEMORY,
)


def service_of(url: str) -> str:
    """`mailtos` of `mailtos://…`."""
    return url.partition("://")[0].casefold()


def fault_of_channel(url: str, policy: AddressPolicy) -> str | None:
    """What is wrong with the address of a channel; None if it can be used. Nothing is looked up or connected."""
    service = service_of(url)
    if "://" not in url or service not in SERVICES:
        return f"must begin with one of {', '.join(f'{name}://' for name in sorted(SERVICES))}"
    if service in PLAIN and not policy.allows_http:
        return f"must begin with {service}s:// (plain HTTP only with LEADFLOW_OUTBOUND_ALLOW_HTTP)"
    if len(url) > MAX_URL_LENGTH or not url.isprintable():
        return f"must have at most {MAX_URL_LENGTH} printable characters"
    try:
        names = [name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)]
    except ValueError:
        return "is not a URL"
    if strange := sorted({name for name in names if name.casefold() not in SERVICES[service]}):
        return f"has the parameter {strange[0]!r}; allowed for {service}: {', '.join(sorted(SERVICES[service]))}"
    return None if _open(url) is not None else "is not complete; see Apprise's page on the service"


def _open(url: str) -> apprise.NotifyBase | None:
    """Apprise's own reading of the address."""
    with watching(AddressPolicy(), LOGGER):
        return apprise.Apprise.instantiate(url, asset=_ASSET)


@dataclass(frozen=True)
class Notifier:
    """Sends texts to channels, never to an address that `policy` forbids."""

    policy: AddressPolicy = field(default_factory=AddressPolicy)

    def notify(self, url: str, payload: Mapping[str, Any]) -> Attempt:
        """Send the text of a message to the channel; what became of it."""
        if fault := fault_of_channel(url, self.policy):
            return refused(f"The channel's address {fault}.")
        service = _open(url)
        _leave_out_proxies()
        with watching(self.policy, LOGGER) as watch:
            is_delivered = service is not None and service.notify(
                body=quieted(str(payload.get("text", "")))[:MAX_TEXT_LENGTH],
                title=quieted(title_of(payload)),
                body_format=apprise.NotifyFormat.TEXT,
            )
        if watch.refusals:
            return refused(watch.refusals[0])
        said = f": {watch.said[-1][:200].rstrip('.')}" if watch.said else ""
        return DELIVERED if is_delivered else away(f"The channel did not take it{said}.")


def title_of(payload: Mapping[str, Any]) -> str:
    """The subject: the company and the rule, in one line."""
    company = payload.get("company") or {}
    parts = [company.get("name") if isinstance(company, Mapping) else None, payload.get("rule")]
    return " · ".join(" ".join(str(part).split()) for part in parts if part)[:200] or "leadflow"


def quieted(text: str) -> str:
    """The text, in which nothing calls a whole channel; what a reader sees is the same."""
    return LOUD.sub(lambda found: found[0] + ZERO_WIDTH_SPACE, text)


def _leave_out_proxies() -> None:
    """Apprise's HTTP library would send through a proxy of the environment, past the test of the address."""
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"
