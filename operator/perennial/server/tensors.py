"""Tensors of the Open Inference Protocol v2 as JSON, to and from numpy arrays."""

import math
from typing import Any

import numpy as np

from perennial.server.errors import InvalidRequestError
from perennial.server.predictor import Array

Json = dict[str, Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"UINT{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
    "BYTES": np.dtype(object),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def datatype_of(dtype: np.dtype[Any]) -> str:
    """The protocol's name of a numpy type; whatever is no number and no truth value travels as BYTES."""
    return _NAMES.get(dtype, "BYTES")


def decode_tensor(tensor: Any, field: str) -> Array:
    """The array in a request tensor: `data` flat in row-major order, or nested as `shape` says.

    In FP* tensors null is NaN. InvalidRequestError names the part that is wrong, below `field`.
    """
    if not isinstance(tensor, dict):
        raise InvalidRequestError(f"{field} must be an object")
    if not isinstance(tensor.get("name"), str) or not tensor["name"]:
        raise InvalidRequestError(f"{field}.name must be a string that is not empty")
    if not isinstance(tensor.get("parameters", {}), dict):
        raise InvalidRequestError(f"{field}.parameters must be an object")
    datatype = tensor.get("datatype")
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise InvalidRequestError(f"{field}.datatype must be one of {', '.join(DTYPES)}, is {datatype!r:.40}")
    shape = _shape(tensor.get("shape"), f"{field}.shape")
    if not isinstance(tensor.get("data"), list):
        raise InvalidRequestError(f"{field}.data must be a list")
    array = values(tensor["data"], datatype, f"{field}.data")
    if array.shape != shape and (array.ndim != 1 or array.size != math.prod(shape)):
        raise InvalidRequestError(f"{field}.data has the shape {list(array.shape)}, {field}.shape says {list(shape)}")
    return array.reshape(shape)


def encode_tensor(name: str, array: Array) -> Json:
    """A response tensor with flat data; NaN and infinities, which JSON cannot say, become null."""
    return {
        "name": name,
        "datatype": datatype_of(array.dtype),
        "shape": list(array.shape),
        "data": jsonable(array.ravel()),
    }


def jsonable(array: Array) -> list[Any]:
    """Nested lists of plain values that `json` writes as valid JSON."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        plain = array.astype(object)
        plain[~np.isfinite(array)] = None
    elif array.dtype.kind in "biuf" or not array.size:
        plain = array
    else:
        plain = np.vectorize(str, otypes=[object])(array)
    lists: list[Any] = plain.tolist()
    return lists


def _shape(shape: Any, field: str) -> tuple[int, ...]:
    if not isinstance(shape, list) or not shape or len(shape) > 32:
        raise InvalidRequestError(f"{field} must be a list of 1 to 32 sizes")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise InvalidRequestError(f"{field} must hold whole numbers, none negative")
    return tuple(shape)


def values(data: list[Any], datatype: str, field: str) -> Array:
    """Nested lists as an array of the datatype. InvalidRequestError when a value is of another kind or out of range."""
    dtype = DTYPES[datatype]
    if dtype.kind == "O":
        return _strings(data, field)
    raw = as_array(data, field)
    if raw.size == 0:
        return raw.astype(dtype)
    kind = raw.dtype.kind
    if kind in "fO" and dtype.kind in "iu":
        # numpy makes floats of integers on both sides of 2**63; objects keep them exact.
        raw = as_array(data, field, np.dtype(object))
        kind = "i" if all(type(value) is int for value in raw.ravel()) else "O"
    if kind == "O" and dtype.kind == "f" and all(v is None or type(v) in (int, float) for v in raw.ravel()):
        raw, kind = _as_floats(raw, field), "f"
    if kind not in {"b": "b", "u": "iu", "i": "iu", "f": "iuf"}[dtype.kind]:
        raise InvalidRequestError(f"{field} must hold {datatype} values only")
    if dtype.kind in "iu" and (raw.min() < np.iinfo(dtype).min or raw.max() > np.iinfo(dtype).max):
        raise InvalidRequestError(f"{field} has a value outside the range of {datatype}")
    with np.errstate(over="ignore"):
        array = raw.astype(dtype)
    if dtype.kind == "f" and np.isinf(array).any():
        raise InvalidRequestError(f"{field} has a value outside the range of {datatype}")
    return array


def _strings(data: list[Any], field: str) -> Array:
    strings = as_array(data, field, np.dtype(object))
    if not all(isinstance(value, str) for value in strings.ravel()):
        raise InvalidRequestError(f"{field} must hold strings only, nested evenly")
    return strings


def _as_floats(objects: Array, field: str) -> Array:
    try:
        return objects.astype(np.float64)
    except OverflowError:
        raise InvalidRequestError(f"{field} has a number that is too large") from None


def as_array(data: list[Any], field: str, dtype: np.dtype[Any] | None = None) -> Array:
    """numpy's own reading of nested lists; InvalidRequestError when they are uneven."""
    try:
        return np.array(data, dtype=dtype)
    except ValueError:
        raise InvalidRequestError(f"{field} must be nested evenly") from None
