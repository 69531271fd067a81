"""Fixtures of the integration tests: scenes, each with a database that only it uses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from tests.support.reuse import ReusedDatabase
from tests.support.scenes import Scene, open_scene


@pytest.fixture(scope="session", autouse=True)
def _quick_logs() -> None:
    """Failures that tests provoke are logged without the pictures of every frame that structlog draws by default."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()],
        logger_factory=structlog.ReturnLoggerFactory(),
    )


@pytest.fixture(scope="session")
def reused_database(postgres_url: str, configured_template: str) -> Iterator[ReusedDatabase]:
    """The database of the scenes of this process, one after the other."""
    database = ReusedDatabase(postgres_url, configured_template)
    yield database
    database.drop()


@pytest.fixture
def scene(reused_database: ReusedDatabase) -> Iterator[Scene]:
    """leadflow in this process, on an empty database with `config/` applied."""
    with open_scene(reused_database.fresh()) as opened:
        yield opened
