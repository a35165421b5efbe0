"""Format `onnx`: a graph, run by ONNX Runtime on the CPU. Its inputs are asked for by the names that it gives them."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument

from perennial.server.errors import ModelLoadError
from perennial.server.formats import the_only_file
from perennial.server.predictor import Array, Tensor

_DATATYPES = {
    "tensor(bool)": "BOOL",
    **{f"tensor({sign}int{bits})": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
# What converters make of a classifier's probabilities unless told otherwise: for each row a dictionary by class.
_ROWS_BY_CLASS = {f"seq(map({key},tensor(float)))": "FP32" for key in ("int64", "string")}
_SILENT = 4  # it writes to standard error by itself, and not as our logs are; what goes wrong it raises, too


class OnnxModel:
    """Serves the inputs and outputs that the graph declares."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self.inputs = tuple(_tensor(node, _DATATYPES) for node in session.get_inputs())
        self.outputs = tuple(_tensor(node, _DATATYPES | _ROWS_BY_CLASS) for node in session.get_outputs())

    def run_tensors(self, outputs: Sequence[str], tensors: Mapping[str, Array]) -> list[Array]:
        try:
            return [_array(value) for value in self._session.run(list(outputs), dict(tensors))]
        except (InvalidArgument, Fail) as error:
            raise ValueError(_words(error)) from error


def load(folder: Path, trusted_types: Sequence[str]) -> OnnxModel:
    """Load the only ONNX file in the folder; what it keeps in files of its own must lie there, too."""
    return load_file(the_only_file(folder, ["*.onnx"]), trusted_types)


def load_file(path: Path, trusted_types: Sequence[str]) -> OnnxModel:
    """Load the file; `trusted_types` says nothing here, since a graph holds operators and numbers only."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own errors have no class in common
        cause = f"ONNX Runtime {onnxruntime.__version__}: {_words(error)}"
        raise ModelLoadError(f"{path.name} cannot be loaded: {cause}") from error
    return OnnxModel(session)


def _tensor(node: Any, datatypes: Mapping[str, str]) -> Tensor:
    if node.type not in datatypes:
        raise ModelLoadError(f"{node.name} is a {node.type}, which cannot be told in the inference protocol")
    if node.type in _ROWS_BY_CLASS:
        return Tensor(node.name, datatypes[node.type], (-1, -1))
    return Tensor(node.name, datatypes[node.type], tuple(size if isinstance(size, int) else -1 for size in node.shape))


def _array(value: Any) -> Array:
    if isinstance(value, list):
        return np.array([list(row.values()) for row in value], dtype=np.float32)
    return np.asarray(value)


def _words(error: Exception) -> str:
    """What the runtime says, without its name and error number before it."""
    return " ".join(re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error)).split())
