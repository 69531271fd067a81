"""What the tests of the outbox share: messages in a line, receivers that do as they are told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text

from leadflow.outbound.addresses import AddressPolicy
from leadflow.outbound.deliveries import DELIVERED, Attempt, away
from leadflow.outbound.notifications import Notifier
from leadflow.outbound.sealing import Seals
from leadflow.outbound.webhooks import WebhookCaller
from leadflow.services.outbound_endpoints import Outside, create_endpoint
from leadflow.services.outbox import Carriers
from leadflow.store.outbox import Outgoing, add_messages
from leadflow.tasks.sending import Sender
from tests.integration.api_support import START
from tests.support.scenes import Scene

KEY = "a secret of the tests"
OUTSIDE = Outside(Seals(KEY), AddressPolicy())

AWAY = away("Nobody answered.")


@dataclass
class Receiver:
    """Stands for the whole outside world. `answers` says how a URL answers; without a word it takes everything."""

    answers: dict[str, Callable[[str], Attempt]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, url: str, secrets: Iterable[str], identity: str, body: bytes, now: datetime) -> Attempt:
        with self._lock:
            self.calls.append((url, identity))
            self.bodies.append(body)
        return self.answers.get(url, lambda _: DELIVERED)(identity)

    def notify(self, url: str, payload: Any) -> Attempt:
        return self.call(url, [], str(payload.get("text")), b"", START)

    def ids(self, url: str) -> list[str]:
        """The ids that came to a URL, in order."""
        return [identity for called, identity in self.calls if called == url]


def carriers_to(receiver: Receiver) -> Carriers:
    return Carriers(OUTSIDE.seals, receiver, receiver)  # type: ignore[arg-type]


def real_carriers(policy: AddressPolicy, **caller: Any) -> Carriers:
    return Carriers(OUTSIDE.seals, WebhookCaller(policy, **caller), Notifier(policy))


def make_sender(scene: Scene, carriers: Carriers, **more: Any) -> Sender:
    return Sender(scene.new_engine(), carriers, scene.clock, **more)


def make_webhook(scene: Scene, name: str = "crm", url: str | None = None, outside: Outside = OUTSIDE) -> str:
    """A webhook; its secret."""
    draft = {"name": name, "kind": "webhook", "url": url or f"https://{name}.example/"}
    with scene.engine.begin() as connection:
        _, secret = create_endpoint(connection, outside, draft, scene.clock())
    assert secret is not None
    return secret


def make_channel(scene: Scene, name: str, url: str, outside: Outside = OUTSIDE) -> None:
    with scene.engine.begin() as connection:
        create_endpoint(connection, outside, {"name": name, "kind": "channel", "url": url}, scene.clock())


def outgoing(endpoint: str = "crm", company: int = 1, number: int = 1, **more: Any) -> Outgoing:
    """A webhook message of a rule; `number` tells the effects of one company apart."""
    values: dict[str, Any] = {
        "kind": "webhook",
        "endpoint": endpoint,
        "topic": "rule.fired",
        "payload": {"rule": "demo", "number": number, "company": {"id": company, "name": "Nordwind AS"}},
        "lane": f"company:{company}",
        "company_id": company,
        "event_id": number,
        "rule": "demo",
        "action": "webhook:1",
        **more,
    }
    return Outgoing(**values)


def send_out(scene: Scene, *messages: Outgoing) -> list[str]:
    """Put messages into the outbox, as a rule's transaction does; their ids as receivers see them."""
    with scene.engine.begin() as connection:
        add_messages(connection, messages, scene.clock())
        rows = connection.execute(text("SELECT id FROM outbox ORDER BY id DESC LIMIT :n"), {"n": len(messages)})
        return [f"msg_{row.id}" for row in rows][::-1]


def states(scene: Scene) -> list[str]:
    """The state of every message, in the order in which they were added."""
    return [row.state for row in scene.rows("SELECT state FROM outbox ORDER BY id")]


def row_of(scene: Scene, identity: str) -> Any:
    (row,) = scene.rows("SELECT * FROM outbox WHERE id = :id", id=int(identity.removeprefix("msg_")))
    return row


def wait_until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)
