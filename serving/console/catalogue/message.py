"""One text in both languages."""

from __future__ import annotations

from typing import NamedTuple


class Message(NamedTuple):
    """One text; ``{names}`` are filled in, the same ones in both languages."""

    en: str
    zh: str
