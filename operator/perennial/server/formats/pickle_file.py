"""Format `sklearn-pickle`: a pickle or joblib file. Loading one runs its code, so it is never chosen by itself."""

from collections.abc import Sequence
from pathlib import Path

import joblib

from perennial.server.formats import the_only_file
from perennial.server.formats.sklearn_model import SklearnModel, load_estimator


def load(folder: Path, trusted_types: Sequence[str]) -> SklearnModel:
    """Load the pickle; `trusted_types` says nothing here, since a pickle cannot be checked."""
    return load_estimator(the_only_file(folder, ["*.pkl", "*.pickle", "*.joblib"]), joblib.load)
