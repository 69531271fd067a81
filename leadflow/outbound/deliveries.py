"""What became of an attempt to deliver."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True, slots=True)
class Attempt:
    """`delivered`; `failed`: to be tried again; `refused`: no use in trying again; `gone`: it never wants any more.

    `error` is a sentence. `is_away`: the failure tells of the whole endpoint, not of this message.
    `retry_after`: how long the receiver asked to be left alone.
    """

    ending: Literal["delivered", "failed", "refused", "gone"]
    error: str = ""
    is_away: bool = False
    retry_after: timedelta | None = None


DELIVERED = Attempt("delivered")


def away(error: str) -> Attempt:
    """Nobody answered."""
    return Attempt("failed", error, is_away=True)


def refused(error: str) -> Attempt:
    """It must not or cannot be sent as things stand."""
    return Attempt("refused", error)
