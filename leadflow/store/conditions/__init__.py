"""Conditions as SQL: the other face of `leadflow.rules.conditions`, with the same answer for every record.

select(ContactRow.id).select_from(rows_of("contact")).where(render(condition, "contact", now))
"""

from leadflow.store.conditions.rendering import Subject, render, rows_for, rows_of, seen_in_past

__all__ = ["Subject", "render", "rows_for", "rows_of", "seen_in_past"]
