"""Hostile bodies: no 500, nothing lost, neighbours undisturbed; what cannot be read is held, with a reason."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import servers
from tests.support.scenes import Scene, open_scene

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MIB = 1024 * 1024
PROCESSED, HELD = "processed", "held"


@dataclass
class Hostile:
    """A delivery and how it must end."""

    body: bytes
    state: str = HELD
    content_type: str | None = JSON
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


def document(**fields: Any) -> bytes:
    return json.dumps({"form": "newsletter", "email": "a@hostile.example", **fields}).encode()


def with_email(email: Any) -> bytes:
    return json.dumps({"form": "newsletter", "email": email}).encode()


def padded(size: int) -> bytes:
    """A form of exactly so many bytes."""
    body = document(message="")
    return body[:-2] + b"x" * (size - len(body)) + body[-2:]


def multipart(*parts: bytes, boundary: bytes = b"B", end: bytes = b"--B--\r\n") -> bytes:
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + end


def part(name: str, value: bytes, more: str = "", head: str = "") -> bytes:
    return f'Content-Disposition: form-data; name="{name}"{more}\r\n{head}\r\n'.encode() + value


EMAIL_PART = part("email", b"a@hostile.example")
MULTIPART = "multipart/form-data; boundary=B"

BODIES: dict[str, Hostile] = {
    # Text that no database keeps
    "NUL in a value": Hostile(document(first_name="a\x00b")),
    "NUL in a key": Hostile(document(**{"a\x00b": 1})),
    "NUL bytes only": Hostile(b"\x00" * 100),
    "NUL in a value nobody reads": Hostile(document(unknown={"deep": ["x\x00"]})),
    "lone surrogate in a value": Hostile(b'{"email": "a@hostile.example", "first_name": "\\ud800"}'),
    "lone surrogate in a key": Hostile(b'{"email": "a@hostile.example", "\\udfff": 1}'),
    "surrogates the wrong way round": Hostile(b'{"email": "a@hostile.example", "message": "\\ude00\\ud83d"}'),
    "a proper pair of surrogates": Hostile(
        b'{"email": "a@hostile.example", "message": "\\ud83d\\ude00"}', PROCESSED
    ),
    # Depth and size
    "JSON 100,000 lists deep": Hostile(b"[" * 100_000),
    "JSON 100,000 objects deep": Hostile(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "JSON 100,000 deep in a form": Hostile(
        b'{"email": "a@hostile.example", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    ),
    "JSON 500 deep in a form": Hostile(b'{"email": "a@hostile.example", "x": ' + b"[" * 500 + b"]" * 500 + b"}"),
    "50,000 keys": Hostile(document(**{f"key{number}": number for number in range(50_000)}), PROCESSED),
    "1 MiB exactly": Hostile(padded(MIB), PROCESSED),
    "1 MiB and a byte": Hostile(padded(MIB + 1), status=413),
    "10 MiB": Hostile(b"x" * 10 * MIB, status=413),
    # Numbers
    "NaN": Hostile(b'{"email": "a@hostile.example", "budget": NaN}'),
    "Infinity": Hostile(b'{"email": "a@hostile.example", "budget": -Infinity}'),
    "a number of 5,000 digits": Hostile(b'{"email": "a@hostile.example", "budget": ' + b"9" * 5_000 + b"}"),
    "a number of 4,000 digits": Hostile(b'{"email": "a@hostile.example", "budget": ' + b"9" * 4_000 + b"}", PROCESSED),
    "a number beyond floats": Hostile(b'{"email": "a@hostile.example", "budget": 1e999}', PROCESSED),
    "an exponent of a million": Hostile(document(budget="1e1000000"), PROCESSED),
    "a budget that is text": Hostile(document(budget="a lot"), PROCESSED),
    "a budget that is a list": Hostile(document(budget=[1, 2]), PROCESSED),
    # Encodings
    "bytes that are no UTF-8": Hostile(b'{"email": "a@hostile.example", "first_name": "\xff\xfe\xe9"}'),
    "overlong UTF-8": Hostile(b'{"email": "a@hostile.example", "first_name": "\xc0\xaf"}'),
    "UTF-16": Hostile(document().decode().encode("utf-16")),
    "UTF-16 without BOM": Hostile(document().decode().encode("utf-16-le")),
    "a BOM before the JSON": Hostile(b"\xef\xbb\xbf" + document(), PROCESSED),
    "two BOMs": Hostile(b"\xef\xbb\xbf" * 2 + document()),
    "latin-1 in a form": Hostile(b"email=a@hostile.example&first_name=\xe9", content_type=FORM),
    "a content encoding that is not undone": Hostile(gzip.compress(b"x" * MIB), headers={"content-encoding": "gzip"}),
    # No document
    "nothing": Hostile(b""),
    "white space": Hostile(b" \r\n\t "),
    "text": Hostile(b"hello"),
    "half a document": Hostile(document()[:-5]),
    "two documents": Hostile(document() + document()),
    "a number": Hostile(b"42"),
    "null": Hostile(b"null"),
    "a string": Hostile(b'"a@hostile.example"'),
    "a list": Hostile(b"[" + document() + b"]"),
    "an empty object": Hostile(b"{}"),
    "single quotes": Hostile(b"{'email': 'a@hostile.example'}"),
    "XML with entities": Hostile(b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', content_type="application/xml"),
    # Keys
    "a key twice": Hostile(b'{"email": "b@hostile.example", "email": "a@hostile.example"}', PROCESSED),
    "keys of objects that matter to Python": Hostile(document(__class__="x", __proto__={"a": 1}), PROCESSED),
    "a very long key": Hostile(document(**{"k" * 100_000: 1}), PROCESSED),
    # E-mail
    "an e-mail that is a list": Hostile(with_email(["a@hostile.example"])),
    "an e-mail that is an object": Hostile(with_email({"value": "a@hostile.example"})),
    "an e-mail that is a number": Hostile(with_email(42)),
    "an e-mail that is null": Hostile(with_email(None)),
    "an e-mail of blanks": Hostile(with_email("   ")),
    "an e-mail of 10,000 characters": Hostile(with_email("a" * 10_000 + "@hostile.example")),
    "an e-mail with NUL": Hostile(with_email("a\x00@hostile.example")),
    "an e-mail with a line break and a header": Hostile(with_email("a@hostile.example\r\nBcc: b@x.example")),
    "an e-mail with two at signs": Hostile(with_email("a@b@hostile.example")),
    "an e-mail without a domain": Hostile(with_email("a@")),
    "an e-mail at an IP address": Hostile(with_email("a@[127.0.0.1]")),
    "an e-mail at a bare suffix": Hostile(with_email("a@co.uk"), PROCESSED),
    "an e-mail with markup": Hostile(with_email("<script>alert(1)</script>@hostile.example")),
    "an e-mail at a domain of 300 characters": Hostile(with_email("a@" + "b" * 300 + ".example")),
    "an e-mail at an international domain": Hostile(with_email("a@bücher-hostile.example"), PROCESSED),
    # Other fields
    "names that are objects": Hostile(document(first_name={"a": 1}, last_name=["b"], company=7), PROCESSED),
    "a name of 200,000 characters": Hostile(document(first_name="x" * 200_000), PROCESSED),
    "markup and templates in fields": Hostile(
        document(form="demo-request", first_name="{{ 7*7 }}<script>", company="'; DROP TABLE company; --"), PROCESSED
    ),
    "a date in the year 99999": Hostile(document(submitted_at="99999-01-01T00:00:00Z"), PROCESSED),
    "text that turns the direction": Hostile(document(first_name="\u202egnp.exe", message="\ufeff\u200b"), PROCESSED),
    # Forms
    "bad percent signs": Hostile(b"email=a%40hostile.example&x=%zz&y=%", PROCESSED, FORM),
    "percent-encoded bad UTF-8": Hostile(b"email=a%40hostile.example&x=%ff", content_type=FORM),
    "percent-encoded NUL": Hostile(b"email=a%40hostile.example&x=%00", content_type=FORM),
    "10,000 fields": Hostile(b"email=a%40hostile.example&" + b"a=1&" * 10_000, content_type=FORM),
    "only ampersands": Hostile(b"&" * 1000, content_type=FORM),
    "JSON called a form": Hostile(document(), content_type=FORM),
    "a form called JSON": Hostile(b"email=a%40hostile.example"),
    "an e-mail twice": Hostile(b"email=a%40hostile.example&email=b%40hostile.example", content_type=FORM),
    "multipart": Hostile(multipart(EMAIL_PART), PROCESSED, MULTIPART),
    "multipart without boundary": Hostile(multipart(EMAIL_PART), content_type="multipart/form-data"),
    "multipart with another boundary": Hostile(multipart(EMAIL_PART), content_type="multipart/form-data; boundary=C"),
    "multipart cut off": Hostile(multipart(EMAIL_PART, end=b"--B\r\nContent-Disp"), content_type=MULTIPART),
    "multipart within multipart": Hostile(
        multipart(EMAIL_PART, part("x", multipart(part("y", b"1"), boundary=b"C", end=b"--C--"),
                                   head="Content-Type: multipart/mixed; boundary=C\r\n")),
        PROCESSED, MULTIPART,
    ),
    "multipart with a file": Hostile(
        multipart(EMAIL_PART, part("cv", b"\x00\xff" * 500, '; filename="cv\xe9.pdf"')), PROCESSED, MULTIPART
    ),
    "multipart with a file as its e-mail": Hostile(
        multipart(part("email", b"x", '; filename="a@hostile.example"')), PROCESSED, MULTIPART
    ),
    "multipart of 2,000 parts": Hostile(
        multipart(EMAIL_PART, *[part(f"p{number}", b"1") for number in range(2_000)]), content_type=MULTIPART
    ),
    "multipart with an odd charset": Hostile(
        multipart(EMAIL_PART, part("first_name", b"\xff", head="Content-Type: text/plain; charset=x-none\r\n")),
        PROCESSED, MULTIPART,
    ),
    "an endless boundary": Hostile(multipart(EMAIL_PART), content_type="multipart/form-data; boundary=" + "B" * 5_000),
    # Headers
    "no content type": Hostile(document(), PROCESSED, None),
    "a content type that is none": Hostile(document(), PROCESSED, "\x7f;;=\"'/"),
    "a content type of 10,000 characters": Hostile(document(), PROCESSED, "text/" + "x" * 10_000),
    "JSON called an image": Hostile(document(), PROCESSED, "image/png"),
    "an id of odd bytes": Hostile(document(), PROCESSED, headers={"webhook-id": "\xff\xfe\x01\x80"}),
    "an id of 5,000 characters": Hostile(document(), PROCESSED, headers={"webhook-id": "x" * 5_000}),
    "an id of blanks": Hostile(document(message="blank id"), PROCESSED, headers={"webhook-id": "   "}),
    "an id that looks computed": Hostile(document(), PROCESSED, headers={"webhook-id": "body:00:1"}),
}  # fmt: skip


@dataclass
class Delivered:
    """What became of all of them, in one inbox with good forms between them."""

    scene: Scene
    statuses: dict[str, int]
    events: dict[str, int]
    good: list[int]


@pytest.fixture(scope="module")
def delivered(postgres_url: str, configured_template: str) -> Iterator[Delivered]:
    with servers.database(postgres_url, configured_template) as url, open_scene(url) as scene:
        statuses, events, good = {}, {}, []
        for number, (name, one) in enumerate(BODIES.items()):
            headers = {"webhook-id": f"hostile-{number}", **one.headers}
            response = scene.deliver(one.body, one.content_type, headers=headers)
            statuses[name] = response.status_code
            if response.status_code == 200:
                events[name] = response.get_json()["event_id"]
            if number % 4 == 0:
                good.append(scene.post_form("demo-request", f"a@good-{number}.example"))
        scene.drain(60)
        yield Delivered(scene, statuses, events, good)


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_stored_and_ends_well(delivered: Delivered, name: str) -> None:
    one, scene = BODIES[name], delivered.scene

    assert delivered.statuses[name] == one.status
    if one.status != 200:
        return
    event = scene.event(delivered.events[name])
    assert bytes(event.body) == one.body
    assert (event.state, event.failures) == (one.state, 0), event.error
    shown = scene.get(f"/events/{event.id}")
    assert shown.status_code == 200
    assert shown.get_json()["state"] == one.state
    if one.state == HELD:
        assert_a_marketer_understands(shown.get_json()["error"])


def assert_a_marketer_understands(reason: str) -> None:
    assert re.fullmatch(r"[A-Z'“].{15,400}\.", reason), reason
    assert not re.search(r"Error|Exception|Traceback|NoneType|None\b|\bdict\b|\bstr\b|codec|0x|\\x|\\u", reason), reason


def test_good_forms_between_them_are_undisturbed(delivered: Delivered) -> None:
    for event in delivered.good:
        assert delivered.scene.event(event).state == PROCESSED
        assert delivered.scene.runs(event)["demo-request-to-mql"] == "fired"
    assert delivered.scene.differences() == []


def test_held_events_are_listed(delivered: Delivered) -> None:
    held, cursor = [], ""
    while cursor is not None:
        page = delivered.scene.get(f"/events?state=held&limit=200{cursor and '&cursor=' + cursor}").get_json()
        held += [one["id"] for one in page["items"]]
        cursor = page["next"]

    assert set(held) == {
        delivered.events[name] for name, one in BODIES.items() if one.state == HELD and one.status == 200
    }


def test_nothing_waits_and_nothing_failed(delivered: Delivered) -> None:
    assert delivered.scene.rows("SELECT id, error FROM event WHERE state IN ('pending', 'failed')") == []


def test_what_could_not_be_read_in_a_field_is_told_beside_the_fields(delivered: Delivered) -> None:
    fields = delivered.scene.event(delivered.events["a budget that is text"]).fields

    assert fields["form"] == "newsletter"
    assert fields["unreadable"] == {"budget": "form.budget: expected a number, not 'a lot'"}


def test_the_pages_show_them_too(delivered: Delivered) -> None:
    """Hostile text reaches people's screens escaped."""
    scene = delivered.scene
    contact = scene.contact_id("a@hostile.example")

    shown = scene.get(f"/contacts/{contact}").get_json()

    assert shown["email"] == "a@hostile.example"
    assert scene.count("company") > 20, "a hostile company name took the table with it"


def test_a_held_event_replayed_without_being_mended_is_held_again(delivered: Delivered) -> None:
    scene, event = delivered.scene, delivered.events["text"]
    before = scene.event(event).error

    assert scene.post(f"/events/{event}/replay").status_code == 200
    scene.drain()

    assert (scene.event(event).state, scene.event(event).error) == (HELD, before)


def test_an_id_that_no_database_keeps_still_finds_its_repeats(delivered: Delivered) -> None:
    scene = delivered.scene
    for given_id in ("x" * 5_000, "\xff\xfe\x01\x80"):
        answers = [scene.deliver(document(message="again"), headers={"webhook-id": given_id}) for _ in range(2)]
        assert [one.get_json()["duplicate"] for one in answers] == [True, True]


@pytest.mark.parametrize("source", ["nobody", "sales", "records", "../generic", "generic%00", "%ff"])
def test_an_unknown_source_is_404(delivered: Delivered, source: str) -> None:
    assert delivered.scene.deliver(document(), source=source).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"webhook-id": "1", "webhook-timestamp": "x", "webhook-signature": "v1,x"},
        {"webhook-id": "1", "webhook-timestamp": "9" * 4_400, "webhook-signature": "v1,x"},
        {"webhook-id": "\xff", "webhook-timestamp": "1772366400", "webhook-signature": "v1,\xff\xfe v1,"},
        {"webhook-id": "1", "webhook-timestamp": "²", "webhook-signature": "v1,AAAA"},
        {"webhook-id": "1", "webhook-timestamp": "-1", "webhook-signature": "v2,AAAA"},
    ],
)
def test_a_wrong_signature_is_401_and_stores_nothing(delivered: Delivered, headers: dict[str, str]) -> None:
    before = delivered.scene.count("event")

    response = delivered.scene.deliver(document(), headers=headers, source="standard-webhooks")

    assert response.status_code == 401
    assert delivered.scene.count("event") == before


# Whatever else --------------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
names = st.sampled_from(
    ["email", "form", "first_name", "company", "budget", "interest", "consent", "submitted_at", "utm_source", "name"]
)
documents = st.dictionaries(names | st.text(max_size=8), values, max_size=8)
good_email = st.fixed_dictionaries({"email": st.just("fuzz@hostile.example")})
bodies = st.one_of(
    st.binary(max_size=300),
    documents.map(lambda one: json.dumps(one).encode("utf-8", "surrogatepass")),
    st.tuples(documents, good_email).map(lambda pair: json.dumps(pair[0] | pair[1]).encode()),
    st.text(max_size=100).map(lambda text: text.encode("utf-16", "surrogatepass")),
)
content_types = st.sampled_from([JSON, FORM, MULTIPART, "text/plain", None]) | st.text(
    st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=40
)


@settings(
    max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(batch=st.lists(st.tuples(bodies, content_types), min_size=1, max_size=12))
def test_no_body_at_all_makes_an_error_or_is_lost(delivered: Delivered, batch: list[tuple[bytes, str | None]]) -> None:
    scene = delivered.scene
    first = int(scene.value("SELECT max(id) FROM event"))

    ids = []
    for number, (body, content_type) in enumerate(batch):
        response = scene.deliver(body, content_type, delivery_id=f"fuzz-{first}-{number}")
        assert response.status_code == 200
        ids.append(response.get_json()["event_id"])
    scene.drain()

    rows = scene.rows("SELECT id, state, body, error, failures FROM event WHERE id > :first ORDER BY id", first=first)
    assert [row.id for row in rows] == ids
    assert [bytes(row.body) for row in rows] == [body for body, _ in batch]
    for row in rows:
        assert (row.state in (PROCESSED, HELD), row.failures) == (True, 0), row.error
        assert (row.error is None) == (row.state == PROCESSED)
