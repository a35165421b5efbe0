"""The endpoints of a real server over HTTP: what it answers, with which headers, and what it counts."""

import http.client
import json
import statistics
import time
from typing import Any

import pytest
from sklearn.datasets import load_iris

ROWS = load_iris().data[::50].tolist()
FLOWERS = ["setosa", "versicolor", "virginica"]
MATRIX = {"name": "x", "shape": [3, 4], "datatype": "FP64", "data": ROWS}
INFER = "/v2/models/iris/infer"
HEADER = "sepal length,sepal width,petal length,petal width"
JSON_TYPE = {"Content-Type": "application/json"}


@pytest.mark.parametrize("path", [INFER, "/v2/models/iris/versions/3/infer"])
def test_infer_answers_and_names_revision_and_version(iris_server: Any, path: str) -> None:
    answer = iris_server.request("POST", path, {"id": "7", "inputs": [MATRIX]})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert (answer.headers["Perennial-Revision"], answer.headers["Perennial-Model-Version"]) == ("r-1", "3")
    assert answer.json["outputs"][0]["data"] == FLOWERS
    assert (answer.json["model_name"], answer.json["model_version"], answer.json["id"]) == ("iris", "3", "7")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (json.dumps({"inputs": ROWS}), "application/json"),
        ("\n".join([HEADER, *(",".join(map(str, row)) for row in ROWS)]), "text/csv"),
    ],
)
def test_invocations_answer_and_name_revision_and_version(iris_server: Any, body: str, content_type: str) -> None:
    answer = iris_server.request("POST", "/invocations", body, {"Content-Type": content_type})
    assert (answer.status, answer.json) == (200, {"predictions": FLOWERS})
    assert (answer.headers["Perennial-Revision"], answer.headers["Perennial-Model-Version"]) == ("r-1", "3")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/iris/ready", {"name": "iris", "ready": True}),
        ("/v2/models/iris/versions/3/ready", {"name": "iris", "ready": True}),
    ],
)
def test_health_is_told_in_json(iris_server: Any, path: str, expected: Any) -> None:
    answer = iris_server.request("GET", path)
    assert (answer.status, answer.json) == (200, expected)


@pytest.mark.parametrize("path", ["/ping", "/health"])
def test_mlflows_health_endpoints_answer(iris_server: Any, path: str) -> None:
    assert iris_server.request("GET", path).status == 200


def test_server_and_model_describe_themselves(iris_server: Any) -> None:
    assert iris_server.request("GET", "/v2").json["name"] == "perennial"
    for path in ("/v2/models/iris", "/v2/models/iris/versions/3"):
        model = iris_server.request("GET", path).json
        assert (model["name"], model["versions"], model["platform"]) == ("iris", ["3"], "sklearn")
        assert len(model["inputs"]) == 4


BIG = json.dumps({"inputs": [MATRIX], "parameters": {"x": "y" * 20_000}})


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "error"),
    [
        ("POST", INFER, "{", {}, 400, "the body is not JSON"),
        ("POST", INFER, "", {}, 400, "the body is not JSON"),
        ("POST", INFER, {"inputs": []}, {}, 400, "inputs must be a list"),
        ("POST", INFER, {"inputs": [{**MATRIX, "shape": [4]}]}, {}, 400, "inputs[0].data has the shape [3, 4]"),
        ("POST", INFER, {"inputs": [{**MATRIX, "datatype": "FP8"}]}, {}, 400, "inputs[0].datatype must be one of"),
        ("POST", INFER, {"inputs": [MATRIX], "outputs": [{"name": "score"}]}, {}, 400, "outputs[0].name"),
        ("POST", INFER, b"\0\0", {"Inference-Header-Content-Length": "2"}, 400, "Inference-Header-Content-Length"),
        ("POST", INFER, b"\x1f\x8b", {"Content-Encoding": "gzip"}, 415, "Content-Encoding"),
        ("POST", INFER, BIG, {}, 413, "the body may have 20000 bytes at most"),
        ("POST", "/v2/models/rose/infer", {"inputs": [MATRIX]}, {}, 404, "there is no model 'rose' here"),
        ("POST", "/v2/models/iris/versions/9/infer", {"inputs": [MATRIX]}, {}, 404, "there is no version '9' of iris"),
        ("GET", "/v2/models/rose", None, {}, 404, "there is no model 'rose'"),
        ("GET", "/v2/models/rose/ready", None, {}, 404, "there is no model 'rose'"),
        ("GET", "/v2/models/iris/versions/x", None, {}, 404, "there is no version 'x'"),
        ("GET", "/v2/nothing", None, {}, 404, "GET /v2/nothing: Not Found"),
        ("GET", INFER, None, {}, 405, "GET /v2/models/iris/infer: Method Not Allowed"),
        ("POST", "/v2", "{}", {}, 405, "POST /v2: Method Not Allowed"),
    ],
)
def test_a_bad_request_is_told_as_the_protocol_says(
    iris_server: Any, method: str, path: str, body: Any, headers: Any, status: int, error: str
) -> None:
    answer = iris_server.request(method, path, body, headers)
    assert answer.status == status
    assert list(answer.json) == ["error"]
    assert answer.json["error"].startswith(error)
    assert (answer.headers["Perennial-Revision"], answer.headers["Perennial-Model-Version"]) == ("r-1", "3")


@pytest.mark.parametrize(
    ("body", "headers", "status", "code", "message"),
    [
        ("{", JSON_TYPE, 400, "BAD_REQUEST", "the body is not JSON"),
        ({"rows": []}, JSON_TYPE, 400, "BAD_REQUEST", "the body must have exactly one of the fields"),
        ({"inputs": [[1]]}, JSON_TYPE, 400, "BAD_REQUEST", "inputs must have the shape [rows, 4]"),
        ("a\n1\n", {"Content-Type": "text/csv"}, 400, "BAD_REQUEST", "the CSV body lacks the columns"),
        ({"inputs": ROWS}, {"Content-Type": "text/plain"}, 415, "BAD_REQUEST", "the content type must be"),
        ({"inputs": ROWS}, {}, 415, "BAD_REQUEST", "the content type must be"),
        (BIG, JSON_TYPE, 413, "BAD_REQUEST", "the body may have"),
    ],
)
def test_a_bad_invocation_is_told_as_mlflow_does(
    iris_server: Any, body: Any, headers: Any, status: int, code: str, message: str
) -> None:
    answer = iris_server.request("POST", "/invocations", body, headers)
    assert (answer.status, answer.json["error_code"]) == (status, code)
    assert answer.json["message"].startswith(message)
    assert answer.headers["Perennial-Revision"] == "r-1"


def test_a_kept_connection_is_answered_without_delay(iris_server: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", iris_server.port, timeout=10)
    seconds = []
    for _ in range(30):
        began = time.perf_counter()
        connection.request("POST", INFER, json.dumps({"inputs": [MATRIX]}))
        connection.getresponse().read()
        seconds.append(time.perf_counter() - began)
    connection.close()
    assert statistics.median(seconds) < 0.03


def test_a_body_of_unsaid_length_is_bounded_too(iris_server: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", iris_server.port, timeout=10)
    connection.request(
        "POST", INFER, body=iter([b"x" * 1000] * 30), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
    )
    assert connection.getresponse().status == 413
    connection.close()


def test_a_refused_request_leaves_the_connection_usable(iris_server: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", iris_server.port, timeout=10)
    for body, status in ((BIG, 413), ("{", 400), (json.dumps({"inputs": [MATRIX]}), 200)):
        connection.request("POST", INFER, body)
        response = connection.getresponse()
        response.read()
        assert (response.status, response.getheader("Connection")) == (status, None)
    connection.close()


def counted(server: Any, sample: str) -> float:
    lines = server.request("GET", "/metrics").body.decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(sample + " ")), 0.0)


def test_metrics_count_predictions_by_what_is_served_and_no_probes(iris_server: Any) -> None:
    labels = 'deployment="garden",endpoint="infer",model="iris",revision="r-1",version="3"'
    good = f'perennial_server_requests_total{{code="200",{labels}}}'
    bad = f'perennial_server_requests_total{{code="400",{labels}}}'
    reason = "perennial_server_errors_total{" + labels.replace("revision", 'reason="InvalidRequest",revision') + "}"
    duration = f"perennial_server_request_duration_seconds_count{{{labels}}}"
    samples = (good, bad, reason, duration)
    before = [counted(iris_server, sample) for sample in samples]
    for body in ({"inputs": [MATRIX]}, {"inputs": [MATRIX]}, {}):
        iris_server.request("POST", INFER, body)
    iris_server.request("GET", "/v2/health/ready")
    after = [counted(iris_server, sample) for sample in samples]
    assert [b - a for a, b in zip(before, after, strict=True)] == [2, 1, 1, 3]
    what = 'deployment="garden",model="iris",revision="r-1",version="3"'
    assert counted(iris_server, f"perennial_server_model_loaded{{{what}}}") == 1
    assert counted(iris_server, f"perennial_server_predictions_in_flight{{{what}}}") == 0
    assert counted(iris_server, "process_resident_memory_bytes") > 1e6


def test_logs_are_json_lines_keyed_by_deployment_and_revision(iris_server: Any) -> None:
    iris_server.request("GET", "/v2?marked")
    entry = iris_server.logged("request")
    assert {"method", "path", "status", "seconds", "time", "level"} <= set(entry)
    assert all((line["deployment"], line["revision"]) == ("garden", "r-1") for line in iris_server.logs)
    assert [line for line in iris_server.logs if line["level"] != "info"] == []
