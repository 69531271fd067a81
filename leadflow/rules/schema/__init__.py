"""JSON Schema (draft-07) of rule documents, from the same catalogue, operators, triggers and actions as the parser.

Editors that know it complete fields, operators and values and mark mistakes while one types. It never refuses a
document that the parser takes; what it cannot see, `leadflow rules check` reports.
"""

from leadflow.rules.schema.documents import make_schema, render_schema

__all__ = ["make_schema", "render_schema"]
