"""Record ids: UUIDv7, so that ids sort by time and an index on them grows at its end."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable


class RecordIds:
    """UUIDv7 (RFC 9562) that never go backwards in one process: 48 bits of milliseconds, a 12-bit counter, 62 random bits."""

    def __init__(self, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000, random: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._random = random
        self._lock = threading.Lock()
        self._millis = 0
        self._counter = 0

    def new(self) -> str:
        """The next id. Threads may share the maker."""
        noise = int.from_bytes(self._random(10), "big")
        now = self._clock()
        with self._lock:
            if now > self._millis:
                self._millis, self._counter = now, noise >> 69  # 11 random bits: half of the counter's range stays free
            elif self._counter < 0xFFF:
                self._counter += 1
            else:  # more than the counter holds, or the clock went back: time runs ahead a little
                self._millis, self._counter = self._millis + 1, noise >> 69
            millis, counter = self._millis, self._counter
        value = (millis << 80) | (0x7 << 76) | (counter << 64) | (0b10 << 62) | (noise & ((1 << 62) - 1))
        digits = f"{value:032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_ids = RecordIds()


def new_record_id() -> str:
    """A fresh record id: a UUIDv7, larger than every one that this process made before."""
    return _ids.new()
