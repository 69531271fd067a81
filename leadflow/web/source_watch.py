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

# Refused deliveries make sure that what refused them is true; so often at most.
AGAIN_SECONDS = 0.05

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
        """The source of this name; None only if there is none for certain.

        Raises: ServiceUnavailable if that cannot be told now.
        """
        self._keep_young()
        source = self._book.get(name)
        if source is None and not self.look():
            raise ServiceUnavailable("The database does not answer, so nobody knows this source now.")
        return source or self._book.get(name)

    def look(self) -> bool:
        """Ask the database now, unless somebody has just done so; whether it answered."""
        with self._lock:
            if time.monotonic() - self._looked_at < AGAIN_SECONDS:
                return self._is_well
            try:
                with self._engine.connect() as connection:
                    self._book.read(connection)
                self._is_well = self._has_read = True
            except SQLAlchemyError as error:  # what is known goes on to serve
                self._is_well = False
                log.warning("sources_not_read", error=type(error).__name__)
            self._looked_at = time.monotonic()
            return self._is_well

    def _keep_young(self) -> None:
        age = time.monotonic() - self._looked_at
        if age >= OLD_SECONDS:
            self.look()
        elif age >= FRESH_SECONDS and not self._lock.locked():
            threading.Thread(target=self.look, name="sources", daemon=True).start()
        if not self._has_read:
            # The files alone do not say which source was switched off or has another secret.
            raise ServiceUnavailable("The database does not answer.")
