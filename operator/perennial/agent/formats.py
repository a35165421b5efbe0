"""Tells a model's format from the files that it has."""

import re
from collections.abc import Callable, Collection
from fnmatch import fnmatch
from pathlib import Path

XGBOOST_JSON = re.compile(rb'\s*\{\s*"learner"')

# In this order: an MLmodel says itself how the files beside it are read. Pickle is not here: loading one runs the code
# that is in it, so a person must ask for it by name (spec.model.format: sklearn-pickle).
BY_NAME = (
    ("MLmodel", "mlflow"),
    ("*.skops", "sklearn"),
    ("*.onnx", "onnx"),
    ("*.ubj", "xgboost"),
    ("model.json", "xgboost"),
)
OTHER = "files"


def detect(names: Collection[str], begin: Callable[[str], bytes]) -> str:
    """Format of a model with these files; only those at the top count. `begin` gives a file's first bytes."""
    for pattern, found in BY_NAME:
        for name in sorted(names):
            if "/" in name or not fnmatch(name, pattern):
                continue
            if name != "model.json" or XGBOOST_JSON.match(begin(name)):
                return found
    return OTHER


def of_folder(folder: Path, names: Collection[str]) -> str:
    """Format of the model that lies in a folder and has these files."""

    def begin(name: str) -> bytes:
        with (folder / name).open("rb") as file:
            return file.read(256)

    return detect(names, begin)
