"""Rule documents as people edit them: versions and what differs between them, drafts, one document at a time.

A version is always the whole set. Who edits one document publishes the set with that document replaced, based on the
version that was seen; if somebody published meanwhile, the second is told by whom, and the draft is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert as upsert

from leadflow.domain.events import Actor
from leadflow.domain.text import clean_text
from leadflow.errors import Conflict, Fault, InvalidRequest, NotFound
from leadflow.rules.evaluation import RUNNING
from leadflow.rules.model import RuleStatus
from leadflow.rules.parsing.outline import Outline, RuleOutline, outline_of
from leadflow.services.rule_sets import (
    PublishedMeanwhile,
    RulesHaveProblems,
    documents_of,
    expect_live,
    live_documents,
    publish,
)
from leadflow.store.reads import Page
from leadflow.store.reads import rule_sets as reads
from leadflow.store.reads.rule_sets import RuleDraft, RuleSetOrigin, RuleSetRecord
from leadflow.store.tables import Installation, RuleDraftRow

__all__ = ["PublishedMeanwhile", "RuleDraft", "RulesHaveProblems"]

# Where edits come from that no file knows of.
EDITED_HERE = ("ui", "api")
CONTEXT_LINES = 3
MOST_NAMED = 4
MAX_NOTE = 500
MAX_NAME = 200
DEFAULT_STATUS = RuleStatus.LIVE.value
DOCUMENT_ENDINGS = (".yaml", ".yml", ".txt")


# -- versions ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VersionView:
    """One published version: who made it, when and how, what was said of it, and what is in it.

    `documents` are the names; `restores` is the version whose documents a rollback took.
    """

    version: int
    created_at: datetime
    actor_kind: str
    actor_name: str
    origin: RuleSetOrigin
    note: str | None
    restores: int | None
    is_live: bool
    rules: int
    documents: list[str]


@dataclass(frozen=True, slots=True)
class Version:
    """A version with the texts of its documents by name."""

    view: VersionView
    documents: Mapping[str, str]


def live_versions(connection: Connection, limit: int = 50, before: int | None = None) -> Page[VersionView]:
    """The versions that were live one after the other, newest first; `next_key` is `before` of the next page."""
    page = reads.rule_sets(connection, before=before, limit=limit)
    counts = _counts(connection, page.items)
    return Page([_view(one, counts) for one in page.items], page.next_key)


def read_version(connection: Connection, version: int) -> Version:
    """One version with its documents. Raises: NotFound."""
    record = reads.rule_set(connection, version)
    documents = documents_of(connection, version)
    counts = {record.digests[name]: _count_rules(name, text) for name, text in documents.items()}
    return Version(_view(record, counts), documents)


def version_before(connection: Connection, version: int) -> int | None:
    """The version that was published before this one; None for the first."""
    found = reads.rule_sets(connection, before=version, limit=1).items
    return found[0].version if found else None


def published_since(connection: Connection, version: int) -> list[RuleSetRecord]:
    """The versions published after this one, oldest first; the latest 20, where there are more."""
    return reads.rule_sets_since(connection, version)[-20:]


def _view(record: RuleSetRecord, counts: Mapping[str, int]) -> VersionView:
    names = ("version", "created_at", "actor_kind", "actor_name", "origin", "note", "restores", "is_live")
    values: dict[str, Any] = {name: getattr(record, name) for name in names}
    rules = sum(counts.get(digest, 0) for digest in record.digests.values())
    return VersionView(**values, rules=rules, documents=list(record.digests))


# How many rules a text has, by its digest: versions share most of their documents, and texts never change.
_known_counts: dict[str, int] = {}
MAX_KNOWN_COUNTS = 10_000


def _counts(connection: Connection, records: Sequence[RuleSetRecord]) -> dict[str, int]:
    names = {digest: name for one in records for name, digest in one.digests.items()}
    unknown = names.keys() - _known_counts.keys()
    if len(_known_counts) + len(unknown) > MAX_KNOWN_COUNTS:
        _known_counts.clear()
        unknown = set(names)
    versions = {one.version for one in records if not unknown.isdisjoint(one.digests.values())}
    texts = reads.texts_by_digest(connection, versions, unknown) if unknown else {}
    _known_counts.update({digest: _count_rules(names[digest], text) for digest, text in texts.items()})
    return {digest: _known_counts[digest] for digest in names}


def _count_rules(name: str, text: str) -> int:
    return len(_outline(name, text).rules)


@lru_cache(maxsize=256)
def _outline(name: str, text: str) -> Outline:
    return Outline() if name.endswith(".txt") else outline_of(name, text)


# -- where the live documents come from --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DocumentOrigin:
    """Who gave a live document the text that it has, when, from where, and with which version."""

    version: int
    origin: RuleSetOrigin
    actor_name: str
    at: datetime

    @property
    def is_from_files(self) -> bool:
        return self.origin not in EDITED_HERE


def origins(connection: Connection) -> dict[str, DocumentOrigin]:
    """The origin of each live document by name."""
    live = connection.scalar(select(Installation.live_version))
    if live is None:
        return {}
    written = reads.written_in(connection, live)
    records = {version: reads.rule_set(connection, version) for version in set(written.values())}
    return {name: _origin(records[version]) for name, version in sorted(written.items())}


def _origin(record: RuleSetRecord) -> DocumentOrigin:
    return DocumentOrigin(record.version, record.origin, record.actor_name, record.created_at)


def is_from_files(connection: Connection) -> bool:
    """Whether the live set was published from files as a whole: nobody has edited it here since."""
    live = connection.scalar(select(Installation.live_version))
    return live is None or reads.rule_set(connection, live).origin not in EDITED_HERE


def what_apply_will_do(connection: Connection) -> str:
    """What a later `leadflow rules apply` does with an edit made here, in a sentence or two."""
    live = connection.scalar(select(Installation.live_version))
    record = None if live is None else reads.rule_set(connection, live)
    if record is None:
        return "No rules are live yet. A later `leadflow rules apply` will not overwrite rules that are written here."
    if record.origin not in EDITED_HERE:
        source = "config/" if record.origin == "config" else "files"
        told = f"These rules come from {source} (version {record.version}). If you publish an edit here,"
        if record.origin == "config":
            told += " a restart no longer takes the rules over from config/, and"
        return f"{told} {_HOW_APPLY_REFUSES}"
    return f"Edited here, not in files: {edited_here(connection)}. {_AFTER_AN_EDIT}"


_HOW_APPLY_REFUSES = (
    "a later `leadflow rules apply` shows the difference and refuses to overwrite the edit. Whoever keeps the files"
    " takes the edit over with `leadflow rules pull`, or overwrites it on purpose with --force."
)
_AFTER_AN_EDIT = (
    "A later `leadflow rules apply` of other files refuses to overwrite that: `leadflow rules pull` takes it over into"
    " the files, --force overwrites it."
)


def edited_here(connection: Connection) -> str | None:
    """Which live documents were edited past the files, by whom and when; None where all are as files had them.

    `lifecycle.yaml (by Anna, 3 March 2026)`
    """
    if is_from_files(connection):
        return None
    edited = {name: one for name, one in origins(connection).items() if not one.is_from_files}
    told = [f"{name} (by {one.actor_name}, {one.at.day} {one.at:%B %Y})" for name, one in edited.items()]
    if not told:
        return "a document was taken out"
    more = f" and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
    return ", ".join(told[:MOST_NAMED]) + more


# -- writing -----------------------------------------------------------------------------------------------------------


def write_document(
    connection: Connection,
    actor: Actor,
    name: str,
    text: str | None,
    based_on: int | None,
    now: datetime,
    note: str | None = None,
    origin: RuleSetOrigin = "ui",
) -> int:
    """Publish the live set with one document replaced (`text` None: taken out); the new version.

    Raises: PublishedMeanwhile if another version than `based_on` is live (None: no rules are live yet); NotFound for
    a document to be taken out that is not there; InvalidRequest for a name that no file could have; RulesHaveProblems.
    """
    check_name(name)
    _, documents = _based_on(connection, based_on)
    if text is None and name not in documents:
        raise NotFound(f"There is no live document {name}.")
    others = {other: body for other, body in documents.items() if other != name}
    wanted = others if text is None else {**others, name: _line_ends(text)}
    return publish(connection, actor, wanted, origin=origin, now=now, note=clean_note(note))


def write_documents(
    connection: Connection,
    actor: Actor,
    documents: Mapping[str, str],
    based_on: int | None,
    now: datetime,
    note: str | None = None,
    origin: RuleSetOrigin = "api",
) -> int:
    """Publish a whole set; the new version. Raises: as `write_document`."""
    for name in documents:
        check_name(name)
    _based_on(connection, based_on)
    wanted = {name: _line_ends(text) for name, text in documents.items()}
    return publish(connection, actor, wanted, origin=origin, now=now, note=clean_note(note))


def rollback(
    connection: Connection,
    actor: Actor,
    version: int,
    based_on: int | None,
    now: datetime,
    note: str | None = None,
    origin: RuleSetOrigin = "ui",
) -> int:
    """Publish the documents of an older version as a new one, which `restores` it; its number.

    Raises: NotFound; Conflict if these documents are live already; PublishedMeanwhile; RulesHaveProblems if the old
    rules no longer fit today's lists.
    """
    record = reads.rule_set(connection, version)
    _, live = _based_on(connection, based_on)
    documents = documents_of(connection, record.version)
    if documents == live:
        raise Conflict(f"The live rules are those of version {version} already.")
    return publish(connection, actor, documents, origin=origin, now=now, note=clean_note(note), restores=record.version)


def _based_on(connection: Connection, based_on: int | None) -> tuple[int | None, dict[str, str]]:
    """The live documents, held until this transaction ends. `based_on` None means that there were none."""
    live = expect_live(connection, based_on)
    if based_on is None and live is not None:
        raise PublishedMeanwhile(live, None, [reads.rule_set(connection, live)])
    return live_documents(connection)


def clean_note(note: str | None) -> str | None:
    """The note as kept. Raises: InvalidRequest for one that is a letter."""
    cleaned = clean_text(note) if note else None
    if cleaned and len(cleaned) > MAX_NOTE:
        raise InvalidRequest([Fault("note", f"must have at most {MAX_NOTE} characters")])
    return cleaned or None


def check_name(name: str) -> None:
    """Raises: InvalidRequest for a document's name that could not be written to a file below a folder."""
    parts = name.split("/")
    is_fine = (
        name.isprintable()
        and len(name) <= MAX_NAME
        and "\\" not in name
        and all(part and part == part.strip() and not part.startswith(".") for part in parts)
    )
    if not is_fine or not name.endswith(DOCUMENT_ENDINGS) or name.startswith("~"):
        message = "a document is named like a file: qualification.yaml, shared/lists.yaml, lists/freemail.txt"
        raise InvalidRequest([Fault("name", message)])


def _line_ends(text: str) -> str:
    """As files have them: browsers send CRLF."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


# -- drafts ------------------------------------------------------------------------------------------------------------


def keep_draft(
    connection: Connection, account_id: int, document: str, text: str, based_on: int | None, now: datetime
) -> RuleDraft:
    """Keep what a person has typed, published or not, right or wrong; it replaces the draft before."""
    check_name(document)
    kept = RuleDraft(document, _line_ends(text), based_on, now)
    values = {"text": kept.text, "based_on": based_on, "updated_at": now}
    statement = upsert(RuleDraftRow).values(account_id=account_id, document=document, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["account_id", "document"], set_=values))
    return kept


def read_draft(connection: Connection, account_id: int, document: str) -> RuleDraft | None:
    """What this person has typed and not published; None if there is nothing."""
    return reads.rule_draft(connection, account_id, document)


def read_drafts(connection: Connection, account_id: int) -> list[RuleDraft]:
    """All of this person's drafts."""
    return reads.rule_drafts(connection, account_id)


def others_at_work(connection: Connection, account_id: int, document: str) -> list[tuple[str, datetime]]:
    """Who else has unpublished work on the document, and of when; the latest first."""
    return reads.others_drafts(connection, account_id, document)


def drop_draft(connection: Connection, account_id: int, document: str) -> bool:
    """Forget the draft; whether there was one."""
    row = RuleDraftRow.__table__.c
    gone = connection.execute(
        delete(RuleDraftRow).where(row.account_id == account_id, row.document == document).returning(row.document)
    )
    return gone.first() is not None


# -- differences -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DifferenceLine:
    """One line of a hunk: ` ` stays, `-` goes, `+` comes; its number before and after, where it has one."""

    mark: Literal[" ", "-", "+"]
    text: str
    old_number: int | None
    new_number: int | None


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines that changed, with some around them."""

    lines: tuple[DifferenceLine, ...]


RuleChange = Literal["new", "gone", "moved", "switched_on", "switched_off", "changed"]


@dataclass(frozen=True, slots=True)
class RuleDifference:
    """What happened to one rule. `parts` are those of its entries that differ, as people call them.

    `document` is where it stands now (of one that is gone: where it stood), `line` in which line.
    """

    slug: str
    title: str
    change: RuleChange
    document: str
    line: int
    status_before: str | None
    status_after: str | None
    parts: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """`switched on (off → live); also its condition and its limit changed`."""
        return _words_of(self)


@dataclass(frozen=True, slots=True)
class DocumentDifference:
    """What happened to one document: its lines, its rules, and the named lists, segments and variables that differ."""

    name: str
    change: Literal["added", "removed", "changed"]
    hunks: tuple[Hunk, ...]
    rules: tuple[RuleDifference, ...]
    named: tuple[str, ...] = ()

    @property
    def added_lines(self) -> int:
        return sum(line.mark == "+" for hunk in self.hunks for line in hunk.lines)

    @property
    def removed_lines(self) -> int:
        return sum(line.mark == "-" for hunk in self.hunks for line in hunk.lines)


def difference(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[DocumentDifference, ...]:
    """What differs between two sets of documents, by document; it asks no list, so any old version will do."""
    rules = rule_differences(old, new)
    found = []
    for name in sorted({*old, *new}):
        if old.get(name) == new.get(name):
            continue
        change: Literal["added", "removed", "changed"]
        change = "added" if name not in old else "removed" if name not in new else "changed"
        before, after = old.get(name, ""), new.get(name, "")
        own = tuple(one for one in rules if one.document == name)
        found.append(DocumentDifference(name, change, _hunks(before, after), own, _named(name, before, after)))
    return tuple(found)


def _hunks(old: str, new: str) -> tuple[Hunk, ...]:
    before, after = old.splitlines(), new.splitlines()
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    return tuple(Hunk(tuple(_lines(group, before, after))) for group in matcher.get_grouped_opcodes(CONTEXT_LINES))


def _lines(group: Sequence[tuple[str, int, int, int, int]], old: list[str], new: list[str]) -> Iterator[DifferenceLine]:
    for tag, old_from, old_to, new_from, new_to in group:
        if tag == "equal":
            for step in range(old_to - old_from):
                number = old_from + step
                yield DifferenceLine(" ", old[number], number + 1, new_from + step + 1)
            continue
        for number in range(old_from, old_to):
            yield DifferenceLine("-", old[number], number + 1, None)
        for number in range(new_from, new_to):
            yield DifferenceLine("+", new[number], None, number + 1)


def rule_differences(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[RuleDifference, ...]:
    """What happened to each rule, by what its entries say; a rule that only stands elsewhere has `moved`."""
    before, after = _rules_by_slug(old), _rules_by_slug(new)
    found = (_difference_of(slug, before.get(slug), after.get(slug)) for slug in dict.fromkeys([*after, *before]))
    return tuple(one for one in found if one is not None)


# A rule and the document it stands in.
_Placed = tuple[str, RuleOutline]


def _rules_by_slug(documents: Mapping[str, str]) -> dict[str, _Placed]:
    outlines = {name: _outline(name, text) for name, text in sorted(documents.items())}
    return {rule.slug: (name, rule) for name, outline in outlines.items() for rule in outline.rules}


def _difference_of(slug: str, old: _Placed | None, new: _Placed | None) -> RuleDifference | None:
    document, rule = new or old or ("", RuleOutline(slug, 1, {}))
    before, after = _status(old), _status(new)
    parts = _parts_that_differ(old[1], new[1]) if old and new else ()
    change: RuleChange
    if old is None or new is None:
        change = "new" if old is None else "gone"
    elif _runs(before) != _runs(after):
        change = "switched_on" if _runs(after) else "switched_off"
    elif parts:
        change = "changed"
    elif old[0] != new[0]:
        change = "moved"
    else:
        return None
    title = rule.entries.get("title")
    title = title if isinstance(title, str) and title else slug
    return RuleDifference(slug, title, change, document, rule.line, before, after, parts)


def _status(placed: _Placed | None) -> str | None:
    """`live` where a rule does not say; None without a rule."""
    if placed is None:
        return None
    status = placed[1].entries.get("status", DEFAULT_STATUS)
    return status.strip().lower() if isinstance(status, str) else DEFAULT_STATUS


def _runs(status: str | None) -> bool:
    return status in {one.value for one in RUNNING}


PART_WORDS = {
    "title": "title",
    "why": "reason",
    "owner": "owner",
    "status": "status",
    "starts": "start",
    "ends": "end",
    "group": "group",
    "priority": "priority",
    "when": "trigger",
    "if": "condition",
    "then": "actions",
    "limit": "limit",
    "if_running": "behaviour while it waits",
    "also_from_rules": "listening to other rules",
    "include_import": "listening to imports",
    "tests": "tests",
}


def _parts_that_differ(old: RuleOutline, new: RuleOutline) -> tuple[str, ...]:
    keys = dict.fromkeys([*PART_WORDS, *old.entries, *new.entries])
    return tuple(PART_WORDS.get(key, key) for key in keys if old.entries.get(key) != new.entries.get(key))


def _named(name: str, old: str, new: str) -> tuple[str, ...]:
    """The lists, segments, variables and groups that differ: `list competitors`."""
    if name.endswith(".txt"):
        return (f"list file {name}",)
    before, after = _outline(name, old), _outline(name, new)
    found = [
        f"{word} {key}"
        for part, word in (("lists", "list"), ("segments", "segment"), ("vars", "variable"), ("groups", "group"))
        for key in dict.fromkeys([*before.named.get(part, {}), *after.named.get(part, {})])
        if before.named.get(part, {}).get(key) != after.named.get(part, {}).get(key)
    ]
    return (*found, "settings") if before.settings != after.settings else tuple(found)


def _words_of(one: RuleDifference) -> str:
    others = [part for part in one.parts if part != "status"]
    match one.change:
        case "new":
            return f"new ({one.status_after})"
        case "gone":
            return "taken out"
        case "moved":
            return f"moved to {one.document}, otherwise the same"
        case "changed":
            if "status" in one.parts:
                others = [f"status ({one.status_before} → {one.status_after})", *others]
            return f"changed: {_listed(others)}"
        case _:
            word = "on" if one.change == "switched_on" else "off"
            also = f"; also changed: {_listed(others)}" if others else ""
            return f"switched {word} ({one.status_before} → {one.status_after}){also}"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
