"""Signatures are those of Standard Webhooks; secrets are sealed for their endpoint."""

from __future__ import annotations

import base64
import hashlib
import hmac
import stat
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from governance.ledger.errors import KeyFileInvalid
from serving.webhooks.secrets import KEY_FILE, Vault, headers, new_secret


def test_the_published_vector() -> None:
    # The example of the specification's reference libraries (standard-webhooks/standard-webhooks, libraries/*/test).
    secret, body = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    made = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330_000, body, (secret,))
    assert made == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330_000, body, (f"whsec_{secret}",)) == made


@given(st.from_regex(r"msg_[a-z0-9-]{1,40}", fullmatch=True), st.integers(0, 4_102_444_800_000), st.text(max_size=200), st.integers(1, 2))
def test_it_is_hmac_over_id_time_and_body(message_id: str, at: int, text: str, secrets: int) -> None:
    keys = tuple(new_secret() for _ in range(secrets))
    body = text.encode("utf-8", "replace")
    made = headers(message_id, at, body, keys)
    signed = f"{message_id}.{at // 1000}.".encode() + body
    expected = [hmac.digest(base64.b64decode(key.removeprefix("whsec_")), signed, hashlib.sha256) for key in keys]
    assert made["webhook-signature"] == " ".join(f"v1,{base64.b64encode(one).decode()}" for one in expected)


@given(st.binary(min_size=1, max_size=60), st.integers(0, 59))
def test_a_changed_body_does_not_pass(body: bytes, where: int) -> None:
    body = base64.b64encode(body)
    secret = new_secret()
    made = headers("msg_1", int(time.time() * 1000), body, (secret,))
    Webhook(secret).verify(body, made, json_parse=False)
    place = where % len(body)
    changed = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(changed, made, json_parse=False)


def test_a_secret_opens_for_its_endpoint_with_its_key_alone(tmp_path: Path) -> None:
    vault, secret = Vault.of(tmp_path), new_secret()
    sealed = vault.seal("one", secret)
    assert secret.encode() not in sealed
    assert base64.b64decode(secret.removeprefix("whsec_")) not in sealed
    assert Vault.of(tmp_path).open("one", sealed) == secret
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    for wrong in (lambda: vault.open("two", sealed), lambda: Vault(b"k" * 32).open("one", sealed), lambda: vault.open("one", sealed[:-1])):
        with pytest.raises(KeyFileInvalid):
            wrong()
    (tmp_path / KEY_FILE).chmod(0o600)
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(KeyFileInvalid, match="damaged"):
        Vault.of(tmp_path)


def test_secrets_are_long_and_never_the_same() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(len(base64.b64decode(one.removeprefix("whsec_"))) == 32 for one in made)
