"""`{FIELD: test}`: the tests of one field."""

from __future__ import annotations

from collections.abc import Collection

from leadflow.domain.fields import Field, Kind
from leadflow.rules.conditions import Clause, FieldTest
from leadflow.rules.nodes import ListNode, MappingNode, Node
from leadflow.rules.operators import EVERY_OPERATOR, OPERATORS_OF, Operator
from leadflow.rules.problems import quoted
from leadflow.rules.reading import Reader, Scope

OR_BLANK = "or_blank"


def read_clause(
    reader: Reader, path: str, field: Field, node: Node, scope: Scope, place: Node | None = None
) -> Clause | None:
    """The test of one field: a value (is; has for lists), a list of values (in; has_any), or operators."""
    if isinstance(node, MappingNode):
        found = read_tests(reader, path, field, node, scope)
        return None if found is None else Clause(path, field, *found, reader.zone, place)
    is_list = field.kind is Kind.LIST
    name = ("has_any" if is_list else "in") if isinstance(node, ListNode) else ("has" if is_list else "is")
    test = _read_test(reader, name, node, node, field, scope)
    return None if test is None else Clause(path, field, (test,), False, reader.zone, place)


def read_tests(
    reader: Reader, path: str, field: Field, node: MappingNode, scope: Scope, skip: Collection[str] = ()
) -> tuple[tuple[FieldTest, ...], bool] | None:
    """The operators of a mapping, and whether a blank will do; keys in `skip` are somebody else's."""
    entries = {name: entry for name, entry in node.entries.items() if name not in skip}
    if not entries:
        reader.add(node, "empty-value", f"{path} has no test", allowed=_names_for(field, scope))
        return None
    or_blank: bool | None = False
    tests: list[FieldTest | None] = []
    for name, (key, value) in entries.items():
        if name == OR_BLANK:
            or_blank = reader.flag(value, OR_BLANK)
        else:
            tests.append(_read_test(reader, name, key, value, field, scope))
    if not tests:
        key = entries[OR_BLANK][0]
        reader.add(key, "missing-key", "or_blank goes with another test; 'exists: false' asks for a blank alone")
    good = tuple(test for test in tests if test)
    if or_blank is None or not good or len(good) < len(tests):
        return None
    return good, or_blank


def _read_test(reader: Reader, name: str, place: Node, value: Node, field: Field, scope: Scope) -> FieldTest | None:
    operator = _find_operator(reader, name, place, field, scope)
    operand = None if operator is None else operator.operand.read(reader, value, field, scope)
    return None if operator is None or operand is None else FieldTest(operator, operand)


def _find_operator(reader: Reader, name: str, place: Node, field: Field, scope: Scope) -> Operator | None:
    operator = OPERATORS_OF[field.kind].get(name)
    if operator is not None and (scope.has_changes or not operator.only_on_change):
        return operator
    allowed = _names_for(field, scope)
    if operator is None:
        what = f"does not work on {field.path} ({field.kind})" if name in EVERY_OPERATOR else "is not an operator"
        code = "wrong-operator" if name in EVERY_OPERATOR else "unknown-operator"
        reader.add(place, code, f"{quoted(name)} {what}", suggestion=reader.nearest(name, allowed), allowed=allowed)
    else:
        message = f"{quoted(name)} works only under record_changed, the one trigger that tells what changed"
        reader.add(place, "wrong-operator", message, allowed=allowed)
    return None


def _names_for(field: Field, scope: Scope) -> list[str]:
    fitting = [one for one in OPERATORS_OF[field.kind].values() if scope.has_changes or not one.only_on_change]
    return [*(one.name for one in fitting), OR_BLANK]
