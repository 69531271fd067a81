"""How an endpoint works: role, reading, one transaction, one answer. The modules beside this one only say what.

A handler takes a `Call` and, as its parameters are named, `path`, `query` and `body`; their models are its
annotations, and so is what the OpenAPI document says.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, wraps
from typing import Any, Literal, get_type_hints

from flask import Response, request
from flask_openapi.blueprint import APIBlueprint
from pydantic import TypeAdapter
from sqlalchemy import Connection

from leadflow.errors import Fault, InvalidRequest
from leadflow.services.access import Caller
from leadflow.services.idempotency import FirstAnswer, claim, remember
from leadflow.store.reads import Page
from leadflow.web.api.cursors import read_cursor, write_cursor
from leadflow.web.api.models import WholeListQuery
from leadflow.web.api.requests import correct_allow, read_body, read_path, read_query, refuse_query
from leadflow.web.auth import current_caller, requires
from leadflow.web.config import web_config
from leadflow.web.problems import Problem

api = APIBlueprint("api", __name__, url_prefix="/api/v1", abp_security=[{"api_key": []}])
api.after_app_request(correct_allow)

Handler = Callable[..., Any]
Mode = Literal["get", "post", "put", "patch", "delete"]

IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Call:
    """One request inside its transaction."""

    connection: Connection
    caller: Caller
    now: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """A view with more than 200 to say. `once`: secrets, which are in no repetition of the answer.

    `etag` is that of a view which has no revision of its own.
    """

    view: object
    status: int = 200
    location: str | None = None
    more: dict[str, object] = field(default_factory=dict)
    once: dict[str, object] = field(default_factory=dict)
    etag: str | None = None

    def without_secrets(self) -> Answer:
        """What may be kept of the answer."""
        return replace(self, more={**self.more, **dict.fromkeys(self.once)}, once={})


@dataclass(frozen=True, slots=True)
class Described:
    """What the OpenAPI document says of an endpoint's answer."""

    view: Any
    status: int
    is_page: bool
    is_list: bool
    more: dict[str, Any]


# By (method, path as Flask writes it); the document is made from it.
described: dict[tuple[str, str], Described] = {}


def endpoint(
    mode: Mode,
    path: str,
    *,
    role: str,
    tag: str,
    view: Any,
    status: int = 200,
    is_page: bool = False,
    is_list: bool = False,
    more: dict[str, Any] | None = None,
    rings: bool = False,
) -> Callable[[Handler], Handler]:
    """Make the handler an endpoint that answers with `view`: one of them, a page of them, or the whole list.

    `more` are members that the answer has beside the view's. `rings`: an event may have been stored, so the
    workers are told after the commit.
    """

    def register(handler: Handler) -> Handler:
        described[mode, path] = Described(view, status, is_page, is_list, more or {})
        handler = _in_pages(handler) if is_list else handler
        name, (summary, _, description) = handler.__name__, (inspect.getdoc(handler) or "").partition("\n")
        texts = {"operation_id": name, "summary": summary.rstrip("."), "description": description.strip() or None}
        view_of_handler = requires(role)(_as_view(handler, rings))
        getattr(api, mode)(path, endpoint=name, tags=[{"name": tag}], **texts)(view_of_handler)
        return handler

    return register


def _in_pages(handler: Handler) -> Handler:
    """The handler of a whole list, which may be asked for page by page like any list."""
    hints = get_type_hints(handler)
    wants_query = "query" in hints

    @wraps(handler)
    def paged(call: Call, query: WholeListQuery, **parts: Any) -> Page[Any]:
        return _page_of(handler(call, **parts, **({"query": query} if wants_query else {})), query)

    assert issubclass(hints.get("query", WholeListQuery), WholeListQuery), handler
    own = inspect.signature(handler).parameters.values()
    parameters = [one.replace(annotation=hints[one.name]) for one in own]
    if not wants_query:
        hints["query"] = WholeListQuery
        parameters.append(inspect.Parameter("query", inspect.Parameter.KEYWORD_ONLY, annotation=WholeListQuery))
    paged.__annotations__ = hints
    paged.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return paged


def _page_of(items: list[Any], query: WholeListQuery) -> Page[Any]:
    start = read_cursor(query.cursor) or 0
    end = len(items) if query.limit is None else start + query.limit
    return Page(items[start:end], end if end < len(items) else None)


def _as_view(handler: Handler, rings: bool) -> Handler:
    hints: dict[str, Any] = {}

    @wraps(handler)
    def view(**places: str) -> Response:
        if not hints:
            hints.update(get_type_hints(handler))
        parts = _read_parts(hints, places)
        config = web_config()
        with config.engine.begin() as connection:
            call = Call(connection, current_caller(), config.clock())
            response = _answer_once(call, lambda: handler(call, **parts))
        if rings:
            config.ring()
        if request.method == "GET":
            response.make_conditional(request)
        return response

    view.__delay_validate_request__ = True  # type: ignore[attr-defined]  # read below, with our own messages
    return view


def _read_parts(hints: dict[str, Any], places: dict[str, str]) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    if "path" in hints:
        parts["path"] = read_path(hints["path"], places)
    if "query" in hints:
        parts["query"] = read_query(hints["query"])
    else:
        refuse_query()
    if "body" in hints:
        parts["body"] = read_body(hints["body"])
    return parts


def _answer_once(call: Call, handle: Callable[[], Any]) -> Response:
    """The handler's answer; a repeated POST gets its first answer."""
    key = request.headers.get("Idempotency-Key")
    if key is None or request.method != "POST":
        return _render(handle())
    if not IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidRequest([Fault("Idempotency-Key", "must be 1 to 255 visible ASCII characters")])
    owner = f"{call.caller.kind}:{call.caller.id}"
    first = claim(call.connection, owner, key, _fingerprint(), call.now)
    if first is not None:
        replayed = {**first.headers, "Idempotency-Replayed": "true"}
        return Response(first.text, first.status, replayed, content_type="application/json")
    answer = handle()
    kept = _render(answer.without_secrets() if isinstance(answer, Answer) else answer)
    headers = {name: kept.headers[name] for name in ("ETag", "Location") if name in kept.headers}
    remember(call.connection, owner, key, FirstAnswer(kept.status_code, kept.get_data(as_text=True), headers))
    return _render(answer)


def _fingerprint() -> bytes:
    parts = (request.method, request.full_path, hashlib.sha256(request.get_data()).hexdigest())
    return hashlib.sha256("\n".join(parts).encode()).digest()


def _render(answered: Any) -> Response:
    answer = answered if isinstance(answered, Answer) else Answer(answered)
    body = to_json(answer.view, answer.more | answer.once)
    response = Response(body, answer.status, content_type="application/json")
    if answer.location:
        response.headers["Location"] = answer.location
    if answer.etag is not None:
        response.set_etag(answer.etag)
    elif any(hasattr(answer.view, name) for name in ("id", "key", "revision")):
        response.set_etag(etag_of(answer.view))
    return response


def to_json(view: object, more: dict[str, object] | None = None) -> bytes:
    """A view, a page of views or a list of views as JSON."""
    if isinstance(view, Page):
        items = b",".join(_dump(item) for item in view.items)
        return b'{"items":[' + items + b'],"next":' + _dump(write_cursor(view.next_key)) + b"}"
    if isinstance(view, list):
        return b'{"items":[' + b",".join(_dump(item) for item in view) + b'],"next":null}'
    body = _dump(view)
    return body[:-1] + b"," + _dump(more)[1:] if more else body


def _dump(value: object) -> bytes:
    kind: Any = type(value)  # as Any: mypy holds `type` for unhashable in some orders
    return _adapter(kind).dump_json(value)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def etag_of(view: object) -> str:
    """Changes with everything that a reader of the record sees."""
    return f"{getattr(view, 'revision', 0)}-{hashlib.sha256(_dump(view)).hexdigest()[:16]}"


def expected_revision(view: Any) -> int | None:
    """The revision that the caller's If-Match asks for; None without one. Raises: Problem 412 if it has passed."""
    if "If-Match" not in request.headers or request.if_match.star_tag:
        return None
    if not request.if_match.contains(etag_of(view)):
        raise Problem(412, "The record changed since it was read; read it again and repeat.")
    revision: int = view.revision
    return revision


def created(path: str, view: Any, more: dict[str, object] | None = None) -> Answer:
    """201 with the new record and where it is."""
    key = getattr(view, "id", None) or view.key
    return Answer(view, 201, f"{api.url_prefix}{path}/{key}", more or {})
