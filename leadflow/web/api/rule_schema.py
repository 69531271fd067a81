"""What editors of rule documents need to know."""

from __future__ import annotations

from typing import Any

from pydantic import RootModel

from leadflow.rules.schema import make_schema
from leadflow.store.lists import read_lists
from leadflow.web.api.endpoints import Call, endpoint

TAG = "Rules"


class JsonSchema(RootModel[dict[str, Any]]):
    """A JSON Schema, draft-07."""


@endpoint("get", "/rules/schema", role="viewer", tag=TAG, view=JsonSchema)
def show_rule_schema(call: Call) -> JsonSchema:
    """Read the JSON Schema of rule documents.

    It knows the fields, categories and lead statuses of this installation as they are now.
    """
    return JsonSchema(make_schema(read_lists(call.connection).catalogue))
