"""The tensors that a request brings, against the inputs that a model declares: every one, by name, of its datatype."""

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from perennial.server.batch import Batch, positions
from perennial.server.errors import InvalidRequestError
from perennial.server.predictor import Array, Tensor
from perennial.server.tensors import DTYPES, decode_tensor, values

Feed = dict[str, Array]


def from_tensors(given: Any, inputs: Sequence[Tensor]) -> Feed:
    """The tensors of an infer request. InvalidRequestError names the first that is missing or does not fit."""
    if not isinstance(given, list) or not given:
        raise InvalidRequestError("inputs must be a list of at least one tensor")
    declared = {tensor.name: tensor for tensor in inputs}
    feed: Feed = {}
    for index, tensor in enumerate(given):
        field = f"inputs[{index}]"
        array, name = decode_tensor(tensor, field), tensor["name"]
        if name not in declared:
            raise InvalidRequestError(f"{field}.name: the model has no input {name!r:.80}, it has {list(declared)}")
        if name in feed:
            raise InvalidRequestError(f"{field}.name: {name} is given twice")
        if tensor["datatype"] != declared[name].datatype:
            raise InvalidRequestError(
                f"{field}.datatype must be {declared[name].datatype}, as the model has it, is {tensor['datatype']}"
            )
        feed[name] = _fitting(array, declared[name], field)
    _complete(feed, inputs, "inputs")
    return feed


def from_lists(given: Mapping[str, Any], inputs: Sequence[Tensor], field: str) -> Feed:
    """Nested lists by name, which say no datatype: numbers are read as the model declares them."""
    _complete(given, inputs, field)
    feed: Feed = {}
    for tensor in inputs:
        place = f"{field}.{tensor.name}"
        if not isinstance(given[tensor.name], list):
            raise InvalidRequestError(f"{place} must be a list")
        feed[tensor.name] = _fitting(values(given[tensor.name], tensor.datatype, place), tensor, place)
    return feed


def from_batch(batch: Batch, inputs: Sequence[Tensor]) -> Feed:
    """A table: all of it for the only input, or a column for each input, found by name."""
    if len(inputs) == 1:
        return {inputs[0].name: _fitting(_typed(batch.cells, inputs[0], batch.field), inputs[0], batch.field)}
    feed: Feed = {}
    for tensor, position in zip(inputs, positions(batch, [tensor.name for tensor in inputs]), strict=True):
        column = batch.cells[:, position]
        shaped = column[:, np.newaxis] if len(tensor.shape) == 2 else column
        place = f"{batch.field}: column {tensor.name}"
        feed[tensor.name] = _fitting(_typed(shaped, tensor, place), tensor, place)
    return feed


def _complete(given: Container[str], inputs: Sequence[Tensor], field: str) -> None:
    missing = [tensor.name for tensor in inputs if tensor.name not in given]
    if missing:
        raise InvalidRequestError(f"{field} lacks the model's inputs {', '.join(missing)}")


def _fitting(array: Array, tensor: Tensor, field: str) -> Array:
    # A model that says no shape at all finds out by itself.
    sizes = zip(array.shape, tensor.shape, strict=False)
    if tensor.shape and (array.ndim != len(tensor.shape) or any(want not in (-1, size) for size, want in sizes)):
        raise InvalidRequestError(f"{field} must have the shape {list(tensor.shape)}, has {list(array.shape)}")
    if not array.size:
        raise InvalidRequestError(f"{field} has no values")
    return array


def _typed(cells: Array, tensor: Tensor, field: str) -> Array:
    """Columns of a table, where whole numbers may have become floats, since others stood beside them or it was CSV."""
    if DTYPES[tensor.datatype].kind in "iu":
        cells = np.vectorize(_whole, otypes=[object])(cells)
    return values(cells.tolist(), tensor.datatype, field)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
