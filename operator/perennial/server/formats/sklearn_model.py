"""A fitted scikit-learn estimator as a Predictor, and what loading one has in common whatever the file."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.exceptions import InconsistentVersionWarning

from perennial.server.errors import ModelLoadError
from perennial.server.predictor import PREDICT, PROBABILITIES, Array, Tensor
from perennial.server.tensors import datatype_of

_log = logging.getLogger(__name__)

# Columns are put in order by name before the model sees them, so that its own check has nothing to add.
warnings.filterwarnings("ignore", message="X does not have valid feature names")


class SklearnModel:
    """Serves `predict`, and `predict_proba` where the estimator has it."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self.feature_names: tuple[str, ...] = tuple(str(name) for name in getattr(estimator, "feature_names_in_", ()))
        self.feature_count: int | None = getattr(estimator, "n_features_in_", None)
        self.outputs = _outputs(estimator)

    def run(self, output: str, rows: Array) -> Array:
        return np.asarray(getattr(self._estimator, output)(rows))


def load_estimator(path: Path, read: Callable[[Path], Any]) -> SklearnModel:
    """Read the estimator in `path` and make it ready to serve.

    A version mismatch is logged, and told in the ModelLoadError if reading fails.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator = read(path)
        except ModelLoadError:
            raise
        except BaseException as error:  # a pickle may raise anything, SystemExit included
            causes = [f"{type(error).__name__}: {error}", *_mismatches(caught)]
            raise ModelLoadError(f"{path.name} cannot be loaded: {'; '.join(causes)}") from error
    for message in _mismatches(caught):
        _log.warning(message, extra={"file": path.name, "scikit_learn": sklearn.__version__})
    if not hasattr(estimator, PREDICT):
        raise ModelLoadError(f"{path.name} holds a {type(estimator).__name__}, which has no predict method")
    _one_thread(estimator)
    return SklearnModel(estimator)


def _outputs(estimator: Any) -> tuple[Tensor, ...]:
    classes = getattr(estimator, "classes_", None)
    if not isinstance(classes, np.ndarray):  # a regressor, or a list of them: several targets at once
        return (Tensor(PREDICT, "FP64"),)
    predict = Tensor(PREDICT, datatype_of(classes.dtype))
    if not hasattr(estimator, PROBABILITIES):
        return (predict,)
    return (predict, Tensor(PROBABILITIES, "FP64", (-1, len(classes))))


def _mismatches(caught: list[warnings.WarningMessage]) -> list[str]:
    texts = (str(warning.message) for warning in caught if issubclass(warning.category, InconsistentVersionWarning))
    return list(dict.fromkeys(texts))


def _one_thread(estimator: Any) -> None:
    """Requests already run side by side; an estimator's own workers would only be started anew for each of them."""
    if hasattr(estimator, "get_params"):
        names = [name for name in estimator.get_params() if name.rpartition("__")[2] == "n_jobs"]
        estimator.set_params(**dict.fromkeys(names, 1))
