"""Signatures of webhooks: ours are good everywhere, and nobody else's are good here."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI
from standardwebhooks import Webhook

from nightmail.core.webhook import TOLERANCE, headers_of, key_of, verified

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"a secret of some length!").decode()
BODY = b'{"type":"batch.completed","data":{"id":"batch_1"}}'
secrets = st.binary(min_size=1, max_size=64).map(lambda key: "whsec_" + base64.b64encode(key).decode())
ids = st.text("abcdef0123456789_-", min_size=1, max_size=40)


def signed(secret=SECRET, at=NOW, body=BODY, message_id="msg_1"):
    return headers_of(secret, message_id=message_id, at=at, body=body)


@given(secret=secrets, body=st.binary(max_size=200), message_id=ids)
def test_what_is_signed_here_is_believed_here(secret, body, message_id):
    headers = signed(secret, body=body, message_id=message_id)
    assert verified(headers, body, secrets=[secret], now=NOW) == message_id


@given(secret=secrets, other=secrets, body=st.binary(max_size=50), said=st.binary(max_size=50))
def test_another_secret_or_another_body_is_not_believed(secret, other, body, said):
    if (key_of(secret), body) == (key_of(other), said):
        return
    with pytest.raises(ValueError, match="no signature"):
        verified(signed(secret, body=body), said, secrets=[other], now=NOW)


def test_the_standard_s_own_package_makes_and_believes_the_same():
    reference = Webhook(SECRET)
    at = datetime.now(UTC).replace(microsecond=0)
    headers = signed(at=at)
    assert reference.sign("msg_1", at, BODY.decode()) == headers["webhook-signature"]
    reference.verify(BODY, headers)


def test_the_official_client_of_openai_believes_what_is_signed_here():
    client = OpenAI(api_key="none", webhook_secret=SECRET)
    client.webhooks.verify_signature(BODY, signed(at=datetime.now(UTC)))
    plain = OpenAI(api_key="none", webhook_secret="a plain secret")
    plain.webhooks.verify_signature(BODY, signed("a plain secret", at=datetime.now(UTC)))


def test_one_good_signature_among_several_is_enough():
    headers = signed()
    headers["webhook-signature"] = f"v2,abc v1,bm8= nonsense {headers['webhook-signature']}"
    assert verified(headers, BODY, secrets=["whsec_b3RoZXI=", SECRET], now=NOW) == "msg_1"


@pytest.mark.parametrize("off", [TOLERANCE + timedelta(seconds=1), -TOLERANCE - timedelta(seconds=1)])
def test_a_stale_one_and_one_from_the_future_are_refused(off):
    with pytest.raises(ValueError, match=r"signed at .* more than 300 seconds"):
        verified(signed(at=NOW + off), BODY, secrets=[SECRET], now=NOW)


def test_at_the_edge_of_the_tolerance_it_is_believed():
    assert verified(signed(at=NOW - TOLERANCE), BODY, secrets=[SECRET], now=NOW) == "msg_1"


def test_the_time_cannot_be_changed_without_the_secret():
    headers = signed(at=NOW - timedelta(hours=1)) | {"webhook-timestamp": str(int(NOW.timestamp()))}
    with pytest.raises(ValueError, match="no signature"):
        verified(headers, BODY, secrets=[SECRET], now=NOW)


@given(
    headers=st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text(max_size=30)
    )
)
def test_odd_headers_are_refused_and_break_nothing(headers):
    with pytest.raises(ValueError, match=r"missing or malformed|no signature"):
        verified(headers, BODY, secrets=[SECRET], now=NOW)


@pytest.mark.parametrize("secret", ["", "whsec_", "  ", "whsec_a"])
def test_a_secret_that_is_none_is_refused_without_being_told(secret):
    with pytest.raises(ValueError, match=r"empty|not base64") as refused:
        key_of(secret)
    assert not secret.strip() or secret not in str(refused.value)


def test_without_a_secret_nothing_is_believed():
    with pytest.raises(ValueError, match="no signature"):
        verified(signed(), BODY, secrets=[], now=NOW)
