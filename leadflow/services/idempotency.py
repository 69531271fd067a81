"""One effect for a POST that is sent twice: its first answer is kept beside the effect, in the same transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from leadflow.errors import Fault, InvalidRequest
from leadflow.store.tables import IdempotencyRow


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """What was answered, byte for byte, with the headers that belong to it."""

    status: int
    text: str
    headers: dict[str, str]


def claim(connection: Connection, owner: str, key: str, request_sha256: bytes, now: datetime) -> FirstAnswer | None:
    """The first answer to this key, or None: then this transaction gives it and must call `remember`.

    A twin that is under way is waited for; if it fails, this one goes on in its place.
    Raises: InvalidRequest if the key was used for another request.
    """
    statement = insert(IdempotencyRow).values(
        owner=owner, key=key, request_sha256=request_sha256, status=0, body={}, created_at=now
    )
    claimed = statement.on_conflict_do_nothing(index_elements=["owner", "key"]).returning(IdempotencyRow.key)
    if connection.scalar(claimed) is not None:
        return None
    row = connection.execute(select(IdempotencyRow.__table__).where(_is(owner, key))).one()
    if row.request_sha256 != request_sha256:
        raise InvalidRequest([Fault("Idempotency-Key", "was already used for another request; take a new one")])
    return FirstAnswer(row.status, row.body["text"], row.body["headers"])


def remember(connection: Connection, owner: str, key: str, answer: FirstAnswer) -> None:
    """Keep the answer that is about to be given."""
    values = {"status": answer.status, "body": {"text": answer.text, "headers": answer.headers}}
    connection.execute(update(IdempotencyRow).where(_is(owner, key)).values(**values))


def _is(owner: str, key: str) -> ColumnElement[bool]:
    return (IdempotencyRow.owner == owner) & (IdempotencyRow.key == key)
