"""Make a training table of a checked file, or of our own point-in-time history: from there on both take the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from feature_store.checks import Checked
from feature_store.columns import Kind
from governance.costs import CAUSES
from governance.facts import Case
from models.encoding import RowEncoder
from training.history import HistoryFrame
from training.splits import split
from training.table import Floats, Integers, Slice, TrainingTable

_MOST_SEGMENTS = 30
_MOST_SLICES = 8


def from_history(frame: HistoryFrame, slices: Mapping[str, Slice] | None = None) -> TrainingTable:
    """A table of our own history: the features are those that serving will compute.

    A customer's earlier orders may be learnt from when a later one judges, as it will be in service: customers are clusters, not groups.
    """
    known = ~np.isnan(frame.p_knowable)
    return TrainingTable(
        names=tuple(frame.names),
        features=np.ascontiguousarray(frame.features, dtype=np.float64),
        label=np.asarray(frame.label, dtype=np.float64),
        classes=("0", "1"),
        time=frame.time,
        label_known_at=frame.label_known_at,
        cluster=group_numbers(np.asarray(frame.group)),
        p_knowable=frame.p_knowable if known.all() else None,
        slices=segments(frame.cases) if slices is None else slices,
        cause=None if frame.cause is None else Slice(frame.cause, CAUSES),
        cases=frame.cases,
    )


def segments(cases: Sequence[Case]) -> dict[str, Slice]:
    """The segments that our own history is reported by: where the order goes, who buys, where it was placed."""
    cuts: dict[str, Slice] = {}
    for name in ("region", "segment", "channel"):
        values = [getattr(case, name) for case in cases]
        names = tuple(sorted({value for value in values if value is not None}))
        if 2 <= len(names) <= _MOST_SEGMENTS:
            place = {value: index for index, value in enumerate(names)}
            cuts[name] = Slice(np.array([-1 if value is None else place[value] for value in values], dtype=np.int64), names)
    return cuts


def from_checked(checked: Checked) -> tuple[TrainingTable, RowEncoder]:
    """A table of a user's file, and the encoder that will read the rows of requests.

    The encoder learns its categories from the rows that the model may learn from; the test rows stay unseen.
    """
    assert checked.target is not None, "a report without errors has a target"
    time, known_at = checked.time, checked.known_at
    label = checked.target.target.values
    bare = TrainingTable(
        names=(),
        features=np.empty((len(label), 0)),
        label=label,
        classes=checked.target.target.classes,
        time=None if time is None else _moments(time.values),
        label_known_at=None if known_at is None else _moments(known_at.values),
        group=None if checked.group is None else checked.group.ids,
        slices=_slices(checked),
    )
    columns = [*checked.features, *([time] if time is not None else [])]
    used = {column.name for column in columns}
    ignored = [column.name for column in checked.report.columns if column.name not in used]
    encoder = RowEncoder.fit(columns, rows=split(bare).develop, reference=None if time is None else time.name, ignored=ignored)
    table = replace(bare, names=encoder.names, features=encoder.encode_columns(columns), categorical=encoder.categorical)
    return table, encoder


def group_numbers(values: NDArray[np.generic]) -> Integers:
    """Any group keys as numbers."""
    return np.asarray(np.unique(values, return_inverse=True)[1], dtype=np.int64)


def _moments(values: Floats) -> Integers:
    return np.nan_to_num(values, nan=0.0).astype(np.int64)


def _slices(checked: Checked) -> dict[str, Slice]:
    """Categories with few values cut the rows into segments that people know."""
    cuts: dict[str, Slice] = {}
    for column in checked.features:
        if column.kind is not Kind.CATEGORY or len(cuts) >= _MOST_SLICES:
            continue
        levels, codes = np.unique(column.values, return_inverse=True)
        known = int((~np.isnan(levels)).sum())
        if 2 <= known <= _MOST_SEGMENTS:
            names: Sequence[str] = [column.text.levels[int(level)] for level in levels[:known]]
            cuts[column.name] = Slice(np.where(codes < known, codes, -1).astype(np.int64), tuple(names))
    return cuts
