"""Boards: contacts by lead status or category, companies by category; a dragged card writes through the guard."""

from __future__ import annotations

from flask import Blueprint


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""
