"""Format `mlflow-pyfunc`: a python function of MLflow's. Loading one runs its code, so it is never chosen by itself.

The code needs the packages that the model's requirements.txt names, MLflow among them. The bundled image has none of
MLflow's: an image made from it with the model's packages serves the model.
"""

import importlib
import logging
import platform
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from packaging.requirements import InvalidRequirement, Requirement

from perennial.server.errors import ModelLoadError
from perennial.server.formats.mlflow_folder import flavors_of
from perennial.server.predictor import PREDICT, Array, Tensor
from perennial.server.tensors import datatype_of

_MEND = "serve it with an image made from this one with the packages in its requirements.txt"
# The second has all that serving needs, beside pandas.
_MLFLOW = ("mlflow", "mlflow-skinny")
_log = logging.getLogger(__name__)


class PyfuncModel:
    """Serves what the function's `predict` gives; it gets a data frame where the signature has columns, or an array."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._columns, self._dtype, shape = _declared(model.metadata.get_input_schema())
        self.feature_names: tuple[str, ...] = tuple(self._columns)
        self.feature_count: int | None = len(self._columns) or (shape[1] if len(shape) == 2 and shape[1] > 0 else None)
        self.outputs = (Tensor(PREDICT, _result(model.metadata.get_output_schema())),)

    def run(self, output: str, rows: Array) -> Array:
        from mlflow.exceptions import MlflowException

        try:
            return np.asarray(self._model.predict(self._frame(rows) if self._columns else _typed(rows, self._dtype)))
        except MlflowException as error:  # its check against the signature, which repeats all of the rows at first
            raise ValueError(error.message.rpartition(" Error: ")[2]) from error

    def _frame(self, rows: Array) -> Any:
        import pandas as pd

        frame = pd.DataFrame(rows, columns=list(self._columns)).infer_objects()
        return frame.assign(**{name: _typed(frame[name], kind) for name, kind in self._columns.items()})


def load(folder: Path, trusted_types: Sequence[str]) -> PyfuncModel:
    """Load the function; ModelLoadError names what it needs and the image lacks. `trusted_types` says nothing here."""
    function = flavors_of(folder).get("python_function")
    if function is None:
        raise ModelLoadError("MLmodel has no flavor python_function: only that one can be served as mlflow-pyfunc")
    missing, other = _unsatisfied(folder / "requirements.txt")
    other += _python(str(function.get("python_version", "")))
    if missing:
        raise ModelLoadError(f"the model needs {', '.join(missing)}, which this image does not have: {_MEND}")
    for difference in other:
        _log.warning(difference)
    try:
        return PyfuncModel(importlib.import_module("mlflow.pyfunc").load_model(str(folder), suppress_warnings=True))
    except ModelLoadError:
        raise
    except BaseException as error:  # its code may raise anything, SystemExit included
        causes = "; ".join([f"{type(error).__name__}: {error}", *other])
        raise ModelLoadError(
            f"the python function cannot be loaded: {causes}. If packages are the cause, {_MEND}"
        ) from error


def _unsatisfied(path: Path) -> tuple[list[str], list[str]]:
    """The packages that are asked for and not here, and in words those that are here in another version."""
    wanted = list(_requirements(path.read_text())) if path.is_file() else []
    if not any(requirement.name in _MLFLOW for requirement in wanted):
        wanted.append(Requirement("mlflow"))
    versions = [(requirement, _version(requirement.name)) for requirement in wanted]
    return [str(requirement) for requirement, version in versions if version is None], [
        f"the model was logged with {requirement}, this image has {version}"
        for requirement, version in versions
        if version is not None and not requirement.specifier.contains(version, prereleases=True)
    ]


def _requirements(text: str) -> Iterator[Requirement]:
    for line in text.splitlines():
        try:
            requirement = Requirement(line.partition("#")[0].strip())
        except InvalidRequirement:  # an option, a comment, a path: pip's own, and no package by name
            continue
        if requirement.marker is None or requirement.marker.evaluate():
            yield requirement


def _version(name: str) -> str | None:
    """Of what is installed; either of MLflow's packages will do."""
    for candidate in _MLFLOW if name in _MLFLOW else (name,):
        try:
            return metadata.version(candidate)
        except metadata.PackageNotFoundError:
            continue
    return None


def _python(version: str) -> list[str]:
    """Pickled code is read by the same minor version of Python only, or goes wrong as it runs."""
    here = platform.python_version()
    same = not version or version.split(".")[:2] == here.split(".")[:2]
    return [] if same else [f"the model was logged with Python {version}, this image has {here}"]


def _declared(schema: Any) -> tuple[dict[str, np.dtype[Any]], np.dtype[Any], tuple[int, ...]]:
    """Of the signature's inputs: the columns with their types, or type and shape of the only tensor."""
    anything = np.dtype(object)
    if schema is None:
        return {}, anything, ()
    if not schema.is_tensor_spec():
        types = [kind.to_numpy() if hasattr(kind, "to_numpy") else anything for kind in schema.input_types()]
        return dict(zip(schema.input_names(), types, strict=True)), anything, ()
    if schema.has_input_names():
        raise ModelLoadError("the model's signature has tensors with names: only columns or a single tensor are served")
    return {}, schema.inputs[0].type, tuple(schema.inputs[0].shape)


def _result(schema: Any) -> str:
    if schema is None or len(schema.inputs) != 1:
        return "FP64"
    return datatype_of(np.dtype(schema.numpy_types()[0]))


def _typed(values: Any, wanted: np.dtype[Any]) -> Any:
    """What JSON cannot say: how wide a number is, that it was whole before it stood by floats, that a text is a time.

    What would lose something is left as it is, for MLflow's own check to refuse.
    """
    if wanted.kind == "M":
        return values.astype(wanted)
    if values.dtype.kind in "iuf" and (wanted.kind == "f" or (wanted.kind in "iu" and (values % 1 == 0).all())):
        return values.astype(wanted)
    return values
