"""`make test`: every test, first those that may share the machine, then those that want it for themselves.

    python tests/quality/run_tests.py [PATH …]

Tests that need a program this machine lacks (RabbitMQ, Chromium) are left out and named. With LEADFLOW_CI=1 a test
that was skipped or left out is a failure: what CI did not run, nobody ran.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WANT_THE_MACHINE_ALONE = ("rabbitmq", "redis", "browser", "slow")
NO_TESTS_COLLECTED = 5


@dataclass
class Count:
    """What the reports of all phases add up to."""

    passed: int = 0
    failed: int = 0
    skipped: list[str] = field(default_factory=list)

    def add(self, report: Path) -> None:
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            if case.find("skipped") is not None:
                self.skipped.append(
                    f"{case.get('classname')}::{case.get('name')}: {case.find('skipped').get('message')}"
                )
            elif case.find("failure") is not None or case.find("error") is not None:
                self.failed += 1
            else:
                self.passed += 1


def main(paths: list[str]) -> int:
    """Run both phases over `paths` (all tests if none is given); the exit status for make."""
    in_ci = os.environ.get("LEADFLOW_CI") == "1"
    left_out = what_this_machine_lacks()
    count = Count()
    shared = f"not ({any_of(WANT_THE_MACHINE_ALONE)} or benchmark)"
    alone = f"({any_of(WANT_THE_MACHINE_ALONE)}) and not ({any_of(['benchmark', *left_out])})"

    statuses = [
        run_phase("side by side", ["-n", "2", "--dist", "loadfile", "-m", shared], paths, count),
        run_phase("one at a time", ["-m", alone], paths, count),
    ]
    for mark, remedy in left_out.items():
        print(f"Left out: the tests marked {mark}. {remedy}")
    for test in count.skipped:
        print(f"Skipped: {test}")
    print(f"Total: {count.passed} passed, {count.failed} failed, {len(count.skipped)} skipped")

    if in_ci and (left_out or count.skipped):
        print("In CI nothing may be skipped or left out.", file=sys.stderr)
        return 1
    if not count.passed:
        print("No test ran.", file=sys.stderr)
        return 1
    return max(statuses)


def any_of(marks: Iterable[str]) -> str:
    """The pytest expression for tests with at least one of `marks`."""
    return " or ".join(marks)


def what_this_machine_lacks() -> dict[str, str]:
    """The marks whose tests cannot run here, each with what to do about it."""
    lacks = {}
    if not os.environ.get("LEADFLOW_TEST_RABBITMQ_URL"):
        lacks["rabbitmq"] = "Set LEADFLOW_TEST_RABBITMQ_URL, for example to amqp://guest:guest@127.0.0.1:5672//"
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        lacks["browser"] = "Install Chromium, on Debian: apt install chromium"
    return lacks


def run_phase(title: str, options: list[str], paths: list[str], count: Count) -> int:
    """Pytest with `options`, its results added to `count`; 0 if all passed or the phase is empty."""
    print(f"Tests {title}", flush=True)
    with tempfile.TemporaryDirectory(prefix="leadflow-tests-") as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", *options, f"--junit-xml={report}", *paths]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        if report.exists():
            count.add(report)
    return 0 if status == NO_TESTS_COLLECTED else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
