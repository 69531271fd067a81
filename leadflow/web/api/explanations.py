"""Why a rule would or would not act on a record."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from leadflow.errors import Fault, InvalidRequest
from leadflow.services.explanations import Explanation, explain_live_rule
from leadflow.services.rule_sets import live_documents
from leadflow.store.lists import read_lists
from leadflow.web.api.endpoints import Call, endpoint
from leadflow.web.api.models import Id, Query, RulePath
from leadflow.web.pages import rulebook


class ExplainQuery(Query):
    company_id: Annotated[Id | None, Field(description="the company to explain it for")] = None
    contact_id: Annotated[Id | None, Field(description="the contact to explain it for")] = None


@endpoint("get", "/rules/<rule>/explain", role="viewer", tag="Rules", view=Explanation)
def explain_rule(call: Call, path: RulePath, query: ExplainQuery) -> Explanation:
    """Say what the rule would do for a record if its trigger occurred now, and what is missing where it would not act.

    Name a company or a contact, not both. Nothing is written: the judge of daily life tries the rule on copies.
    `nearest` is the smallest set of changes found after which the rule acts; `hindrance` says why there is none.
    """
    if (query.company_id is None) == (query.contact_id is None):
        raise InvalidRequest([Fault("company_id", "name either company_id or contact_id")])
    lists = read_lists(call.connection)
    rule_set = rulebook.read(live_documents(call.connection)[1], lists).rule_set
    ids = query.company_id, query.contact_id
    return explain_live_rule(call.connection, lists, rule_set, path.rule, *ids, call.now)
