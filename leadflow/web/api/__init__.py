"""The API, version 1. Importing this package makes all endpoints known to `endpoints.api`."""

from leadflow.web.api import (
    certificate,
    companies,
    contacts,
    follow_ups,
    history,
    lists,
    outbound,
    proposals,
    rule_schema,
    rule_tests,
    sales,
    searches,
    sweeps,
)
from leadflow.web.api.endpoints import api

__all__ = [
    "api",
    "certificate",
    "companies",
    "contacts",
    "follow_ups",
    "history",
    "lists",
    "outbound",
    "proposals",
    "rule_schema",
    "rule_tests",
    "sales",
    "searches",
    "sweeps",
]
