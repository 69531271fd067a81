"""Too much at once is refused with 429, tells when to go on, and takes nothing from others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leadflow.errors import ConfigurationError
from leadflow.services.configuration import read_configuration
from leadflow.settings import read_settings
from tests.integration.api_support import CONFIG, Api, problem_of, running_api
from tests.support.reuse import ReusedDatabase


@pytest.fixture
def url(reused_database: ReusedDatabase) -> str:
    return reused_database.fresh()


@contextmanager
def limited(url: str, **limits: str) -> Iterator[Api]:
    with running_api(url, sources=read_configuration(CONFIG, {}).sources, **limits) as api:
        yield api


def test_each_answer_says_how_much_is_left_until_no_more_is(url: str) -> None:
    with limited(url, api_limit="3 per minute") as api:
        answers = [api.get("/categories") for _ in range(4)]

    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert [one.headers["RateLimit-Remaining"] for one in answers] == ["2", "1", "0", "0"]
    assert {one.headers["RateLimit-Policy"] for one in answers} == {"3;w=60"}
    assert [("Retry-After" in one.headers) for one in answers] == [False, False, False, True]
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
    assert "3 requests in 60 s" in problem_of(answers[3], 429)["detail"]


def test_one_key_takes_nothing_from_another(url: str) -> None:
    with limited(url, api_limit="1 per minute") as api:
        answers = [api.get("/categories", role=role).status_code for role in ("viewer", "viewer", "editor")]

    assert answers == [200, 429, 200]


def test_all_routes_of_the_api_count_together_and_only_they(url: str) -> None:
    with limited(url, api_limit="2 per minute") as api:
        assert [api.get(path).status_code for path in ("/categories", "/changes", "/tasks")] == [200, 200, 429]
        assert api.client.get("/healthz").status_code == 200
        assert "RateLimit-Limit" not in api.client.get("/sign-in").headers


def test_a_refused_request_has_no_effect(url: str) -> None:
    with limited(url, api_limit="1 per minute") as api:
        api.post("/companies", {"name": "First"})
        problem_of(api.post("/companies", {"name": "Second"}), 429)

        assert api.count("company") == 1


def test_the_limit_is_kept_by_threads_together(url: str) -> None:
    with limited(url, api_limit="5 per minute") as api:
        api.key("viewer")
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda: statuses.append(api.get("/categories", role="viewer").status_code))
            for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(statuses) == [200] * 5 + [429] * 7


def deliver(api: Api, number: int) -> int:
    headers = {"webhook-id": f"d-{number}"}
    return api.client.post("/hooks/generic", json={"form": "contact"}, headers=headers).status_code


def test_hooks_are_not_limited_unless_it_is_asked_for(url: str) -> None:
    with limited(url, api_limit="1 per minute") as api:
        assert {deliver(api, number) for number in range(20)} == {200}


def test_a_limited_hook_says_when_to_come_back_and_stores_nothing(url: str) -> None:
    with limited(url, hook_limit="2 per minute") as api:
        assert [deliver(api, number) for number in range(4)] == [200, 200, 429, 429]
        refused = api.client.post("/hooks/generic", json={}, headers={"webhook-id": "d-9"})
        assert int(refused.headers["Retry-After"]) >= 1
        problem_of(refused, 429)
        assert api.count("event") == 2


@pytest.mark.parametrize(
    ("written", "meant"), [("600 per minute", "600 per minute"), ("none", None), ("", "30000 per minute")]
)
def test_a_limit_is_a_setting(tmp_path: Path, written: str, meant: str | None) -> None:
    assert read_settings(tmp_path, {"LEADFLOW_API_LIMIT": written}).api_limit == meant


@pytest.mark.parametrize("written", ["600", "0 per minute", "10 per fortnight", "per minute", "-1 per minute"])
def test_a_limit_that_means_nothing_is_refused_at_start(tmp_path: Path, written: str) -> None:
    with pytest.raises(ConfigurationError, match="LEADFLOW_API_LIMIT"):
        read_settings(tmp_path, {"LEADFLOW_API_LIMIT": written})
