"""POST /hooks/{source}: take a delivery. 200 means it is stored durably, and will have its effect exactly once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, cast

from flask import Blueprint, Flask, Response, request
from flask.blueprints import BlueprintSetupState

from leadflow.errors import ServiceUnavailable
from leadflow.services.inbox import prepare_arrival, require_open_door
from leadflow.sources.deliveries import NotGenuine, verify
from leadflow.sources.model import Source
from leadflow.store.inbox import Arrival, Receipt
from leadflow.web.auth import public
from leadflow.web.config import WebConfig
from leadflow.web.group_commit import GroupCommit
from leadflow.web.health import COUNT
from leadflow.web.problems import Problem
from leadflow.web.source_watch import SourceWatch

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PREFIX = "/hooks/"
ROUTE = f"{PREFIX}<source>"
MAX_BODY_BYTES = 1024 * 1024

# Under this name a fault of the lane travels to the view, which raises it: all errors are answered in one place.
FAULT = "leadflow.fault"

ANSWER_HEADERS = [
    ("Content-Type", "application/json"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
]


def make_blueprint(config: WebConfig) -> Blueprint:
    """The hooks of all sources of the configuration."""
    blueprint = Blueprint("hooks", __name__)
    inbox = GroupCommit(config.engine, config.ring)
    watch = SourceWatch(config.engine, config.desk.book)

    @blueprint.record_once
    def lay_lane(state: BlueprintSetupState) -> None:
        app = cast(Flask, state.app)
        app.wsgi_app = Lane(config, watch, inbox, app.wsgi_app, app.extensions[COUNT])  # type: ignore[method-assign]

    @blueprint.post(ROUTE)
    @public("senders prove themselves by their source's signature")
    def receive(source: str) -> Response:
        if fault := request.environ.get(FAULT):
            raise fault
        # What the lane refused is refused by what holds now, not by what was known a moment ago.
        known = _require_source(config, source, watch.find_now(source))
        body = request.get_data(cache=False)
        headers = {name.lower(): value for name, value in request.headers}
        try:
            arrival = _take(config, known, headers, request.content_type, body)
        except NotGenuine as reason:
            raise Problem(401, str(reason)) from None
        return Response(_answer(inbox.store(arrival)), 200, content_type="application/json")

    return blueprint


class Lane:
    """Answers good deliveries in front of Flask, whose context, session and guards cost more than storing one does.

    Everything that does not end in 200 goes on to Flask as it came, and is answered there.
    """

    def __init__(
        self,
        config: WebConfig,
        watch: SourceWatch,
        inbox: GroupCommit,
        flask: WSGIApplication,
        count: Callable[..., None],
    ) -> None:
        self._config = config
        self._watch = watch
        self._inbox = inbox
        self._flask = flask
        self._count = count

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        begun_at = time.perf_counter()
        arrival = self._take(environ)
        if arrival is None:
            return self._flask(environ, start_response)
        try:
            body = _answer(self._inbox.store(arrival)).encode()
        except Exception as fault:  # noqa: BLE001 - the view raises it
            environ[FAULT] = fault
            return self._flask(environ, start_response)
        self._count("POST", ROUTE, 200, time.perf_counter() - begun_at)
        start_response("200 OK", [*ANSWER_HEADERS, ("Content-Length", str(len(body)))])
        return [body]

    def _take(self, environ: WSGIEnvironment) -> Arrival | None:
        """The delivery, if it is one, of a known source, of a known and allowed length, and genuine."""
        if self._config.hook_limit is not None:
            return None  # Flask counts
        path, length = environ["PATH_INFO"], environ.get("CONTENT_LENGTH") or ""
        if not (environ["REQUEST_METHOD"] == "POST" and path.startswith(PREFIX) and length.isdecimal()):
            return None
        if int(length) > MAX_BODY_BYTES:
            return None
        try:
            name = path.removeprefix(PREFIX)
            source = _require_source(self._config, name, self._watch.find(name))
            body = environ["wsgi.input"].read(int(length))
            environ["wsgi.input"] = BytesIO(body)
            if len(body) == int(length):
                return _take(self._config, source, _headers_of(environ), environ.get("CONTENT_TYPE") or None, body)
        except (Problem, NotGenuine, ServiceUnavailable):
            pass
        return None


def _headers_of(environ: WSGIEnvironment) -> dict[str, str]:
    """The headers with lower-case names."""
    return {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}


def _take(
    config: WebConfig, source: Source, headers: Mapping[str, str], content_type: str | None, body: bytes
) -> Arrival:
    """Raises: NotGenuine."""
    now = config.clock()
    verify(source, headers, body, now)
    return prepare_arrival(source, headers, content_type, body, now)


def _require_source(config: WebConfig, name: str, source: Source | None) -> Source:
    """Raises: Problem 404 without a source, 401 if it may not be heard here."""
    if source is None:
        raise Problem(404, f"There is no source '{name}'.")
    try:
        require_open_door(source, config.is_loopback or config.allows_unverified_sources)
    except NotGenuine as reason:
        raise Problem(401, str(reason)) from None
    return source


def _answer(receipt: Receipt) -> str:
    return json.dumps({"event_id": receipt.event_id, "duplicate": receipt.is_duplicate})
