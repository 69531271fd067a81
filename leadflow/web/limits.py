"""How often a caller may ask: so that a program gone wild takes nothing from the others.

Counted in each process by itself, per API key and per account; hooks per source, and only if a limit is configured.
"""

from __future__ import annotations

import time

from flask import Flask, Response, g, request
from flask_limiter import Limiter, RequestLimit

from leadflow.services.access import Caller
from leadflow.web.config import WebConfig
from leadflow.web.problems import Problem

API_PREFIX = "/api/v1/"
HOOK_PREFIX = "/hooks/"


def limit_requests(app: Flask, config: WebConfig) -> None:
    """Refuse what is too much with 429, and say in each answer of a limited route how much is left."""
    limiter = Limiter(
        _who,
        application_limits=[lambda: _limit_here(config) or ""],
        application_limits_exempt_when=lambda: _limit_here(config) is None,
        storage_uri="memory://",
        strategy="fixed-window",
        on_breach=_refuse,
    )
    limiter.init_app(app)

    @app.after_request
    def tell(response: Response) -> Response:
        if (limit := limiter.current_limit) is not None:
            response.headers.update(_headers(limit))
        return response


def _limit_here(config: WebConfig) -> str | None:
    """The limit of this route, such as `600 per minute`; None where there is none."""
    if request.path.startswith(API_PREFIX):
        return config.api_limit
    return config.hook_limit if request.path.startswith(HOOK_PREFIX) else None


def _who() -> str:
    """Whom a request is counted for; one limit does not use up another."""
    if request.path.startswith(HOOK_PREFIX):
        return request.path
    caller: Caller | None = g.get("caller")
    return f"{caller.kind}:{caller.id}" if caller else f"address:{request.remote_addr}"


def _refuse(limit: RequestLimit) -> Response:
    seconds = _seconds_to(limit)
    allowed = f"{limit.limit.amount:,} requests in {limit.limit.get_expiry():,} s"
    detail = f"That was too much at once: {allowed} are allowed here. Go on in {seconds} s."
    raise Problem(429, detail, headers={"Retry-After": str(seconds)})


def _headers(limit: RequestLimit) -> dict[str, str]:
    """As the IETF's draft of the RateLimit fields has them: what is allowed, what is left, when it starts anew."""
    return {
        "RateLimit-Policy": f"{limit.limit.amount};w={limit.limit.get_expiry()}",
        "RateLimit-Limit": str(limit.limit.amount),
        "RateLimit-Remaining": str(limit.remaining),
        "RateLimit-Reset": str(_seconds_to(limit)),
    }


def _seconds_to(limit: RequestLimit) -> int:
    return max(1, int(limit.reset_at - time.time()))
