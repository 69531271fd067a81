"""How long the functions are, and which are longer than a screen.

    python tests/quality/function_lengths.py [FOLDER …]

Lines count from `def` to the last line of the body, docstring included.
"""

import ast
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

SCREEN_LINES = 60


class Function(NamedTuple):
    lines: int
    place: str
    name: str


def functions_in(folders: list[Path]) -> list[Function]:
    """Every function and method below `folders`, the longest first."""
    found = [
        Function(node.end_lineno - node.lineno + 1, f"{path}:{node.lineno}", node.name)
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
        if "migrations" not in path.parts  # lists of tables, written once and never changed
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return sorted(found, reverse=True)


def report(functions: list[Function]) -> str:
    """One line of numbers, then the functions that are longer than a screen."""
    lengths = sorted(function.lines for function in functions)
    summary = (
        f"{len(lengths)} functions: median {statistics.median(lengths):g} lines, "
        f"95th percentile {lengths[int(len(lengths) * 0.95)]}, longest {lengths[-1]}"
    )
    too_long = [
        f"{f.place}: {f.name} has {f.lines} lines, more than a screen ({SCREEN_LINES})"
        for f in functions
        if is_too_long(f)
    ]
    return "\n".join([summary, *too_long])


def is_too_long(function: Function) -> bool:
    return function.lines > SCREEN_LINES


def main(folders: list[str]) -> int:
    functions = functions_in([Path(folder) for folder in folders or ["leadflow"]])
    if not functions:
        print("No function found.", file=sys.stderr)
        return 2
    print(report(functions))
    return 1 if any(map(is_too_long, functions)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
