"""Fixtures for the servers, and what happens where a machine lacks one: tests are left out aloud, never skipped."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from leadflow.store.postgres_server import PostgresServer
from tests.support import servers
from tests.support.processes import Processes

RUN = pytest.StashKey[servers.Run]()
LEFT_OUT = pytest.StashKey[dict[str, int]]()

hypothesis.settings.register_profile("default", max_examples=25, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=1000, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if servers.in_ci() else "default"))


# The run: begun by the process that the person started, joined by pytest-xdist's workers ------------------------------


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = {}
    given = getattr(config, "workerinput", None)
    config.stash[RUN] = servers.Run(Path(given["leadflow_run"])) if given else servers.Run.begin()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["leadflow_run"] = str(node.config.stash[RUN].folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    if RUN in config.stash and not hasattr(config, "workerinput"):
        config.stash[RUN].end()


# What the machine lacks -----------------------------------------------------------------------------------------------


@pytest.hookimpl(trylast=True)  # after -m and -k
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for need in servers.NEEDS:
        tests = [item for item in items if item.get_closest_marker(need.marker)]
        if tests and not servers.in_ci() and not need.is_installed():
            config.stash[LEFT_OUT][need.name] = len(tests)
            config.hook.pytest_deselected(items=tests)
            items[:] = [item for item in items if item not in tests]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for need in servers.NEEDS:
        if item.get_closest_marker(need.marker):
            if not need.is_installed():
                pytest.fail(f"{need.name} is not installed, and LEADFLOW_CI=1 leaves nothing out", pytrace=False)
            if trouble := need.trouble():
                pytest.fail(trouble, pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["leadflow_left_out"] = session.config.stash[LEFT_OUT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[LEFT_OUT].update(getattr(node, "workeroutput", {}).get("leadflow_left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name, count in config.stash[LEFT_OUT].items():
        terminalreporter.write_line(f"{name} is not installed: {count} tests left out", yellow=True)


# PostgreSQL -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def test_run(pytestconfig: pytest.Config) -> servers.Run:
    """What this test run's processes share."""
    return pytestconfig.stash[RUN]


@pytest.fixture(scope="session")
def postgres_url(test_run: servers.Run) -> str:
    """The URL of a PostgreSQL server whose role may create databases."""
    return test_run.postgres_url()


@pytest.fixture
def make_database(postgres_url: str) -> Iterator[Callable[[], str]]:
    """Call it for the URL of a new empty database, dropped after the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(servers.database(postgres_url))


@pytest.fixture
def fresh_database_url(make_database: Callable[[], str]) -> str:
    """The URL of a new empty database."""
    return make_database()


@pytest.fixture(scope="session")
def template_database(test_run: servers.Run) -> str:
    """The name of the database that `servers.prepare_template` made ready, once in the run."""
    return test_run.template_database(servers.prepare_template)


@pytest.fixture
def database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """The URL of a new database with leadflow's tables, a copy of `template_database`."""
    with servers.database(postgres_url, template_database) as url:
        yield url


@pytest.fixture(scope="session")
def configured_template(test_run: servers.Run) -> str:
    """The name of the database that `servers.prepare_configured_template` made ready, once in the run."""
    return test_run.template_database(servers.prepare_configured_template)


@pytest.fixture
def configured_database_url(postgres_url: str, configured_template: str) -> Iterator[str]:
    """The URL of a new database with `config/` applied, a copy of `configured_template`."""
    with servers.database(postgres_url, configured_template) as url:
        yield url


# Redis, RabbitMQ, Chromium --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The URL of a Redis-compatible server, one for each worker."""
    with servers.redis_server() as url:
        yield url


@pytest.fixture
def valkey_database_url(valkey_url: str, test_run: servers.Run) -> Iterator[str]:
    """The URL of an empty numbered database of `valkey_url` that this test has for itself."""
    with test_run.redis_database(valkey_url) as url:
        yield url


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """The URL of RabbitMQ; the tests are marked `rabbitmq`."""
    return servers.rabbitmq_url()


@pytest.fixture
def unique_queue() -> str:
    """A queue name that no other test uses."""
    return f"leadflow-test-{secrets.token_hex(6)}"


@pytest.fixture
def rabbitmq_queue(rabbitmq_url: str, unique_queue: str) -> Iterator[str]:
    """A queue name for RabbitMQ; the queue, if the test made it, is deleted afterwards."""
    yield unique_queue
    servers.forget_queue(rabbitmq_url, unique_queue)


@pytest.fixture(scope="session")
def base_url() -> str:
    """What relative addresses in browser tests begin with; the suite that has a server to show overrides it."""
    return ""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """pytest-playwright's own, with the system's Chromium; the tests are marked `browser`."""
    # Chromium refuses its sandbox to root, and containers have none.
    return {**browser_type_launch_args, "executable_path": servers.chromium(), "args": ["--no-sandbox"]}


# Processes ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts real processes with log files; all end with the test."""
    started = Processes(tmp_path)
    yield started
    started.stop_all()


@pytest.fixture
def leadflow_data_dir(tmp_path: Path) -> Iterator[Path]:
    """A folder for `leadflow up --data`; its PostgreSQL is stopped and deleted, also after a kill -9."""
    folder = tmp_path / "leadflow-data"
    yield folder
    if folder.exists():
        PostgresServer(folder).destroy()
