"""Categories and lead statuses: names, ranks, what is enabled; who is affected before anything changes."""

from __future__ import annotations

from flask import Blueprint


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""
