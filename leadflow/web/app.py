"""The Flask application: hooks, API, screens, health; who may use them and what every answer carries."""

from __future__ import annotations

from flask import Flask, Response, request
from flask_babel import Babel
from flask_openapi.openapi import OpenAPI
from werkzeug.middleware.proxy_fix import ProxyFix

from leadflow.web import health, hooks, pages
from leadflow.web.api import api
from leadflow.web.api import document as api_document
from leadflow.web.auth import guard_routes
from leadflow.web.config import EXTENSION, WebConfig
from leadflow.web.limits import limit_requests
from leadflow.web.problems import handle_errors

MAX_BODY_BYTES = 1024 * 1024

CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'; object-src 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def create_app(config: WebConfig) -> Flask:
    """The application for any WSGI server."""
    app: Flask = OpenAPI("leadflow.web", doc_ui=False)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY_BYTES, MAX_FORM_MEMORY_SIZE=MAX_BODY_BYTES)
    app.extensions[EXTENSION] = config
    Babel(app, default_locale="en", default_timezone="UTC")
    handle_errors(app)
    app.register_blueprint(health.make_blueprint(app, config))  # first: it measures what follows
    guard_routes(app, config)
    limit_requests(app, config)  # after it: each caller has a limit of their own
    app.after_request(_add_headers)
    app.register_blueprint(api)
    app.register_blueprint(api_document.make_blueprint())
    app.register_blueprint(hooks.make_blueprint(config))
    app.register_blueprint(pages.make_blueprint(config))
    if config.trusted_proxies:
        count = config.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    return app


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if not request.path.startswith("/static/") and "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "private, no-cache" if "ETag" in response.headers else "private, no-store"
    return response
