"""set_field."""

from __future__ import annotations

from leadflow.domain.effects import SetField, Step
from leadflow.domain.fields import Field, Kind, UnreadableValue, read_value
from leadflow.errors import LeadflowError
from leadflow.rules.actions.base import Action, NothingToWrite, Plan, always, expect_contact
from leadflow.rules.model import Situation
from leadflow.rules.nodes import ListNode, Node, ScalarNode
from leadflow.rules.reading import Reader, Scope
from leadflow.rules.templates import Template, read_template
from leadflow.rules.values import TEXT_KINDS


class SetFieldAction(Action):
    """`set_field: {field: company.owner, to: anna}`, for fields that the catalogue marks writable."""

    name = "set_field"

    def read(self, reader: Reader, node: Node, scope: Scope) -> Plan | None:
        given = reader.entries(node, self.name, ("field", "to"), ("field", "to"))
        if not given or len(given) < 2:
            return None
        field = self._read_field(reader, given["field"], scope)
        if field is None:
            return None
        if field.kind in TEXT_KINDS:
            template = read_template(reader, given["to"], scope, field.path)
            return _describe_text(reader, given["to"], field, template) if template else None
        value = _read_list(reader, given["to"], field) if field.kind is Kind.LIST else reader.value(given["to"], field)
        return None if value is None else always(SetField(field.path, value))

    @staticmethod
    def _read_field(reader: Reader, node: Node, scope: Scope) -> Field | None:
        path = reader.text(node, "field")
        if path is None or not isinstance(node, ScalarNode):
            return None
        if path.startswith("contact.") and not expect_contact(reader, node, scope, "write a field of the company"):
            return None
        field = reader.field(node, scope)
        if field is None:
            return None
        if not field.is_writable or field.path != path:
            writable = [one.path for one in reader.catalogue.fields.values() if one.is_writable]
            reader.add(
                node,
                "not-writable",
                f"rules cannot write {path}{_other_action(field)}",
                suggestion=reader.nearest(path, writable),
                allowed=writable,
            )
            return None
        return field


def _other_action(field: Field) -> str:
    """Where the field has an action of its own."""
    action = {
        "company.category": "set_category",
        "contact.lead_status": "set_lead_status",
        "company.tags": "add_tag and remove_tag",
        "contact.tags": "add_tag and remove_tag",
    }.get(field.path)
    return f" by set_field; use {action}" if action else ""


def _read_list(reader: Reader, node: Node, field: Field) -> tuple[str, ...] | None:
    """The texts of a list field; one text is a list of one."""
    items = node.items if isinstance(node, ListNode) else [node]
    texts = [text for item in items if (text := reader.text(item, field.path))]
    if not items:
        reader.add(node, "empty-list", f"{field.path} is an empty list")
    return tuple(dict.fromkeys(texts)) or None


def _describe_text(reader: Reader, node: Node, field: Field, template: Template) -> Plan | None:
    if template.constant is not None:
        value = reader.value(node, field)
        return None if value is None else always(SetField(field.path, value))

    def describe(situation: Situation) -> Step:
        try:
            value = read_value(field, template(situation))
        except UnreadableValue as fault:
            raise LeadflowError(f"{field.path} cannot be written: {fault}.") from None
        if value is None:
            raise NothingToWrite(f"The text for {field.path} came out blank.")
        return SetField(field.path, value)

    return Plan(describe, writes=field.path)
