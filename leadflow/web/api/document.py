"""The OpenAPI 3.1 document, made from the endpoints as they are, and its page, which needs no other host."""

from __future__ import annotations

import importlib.resources
import json
from copy import deepcopy
from functools import cache
from typing import Any

from flask import Blueprint, Response
from flask_openapi.openapi import OpenAPI
from pydantic import TypeAdapter

from leadflow import __version__
from leadflow.web.api.endpoints import Described, api, described
from leadflow.web.auth import public

REF = "#/components/schemas/"
ERRORS = {
    "400": "The request is malformed: JSON, cursor.",
    "401": "The API key is missing, unknown, expired or revoked.",
    "403": "The role of the key is not enough.",
    "404": "There is no such record.",
    "409": "The present state does not allow it; `detail` says why.",
    "412": "The record changed since it was read (If-Match).",
    "413": "The body is larger than 1 MiB.",
    "414": "The address is longer than the web server takes.",
    "415": "The body is not declared as JSON.",
    "422": "The request is well-formed, but something in it is wrong; `errors` lists all of it.",
    "429": "That was too much at once; go on after Retry-After seconds.",
    "503": "The database does not answer now; try again after Retry-After seconds.",
}
PROBLEM = {
    "type": "object",
    "description": "RFC 9457",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "existing_id": {"type": "integer", "description": "the record that has the value already"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["location", "message"],
                "properties": {"location": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
HEADERS = {
    "get": [("If-None-Match", "the ETag of a version at hand: 304 if it is still the present one")],
    "post": [("Idempotency-Key", "the same key and request again: the first answer again, one effect")],
    "put": [("If-Match", "the ETag of the version that was read: 412 if another one is there by now")],
    "patch": [("If-Match", "the ETag of the version that was read: 412 if the record changed since")],
    "delete": [("If-Match", "the ETag of the version that was read: 412 if the record changed since")],
}
HOOK = {
    "summary": "Deliver a form",
    "description": "JSON, urlencoded or multipart, verified as its source says; answered when it is durably stored.",
    "operationId": "deliver",
    "tags": ["Hooks"],
    "security": [],
    "parameters": [
        {"name": "source", "in": "path", "required": True, "schema": {"type": "string"}},
        {"name": "webhook-id", "in": "header", "schema": {"type": "string"}, "description": "delivery id"},
    ],
    "requestBody": {"content": {"application/json": {"schema": {}}}},
    "responses": {
        "200": {
            "description": "Stored, now or before.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["event_id", "duplicate"],
                        "properties": {"event_id": {"type": "integer"}, "duplicate": {"type": "boolean"}},
                    }
                }
            },
        },
        **{
            status: {
                "description": text,
                "content": {"application/problem+json": {"schema": {"$ref": f"{REF}ProblemDetails"}}},
            }
            for status, text in {
                "401": "The signature is wrong.",
                "404": "There is no such source.",
                "413": "The body is larger than 1 MiB.",
                "429": "Only where a limit is configured: go on after Retry-After seconds.",
                "503": "The database does not answer now; try again after Retry-After seconds.",
            }.items()
        },
    },
}


@cache
def openapi_document() -> dict[str, Any]:
    """The whole document."""
    collected = _collected()
    schemas: dict[str, Any] = collected["components"].setdefault("schemas", {})
    del schemas["ValidationErrorModel"]
    _forget_defaults_of_changes(schemas)
    schemas |= _view_schemas() | {"ProblemDetails": PROBLEM}
    for (mode, path), answer in described.items():
        operation = collected["paths"][_uri(path)][mode]
        operation["responses"] = _responses(mode, path, answer)
        operation["parameters"] = operation.get("parameters", []) + _header_parameters(mode, path, answer)
    collected["paths"]["/hooks/{source}"] = {"post": HOOK}
    return collected


def _collected() -> dict[str, Any]:
    """What flask-openapi collected of paths, parameters and bodies."""
    collector = OpenAPI(
        __name__,
        doc_ui=False,
        static_folder=None,
        info={"title": "leadflow", "version": __version__, "description": "Lead lifecycle automation."},
        security_schemes={"api_key": {"type": "http", "scheme": "bearer", "bearerFormat": "lf_<id>_<secret>"}},
    )
    collector.openapi_version = "3.1.0"
    collector.register_api(api)
    return deepcopy(collector.api_doc)


def _forget_defaults_of_changes(schemas: dict[str, Any]) -> None:
    """A key that is missing from a change leaves its field alone; it has no default."""
    for name, schema in schemas.items():
        if name.endswith(("Change", "Write")):
            for member in schema["properties"].values():
                member.pop("default", None)


def _uri(path: str) -> str:
    return f"{api.url_prefix}{path}".replace("<path:", "<").replace("<", "{").replace(">", "}")


def _view_schemas() -> dict[str, Any]:
    """The views by name, with what they hold."""
    views = {answer.view for answer in described.values()}
    inputs: list[Any] = [(view, "serialization", TypeAdapter(view)) for view in sorted(views, key=lambda v: v.__name__)]
    _, document = TypeAdapter.json_schemas(inputs, ref_template=REF + "{model}")
    schemas: dict[str, Any] = document.get("$defs", {})
    return schemas


def _responses(mode: str, path: str, answer: Described) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": REF + answer.view.__name__}
    members = {name: TypeAdapter(kind).json_schema() for name, kind in answer.more.items()}
    if members and not answer.is_page:
        schema = {"allOf": [schema, {"type": "object", "properties": members, "required": list(members)}]}
    if answer.is_page or answer.is_list:
        following = {"type": ["string", "null"], "description": "cursor of the next page"}
        schema = {
            "type": "object",
            "required": ["items", "next"],
            "properties": {"items": {"type": "array", "items": schema}, "next": following, **members},
        }
    wrong = {"description": "", "content": {"application/problem+json": {"schema": {"$ref": f"{REF}ProblemDetails"}}}}
    left_out = {"get": ["409", "412", "413", "415"], "post": ["412", "414"]}.get(mode, ["414"])
    left_out += [] if "<" in path or mode != "get" else ["404"]
    good = {"description": "Done", "content": {"application/json": {"schema": schema}}}
    return {
        str(answer.status): good,
        **({"304": {"description": "Unchanged since If-None-Match."}} if _is_versioned(mode, path, answer) else {}),
        **{
            # The web server itself may say 414, in its own words.
            status: {**wrong, "description": text} if status != "414" else {"description": text}
            for status, text in ERRORS.items()
            if status not in left_out
        },
    }


def _header_parameters(mode: str, path: str, answer: Described) -> list[dict[str, Any]]:
    if mode == "get" and not _is_versioned(mode, path, answer):
        return []
    return [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": text}
        for name, text in HEADERS[mode]
    ]


def _is_versioned(mode: str, path: str, answer: Described) -> bool:
    """Whether the answer to a GET is one record, with an ETag."""
    return mode == "get" and not (answer.is_page or answer.is_list or path.endswith("/impact"))


# The page -------------------------------------------------------------------------------------------------------------

# Swagger UI sets styles on its elements and carries its icons as data; only this page allows that.
DOCS_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>leadflow API</title>
<link rel="icon" href="/static/logo.svg" type="image/svg+xml">
<link rel="stylesheet" href="/api/docs/assets/css/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="/api/docs/assets/js/swagger-ui-bundle.js"></script>
<script src="/api/docs/start.js"></script>
</body>
</html>
"""
START = """SwaggerUIBundle({
  url: "/api/v1/openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null, docExpansion: "list"
});
"""


def make_blueprint() -> Blueprint:
    """`/api/v1/openapi.json` and `/api/docs`."""
    assets = importlib.resources.files("flask_openapi_swagger") / "templates" / "swagger"
    blueprint = Blueprint("docs", __name__, static_folder=str(assets), static_url_path="/api/docs/assets")

    @blueprint.get("/api/v1/openapi.json")
    @public("the description of the API holds no data")
    def document() -> Response:
        return Response(json.dumps(openapi_document(), ensure_ascii=False), content_type="application/json")

    @blueprint.get("/api/docs")
    @public("the description of the API holds no data")
    def page() -> Response:
        return Response(PAGE, content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": DOCS_POLICY})

    @blueprint.get("/api/docs/start.js")
    @public("the description of the API holds no data")
    def start() -> Response:
        return Response(START, content_type="text/javascript; charset=utf-8")

    return blueprint
