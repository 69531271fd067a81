"""Why a rule would or would not act on a company or contact, and the least that would have to be different."""

from __future__ import annotations

from flask import Blueprint


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""
