"""Companies and contacts as files: what a list shows, or what a condition finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from flask import Response
from flask_babel import gettext as _
from sqlalchemy import Engine

from leadflow.rules.conditions import Condition
from leadflow.store import reads
from leadflow.store.conditions import Subject, render
from leadflow.store.lists import Lists
from leadflow.store.searches import Walk
from leadflow.web.config import web_config
from leadflow.web.exports import csv_response
from leadflow.web.pages.record_columns import FIRST_COLUMNS, Column, Row, cell_text, columns_on_offer, rows_of

CHUNK = 500


def csv_of_records(subject: Subject, condition: Condition | None, now: datetime, name: str) -> Response:
    """The records that satisfy the condition, in the order in which they were made, as a file `name`.csv."""
    walk = Walk(subject, render(condition, subject, now), None)
    with web_config().engine.connect() as connection:
        lists = web_config().searches.read(connection)[0]
    return export_records(name, lists, walk)


def export_records(name: str, lists: Lists, walk: Walk, columns: Sequence[str] = ()) -> Response:
    """The records of a walk as a file `name`.csv, with these columns (by key; the usual ones if there are none)."""
    on_offer = columns_on_offer(lists, walk.subject)
    chosen = [on_offer[key] for key in columns or FIRST_COLUMNS[walk.subject] if key in on_offer]
    head = [str(_("Number")), *_names_head(walk.subject), *(one.label for one in chosen)]
    return csv_response(name, head, _exported_rows(web_config().engine, lists, walk, chosen))


def _names_head(subject: Subject) -> list[str]:
    return [_("Company"), _("Domain")] if subject == "company" else [_("First name"), _("Last name"), _("E-mail")]


def _exported_rows(engine: Engine, lists: Lists, walk: Walk, columns: Sequence[Column]) -> Iterator[list[str]]:
    with engine.connect() as connection:
        for ids in walk.everything(connection, CHUNK):
            for row in rows_of(connection, walk.subject, ids):
                yield [str(row.record.id), *_names(row), *(cell_text(lists, row, one) for one in columns)]


def _names(row: Row) -> list[str]:
    one = row.record
    if isinstance(one, reads.CompanyView):
        return [one.name or "", one.domain or ""]
    return [one.first_name or "", one.last_name or "", one.email or ""]
