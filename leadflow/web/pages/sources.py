"""Inbound sources: where forms come from, how they are verified and mapped; and the fitting room for a mapping."""

from __future__ import annotations

from flask import Blueprint


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""
