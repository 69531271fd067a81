"""A rule document on a person's desk: what they wrote, what it was made from, and what others published meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from flask import request
from flask_babel import gettext as _
from sqlalchemy import Connection

from leadflow.errors import InvalidRequest, NotFound
from leadflow.services import rule_documents
from leadflow.services.rule_documents import DocumentDifference
from leadflow.services.rule_merging import Merge, merge_documents
from leadflow.services.rule_sets import documents_of, live_documents
from leadflow.store.reads.rule_sets import RuleSetRecord, rule_set, rule_sets_since
from leadflow.web.auth import current_caller
from leadflow.web.pages import desk


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """What others published since the text was begun, where it touches this document: who, and what differs.

    `theirs` is what they made of the document (None: they took it out); `merge` is both edits in one.
    """

    records: Sequence[RuleSetRecord]
    differences: Sequence[DocumentDifference]
    theirs: str | None
    merge: Merge

    @property
    def last(self) -> RuleSetRecord:
        return self.records[-1]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One document as a person edits it. `live_text` None: it is not published yet; `based_on` None: no rules were
    live when it was begun. `kept_at` is when the draft was kept; None without a draft."""

    name: str
    text: str
    based_on: int | None
    live_version: int | None
    live: Mapping[str, str]
    kept_at: datetime | None = None
    meanwhile: Meanwhile | None = None

    @property
    def live_text(self) -> str | None:
        return self.live.get(self.name)

    @property
    def is_changed(self) -> bool:
        return self.text != self.live_text

    @property
    def documents(self) -> dict[str, str]:
        """All documents, with this one as it is on the desk."""
        return {**self.live, self.name: self.text}


def account_id() -> int:
    """Whose desk it is."""
    return int(current_caller().id)


def open_sheet(connection: Connection, name: str) -> Sheet:
    """The document as this person left it, or as it is live. Raises: NotFound."""
    version, live = live_documents(connection)
    draft = rule_documents.read_draft(connection, account_id(), name) if desk.can_edit() else None
    if draft is None and name not in live:
        raise NotFound(_("There is no document “%(name)s”. It may have been renamed or taken out.", name=name))
    if draft is None:
        return Sheet(name, live[name], version, version, live)
    return settle(connection, Sheet(name, draft.text, draft.based_on, version, live, draft.updated_at))


def sent_sheet(connection: Connection, name: str) -> Sheet:
    """The document as this request brings it. Raises: InvalidRequest."""
    version, live = live_documents(connection)
    text = request.form.get("text")
    if text is None:
        raise InvalidRequest(_("The page is too old. Load it again and repeat."))
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    if not unified.endswith("\n") and live.get(name) == unified + "\n":
        unified += "\n"
    based_on = _sent_version() if "based_on" in request.form else version
    return settle(connection, Sheet(name, unified, based_on, version, live))


def _sent_version() -> int | None:
    text = request.form.get("based_on", "")
    if text and not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidRequest(_("The page is too old. Load it again and repeat."))
    return int(text) if text else None


def settle(connection: Connection, sheet: Sheet) -> Sheet:
    """The sheet on today's ground: edits of other documents are taken over, those of this one are told."""
    if sheet.based_on == sheet.live_version:
        return sheet
    base = documents_of(connection, sheet.based_on).get(sheet.name) if sheet.based_on is not None else None
    if base == sheet.live_text or sheet.live_text == sheet.text:
        return replace(sheet, based_on=sheet.live_version)
    before = {} if base is None else {sheet.name: base}
    after = {} if sheet.live_text is None else {sheet.name: sheet.live_text}
    return replace(
        sheet,
        meanwhile=Meanwhile(
            _who_touched(connection, sheet),
            rule_documents.difference(before, after),
            sheet.live_text,
            merge_documents(base or "", sheet.text, sheet.live_text or ""),
        ),
    )


def _who_touched(connection: Connection, sheet: Sheet) -> list[RuleSetRecord]:
    """The versions since the sheet was begun that gave the document another text."""
    digest = None
    if sheet.based_on is not None:
        digest = rule_set(connection, sheet.based_on).digests.get(sheet.name)
    found = []
    for one in rule_sets_since(connection, sheet.based_on or 0):
        if one.digests.get(sheet.name) != digest:
            digest = one.digests.get(sheet.name)
            found.append(one)
    return found
