"""Open Inference Protocol requests to answers, on models in memory."""

import json
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from perennial.server import inference
from perennial.server.errors import InvalidRequestError
from perennial.server.formats.sklearn_model import SklearnModel

IRIS = load_iris().data
COLUMNS = ("sepal length", "sepal width", "petal length", "petal width")


def ask(model: Any, *inputs: dict[str, Any], **more: Any) -> Any:
    body = json.dumps({"inputs": list(inputs), **more}).encode()
    return json.loads(inference.infer(SklearnModel(model), "m", "2", body))


def a_matrix(rows: Any, name: str = "x") -> dict[str, Any]:
    array = np.asarray(rows)
    return {"name": name, "shape": list(array.shape), "datatype": "FP64", "data": array.tolist()}


def a_column(name: str, values: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(values)], "datatype": "FP64", "data": list(values)}


def test_one_matrix_gives_the_models_own_predictions(digits: Any) -> None:
    rows = load_digits().data[:40]
    answer = ask(digits, a_matrix(rows), id="q-1")
    assert answer == {
        "model_name": "m",
        "model_version": "2",
        "id": "q-1",
        "outputs": [{"name": "predict", "datatype": "INT64", "shape": [40], "data": digits.predict(rows).tolist()}],
    }


def test_only_the_outputs_asked_for_are_given_in_their_order(digits: Any) -> None:
    rows = load_digits().data[:3]
    answer = ask(digits, a_matrix(rows), outputs=[{"name": "predict_proba"}, {"name": "predict"}])
    assert [output["name"] for output in answer["outputs"]] == ["predict_proba", "predict"]
    probabilities = np.reshape(answer["outputs"][0]["data"], answer["outputs"][0]["shape"])
    np.testing.assert_allclose(probabilities, digits.predict_proba(rows))


def test_several_tensors_are_columns_by_name_in_any_order(iris: Any) -> None:
    columns = [a_column(name, IRIS[::50, index]) for index, name in enumerate(COLUMNS)]
    answer = ask(iris, *reversed(columns))
    assert answer["outputs"][0]["datatype"] == "BYTES"
    assert answer["outputs"][0]["data"] == iris.predict(IRIS[::50]).tolist() == ["setosa", "versicolor", "virginica"]


def test_a_named_model_takes_one_matrix_in_the_order_of_training(iris: Any) -> None:
    assert ask(iris, a_matrix(IRIS[::50]))["outputs"][0]["data"] == ["setosa", "versicolor", "virginica"]


def test_a_model_of_one_column_takes_it_by_name() -> None:
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    model.feature_names_in_ = np.array(["size"], dtype=object)
    output = ask(model, a_column("size", [3.0]))["outputs"][0]
    assert output["datatype"] == "FP64"
    assert output["data"] == pytest.approx([6.0])


def test_a_text_model_takes_strings() -> None:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good fine", "bad poor"], ["up", "down"])
    tensor = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["so poor", "very fine"]}
    assert ask(model, tensor)["outputs"][0]["data"] == ["down", "up"]


@pytest.mark.parametrize(
    ("inputs", "more", "message"),
    [
        ([], {}, "inputs must be a list of at least one tensor"),
        (["x"], {}, "inputs[0] must be an object"),
        ([a_matrix([[1, 2, 3]])], {}, "inputs[0] must have the shape [rows, 4], has [1, 3]"),
        ([a_column("x", [1, 2, 3, 4])], {}, "inputs[0] must have the shape [rows, 4], has [4]"),
        ([{**a_matrix([[1]]), "shape": [0, 4], "data": []}], {}, "inputs[0] has no rows"),
        ([a_matrix([[1, 2, None, 4]])], {}, "the model cannot take this input: Input X contains NaN"),
        ([a_column(n, [1]) for n in COLUMNS[:3]], {}, "inputs lacks the columns petal width"),
        ([a_column(n, [1]) for n in (*COLUMNS, "colour")], {}, "inputs[4].name: the model has no column 'colour'"),
        ([a_column(n, [1]) for n in (*COLUMNS, COLUMNS[0])], {}, "inputs names a column twice: sepal length"),
        ([a_column(n, [1] * k) for k, n in enumerate(COLUMNS, 1)], {}, "inputs[1].shape must be [1] or [1, 1], is [2]"),
        ([a_matrix([[1, 2, 3, 4]])], {"id": 7}, "id must be a string"),
        ([a_matrix([[1, 2, 3, 4]])], {"parameters": 7}, "parameters must be an object"),
        ([a_matrix([[1, 2, 3, 4]])], {"outputs": "predict"}, "outputs must be a list"),
        ([a_matrix([[1, 2, 3, 4]])], {"outputs": ["predict"]}, "outputs[0].name must be a string"),
        ([a_matrix([[1, 2, 3, 4]])], {"outputs": [{"name": "p"}]}, "outputs[0].name: the model has no output 'p'"),
        (
            [a_matrix([[1, 2, 3, 4]])],
            {"outputs": [{"name": "predict"}] * 2},
            "outputs[1].name: predict is asked for twice",
        ),
    ],
)
def test_a_request_that_does_not_fit_is_refused_naming_the_field(
    iris: Any, inputs: Any, more: Any, message: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        ask(iris, *inputs, **more)
    assert caught.value.message.startswith(message)


def test_a_model_without_column_names_takes_one_tensor_only(digits: Any) -> None:
    with pytest.raises(InvalidRequestError, match="exactly one tensor"):
        ask(digits, a_column("a", [1]), a_column("b", [1]))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(digits: Any, body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="the body"):
        inference.infer(SklearnModel(digits), "m", "2", body)


def test_metadata_names_columns_and_outputs(iris: Any, digits: Any) -> None:
    named = inference.metadata(SklearnModel(iris), "iris", "3", "sklearn")
    assert [tensor["name"] for tensor in named["inputs"]] == list(COLUMNS)
    assert named["outputs"] == [
        {"name": "predict", "datatype": "BYTES", "shape": [-1]},
        {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 3]},
    ]
    unnamed = inference.metadata(SklearnModel(digits), "digits", "", "sklearn")
    assert unnamed["versions"] == []
    assert unnamed["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 64]}]


def test_a_model_without_probabilities_offers_none() -> None:
    model = LinearSVC().fit(IRIS, load_iris().target)
    assert [output["name"] for output in inference.metadata(SklearnModel(model), "m", "", "sklearn")["outputs"]] == [
        "predict"
    ]
