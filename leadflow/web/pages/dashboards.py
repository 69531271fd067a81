"""Dashboards: numbers and charts, each of which leads to the records behind it."""

from __future__ import annotations

from flask import Blueprint


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""
