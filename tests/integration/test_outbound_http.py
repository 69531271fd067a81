"""What really leaves: over sockets, to receivers of this machine, and to none that a setting does not allow."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default as default_policy
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pytest_httpserver import HTTPServer
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from werkzeug import Request, Response

from leadflow.outbound.addresses import AddressPolicy, UnknownHost
from leadflow.outbound.deliveries import DELIVERED, Attempt
from leadflow.outbound.notifications import Notifier
from leadflow.outbound.sealing import Seals
from leadflow.outbound.signing import body_of, new_secret
from leadflow.outbound.webhooks import MAX_ANSWER_BYTES, WebhookCaller, read_retry_after
from leadflow.services.access import create_sign_in_link, ensure_administrator
from leadflow.services.outbound_endpoints import Outside
from tests.integration.api_support import Api, problem_of, running_api
from tests.support.app_processes import App
from tests.support.outbound import (
    OUTSIDE,
    make_channel,
    make_sender,
    make_webhook,
    outgoing,
    real_carriers,
    row_of,
    send_out,
    states,
    wait_until,
)
from tests.support.processes import Processes
from tests.support.reuse import ReusedDatabase
from tests.support.scenes import Scene, open_scene

LOOPBACK = AddressPolicy((ip_network("127.0.0.0/8"),), allows_http=True)
STRICT_BUT_HTTP = AddressPolicy(allows_http=True)
HERE = Outside(OUTSIDE.seals, LOOPBACK)
SECRET = new_secret()
APP_KEY = "chaos-secret-key-0123456789abcdef"  # of tests.support.app_processes
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BODY = b'{"type":"rule.fired"}'


def call(url: str, policy: AddressPolicy = LOOPBACK, **caller: Any) -> Attempt:
    return WebhookCaller(policy, **caller).call(url, [SECRET], "msg_1", BODY, NOW)


def calls_of(server: HTTPServer) -> list[Request]:
    return [request for request, _ in server.log]


# The call -------------------------------------------------------------------------------------------------------------


def test_an_independent_library_verifies_what_arrives(scene: Scene, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook", method="POST").respond_with_data("thanks")
    scene.clock.now = datetime.now(UTC)
    secret = make_webhook(scene, url=httpserver.url_for("/hook"), outside=HERE)
    (identity,) = send_out(scene, outgoing(payload={"rule": "demo", "company": {"name": "Blåbær & Søn"}}))

    make_sender(scene, real_carriers(LOOPBACK)).send_due()

    (request,) = calls_of(httpserver)
    body = request.get_data()
    document = Webhook(secret).verify(body, dict(request.headers))
    assert request.headers["webhook-id"] == identity
    assert request.headers["content-type"] == "application/json"
    assert set(document) == {"type", "timestamp", "data"}
    assert document["type"] == "rule.fired"
    assert document["data"] == {"rule": "demo", "company": {"name": "Blåbær & Søn"}}
    assert datetime.fromisoformat(document["timestamp"]) == scene.clock.now
    assert states(scene) == ["sent"]
    for wrong in (new_secret(), "whsec_" + "A" * 43 + "="):
        with pytest.raises(WebhookVerificationError):
            Webhook(wrong).verify(body, dict(request.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace(b"demo", b"dem0"), dict(request.headers))


def test_two_secrets_make_two_signatures_and_each_is_enough(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data("")
    secrets, now = [new_secret(), new_secret()], datetime.now(UTC)

    assert WebhookCaller(LOOPBACK).call(httpserver.url_for("/"), secrets, "msg_1", BODY, now) == DELIVERED

    (request,) = calls_of(httpserver)
    for secret in secrets:
        assert Webhook(secret).verify(request.get_data(), dict(request.headers))


def test_the_body_is_the_same_at_every_attempt() -> None:
    assert body_of("rule.fired", NOW, {"a": "ø"}) == (
        '{"type":"rule.fired","timestamp":"2026-03-01T12:00:00Z","data":{"a":"ø"}}'.encode()
    )


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_success_is_a_delivery(httpserver: HTTPServer, status: int) -> None:
    httpserver.expect_request("/").respond_with_data("", status)

    assert call(httpserver.url_for("/")) == DELIVERED


@pytest.mark.parametrize(
    ("status", "ending", "is_away"),
    [
        *((status, "failed", False) for status in (400, 401, 404, 422, 501)),
        *((status, "failed", True) for status in (408, 429, 500, 503)),
        (410, "gone", False),
    ],
)
def test_any_other_status_is_none(httpserver: HTTPServer, status: int, ending: str, is_away: bool) -> None:
    httpserver.expect_request("/").respond_with_data("a secret of the inside", status)

    attempt = call(httpserver.url_for("/"))

    assert (attempt.ending, attempt.is_away) == (ending, is_away)
    assert str(status) in attempt.error
    assert "secret" not in attempt.error


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(httpserver: HTTPServer, status: int) -> None:
    httpserver.expect_request("/").respond_with_data("", status, {"Location": httpserver.url_for("/elsewhere")})
    httpserver.expect_request("/elsewhere").respond_with_data("")

    attempt = call(httpserver.url_for("/"))

    assert (attempt.ending, [request.path for request in calls_of(httpserver)]) == ("failed", ["/"])
    assert "redirects are not followed" in attempt.error


def test_no_proxy_of_the_environment_is_used(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    httpserver.expect_request("/").respond_with_data("")

    assert call(httpserver.url_for("/")) == DELIVERED


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Sun, 01 Mar 2026 12:10:00 GMT", 600),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("9" * 50, 10**8),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
    ],
)
def test_what_a_receiver_asks_for_is_read(text: str, seconds: int | None) -> None:
    assert read_retry_after(text, NOW) == (None if seconds is None else timedelta(seconds=seconds))


def test_a_receiver_s_wish_is_handed_on(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data("", 503, {"Retry-After": "77"})

    assert call(httpserver.url_for("/")).retry_after == timedelta(seconds=77)


# The addresses --------------------------------------------------------------------------------------------------------


class Names:
    """A resolver that answers differently each time it is asked, as somebody who rebinds a name does."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        return self.answers.pop(0)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["1.1.1.1", "127.0.0.1"],
        ["127.0.0.1", "1.1.1.1"],
        ["169.254.169.254"],
        ["100.64.0.1"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::1"],
        ["fe80::1%lo"],
        ["0.0.0.0"],
    ],
)
def test_a_name_with_a_forbidden_address_is_never_connected_to(httpserver: HTTPServer, addresses: list[str]) -> None:
    names = Names(addresses)

    attempt = call(f"http://crm.example:{httpserver.port}/", STRICT_BUT_HTTP, resolve=names)

    assert attempt.ending == "refused"
    assert "LEADFLOW_OUTBOUND_ALLOWED_NETWORKS" in attempt.error
    assert calls_of(httpserver) == []


def test_a_name_is_resolved_once_and_the_call_goes_to_the_address_that_was_tested(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = watch_connections(monkeypatch)
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    httpserver.expect_request("/").respond_with_data("")

    attempt = call(f"http://crm.example:{httpserver.port}/", resolve=names)

    assert attempt == DELIVERED
    assert names.asked == [("crm.example", httpserver.port)]
    assert connected == [("127.0.0.1", httpserver.port)]
    assert calls_of(httpserver)[0].headers["Host"] == f"crm.example:{httpserver.port}"


def watch_connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Where connections go to, from now on."""
    connected: list[Any] = []
    create = socket.create_connection

    def note(address: Any, *more: Any, **options: Any) -> socket.socket:
        connected.append(address)
        return create(address, *more, **options)

    monkeypatch.setattr(socket, "create_connection", note)
    return connected


def test_the_next_address_is_tried_where_nobody_listens_at_the_first(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data("")

    assert call(f"http://crm.example:{httpserver.port}/", resolve=Names(["127.0.0.9", "127.0.0.1"])) == DELIVERED


def test_numbers_that_hide_loopback_are_not_called(httpserver: HTTPServer) -> None:
    for host in ("127.1", "2130706433", "0x7f000001", "localhost", "[::1]", "[::ffff:7f00:1]"):
        attempt = call(f"http://{host}:{httpserver.port}/", STRICT_BUT_HTTP)
        assert attempt.ending == "refused", host
    assert calls_of(httpserver) == []


def test_a_stored_url_is_checked_again_at_each_call() -> None:
    assert call("http://crm.example/", AddressPolicy()).ending == "refused"
    assert call("https://crm.example:22/", AddressPolicy()).ending == "refused"


def test_an_unknown_host_is_tried_again() -> None:
    def fail(host: str, port: int) -> list[str]:
        raise UnknownHost(f"{host} has no address.")

    assert (attempt := call("https://crm.example/", resolve=fail)).ending == "failed"
    assert attempt.error == "crm.example has no address."
    assert call("https://crm.example/", resolve=lambda host, port: []).ending == "failed"


# TLS ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of crm.example, by an authority that only this test trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "crm.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("crm.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    file = tmp_path_factory.mktemp("tls") / "crm.pem"
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + made.public_bytes(pem))
    return file


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[HTTPServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HTTPServer(host="127.0.0.1", ssl_context=context) as server:
        server.expect_request("/").respond_with_data("")
        yield server


def test_the_certificate_is_checked_against_the_name_though_the_call_goes_to_an_address(
    tls_server: HTTPServer, certificate: Path
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))

    def at(host: str, context: ssl.SSLContext) -> Attempt:
        url = f"https://{host}:{tls_server.port}/"
        return call(url, resolve=lambda name, port: ["127.0.0.1"], ssl_context=context)

    assert at("crm.example", trusting) == DELIVERED
    stranger = at("other.example", trusting)
    untrusted = at("crm.example", ssl.create_default_context())
    assert "certificate" in stranger.error
    assert "certificate" in untrusted.error
    assert (stranger.ending, untrusted.ending) == ("failed", "failed")
    assert len(calls_of(tls_server)) == 1


# Receivers that misbehave ---------------------------------------------------------------------------------------------


@pytest.fixture
def raw_server() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Call it with what is done to each connection; its URL."""
    listening: list[socket.socket] = []

    def serve(treat: Callable[[socket.socket], None]) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        treat(connection)
                    except OSError:
                        continue

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/"

    yield serve
    for server in listening:
        server.close()


def drip(connection: socket.socket) -> None:
    """A byte at a time: each read succeeds, the answer never ends."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def drip_body(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def say_nothing(connection: socket.socket) -> None:
    connection.recv(65536)
    time.sleep(5)


@pytest.mark.parametrize("treat", [drip, drip_body, say_nothing])
def test_a_call_ends_in_time_whatever_the_receiver_does(raw_server: Any, treat: Any) -> None:
    begun = time.monotonic()

    attempt = call(raw_server(treat), total_seconds=0.5)

    assert time.monotonic() - begun < 2
    assert (attempt.ending, attempt.is_away) == ("failed", True)
    assert "No answer within 0.5 s" in attempt.error


def test_an_endless_answer_is_not_read_to_its_end(raw_server: Any) -> None:
    sent = [0]

    def pour(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)
            sent[0] += 65536

    assert call(raw_server(pour)) == DELIVERED
    assert sent[0] < MAX_ANSWER_BYTES + 16 * 1024 * 1024


@pytest.mark.parametrize(
    "answer",
    [b"", b"hello\r\n\r\n", b"HTTP/1.1 \xff\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000, b"\x00" * 100],
)
def test_an_answer_that_is_not_http_is_a_failed_attempt(raw_server: Any, answer: bytes) -> None:
    def reply(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    attempt = call(raw_server(reply), total_seconds=3)

    assert (attempt.ending, attempt.is_away) == ("failed", True)


def test_nobody_listens(raw_server: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    attempt = call(f"http://127.0.0.1:{port}/")

    assert (attempt.ending, attempt.is_away) == ("failed", True)
    assert "refused" in attempt.error


def test_a_slow_receiver_does_not_delay_another_one(scene: Scene, httpserver: HTTPServer) -> None:
    goes_on = threading.Event()

    def wait(_: Request) -> Response:
        goes_on.wait(10)
        return Response("")

    with HTTPServer(host="127.0.0.1", threaded=True) as slow:
        slow.expect_request("/").respond_with_handler(wait)
        httpserver.expect_request("/").respond_with_data("")
        make_webhook(scene, "slow", slow.url_for("/"), HERE)
        make_webhook(scene, "quick", httpserver.url_for("/"), HERE)
        send_out(scene, *(outgoing("slow", company=company) for company in range(8)))
        send_out(scene, *(outgoing("quick", company=company, action="2") for company in range(8)))
        sender = make_sender(scene, real_carriers(LOOPBACK))
        sender.start()
        try:
            wait_until(lambda: len(calls_of(httpserver)) == 8)
            assert calls_of(slow) == []
        finally:
            goes_on.set()
            wait_until(lambda: set(states(scene)) == {"sent"})
            sender.close()


# A worker's process ---------------------------------------------------------------------------------------------------


@pytest.mark.redis
def test_a_worker_killed_while_the_receiver_answers_sends_again_under_the_same_id(
    processes: Processes, configured_database_url: str, valkey_database_url: str, unique_queue: str
) -> None:
    """The process as in production: its sender starts after the fork and dies with it."""
    may_answer = threading.Event()
    settings = {"LEADFLOW_OUTBOUND_ALLOWED_NETWORKS": "10.0.0.0/8, 127.0.0.1", "LEADFLOW_OUTBOUND_ALLOW_HTTP": "true"}
    app = App(processes, configured_database_url, valkey_database_url, unique_queue, **settings)
    arrived: list[str] = []
    with HTTPServer(host="127.0.0.1", threaded=True) as receiver, open_scene(configured_database_url) as scene:
        receiver.expect_request("/").respond_with_handler(lambda request: _note(arrived, request, may_answer))
        scene.clock.now = datetime.now(UTC)
        make_webhook(scene, url=receiver.url_for("/"), outside=Outside(Seals(APP_KEY), LOOPBACK))
        (identity,) = send_out(scene, outgoing())

        worker = app.start_worker()
        worker.wait_until(lambda: arrived, 60, "the first call")
        worker.kill()
        assert states(scene) == ["pending"]
        may_answer.set()
        with scene.engine.begin() as connection:
            connection.execute(text("UPDATE outbox SET next_attempt_at = now()"))  # the lease is over
        second = app.start_worker()
        second.wait_until(lambda: states(scene) == ["sent"], 60, "the second call")

        assert arrived == [identity, identity]
        assert row_of(scene, identity).attempts == 2
        assert second.terminate(30) == 0


def _note(arrived: list[str], request: Request, may_answer: threading.Event) -> Response:
    arrived.append(request.headers["webhook-id"])
    may_answer.wait(30)
    return Response("")


# Notifications --------------------------------------------------------------------------------------------------------


class Postbox:
    """A mail server's memory."""

    def __init__(self) -> None:
        self.letters: list[Any] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.letters.append(envelope)
        return self.answer


@pytest.fixture
def postbox() -> Iterator[Postbox]:
    box = Postbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    box.url = f"mailto://127.0.0.1:{port}/sales@nordwind.example?from=leadflow@our.example&format=text"  # type: ignore[attr-defined]
    yield box
    controller.stop()


def tell(text: str = "Call Anna", **more: Any) -> Any:
    payload = {"text": text, "rule": "demo", "company": {"id": 1, "name": "Nordwind AS"}}
    return outgoing("sales", kind="notification", payload=payload, **more)


def test_a_notification_reaches_a_mail_server(scene: Scene, postbox: Postbox) -> None:
    make_channel(scene, "sales", postbox.url, HERE)
    send_out(scene, tell("Call Anna <b>now</b>"))

    make_sender(scene, real_carriers(LOOPBACK)).send_due()

    assert states(scene) == ["sent"]
    (letter,) = postbox.letters
    content = message_from_bytes(letter.content, policy=default_policy)
    assert letter.rcpt_tos == ["sales@nordwind.example"]
    assert letter.mail_from == "leadflow@our.example"
    assert content["Subject"] == "Nordwind AS · demo"
    assert content.get_content().strip() == "Call Anna <b>now</b>"


def test_a_channel_that_cannot_be_reached_is_tried_again(scene: Scene, postbox: Postbox) -> None:
    make_channel(scene, "sales", postbox.url, HERE)
    postbox.answer = "451 Greylisted, come back later"
    (identity,) = send_out(scene, tell())
    sender = make_sender(scene, real_carriers(LOOPBACK))

    sender.send_due()
    assert states(scene) == ["pending"]
    assert row_of(scene, identity).error.startswith("The channel did not take it")

    postbox.answer = "250 OK"
    scene.clock.pass_by(seconds=10)
    sender.send_due()
    assert states(scene) == ["sent"]


def test_a_channel_at_a_forbidden_address_is_parked_and_nothing_connects(scene: Scene, postbox: Postbox) -> None:
    make_channel(scene, "sales", postbox.url, HERE)
    (identity,) = send_out(scene, tell())

    make_sender(scene, real_carriers(AddressPolicy())).send_due()

    assert postbox.letters == []
    assert states(scene) == ["parked"]
    assert "127.0.0.1 is loopback" in row_of(scene, identity).error


def test_a_name_that_is_rebound_after_any_test_gains_nothing(
    postbox: Postbox, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/leads").respond_with_data("")
    real = socket.getaddrinfo

    def rebound(host: Any, port: Any, *more: Any, **options: Any) -> Any:
        return real("127.0.0.1" if str(host).endswith(".example") else host, port, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    port = re.search(r":(\d+)/", postbox.url).group(1)  # type: ignore[union-attr]

    for url in (
        f"mailto://relay.example:{port}/sales@nordwind.example?from=a@our.example",
        f"ntfy://ntfy.example:{httpserver.port}/leads",
    ):
        attempt = Notifier(STRICT_BUT_HTTP).notify(url, {"text": "hello"})
        assert (attempt.ending, "loopback" in attempt.error) == ("refused", True), url
        assert Notifier(LOOPBACK).notify(url, {"text": "hello"}).ending in ("delivered", "failed")
    assert len(postbox.letters) == 1
    assert calls_of(httpserver) != []


def test_a_chat_s_redirect_is_not_followed(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data("", 307, {"Location": httpserver.url_for("/elsewhere")})
    httpserver.expect_request("/elsewhere").respond_with_data("{}")

    attempt = Notifier(LOOPBACK).notify(f"ntfy://127.0.0.1:{httpserver.port}/leads", {"text": "hello"})

    assert attempt.ending == "failed"
    assert "/elsewhere" not in [request.path for request in calls_of(httpserver)]


def test_no_proxy_of_the_environment_is_used_by_chats(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    with HTTPServer(host="127.0.0.1") as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url_for("/"))
        Notifier(LOOPBACK).notify(f"ntfy://127.0.0.1:{httpserver.port}/leads", {"text": "hello"})

        assert (len(calls_of(proxy)), len(calls_of(httpserver))) == (0, 1)


def test_outside_a_notification_connections_are_nobody_s_business(httpserver: HTTPServer) -> None:
    Notifier(AddressPolicy()).notify("mailto://127.0.0.1:9/a@b.example?from=c@d.example", {"text": "x"})

    with socket.create_connection(("127.0.0.1", httpserver.port)) as connection:
        assert connection.getpeername()[0] == "127.0.0.1"


# The API --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def api(reused_database: ReusedDatabase) -> Iterator[Api]:
    with running_api(reused_database.fresh()) as running:
        yield running


WEBHOOK = {"name": "crm", "kind": "webhook", "url": "https://crm.example/hook"}
CHANNEL = {"name": "mail", "kind": "channel", "url": "mailtos://robot:hunter2@smtp.example?to=a@b.example"}


def test_a_secret_is_shown_once_and_never_again(api: Api) -> None:
    made = api.made("/endpoints", WEBHOOK)

    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", made["secret"])
    assert made == {
        **WEBHOOK,
        "title": "crm",
        "is_enabled": True,
        "created_at": "2026-03-01T12:00:00Z",
        "updated_at": "2026-03-01T12:00:00Z",
        "revision": 1,
        "secret": made["secret"],
    }
    for again in (
        api.get("/endpoints"),
        api.get("/endpoints/crm"),
        api.patch("/endpoints/crm", {"title": "Our CRM"}),
        api.delete("/endpoints/crm"),
    ):
        assert again.status_code == 200
        assert made["secret"] not in again.text
        assert "sealed" not in again.text


def test_a_channel_s_address_is_never_shown(api: Api) -> None:
    made = api.made("/endpoints", CHANNEL)

    assert (made["url"], made["secret"]) == ("mailtos://…", None)
    assert "hunter2" not in api.get("/endpoints").text


def test_a_repeated_post_does_not_repeat_the_secret(api: Api) -> None:
    headers = {"Idempotency-Key": "once"}
    first = api.post("/endpoints", WEBHOOK, headers=headers)
    second = api.post("/endpoints", WEBHOOK, headers=headers)

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert (first.json["secret"][:6], second.json["secret"]) == ("whsec_", None)
    with api.engine.connect() as connection:
        kept = connection.exec_driver_sql("SELECT body::text FROM idempotency").scalar_one()
    assert first.json["secret"] not in kept


def test_endpoints_are_changed_against_the_version_that_was_read(api: Api) -> None:
    api.made("/endpoints", WEBHOOK)
    etag = api.get("/endpoints/crm").headers["ETag"]

    changed = api.patch("/endpoints/crm", {"is_enabled": False}, headers={"If-Match": etag})
    assert (changed.json["is_enabled"], changed.json["revision"], changed.json["secret"]) == (False, 2, None)
    problem_of(api.patch("/endpoints/crm", {"title": "x"}, headers={"If-Match": etag}), 412)
    problem_of(api.delete("/endpoints/crm", headers={"If-Match": etag}), 412)
    assert api.patch("/endpoints/crm", {"new_secret": True}).json["secret"].startswith("whsec_")
    assert api.delete("/endpoints/crm").status_code == 200
    problem_of(api.get("/endpoints/crm"), 404)


@pytest.mark.parametrize(
    ("sent", "location"),
    [
        ({**WEBHOOK, "url": "http://crm.example/"}, "url"),
        ({**WEBHOOK, "url": "https://10.0.0.1/"}, "url"),
        ({**WEBHOOK, "name": "CRM"}, "name"),
        ({**WEBHOOK, "kind": "fax"}, "kind"),
        ({**WEBHOOK, "secret": "whsec_mine"}, "secret"),
        ({**CHANNEL, "url": "file:///etc/passwd"}, "url"),
        ({**CHANNEL, "url": "json://crm.example"}, "url"),
    ],
)
def test_a_wrong_endpoint_is_refused_with_the_place(api: Api, sent: dict[str, Any], location: str) -> None:
    problem = problem_of(api.post("/endpoints", sent), 422)

    assert [one["location"] for one in problem["errors"]] == [location]


def test_a_name_is_there_once_and_a_channel_has_no_secret_to_change(api: Api) -> None:
    api.made("/endpoints", CHANNEL)

    problem_of(api.post("/endpoints", CHANNEL), 409)
    problem_of(api.patch("/endpoints/mail", {"new_secret": True}), 422)
    problem_of(api.patch("/endpoints/nobody", {"title": "x"}), 404)


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_endpoints_are_for_administrators(api: Api, role: str) -> None:
    api.made("/endpoints", WEBHOOK)
    for method, path, sent in (
        ("GET", "/endpoints", None),
        ("GET", "/endpoints/crm", None),
        ("POST", "/endpoints", {**WEBHOOK, "name": "erp"}),
        ("PATCH", "/endpoints/crm", {"title": "x"}),
        ("DELETE", "/endpoints/crm", None),
    ):
        problem_of(api.call(method, path, sent, role=role), 403)
    assert [one["name"] for one in api.get("/endpoints").json["items"]] == ["crm"]


def test_the_outbox_is_read_by_all_and_sent_again_by_editors(api: Api, scene: Scene) -> None:
    ids = [int(one[4:]) for one in send_out(scene, outgoing("nobody"), outgoing(company=2, action="2"))]
    make_sender(scene, real_carriers(AddressPolicy())).send_due()
    with running_api(scene.url) as api:
        parked = api.get("/outbox?endpoint=nobody&state=parked", role="viewer").json

        assert [(one["id"], one["state"]) for one in parked["items"]] == [(ids[0], "parked")]
        assert parked["items"][0]["error"].startswith("There is no endpoint")
        problem_of(api.post(f"/outbox/{ids[0]}/send", role="viewer"), 403)
        again = api.post(f"/outbox/{ids[0]}/send", role="editor")
        assert (again.status_code, again.json["state"], again.json["attempts"]) == (200, "pending", 0)
        problem_of(api.post(f"/outbox/{ids[0]}/send"), 409)
        problem_of(api.post("/outbox/987654/send"), 404)
        problem_of(api.get("/outbox?state=lost"), 422)


def test_the_outbox_is_listed_newest_first_page_by_page(scene: Scene) -> None:
    ids = [int(one[4:]) for one in send_out(scene, *(outgoing(number=number) for number in range(5)))]
    with running_api(scene.url) as api:
        first = api.get("/outbox?limit=3").json
        second = api.get(f"/outbox?limit=3&cursor={first['next']}").json

    assert [one["id"] for one in first["items"] + second["items"]] == ids[::-1]
    assert second["next"] is None


def test_metrics_count_what_is_not_sent(scene: Scene) -> None:
    send_out(scene, outgoing(), outgoing(number=2))
    with running_api(scene.url) as api:
        shown = api.client.get("/metrics").text

    assert 'leadflow_outbox{state="pending"} 2.0' in shown
    assert 'leadflow_outbox{state="parked"} 0.0' in shown


# The page -------------------------------------------------------------------------------------------------------------


class Browser:
    """An administrator's session, with the token that forms carry."""

    def __init__(self, scene: Scene) -> None:
        with scene.engine.begin() as connection:
            account = ensure_administrator(connection, "admin@our.example", "Ada", scene.clock())
            token = create_sign_in_link(connection, account, scene.clock())
        self.client = scene.app.test_client()
        page = self.client.get(f"/sign-in/link/{token}").text
        self.client.post(f"/sign-in/link/{token}", data={"csrf_token": self.token_in(page)})

    @staticmethod
    def token_in(page: str) -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert found is not None
        return found[1]

    def post(self, path: str, **sent: str) -> Any:
        token = self.token_in(self.client.get("/outbox").text)
        return self.client.post(path, data={"csrf_token": token, **sent})


def test_an_administrator_sets_up_a_webhook_and_sees_its_secret_once(scene: Scene) -> None:
    browser = Browser(scene)

    answer = browser.post("/outbox/endpoints", name="crm", kind="webhook", url="https://crm.example/", title="Our CRM")

    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", answer.text)
    assert (answer.status_code, secret is not None) == (200, True)
    later = browser.client.get("/outbox").text
    assert "Our CRM" in later
    assert "whsec_" not in later
    refused = browser.post("/outbox/endpoints", name="erp", kind="webhook", url="http://erp.example/", title="")
    assert (refused.status_code, "must begin with https" in refused.text) == (422, True)
    assert "whsec_" in browser.post("/outbox/endpoints/crm/secret").text
    assert browser.post("/outbox/endpoints/crm/disable").status_code == 303
    assert "Disabled" in browser.client.get("/outbox").text
    assert browser.post("/outbox/endpoints/crm/delete").status_code == 303
    assert "Our CRM" not in browser.client.get("/outbox").text


def test_a_parked_message_shows_its_reason_and_is_sent_again_from_the_page(scene: Scene) -> None:
    company = scene.make_company()
    (identity,) = send_out(scene, outgoing("nobody", company=company))
    make_sender(scene, real_carriers(AddressPolicy())).send_due()
    browser = Browser(scene)

    shown = browser.client.get("/outbox?state=parked").text
    assert "There is no endpoint &#39;nobody&#39;" in shown
    assert identity in shown
    assert "nordwind.example" in shown

    assert browser.post("/outbox/endpoints/nobody/send-parked").status_code == 303
    assert states(scene) == ["pending"]
    make_sender(scene, real_carriers(AddressPolicy())).send_due()
    assert browser.post(f"/outbox/{identity[4:]}/send").status_code == 303
    assert states(scene) == ["pending"]
    assert browser.client.get(f"/outbox?after={json.dumps(0)}").status_code == 200
