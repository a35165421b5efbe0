"""ONNX files: inputs and outputs as the graph declares them, and what the runtime itself computes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from perennial.agent import formats as recognised
from perennial.server import formats, inference, invocations
from perennial.server.errors import InvalidRequestError, ModelLoadError
from perennial.server.formats.onnx_file import OnnxModel, load
from perennial.server.tensors import DTYPES, encode_tensor
from tests.unit.server.graphs import graph, value, weighing

ROWS, LABELS = load_iris(return_X_y=True)
NAMES = load_iris().target_names
KINDS = {
    TensorProto.BOOL: "BOOL",
    TensorProto.INT8: "INT8",
    TensorProto.INT64: "INT64",
    TensorProto.UINT8: "UINT8",
    TensorProto.FLOAT16: "FP16",
    TensorProto.FLOAT: "FP32",
    TensorProto.DOUBLE: "FP64",
    TensorProto.STRING: "BYTES",
}


@pytest.fixture
def two(tmp_path: Path) -> OnnxModel:
    return load(weighing(tmp_path), ())


def tensor(name: str, array: Any, datatype: str = "FP32") -> dict[str, Any]:
    return {"name": name, "shape": list(np.shape(array)), "datatype": datatype, "data": np.asarray(array).tolist()}


TABLE, WEIGHT = tensor("table", [[1, 2], [3, 4]]), tensor("weight", [[10], [100]])


def ask(model: OnnxModel, *inputs: Any, **more: Any) -> Any:
    body = json.dumps({"inputs": list(inputs), **more}).encode()
    return json.loads(inference.infer(model, "m", "1", body))["outputs"]


def invoke(model: OnnxModel, body: Any, content_type: str = "application/json") -> Any:
    data = body if isinstance(body, str) else json.dumps(body)
    return json.loads(invocations.invoke(model, content_type, data.encode()))["predictions"]


@pytest.fixture(scope="module")
def classifier() -> LogisticRegression:
    return LogisticRegression(max_iter=500).fit(ROWS, NAMES[LABELS])


@pytest.mark.parametrize("options", [{}, {"zipmap": False}])
def test_an_exported_classifier_predicts_as_the_original_does(
    tmp_path: Path, classifier: Any, options: dict[str, Any]
) -> None:
    exported = to_onnx(classifier, ROWS[:1].astype(np.float32), options={id(classifier): options})
    (tmp_path / "iris.onnx").write_bytes(exported.SerializeToString())
    assert recognised.of_folder(tmp_path, ["iris.onnx"]) == "onnx"
    model = formats.load("onnx", tmp_path, ())
    assert isinstance(model, OnnxModel)
    labels, probabilities = ask(model, tensor("X", ROWS.astype(np.float32)))
    assert (labels["datatype"], labels["data"]) == ("BYTES", classifier.predict(ROWS).tolist())
    assert (probabilities["datatype"], probabilities["shape"]) == ("FP32", [150, 3])
    given = np.reshape(probabilities["data"], (150, 3))
    np.testing.assert_allclose(given, classifier.predict_proba(ROWS), atol=1e-5)
    assert invoke(model, {"inputs": ROWS[:3].tolist()})[model.outputs[0].name] == ["setosa"] * 3


def test_inputs_are_found_by_name_and_all_outputs_given(two: OnnxModel) -> None:
    product, size = ask(two, WEIGHT, TABLE)
    assert product == {"name": "product", "datatype": "FP32", "shape": [2, 2], "data": [10, 20, 300, 400]}
    assert size == {"name": "size", "datatype": "INT64", "shape": [], "data": [4]}


def test_only_the_outputs_asked_for_are_given_in_their_order(two: OnnxModel) -> None:
    given = ask(two, TABLE, WEIGHT, outputs=[{"name": "size"}, {"name": "product"}])
    assert [output["name"] for output in given] == ["size", "product"]
    assert [output["name"] for output in ask(two, TABLE, WEIGHT, outputs=[{"name": "size"}])] == ["size"]


def test_metadata_is_what_the_graph_declares(two: OnnxModel) -> None:
    about = inference.metadata(two, "m", "1", "onnx")
    assert about["inputs"] == [
        {"name": "table", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "weight", "datatype": "FP32", "shape": [-1, 1]},
    ]
    assert about["outputs"] == [
        {"name": "product", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "size", "datatype": "INT64", "shape": []},
    ]


@pytest.mark.parametrize(("kind", "datatype"), KINDS.items())
def test_each_datatype_comes_back_as_it_was_sent(tmp_path: Path, kind: int, datatype: str) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    model = load(graph(tmp_path, [node], [value("x", kind, ("n",))], [value("y", kind, ("n",))]), ())
    sent = encode_tensor("x", np.array(["a", "é"] if datatype == "BYTES" else [0, 1], dtype=DTYPES[datatype]))
    assert ask(model, sent) == [{**sent, "name": "y"}]


def test_an_image_has_four_dimensions(tmp_path: Path) -> None:
    node = helper.make_node("GlobalAveragePool", ["image"], ["mean"])
    shape = ("n", 3, "height", "width")
    model = load(graph(tmp_path, [node], [value("image", shape=shape)], [value("mean", shape=None)]), ())
    image = np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4)
    assert ask(model, tensor("image", image))[0]["data"] == image.mean((2, 3)).ravel().tolist()
    assert np.ravel(invoke(model, {"inputs": image.tolist()})).tolist() == image.mean((2, 3)).ravel().tolist()
    with pytest.raises(
        InvalidRequestError, match=r"inputs\[0\] must have the shape \[-1, 3, -1, -1\], has \[1, 1, 4, 4\]"
    ):
        ask(model, tensor("image", image[:, :1]))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "inputs must be a list of at least one tensor"),
        ([TABLE], "inputs lacks the model's inputs weight"),
        ([TABLE, WEIGHT, tensor("c", [1])], "inputs[2].name: the model has no input 'c', it has ['table', 'weight']"),
        ([TABLE, WEIGHT, TABLE], "inputs[2].name: table is given twice"),
        ([tensor("table", [[1, 2]], "FP64"), WEIGHT], "inputs[0].datatype must be FP32, as the model has it, is FP64"),
        ([tensor("table", [[1, 2, 3]]), WEIGHT], "inputs[0] must have the shape [-1, 2], has [1, 3]"),
        ([tensor("table", [1, 2]), WEIGHT], "inputs[0] must have the shape [-1, 2], has [2]"),
        ([{**TABLE, "shape": [0, 2], "data": []}, WEIGHT], "inputs[0] has no values"),
        ([{**TABLE, "data": [[1, 2], [3, "x"]]}, WEIGHT], "inputs[0].data must hold FP32 values only"),
        ([TABLE, tensor("weight", [[1], [2], [3]])], "the model cannot take this input: Non-zero status code returned"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_naming_the_field(two: OnnxModel, inputs: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        ask(two, *inputs)
    assert caught.value.message.startswith(message)


def test_what_goes_wrong_is_not_written_between_the_logs(two: OnnxModel, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidRequestError):
        ask(two, TABLE, tensor("weight", [[1], [2], [3]]))
    assert capfd.readouterr().err == ""


PRODUCT = {"product": [[10, 20], [300, 400]], "size": 4}


def test_an_invocation_names_its_tensors_and_is_answered_by_name(two: OnnxModel) -> None:
    assert invoke(two, {"inputs": {"table": [[1, 2], [3, 4]], "weight": [[10], [100]]}}) == PRODUCT


@pytest.fixture
def columns(tmp_path: Path) -> OnnxModel:
    """Each column is an input of its own: what exporters make of a data frame."""
    nodes = [
        helper.make_node("Cast", ["age"], ["years"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["years", "income"], ["score"]),
    ]
    inputs = [value("age", TensorProto.INT64, (None, 1)), value("income", shape=(None, 1))]
    return load(graph(tmp_path, nodes, inputs, [value("score", shape=(None, 1))]), ())


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ({"dataframe_split": {"columns": ["income", "age"], "data": [[0.5, 30], [1.5, 40]]}}, "application/json"),
        ({"dataframe_records": [{"age": 30, "income": 0.5}, {"age": 40, "income": 1.5}]}, "application/json"),
        ({"inputs": {"age": [[30], [40]], "income": [[0.5], [1.5]]}}, "application/json"),
        ("age,other,income\n30,x,0.5\n40,y,1.5\n", "text/csv"),
    ],
)
def test_columns_of_a_table_are_the_inputs_of_their_names(columns: OnnxModel, body: Any, content_type: str) -> None:
    assert invoke(columns, body, content_type) == [[15.0], [60.0]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"inputs": {"age": [[30]]}}, "inputs lacks the model's inputs income"),
        ({"inputs": {"age": 30, "income": [[1]]}}, "inputs.age must be a list"),
        ({"inputs": {"age": [[1.5]], "income": [[1]]}}, "inputs.age must hold INT64 values only"),
        ({"inputs": [[30, 0.5]]}, "inputs lacks the columns age, income"),
        ({"dataframe_records": [{"age": 30}]}, "dataframe_records lacks the columns income"),
        ({"dataframe_records": [{"age": 1.5, "income": 1}]}, "dataframe_records: column age must hold INT64 values"),
        ({"dataframe_records": [{"age": "x", "income": 1}]}, "dataframe_records: column age must hold INT64 values"),
        ({"dataframe_records": [{"age": None, "income": 1}]}, "dataframe_records: column age must hold INT64 values"),
        ({"inputs": {"age": [[1]], "income": [[1]]}, "instances": []}, "the body must have exactly one of the fields"),
    ],
)
def test_an_invocation_that_does_not_fit_is_refused_naming_the_field(
    columns: OnnxModel, body: Any, message: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        invoke(columns, body)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("content", [b"garbage", b"", b"\x08\x09"])
def test_a_damaged_file_is_named_with_its_cause(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ModelLoadError, match=r"^model\.onnx cannot be loaded: ONNX Runtime 1\.\S+: [A-Z]"):
        load(tmp_path, ())


def test_a_file_cut_short_is_refused(tmp_path: Path, two: OnnxModel) -> None:
    content = (tmp_path / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelLoadError, match=r"model\.onnx cannot be loaded"):
        load(tmp_path, ())


def test_a_graph_newer_than_the_runtime_is_refused(tmp_path: Path) -> None:
    made = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "made", [value("x")], [value("y")])
    newer = helper.make_model(made, opset_imports=[helper.make_opsetid("", 99)], ir_version=9)
    (tmp_path / "model.onnx").write_bytes(newer.SerializeToString())
    with pytest.raises(ModelLoadError, match=r"model\.onnx cannot be loaded: .*is till opset"):
        load(tmp_path, ())


def test_a_kind_of_tensor_that_the_protocol_does_not_have_is_refused_by_name(tmp_path: Path) -> None:
    kind = TensorProto.BFLOAT16
    folder = graph(tmp_path, [helper.make_node("Identity", ["x"], ["y"])], [value("x", kind)], [value("y", kind)])
    with pytest.raises(ModelLoadError, match=r"x is a tensor\(bfloat16\), which cannot be told"):
        load(folder, ())


@pytest.mark.parametrize("place", ["weights.bin", "../outside.bin"])
def test_weights_are_read_from_the_models_own_folder_only(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / place).write_bytes(np.array([2, 3], np.float32).tobytes())
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=place)
    made = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])], "made", [value("x")], [value("y")], [weights]
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    if place == "weights.bin":
        assert ask(load(folder, ()), tensor("x", [[1, 1]]))[0]["data"] == [2, 3]
    else:
        with pytest.raises(ModelLoadError, match="outside"):
            load(folder, ())


def test_the_runtime_leaves_nothing_behind_and_tells_nobody(tmp_path: Path, two: OnnxModel) -> None:
    """Its official builds make an identifier of the device and a database of events to send, unless told not to."""
    home = tmp_path / "home"
    home.mkdir()
    program = "import sys; from pathlib import Path; from perennial.server import formats; "
    program += "formats.load('onnx', Path(sys.argv[1]), ())"
    # Where CI is said, or a test, it does not report in any case.
    env = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH")} | {"HOME": str(home)}
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=env, check=True, timeout=60)
    assert list(home.rglob("*")) == []
