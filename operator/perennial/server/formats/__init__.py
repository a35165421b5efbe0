"""The formats that the server can load, by the name that `PERENNIAL_MODEL_FORMAT` says.

A new format is a module with `load(folder, trusted_types) -> AnyPredictor`, its line in `LOADERS`, and its test.
"""

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from perennial.server.errors import ModelLoadError
from perennial.server.predictor import AnyPredictor

# ONNX Runtime (for Linux since 1.29) and MLflow report to their vendors, unless this is set before they are imported.
os.environ.update(ORT_DISABLE_TELEMETRY="1", MLFLOW_DISABLE_TELEMETRY="true")
# MLflow's logs go where all others do, in the same form.
os.environ["MLFLOW_CONFIGURE_LOGGING"] = "false"

# Module names, so that a server for one format never imports another's library.
LOADERS: Mapping[str, str] = {
    "sklearn": "perennial.server.formats.skops_file",
    "sklearn-pickle": "perennial.server.formats.pickle_file",
    "xgboost": "perennial.server.formats.xgboost_file",
    "onnx": "perennial.server.formats.onnx_file",
    "mlflow": "perennial.server.formats.mlflow_folder",
    "mlflow-pyfunc": "perennial.server.formats.mlflow_pyfunc",
}


def load(name: str, folder: Path, trusted_types: Sequence[str]) -> AnyPredictor:
    """Load the model in `folder`; ModelLoadError names the file and the cause."""
    if name not in LOADERS:
        raise ModelLoadError(f"the format {name!r} is not known to this server, which has {', '.join(LOADERS)}")
    predictor: AnyPredictor = importlib.import_module(LOADERS[name]).load(folder, trusted_types)
    return predictor


def the_only_file(folder: Path, patterns: Sequence[str]) -> Path:
    """The one file in `folder` (not below it) that matches; none or several are a ModelLoadError that lists them."""
    if not folder.is_dir():
        raise ModelLoadError(f"the model's folder {folder} does not exist")
    found = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    expected = " or ".join(patterns)
    if not found:
        there = sorted(path.name for path in folder.iterdir())[:20]
        raise ModelLoadError(f"no {expected} among the model's files; there is {', '.join(there) or 'nothing'}")
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:20])
        raise ModelLoadError(f"several files match {expected}, only one may: {names}")
    return found[0]
