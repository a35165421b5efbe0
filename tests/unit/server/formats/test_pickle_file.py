"""The unsafe format: loaded only by its own name, whatever wrote the pickle."""

import pickle
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.datasets import load_digits

from perennial.server import formats
from perennial.server.errors import ModelLoadError


@pytest.mark.parametrize("name", ["model.pkl", "model.pickle", "model.joblib"])
def test_pickle_and_joblib_files_are_loaded_when_asked_for(tmp_path: Path, digits: Any, name: str) -> None:
    if name.endswith("joblib"):
        joblib.dump(digits, tmp_path / name, compress=3)
    else:
        (tmp_path / name).write_bytes(pickle.dumps(digits))
    rows = load_digits().data[:5]
    assert formats.load("sklearn-pickle", tmp_path, ()).run("predict", rows).tolist() == digits.predict(rows).tolist()


class Harmful:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_a_pickle_is_never_opened_unless_asked_for_by_name(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Harmful(mark)))
    with pytest.raises(ModelLoadError, match=r"there is model\.pkl"):
        formats.load("sklearn", tmp_path, ())
    assert not mark.exists()


class Exits:
    """Ends the program when it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit(3)",)


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps(Exits())])
def test_a_pickle_that_fails_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pkl").write_bytes(content)
    with pytest.raises(ModelLoadError, match=r"model\.pkl cannot be loaded"):
        formats.load("sklearn-pickle", tmp_path, ())


def test_a_pickle_of_something_else_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"weights": [1]}))
    with pytest.raises(ModelLoadError, match="holds a dict, which has no predict method"):
        formats.load("sklearn-pickle", tmp_path, ())
