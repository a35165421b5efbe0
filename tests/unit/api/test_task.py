import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from perennial.api import task
from perennial.api.task import Failure, Prepared, PrepareTask, PublishTask, Reason, Result

DIGEST = "sha256:" + "0" * 64
RESULT = {"uri": "s3://acme/m/1", "digest": DIGEST, "format": "sklearn", "metrics": {"accuracy": 0.9}}

anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from(sorted(RESULT)), inner),
    max_leaves=8,
)


@given(st.text() | st.text('{}[]":,0.9aeE-\\u') | anything.map(json.dumps))
@example("[" * 4096)
@example('{"a":' * 800)
@example('{"uri": "\\ud800"}')
@example("9" * 5000)
@example('{"error": {"reason": "X"')
def test_a_message_is_parsed_or_not_but_never_raises(text: str) -> None:
    assert isinstance(task.parse_result(text), Result | Failure | None)
    assert isinstance(task.parse_prepared(text), Prepared | Failure | None)


@given(st.dictionaries(st.sampled_from([*RESULT, "evaluation", "error"]), anything))
def test_what_looks_like_a_result_is_parsed_or_not_but_never_raises(body: dict[str, object]) -> None:
    assert isinstance(task.parse_result(json.dumps(RESULT | body)), Result | Failure | None)


names = st.from_regex(task.METRIC_NAME, fullmatch=True)


@given(st.dictionaries(names, st.floats(allow_nan=False, allow_infinity=False), max_size=32), st.text(max_size=253))
def test_a_result_survives_the_way(metrics: dict[str, float], evaluation: str) -> None:
    result = Result(uri="s3://acme/m", digest=DIGEST, format="onnx", metrics=metrics, evaluation=evaluation)
    assert task.parse_result(result.to_json()) == result


@given(st.text(max_size=4000))
def test_a_failure_survives_the_way_but_for_its_length(message: str) -> None:
    text = Failure(reason=Reason.NO_SPACE, message=message).to_json()
    assert len(text) <= task.MAX_FAILURE_LENGTH
    parsed = task.parse_result(text)
    assert isinstance(parsed, Failure)
    assert parsed.reason == "NoSpace"
    assert parsed.message == message or message.startswith(parsed.message.removesuffix("…"))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "Traceback (most recent call last):",
        "[]",
        "1",
        '{"level": "error", "msg": "x"}',
        '{"error": "boom"}',
        '{"uri": "s3',
    ],
)
def test_what_was_no_answer(text: str | None) -> None:
    assert task.parse_result(text) is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"uri": "s3://x"}, "digest: Field required"),
        (RESULT | {"digest": "sha256:abc"}, "digest: String should match pattern"),
        (RESULT | {"metrics": {"accuracy": "good"}}, "metrics.accuracy: Input should be a valid number"),
        (RESULT | {"metrics": {"accuracy": float("nan")}}, "metrics.accuracy: Input should be a finite number"),
        (RESULT | {"metrics": {f"m{i}": i for i in range(33)}}, "metrics: Dictionary should have at most 32 items"),
    ],
)
def test_a_result_that_is_wrong_is_a_failure_in_words(body: object, words: str) -> None:
    parsed = task.parse_result(json.dumps(body))
    assert isinstance(parsed, Failure)
    assert parsed.reason == Reason.MESSAGE_INVALID
    assert words in parsed.message


def test_unknown_fields_of_an_answer_are_left_alone() -> None:
    assert task.parse_result(json.dumps(RESULT | {"new": 1})) == Result(**RESULT)  # type: ignore[arg-type]


def test_what_was_prepared_is_read() -> None:
    assert task.parse_prepared(Prepared(inputs={"data": DIGEST}).to_json()) == Prepared(inputs={"data": DIGEST})


def test_tasks_are_written_in_camel_case() -> None:
    text = PublishTask(destination="s3://a/b", publish_deadline_seconds=3).to_json()
    assert json.loads(text) == {"destination": "s3://a/b", "publishDeadlineSeconds": 3}


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b", "ends-", "x" * 254])
def test_an_input_is_no_path(name: str) -> None:
    with pytest.raises(ValidationError):
        PrepareTask.model_validate({"inputs": [{"name": name, "uri": "s3://a/b"}]})
