"""Problems of rule documents: collected with their place, rendered for people, programs and GitHub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from operator import attrgetter
from typing import Literal

from leadflow.domain.text import fold
from leadflow.rules.nodes import Node, SharedNode

# YAML's own line breaks, so that our line numbers are those of the parser.
LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")

# An error keeps a rule set from being published; a warning or a note does not.
Severity = Literal["error", "warning", "note"]
GITHUB_WORDS: dict[Severity, str] = {"error": "error", "warning": "warning", "note": "notice"}

MAX_PROBLEMS_PER_DOCUMENT = 100
MAX_SHOWN_WIDTH = 160
MAX_ALLOWED_WIDTH = 80
MAX_COMPARED_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a document. `line` and `column` count from 1; `code` is a stable slug."""

    file: str
    line: int
    column: int
    code: str
    message: str
    source_line: str = ""
    caret_width: int = 1
    suggestion: str | None = None
    allowed: tuple[str, ...] = ()
    severity: Severity = "error"


class Report:
    """The problems of one document, in the order in which they were found."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines = LINE_BREAK.split(text)
        self.problems: list[Problem] = []
        self._shown_lines: dict[int, str] = {}
        self._seen: set[tuple[int, int, str]] = set()

    def add(
        self,
        place: Node,
        code: str,
        message: str,
        *,
        suggestion: str | None = None,
        allowed: Iterable[str] = (),
        severity: Severity = "error",
    ) -> None:
        """Note a problem at `place`, once; a place that is faulty already stays as reported."""
        if isinstance(place, SharedNode) and place.home not in (None, self):
            place.home.add(place, code, message, suggestion=suggestion, allowed=allowed, severity=severity)
            return
        mark = (place.line, place.column, code)
        if place.is_faulty or mark in self._seen or len(self.problems) > MAX_PROBLEMS_PER_DOCUMENT:
            return
        self._seen.add(mark)
        if len(self.problems) == MAX_PROBLEMS_PER_DOCUMENT:
            code, message = "too-many-problems", "there are more problems below; mend these first"
            suggestion, allowed = None, ()
        source_line = self._shown_line(place.line)
        width = max(1, min(place.width, len(source_line) - place.column + 1))
        near = printable(suggestion) if suggestion else None
        self.problems.append(
            Problem(
                self.file,
                place.line,
                place.column,
                code,
                printable(message),
                source_line,
                width,
                near,
                tuple(map(printable, allowed)),
                severity,
            )
        )

    def nearest(self, text: str, names: Iterable[str]) -> str | None:
        """The name that was probably meant; not looked for when so much is wrong already that nobody will be told."""
        return None if len(self.problems) > MAX_PROBLEMS_PER_DOCUMENT else find_nearest(text, names)

    def _shown_line(self, line: int) -> str:
        """The author's line as it can be shown; kept, since a long line may have many problems."""
        if line not in self._shown_lines:
            self._shown_lines[line] = printable(self.lines[line - 1]) if line <= len(self.lines) else ""
        return self._shown_lines[line]


def quoted(text: str) -> str:
    """`text` in quotation marks, shortened, without characters that would disturb a terminal."""
    shown = text if len(text) <= MAX_COMPARED_LENGTH else text[: MAX_COMPARED_LENGTH - 1] + "…"
    return f"'{printable(shown)}'"


def find_nearest(text: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant; None when none is close."""
    if len(text) > MAX_COMPARED_LENGTH:
        return None
    by_fold: dict[str, str] = {}
    for name in names:
        by_fold.setdefault(fold(name), name)
    found = get_close_matches(fold(text), by_fold, n=1, cutoff=0.6)
    return by_fold[found[0]] if found else None


def in_reading_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """By file, then from top to bottom."""
    return tuple(sorted(problems, key=attrgetter("file", "line", "column")))


def errors_among(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Those that keep the documents from being published."""
    return tuple(one for one in problems if one.severity == "error")


def render_text(problems: Iterable[Problem]) -> str:
    """For people: the place, what is wrong, the author's line with a caret, the nearest name, what is allowed."""
    return "\n".join(_render_one(problem) for problem in problems)


def _render_one(problem: Problem) -> str:
    shown, caret_at = _crop(problem)
    caret = "".join("\t" if character == "\t" else " " for character in shown[:caret_at])
    lines = [
        f"{problem.file}:{problem.line}:{problem.column}: {problem.severity}[{problem.code}]: {problem.message}",
        f"{problem.line:>5} | {shown}",
        f"      | {caret}{'^' * min(problem.caret_width, MAX_SHOWN_WIDTH)}",
    ]
    if problem.suggestion:
        lines.append(f"      = did you mean '{problem.suggestion}'?")
    if problem.allowed:
        lines.append(f"      = allowed: {_shorten(problem.allowed)}")
    return "\n".join(lines)


def _crop(problem: Problem) -> tuple[str, int]:
    """The part of a very long line around the caret, and where the caret stands in it."""
    line, caret_at = problem.source_line, problem.column - 1
    if len(line) <= MAX_SHOWN_WIDTH:
        return line, caret_at
    start = max(0, caret_at - MAX_SHOWN_WIDTH // 2)
    return line[start : start + MAX_SHOWN_WIDTH], caret_at - start


def _shorten(names: Sequence[str]) -> str:
    shown = names[0]
    for name in names[1:]:
        if len(shown) + len(name) + 2 > MAX_ALLOWED_WIDTH:
            return f"{shown}, …"
        shown += f", {name}"
    return shown


def printable(text: str) -> str:
    """`text` of the same length, without characters that move a terminal or that no file can hold."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\t" else "\N{REPLACEMENT CHARACTER}" for one in text)


def render_json(problems: Iterable[Problem]) -> str:
    """For programs: a list of objects with the names of `Problem`'s fields."""
    rows = [asdict(problem) | {"source_line": _crop(problem)[0]} for problem in problems]
    return json.dumps(rows, ensure_ascii=False, indent=2)


def render_github(problems: Iterable[Problem]) -> str:
    """As GitHub workflow commands, which annotate the changed lines of a pull request."""
    return "\n".join(_annotation(problem) for problem in problems)


def _annotation(problem: Problem) -> str:
    message = problem.message + (f" (did you mean '{problem.suggestion}'?)" if problem.suggestion else "")
    place = f"file={_escape_property(problem.file)},line={problem.line},col={problem.column}"
    end = f"endColumn={problem.column + problem.caret_width}"
    return (
        f"::{GITHUB_WORDS[problem.severity]} {place},{end},title={_escape_property(problem.code)}::{_escape(message)}"
    )


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
