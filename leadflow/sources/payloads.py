"""From the raw bytes of a delivery to a document: JSON, urlencoded or multipart. Hostile bytes give a reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from email.message import Message
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.exceptions import HTTPException
from werkzeug.formparser import parse_form_data

from leadflow.domain.text import fault_of_text

MAX_DEPTH = 64
MAX_FIELDS = 1_000


class UnreadablePayload(ValueError):
    """The body cannot be read; the message says why, for the people who look at held events."""


def read_payload(content_type: str | None, body: bytes) -> dict[str, Any]:
    """The body as a document. Repeated form fields become a list.

    Raises: UnreadablePayload for bytes that are no such document, or hold text that no database can keep.
    """
    media_type = _media_type(content_type)
    if not body.strip():
        raise UnreadablePayload("The body is empty.")
    if media_type == "application/x-www-form-urlencoded":
        document = _read_urlencoded(body)
    elif media_type == "multipart/form-data":
        document = _read_multipart(content_type or "", body)
    else:
        document = _read_json(body)
    _refuse_bad_text(document)
    return document


def _media_type(content_type: str | None) -> str:
    message = Message()
    message["content-type"] = (content_type or "application/json").replace("\n", " ").replace("\r", " ")
    return message.get_content_type()


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise UnreadablePayload(f"The body is not UTF-8 text: byte {error.start} cannot be read.") from None
    except RecursionError:
        raise UnreadablePayload("The JSON is nested too deeply.") from None
    except json.JSONDecodeError as error:
        what = error.msg.lower().removesuffix(" at")
        where = f"line {error.lineno}, column {error.colno}"
        raise UnreadablePayload(f"The body is not JSON: {what} at {where}.") from None
    except UnreadablePayload:
        raise
    except ValueError:
        raise UnreadablePayload("The JSON holds a number with too many digits.") from None
    if not isinstance(document, dict):
        raise UnreadablePayload("The JSON is not an object with named fields.")
    return document


def _refuse_constant(name: str) -> None:
    raise UnreadablePayload(f"The JSON holds {name}, which is no number.")


def _read_urlencoded(body: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS, encoding="utf-8", errors="strict"
        )
    except UnicodeDecodeError:
        raise UnreadablePayload("The form data is not UTF-8 text.") from None
    except ValueError:
        raise UnreadablePayload(f"The form has more than {MAX_FIELDS:,} fields.") from None
    return _collect(pairs)


def _read_multipart(content_type: str, body: bytes) -> dict[str, Any]:
    environ = {
        "wsgi.input": BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": content_type,
        "REQUEST_METHOD": "POST",
    }
    try:
        _, form, files = parse_form_data(environ, _keep_in_memory, silent=False, max_form_parts=MAX_FIELDS)
    except (ValueError, HTTPException):
        raise UnreadablePayload("The multipart form data cannot be read.") from None
    document = _collect(list(form.items(multi=True)))
    for name, file in files.items(multi=True):
        document.setdefault(name, file.filename or "file")
    if not document:
        raise UnreadablePayload("The multipart form data has no fields.")
    return document


def _keep_in_memory(*_: object, **__: object) -> BytesIO:
    """Where a file of the form goes: the body is in memory already, nothing is spooled to disk."""
    return BytesIO()


def _collect(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, value in pairs:
        key = name.removesuffix("[]")
        if key in document:
            seen = document[key]
            document[key] = [*(seen if isinstance(seen, list) else [seen]), value]
        else:
            document[key] = value
    return document


def _refuse_bad_text(document: dict[str, Any]) -> None:
    for text in _texts_in(document):
        if fault := fault_of_text(text):
            raise UnreadablePayload(f"A text in the body {fault}.")


def _texts_in(document: Any) -> Iterator[str]:
    """Every text and key of the document, without recursion: depth is the sender's choice."""
    heap: list[tuple[Any, int]] = [(document, 0)]
    while heap:
        node, depth = heap.pop()
        if depth > MAX_DEPTH:
            raise UnreadablePayload("The JSON is nested too deeply.")
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict):
            yield from node
            heap += [(value, depth + 1) for value in node.values()]
        elif isinstance(node, list):
            heap += [(value, depth + 1) for value in node]
