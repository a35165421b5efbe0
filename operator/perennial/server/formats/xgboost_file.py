"""Format `xgboost`: a model as XGBoost's `save_model` writes it, in UBJSON or JSON. Nothing in the file is run."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import xgboost
from xgboost.core import XGBoostError

from perennial.server.errors import ModelLoadError
from perennial.server.formats import the_only_file
from perennial.server.predictor import PREDICT, PROBABILITIES, Array, Tensor
from perennial.server.tensors import datatype_of

Runs = Mapping[str, Callable[[Array], Array]]

# XGBoost notes in the file which of its scikit-learn estimators wrote it; they choose trees and classes in `predict`.
_ESTIMATORS = {
    "classifier": xgboost.XGBClassifier,
    "regressor": xgboost.XGBRegressor,
    "ranker": xgboost.XGBRanker,
}


class XgboostModel:
    """Serves what the library's own `predict` gives, and `predict_proba` for a classifier."""

    def __init__(self, booster: xgboost.Booster, runs: Runs) -> None:
        self.feature_names: tuple[str, ...] = tuple(booster.feature_names or ())
        self.feature_count: int | None = booster.num_features()
        self._runs = runs
        # A row of missing values is one that every model takes.
        row = np.full((1, booster.num_features()), np.nan, np.float32)
        self.outputs = tuple(_declared(name, self.run(name, row)) for name in runs)

    def run(self, output: str, rows: Array) -> Array:
        with np.errstate(over="ignore"):
            cells = rows.astype(np.float32)  # its own precision
        if np.isinf(cells).any():  # as it refuses them in training
            raise ValueError("a value is infinite, or too large for FP32")
        try:
            return np.asarray(self._runs[output](cells))
        except XGBoostError as error:
            raise ValueError(_words(error)) from error


def load(folder: Path, trusted_types: Sequence[str]) -> XgboostModel:
    """Load the only model file in the folder."""
    return load_file(the_only_file(folder, ["*.ubj", "model.json"]), trusted_types)


def load_file(path: Path, trusted_types: Sequence[str]) -> XgboostModel:
    """Load the file, of whatever name; `trusted_types` says nothing here, since there are no types in it."""
    _check_ends(path)
    xgboost.set_config(verbosity=0)
    try:
        booster = xgboost.Booster()
        booster.load_model(path)
        return XgboostModel(booster, _runs(booster, path))
    except (ValueError, TypeError) as error:  # of which XGBoost's own error is one
        raise ModelLoadError(f"{path.name} cannot be loaded: XGBoost {xgboost.__version__}: {_words(error)}") from error


def _check_ends(path: Path) -> None:
    """XGBoost reads on behind the end of a file that was cut short, and takes what lies there for sizes to allocate."""
    with path.open("rb") as file:
        begin = file.read(64)
        file.seek(max(0, path.stat().st_size - 64))
        end = file.read()
    if not (begin.lstrip().startswith(b"{") and end.rstrip().endswith(b"}")):
        raise ModelLoadError(f"{path.name} cannot be loaded: it is cut short, or no model of XGBoost's")


def _runs(booster: xgboost.Booster, path: Path) -> Runs:
    kind = json.loads(booster.attr("scikit_learn") or "{}").get("_estimator_type")
    if kind not in _ESTIMATORS:
        names = booster.feature_names
        return {PREDICT: lambda rows: booster.predict(xgboost.DMatrix(rows, feature_names=names))}
    estimator = _ESTIMATORS[kind]()
    estimator.load_model(path)
    if kind == "classifier":
        return {PREDICT: estimator.predict, PROBABILITIES: estimator.predict_proba}
    return {PREDICT: estimator.predict}


def _declared(name: str, example: Array) -> Tensor:
    return Tensor(name, datatype_of(example.dtype), (-1, *example.shape[1:]))


def _words(error: Exception) -> str:
    """What XGBoost says, without the place in its source and the native stack around it."""
    text = str(error).partition("Stack trace:")[0]
    return " ".join(re.sub(r"^\[[\d:]+\] \S+:\d+: ", "", text).split())
