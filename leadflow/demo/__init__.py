"""`leadflow up --demo`: ninety days at an invented company, loaded once, while everything else already works."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import structlog
from sqlalchemy import Engine

from leadflow.demo.loading import Echo, load_demo
from leadflow.sources.model import Source
from leadflow.tasks.draining import utc_now

log = structlog.get_logger(__name__)


def load_demo_in_background(engine: Engine, sources: Mapping[str, Source], echo: Echo) -> threading.Thread:
    """Load the demo in a thread that ends with the process; the next start goes on where it was cut off."""
    thread = threading.Thread(target=_load, args=(engine, sources, echo), name="demo", daemon=True)
    thread.start()
    return thread


def _load(engine: Engine, sources: Mapping[str, Source], echo: Echo) -> None:
    try:
        load_demo(engine, sources, echo, utc_now)
    except Exception as error:  # noqa: BLE001 - the installation works without the demo
        log.warning("demo_cut_off", error=f"{type(error).__name__}: {error}".partition("\n")[0])
        echo("Demo data: loading was cut off. The next start with --demo goes on where it stopped.")
