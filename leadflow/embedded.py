"""`leadflow up`: everything on one machine in one process — PostgreSQL, migrations, web, worker, scheduler."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import structlog
from celery import Celery
from celery.worker import WorkController
from sqlalchemy import Engine
from waitress.server import BaseWSGIServer, create_server

from leadflow.errors import ConfigurationError
from leadflow.services.access import create_sign_in_link, ensure_administrator, ensure_bootstrap_key
from leadflow.services.configuration import Configuration, read_configuration
from leadflow.services.installation import apply_configuration
from leadflow.services.processing import Desk
from leadflow.services.sweeps import Workbench
from leadflow.settings import Settings, kept_secret, settings_in_force
from leadflow.store.engine import make_engine
from leadflow.store.heartbeats import beat_in_background
from leadflow.store.migrate import upgrade
from leadflow.store.postgres_server import PostgresServer
from leadflow.tasks.app import SWEEP, make_celery
from leadflow.tasks.draining import utc_now
from leadflow.tasks.events import Workplace, register_tasks
from leadflow.tasks.ringing import Doorbell
from leadflow.tasks.scheduling import Scheduler
from leadflow.tasks.sending import make_sender, outside_of, renew_seals
from leadflow.web.app import create_app
from leadflow.web.config import WebConfig

WEB_THREADS = 8

log = structlog.get_logger(__name__)


@dataclass
class Running:
    """A started installation: where it is and how to sign in."""

    url: str
    sign_in_url: str
    engine: Engine
    configuration: Configuration
    ring: Callable[[], None]


def run_everything(
    settings: Settings, config_folder: Path, data: Path, host: str, port: int, on_ready: Callable[[Running], None]
) -> None:
    """Start all parts, call `on_ready`, and serve until SIGINT or SIGTERM; then stop them in reverse order."""
    with ExitStack() as parts:
        engine = _open_database(settings, data, parts)
        configuration = read_configuration(config_folder)
        token = _prepare(engine, configuration, settings)
        celery = make_celery("memory://localhost//", settings.queue)
        bell, sweep_bell = Doorbell(celery), Doorbell(celery, SWEEP)
        parts.callback(bell.close)
        parts.callback(sweep_bell.close)
        settings = settings.model_copy(update={"secret_key": settings.secret_key or kept_secret(data / "secret-key")})
        _start_worker(celery, engine, configuration, settings, parts)
        _start_sender(engine, settings, parts)
        _start_scheduler(engine, bell, sweep_bell, settings, parts)
        beat_in_background(engine, "web")
        server = _make_server(engine, configuration, settings, bell, config_folder, host, port)
        parts.callback(server.close)
        url = f"http://{host}:{server.effective_port}"
        on_ready(Running(url, f"{url}/sign-in/link/{token}", engine, configuration, bell.ring))
        _serve(server)
        log.info("stopping")
    log.info("stopped")


def _open_database(settings: Settings, data: Path, parts: ExitStack) -> Engine:
    url = settings.database_url
    if url is None:
        url = parts.enter_context(PostgresServer(data)).url
    upgrade(url)
    engine = make_engine(url, pool_size=WEB_THREADS + 4)
    parts.callback(engine.dispose)
    return engine


def _prepare(engine: Engine, configuration: Configuration, settings: Settings) -> str:
    """Apply `config/`, make sure somebody can sign in; the token of a one-time link."""
    now = utc_now()
    with engine.begin() as connection:
        apply_configuration(connection, configuration, now)
        ensure_bootstrap_key(connection, settings.bootstrap_api_key, now)
        account_id = ensure_administrator(connection, "admin@leadflow.example", "Administrator", now)
        return create_sign_in_link(connection, account_id, now)


def _start_worker(
    celery: Celery, engine: Engine, configuration: Configuration, settings: Settings, parts: ExitStack
) -> None:
    desk = Desk(configuration.sources)
    workplace = Workplace(lambda: engine, lambda: desk, settings.batch_size, settings.max_changes)
    register_tasks(celery, workplace)
    workplace.open()
    worker = WorkController(
        app=celery, pool_cls="threads", concurrency=1, without_heartbeat=True, without_mingle=True, without_gossip=True
    )
    thread = threading.Thread(target=worker.start, name="worker", daemon=True)
    thread.start()
    parts.callback(thread.join, 10)
    parts.callback(worker.stop)


def _start_sender(engine: Engine, settings: Settings, parts: ExitStack) -> None:
    outside = outside_of(settings)
    renew_seals(engine, outside.seals)
    sender = make_sender(engine, outside)
    sender.start()
    parts.callback(sender.close)


def _start_scheduler(
    engine: Engine, bell: Doorbell, sweep_bell: Doorbell, settings: Settings, parts: ExitStack
) -> None:
    stop = threading.Event()
    scheduler = Scheduler(engine, bell.ring, settings.raw_body_days, sweep_bell.ring)
    thread = threading.Thread(target=scheduler.run, args=(stop,), name="scheduler", daemon=True)
    thread.start()
    parts.callback(thread.join, 5)
    parts.callback(stop.set)


def _make_server(
    engine: Engine,
    configuration: Configuration,
    settings: Settings,
    bell: Doorbell,
    config_folder: Path,
    host: str,
    port: int,
) -> BaseWSGIServer:
    here = settings.model_copy(update={"web_host": host})
    app = create_app(
        WebConfig(
            engine=engine,
            secret_key=settings.required_secret_key,
            ring=bell.ring,
            sources=configuration.sources,
            is_loopback=here.is_loopback,
            allows_unverified_sources=settings.allow_unverified_sources,
            trusted_proxies=settings.trusted_proxies,
            in_force=settings_in_force(config_folder),
            api_limit=settings.api_limit,
            hook_limit=settings.hook_limit,
            broker_state=lambda: bell.state,
            outside=outside_of(settings),
            sweeps=Workbench(Desk(configuration.sources), settings.max_changes),
        )
    )
    try:
        return create_server(
            app, host=host, port=port, threads=WEB_THREADS, ident=None, max_request_body_size=2 * 1024 * 1024
        )
    except OSError as error:
        raise ConfigurationError(
            f"Port {port} on {host} cannot be used: {error.strerror}. Choose another with --port."
        ) from None


def _serve(server: BaseWSGIServer) -> None:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, stop)
    server.run()  # returns at SystemExit
