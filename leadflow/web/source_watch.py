"""Keeps the sources of a web process up to date, without a question to the database for each delivery."""

from __future__ import annotations

import threading
import time

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from leadflow.errors import ServiceUnavailable
from leadflow.services.source_book import SourceBook
from leadflow.sources.model import Source

# While deliveries come in, a look in the background keeps the book younger than `OLD_SECONDS`; the first delivery
# after a pause waits for a look of its own.
FRESH_SECONDS = 0.5
OLD_SECONDS = 1.0

log = structlog.get_logger(__name__)


class SourceWatch:
    """The sources in force, a second old at most."""

    def __init__(self, engine: Engine, book: SourceBook) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._book = book
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._has_read = False
        self._is_well = False

    def find(self, name: str) -> Source | None:
        """The source of this name, as far as is known without asking.

        Raises: ServiceUnavailable if the sources were never read.
        """
        self._keep_young()
        return self._book.get(name)

    def find_now(self, name: str) -> Source | None:
        """The source of this name as it is at this moment; None only if there is none for certain.

        Raises: ServiceUnavailable if that cannot be told.
        """
        is_well = self.look()
        source = self._book.get(name)
        if not self._has_read or (source is None and not is_well):
            raise ServiceUnavailable("The database does not answer, so nobody knows this source now.")
        return source

    def look(self) -> bool:
        """Ask the database, unless somebody else asks from now on; whether it answered."""
        wanted_at = time.monotonic()
        with self._lock:
            if self._looked_at >= wanted_at:
                return self._is_well
            self._looked_at = time.monotonic()
            try:
                with self._engine.connect() as connection:
                    self._book.read(connection)
                self._is_well = self._has_read = True
            except SQLAlchemyError as error:  # what is known goes on to serve
                self._is_well = False
                log.warning("sources_not_read", error=type(error).__name__)
            return self._is_well

    def _keep_young(self) -> None:
        age = time.monotonic() - self._looked_at
        if age >= OLD_SECONDS:
            self.look()
        elif age >= FRESH_SECONDS and not self._lock.locked():
            threading.Thread(target=self.look, name="sources", daemon=True).start()
        if not self._has_read:
            # The files alone do not say which source has another secret by now.
            raise ServiceUnavailable("The database does not answer.")
