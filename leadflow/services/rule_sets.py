"""Rule sets: documents are checked as a whole and published as a version; workers see it at their next transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from leadflow.domain.events import Actor, Trigger
from leadflow.errors import LeadflowError, StaleWrite
from leadflow.rules.evaluation import RUNNING, RuleIndex
from leadflow.rules.model import RuleSet
from leadflow.rules.parsing import parse_documents
from leadflow.rules.problems import Problem, render_text
from leadflow.rules.testing.running import failing_tests
from leadflow.rules.testing.stage import Ground
from leadflow.services.linting import errors_of
from leadflow.store.lists import Lists, read_lists
from leadflow.store.reads.rule_sets import RuleSetRecord, rule_sets_since
from leadflow.store.tables import Installation, RuleDocumentRow, RuleSetRow


class RulesHaveProblems(LeadflowError):
    """The documents cannot be published; `problems` has every one of them."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__(render_text(problems))


class PublishedMeanwhile(StaleWrite):
    """Somebody has published since the version that an edit was based on; `since` has those versions, oldest first."""

    def __init__(self, live_version: int | None, based_on: int | None, since: Collection[RuleSetRecord]) -> None:
        self.live_version = live_version
        self.based_on = based_on
        self.since = tuple(since)
        if based_on is None:
            told = f"The live rules are version {live_version}: say which version your edit is based on."
        else:
            told = f"The live rules are version {live_version} by now; your edit was based on version {based_on}."
        if self.since:
            last = self.since[-1]
            told += f" {last.actor_name} published on {last.created_at.day} {last.created_at:%B %Y at %H:%M} UTC."
        super().__init__(told)


def live_documents(connection: Connection) -> tuple[int | None, dict[str, str]]:
    """The live version (None before the first publish) and its documents by name."""
    version = connection.scalar(select(Installation.live_version))
    return version, documents_of(connection, version) if version is not None else {}


def live_origin(connection: Connection) -> str | None:
    """Where the live version was published from: `config`, `files`, `ui`; None before the first publish."""
    origin: str | None = connection.scalar(
        select(RuleSetRow.origin).join(Installation, Installation.live_version == RuleSetRow.version)
    )
    return origin


def documents_of(connection: Connection, version: int) -> dict[str, str]:
    """The documents of one version by name."""
    statement = select(RuleDocumentRow.name, RuleDocumentRow.text).where(RuleDocumentRow.version == version)
    return {row.name: row.text for row in connection.execute(statement.order_by(RuleDocumentRow.name))}


def check_documents(connection: Connection, documents: Mapping[str, str]) -> tuple[Problem, ...]:
    """The mistakes of the documents, judged by this installation's catalogue; `linting.review` says more."""
    return parse_documents(documents, read_lists(connection).catalogue).problems


def publish(
    connection: Connection,
    actor: Actor,
    documents: Mapping[str, str],
    *,
    origin: str,
    now: datetime,
    based_on: int | None = None,
    note: str | None = None,
    restores: int | None = None,
) -> int:
    """Make the documents the live version; its number. Without a change to the live ones nothing is published.

    A rule goes live only if its own tests pass, and no set in which a rule can never act, or never as it is written.
    `note` is what the publisher says of it; `restores` the version whose documents these are again.

    Raises: PublishedMeanwhile if `based_on` is given and no longer the live version; RulesHaveProblems.
    """
    live = expect_live(connection, based_on)
    if live is not None and documents_of(connection, live) == dict(documents):
        return int(live)
    rule_set = _publishable(documents, read_lists(connection), now)
    values: dict[str, Any] = {
        "created_at": now,
        "actor_kind": actor.kind.value,
        "actor_name": actor.name,
        "origin": origin,
        "note": note,
        "restores": restores,
        "listens": _what_it_listens_to(rule_set),
    }
    version: int = connection.execute(insert(RuleSetRow).values(**values).returning(RuleSetRow.version)).scalar_one()
    rows = [{"version": version, "name": name, "text": body} for name, body in documents.items()]
    if rows:
        connection.execute(insert(RuleDocumentRow), rows)
    connection.execute(update(Installation).values(live_version=version))
    return version


def _publishable(documents: Mapping[str, str], lists: Lists, now: datetime) -> RuleSet:
    """The rules of the documents. Raises: RulesHaveProblems if they may not go live."""
    parsed = parse_documents(documents, lists.catalogue)
    ground = Ground(lists.lifecycle, lists.statuses, lists.catalogue)
    problems = parsed.problems or errors_of(parsed.rule_set, documents, lists, now)
    if problems := problems or failing_tests(parsed.rule_set.rules, parsed.tests, ground):
        raise RulesHaveProblems(problems)
    return parsed.rule_set


def expect_live(connection: Connection, based_on: int | None) -> int | None:
    """The live version, which nobody can replace until this transaction ends.

    Raises: PublishedMeanwhile if `based_on` is given and another one is live.
    """
    live: int | None = connection.scalar(select(Installation.live_version).with_for_update())
    if based_on is not None and live != based_on:
        raise PublishedMeanwhile(live, based_on, rule_sets_since(connection, based_on))
    return live


def _what_it_listens_to(rule_set: RuleSet) -> dict[str, list[str]]:
    filters = [one for rule in rule_set.rules if rule.status in RUNNING for one in rule.triggers]
    changed = {path for one in filters if one.trigger is Trigger.RECORD_CHANGED for path in one.watched}
    created = {one.wants["record"] for one in filters if one.trigger is Trigger.RECORD_CREATED}
    return {Trigger.RECORD_CHANGED.value: sorted(changed), Trigger.RECORD_CREATED.value: sorted(created)}


def listens_to(connection: Connection, trigger: Trigger, names: Collection[str]) -> bool:
    """Whether a live rule listens to a change of these field paths, or to the creation of these records."""
    statement = select(RuleSetRow.listens).join(Installation, Installation.live_version == RuleSetRow.version)
    listens = connection.scalar(statement) or {}
    return not set(listens.get(trigger.value, ())).isdisjoint(names)


class RulesCache:
    """The live rules, compiled; read again when another version is live or a list changed. One per process."""

    def __init__(self) -> None:
        self._index = RuleIndex(RuleSet(0, ()))
        self._key: tuple[int, int | None] | None = None

    def read(self, connection: Connection, lists: Lists) -> RuleIndex:
        """The rules that are live in this transaction.

        Raises: RulesHaveProblems if a list changed so that a live document is no longer right.
        """
        key = (lists.revision, lists.live_version)
        if key != self._key:
            self._index, self._key = _compile(connection, lists), key
        return self._index


def _compile(connection: Connection, lists: Lists) -> RuleIndex:
    if lists.live_version is None:
        return RuleIndex(RuleSet(0, ()))
    documents = documents_of(connection, lists.live_version)
    parsed = parse_documents(documents, lists.catalogue, version=lists.live_version, with_tests=False)
    if parsed.problems:
        raise RulesHaveProblems(parsed.problems)
    return RuleIndex(parsed.rule_set)
