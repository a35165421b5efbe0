"""What a loaded model is to the rest of the server, whichever library it comes from."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
PREDICT = "predict"


@dataclass(frozen=True, slots=True)
class Output:
    """An output that can be asked for; `shape` is without the first axis (rows)."""

    name: str
    datatype: str
    shape: tuple[int, ...] = ()


class Predictor(Protocol):
    """A model in memory. Called from several threads at once."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Column names in the order of training; empty when the model was trained on unnamed columns."""

    @property
    def feature_count(self) -> int | None:
        """Columns of the input matrix; None when the input is no matrix of features (raw text, say)."""

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What it can give; `predict` is always there."""

    def run(self, output: str, rows: Array) -> Array:
        """One of `outputs` for these rows. ValueError, TypeError, OverflowError mean that the rows do not suit it."""


def numbers_or_objects(columns: list[Array]) -> Array:
    """Columns side by side: a numeric matrix when all of them are numbers, otherwise a matrix of objects."""
    if all(column.dtype.kind in "biuf" for column in columns):
        return np.column_stack(columns)
    matrix = np.empty((len(columns[0]), len(columns)), dtype=object)
    for index, column in enumerate(columns):
        matrix[:, index] = column
    return matrix
