"""Tests of rules, run on documents that need not be published."""

from __future__ import annotations

from leadflow.errors import InvalidRequest
from leadflow.rules.conditions import leaves_of
from leadflow.rules.parsing import ParsedRules, parse_documents
from leadflow.rules.testing.views import RuleTestsView, view_of
from leadflow.services.recorded_tests import RecordedTest, test_from_run
from leadflow.services.rule_tests import ground_of_lists, run_tests
from leadflow.store.lists import read_lists
from leadflow.web.api.endpoints import Call, endpoint
from leadflow.web.api.models import Body, RecordPath

TAG = "Rules"

# Each test is run for each mutant that it might notice, and mutants are as many as clauses: a second or two at most.
MAX_TESTS = 2_000
MAX_WORK = 300_000


class RuleTestsBody(Body):
    """Rule documents with their tests, and files of lists, by name."""

    documents: dict[str, str]
    memory_only: bool = False


@endpoint("post", "/rules/test", role="viewer", tag=TAG, view=RuleTestsView)
def run_rule_tests(call: Call, body: RuleTestsBody) -> RuleTestsView:
    """Run the tests of rule documents, in memory and as SQL. Nothing is published, read or written.

    The documents need not be those that are live. With problems in them there are no results, only the problems.
    """
    lists = read_lists(call.connection)
    parsed = parse_documents(body.documents, lists.catalogue)
    if parsed.problems:
        return RuleTestsView(problems=parsed.problems)
    _refuse_too_much(parsed)
    connection = None if body.memory_only else call.connection
    return view_of(run_tests(parsed, ground_of_lists(lists), connection))


def _refuse_too_much(parsed: ParsedRules) -> None:
    """Raises: InvalidRequest for more than can be answered while somebody waits; the command takes any number."""
    clauses = {rule.slug: sum(1 for _ in leaves_of(rule.condition)) for rule in parsed.rule_set.rules}
    work = sum(clauses[test.rule] ** 2 for test in parsed.tests)
    if len(parsed.tests) > MAX_TESTS or work > MAX_WORK:
        size = f"{len(parsed.tests):,} tests of {sum(clauses.values()):,} clauses"
        raise InvalidRequest(f"{size} are too many to be run here at once; send fewer, or run `leadflow rules test`.")


@endpoint("get", "/runs/<id>/test", role="viewer", tag=TAG, view=RecordedTest)
def show_run_as_test(call: Call, path: RecordPath) -> RecordedTest:
    """Write a recorded run as a test of its rule.

    It says what it could not reproduce: names, for one, have no history. A run after a wait: 409.
    """
    return test_from_run(call.connection, path.id)
