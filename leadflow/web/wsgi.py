"""The application for a production server, made in each of its processes from the settings."""

from __future__ import annotations

from flask import Flask

from leadflow.services.configuration import read_configuration
from leadflow.services.processing import Desk
from leadflow.services.sweeps import Workbench
from leadflow.settings import find_config_folder, read_settings, settings_in_force
from leadflow.store.engine import make_engine
from leadflow.store.heartbeats import beat_in_background
from leadflow.tasks.app import make_celery
from leadflow.tasks.ringing import Doorbell
from leadflow.tasks.sending import outside_of
from leadflow.web.app import create_app
from leadflow.web.config import WebConfig


def make_app() -> Flask:
    """The application as LEADFLOW_… variables and `config/` say."""
    folder = find_config_folder()
    settings = read_settings(folder)
    engine = make_engine(settings.required_database_url, pool_size=10)
    sources = read_configuration(folder).sources
    bell = Doorbell(make_celery(settings.required_broker_url, settings.queue, publishes_only=True))
    beat_in_background(engine, "web")
    return create_app(
        WebConfig(
            engine=engine,
            secret_key=settings.required_secret_key,
            ring=bell.ring,
            sources=sources,
            is_loopback=settings.is_loopback,
            allows_unverified_sources=settings.allow_unverified_sources,
            trusted_proxies=settings.trusted_proxies,
            in_force=settings_in_force(folder),
            api_limit=settings.api_limit,
            hook_limit=settings.hook_limit,
            broker_state=lambda: bell.state,
            outside=outside_of(settings),
            sweeps=Workbench(Desk(sources), settings.max_changes),
        )
    )
