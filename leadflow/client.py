"""A small client of leadflow's API, for programs: `with Client("https://leads.firm.example", key) as leadflow: …`.

Lists are iterators over all pages. A record that was read is changed under the version that was read. A POST carries
an Idempotency-Key, so what is tried again has one effect. Problems are exceptions that say where, what, and what is
allowed. It imports nothing else of leadflow.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, ClassVar
from urllib.parse import quote, urlencode
from uuid import uuid4

import httpcore2

PAGE_SIZE = 200
TRIES = 5
TIMEOUT_SECONDS = 30.0
# Waits longer than this are for the caller to decide on.
LONGEST_WAIT_SECONDS = 60.0
FIRST_WAIT_SECONDS = 0.2
BUSY = (429, 503)


class Record(dict[str, Any]):
    """What the API answered, as JSON has it; `etag` is its version, `is_replay` that it was done before."""

    etag: str | None = None
    is_replay: bool = False


# Problems -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One thing that is wrong: where, and what is allowed."""

    location: str
    message: str


class ApiError(Exception):
    """The API refused a request (RFC 9457). `detail` is a sentence for people, `faults` all that is wrong."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.title = str(problem.get("title") or "")
        self.detail = str(problem.get("detail") or "")
        self.existing_id: int | None = problem.get("existing_id")
        given = problem.get("errors") or ()
        self.faults = tuple(FieldFault(one.get("location", ""), one.get("message", "")) for one in given)
        super().__init__(f"{status} {self.title}: {self.detail}" if self.detail else f"{status} {self.title}")


class NotSignedIn(ApiError):
    """401: the key is missing, unknown, expired or revoked."""


class NotAllowed(ApiError):
    """403: the key's role is not enough, or it acts as automation where only people may."""


class NotFound(ApiError):
    """404: there is no such record."""


class Conflict(ApiError):
    """409: the present state does not allow it; `existing_id` is the record that has the value already, if any."""


class Changed(ApiError):
    """412: the record changed since it was read. Read it again and decide anew."""


class Invalid(ApiError):
    """400, 413, 415, 422: the request is wrong; `faults` lists all of it."""


class Busy(ApiError):
    """429, 503: also after all tries too much at once, or no database."""


class NoAnswer(Exception):
    """The server was not reached, or hung up; whether a change was made is not known."""


ERRORS: dict[int, type[ApiError]] = {
    401: NotSignedIn,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    412: Changed,
    429: Busy,
    503: Busy,
    **dict.fromkeys((400, 413, 415, 422), Invalid),
}


# Asking ---------------------------------------------------------------------------------------------------------------


class Client:
    """The API at `address` with an API key; may be used by several threads, and closes by `with` or `close()`.

    `sleep` waits between tries.
    """

    def __init__(
        self,
        address: str,
        key: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        tries: int = TRIES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._address = address.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}", "User-Agent": "leadflow-client"}
        self._timeouts = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout_seconds)}
        self._tries = tries
        self._sleep = sleep
        self._pool = httpcore2.ConnectionPool(ssl_context=httpcore2.default_ssl_context())
        self.companies = Searchable(self, "/companies")
        self.contacts = Searchable(self, "/contacts")
        self.sales = Records(self, "/sales")
        self.tasks = Records(self, "/tasks")
        self.events = Events(self, "/events")
        self.changes = Readable(self, "/changes")
        self.categories = Values(self, "/categories")
        self.lead_statuses = Values(self, "/lead-statuses")
        self.rules = Rules(self, "/rules")
        self.proposals = Proposals(self, "/proposals")
        self.sweeps = Sweeps(self, "/sweeps")
        self.selections = Selections(self, "/selections")
        self.boards = Whole(self, "/boards")
        self.dashboards = Whole(self, "/dashboards")
        self.endpoints = Removable(self, "/endpoints")
        self.sources = Removable(self, "/sources")
        self.users = Records(self, "/users")
        self.api_keys = Removable(self, "/api-keys")

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def deliver(self, source: str, form: Mapping[str, Any], delivery_id: str | None = None) -> Record:
        """Send a form to a source without signature; with the same `delivery_id` again it has no second effect."""
        headers = {"webhook-id": delivery_id or uuid4().hex}
        return self._ask("POST", f"/hooks/{quote(source, safe='')}", form, headers)

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Record:
        """Any request below `/api/v1`. Raises: ApiError, NoAnswer."""
        headers = {"If-Match": if_match} if if_match else {}
        if method == "POST":
            headers["Idempotency-Key"] = idempotency_key or uuid4().hex
        return self._ask(method, f"/api/v1{path}{_query(query or {})}", body, headers)

    def pages(self, path: str, query: Mapping[str, Any]) -> Iterator[Record]:
        """Every item of a list, asked for page by page as they are needed."""
        asked: dict[str, Any] = dict(query)
        while True:
            page = self.call("GET", path, query=asked)
            yield from map(Record, page["items"])
            if page["next"] is None:
                return
            asked["cursor"] = page["next"]

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Record:
        sent: dict[bytes | str, bytes | str] = dict((self._headers | dict(headers)).items())
        content = None if body is None else json.dumps(body, default=_as_json).encode()
        if content is not None:
            sent["Content-Type"] = "application/json"
        # A change under a version that is tried again after its answer was lost would be told that it is out of date.
        can_repeat = "If-Match" not in headers
        for number in range(1, self._tries + 1):
            is_last = number == self._tries
            try:
                answer = self._pool.request(
                    method, self._address + path, headers=sent, content=content, extensions=self._timeouts
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                wait = _wait_of(None, number, is_last, error)
            except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
                wait = _wait_of(None, number, is_last or not can_repeat, error)
            else:
                if answer.status not in BUSY or is_last:
                    return _record_of(answer)
                wait = _wait_of(answer, number, is_last, None)
            self._sleep(wait)
        raise NoAnswer("no try was allowed")


def _query(query: Mapping[str, Any]) -> str:
    given = {name: _in_query(value) for name, value in query.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""


def _in_query(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else str(_as_json(value))


def _as_json(value: object) -> object:
    """Moments with their zone, decimals as text: exactly what was meant."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date | Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _wait_of(answer: httpcore2.Response | None, number: int, is_over: bool, error: Exception | None) -> float:
    """How long until the next try. Raises: NoAnswer, ApiError if there is none."""
    if error is not None and is_over:
        raise NoAnswer(str(error) or type(error).__name__) from error
    backoff: float = FIRST_WAIT_SECONDS * 2**number * random.uniform(0.5, 1.0)
    asked = None if answer is None else _retry_after(_header(answer, b"retry-after"))
    if answer is not None and asked is not None and asked > LONGEST_WAIT_SECONDS:
        _record_of(answer)
    return backoff if asked is None else asked


def _retry_after(text: str | None) -> float | None:
    """Seconds, written as such or as a date."""
    if text is None:
        return None
    if text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _header(answer: httpcore2.Response, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in answer.headers if key.lower() == name), None)


def _record_of(answer: httpcore2.Response) -> Record:
    """The answer's JSON. Raises: ApiError for anything but success."""
    try:
        document = json.loads(answer.content or b"{}")
    except ValueError:
        document = {"title": "The answer is no JSON"}
    if not 200 <= answer.status < 300:
        raise ERRORS.get(answer.status, ApiError)(answer.status, document if isinstance(document, dict) else {})
    record = Record(document)
    record.etag = _header(answer, b"etag")
    record.is_replay = _header(answer, b"idempotency-replayed") == "true"
    return record


# What there is --------------------------------------------------------------------------------------------------------

Key = int | str


@dataclass(frozen=True)
class Readable:
    """Records that can be listed and read."""

    client: Client
    path: str
    page_size: ClassVar[int | None] = PAGE_SIZE

    def list(self, **filters: Any) -> Iterator[Record]:
        """All records that fit, in as many requests as there are pages."""
        return self.client.pages(self.path, {"limit": self.page_size, **filters})

    def get(self, key: Key) -> Record:
        """One record with its version. Raises: NotFound."""
        return self.client.call("GET", self.at(key))

    def first(self, **filters: Any) -> Record | None:
        """The first record that fits; None if none does."""
        return next(self.list(**{**filters, "limit": 1} if self.page_size else filters), None)

    def at(self, key: Key, *more: str) -> str:
        """The path of a record."""
        return "/".join((self.path, quote(str(key), safe=""), *more))

    def do(self, key: Key, action: str, body: Mapping[str, Any] | None = None, **options: Any) -> Record:
        """POST to something that a record can do."""
        return self.client.call("POST", self.at(key, action), body, **options)


class Records(Readable):
    """Records that can be made and changed, too."""

    def create(self, *, idempotency_key: str | None = None, **values: Any) -> Record:
        """A new record. Raises: Conflict with `existing_id` if there is one already; Invalid."""
        return self.client.call("POST", self.path, values, idempotency_key=idempotency_key)

    def change(self, record: Record | Key, **values: Any) -> Record:
        """Change these values and no others; a record that was read only as it was read.

        Raises: Changed if it was changed since; Conflict where the guard refuses, with its reason.
        """
        return self.client.call("PATCH", self.at(_key_of(record)), values, if_match=_version_of(record))


def _key_of(record: Record | Key) -> Key:
    if not isinstance(record, Record):
        return record
    key: Key = next(record[name] for name in ("id", "key", "name") if name in record)
    return key


def _version_of(record: Record | Key) -> str | None:
    return record.etag if isinstance(record, Record) else None


class Searchable(Records):
    """Records that can be searched in the rule language, too."""

    def search(
        self, where: Mapping[str, Any] | None = None, order_by: str | None = None, columns: list[str] | None = None
    ) -> Iterator[Record]:
        """All records for which a condition holds, such as `{"all": [{"company.category": "Lead"}]}`."""
        asked = {"where": where, "order_by": order_by, "columns": columns, "limit": PAGE_SIZE}
        body = {name: value for name, value in asked.items() if value is not None}
        while True:
            page = self.client.call("POST", f"{self.path}/search", body)
            yield from map(Record, page["items"])
            if page["next"] is None:
                return
            body["cursor"] = page["next"]

    def count(self, where: Mapping[str, Any] | None = None) -> int:
        """For how many records a condition holds."""
        body = {"where": where, "limit": 1, "count": True}
        asked = {name: value for name, value in body.items() if value is not None}
        return int(self.client.call("POST", f"{self.path}/search", asked)["count"])


class Removable(Records):
    """Records that can be deleted, or ended, too. Their lists come whole."""

    page_size: ClassVar[int | None] = None

    def delete(self, record: Record | Key) -> Record:
        """Delete it, a record that was read only as it was read."""
        return self.client.call("DELETE", self.at(_key_of(record)), if_match=_version_of(record))


class Values(Removable):
    """Categories or lead statuses: deleted softly, and put back."""

    def restore(self, key: str) -> Record:
        """Put it back on the pick lists."""
        return self.do(key, "restore")

    def impact(self, key: str) -> Record:
        """Who carries it."""
        return self.client.call("GET", self.at(key, "impact"))


class Whole(Readable):
    """A list that comes whole."""

    page_size: ClassVar[int | None] = None


class Events(Readable):
    """The inbox."""

    def replay(self, event_id: int) -> Record:
        """Take a held or failed event again; its effects come exactly once."""
        return self.do(event_id, "replay")


class Proposals(Readable):
    """What rules with status `propose` ask people."""

    def accept(self, proposal_id: int, category: str | None = None) -> Record:
        """Do it, or move to another category than the proposed one."""
        return self.do(proposal_id, "accept", {"category": category} if category else None)

    def decline(self, proposal_id: int, reason: str | None = None) -> Record:
        """Do it not."""
        return self.do(proposal_id, "decline", {"reason": reason} if reason else None)


class Sweeps(Readable):
    """Runs of scheduled rules over all records."""

    def start(self, rule: str) -> Record:
        """Run a scheduled rule now."""
        return self.client.call("POST", self.path, {"rule": rule})


class Selections(Removable):
    """Saved searches and chosen members."""

    page_size: ClassVar[int | None] = PAGE_SIZE

    def members(self, selection_id: Key) -> Iterator[Record]:
        """All records in it now."""
        return self.client.pages(self.at(selection_id, "members"), {"limit": PAGE_SIZE})


class Rules(Readable):
    """Rules, their documents and versions."""

    page_size: ClassVar[int | None] = None

    def documents(self) -> Iterator[Record]:
        """The live documents."""
        return self.client.pages(f"{self.path}/documents", {})

    def document(self, name: str) -> Record:
        """One live document; its version is that of all rules."""
        return self.client.call("GET", self._at(name))

    def write(self, document: Record | str, text: str, note: str | None = None) -> Record:
        """Publish a document anew, one that was read only if nobody has published since. Raises: Changed, Invalid."""
        name = str(document["name"]) if isinstance(document, Record) else document
        body = {"text": text} | ({"note": note} if note else {})
        return self.client.call("PUT", self._at(name), body, if_match=_version_of(document))

    def check(self, documents: Mapping[str, str]) -> Record:
        """All problems of some documents, each with its place; nothing is published."""
        return self._post("check", documents)

    def test(self, documents: Mapping[str, str]) -> Record:
        """The results of the rules' own tests."""
        return self._post("test", documents)

    def plan(self, documents: Mapping[str, str]) -> Record:
        """What the documents would do to the records that are there now."""
        return self._post("plan", documents)

    def publish(self, documents: Mapping[str, str], based_on: int | None = None, note: str | None = None) -> Record:
        """Make these all documents, all or nothing. Raises: Conflict if others published since `based_on`; Invalid."""
        return self._post("publish", documents, based_on=based_on, note=note)

    def versions(self) -> Iterator[Record]:
        """What was published, newest first."""
        return self.client.pages("/rule-sets", {"limit": PAGE_SIZE})

    def roll_back(self, version: int, based_on: int, note: str | None = None) -> Record:
        """Publish an earlier version again in place of the live one. Raises: Conflict if others published since."""
        body = {"based_on": based_on} | ({"note": note} if note else {})
        return self.client.call("POST", f"/rule-sets/{version}/rollback", body)

    def _at(self, name: str) -> str:
        return f"{self.path}/documents/{quote(name)}"

    def _post(self, action: str, documents: Mapping[str, str], **more: Any) -> Record:
        given = {name: value for name, value in more.items() if value is not None}
        return self.client.call("POST", f"{self.path}/{action}", {"documents": documents, **given})
