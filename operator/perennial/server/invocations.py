"""MLflow's scoring protocol for `/invocations`: JSON in its four forms, or CSV, to `{"predictions": [...]}`."""

import csv
import functools
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from perennial.server import feed
from perennial.server.batch import Batch, arrange
from perennial.server.errors import InvalidRequestError, RequestError
from perennial.server.inference import attempt, parse_object
from perennial.server.predictor import PREDICT, AnyPredictor, Array, TensorPredictor, numbers_or_objects
from perennial.server.tensors import Json, as_array, jsonable

_TYPES = ("application/json", "text/csv")
_TRUTH = {"True": True, "true": True, "False": False, "false": False}


def invoke(predictor: AnyPredictor, content_type: str, body: bytes) -> bytes:
    """Answer one scoring request; InvalidRequestError names what is wrong, 415 an unknown content type.

    A model of several outputs answers an object of them by name.
    """
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if media_type not in _TYPES or any(p.replace('"', "") != "charset=utf-8" for p in parameters if p):
        message = f"the content type must be one of {', '.join(_TYPES)}, in UTF-8, is {content_type!r:.80}"
        raise RequestError(415, "UnsupportedMediaType", message)
    request = None if media_type == "text/csv" else parse_object(body)
    if isinstance(predictor, TensorPredictor):
        predictions = _of_tensors(predictor, _feed(predictor, request, body))
    else:
        rows = arrange(_from_csv(body) if request is None else _from_json(request), predictor)
        predictions = jsonable(attempt(functools.partial(predictor.run, PREDICT, rows)))
    return json.dumps({"predictions": predictions}, allow_nan=False, separators=(",", ":")).encode()


def _feed(predictor: TensorPredictor, request: Json | None, body: bytes) -> feed.Feed:
    if request is not None and request.keys() & _FORMS.keys() == {"inputs"} and isinstance(request["inputs"], dict):
        return feed.from_lists(request["inputs"], predictor.inputs, "inputs")
    return feed.from_batch(_from_csv(body) if request is None else _from_json(request), predictor.inputs)


def _of_tensors(predictor: TensorPredictor, tensors: feed.Feed) -> list[Any] | Json:
    names = [output.name for output in predictor.outputs]
    arrays = attempt(functools.partial(predictor.run_tensors, names, tensors))
    lists = [jsonable(array) for array in arrays]
    return lists[0] if len(names) == 1 else dict(zip(names, lists, strict=True))


def _from_json(request: Json) -> Batch:
    forms = [form for form in _FORMS if form in request]
    if len(forms) != 1:
        raise InvalidRequestError(
            f"the body must have exactly one of the fields {', '.join(_FORMS)}, has {sorted(request)}"
        )
    return _FORMS[forms[0]](request[forms[0]], forms[0])


def _split(value: Any, field: str) -> Batch:
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        raise InvalidRequestError(f"{field}.data must be a list of rows")
    rows = value["data"]
    columns = value.get("columns")
    if columns is None:
        return Batch(_matrix(rows, f"{field}.data"), f"{field}.data")
    if not isinstance(columns, list) or not all(isinstance(name, str | int) for name in columns):
        raise InvalidRequestError(f"{field}.columns must be a list of names")
    names = tuple(str(name) for name in columns)
    return Batch(_table(rows, len(names), f"{field}.data"), f"{field}.columns", names)


def _records(value: Any, field: str) -> Batch:
    if not isinstance(value, list) or not all(isinstance(record, dict) for record in value):
        raise InvalidRequestError(f"{field} must be a list of objects")
    # As a data frame does it: every name that occurs is a column, and a record without it has no value there.
    names = tuple(dict.fromkeys(name for record in value for name in record))
    rows = [[record.get(name) for name in names] for record in value]
    return Batch(_table(rows, len(names), field), field, names)


def _instances(value: Any, field: str) -> Batch:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _records(value, field)
    return _tensor(value, field)


def _inputs(value: Any, field: str) -> Batch:
    if not isinstance(value, dict):
        return _tensor(value, field)
    if not all(isinstance(column, list) for column in value.values()):
        raise InvalidRequestError(f"{field} must hold a list for each column")
    if len({len(column) for column in value.values()}) > 1:
        raise InvalidRequestError(f"{field} has columns of different lengths")
    rows = [list(row) for row in zip(*value.values(), strict=True)]
    return Batch(_table(rows, len(value), field), field, tuple(value))


def _tensor(value: Any, field: str) -> Batch:
    if not isinstance(value, list):
        raise InvalidRequestError(f"{field} must be a list of rows")
    return Batch(_matrix(value, field), field)


_FORMS: Mapping[str, Callable[[Any, str], Batch]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _instances,
    "inputs": _inputs,
}


def _from_csv(body: bytes) -> Batch:
    try:
        header, *lines = [row for row in csv.reader(io.StringIO(body.decode("utf-8-sig")), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequestError(f"the body is not CSV in UTF-8: {error}") from None
    except ValueError:
        raise InvalidRequestError("the body must start with a line of column names") from None
    for number, line in enumerate(lines, start=1):
        if len(line) != len(header):
            raise InvalidRequestError(f"row {number} has {len(line)} cells, the header {len(header)}")
    columns = [_parsed(cells) for cells in zip(*lines, strict=True)]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return Batch(_table(rows, len(header), "the CSV body"), "the CSV body", tuple(header))


def _parsed(cells: Sequence[str]) -> list[Any]:
    if all(cell in _TRUTH for cell in cells):
        return [_TRUTH[cell] for cell in cells]
    try:
        return [float(cell) if cell else None for cell in cells]
    except ValueError:
        return [cell or None for cell in cells]


def _matrix(rows: list[Any], field: str) -> Array:
    """Rows without column names: numbers where possible; rows that mix texts and numbers become objects."""
    array = as_array(rows, field)
    if array.dtype.kind in "biuf":
        return array
    if array.ndim == 2:
        return _table(rows, array.shape[1], field)
    if not all(isinstance(value, str) for value in rows):
        raise InvalidRequestError(f"{field} must hold numbers or texts")
    return np.array(rows, dtype=object)


def _table(rows: list[Any], width: int, field: str) -> Array:
    """A matrix of numbers, texts and truth values; null is NaN. InvalidRequestError names the row that does not fit."""
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != width:
            raise InvalidRequestError(f"{field}: row {number} must be a list of {width} values")
        if any(isinstance(value, list | dict) for value in row):
            raise InvalidRequestError(f"{field}: row {number} must hold numbers, texts and truth values only")
    if not rows or not width:
        raise InvalidRequestError(f"{field} has no rows")
    return numbers_or_objects([_column(cells) for cells in zip(*rows, strict=True)])


def _column(cells: Sequence[Any]) -> Array:
    values = [np.nan if cell is None else cell for cell in cells]
    if any(isinstance(value, str) for value in values):
        return np.array(values, dtype=object)
    return np.array(values)
