"""The form beside the editor: the common parts of a rule as fields that round-trip with its YAML."""

from __future__ import annotations

from flask import Blueprint


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""
