"""Published versions of the rules: what changed, by whom, and the way back."""

from __future__ import annotations

from flask import Blueprint


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""
