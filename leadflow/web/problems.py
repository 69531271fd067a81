"""Errors as answers: RFC 9457 problems for programs, a page for people, and never a stack trace for either."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import psycopg
from flask import Flask, Response, current_app, request
from sqlalchemy import exc
from werkzeug.exceptions import HTTPException

from leadflow.errors import (
    Conflict,
    Fault,
    InvalidRequest,
    NotFound,
    ServiceUnavailable,
    StaleWrite,
    UnknownValue,
)

logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
PROGRAM_PATHS = ("/api/", "/hooks/", "/healthz", "/readyz", "/metrics")
RETRY_AFTER_SECONDS = 5
BUSY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.QueryCanceled,
)
ERROR_PAGE = "leadflow.error_page"


@dataclass(eq=False)
class Problem(Exception):
    """What went wrong, as RFC 9457 says it; `more` are further members, such as `existing_id`."""

    status: int
    detail: str | None = None
    title: str | None = None
    errors: Sequence[Fault] = ()
    more: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.detail or self.reason}"

    @property
    def reason(self) -> str:
        """The title, or the status's own phrase."""
        return self.title or HTTPStatus(self.status).phrase

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"type": "about:blank", "title": self.reason, "status": self.status}
        if self.detail:
            document["detail"] = self.detail
        if self.errors:
            document["errors"] = [{"location": one.location, "message": one.message} for one in self.errors]
        return {**document, **self.more}


def show_errors_with(app: Flask, show: Callable[[Problem], Response]) -> None:
    """Let `show` make the page that people see of a problem."""
    app.extensions[ERROR_PAGE] = show


def handle_errors(app: Flask) -> None:
    """Turn everything that is raised into an answer."""
    app.register_error_handler(Exception, lambda error: respond(problem_of(error)))


def respond(problem: Problem) -> Response:
    """The problem as JSON to programs, as a page to people."""
    is_program = request.path.startswith(PROGRAM_PATHS) or ERROR_PAGE not in current_app.extensions
    response = problem_response(problem) if is_program else current_app.extensions[ERROR_PAGE](problem)
    response.headers.update(problem.headers)
    return response


def problem_response(problem: Problem) -> Response:
    return Response(json.dumps(problem.to_json(), ensure_ascii=False), problem.status, content_type=PROBLEM_TYPE)


def problem_of(error: Exception) -> Problem:
    """The problem that an exception means to the caller; one that nobody foresaw is logged and says nothing."""
    match error:
        case Problem():
            return error
        case HTTPException():
            return _of_http(error)
        case InvalidRequest():
            return Problem(422, str(error), "The request cannot be taken", error.faults)
        case UnknownValue():
            return Problem(422, str(error), "Unknown value", [Fault("", str(error))])
        case NotFound():
            return Problem(404, str(error))
        case StaleWrite():
            return Problem(412, str(error) or "The record changed since it was read.")
        case Conflict():
            more = {} if error.existing_id is None else {"existing_id": error.existing_id}
            return Problem(409, str(error), more=more)
        case ServiceUnavailable():
            return _unavailable(str(error))
        case exc.SQLAlchemyError():
            return _of_database(error)
        case _:
            return _unforeseen(error)


def _of_http(error: HTTPException) -> Problem:
    status = error.code or 500
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After", "Content-Range")}
    if status == 413:
        return Problem(413, "The body is larger than 1 MiB.", headers=headers)
    return Problem(status, error.description, headers=headers)


def _of_database(error: exc.SQLAlchemyError) -> Problem:
    cause = getattr(error, "orig", None)
    code = getattr(cause, "sqlstate", None) or ""
    if code.startswith("LF"):
        return _of_guard(cause, code)
    if isinstance(cause, BUSY):
        return _unavailable("The record is being changed by others just now; try again.")
    if isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError):
        logger.warning("the database did not answer: %s", type(cause or error).__name__)
        return _unavailable("The database does not answer now.")
    if isinstance(cause, psycopg.errors.UniqueViolation):
        return Problem(409, "Another record already has this value.")
    if isinstance(cause, psycopg.errors.ForeignKeyViolation):
        return Problem(422, "The request names a record that does not exist.")
    if isinstance(cause, psycopg.DataError):
        return Problem(422, "A value cannot be stored.")
    return _unforeseen(error)


def _of_guard(cause: Any, code: str) -> Problem:
    """The database's guard refused: the words of its trigger, without their prefix."""
    reason = str(cause.diag.message_primary).removeprefix("leadflow guard: ")
    return Problem(403 if code == "LF005" else 409, reason[:1].upper() + reason[1:] + ".")


def _unavailable(detail: str) -> Problem:
    return Problem(503, detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def _unforeseen(error: Exception) -> Problem:
    route = request.url_rule.rule if request.url_rule else "no route"
    logger.error("%s %s failed", request.method, route, exc_info=error)
    return Problem(500, "Something went wrong here; it has been logged.")
