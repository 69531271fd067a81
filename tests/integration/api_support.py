"""The API as tests talk to it: the real application on a real database, a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine, text
from werkzeug.test import TestResponse

from leadflow.services.access import Role, create_key
from leadflow.services.configuration import read_configuration
from leadflow.services.installation import apply_configuration
from leadflow.store.engine import make_engine, name_actor
from leadflow.web.app import create_app
from leadflow.web.config import WebConfig

CONFIG = Path(__file__).resolve().parents[2] / "config"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    """Time stands still until the test moves it."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@dataclass
class Api:
    """A caller with an administrator's key that acts as a person, unless told otherwise."""

    engine: Engine
    app: Flask
    clock: Clock
    rings: list[bool]
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client(use_cookies=False)

    def key(self, role: str, acts_as: Any = "person") -> str:
        """A key of this role, made on first use."""
        name = f"{role} {acts_as}"
        if name not in self.keys:
            with self.engine.begin() as connection:
                self.keys[name] = create_key(connection, name, Role(role), self.clock(), acts_as=acts_as)
        return self.keys[name]

    def call(
        self,
        method: str,
        path: str,
        json: object = None,
        *,
        role: str = "admin",
        acts_as: str = "person",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> TestResponse:
        sent = {"Authorization": f"Bearer {self.key(role, acts_as)}", **(headers or {})}
        body = {"json": json} if json is not None else {}
        return self.client.open(f"/api/v1{path}", method=method, headers=sent, **body, **more)

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.call("GET", path, **more)

    def post(self, path: str, json: object = None, **more: Any) -> TestResponse:
        return self.call("POST", path, json, **more)

    def patch(self, path: str, json: object, **more: Any) -> TestResponse:
        return self.call("PATCH", path, json, **more)

    def delete(self, path: str, **more: Any) -> TestResponse:
        return self.call("DELETE", path, **more)

    def made(self, path: str, json: object, **more: Any) -> dict[str, Any]:
        """The record that a POST made."""
        response = self.post(path, json, **more)
        assert response.status_code == 201, response.text
        record: dict[str, Any] = response.json
        return record

    @contextmanager
    def transaction(self, actor: str = "person") -> Iterator[Connection]:
        """Plain SQL, in the name of a person unless told otherwise."""
        with self.engine.begin() as connection:
            name_actor(connection, actor)
            yield connection

    def count(self, table: str) -> int:
        with self.engine.connect() as connection:
            return int(connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


@contextmanager
def running_api(database_url: str, *, with_rules: bool = False, **config: Any) -> Iterator[Api]:
    """The application on a database with `config/` applied; the shipped rules rest unless asked for."""
    engine = make_engine(database_url)
    with engine.begin() as connection:
        if connection.scalar(text("SELECT count(*) FROM installation")) == 0:
            apply_configuration(connection, read_configuration(CONFIG, {}), START)
        if not with_rules:
            connection.execute(text("UPDATE installation SET live_version = NULL"))
    clock, rings = Clock(), []
    settings = {"secret_key": "test-secret-key", "ring": lambda: rings.append(True), "clock": clock, **config}
    app = create_app(WebConfig(engine=engine, **settings))
    try:
        yield Api(engine, app, clock, rings)
    finally:
        engine.dispose()


def problem_of(response: TestResponse, status: int) -> dict[str, Any]:
    """The problem document of an answer that must have this status."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    document: dict[str, Any] = response.get_json(force=True)
    assert document["status"] == status
    assert document["title"]
    return document
