"""What callers send, read strictly: every fault is named with its place and with what is allowed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, TypeVar

from flask import Response, current_app, request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from leadflow.domain.text import fault_of_text
from leadflow.errors import Fault, InvalidRequest, NotFound
from leadflow.web.problems import Problem

Model = TypeVar("Model", bound=BaseModel)

MAX_DEPTH = 32


def read_path(model: type[Model], values: dict[str, str]) -> Model:
    """The places in the address. Raises: NotFound for what cannot be the key of any record; Problem 405."""
    try:
        if any(fault_of_text(value) for value in values.values()):
            raise NotFound("There is no such record.")
        return model.model_validate(values)
    except ValidationError:
        _refuse_foreign_method()
        raise NotFound("There is no such record.") from None


def _refuse_foreign_method() -> None:
    """Raises: Problem 405 where the address is that of another route: `PATCH /companies/search` means no company."""
    if allowed := _methods_of_this_address():
        raise Problem(405, f"This address takes {allowed} only.", headers={"Allow": allowed})


def _methods_of_this_address() -> str:
    """The methods of the routes whose address is written exactly so; empty if there is none."""
    rules = [rule for rule in current_app.url_map.iter_rules() if rule.rule == request.path]
    return ", ".join(sorted({method for rule in rules for method in rule.methods or ()}))


def correct_allow(response: Response) -> Response:
    """Say of `/companies/search` only what it takes: `/companies/<id>` fits it too, and takes more."""
    if "Allow" in response.headers and (allowed := _methods_of_this_address()):
        response.headers["Allow"] = allowed
    return response


def read_query(model: type[Model]) -> Model:
    """The query's parameters. Raises: InvalidRequest for unknown, repeated or wrong ones."""
    faults = [
        Fault(name, "is given more than once") for name, values in request.args.lists() if len(values) > 1
    ] or list(_faults_of(request.args.to_dict(), ()))
    if faults:
        raise InvalidRequest(faults)
    return _validate(model, request.args.to_dict(), "parameter")


def refuse_query() -> None:
    """Raises: InvalidRequest if there is any query parameter, where none is known."""
    if request.args:
        raise InvalidRequest([Fault(name, "is not a parameter here; there are none") for name in request.args])


def read_body(model: type[Model]) -> Model:
    """The body's JSON object; where the model says so, none is needed. Raises: Problem 400, 415; InvalidRequest."""
    if getattr(model, "may_be_missing", False) and not request.get_data():
        return model()
    if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
        raise Problem(415, "Send JSON, with the header Content-Type: application/json.")
    document = parse_json(request.get_data())
    if not isinstance(document, dict):
        raise InvalidRequest("The body must be a JSON object.")
    if faults := list(_faults_of(document, ())):
        raise InvalidRequest(faults)
    return _validate(model, document, "key")


def parse_json(body: bytes) -> Any:
    """The document; numbers with a fraction are exact decimals. Raises: Problem 400 for anything but RFC 8259."""
    try:
        return json.loads(
            body.decode("utf-8"), parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_read_object
        )
    except RecursionError:
        raise Problem(400, "The body is nested too deeply.") from None
    except UnicodeDecodeError:
        raise Problem(400, "The body is not UTF-8.") from None
    except ValueError as error:
        raise Problem(400, f"The body is not JSON: {str(error)[:200]}.") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:100]!r} is there twice")
    return found


def _faults_of(value: Any, place: tuple[str, ...]) -> Iterator[Fault]:
    """Texts that the database cannot hold, and nesting beyond reason."""
    if len(place) > MAX_DEPTH:
        yield Fault(".".join(place[:3]), f"is nested more than {MAX_DEPTH} levels deep")
    elif isinstance(value, str):
        if fault := fault_of_text(value):
            yield Fault(".".join(place), fault)
    elif isinstance(value, dict):
        for name, part in value.items():
            if fault := fault_of_text(name):
                yield Fault(".".join(place), f"has a key that {fault}")
            else:
                yield from _faults_of(part, (*place, name))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _faults_of(part, (*place, str(number)))


def _validate(model: type[Model], values: dict[str, Any], noun: str) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = [_fault(model, detail, noun) for detail in error.errors(include_url=False, include_context=True)]
        raise InvalidRequest(faults) from None


def _fault(model: type[BaseModel], detail: ErrorDetails, noun: str) -> Fault:
    location = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        allowed = ", ".join(model.model_fields) or "none"
        return Fault(location[:200], f"is not a known {noun}; allowed: {allowed}")
    message = detail["msg"].removeprefix("Value error, ")
    return Fault(location[:200], message[:1].lower() + message[1:])
