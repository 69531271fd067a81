"""The criteria builder: lines of field, operator and value that become a condition of the rule language, and back."""

from __future__ import annotations

from flask import Blueprint


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""
