"""Each format in a real server process: metadata, predictions, refusals, and logs that are JSON whoever writes them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import mlflow.xgboost
import numpy as np
import pytest
import xgboost
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

ROWS, LABELS = load_iris(return_X_y=True)
SAMPLE = ROWS[::50].astype(np.float32)
INFER = "/v2/models/digits/infer"
COLUMNS = {"columns": ["a", "b", "c", "d"], "data": SAMPLE.tolist()}


class Total(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads such hints
        return model_input.sum(axis=1)


def an_xgboost(folder: Path) -> Any:
    model = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(ROWS, LABELS)
    model.save_model(folder / "model.ubj")
    return model.predict(SAMPLE)


def an_onnx(folder: Path) -> Any:
    model = LogisticRegression(max_iter=500).fit(ROWS, LABELS)
    exported = to_onnx(model, SAMPLE[:1], options={id(model): {"zipmap": False}})
    (folder / "model.onnx").write_bytes(exported.SerializeToString())
    return model.predict(SAMPLE)


def an_mlflow(folder: Path) -> Any:
    model = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(ROWS, LABELS)
    mlflow.xgboost.save_model(model, folder, pip_requirements=["mlflow"])
    return model.predict(SAMPLE)


def a_pyfunc(folder: Path) -> Any:
    tensors = [Schema([TensorSpec(np.dtype(np.float64), shape)]) for shape in ((-1, 4), (-1,))]
    needs = ["mlflow", "numpy==1.0"]
    mlflow.pyfunc.save_model(folder, python_model=Total(), signature=ModelSignature(*tensors), pip_requirements=needs)
    return SAMPLE.sum(axis=1)


@pytest.mark.parametrize(
    ("name", "save", "tensor", "wrong"),
    [
        ("xgboost", an_xgboost, "input", "inputs[0] must have the shape [rows, 4], has [3, 2]"),
        ("onnx", an_onnx, "X", "inputs[0] must have the shape [-1, 4], has [3, 2]"),
        ("mlflow", an_mlflow, "input", "inputs[0] must have the shape [rows, 4], has [3, 2]"),
        ("mlflow-pyfunc", a_pyfunc, "input", "inputs[0] must have the shape [rows, 4], has [3, 2]"),
    ],
)
def test_a_model_is_served(
    start: Any, tmp_path: Path, name: str, save: Callable[[Path], Any], tensor: str, wrong: str
) -> None:
    expected = save(tmp_path)
    server = start(PERENNIAL_MODEL_DIR=str(tmp_path), PERENNIAL_MODEL_FORMAT=name).wait_ready()
    about = server.request("GET", "/v2/models/digits").json
    assert (about["platform"], [given["name"] for given in about["inputs"]]) == (name, [tensor])
    given = {**about["inputs"][0], "shape": [3, 4], "data": SAMPLE.ravel().tolist()}
    answer = server.request("POST", INFER, {"inputs": [given]})
    assert answer.status == 200
    output = answer.json["outputs"][0]
    assert output["data"] == pytest.approx(expected.tolist())
    assert (output["name"], output["datatype"]) == (about["outputs"][0]["name"], about["outputs"][0]["datatype"])
    told = server.request("POST", "/invocations", {"dataframe_split": COLUMNS}, {"Content-Type": "application/json"})
    predictions = told.json["predictions"]
    assert (predictions["label"] if name == "onnx" else predictions) == pytest.approx(expected.tolist())
    refused = server.request("POST", INFER, {"inputs": [{**given, "shape": [3, 2], "data": [0] * 6}]})
    assert (refused.status, refused.json) == (400, {"error": wrong})
    assert all("level" in entry for entry in server.logs), "each line was JSON"


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("xgboost", "model.ubj", "model.ubj cannot be loaded: it is cut short"),
        ("onnx", "model.onnx", "model.onnx cannot be loaded: ONNX Runtime"),
        ("mlflow", "MLmodel", "MLmodel cannot be read: TypeError"),
        ("mlflow-pyfunc", "MLmodel", "MLmodel cannot be read: TypeError"),
    ],
)
def test_a_broken_file_ends_with_78_and_says_why(
    start: Any, tmp_path: Path, name: str, file: str, message: str
) -> None:
    folder, log = tmp_path / "model", tmp_path / "termination-log"
    folder.mkdir()
    (folder / file).write_bytes(b"broken")
    log.touch()
    server = start(PERENNIAL_MODEL_DIR=str(folder), PERENNIAL_MODEL_FORMAT=name, PERENNIAL_TERMINATION_LOG=str(log))
    assert server.end() == 78
    error = json.loads(log.read_text())["error"]
    assert error["reason"] == "ModelLoadFailed"
    assert error["message"].startswith(message)
