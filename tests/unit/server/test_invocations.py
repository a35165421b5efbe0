"""MLflow's scoring protocol: every form gives the same predictions, and bad bodies name what is wrong."""

import csv
import io
import json
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from perennial.server.errors import InvalidRequestError, RequestError
from perennial.server.formats.sklearn_model import SklearnModel
from perennial.server.invocations import invoke

COLUMNS = ["sepal length", "sepal width", "petal length", "petal width"]
SHUFFLED = [3, 1, 0, 2]
ROWS = load_iris().data[::50].tolist()
RECORDS = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]


def ask(model: Any, value: Any, content_type: str = "application/json") -> Any:
    body = value if isinstance(value, str) else json.dumps(value)
    return json.loads(invoke(SklearnModel(model), content_type, body.encode()))["predictions"]


def as_csv(columns: list[str], rows: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    return text.getvalue()


def pick(values: list[Any]) -> list[Any]:
    return [values[index] for index in SHUFFLED]


@pytest.mark.parametrize(
    ("value", "content_type"),
    [
        ({"dataframe_split": {"columns": COLUMNS, "data": ROWS, "index": [0, 1, 2]}}, "application/json"),
        ({"dataframe_split": {"columns": pick(COLUMNS), "data": [pick(row) for row in ROWS]}}, "application/json"),
        ({"dataframe_split": {"data": ROWS}}, "application/json; charset=utf-8"),
        ({"dataframe_records": RECORDS, "params": {}}, 'application/json;charset="UTF-8"'),
        ({"dataframe_records": [{"extra": "x", **record} for record in RECORDS]}, "application/json"),
        ({"instances": ROWS}, "application/json"),
        ({"instances": RECORDS}, "application/json"),
        ({"inputs": ROWS}, "application/json"),
        ({"inputs": {name: [row[i] for row in ROWS] for i, name in enumerate(COLUMNS)}}, "application/json"),
        (as_csv(COLUMNS, ROWS), "text/csv"),
        ("\ufeff" + as_csv(pick(COLUMNS), [pick(row) for row in ROWS]), "text/csv; charset=utf-8"),
        (as_csv(["", *COLUMNS], [[i, *row] for i, row in enumerate(ROWS)]), "text/csv"),
    ],
)
def test_every_form_gives_the_same_predictions(iris: Any, value: Any, content_type: str) -> None:
    assert ask(iris, value, content_type) == ["setosa", "versicolor", "virginica"]


def test_a_model_without_names_takes_columns_by_position(digits: Any) -> None:
    rows = load_digits().data[:5].tolist()
    expected = load_digits().target[:5].tolist()
    assert ask(digits, {"dataframe_split": {"columns": list(range(64)), "data": rows}}) == expected
    assert ask(digits, as_csv([f"p{i}" for i in range(64)], rows), "text/csv") == expected


def a_mixed_model() -> Any:
    """Texts, numbers and truth values in one table, columns chosen by name, as on a data frame."""
    rows = np.array([["red", 1.0, True], ["blue", 2.0, False], ["red", 8.0, True], ["blue", 9.0, False]], dtype=object)
    pick_columns = ColumnTransformer([("c", OneHotEncoder(), [0]), ("n", StandardScaler(), [1, 2])])
    model = make_pipeline(pick_columns, LogisticRegression()).fit(rows, [0, 0, 1, 1])
    model[0].feature_names_in_ = np.array(["colour", "size", "new"], dtype=object)
    return model


@pytest.mark.parametrize(
    ("value", "content_type"),
    [
        (
            {
                "dataframe_records": [
                    {"size": 1, "new": True, "colour": "red"},
                    {"size": 9, "colour": "blue", "new": False},
                ]
            },
            "application/json",
        ),
        ({"instances": [["red", 1, True], ["blue", 9, False]]}, "application/json"),
        ("colour,new,size\nred,True,1\nblue,False,9\n", "text/csv"),
    ],
)
def test_texts_numbers_and_truth_values_may_stand_side_by_side(value: Any, content_type: str) -> None:
    assert ask(a_mixed_model(), value, content_type) == [0, 1]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "the body must be a JSON object"),
        ("{", "the body is not JSON"),
        ({}, "the body must have exactly one of the fields dataframe_split, "),
        ({"inputs": ROWS, "instances": ROWS}, "the body must have exactly one of the fields"),
        ({"columns": COLUMNS, "data": ROWS}, "the body must have exactly one of the fields"),
        ({"dataframe_split": ROWS}, "dataframe_split.data must be a list of rows"),
        ({"dataframe_split": {"columns": COLUMNS}}, "dataframe_split.data must be a list of rows"),
        ({"dataframe_split": {"columns": "a", "data": ROWS}}, "dataframe_split.columns must be a list of names"),
        (
            {"dataframe_split": {"columns": COLUMNS, "data": [[1, 2]]}},
            "dataframe_split.data: row 0 must be a list of 4",
        ),
        ({"dataframe_split": {"columns": COLUMNS, "data": []}}, "dataframe_split.data has no rows"),
        (
            {"dataframe_split": {"columns": COLUMNS[:1] * 4, "data": ROWS}},
            "dataframe_split.columns names a column twice",
        ),
        ({"dataframe_records": {"a": 1}}, "dataframe_records must be a list of objects"),
        ({"dataframe_records": [{"sepal length": 1}]}, "dataframe_records lacks the columns sepal width, petal length"),
        ({"dataframe_records": [{name: [1] for name in COLUMNS}]}, "dataframe_records: row 0 must hold numbers"),
        ({"instances": "x"}, "instances must be a list of rows"),
        ({"instances": []}, "instances has no rows"),
        ({"instances": [[1, 2], [3]]}, "instances must be nested evenly"),
        ({"instances": [[1, 2, 3]]}, "instances must have the shape [rows, 4], has [1, 3]"),
        ({"instances": [None, "x"]}, "instances must hold numbers or texts"),
        ({"inputs": {"a": 1}}, "inputs must hold a list for each column"),
        ({"inputs": {"a": [1], "b": [1, 2]}}, "inputs has columns of different lengths"),
        ({"inputs": [[1, 2, 3, "x"]]}, "the model cannot take this input: could not convert string to float"),
        ({"inputs": [[1, 2, 3, 10**400]]}, "the model cannot take this input"),
    ],
)
def test_a_bad_json_body_is_refused_naming_what_is_wrong(iris: Any, value: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        ask(iris, value)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the body must start with a line of column names"),
        ("a,b,c,d\n", "the CSV body has no rows"),
        ("a,b\n1,2,3\n", "row 1 has 3 cells, the header 2"),
        ('a,b\n"1,2\n', "the body is not CSV"),
        ("a,b,c,d\n1,2,3,4\n", "the CSV body lacks the columns sepal length"),
    ],
)
def test_a_bad_csv_body_is_refused_naming_what_is_wrong(iris: Any, text: str, message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        ask(iris, text, "text/csv")
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json; charset=latin-1", "text/csv; header=no"])
def test_another_content_type_is_415(iris: Any, content_type: str) -> None:
    with pytest.raises(RequestError) as caught:
        ask(iris, {"inputs": ROWS}, content_type)
    assert caught.value.status == 415
