"""What a loaded model is to the rest of the server, whichever library it comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
PREDICT = "predict"
PROBABILITIES = "predict_proba"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output as the model declares it; in `shape` -1 is any size."""

    name: str
    datatype: str
    shape: tuple[int, ...] = (-1,)


class Predictor(Protocol):
    """A model of tables in memory: it takes rows of columns. Called from several threads at once."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Column names in the order of training; empty when the model was trained on unnamed columns."""

    @property
    def feature_count(self) -> int | None:
        """Columns of the input matrix; None when the input is no matrix of features (raw text, say)."""

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """What it can give; `predict` is always there."""

    def run(self, output: str, rows: Array) -> Array:
        """One of `outputs` for these rows. ValueError, TypeError, OverflowError mean that the rows do not suit it."""


@runtime_checkable
class TensorPredictor(Protocol):
    """A model that declares its inputs, each a tensor with a name. Called from several threads at once."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What it takes, all of it."""

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """What it gives."""

    def run_tensors(self, outputs: Sequence[str], tensors: Mapping[str, Array]) -> list[Array]:
        """These outputs for tensors that are as `inputs` says. ValueError means that they do not suit it."""


AnyPredictor = Predictor | TensorPredictor


def numbers_or_objects(columns: list[Array]) -> Array:
    """Columns side by side: a numeric matrix when all of them are numbers, otherwise a matrix of objects."""
    if all(column.dtype.kind in "biuf" for column in columns):
        return np.column_stack(columns)
    matrix = np.empty((len(columns[0]), len(columns)), dtype=object)
    for index, column in enumerate(columns):
        matrix[:, index] = column
    return matrix
