"""The no-downgrade certificate of what is live, or of files."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from leadflow.rules.certificate import Certificate, certify
from leadflow.rules.parsing import ParsedRules, parse_documents
from leadflow.rules.testing.stage import Ground
from leadflow.services.configuration import Configuration
from leadflow.services.rule_sets import RulesHaveProblems, live_documents
from leadflow.services.rule_tests import ground_of_configuration, ground_of_lists
from leadflow.store.lists import read_lists


def certify_live_rules(connection: Connection) -> Certificate:
    """The live rules under the lists of today. Raises: RulesHaveProblems if they cannot be read."""
    lists = read_lists(connection)
    version, documents = live_documents(connection)
    parsed = parse_documents(documents, lists.catalogue, version=version or 0, with_tests=False)
    return _certify(parsed, ground_of_lists(lists))


def certify_documents(connection: Connection, documents: Mapping[str, str]) -> Certificate:
    """A draft of the rules under the lists of today. Raises: RulesHaveProblems if it cannot be read."""
    lists = read_lists(connection)
    return _certify(parse_documents(documents, lists.catalogue, with_tests=False), ground_of_lists(lists))


def certify_files(documents: Mapping[str, str], configuration: Configuration) -> Certificate:
    """Rules in files, under the lists of `config/`. Raises: RulesHaveProblems if they cannot be read."""
    ground = ground_of_configuration(configuration)
    return _certify(parse_documents(documents, ground.catalogue, with_tests=False), ground)


def _certify(parsed: ParsedRules, ground: Ground) -> Certificate:
    if parsed.problems:
        raise RulesHaveProblems(parsed.problems)
    return certify(parsed.rule_set, ground.lifecycle, ground.statuses)
