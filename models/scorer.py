"""Scores rows with a LightGBM model and explains them, without LightGBM."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import kernel
from models.lightgbm_text import Link, read_forest
from models.packing import pack
from models.quadrature import rule

Floats = NDArray[np.float64]


class Explained(NamedTuple):
    """One row's margin and where it comes from: ``base + contributions.sum() == margin`` within 1e-9.

    Attributes:
        base: the mean margin over the training rows.
        contributions: float64 (features,), Shapley values in units of the margin.
    """

    margin: float
    base: float
    contributions: Floats


class TreeScorer:
    """A LightGBM model that is ready to score; immutable, and safe to share between threads.

    Margins equal LightGBM's ``raw_score`` bit for bit; contributions equal its ``pred_contrib`` up to rounding (about 1e-15 of
    the margin). The same row gives the same bits alone or in a batch.

    Attributes:
        names: feature names in the order of a row, as the text has them.
        outputs: 1, or the number of classes.
        link: how a margin becomes a prediction.
        base: float64 (outputs,), read-only.
        widest: the most distinct features on one path.
        used: the features that any tree splits on, by position.
    """

    __slots__ = ("_layout", "_rule", "base", "link", "names", "outputs", "used", "widest")

    def __init__(self, text: str) -> None:
        forest = read_forest(text)
        self._layout = pack(forest)
        self._rule = rule(self._layout.points)
        self.names = forest.names
        self.outputs = forest.outputs
        self.link: Link = forest.link
        self.base = self._layout.base
        self.base.flags.writeable = False
        self.widest = self._layout.widest
        self.used = frozenset(self._layout.packed.feature.tolist())

    @classmethod
    def from_text(cls, model_txt: str) -> TreeScorer:
        """Read LightGBM's native text.

        Raises:
            ModelUnreadable: the text is damaged, or the model of an unsupported kind.
        """
        return cls(model_txt)

    def margin(self, x: Floats) -> Floats:
        """The margins of one row.

        Args:
            x: float64 (features,); NaN stands for "not known", a category is its code.

        Returns:
            float64 (outputs,).

        Raises:
            ValueError: the row has another length.
        """
        margins: Floats = self.margins(np.asarray(x, dtype=np.float64)[None])[0]
        return margins

    def margins(self, rows: Floats) -> Floats:
        """The margins of many rows, float64 (rows, features) → float64 (rows, outputs).

        Raises:
            ValueError: the rows have another width.
        """
        rows = self._checked(rows)
        margins = np.empty((len(rows), self.outputs))
        kernel.scorer()(self._layout.outputs, self._layout.packed, rows, margins)
        return margins

    def explain(self, x: Floats, output: int = 0) -> Explained:
        """Margin, base and contributions of one row.

        Args:
            x: float64 (features,).
            output: which class, when there are several.

        Raises:
            ValueError: the row has another length.
            IndexError: there is no such output.
        """
        margins, contributions = self.explain_many(np.asarray(x, dtype=np.float64)[None], output)
        return Explained(float(margins[0]), float(self.base[output]), contributions[0])

    def explain_many(self, rows: Floats, output: int = 0) -> tuple[Floats, Floats]:
        """Margins (rows,) and contributions (rows, features) of many rows for one output.

        Raises:
            ValueError: the rows have another width.
            IndexError: there is no such output.
        """
        if not 0 <= output < self.outputs:
            raise IndexError(f"output {output} of a model with {self.outputs}")
        rows = self._checked(rows)
        margins = np.empty(len(rows))
        contributions = np.empty(rows.shape)
        layout = self._layout
        begin, end = int(layout.outputs[output]), int(layout.outputs[output + 1])
        lanes = (0,) * layout.points
        kernel.explainer()(begin, end, layout.slots, layout.packed, self._rule, lanes, rows, margins, contributions)
        return margins, contributions

    def warm(self) -> None:
        """Compile what this model needs, or load it from the cache on disk, before the first row waits for it."""
        row = np.zeros((1, len(self.names)))
        self.margins(row)
        self.explain_many(row)

    def _checked(self, rows: Floats) -> Floats:
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.names):
            raise ValueError(f"rows of shape {rows.shape} for a model of {len(self.names)} features")
        return rows if rows.flags.writeable else rows.copy()  # one compiled version, for writable arrays
