"""The Open Inference Protocol v2's JSON: an infer request to its response, and the model's metadata."""

import json
from typing import Any

import numpy as np

from perennial.server.batch import Batch, arrange
from perennial.server.errors import InvalidRequestError
from perennial.server.predictor import PREDICT, Array, Predictor, numbers_or_objects
from perennial.server.tensors import Json, decode_tensor, encode_tensor


def infer(predictor: Predictor, name: str, version: str, body: bytes) -> bytes:
    """Answer one infer request; InvalidRequestError names what is wrong with it."""
    request = parse_object(body)
    identity = request.get("id")
    if not isinstance(identity, str | None):
        raise InvalidRequestError("id must be a string")
    if not isinstance(request.get("parameters", {}), dict):
        raise InvalidRequestError("parameters must be an object")
    wanted = _wanted(request.get("outputs"), predictor)
    rows = arrange(_batch(request.get("inputs"), predictor), predictor)
    response: Json = {"model_name": name, "model_version": version}
    if identity is not None:
        response["id"] = identity
    response["outputs"] = [encode_tensor(output, run(predictor, output, rows)) for output in wanted]
    return json.dumps(response, allow_nan=False, separators=(",", ":")).encode()


def metadata(predictor: Predictor, name: str, version: str, platform: str) -> Json:
    """What a client may ask of the model. The datatype of inputs is a hint: others are converted."""
    if predictor.feature_names:
        inputs = [{"name": column, "datatype": "FP64", "shape": [-1]} for column in predictor.feature_names]
    elif predictor.feature_count is not None:
        inputs = [{"name": "input", "datatype": "FP64", "shape": [-1, predictor.feature_count]}]
    else:
        inputs = [{"name": "input", "datatype": "BYTES", "shape": [-1]}]
    outputs = [
        {"name": output.name, "datatype": output.datatype, "shape": [-1, *output.shape]} for output in predictor.outputs
    ]
    versions = [version] if version else []
    return {"name": name, "versions": versions, "platform": platform, "inputs": inputs, "outputs": outputs}


def parse_object(body: bytes) -> Json:
    """The JSON object in a body. Python's JSON takes NaN, which clients in Python send for a missing value."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidRequestError("the body must be a JSON object")
    return value


def run(predictor: Predictor, output: str, rows: Array) -> Array:
    """One output; what the model itself says against the rows becomes an InvalidRequestError."""
    try:
        return predictor.run(output, rows)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidRequestError(f"the model cannot take this input: {error}") from error


def _wanted(outputs: Any, predictor: Predictor) -> list[str]:
    if outputs is None or outputs == []:
        return [PREDICT]
    if not isinstance(outputs, list):
        raise InvalidRequestError("outputs must be a list")
    known = [output.name for output in predictor.outputs]
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
