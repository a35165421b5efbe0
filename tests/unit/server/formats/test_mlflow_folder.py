"""Folders with an MLmodel: read natively where no code of theirs is needed, refused otherwise."""

import json
import pickle
from pathlib import Path
from typing import Any

import mlflow.onnx
import mlflow.sklearn
import mlflow.xgboost
import pytest
import xgboost
import yaml
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from perennial.agent import formats as recognised
from perennial.server import formats, invocations
from perennial.server.errors import ModelLoadError

TREE = "sklearn.tree._tree.Tree"
ROWS, LABELS = load_iris(return_X_y=True)
# Told, since MLflow would load each model in a process of its own to find them.
PLAIN: dict[str, Any] = {"pip_requirements": ["mlflow"]}


def a_classifier() -> Any:
    return LogisticRegression(max_iter=500).fit(ROWS, LABELS)


def of_sklearn(folder: Path) -> Any:
    mlflow.sklearn.save_model(model := a_classifier(), folder, **PLAIN)
    return model


def of_xgboost(folder: Path) -> Any:
    model = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(ROWS, LABELS)
    mlflow.xgboost.save_model(model, folder, **PLAIN)
    return model


def of_a_booster_in_json(folder: Path) -> Any:
    model = xgboost.train({"objective": "multi:softmax", "num_class": 3}, xgboost.DMatrix(ROWS, LABELS), 3)
    mlflow.xgboost.save_model(model, folder, model_format="json", **PLAIN)
    return model


def of_onnx(folder: Path) -> Any:
    model = a_classifier()
    exported = to_onnx(model, ROWS[:1], options={id(model): {"zipmap": False}})
    mlflow.onnx.save_model(exported, folder, **PLAIN)
    return model


def invoked(predictor: Any, rows: Any) -> Any:
    body = json.dumps({"inputs": rows.tolist()}).encode()
    return json.loads(invocations.invoke(predictor, "application/json", body))["predictions"]


@pytest.mark.parametrize("save", [of_sklearn, of_xgboost])
def test_a_flavor_is_read_as_its_own_files_are(tmp_path: Path, save: Any) -> None:
    model = save(tmp_path / "model")
    assert recognised.of_folder(tmp_path / "model", ["MLmodel"]) == "mlflow"
    predictor = formats.load("mlflow", tmp_path / "model", ())
    assert invoked(predictor, ROWS) == model.predict(ROWS).tolist()


def test_a_booster_in_json_is_read_too(tmp_path: Path) -> None:
    model = of_a_booster_in_json(tmp_path / "model")
    predictor = formats.load("mlflow", tmp_path / "model", ())
    assert invoked(predictor, ROWS) == model.predict(xgboost.DMatrix(ROWS)).tolist()


def test_a_graph_is_read_too(tmp_path: Path) -> None:
    model = of_onnx(tmp_path / "model")
    predictor = formats.load("mlflow", tmp_path / "model", ())
    assert invoked(predictor, ROWS)["label"] == model.predict(ROWS).tolist()


class Harmful:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    folder, mark = tmp_path / "model", tmp_path / "mark"
    mlflow.sklearn.save_model(a_classifier(), folder, serialization_format="pickle", **PLAIN)
    (folder / "model.pkl").write_bytes(pickle.dumps(Harmful(mark)))
    message = "the flavors python_function, sklearn, and none can be read without running code .* format mlflow-pyfunc"
    with pytest.raises(ModelLoadError, match=message):
        formats.load("mlflow", folder, ())
    assert not mark.exists()


def test_what_a_model_says_should_be_trusted_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tree = DecisionTreeClassifier(max_depth=2).fit(ROWS, LABELS)
    mlflow.sklearn.save_model(tree, folder, skops_trusted_types=[TREE], **PLAIN)
    with pytest.raises(ModelLoadError, match=f"PERENNIAL_TRUSTED_TYPES={TREE}"):
        formats.load("mlflow", folder, ())
    assert invoked(formats.load("mlflow", folder, [TREE]), ROWS) == tree.predict(ROWS).tolist()


def rewrite(folder: Path, flavor: str, **fields: Any) -> None:
    about = yaml.safe_load((folder / "MLmodel").read_text())
    about["flavors"][flavor] |= fields
    (folder / "MLmodel").write_text(yaml.safe_dump(about))


def test_another_method_than_predict_is_not_what_would_be_served(tmp_path: Path) -> None:
    mlflow.sklearn.save_model(a_classifier(), tmp_path / "model", pyfunc_predict_fn="predict_proba", **PLAIN)
    with pytest.raises(ModelLoadError, match="mlflow-pyfunc"):
        formats.load("mlflow", tmp_path / "model", ())


@pytest.mark.parametrize("name", ["../model.ubj", "/etc/hostname", "gone.ubj", None, 7])
def test_a_file_that_is_none_of_the_models_is_refused(tmp_path: Path, name: Any) -> None:
    of_xgboost(tmp_path / "model")
    (tmp_path / "model.ubj").write_bytes((tmp_path / "model" / "model.ubj").read_bytes())
    rewrite(tmp_path / "model", "xgboost", data=name)
    with pytest.raises(ModelLoadError, match="MLmodel names the file .*, which is not among the model's files"):
        formats.load("mlflow", tmp_path / "model", ())


@pytest.mark.parametrize(
    "content", ["", "flavors", "flavors: 3", "flavors: {sklearn: 1}", "a: [", "flavors: !!python/x"]
)
def test_a_damaged_mlmodel_is_refused_with_its_cause(tmp_path: Path, content: str) -> None:
    (tmp_path / "MLmodel").write_text(content)
    with pytest.raises(ModelLoadError, match="MLmodel cannot be read: [A-Z]"):
        formats.load("mlflow", tmp_path, ())


def test_a_damaged_file_is_named_as_always(tmp_path: Path) -> None:
    of_xgboost(tmp_path / "model")
    (tmp_path / "model" / "model.ubj").write_bytes(b"")
    with pytest.raises(ModelLoadError, match=r"model\.ubj cannot be loaded"):
        formats.load("mlflow", tmp_path / "model", ())


def test_a_model_without_flavors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}")
    with pytest.raises(ModelLoadError, match="the flavors none"):
        formats.load("mlflow", tmp_path, ())
