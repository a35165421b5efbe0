"""MLflow's python functions: run only when asked for by name, with the packages that they need, as MLflow runs them."""

import json
import pickle
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from perennial.agent import formats as recognised
from perennial.server import formats, inference, invocations
from perennial.server.errors import InvalidRequestError, ModelLoadError

ROWS, LABELS = load_iris(return_X_y=True)
FRAME = pd.DataFrame(ROWS, columns=["a", "b", "c", "d"])
Function = Callable[[Any], Any]


def saved(folder: Path, function: Function, signature: Any = None, requirements: list[str] | None = None) -> Path:
    class Model(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads such hints
            return function(model_input)

    needs = ["mlflow", *(requirements or ())]
    mlflow.pyfunc.save_model(folder, python_model=Model(), signature=signature, pip_requirements=needs)
    return folder


def columns(**kinds: DataType) -> ModelSignature:
    return ModelSignature(Schema([ColSpec(kind, name) for name, kind in kinds.items()]))


def invoke(model: Any, body: Any) -> Any:
    return json.loads(invocations.invoke(model, "application/json", json.dumps(body).encode()))["predictions"]


def test_a_function_over_named_columns_gets_a_frame_of_the_signatures_types(tmp_path: Path) -> None:
    signature = columns(
        age=DataType.long, size=DataType.double, part=DataType.float, few=DataType.integer, name=DataType.string,
        new=DataType.boolean, day=DataType.datetime,
    )  # fmt: skip
    folder = saved(tmp_path / "model", lambda frame: [str(kind) for kind in frame.dtypes], signature)
    row = {"age": 1, "size": 2, "part": 0.5, "few": 3, "name": "x", "new": True, "day": "2026-01-02", "other": 9}
    given = invoke(formats.load("mlflow-pyfunc", folder, ()), {"dataframe_records": [row]})
    assert given == ["int64", "float64", "float32", "int32", "str", "bool", "datetime64[ns]"]


def test_its_predictions_are_mlflows_own(tmp_path: Path) -> None:
    model, folder = LogisticRegression(max_iter=500).fit(FRAME, LABELS), tmp_path / "model"
    signature = mlflow.models.infer_signature(FRAME, model.predict(FRAME))
    mlflow.sklearn.save_model(
        model, folder, serialization_format="cloudpickle", signature=signature, pip_requirements=["mlflow"]
    )
    served: Any = formats.load("mlflow-pyfunc", folder, ())
    expected = mlflow.pyfunc.load_model(str(folder)).predict(FRAME).tolist()
    assert invoke(served, {"dataframe_split": {"columns": list("abcd"), "data": ROWS.tolist()}}) == expected
    tensors = [{"name": name, "shape": [150], "datatype": "FP64", "data": FRAME[name].tolist()} for name in "abcd"]
    answer = json.loads(inference.infer(served, "m", "1", json.dumps({"inputs": tensors}).encode()))["outputs"]
    assert answer == [{"name": "predict", "datatype": "INT64", "shape": [150], "data": expected}]
    about = inference.metadata(served, "m", "1", "mlflow-pyfunc")
    assert [tensor["name"] for tensor in about["inputs"]] == list("abcd")
    assert about["outputs"] == [{"name": "predict", "datatype": "INT64", "shape": [-1]}]


@pytest.mark.parametrize("signature", [None, ModelSignature(Schema([TensorSpec(np.dtype(np.float64), (-1, 2))]))])
def test_a_function_over_a_tensor_or_of_no_signature_gets_an_array(tmp_path: Path, signature: Any) -> None:
    folder = saved(tmp_path / "model", lambda array: [type(array).__name__, *array.sum(axis=1)], signature)
    served = formats.load("mlflow-pyfunc", folder, ())
    assert invoke(served, {"inputs": [[1.5, 2.0], [3.0, 4.0]]}) == ["ndarray", "3.5", "7.0"]


def test_numbers_become_those_of_the_signatures_tensor(tmp_path: Path) -> None:
    signature = ModelSignature(Schema([TensorSpec(np.dtype(np.float32), (-1, 2))]))
    served = formats.load("mlflow-pyfunc", saved(tmp_path / "model", lambda array: [str(array.dtype)], signature), ())
    assert invoke(served, {"inputs": [[1, 2]]}) == ["float32"]


def test_a_frame_that_it_returns_is_rows_of_values(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", lambda frame: frame[["a"]], columns(a=DataType.double))
    assert invoke(formats.load("mlflow-pyfunc", folder, ()), {"inputs": {"a": [1.0, 2.0]}}) == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"inputs": {"a": [1]}}, "inputs lacks the columns b"),
        (
            {"inputs": {"a": [1.5], "b": ["x"]}},
            "the model cannot take this input: Incompatible input types for column a",
        ),
        ({"inputs": {"a": [1], "b": [2]}}, "the model cannot take this input: Incompatible input types for column b"),
        ({"inputs": [[1]]}, "inputs must have the shape [rows, 2], has [1, 1]"),
    ],
)
def test_rows_that_do_not_fit_the_signature_are_refused_in_words(tmp_path: Path, body: Any, message: str) -> None:
    folder = saved(tmp_path / "model", lambda frame: frame["a"], columns(a=DataType.long, b=DataType.string))
    with pytest.raises(InvalidRequestError) as caught:
        invoke(formats.load("mlflow-pyfunc", folder, ()), body)
    assert caught.value.message.startswith(message)


def test_tensors_with_names_are_refused_when_loading(tmp_path: Path) -> None:
    signature = ModelSignature(Schema([TensorSpec(np.dtype(np.float64), (-1, 2), "x")]))
    folder = saved(tmp_path / "model", lambda tensors: tensors, signature)
    with pytest.raises(ModelLoadError, match="tensors with names: only columns or a single tensor are served"):
        formats.load("mlflow-pyfunc", folder, ())


class Harmful:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_what_the_image_lacks_is_named_before_any_code_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    folder = saved(
        tmp_path / "model", lambda rows: rows, None, ["no-such==1.2", "numpy", "gone>=3 ; python_version > '3'"]
    )
    (folder / "python_model.pkl").write_bytes(pickle.dumps(Harmful(mark)))
    with pytest.raises(ModelLoadError) as caught:
        formats.load("mlflow-pyfunc", folder, ())
    assert str(caught.value).startswith('the model needs no-such==1.2, gone>=3; python_version > "3", which this image')
    assert "an image made from this one" in str(caught.value)
    assert not mark.exists()


def test_lines_that_are_pips_own_name_no_package(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", lambda rows: rows[:, 0])
    lines = ["--index-url https://x", "# words", "", "mlflow", "gone ; python_version < '3'", "numpy # why", "./wheel"]
    (folder / "requirements.txt").write_text("\n".join(lines))
    assert invoke(formats.load("mlflow-pyfunc", folder, ()), {"inputs": [[1.0]]}) == [1.0]


def test_another_version_is_logged_and_the_model_served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = saved(tmp_path / "model", lambda rows: rows[:, 0], None, ["numpy==1.0"])
    assert invoke(formats.load("mlflow-pyfunc", folder, ()), {"inputs": [[1.0]]}) == [1.0]
    words = f"the model was logged with numpy==1.0, this image has {metadata.version('numpy')}"
    assert [record.getMessage() for record in caplog.records if record.name.startswith("perennial")] == [words]


def test_another_python_is_logged_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = saved(tmp_path / "model", lambda rows: rows[:, 0])
    about = yaml.safe_load((folder / "MLmodel").read_text())
    about["flavors"]["python_function"]["python_version"] = "3.9.1"
    (folder / "MLmodel").write_text(yaml.safe_dump(about))
    formats.load("mlflow-pyfunc", folder, ())
    words = f"the model was logged with Python 3.9.1, this image has {platform.python_version()}"
    assert words in [record.getMessage() for record in caplog.records]


class Exits:
    """Ends the program when it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit(3)",)


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps(Exits())])
def test_a_function_that_cannot_be_loaded_is_refused_with_its_cause(tmp_path: Path, content: bytes) -> None:
    folder = saved(tmp_path / "model", lambda rows: rows, None, ["numpy==1.0"])
    (folder / "python_model.pkl").write_bytes(content)
    with pytest.raises(
        ModelLoadError, match=r"the python function cannot be loaded: [A-Z]\w+: .*logged with numpy==1\.0"
    ):
        formats.load("mlflow-pyfunc", folder, ())


def test_without_mlflow_it_is_what_is_lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the bundled image, which has none of its packages."""
    folder = saved(tmp_path / "model", lambda rows: rows)
    version = metadata.version

    def without(name: str) -> str:
        if name.startswith("mlflow"):
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without)
    for lines in ("", "mlflow==3.0\nnumpy"):
        (folder / "requirements.txt").write_text(lines)
        with pytest.raises(ModelLoadError, match=f"the model needs {lines.partition(chr(10))[0] or 'mlflow'}, which"):
            formats.load("mlflow-pyfunc", folder, ())


def test_a_function_is_never_run_unless_asked_for_by_name(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    folder = saved(tmp_path / "model", lambda rows: rows)
    (folder / "python_model.pkl").write_bytes(pickle.dumps(Harmful(mark)))
    assert recognised.of_folder(folder, [path.name for path in folder.iterdir()]) == "mlflow"
    with pytest.raises(ModelLoadError, match="give it the format mlflow-pyfunc"):
        formats.load("mlflow", folder, ())
    assert not mark.exists()


def test_a_folder_of_another_flavor_is_no_function(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {sklearn: {}}")
    with pytest.raises(ModelLoadError, match="MLmodel has no flavor python_function"):
        formats.load("mlflow-pyfunc", tmp_path, ())
