"""Standard Webhooks: what the reference library signs we accept; anything else we refuse, and never with a crash."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from leadflow.sources.deliveries import NotGenuine, verify
from leadflow.sources.model import Source, Verification

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
OTHER = "whsec_" + base64.b64encode(b"another secret of thirty-two byte").decode()
BODY = json.dumps({"type": "lead.submitted", "data": {"email": "kofi@mensahfoods.example"}}).encode()


def source(*secrets):
    return Source("signed", "standard-webhooks", verification=Verification("standard-webhooks", secrets))


def signed(body=BODY, at=NOW, secret=SECRET, delivery_id="msg_1"):
    signature = Webhook(secret).sign(delivery_id, at, body.decode())
    stamp = str(int(at.timestamp()))
    return {"webhook-id": delivery_id, "webhook-timestamp": stamp, "webhook-signature": signature}


def test_what_the_reference_library_signs_is_genuine():
    verify(source(SECRET), signed(), BODY, NOW)


def test_while_a_secret_is_replaced_both_are_good():
    verify(source(OTHER, SECRET), signed(), BODY, NOW)
    both = {**signed(), "webhook-signature": f"v1,AAAA {signed()['webhook-signature']} v2,ignored"}
    verify(source(SECRET), both, BODY, NOW)


@pytest.mark.parametrize(
    ("headers", "body", "words"),
    [
        ({}, BODY, "required"),
        ({**signed(), "webhook-timestamp": "soon"}, BODY, "not a time"),
        ({**signed(), "webhook-timestamp": "²"}, BODY, "not a time"),
        ({**signed(), "webhook-signature": "v1,notbase64!"}, BODY, "does not match"),
        ({**signed(), "webhook-signature": "v1a,AAAA"}, BODY, "does not match"),
        ({**signed(), "webhook-id": "msg_2"}, BODY, "does not match"),
        (signed(), BODY + b" ", "does not match"),
        (signed(secret=OTHER), BODY, "does not match"),
        (signed(at=NOW - timedelta(minutes=6)), BODY, "too old"),
        (signed(at=NOW + timedelta(minutes=6)), BODY, "in the future"),
    ],
)
def test_anything_else_is_refused_with_its_reason(headers, body, words):
    with pytest.raises(NotGenuine, match=words):
        verify(source(SECRET), headers, body, NOW)


def test_without_a_secret_nothing_is_genuine():
    with pytest.raises(NotGenuine, match="No secret"):
        verify(source(), signed(), BODY, NOW)


@given(
    st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()), st.binary()
)
def test_hostile_headers_are_refused_never_a_crash(headers, body):
    with pytest.raises(NotGenuine):
        verify(source(SECRET), headers, body, NOW)
