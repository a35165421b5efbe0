"""Whatever JSON is sent, both protocols answer it or refuse it: no body is the server's own failure."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from perennial.server.errors import RequestError
from perennial.server.formats.onnx_file import OnnxModel, load
from perennial.server.formats.sklearn_model import SklearnModel
from perennial.server.inference import infer
from perennial.server.invocations import invoke
from tests.unit.server.graphs import graph, value

NAMES = st.sampled_from(["sepal length", "sepal width", "petal length", "petal width", "x", ""])
INPUTS = st.sampled_from(["table", "count", "text"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
ANY = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=16
)
ROWS = st.lists(st.lists(SCALARS, min_size=4, max_size=4), max_size=3)
TENSORS = st.fixed_dictionaries(
    {"name": NAMES, "shape": st.lists(st.integers(-1, 4), max_size=3) | ANY, "data": ROWS | ANY},
    optional={"datatype": st.sampled_from(["FP64", "FP32", "INT64", "BOOL", "BYTES"]) | ANY, "parameters": ANY},
)
REQUESTS = st.fixed_dictionaries(
    {"inputs": st.lists(TENSORS, max_size=4) | ANY}, optional={"outputs": ANY, "id": ANY, "parameters": ANY}
)
TABLES = st.fixed_dictionaries({"data": ROWS | ANY}, optional={"columns": st.lists(NAMES, max_size=5) | ANY})
FORMS = st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs"])
SLOW_IS_FINE = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None
)


def outcome(answer: Any) -> Any:
    """The JSON answered, or the HTTP status of the refusal."""
    try:
        return json.loads(answer())
    except RequestError as error:
        return error.status


@SLOW_IS_FINE
@given(body=REQUESTS | ANY)
def test_infer_answers_or_refuses(iris: Any, body: Any) -> None:
    result = outcome(lambda: infer(SklearnModel(iris), "iris", "3", json.dumps(body).encode()))
    assert result == 400 or result["model_name"] == "iris"


@SLOW_IS_FINE
@given(body=st.dictionaries(FORMS, ROWS | TABLES | ANY, min_size=1, max_size=1) | ANY)
def test_invocations_answer_or_refuse_json(iris: Any, body: Any) -> None:
    result = outcome(lambda: invoke(SklearnModel(iris), "application/json", json.dumps(body).encode()))
    assert result == 400 or "predictions" in result


@SLOW_IS_FINE
@given(body=st.binary(max_size=60) | st.text('ab,"\n1.5é', max_size=60).map(str.encode))
def test_invocations_answer_or_refuse_csv(iris: Any, body: bytes) -> None:
    result = outcome(lambda: invoke(SklearnModel(iris), "text/csv", body))
    assert result == 400 or "predictions" in result


@pytest.fixture(scope="module")
def tensors(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    """A model of three inputs, each of another datatype and rank."""
    declared = [
        ("table", TensorProto.FLOAT, ["n", 4]),
        ("count", TensorProto.INT64, []),
        ("text", TensorProto.STRING, ["n"]),
    ]
    nodes = [helper.make_node("Identity", [name], [f"same {name}"]) for name, *_ in declared]
    inputs, outputs = ([value(before + name, *about) for name, *about in declared] for before in ("", "same "))
    return load(graph(tmp_path_factory.mktemp("tensors"), nodes, inputs, outputs), ())


def a_tensor(name: str, datatype: str, shapes: Any, data: Any) -> Any:
    datatypes = st.just(datatype) | st.sampled_from(["FP64", "BYTES"])
    return st.fixed_dictionaries({"name": st.just(name) | INPUTS, "datatype": datatypes, "shape": shapes, "data": data})


TENSOR_REQUESTS = st.tuples(
    a_tensor(
        "table", "FP32", st.just([1, 4]) | ANY, st.lists(st.floats(width=32), min_size=4, max_size=4) | ROWS | ANY
    ),
    a_tensor("count", "INT64", st.just([1]) | ANY, st.lists(st.integers(), max_size=2) | ANY),
    a_tensor("text", "BYTES", st.just([1]) | ANY, st.lists(st.text(max_size=3), max_size=2) | ANY),
)


@SLOW_IS_FINE
@given(inputs=TENSOR_REQUESTS | st.lists(TENSORS, max_size=3), outputs=st.none() | ANY)
def test_tensors_are_answered_or_refused(tensors: OnnxModel, inputs: Any, outputs: Any) -> None:
    result = outcome(lambda: infer(tensors, "m", "1", json.dumps({"inputs": inputs, "outputs": outputs}).encode()))
    assert result == 400 or result["model_name"] == "m"


@SLOW_IS_FINE
@given(
    values=st.dictionaries(INPUTS, ROWS | st.lists(SCALARS, max_size=4) | ANY), form=FORMS, other=ROWS | TABLES | ANY
)
def test_invocations_of_tensors_are_answered_or_refused(tensors: OnnxModel, values: Any, form: str, other: Any) -> None:
    for body in ({"inputs": values}, {form: [values]}, {form: other}):
        result = outcome(lambda body=body: invoke(tensors, "application/json", json.dumps(body).encode()))
        assert result == 400 or "predictions" in result
