"""Versions of the rules as screens, programs and commands read them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Select, func, select, text

from leadflow.errors import NotFound
from leadflow.store.reads.views import Page
from leadflow.store.tables import AccountRow, Installation, RuleDocumentRow, RuleDraftRow, RuleSetRow

# Where a version came from: shipped with `config/`, `rules apply`, the screens, the API.
RuleSetOrigin = Literal["config", "files", "ui", "api"]


@dataclass(frozen=True, slots=True)
class RuleSetRecord:
    """One published version: who made it when and how, and the digest of each of its documents by name."""

    version: int
    created_at: datetime
    actor_kind: str
    actor_name: str
    origin: RuleSetOrigin
    note: str | None
    restores: int | None
    is_live: bool
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """What a person has written and not published yet."""

    document: str
    text: str
    based_on: int | None
    updated_at: datetime


def rule_sets(connection: Connection, *, before: int | None = None, limit: int = 50) -> Page[RuleSetRecord]:
    """Versions, newest first."""
    query = _versions() if before is None else _versions().where(RuleSetRow.version < before)
    rows = connection.execute(query.order_by(RuleSetRow.version.desc()).limit(limit + 1)).mappings().all()
    kept = rows[:limit]
    digests = _digests(connection, [row["version"] for row in kept])
    found = [RuleSetRecord(**row, digests=digests.get(row["version"], {})) for row in kept]
    return Page(found, found[-1].version if len(rows) > limit else None)


def rule_set(connection: Connection, version: int) -> RuleSetRecord:
    """One version. Raises: NotFound."""
    row = connection.execute(_versions().where(RuleSetRow.version == version)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no version {version} of the rules.")
    return RuleSetRecord(**row, digests=_digests(connection, [version]).get(version, {}))


def rule_sets_since(connection: Connection, version: int) -> list[RuleSetRecord]:
    """The versions published after this one, oldest first."""
    rows = connection.execute(_versions().where(RuleSetRow.version > version).order_by(RuleSetRow.version)).mappings()
    found = list(rows)
    digests = _digests(connection, [row["version"] for row in found])
    return [RuleSetRecord(**row, digests=digests.get(row["version"], {})) for row in found]


def _versions() -> Select[Any]:
    names = ("version", "created_at", "actor_kind", "actor_name", "origin", "note", "restores")
    live = select(Installation.live_version).scalar_subquery()
    columns = [RuleSetRow.__table__.c[name] for name in names]
    return select(*columns, func.coalesce(RuleSetRow.version == live, False).label("is_live"))


def _digests(connection: Connection, versions: Collection[int]) -> dict[int, dict[str, str]]:
    query = select(RuleDocumentRow.version, RuleDocumentRow.name, func.md5(RuleDocumentRow.text).label("digest"))
    found: dict[int, dict[str, str]] = {}
    wanted = query.where(RuleDocumentRow.version.in_(versions)).order_by(RuleDocumentRow.name)
    for row in connection.execute(wanted):
        found.setdefault(row.version, {})[row.name] = row.digest
    return found


def texts_by_digest(connection: Connection, versions: Collection[int], digests: Collection[str]) -> dict[str, str]:
    """The texts with these digests, out of documents of these versions."""
    digest = func.md5(RuleDocumentRow.text)
    query = select(digest.label("digest"), func.min(RuleDocumentRow.text).label("text")).group_by(digest)
    wanted = query.where(RuleDocumentRow.version.in_(versions), digest.in_(digests))
    return {row.digest: row.text for row in connection.execute(wanted)}


# The version that gave each live document the text that it has, for as long as nothing else was live in between.
_WRITTEN_IN = text("""
    WITH live AS (
        SELECT version, name, text FROM rule_document WHERE version = :version
    ), before AS (
        SELECT live.name, (
            SELECT max(rule_set.version) FROM rule_set
            LEFT JOIN rule_document AS old ON old.version = rule_set.version AND old.name = live.name
            WHERE rule_set.version < live.version AND old.text IS DISTINCT FROM live.text
        ) AS version FROM live
    )
    SELECT before.name, min(rule_set.version) AS version
    FROM before JOIN rule_set ON rule_set.version > coalesce(before.version, 0) AND rule_set.version <= :version
    GROUP BY before.name
""")


def written_in(connection: Connection, version: int) -> dict[str, int]:
    """By name, the version in which each document of this version got the text that it has."""
    return {row.name: row.version for row in connection.execute(_WRITTEN_IN, {"version": version})}


# -- drafts ------------------------------------------------------------------------------------------------------------


def rule_drafts(connection: Connection, account_id: int) -> list[RuleDraft]:
    """What this person has not published yet, by document."""
    query = _drafts().where(RuleDraftRow.account_id == account_id).order_by(RuleDraftRow.document)
    return [RuleDraft(**row) for row in connection.execute(query).mappings()]


def rule_draft(connection: Connection, account_id: int, document: str) -> RuleDraft | None:
    """What this person has written of the document; None if there is nothing."""
    query = _drafts().where(RuleDraftRow.account_id == account_id, RuleDraftRow.document == document)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else RuleDraft(**row)


def others_drafts(connection: Connection, account_id: int, document: str) -> list[tuple[str, datetime]]:
    """Who else has unpublished work on the document, and since when it stands; the latest first."""
    query = (
        select(AccountRow.name, RuleDraftRow.updated_at)
        .join(AccountRow, AccountRow.id == RuleDraftRow.account_id)
        .where(RuleDraftRow.document == document, RuleDraftRow.account_id != account_id)
        .order_by(RuleDraftRow.updated_at.desc())
    )
    return [(row.name, row.updated_at) for row in connection.execute(query)]


def _drafts() -> Select[Any]:
    return select(*(RuleDraftRow.__table__.c[name] for name in ("document", "text", "based_on", "updated_at")))
