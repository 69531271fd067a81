"""What the web application needs from its door: values only, settings were read before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from flask import current_app
from sqlalchemy import Engine

from leadflow.outbound.sealing import Seals
from leadflow.services.outbound_endpoints import Outside
from leadflow.services.processing import Desk
from leadflow.services.searches import SearchDesk
from leadflow.services.source_book import as_book
from leadflow.services.sweeps import Workbench
from leadflow.settings import InForce
from leadflow.sources.model import Source

EXTENSION = "leadflow"


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class WebConfig:
    """`ring` tells the workers that there is work and never blocks; `broker_state` says "up" or what is wrong.

    `is_loopback`: the server listens on this machine only. Then cookies also travel over plain HTTP, and sources
    without verification are accepted; elsewhere only with `allows_unverified_sources`.
    `outside`: where endpoints may be, and the keys of their secrets.
    `searches`: what searches keep between requests; `sweeps` the same for those that people start.
    `sources`: those of the files; `desk` keeps them with what people made of them, and what rehearsals need.
    `trusted_proxies`: how many proxies in front of us set X-Forwarded-*.
    `in_force`: the settings as the system page shows them.
    `api_limit`, `hook_limit`: such as `600 per minute`; None: as often as they like.
    """

    engine: Engine
    secret_key: str
    ring: Callable[[], None] = lambda: None
    sources: Mapping[str, Source] = field(default_factory=dict)
    is_loopback: bool = True
    allows_unverified_sources: bool = False
    trusted_proxies: int = 0
    in_force: Sequence[InForce] = ()
    api_limit: str | None = None
    hook_limit: str | None = None
    broker_state: Callable[[], str] = lambda: "unknown"
    clock: Callable[[], datetime] = utc_now
    outside: Outside | None = None
    searches: SearchDesk = field(default_factory=SearchDesk)
    sweeps: Workbench = field(default_factory=lambda: Workbench(Desk({})))
    desk: Desk = field(init=False)

    def __post_init__(self) -> None:
        seals = self.outside.seals if self.outside else Seals(self.secret_key)
        object.__setattr__(self, "desk", Desk(as_book(self.sources, seals)))

    @property
    def has_secure_cookies(self) -> bool:
        return not self.is_loopback


def web_outside() -> Outside:
    """Which addresses may be called, and the keys of endpoints' secrets; if not given, the application's own key."""
    config = web_config()
    return config.outside or Outside(Seals(config.secret_key))


def web_config() -> WebConfig:
    """The configuration of the application that serves this request."""
    return cast(WebConfig, current_app.extensions[EXTENSION])
