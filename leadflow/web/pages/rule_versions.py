"""The versions of the rules: who published what, what it changed, and the way back to an earlier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, request, url_for
from flask_babel import gettext as _
from sqlalchemy import Connection

from leadflow.errors import Conflict, InvalidRequest
from leadflow.services import rule_documents
from leadflow.services.rule_documents import PublishedMeanwhile, RuleDifference, RulesHaveProblems, VersionView
from leadflow.services.rule_sets import documents_of, live_documents
from leadflow.store.reads.rule_sets import rule_sets
from leadflow.web.auth import current_caller, requires
from leadflow.web.config import web_config
from leadflow.web.pages import desk

VERSIONS_SHOWN = 15
RULES_TOLD = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """A version in the list, with what it changed against the one before it."""

    view: VersionView
    changes: Sequence[RuleDifference]
    documents: Sequence[str]
    is_first: bool


def register(pages: Blueprint) -> None:
    """Add its pages to the blueprint."""

    @pages.get("/rules/versions")
    @requires("viewer")
    def rule_versions() -> Any:
        with desk.reading() as connection:
            return desk.show(connection, "rule_versions.html", "rules", **_all_versions(connection))

    @pages.get("/rules/versions/<int:version>")
    @requires("viewer")
    def rule_version(version: int) -> Any:
        with desk.reading() as connection:
            return _show(connection, version)

    @pages.post("/rules/versions/<int:version>/rollback")
    @requires("editor")
    def roll_back(version: int) -> Any:
        return _roll_back(version)


def _all_versions(connection: Connection) -> dict[str, Any]:
    after = desk.asked_after()
    page = rule_documents.live_versions(connection, VERSIONS_SHOWN, after)
    earlier = [*page.items[1:], *_one_before(connection, page.items)]
    texts = {one.version: documents_of(connection, one.version) for one in [*page.items[:1], *earlier]}
    return {
        "entries": [_entry(one, before, texts) for one, before in zip(page.items, [*earlier, None], strict=False)],
        "next_key": page.next_key,
        "is_first_page": after is None,
        "told": RULES_TOLD,
    }


def _one_before(connection: Connection, shown: Sequence[VersionView]) -> Sequence[Any]:
    """The version before the oldest one shown, if there is one."""
    return rule_sets(connection, before=shown[-1].version, limit=1).items if shown else ()


def _entry(view: VersionView, before: Any, texts: Mapping[int, Mapping[str, str]]) -> Entry:
    new, old = texts[view.version], texts[before.version] if before is not None else {}
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return Entry(view, rule_documents.rule_differences(old, new) if before is not None else (), names, before is None)


def _show(connection: Connection, version: int, refusal: str = "", code: int = 200) -> Any:
    found = rule_documents.read_version(connection, version)
    live_version, live = live_documents(connection)
    before = rule_sets(connection, before=version, limit=1).items
    against_live = desk.asked("against") == "live" and version != live_version
    old, new = (found.documents, live) if against_live else (_documents(connection, before), found.documents)
    values = {
        "view": found.view,
        "before": before[0].version if before else None,
        "live_version": live_version,
        "against_live": against_live,
        "differences": rule_documents.difference(old, new),
        "back": rule_documents.difference(live, found.documents),
        "documents": found.documents,
        "apply_words": rule_documents.what_apply_will_do(connection),
        "refusal": refusal,
    }
    return desk.show(connection, "rule_version.html", "rules", code, **values)


def _documents(connection: Connection, records: Sequence[Any]) -> dict[str, str]:
    return documents_of(connection, records[0].version) if records else {}


def _roll_back(version: int) -> Any:
    """Publish the documents of that version again, as a new one."""
    try:
        with desk.writing() as connection:
            note = request.form.get("note")
            made = rule_documents.rollback(connection, current_caller().actor, version, _based_on(), desk.now(), note)
    except (Conflict, PublishedMeanwhile, InvalidRequest) as reason:
        return _again(version, str(reason))
    except RulesHaveProblems as reason:
        told = "; ".join(f"{one.file}:{one.line}: {one.message}" for one in reason.problems[:3])
        return _again(version, _("These rules no longer fit today’s lists: %(why)s", why=told))
    web_config().ring()
    flash(_("Version %(made)s is live; its rules are those of version %(old)s.", made=made, old=version), "green")
    return desk.go(url_for("pages.rule_versions"))


def _again(version: int, refusal: str) -> Any:
    with desk.reading() as connection:
        return _show(connection, version, refusal, 409)


def _based_on() -> int | None:
    text = request.form.get("based_on", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidRequest(_("The page is too old. Load it again and repeat."))
    return int(text)
