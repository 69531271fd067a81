"""One change to many records: a preview first, then a reason for every record that was left out."""

from __future__ import annotations

from flask import Blueprint


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""
