"""The application on a real port, over a database that has a story to show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from leadflow.services.configuration import read_configuration
from leadflow.store.engine import make_engine
from leadflow.web.app import create_app
from leadflow.web.config import WebConfig
from tests.browser.story import CONFIG
from tests.support.serving import served


@contextmanager
def serve(url: str) -> Iterator[tuple[str, Engine]]:
    """The address of the application, and the engine under it."""
    engine = make_engine(url, pool_size=8)
    config = WebConfig(engine, "a secret for tests only, long enough", sources=read_configuration(CONFIG).sources)
    try:
        with served(create_app(config)) as address:
            yield address, engine
    finally:
        engine.dispose()
