"""The lifecycle as a map: categories as places, and on each way between them the rules that go it."""

from __future__ import annotations

from flask import Blueprint


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""
