"""Scenes: a database with `config/` applied, the real application and workers in this process, facts in one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool
from werkzeug.test import TestResponse

from leadflow.domain.events import SYSTEM, Actor, ActorKind
from leadflow.services import records, rule_sets, sales
from leadflow.services.configuration import Configuration, read_configuration
from leadflow.services.inbox import prepare_arrival, receive_arrivals, replay_event
from leadflow.services.processing import Desk
from leadflow.store.engine import make_engine, normalise_url
from leadflow.store.replay import find_differences
from leadflow.tasks.draining import Drainer
from leadflow.web.app import create_app
from leadflow.web.config import WebConfig
from tests.integration.api_support import CONFIG, Api, Clock

CONFIGURATION: Configuration = read_configuration(CONFIG, {})

PERSON = Actor(ActorKind.PERSON, "1", "Paula")
AUTOMATION = Actor(ActorKind.API_KEY, "k1", "importer")

PROTECTED = ("customer", "former-customer", "partner", "other")
POTENTIAL = ("lead", "mql", "opportunity", "lost-opportunity")

ANNA = "anna@nordwind.example"


@dataclass
class Scene(Api):
    """leadflow in one process: hooks and API as the outside sees them, drains when the test says so.

    `owner` connects as the role that owns the tables, everything else as the application's role.
    """

    url: str = ""
    configuration: Configuration = field(default=CONFIGURATION, repr=False)
    _drainer: Drainer | None = field(default=None, repr=False)
    _others: list[Engine] = field(default_factory=list, repr=False)

    # -- events ---------------------------------------------------------------------------------------------------

    def deliver(
        self,
        body: bytes,
        content_type: str | None = "application/json",
        delivery_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        source: str = "generic",
    ) -> TestResponse:
        """POST these bytes to a hook."""
        sent = dict(headers or {}) | ({"webhook-id": delivery_id} if delivery_id else {})
        # As a stream: from plain empty data the client would make a multipart body of its own.
        stream, size = BytesIO(body), str(len(body))
        sent = {**sent, "Content-Length": size}
        return self.client.post(f"/hooks/{source}", input_stream=stream, content_type=content_type, headers=sent)

    def post_form(
        self, form: str = "demo-request", email: str = ANNA, delivery_id: str | None = None, **fields: Any
    ) -> int:
        """A form through the hook; its event's id. Equal forms without an id are repeats, so give them one."""
        document = {"form": form, "email": email, **fields}
        response = self.deliver(json.dumps(document).encode(), delivery_id=delivery_id or self._next_delivery_id())
        assert response.status_code == 200, response.text
        return int(response.get_json()["event_id"])

    def accept_forms(self, forms: Iterable[Mapping[str, Any]]) -> list[int]:
        """Many forms, accepted in one transaction without the web server; their events' ids."""
        arrivals = [
            prepare_arrival(
                self.configuration.sources["generic"],
                {"webhook-id": self._next_delivery_id()},
                "application/json",
                json.dumps({"form": "any", "email": ANNA, **form}).encode(),
                self.clock(),
            )
            for form in forms
        ]
        with self.engine.begin() as connection:
            return [one.event_id for one in receive_arrivals(connection, arrivals)]

    def _next_delivery_id(self) -> str:
        self._deliveries = getattr(self, "_deliveries", 0) + 1
        return f"scene-{self._deliveries}"

    def make_sale(self, company_id: int, status: str = "open", **more: Any) -> int:
        """A sale, registered by a person; its id."""
        with self.engine.begin() as connection:
            sent = {"company_id": company_id, "status": status, **more}
            return sales.create_sale(connection, PERSON, sent, self.clock())[0]

    def change_sale(self, sale_id: int, status: str) -> int | None:
        with self.engine.begin() as connection:
            return sales.change_sale(connection, PERSON, sale_id, {"status": status}, self.clock())

    def replay(self, event_id: int) -> None:
        with self.engine.begin() as connection:
            replay_event(connection, event_id, self.clock())

    def event(self, event_id: int) -> Any:
        """The event's row."""
        (row,) = self.rows("SELECT * FROM event WHERE id = :id", id=event_id)
        return row

    def states(self) -> list[str]:
        """The state of every event, in the order of acceptance."""
        return [row.state for row in self.rows("SELECT state FROM event ORDER BY id")]

    def runs(self, event_id: int) -> dict[str, str]:
        """Outcome by rule; of several runs the last."""
        rows = self.rows("SELECT rule, outcome FROM run WHERE event_id = :id ORDER BY id", id=event_id)
        return {row.rule: row.outcome for row in rows}

    # -- workers --------------------------------------------------------------------------------------------------

    def new_engine(self) -> Engine:
        """An engine of its own, as another process would have."""
        engine = make_engine(self.url)
        self._others.append(engine)
        return engine

    def new_drainer(self, clock: Callable[[], Any] | None = None, batch_size: int = 500) -> Drainer:
        """A worker with connections and caches of its own."""
        desk = Desk(self.configuration.sources)
        return Drainer(self.new_engine(), desk, batch_size, clock or self.clock)

    def drain(self, seconds: float = 10) -> None:
        """Work off what is due at the scene's time."""
        if self._drainer is None:
            self._drainer = self.new_drainer()
        self._drainer.drain(seconds)

    # -- rules ----------------------------------------------------------------------------------------------------

    def publish(self, *rules: str) -> int:
        """Make these rules (flow style, without `rule:` they get a name) the only live ones."""
        body = "".join(f"  - {rule}\n" for rule in rules)
        return self.publish_documents({"test.yaml": f"leadflow: 1\nrules:\n{body}"})

    def publish_documents(self, documents: Mapping[str, str], origin: str = "files") -> int:
        with self.engine.begin() as connection:
            return rule_sets.publish(connection, SYSTEM, documents, origin=origin, now=self.clock())

    # -- records --------------------------------------------------------------------------------------------------

    def make_company(self, category: str | None = "lead", domain: str | None = "nordwind.example", **more: Any) -> int:
        """A company, made by a person; its id."""
        sent = {"name": domain or "Nameless", "domain": domain, "category": category, **more}
        with self.engine.begin() as connection:
            return records.create_company(connection, PERSON, sent, self.clock())

    def make_contact(self, email: str = ANNA, company_id: int | None = None, **more: Any) -> int:
        """A contact, made by a person; its id."""
        with self.engine.begin() as connection:
            sent = {"email": email, "company_id": company_id, **more}
            return records.create_contact(connection, PERSON, sent, self.clock())

    def change_company(self, company_id: int, actor: Actor = PERSON, **sent: Any) -> None:
        with self.engine.begin() as connection:
            records.change_company(connection, actor, company_id, sent, self.clock())

    def change_contact(self, contact_id: int, actor: Actor = PERSON, **sent: Any) -> None:
        with self.engine.begin() as connection:
            records.change_contact(connection, actor, contact_id, sent, self.clock())

    def company_id(self, domain: str = "nordwind.example") -> int:
        return int(self.value("SELECT id FROM company WHERE domain = :domain", domain=domain))

    def contact_id(self, email: str = ANNA) -> int:
        return int(self.value("SELECT id FROM contact WHERE email = :email", email=email))

    def category(self, company_id: int | None = None) -> str | None:
        """The category of a company; of Nordwind if none is named."""
        category: str | None = self.value(
            "SELECT category_key FROM company WHERE id = :id", id=company_id or self.company_id()
        )
        return category

    def lead_status(self, contact_id: int | None = None) -> str | None:
        status: str | None = self.value(
            "SELECT lead_status_key FROM contact WHERE id = :id", id=contact_id or self.contact_id()
        )
        return status

    # -- the ledger and plain SQL ---------------------------------------------------------------------------------

    def steps(self, entity: str, entity_id: int, name: str) -> list[tuple[Any, Any, str]]:
        """What the ledger says of one field: (old, new, kind of the actor), oldest first."""
        rows = self.rows(
            "SELECT old, new, actor_kind FROM change WHERE entity = :entity AND entity_id = :id AND field = :name"
            " ORDER BY id",
            entity=entity, id=entity_id, name=name,
        )  # fmt: skip
        return [(row.old, row.new, row.actor_kind) for row in rows]

    def rows(self, statement: str, **parameters: Any) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), parameters))

    def value(self, statement: str, **parameters: Any) -> Any:
        with self.engine.connect() as connection:
            return connection.scalar(text(statement), parameters)

    @property
    def owner(self) -> Engine:
        """Connections as the owner of the tables."""
        engine = create_engine(normalise_url(self.url), poolclass=NullPool)
        self._others.append(engine)
        return engine

    def differences(self) -> list[str]:
        """Where the state is not the replay of the ledger."""
        with self.engine.connect() as connection:
            return find_differences(connection)

    def close(self) -> None:
        for engine in [self.engine, *self._others]:
            engine.dispose()


@contextmanager
def open_scene(database_url: str, configuration: Configuration = CONFIGURATION, **config: Any) -> Iterator[Scene]:
    """A scene on a database that `config/` was applied to; `config` goes to the web application."""
    engine, clock, rings = make_engine(database_url), Clock(), []
    settings = {"ring": lambda: rings.append(True), "clock": clock, "sources": configuration.sources, **config}
    app = create_app(WebConfig(engine=engine, secret_key="a secret of the tests", **settings))
    scene = Scene(engine, app, clock, rings, url=database_url, configuration=configuration)
    try:
        yield scene
    finally:
        scene.close()
