"""The editor of rule documents: written, checked, tested, planned, published; and two who edit at once."""

from __future__ import annotations

from flask import Blueprint


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""
