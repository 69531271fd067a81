"""The API does what its OpenAPI document says: schemathesis asks for all that it allows, and for what it does not.

`LEADFLOW_CI_FUZZ_EXAMPLES=100` makes the run longer, `LEADFLOW_CI_FUZZ_SEED=…` another one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from leadflow.services.configuration import read_configuration
from tests.integration.api_support import CONFIG, Api, running_api
from tests.support.serving import served

SEED = int(os.environ.get("LEADFLOW_CI_FUZZ_SEED", "20261122"))
EXAMPLES = int(os.environ.get("LEADFLOW_CI_FUZZ_EXAMPLES", "5"))
IS_BY_DEFAULT = "LEADFLOW_CI_FUZZ_EXAMPLES" not in os.environ


@pytest.fixture
def api(configured_database_url: str) -> Iterator[Api]:
    with running_api(configured_database_url, sources=read_configuration(CONFIG, {}).sources) as running:
        company = running.made("/companies", {"name": "Nordwind", "domain": "nordwind.example", "category": "lead"})
        running.made("/contacts", {"email": "anna@nordwind.example", "company_id": company["id"]})
        running.made("/sales", {"company_id": company["id"], "title": "Pilot", "amount": "1200.00"})
        running.made("/tasks", {"title": "Call", "company_id": company["id"]})
        yield running


# What no schema can say of well-formed requests: the cursor is another list's (400), the record changed since the
# version named in If-Match (412), the category or condition names something that this installation does not have (422).
BEYOND_SCHEMAS = ["2xx", "3xx", "400", "401", "403", "404", "409", "412", "422", "429"]
# What is wrong may be refused for something else that is wrong with it, too: the version (412), the length (413, 414).
REFUSALS = ["400", "401", "403", "404", "405", "406", "409", "412", "413", "414", "415", "422", "428", "429"]


def settings(api: Api) -> SchemathesisConfig:
    """All checks, with a key that may do everything."""
    generation = {"max-examples": EXAMPLES, "deterministic": IS_BY_DEFAULT, "database": "none"}
    return SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "headers": {"Authorization": f"Bearer {api.key('admin')}"},
            "generation": generation,
            "checks": {
                "positive_data_acceptance": {"expected-statuses": BEYOND_SCHEMAS},
                "negative_data_rejection": {"expected-statuses": REFUSALS},
            },
            "phases": {"stateful": {"enabled": not IS_BY_DEFAULT}},
        }
    )


@pytest.fixture
def address(api: Api) -> Iterator[str]:
    """The API on a real port."""
    with served(api.app, keeps_connections=True) as here:
        yield here


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
def test_the_api_does_what_its_document_says(api: Api, address: str) -> None:
    schema = schemathesis.openapi.from_url(f"{address}/api/v1/openapi.json", config=settings(api))
    failures: dict[str, str] = {}
    asked: Counter[str] = Counter()

    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            asked[event.recorder.label] += len(event.recorder.interactions)
            failures |= _failures_of(event)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            failures[f"error {event}"] = str(getattr(event, "info", None) or getattr(event, "exception", ""))

    document = api.client.get("/api/v1/openapi.json").json
    operations = {f"{method.upper()} {path}" for path, ways in document["paths"].items() for method in ways}
    assert failures == {}, "\n\n".join(failures.values())
    assert operations <= set(asked), "some were not asked"
    assert sum(asked.values()) > 20 * len(operations)


def _failures_of(event: events.ScenarioFinished) -> dict[str, str]:
    """Each kind of failure of each operation once, with a request that shows it."""
    return {
        f"{event.recorder.label} {node.name} {node.failure_info.failure.title}": (
            f"{event.recorder.label}: {node.failure_info.failure.title}\n{node.failure_info.failure.message}"
            f"\n{node.failure_info.code_sample}"
        )
        for nodes in event.recorder.checks.values()
        for node in nodes
        if node.failure_info is not None
    }
