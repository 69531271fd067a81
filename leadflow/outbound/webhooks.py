"""Signed calls: to tested addresses only, straight there, no redirects, within seconds whatever the other side does."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpcore2

from leadflow import __version__
from leadflow.outbound.addresses import (
    AddressPolicy,
    ForbiddenAddress,
    Resolve,
    UnknownHost,
    addresses_to_call,
    fault_of_url,
    resolve,
)
from leadflow.outbound.deliveries import DELIVERED, Attempt, away, refused
from leadflow.outbound.signing import signed_headers

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
MAX_ANSWER_BYTES = 64 * 1024

# These say that nobody is served just now; any other status tells of this message.
AWAY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class WebhookCaller:
    """Calls endpoints. Nothing of the environment is used: no proxy, no password file."""

    policy: AddressPolicy = field(default_factory=AddressPolicy)
    resolve: Resolve = resolve
    ssl_context: ssl.SSLContext = field(default_factory=httpcore2.default_ssl_context)
    total_seconds: float = TOTAL_SECONDS

    def call(self, url: str, secrets: Sequence[str], identity: str, body: bytes, now: datetime) -> Attempt:
        """POST the body, signed; what became of it."""
        if fault := fault_of_url(url, self.policy):
            return refused(f"The URL {fault}.")
        headers = {"content-type": "application/json", "user-agent": f"leadflow/{__version__}"}
        headers |= signed_headers(secrets, identity, now, body)
        try:
            return self._post(url, headers, body, now)
        except ForbiddenAddress as error:
            return refused(str(error))
        except UnknownHost as error:
            return away(str(error))
        except ssl.SSLCertVerificationError as error:
            return away(f"The certificate is not trusted: {error.verify_message}.")
        except httpcore2.TimeoutException:
            return away(f"No answer within {self.total_seconds:g} s ({CONNECT_SECONDS:g} s to connect).")
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            return away(_sentence(error))

    def _post(self, url: str, headers: Mapping[str, str], body: bytes, now: datetime) -> Attempt:
        backend = _GuardedBackend(self.policy, self.resolve, _Deadline(self.total_seconds))
        timeout = {"connect": CONNECT_SECONDS, "read": self.total_seconds, "write": self.total_seconds}
        with (
            httpcore2.ConnectionPool(ssl_context=self.ssl_context, network_backend=backend) as pool,
            pool.stream(
                "POST", url, headers=[*headers.items()], content=body, extensions={"timeout": timeout}
            ) as response,
        ):
            _read_some(response.iter_stream())
            found = {name.lower(): value.decode("latin-1") for name, value in response.headers}
            return _judge(response.status, found.get(b"retry-after"), now)


def _read_some(chunks: Iterable[bytes]) -> None:
    """Hear the receiver out for a while; what it says is not kept, for it may be somebody's secret."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            return


def _judge(status: int, retry_after: str | None, now: datetime) -> Attempt:
    if 200 <= status < 300:
        return DELIVERED
    if status == 410:
        return Attempt("gone", "The receiver answered 410 Gone: it wants no more calls.")
    if 300 <= status < 400:
        return Attempt("failed", f"The receiver answered {status}; redirects are not followed: enter the final URL.")
    wait = read_retry_after(retry_after, now) if retry_after else None
    return Attempt("failed", f"The receiver answered {status}.", status in AWAY_STATUSES, wait)


def read_retry_after(text: str, now: datetime) -> timedelta | None:
    """How long to wait: seconds or a date; None if it is neither."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:9]), 10**8))
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(moment - now, timedelta(0))


def _sentence(error: Exception) -> str:
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"The certificate is not trusted: {cause.verify_message}."
    said = str(error).strip() or str(cause).strip() or type(error).__name__
    return f"The call failed: {said[:200].rstrip('.')}."


# -- the network -------------------------------------------------------------------------------------------------------


class _Deadline:
    """The end of a call: each step gets what is left of the time."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def limit(self, timeout: float | None, error: type[httpcore2.TimeoutException]) -> float:
        """The seconds that a step may take. Raises: `error` if none are left."""
        left = self._end - self._clock()
        if left <= 0:
            raise error("the time is over")
        return left if timeout is None else min(timeout, left)


class _GuardedBackend(httpcore2.NetworkBackend):
    """Connects to tested addresses of the host; the URL keeps its name for `Host` and the certificate."""

    def __init__(self, policy: AddressPolicy, resolve: Resolve, deadline: _Deadline) -> None:
        self._policy, self._resolve, self._deadline = policy, resolve, deadline
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        failure: Exception = UnknownHost(f"{host} has no address.")
        for address in addresses_to_call(host, port, self._policy, self._resolve):
            limit = self._deadline.limit(timeout, httpcore2.ConnectTimeout)
            try:
                stream = self._sockets.connect_tcp(address, port, limit, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return _TimedStream(stream, self._deadline)
        raise failure


class _TimedStream(httpcore2.NetworkStream):
    """A stream that ends with the deadline, however slowly the other side drips."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: _Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.limit(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.limit(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        limit = self._deadline.limit(timeout, httpcore2.ConnectTimeout)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, limit), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
