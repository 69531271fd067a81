"""The schema of rule documents by API and command: that of the installation as it is now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator

from leadflow.cli import main
from tests.integration.api_support import CONFIG, Api, problem_of, running_api
from tests.support.reuse import ReusedDatabase


@pytest.fixture
def api(reused_database: ReusedDatabase) -> Iterator[Api]:
    with running_api(reused_database.fresh()) as running:
        yield running


def categories_in(schema: dict[str, Any]) -> list[str]:
    offered: list[str] = schema["definitions"]["value of company.category"]["anyOf"][0]["enum"]
    return offered


def test_a_category_made_in_the_product_is_in_the_schema_at_once(api: Api) -> None:
    before = api.get("/rules/schema", role="viewer")
    api.made("/categories", {"key": "suspect", "name": "Suspect", "group": "potential_customer"})
    after = api.get("/rules/schema", role="viewer")

    assert before.status_code == after.status_code == 200
    assert "Suspect" not in categories_in(before.json)
    assert {"Suspect", "suspect"} <= set(categories_in(after.json))
    Draft7Validator.check_schema(after.json)


def test_the_schema_needs_a_key(api: Api) -> None:
    problem_of(api.client.get("/api/v1/rules/schema"), 401)


def test_the_command_knows_the_files_or_what_is_live(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.made("/categories", {"key": "suspect", "name": "Suspect", "group": "potential_customer"})
    monkeypatch.setenv("LEADFLOW_CONFIG", str(CONFIG))
    monkeypatch.setenv("LEADFLOW_DATABASE_URL", api.engine.url.render_as_string(hide_password=False))

    by_files = CliRunner().invoke(main, ["schema"])
    live = CliRunner().invoke(main, ["schema", "--live"])

    assert (by_files.exit_code, live.exit_code) == (0, 0), live.output
    assert '"Suspect"' not in by_files.output
    assert '"Suspect"' in live.output
