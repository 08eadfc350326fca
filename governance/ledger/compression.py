"""How bodies and answers are stored: zstd, with a dictionary of what every record says, so that only what is particular takes room.

A dictionary is a file in ``dictionaries``, named by the id that every frame written with it carries; frames without one are read as well.
These files are never changed and never removed, because records need them; a new one gets the next number and is written with from then on
(``benchmarks/ledger_dictionary.py`` trains it). What a record commits to is the plain text, so none of this is part of its proof.
"""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

import zstandard

from governance.ledger.errors import RecordCorrupt

CURRENT = 32_768
"""The dictionary that is written with. Smaller ids are reserved by zstd."""

MAX_PLAIN = 64 * 2**20
"""A body or response larger than this was not written by us."""

LEVEL = 3
_FOLDER = Path(__file__).parent / "dictionaries"
_local = threading.local()


def compress(data: bytes) -> bytes:
    """One zstd frame with the current dictionary."""
    compressor: zstandard.ZstdCompressor | None = getattr(_local, "compressor", None)
    if compressor is None:  # a compressor must not be shared by threads
        compressor = _local.compressor = zstandard.ZstdCompressor(level=LEVEL, dict_data=_dictionary(CURRENT))
    return compressor.compress(data)


def decompress(stored: bytes) -> bytes:
    """Undo :func:`compress`, whichever dictionary of ours it used, or none.

    Raises:
        RecordCorrupt: the bytes are damaged, or name a dictionary that this version does not have.
    """
    try:
        frame = zstandard.get_frame_parameters(stored)
        if zstandard.frame_content_size(stored) > MAX_PLAIN:
            raise RecordCorrupt("a stored text claims to be larger than any that is written")
        dictionary = _dictionary(frame.dict_id) if frame.dict_id else None
        return zstandard.ZstdDecompressor(dict_data=dictionary).decompress(stored, max_output_size=MAX_PLAIN, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise RecordCorrupt("a stored text cannot be decompressed") from error
    except FileNotFoundError as error:
        raise RecordCorrupt("a stored text was compressed with a dictionary that this version does not have") from error


@cache
def _dictionary(number: int) -> zstandard.ZstdCompressionDict:
    dictionary = zstandard.ZstdCompressionDict((_FOLDER / f"{number}.zdict").read_bytes())
    dictionary.precompute_compress(level=LEVEL)
    return dictionary
