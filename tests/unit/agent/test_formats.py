import pytest

from perennial.agent import formats


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"MLmodel": "", "model.pkl": "", "conda.yaml": ""}, "mlflow"),
        ({"model.skops": ""}, "sklearn"),
        ({"model.skops": "", "model.pkl": ""}, "sklearn"),
        ({"net.onnx": "", "labels.txt": ""}, "onnx"),
        ({"model.ubj": ""}, "xgboost"),
        ({"model.json": '{"learner":{"attributes"'}, "xgboost"),
        ({"model.json": ' {\n "learner" : {'}, "xgboost"),
        ({"model.json": '{"layers": []}'}, "files"),
        ({"pipeline.pkl": ""}, "files"),
        ({"pipeline.pickle": ""}, "files"),
        ({"pipeline.joblib": ""}, "files"),
        ({"weights.bin": ""}, "files"),
        ({"old/model.skops": "", "weights.bin": ""}, "files"),
    ],
)
def test_detect(files: dict[str, str], expected: str) -> None:
    assert formats.detect(files, lambda name: files[name].encode()) == expected
