"""The Open Inference Protocol v2's JSON: an infer request to its response, and the model's metadata."""

import functools
import json
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from perennial.server import feed
from perennial.server.batch import Batch, arrange
from perennial.server.errors import InvalidRequestError
from perennial.server.predictor import (
    PREDICT,
    AnyPredictor,
    Array,
    Predictor,
    Tensor,
    TensorPredictor,
    numbers_or_objects,
)
from perennial.server.tensors import Json, decode_tensor, encode_tensor

T = TypeVar("T")


def infer(predictor: AnyPredictor, name: str, version: str, body: bytes) -> bytes:
    """Answer one infer request; InvalidRequestError names what is wrong with it."""
    request = parse_object(body)
    identity = request.get("id")
    if not isinstance(identity, str | None):
        raise InvalidRequestError("id must be a string")
    if not isinstance(request.get("parameters", {}), dict):
        raise InvalidRequestError("parameters must be an object")
    wanted = _wanted(request.get("outputs"), predictor)
    arrays = _outputs(predictor, wanted, request.get("inputs"))
    response: Json = {"model_name": name, "model_version": version}
    if identity is not None:
        response["id"] = identity
    response["outputs"] = [encode_tensor(name, array) for name, array in zip(wanted, arrays, strict=True)]
    return json.dumps(response, allow_nan=False, separators=(",", ":")).encode()


def metadata(predictor: AnyPredictor, name: str, version: str, platform: str) -> Json:
    """What a client may ask of the model. For one of tables the datatype of inputs is a hint: others are converted."""
    inputs = predictor.inputs if isinstance(predictor, TensorPredictor) else _columns_as_inputs(predictor)
    versions = [version] if version else []
    told = {"inputs": _told(inputs), "outputs": _told(predictor.outputs)}
    return {"name": name, "versions": versions, "platform": platform, **told}


def _columns_as_inputs(predictor: Predictor) -> tuple[Tensor, ...]:
    if predictor.feature_names:
        return tuple(Tensor(column, "FP64") for column in predictor.feature_names)
    if predictor.feature_count is not None:
        return (Tensor("input", "FP64", (-1, predictor.feature_count)),)
    return (Tensor("input", "BYTES"),)


def _told(tensors: tuple[Tensor, ...]) -> list[Json]:
    return [{"name": each.name, "datatype": each.datatype, "shape": list(each.shape)} for each in tensors]


def parse_object(body: bytes) -> Json:
    """The JSON object in a body. Python's JSON takes NaN, which clients in Python send for a missing value."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidRequestError("the body must be a JSON object")
    return value


def attempt(predict: Callable[[], T]) -> T:
    """What a model gives; what it says itself against its input becomes an InvalidRequestError."""
    try:
        return predict()
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidRequestError(f"the model cannot take this input: {error}") from error


def _outputs(predictor: AnyPredictor, wanted: list[str], inputs: Any) -> list[Array]:
    if isinstance(predictor, TensorPredictor):
        tensors = feed.from_tensors(inputs, predictor.inputs)
        return attempt(functools.partial(predictor.run_tensors, wanted, tensors))
    rows = arrange(_batch(inputs, predictor), predictor)
    return [attempt(functools.partial(predictor.run, output, rows)) for output in wanted]


def _wanted(outputs: Any, predictor: AnyPredictor) -> list[str]:
    known = [output.name for output in predictor.outputs]
    if outputs is None or outputs == []:
        return known if isinstance(predictor, TensorPredictor) else [PREDICT]
    if not isinstance(outputs, list):
        raise InvalidRequestError("outputs must be a list")
    names = []
    for index, output in enumerate(outputs):
        name = output.get("name") if isinstance(output, dict) else None
        if not isinstance(name, str):
            raise InvalidRequestError(f"outputs[{index}].name must be a string")
        if name not in known:
            raise InvalidRequestError(f"outputs[{index}].name: the model has no output {name!r:.80}, it has {known}")
        if name in names:
            raise InvalidRequestError(f"outputs[{index}].name: {name} is asked for twice")
        names.append(name)
    return names


def _batch(inputs: Any, predictor: Predictor) -> Batch:
    if not isinstance(inputs, list) or not inputs:
        raise InvalidRequestError("inputs must be a list of at least one tensor")
    arrays = [decode_tensor(tensor, f"inputs[{index}]") for index, tensor in enumerate(inputs)]
    names = tuple(tensor["name"] for tensor in inputs)
    if len(arrays) == 1 and names != predictor.feature_names:
        return Batch(arrays[0], "inputs[0]")
    if not predictor.feature_names:
        raise InvalidRequestError("inputs must be exactly one tensor: the model was trained without column names")
    for index, name in enumerate(names):
        if name not in predictor.feature_names:
            raise InvalidRequestError(f"inputs[{index}].name: the model has no column {name!r:.80}")
    return Batch(numbers_or_objects(_columns(arrays)), "inputs", names)


def _columns(arrays: list[Array]) -> list[Array]:
    rows = arrays[0].shape[0]
    for index, array in enumerate(arrays):
        if array.shape not in ((rows,), (rows, 1)):
            raise InvalidRequestError(f"inputs[{index}].shape must be [{rows}] or [{rows}, 1], is {list(array.shape)}")
    return [np.reshape(array, rows) for array in arrays]
