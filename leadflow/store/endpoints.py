"""Endpoints: where rules may send. What is sealed never leaves this module but to be opened for a delivery."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from leadflow.errors import Conflict, NotFound
from leadflow.store.tables import EndpointRow

EndpointKind = Literal["webhook", "channel"]


@dataclass(frozen=True, slots=True)
class EndpointView:
    """Where rules may send: a signed webhook, or a channel for notifications, of whose address only the scheme shows.

    The secret is written, never read back.
    """

    name: str
    kind: EndpointKind
    title: str
    url: str
    is_enabled: bool
    created_at: datetime
    updated_at: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class Destination:
    """An endpoint as a delivery needs it, its secret still sealed."""

    name: str
    kind: EndpointKind
    url: str
    sealed: bytes
    is_enabled: bool


_SHOWN = [getattr(EndpointRow, name) for name in EndpointView.__slots__]
_NEEDED = [getattr(EndpointRow, name) for name in Destination.__slots__]


def endpoints(connection: Connection) -> list[EndpointView]:
    """All endpoints by name."""
    return [EndpointView(**row) for row in connection.execute(select(*_SHOWN).order_by(EndpointRow.name)).mappings()]


def endpoint(connection: Connection, name: str, *, to_change: bool = False) -> EndpointView:
    """One endpoint; locked until the end of the transaction if it is about to change. Raises: NotFound."""
    query = select(*_SHOWN).where(EndpointRow.name == name)
    row = connection.execute(query.with_for_update() if to_change else query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no endpoint '{name}'.")
    return EndpointView(**row)


def destinations(connection: Connection, names: Collection[str]) -> dict[str, Destination]:
    """The endpoints of these names, as far as there are any."""
    rows = connection.execute(select(*_NEEDED).where(EndpointRow.name.in_(names))).mappings()
    return {row["name"]: Destination(**row) for row in rows}


def all_sealed(connection: Connection) -> dict[str, bytes]:
    """Every sealed secret by the endpoint's name."""
    return dict(connection.execute(select(EndpointRow.name, EndpointRow.sealed)).all())


def add_endpoint(connection: Connection, values: RowMapping | dict[str, Any], now: datetime) -> None:
    """Raises: Conflict if the name is taken."""
    if connection.scalar(select(EndpointRow.name).where(EndpointRow.name == values["name"])) is not None:
        raise Conflict(f"There is an endpoint '{values['name']}' already.")
    connection.execute(insert(EndpointRow).values(**values, created_at=now, updated_at=now))


def write_endpoint(connection: Connection, name: str, values: dict[str, Any], now: datetime) -> None:
    """Change what is given; the revision moves on."""
    moved = {"updated_at": now, "revision": EndpointRow.revision + 1}
    connection.execute(update(EndpointRow).where(EndpointRow.name == name).values(**values, **moved))


def disable_endpoint(connection: Connection, name: str, now: datetime) -> None:
    """Send nothing there until an administrator enables it again."""
    if connection.scalar(select(EndpointRow.is_enabled).where(EndpointRow.name == name)):
        write_endpoint(connection, name, {"is_enabled": False}, now)


def reseal(connection: Connection, name: str, before: bytes, after: bytes) -> None:
    """Put the same secret under a newer key; nothing else changes, and nothing if somebody wrote meanwhile."""
    same = (EndpointRow.name == name, EndpointRow.sealed == before)
    connection.execute(update(EndpointRow).where(*same).values(sealed=after))


def delete_endpoint(connection: Connection, name: str) -> None:
    """Forget the endpoint and its secret; what is addressed to it will be parked."""
    connection.execute(delete(EndpointRow).where(EndpointRow.name == name))
