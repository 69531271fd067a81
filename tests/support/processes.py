"""Real processes for tests: started with a log file, waited for, ended with everything they started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Answer = TypeVar("Answer")

POLL_SECONDS = 0.05
LOG_TAIL_LINES = 40


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


def wait_until(condition: Callable[[], Answer], timeout_seconds: float = 10, what: str = "") -> Answer:
    """Ask `condition` until its answer is true and return that answer.

    Raises: AssertionError after `timeout_seconds`, with `what` was waited for. An error of `condition` passes through.
    """
    deadline = time.monotonic() + timeout_seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or condition} did not come true within {timeout_seconds} s")
        time.sleep(POLL_SECONDS)
    return answer


@dataclass
class Process:
    """A process and the group of all that it started; `name` is for messages."""

    name: str
    popen: subprocess.Popen[bytes]
    log_file: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def is_running(self) -> bool:
        return self.popen.poll() is None

    def log(self) -> str:
        """All that it wrote to stdout and stderr so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, condition: Callable[[], Answer], timeout_seconds: float = 10, what: str = "") -> Answer:
        """Like `wait_until`; fails at once, with the end of the log, if the process ends meanwhile."""

        def condition_of_the_living() -> Answer:
            answer = condition()
            if not answer and not self.is_running:
                raise AssertionError(f"{self.name} ended with {self.popen.returncode}:\n{self._log_tail()}")
            return answer

        try:
            return wait_until(condition_of_the_living, timeout_seconds, what)
        except AssertionError as error:
            error.add_note(f"The log of {self.name}:\n{self._log_tail()}")
            raise

    def wait_for_log(self, text: str, timeout_seconds: float = 10) -> None:
        """Wait until `text` stands in its log."""
        self.wait_until(lambda: text in self.log(), timeout_seconds, f"{text!r} in the log of {self.name}")

    def wait(self, timeout_seconds: float = 10) -> int:
        """Wait for its end; return its exit code (negative: the signal)."""
        try:
            return self.popen.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            message = f"{self.name} still runs after {timeout_seconds} s:\n{self._log_tail()}"
            raise AssertionError(message) from None

    def send(self, signal_number: int) -> None:
        """Send a signal to the process alone (SIGINT: Ctrl-C, SIGSTOP: freeze)."""
        self.popen.send_signal(signal_number)

    def terminate(self, timeout_seconds: float = 20) -> int:
        """Ask the process to end (SIGTERM) and wait; return its exit code."""
        self.popen.terminate()
        return self.wait(timeout_seconds)

    def kill(self) -> None:
        """kill -9 for the process and its whole group, frozen or not."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait(10)

    def _log_tail(self) -> str:
        return "\n".join(self.log().splitlines()[-LOG_TAIL_LINES:])


class Processes:
    """Starts processes whose logs lie in `folder`; ends them all at the end of the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Process] = []

    def start(
        self,
        *command: str | Path,
        name: str = "",
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
    ) -> Process:
        """Start a program; `env` adds to the environment, a value of None removes a variable."""
        name = name or Path(command[0]).name
        log_file = self._folder / f"{len(self._started):02d}-{name.replace('/', '-')}.log"
        with log_file.open("wb") as log:
            popen = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(env or {}),
                cwd=cwd,
                start_new_session=True,
            )
        process = Process(name, popen, log_file)
        self._started.append(process)
        return process

    def python(self, *arguments: str | Path, **options: object) -> Process:
        """Start this Python; `python("-m", "leadflow", "up")`. Options as for `start`."""
        options.setdefault("name", "-".join(str(part) for part in arguments if not str(part).startswith("-"))[:40])
        return self.start(sys.executable, *arguments, **options)  # type: ignore[arg-type]

    def stop_all(self) -> None:
        """End everything that still runs, the latest first; kill what does not end within two seconds."""
        for process in reversed(self._started):
            if process.is_running:
                process.popen.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.popen.wait(2)
            process.kill()


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **changes}
    return {name: value for name, value in environment.items() if value is not None}
