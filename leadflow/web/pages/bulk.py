"""One change to many records: a preview first, then a reason for every record that was left out."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from leadflow.web.auth import requires


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""

    @pages.get("/bulk/<subject>")
    @requires("editor")
    def bulk(subject: str) -> Any:
        return ""
