"""How the values of each column are spread: small histograms of numbers and times, the most frequent texts of categories."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from feature_store.columns import Column, Kind
from feature_store.times import format_time

BINS = 24
TOP = 5
_SPREAD = (0.005, 0.995)


def distribution(column: Column) -> dict[str, Any]:
    """One column, ready for JSON: ``{"bins": [counts], "low", "high"}``, or ``{"top": [[text, rows]], "others": rows}``."""
    present = column.values[column.present]
    if not len(present):
        return {}
    if column.kind in (Kind.NUMBER, Kind.INTEGER, Kind.TIME) and len(np.unique(present)) > TOP:
        low, high = (float(value) for value in np.quantile(present, _SPREAD))
        if not high > low:
            low, high = float(present.min()), float(present.max())
        counts = np.histogram(np.clip(present, low, high), BINS, (low, high))[0]
        return {"bins": counts.tolist(), "low": _told(column, low), "high": _told(column, high)}
    counts = column.text.counts
    counts[column.text.missing_levels] = 0
    order = np.argsort(-counts, kind="stable")[:TOP]
    top = [[column.text.levels[index][:60], int(counts[index])] for index in order if counts[index]]
    return {"top": top, "others": int(len(present) - sum(rows for _, rows in top))}


def distributions(columns: Iterable[Column]) -> dict[str, dict[str, Any]]:
    """Every column by name."""
    return {column.name: distribution(column) for column in columns}


def _told(column: Column, value: float) -> str:
    return format_time(int(value)) if column.kind is Kind.TIME else f"{value:.6g}"
