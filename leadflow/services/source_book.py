"""The sources in force: the files' and, before them, what people made of them. Every process has a book of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from leadflow.errors import InvalidRequest
from leadflow.outbound.sealing import Seals, UnreadableSeal
from leadflow.sources.definitions import read_definition, secrets_in, source_of
from leadflow.sources.model import Source
from leadflow.store.sources import StoredSource, reseal_source, revision_of_lists, stored_sources

SWITCHED_OFF = "The source '{}' is switched off. Switch it on, then try its held events again."
UNREADABLE = "The definition of the source '{}' cannot be read. Save it again, then try its held events again."


@dataclass(frozen=True, slots=True)
class KeptSecret:
    """A secret of a source that people set; several are valid at once, so that a sender can change over in its time."""

    id: str
    secret: str
    added_at: datetime
    added_by: str


class SourceBook(Mapping[str, Source]):
    """The sources by name, as last read.

    The book of a worker opens no secrets: `seals` are only with those who verify. Who asks without a connection gets
    what was read last, at first the files' sources alone.
    """

    def __init__(
        self, files: Mapping[str, Source], seals: Seals | None = None, environment: Mapping[str, str] = os.environ
    ) -> None:
        self.files = dict(files)
        self.seals = seals
        self._environment = environment
        self._sources: Mapping[str, Source] = self.files
        self._revision: int | None = None

    def __getitem__(self, name: str) -> Source:
        return self._sources[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def read(self, connection: Connection, revision: int | None = None) -> Mapping[str, Source]:
        """The sources as this transaction sees them; read again only if the lists' revision has moved on."""
        if revision is None:
            revision = revision_of_lists(connection)
        if revision != self._revision:
            made = {one.name: self.source_of(one) for one in stored_sources(connection)}
            self._sources, self._revision = {**self.files, **made}, revision
        return self._sources

    def source_of(self, stored: StoredSource) -> Source:
        """The source that a row makes; one that cannot be read holds its deliveries."""
        try:
            definition = read_definition({**stored.definition, "source": stored.name})
        except InvalidRequest:
            instead = self.files.get(stored.name, Source(stored.name, "generic", title=stored.name))
            return replace(instead, off=UNREADABLE.format(stored.name))
        off = None if stored.is_enabled else SWITCHED_OFF.format(stored.name)
        return source_of(definition, (*self.secrets_of_environment(stored.name), *self._open(stored)), off)

    def secrets_of_environment(self, name: str) -> tuple[str, ...]:
        """The secrets that the environment gives, which people cannot change here."""
        known = self.files.get(name)
        return known.verification.secrets if known else secrets_in(self._environment, name)

    def _open(self, stored: StoredSource) -> tuple[str, ...]:
        if self.seals is None:
            return ()
        try:
            return tuple(one.secret for one in open_secrets(stored, self.seals))
        except UnreadableSeal:
            return ()  # the page of the source says so


def as_book(sources: Mapping[str, Source], seals: Seals | None = None) -> SourceBook:
    """The sources as a book; a book stays what it is."""
    return sources if isinstance(sources, SourceBook) else SourceBook(sources, seals)


def place_of(name: str) -> str:
    """To what the seal of a source's secrets is bound."""
    return f"source:{name}"


def open_secrets(stored: StoredSource, seals: Seals) -> list[KeptSecret]:
    """The secrets of a source. Raises: UnreadableSeal."""
    if stored.sealed is None:
        return []
    kept = json.loads(seals.open(bytes(stored.sealed), place_of(stored.name)))
    return [KeptSecret(**{**one, "added_at": datetime.fromisoformat(one["added_at"])}) for one in kept]


def seal_secrets(name: str, secrets: list[KeptSecret], seals: Seals) -> bytes | None:
    """The secrets as they are kept; None if there are none."""
    kept = [
        {"id": one.id, "secret": one.secret, "added_at": one.added_at.isoformat(), "added_by": one.added_by}
        for one in secrets
    ]
    return seals.seal(json.dumps(kept), place_of(name)) if kept else None


def reseal_sources(connection: Connection, seals: Seals) -> list[str]:
    """Put every source's secrets under the present key, so that the former keys can go; those that no key opens."""
    unreadable = []
    for one in stored_sources(connection):
        if one.sealed is None or seals.is_newest(one.sealed):
            continue
        try:
            place = place_of(one.name)
            reseal_source(connection, one.name, one.sealed, seals.seal(seals.open(one.sealed, place), place))
        except UnreadableSeal:
            unreadable.append(one.name)
    return unreadable
