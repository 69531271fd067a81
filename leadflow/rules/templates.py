"""`{{ path | filter }}` in the texts of actions: read by Jinja's parser, restricted to fields and six filters.

A template is turned into plain functions when it is read; nothing of Jinja runs later: there is no sandbox to escape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.sandbox import SandboxedEnvironment

from leadflow.domain.fields import Field, Kind
from leadflow.domain.text import clean_text
from leadflow.rules.model import Situation
from leadflow.rules.nodes import Node, ScalarNode
from leadflow.rules.problems import find_nearest, quoted
from leadflow.rules.reading import Reader, Scope
from leadflow.rules.values import TIME_KINDS, Read, as_text, expect_readable, reader_of

# The text that a template gives in a situation; None when nothing is left of it.
Render = Callable[[Situation], str | None]
# One piece of a template in a situation, or one filter on a value.
Piece = Callable[[Situation], str]
Filter = Callable[[Any], Any]

FILTERS = ("default", "upper", "lower", "title", "date", "number")
MAX_TEMPLATE_LENGTH = 2_000
MAX_DECIMALS = 6

_ENVIRONMENT = SandboxedEnvironment()


class _Fault(Exception):
    """Something in a template that is not allowed."""

    def __init__(self, message: str, suggestion: str | None = None, allowed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.suggestion = suggestion
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Template:
    """A text for a situation; `constant` is the text itself where it has no `{{ … }}`."""

    render: Render
    constant: str | None = None

    def __call__(self, situation: Situation) -> str | None:
        return self.render(situation)


def read_template(reader: Reader, node: Node, scope: Scope, what: str) -> Template | None:
    """A text that may have `{{ … }}` in it. What is not allowed is a problem at the text's place."""
    text = reader.text(node, what)
    if text is None or not isinstance(node, ScalarNode):
        return None
    if not any(mark in text for mark in ("{{", "{%", "{#")):
        return Template(lambda situation: text, text)
    try:
        pieces = [_read_piece(reader, node, scope, piece) for piece in _parse(text)]
    except _Fault as fault:
        reader.add(node, "bad-template", f"{what}: {fault}", suggestion=fault.suggestion, allowed=fault.allowed)
        return None
    return Template(lambda situation: clean_text("".join(piece(situation) for piece in pieces)))


def _parse(text: str) -> list[nodes.Expr]:
    """The pieces of a template: data and expressions. Raises: _Fault."""
    if len(text) > MAX_TEMPLATE_LENGTH:
        raise _Fault(f"a text with {{{{ … }}}} has at most {MAX_TEMPLATE_LENGTH:,} characters")
    if any(mark in text for mark in ("{%", "{#", "{{-", "{{+", "-}}", "+}}")):
        raise _Fault("only {{ field | filter }} is known here, no other part of Jinja")
    try:
        template = _ENVIRONMENT.parse(text)
    except TemplateError as fault:
        raise _Fault(f"cannot be read: {fault.message}") from None
    except RecursionError:
        raise _Fault("is nested too deeply") from None
    return [piece for output in template.body if isinstance(output, nodes.Output) for piece in output.nodes]


def _read_piece(reader: Reader, node: ScalarNode, scope: Scope, piece: nodes.Expr) -> Piece:
    if isinstance(piece, nodes.TemplateData):
        data = piece.data
        return lambda situation: data
    filters: list[nodes.Filter] = []
    while isinstance(piece, nodes.Filter) and piece.node is not None:
        filters.insert(0, piece)
        piece = piece.node
    path = _path_of(piece)
    field = _find_field(reader, node, scope, path)
    if path not in scope.certain and not any(one.name == "default" for one in filters):
        raise _Fault(
            f"{path} may be blank: write {{{{ {path} | default('…') }}}}, or ask for it with 'exists: true' in 'if'"
        )
    start, texts = _read_filters(filters, field, reader.zone)
    return _compose(path, reader_of(path, field), start, texts)


def _path_of(piece: nodes.Node) -> str:
    if isinstance(piece, nodes.Getattr):
        return f"{_path_of(piece.node)}.{piece.attr}"
    if isinstance(piece, nodes.Name):
        return piece.name
    raise _Fault("only {{ field | filter }} is known here, no calls, sums or literals")


def _find_field(reader: Reader, node: ScalarNode, scope: Scope, path: str) -> Field:
    """The field with the same checks as in a condition. Raises: _Fault when it was reported already."""
    place = ScalarNode(node.line, node.column, node.width, text=path)
    field = reader.field(place, scope)
    if field is None:
        node.is_faulty = True  # the field's own problem has been noted at this place
        raise _Fault("")
    return field


def _compose(path: str, read: Read, start: Filter, texts: Sequence[Filter]) -> Piece:
    def piece(situation: Situation) -> str:
        text: str | None = start(expect_readable(read(situation), path))
        for apply in texts:
            text = apply(text)
        return text or ""

    return piece


def _read_filters(filters: Sequence[nodes.Filter], field: Field, zone: tzinfo) -> tuple[Filter, list[Filter]]:
    """How the value becomes text (date and number have their own ways), and the filters on that text."""
    first = filters[0] if filters else None
    if first is not None and first.name in ("date", "number"):
        return _read_format(first, field, zone), [_read_text_filter(one) for one in filters[1:]]
    return as_text(field, zone), [_read_text_filter(one) for one in filters]


def _read_format(one: nodes.Filter, field: Field, zone: tzinfo) -> Filter:
    arguments = _constants(one)
    if one.name == "date" and field.kind in TIME_KINDS and not arguments:
        return lambda value: value and _day_of(value, zone)
    if one.name == "number" and field.kind is Kind.NUMBER:
        match arguments:
            case []:
                return lambda value: None if value is None else f"{value.normalize():,f}"
            case [int(decimals)] if 0 <= decimals <= MAX_DECIMALS and decimals is not True and decimals is not False:
                return lambda value: None if value is None else f"{value:,.{decimals}f}"
    if one.name == "date":
        raise _Fault(f"date takes nothing in parentheses and shows dates and times; {field.path} is {field.kind}")
    raise _Fault(f"number shows numbers, number(2) with two decimals; {field.path} is {field.kind}")


def _read_text_filter(one: nodes.Filter) -> Filter:
    if one.name not in FILTERS:
        raise _Fault(f"there is no filter {quoted(one.name)}", find_nearest(one.name, FILTERS), FILTERS)
    match one.name, _constants(one):
        case "default", [str(text)] if text.strip():
            return lambda value: value or text
        case ("upper" | "lower" | "title") as name, []:
            return lambda value: value and getattr(value, name)()
        case "default", _:
            raise _Fault("default takes one text: default('there')")
        case ("date" | "number") as name, _:
            raise _Fault(f"{name} stands directly after the field")
    raise _Fault(f"{one.name} takes nothing in parentheses")


def _constants(one: nodes.Filter) -> list[Any]:
    """The filter's arguments. Raises: _Fault for anything but plain texts and numbers."""
    if one.kwargs or one.dyn_args or one.dyn_kwargs or not all(isinstance(a, nodes.Const) for a in one.args):
        raise _Fault(f"{one.name} takes plain values only")
    return [argument.value for argument in one.args if isinstance(argument, nodes.Const)]


def _day_of(value: date, zone: tzinfo) -> str:
    return (value.astimezone(zone) if isinstance(value, datetime) else value).isoformat()[:10]
