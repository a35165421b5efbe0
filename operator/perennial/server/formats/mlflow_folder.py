"""Format `mlflow`: a folder with an MLmodel, whose file is read as one of its own kind is. No code in it is run."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from perennial.server.errors import ModelLoadError
from perennial.server.formats import the_only_file
from perennial.server.predictor import PREDICT, AnyPredictor

# Of each flavor that can be read so: the field that names its file, and who reads it.
_READERS = {
    "sklearn": ("pickled_model", "perennial.server.formats.skops_file"),
    "xgboost": ("data", "perennial.server.formats.xgboost_file"),
    "onnx": ("data", "perennial.server.formats.onnx_file"),
}


def load(folder: Path, trusted_types: Sequence[str]) -> AnyPredictor:
    """Load the flavor that the server reads by itself; ModelLoadError says what to do when there is none."""
    flavors = flavors_of(folder)
    for flavor, (field, module) in _READERS.items():
        if flavor in flavors and _readable(flavor, flavors):
            path = _file(folder, flavors[flavor].get(field))
            predictor: AnyPredictor = importlib.import_module(module).load_file(path, trusted_types)
            return predictor
    raise ModelLoadError(
        f"MLmodel has the flavors {', '.join(sorted(flavors)) or 'none'}, and none can be read without running code "
        "that is in the model. If you trust where it comes from, give it the format mlflow-pyfunc"
    )


def flavors_of(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """The flavors that the folder's MLmodel describes."""
    path = the_only_file(folder, ["MLmodel"])
    try:
        flavors = yaml.safe_load(path.read_bytes())["flavors"]
        return {str(name): dict(about) for name, about in flavors.items()}
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelLoadError(f"MLmodel cannot be read: {type(error).__name__}: {error}") from error


def _readable(flavor: str, flavors: Mapping[str, Mapping[str, Any]]) -> bool:
    # Somebody who chose another method than `predict` for it would get other answers here.
    if flavors.get("python_function", {}).get("predict_fn", PREDICT) != PREDICT:
        return False
    return flavor != "sklearn" or flavors[flavor].get("serialization_format") == "skops"


def _file(folder: Path, name: Any) -> Path:
    path = (folder / str(name)).resolve()
    if not (path.is_relative_to(folder.resolve()) and path.is_file()):
        raise ModelLoadError(f"MLmodel names the file {name!r:.200}, which is not among the model's files")
    return path
