"""XGBoost's own files: what the library predicts is what is served, and damaged files are refused with their cause."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_iris

from perennial.agent import formats as recognised
from perennial.server import formats, inference
from perennial.server.errors import InvalidRequestError, ModelLoadError
from perennial.server.formats.xgboost_file import XgboostModel, load, load_file

ROWS, LABELS = load_iris(return_X_y=True)
COLUMNS = ["sepal length", "sepal width", "petal length", "petal width"]
TREES = {"n_estimators": 3, "max_depth": 2, "n_jobs": 1}


def a_classifier() -> Any:
    return xgboost.XGBClassifier(**TREES).fit(ROWS, LABELS)


def a_regressor() -> Any:
    return xgboost.XGBRegressor(**TREES).fit(ROWS[:, :3], ROWS[:, 3])


def a_booster(**parameters: Any) -> Any:
    table = xgboost.DMatrix(ROWS, LABELS, feature_names=COLUMNS)
    return xgboost.train(parameters or {"objective": "multi:softprob", "num_class": 3}, table, 3)


def served(folder: Path, model: Any, name: str = "model.ubj") -> XgboostModel:
    model.save_model(folder / name)
    return load(folder, ())


def ask(model: XgboostModel, rows: Any, **more: Any) -> Any:
    tensor = {"name": "x", "shape": list(np.shape(rows)), "datatype": "FP64", "data": np.asarray(rows).tolist()}
    return json.loads(inference.infer(model, "m", "1", json.dumps({"inputs": [tensor], **more}).encode()))["outputs"]


@pytest.mark.parametrize("name", ["model.ubj", "model.json", "iris.ubj"])
def test_a_classifiers_classes_and_probabilities_are_the_librarys_own(tmp_path: Path, name: str) -> None:
    model = a_classifier()
    predictor = served(tmp_path, model, name)
    assert predictor.run("predict", ROWS).tolist() == model.predict(ROWS).tolist()
    assert predictor.run("predict_proba", ROWS).tolist() == model.predict_proba(ROWS).tolist()


@pytest.mark.parametrize("make", [a_classifier, a_regressor, a_booster])
@pytest.mark.parametrize("name", ["model.ubj", "model.json"])
def test_the_agent_recognises_what_the_library_writes(tmp_path: Path, make: Callable[[], Any], name: str) -> None:
    make().save_model(tmp_path / name)
    assert recognised.of_folder(tmp_path, [name]) == "xgboost"
    assert formats.load("xgboost", tmp_path, ()).outputs[0].name == "predict"


def test_a_regressors_values_are_the_librarys_own(tmp_path: Path) -> None:
    model = a_regressor()
    predictor = served(tmp_path, model)
    assert predictor.run("predict", ROWS[:, :3]).tolist() == model.predict(ROWS[:, :3]).tolist()
    assert [output.name for output in predictor.outputs] == ["predict"]


def test_a_regressor_stops_at_its_best_tree_as_the_library_does(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=150)
    model = xgboost.XGBRegressor(n_estimators=30, early_stopping_rounds=2, learning_rate=1.0, n_jobs=1)
    model.fit(ROWS, noise, eval_set=[(ROWS[::-1], noise)], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    assert served(tmp_path, model).run("predict", ROWS).tolist() == model.predict(ROWS).tolist()


@pytest.mark.parametrize(
    ("parameters", "shape"),
    [
        ({"objective": "multi:softprob", "num_class": 3}, (-1, 3)),
        ({"objective": "multi:softmax", "num_class": 3}, (-1,)),
        ({"objective": "reg:squarederror", "max_depth": 2}, (-1,)),
        ({"objective": "reg:squarederror", "booster": "gblinear"}, (-1,)),
        ({"objective": "count:poisson", "booster": "dart"}, (-1,)),
    ],
)
def test_a_boosters_predictions_are_the_librarys_own(tmp_path: Path, parameters: Any, shape: tuple[int, ...]) -> None:
    model = a_booster(**parameters)
    predictor = served(tmp_path, model)
    expected = model.predict(xgboost.DMatrix(ROWS, feature_names=COLUMNS))
    assert predictor.run("predict", ROWS).tolist() == expected.tolist()
    assert (predictor.outputs[0].datatype, predictor.outputs[0].shape) == ("FP32", shape)


def test_metadata_names_the_columns_and_what_is_given(tmp_path: Path) -> None:
    about = inference.metadata(served(tmp_path, a_booster()), "iris", "1", "xgboost")
    assert about["inputs"] == [{"name": name, "datatype": "FP64", "shape": [-1]} for name in COLUMNS]
    assert about["outputs"] == [{"name": "predict", "datatype": "FP32", "shape": [-1, 3]}]
    unnamed = inference.metadata(load_file(saved(tmp_path, a_classifier()), ()), "iris", "1", "xgboost")
    assert unnamed["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 4]}]
    assert unnamed["outputs"] == [
        {"name": "predict", "datatype": "INT64", "shape": [-1]},
        {"name": "predict_proba", "datatype": "FP32", "shape": [-1, 3]},
    ]


def saved(folder: Path, model: Any) -> Path:
    model.save_model(folder / "other.ubj")
    return folder / "other.ubj"


def test_a_missing_value_goes_the_way_that_training_gave_it(tmp_path: Path) -> None:
    holes = np.where(np.random.default_rng(0).random(ROWS.shape) < 0.3, np.nan, ROWS)
    model = xgboost.XGBClassifier(**TREES).fit(holes, LABELS)
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [[None, 3.0, None, 1.0]]}
    answer = inference.infer(served(tmp_path, model), "m", "1", json.dumps({"inputs": [tensor]}).encode())
    expected = model.predict(np.array([[np.nan, 3.0, np.nan, 1.0]]))
    assert json.loads(answer)["outputs"][0]["data"] == expected.tolist()


def test_categories_are_given_by_their_codes(tmp_path: Path) -> None:
    codes = np.arange(150) % 5
    table = xgboost.DMatrix(codes[:, None], codes % 2, feature_types=["c"], enable_categorical=True)
    model = xgboost.train({"max_cat_to_onehot": 10}, table, 2)
    assert served(tmp_path, model).run("predict", codes[:5, None]).tolist() == model.predict(table)[:5].tolist()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0, 2.0]], "inputs[0] must have the shape [rows, 4], has [1, 2]"),
        ([[1.0, 2.0, 3.0, 1e300]], "the model cannot take this input: a value is infinite, or too large for FP32"),
    ],
)
@pytest.mark.parametrize("make", [a_classifier, a_booster])
def test_rows_that_do_not_fit_are_refused_in_words(
    tmp_path: Path, make: Callable[[], Any], rows: Any, message: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        ask(served(tmp_path, make()), rows)
    assert caught.value.message == message


@pytest.mark.parametrize("make", [a_classifier, a_booster])
def test_texts_are_refused(tmp_path: Path, make: Callable[[], Any]) -> None:
    tensor = {"name": "x", "shape": [1, 4], "datatype": "BYTES", "data": ["a", "b", "c", "d"]}
    with pytest.raises(InvalidRequestError, match="cannot take this input: could not convert string to float: 'a'"):
        inference.infer(served(tmp_path, make()), "m", "1", json.dumps({"inputs": [tensor]}).encode())


@pytest.mark.parametrize("content", [b"", b"garbage", b"{L\x00\x00"])
@pytest.mark.parametrize("name", ["model.ubj", "model.json"])
def test_what_is_no_model_is_refused_before_the_library_reads_it(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelLoadError, match=f"{name} cannot be loaded: it is cut short, or no model of XGBoost's"):
        load(tmp_path, ())


@pytest.mark.parametrize("content", [b"{}", b'{"learner":{}}', b'{"version":[3,2,0]}'])
@pytest.mark.parametrize("name", ["model.ubj", "model.json"])
def test_a_damaged_file_is_named_with_its_cause(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelLoadError, match=rf"^{name} cannot be loaded: XGBoost {xgboost.__version__}: \S") as caught:
        load(tmp_path, ())
    assert "Stack" not in str(caught.value)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_file_cut_short_is_refused(tmp_path: Path, part: float) -> None:
    path = saved(tmp_path, a_classifier())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ModelLoadError, match=r"other\.ubj cannot be loaded"):
        load(tmp_path, ())
