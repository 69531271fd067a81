"""Who may use which route: every route carries a mark, and the guard in front of all routes reads it.

A program sends `Authorization: Bearer <key>`; a browser has a session cookie. A route without a mark is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from flask import Blueprint, Flask, Response, current_app, g, request
from flask_wtf.csrf import CSRFProtect, validate_csrf
from wtforms import ValidationError

from leadflow.services.access import Caller, Role, find_key, find_session
from leadflow.web.config import WebConfig, web_config
from leadflow.web.problems import Problem

MARK = "leadflow_mark"
SIGN_IN_PATH = "/sign-in"
CSRF_HEADER = "X-CSRFToken"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Mark:
    """What a route asks for: at least this role, or nothing, and why."""

    role: Role | None
    why_public: str = ""


def requires(role: str) -> Callable[[View], View]:
    """Mark a view: callers need at least this role."""
    return lambda view: _mark(view, Mark(Role(role)))


def public(why: str) -> Callable[[View], View]:
    """Mark a view as open to everybody, and say why that is right."""
    return lambda view: _mark(view, Mark(None, why))


def _mark(view: View, mark: Mark) -> View:
    setattr(view, MARK, mark)
    return view


def mark_of(app: Flask, endpoint: str) -> Mark | None:
    """The mark of a route; None if somebody forgot it."""
    if endpoint.rpartition(".")[2] == "static":
        return Mark(None, "styles, scripts and icons")
    mark = getattr(app.view_functions.get(endpoint), MARK, None)
    return mark if isinstance(mark, Mark) else None


def guard_routes(app: Flask, config: WebConfig) -> None:
    """Let nobody reach a view without what its mark asks for."""
    prefix = "__Host-" if config.has_secure_cookies else ""
    app.config.update(
        SECRET_KEY=config.secret_key,
        SESSION_COOKIE_NAME=f"{prefix}leadflow-form",
        SESSION_COOKIE_SECURE=config.has_secure_cookies,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,  # the Origin check below does that, also behind a proxy
    )
    CSRFProtect(app)
    app.before_request(_admit)


def _admit() -> Response | None:
    g.caller = None
    if request.endpoint is None:
        return None
    mark = mark_of(current_app, request.endpoint)
    if mark is None:
        raise Problem(403, "This route has no mark that says who may use it.")
    if mark.role is None:
        return None
    caller = identify()
    if caller is None:
        return _sign_in_first()
    if not caller.role.covers(mark.role):
        raise Problem(403, f"This needs the role {mark.role.value}; {caller.name} is {caller.role.value}.")
    g.caller = caller
    return None


def current_caller() -> Caller:
    """Who makes this request; only on routes that ask for a role."""
    caller: Caller = g.caller
    return caller


def identify() -> Caller | None:
    """The caller by key or by session. A key that is wrong is not made good by a cookie."""
    authorization = request.headers.get("Authorization")
    is_api = request.path.startswith("/api/")
    config = web_config()
    if authorization is not None and is_api:
        scheme, _, key = authorization.partition(" ")
        if scheme.casefold() != "bearer" or not key.strip():
            return None
        with config.engine.begin() as connection:
            return find_key(connection, key.strip(), config.clock())
    token = request.cookies.get(session_cookie_name(config))
    if not token:
        return None
    with config.engine.begin() as connection:
        caller = find_session(connection, token, config.clock())
    if caller is not None and is_api and request.method not in SAFE_METHODS:
        check_form_token(request.headers.get(CSRF_HEADER))
    return caller


def _sign_in_first() -> Response:
    """Tell a program to send a key, a browser to sign in."""
    if request.path.startswith("/api/"):
        detail = "Send an API key as Authorization: Bearer <key>; this one is missing, unknown, expired or revoked."
        raise Problem(401, detail, headers={"WWW-Authenticate": 'Bearer realm="leadflow"'})
    return to_sign_in()


def to_sign_in() -> Response:
    """Lead a browser to the sign-in page, and back here afterwards."""
    back = request.full_path.rstrip("?") if request.method == "GET" else "/"
    target = f"{SIGN_IN_PATH}?next={quote(back, safe='')}"
    if request.headers.get("HX-Request"):
        return Response("", 401, {"HX-Redirect": target})
    return Response("", 303, {"Location": target})


# Browsers -------------------------------------------------------------------------------------------------------------


def protect_forms(blueprint: Blueprint) -> None:
    """Ask for the CSRF token and the right Origin wherever a page of the blueprint writes."""

    @blueprint.before_request
    def check() -> None:
        if request.method not in SAFE_METHODS:
            check_form_token(request.headers.get(CSRF_HEADER) or request.form.get("csrf_token"))


def check_form_token(token: str | None) -> None:
    """Raises: Problem 403 unless the request comes from one of our own pages."""
    if not is_same_origin():
        raise Problem(403, "The request comes from another site.")
    try:
        validate_csrf(token)
    except ValidationError:
        raise Problem(403, "The page is too old. Load it again and repeat.") from None


def is_same_origin() -> bool:
    """Whether the browser says that one of our own pages sent this; a program that says nothing is not a browser."""
    origin = request.headers.get("Origin")
    if origin is not None:
        return urlsplit(origin).netloc == request.host
    return request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")


def session_cookie_name(config: WebConfig) -> str:
    """`__Host-` binds the cookie to this host and to HTTPS; plain HTTP on loopback cannot have it."""
    return "__Host-leadflow" if config.has_secure_cookies else "leadflow"


def give_session(response: Response, token: str) -> None:
    """Let the browser keep the session's token until the browser closes or the session ends."""
    config = web_config()
    response.set_cookie(
        session_cookie_name(config),
        token,
        path="/",
        secure=config.has_secure_cookies,
        httponly=True,
        samesite="Lax",
    )


def current_session_token() -> str | None:
    """The token of the browser's session, for signing out."""
    return request.cookies.get(session_cookie_name(web_config()))


def take_session(response: Response) -> None:
    """Let the browser forget its session."""
    config = web_config()
    response.delete_cookie(session_cookie_name(config), path="/", secure=config.has_secure_cookies, httponly=True)


def user_agent() -> str | None:
    """What the browser says it is; its owner knows a session by it."""
    return request.headers.get("User-Agent")


def remote_address() -> str:
    """The network address that sign-in failures are counted for."""
    return request.remote_addr or "unknown"
