"""Selections: records with a name, found by a condition or chosen one by one; combined, counted, exported."""

from __future__ import annotations

from flask import Blueprint


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""
