"""What the server writes down of requests: a sample, by columns, and nothing that keeps it from answering."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perennial.server import requestlog
from perennial.server.predictor import Tensor
from perennial.server.requestlog import RequestLog, logged


class Tables:
    """Predicts the first column."""

    outputs = (Tensor("predict", "FP64"), Tensor("predict_proba", "FP64"))

    def __init__(self, *names: str) -> None:
        self.feature_names, self.feature_count = names, len(names) or None

    def run(self, output: str, rows: Any) -> Any:
        return rows[:, 0] if rows.ndim == 2 else rows


class Tensors:
    """Predicts the sum of each row."""

    inputs = (Tensor("x", "FP64", (-1, 2)), Tensor("picture", "FP64", (-1, 2, 2)), Tensor("plan", "BYTES"))
    outputs = (Tensor("sum", "FP64"),)

    def run_tensors(self, outputs: Sequence[str], tensors: Mapping[str, Any]) -> list[Any]:
        return [tensors["x"].sum(axis=1)]


def written(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for file in sorted(folder.iterdir()) for line in file.read_text().splitlines()]
    assert all(line.pop("time") for line in lines)
    return lines


def test_rows_are_written_by_column_with_what_was_answered(tmp_path: Path) -> None:
    model: Any = logged(Tables("age", "plan"), RequestLog(tmp_path, 100))
    answer = model.run("predict", np.array([[41.5, "pro"], [float("nan"), "ä"]], dtype=object))
    assert len(answer) == 2
    model.run("predict_proba", np.array([[1.0, 2.0]]))
    assert written(tmp_path) == [
        {"age": 41.5, "plan": "pro", "prediction": 41.5},
        {"age": None, "plan": "ä", "prediction": None},
    ]


def test_columns_that_nobody_named(tmp_path: Path) -> None:
    model: Any = logged(Tables(), RequestLog(tmp_path, 100, ["0", "prediction"]))
    model.run("predict", np.array([[1, 2]]))
    model.run("predict", np.array(["a text"], dtype=object))
    assert written(tmp_path) == [{"0": 1, "prediction": 1}, {"0": "a text", "prediction": "a text"}]


def test_tensors(tmp_path: Path) -> None:
    model: Any = logged(Tensors(), RequestLog(tmp_path, 100, ["x.0", "x.1", "plan"]))
    tensors = {"x": np.ones((2, 2)), "picture": np.ones((2, 2, 2)), "plan": np.array([b"pro", "plus"], dtype=object)}
    model.run_tensors(["sum"], tensors)
    assert written(tmp_path) == [
        {"x.0": 1, "x.1": 1, "plan": "pro", "prediction": 2},
        {"x.0": 1, "x.1": 1, "plan": "plus", "prediction": 2},
    ]


def test_a_sample(tmp_path: Path) -> None:
    model: Any = logged(Tables("age"), RequestLog(tmp_path, 10))
    for _ in range(100):
        model.run("predict", np.arange(100.0).reshape(100, 1))
    # Six standard deviations.
    assert 820 < len(written(tmp_path)) < 1180


def test_of_none_nothing(tmp_path: Path) -> None:
    model: Any = logged(Tables("age"), RequestLog(tmp_path, 0))
    model.run("predict", np.arange(100.0).reshape(100, 1))
    assert not list(tmp_path.iterdir())


def test_a_log_that_nobody_takes_away_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requestlog, "MOST_BYTES", 1000)
    (tmp_path / "2026-11-20T1200-7.jsonl").write_bytes(b"x" * 1001)
    log = RequestLog(tmp_path, 100)
    log.write([{"age": 1}])
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / "2026-11-20T1200-7.jsonl").unlink()
    log._minute = "the one before"
    log.write([{"age": 1}])
    assert len(written(tmp_path)) == 1


def test_without_its_folder_it_still_answers(tmp_path: Path) -> None:
    model: Any = logged(Tables("age"), RequestLog(tmp_path / "none", 100))
    assert model.run("predict", np.array([[1.0]])) == [1.0]
