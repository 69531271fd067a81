"""Reading rule documents: YAML to a rule set, or to all problems at their places."""

from leadflow.rules.parsing.documents import ParsedRules, parse_documents
from leadflow.rules.parsing.mentions import files_mentioned

__all__ = ["ParsedRules", "files_mentioned", "parse_documents"]
