"""The system page: queue, workers, scheduler, lag, versions, and the settings in force."""

from __future__ import annotations

from flask import Blueprint


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""
