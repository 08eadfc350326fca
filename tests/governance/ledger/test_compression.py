"""What is stored small is read back whole, with today's dictionary, another one, or none."""

from __future__ import annotations

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from governance.ledger.compression import CURRENT, compress, decompress
from governance.ledger.errors import RecordCorrupt

TEXT = b'{"confidence":{"event":"fulfilment_failure","level":0.9},"reasons":[{"code":"CUSTOMS_STRICT","direction":"raises"}]}'


@given(st.binary(max_size=4_000))
@example(b"")
@example(TEXT * 500)
def test_reading_undoes_writing(data):
    assert decompress(compress(data)) == data


def test_a_frame_names_its_dictionary_and_is_smaller_for_it():
    stored = compress(TEXT)
    assert zstandard.get_frame_parameters(stored).dict_id == CURRENT
    assert len(stored) < len(zstandard.compress(TEXT)) / 2


def test_frames_without_a_dictionary_are_read():
    assert decompress(zstandard.compress(TEXT)) == TEXT


def test_a_frame_with_a_dictionary_that_is_not_here_is_refused():
    samples = [TEXT + b"%d" % number * 9 for number in range(300)]
    foreign = zstandard.train_dictionary(2_048, samples, dict_id=65_000)
    with pytest.raises(RecordCorrupt, match="dictionary that this version does not have"):
        decompress(zstandard.ZstdCompressor(dict_data=foreign).compress(TEXT))


@pytest.mark.parametrize(
    "damage", [lambda stored: stored[:-1], lambda stored: stored + b"x", lambda _stored: b"", lambda _stored: b"plain"]
)
def test_damaged_frames_are_refused(damage):
    with pytest.raises(RecordCorrupt):
        decompress(damage(compress(TEXT)))
