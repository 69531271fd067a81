"""What rules propose and a person decides: accept, another category, or decline."""

from __future__ import annotations

from flask import Blueprint


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""
