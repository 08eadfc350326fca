"""What is wrong with a file or a request, one line each: where, what, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.console import contexts, texts
from serving.console.messages import say


def row(language: str, error: Mapping[str, Any]) -> contexts.Problem:
    """One entry of a problem's ``errors`` as a line of a page."""
    tone = "hold" if error.get("severity") == "warning" else "bad"
    return contexts.Problem(
        where(language, error), texts.in_language(error, "msg", language), texts.in_language(error, "fix", language), tone
    )


def where(language: str, error: Mapping[str, Any]) -> str:
    """``row 12, column price``, and how many more."""
    line, column = error.get("row"), error.get("column")
    if line is not None and column is not None:
        place = say(language, "dataset.where_cell", row=f"{line:,}", column=column)
    elif line is not None:
        place = say(language, "dataset.where_row", row=f"{line:,}")
    elif column is not None:
        place = say(language, "dataset.where_column", column=column)
    else:
        return ""
    count = int(error.get("count", 1))
    return say(language, "dataset.where_more", where=place, count=f"{count - 1:,}") if count > 1 else place
