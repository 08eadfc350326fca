import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.console.session import LIFETIME, Session, SessionSigner, session_secret

SIGNER = SessionSigner(b"a" * 32)
NOW = 1_800_000_000_000


def test_a_session_comes_back_from_its_cookie() -> None:
    session = SIGNER.open("ana", "auditor", key_hash="h", at=NOW)
    assert SIGNER.from_cookie(SIGNER.to_cookie(session), NOW + 1) == session


def test_a_session_ends() -> None:
    cookie = SIGNER.to_cookie(SIGNER.open("ana", "auditor", key_hash=None, at=NOW))
    assert SIGNER.from_cookie(cookie, NOW + LIFETIME - 1) is not None
    assert SIGNER.from_cookie(cookie, NOW + LIFETIME) is None


@given(st.data())
def test_a_cookie_with_one_character_changed_is_no_session(data: st.DataObject) -> None:
    cookie = SIGNER.to_cookie(Session("ana", "auditor", None, NOW + LIFETIME, "nonce"))
    place = data.draw(st.integers(0, len(cookie) - 1))
    other = data.draw(st.sampled_from("ABab01-_.").filter(lambda char: char != cookie[place]))
    changed = cookie[:place] + other + cookie[place + 1 :]
    read = SIGNER.from_cookie(changed, NOW)
    # base64 without padding leaves unused bits at the end of each part: the bytes behind the text are what is signed
    assert read is None or read == SIGNER.from_cookie(cookie, NOW)


@given(st.text())
def test_any_text_may_come_as_a_cookie(text: str) -> None:
    assert SIGNER.from_cookie(text, NOW) is None


def test_another_secret_signs_nothing_that_we_accept() -> None:
    cookie = SessionSigner(b"b" * 32).to_cookie(SIGNER.open("eve", "admin", key_hash=None, at=NOW))
    assert SIGNER.from_cookie(cookie, NOW) is None


def test_a_form_token_belongs_to_one_session() -> None:
    one, other = (SIGNER.open("ana", "auditor", key_hash=None, at=NOW) for _ in range(2))
    assert SIGNER.form_token_fits(one.nonce, SIGNER.form_token(one.nonce))
    assert not SIGNER.form_token_fits(other.nonce, SIGNER.form_token(one.nonce))
    assert not SIGNER.form_token_fits(one.nonce, "é")


def test_the_secret_is_made_once_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "session.secret"
    assert session_secret(path) == session_secret(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ValueError, match="32 bytes"):
        SessionSigner(b"short")
