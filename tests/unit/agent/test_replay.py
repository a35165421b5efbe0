import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.agent import digest, replay
from perennial.agent.failure import TaskFailed
from perennial.agent.layout import Layout
from perennial.agent.replay import Incomparable, difference, predictions
from perennial.api.task import Artifact, Reason, Replayed, ReplayTask
from tests.unit.agent.asked import Server, says


def replayed(layout: Layout, claim: Path, stable: Server, incoming: Server, *lines: Any) -> Replayed:
    (claim / "golden.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return replay.run(task(stable.url, incoming.url), layout)


def task(stable: str, incoming: str, **artifact: Any) -> ReplayTask:
    requests = Artifact(**{"name": "golden", "uri": "pvc://claim/golden.jsonl", **artifact})
    return ReplayTask(requests=requests, stable=stable, incoming=incoming)


def test_both_get_each_request_and_what_they_answer_is_compared(
    layout: Layout, claim: Path, serve: Callable[..., Server]
) -> None:
    one = serve(says(lambda body: {"predictions": body["inputs"]}))
    other = serve(says(lambda body: {"predictions": [value * 1.5 for value in body["inputs"]]}))
    lines = [{"inputs": [1.0, 2.0]}, {"inputs": [8.0]}, {"inputs": [-4.0]}]
    found = replayed(layout, claim, one, other, *lines)
    assert found == Replayed(requests=3, max_difference=4.0, mean_difference=(1 + 4 + 2) / 3, worst=2)
    by_text = functools.partial(sorted, key=str)
    assert by_text(one.asked) == by_text(other.asked) == by_text(lines)


def test_an_empty_line_is_no_request_and_lines_keep_their_numbers(
    layout: Layout, claim: Path, serve: Callable[..., Server]
) -> None:
    one, other = serve(says(lambda body: [body])), serve(says(lambda body: [body + 1 if body == 7 else body]))
    (claim / "golden.jsonl").write_text("1\n\n7\n")
    assert replay.run(task(one.url, other.url), layout).worst == 3


def test_labels_count_one_when_they_differ(layout: Layout, claim: Path, serve: Callable[..., Server]) -> None:
    one = serve(says(lambda body: {"predictions": ["cat"]}))
    other = serve(says(lambda body: {"predictions": ["cat" if body else "dog"]}))
    found = replayed(layout, claim, one, other, 0, 1, 2, 3)
    assert (found.max_difference, found.mean_difference, found.worst) == (1.0, 0.25, 1)


def test_what_only_the_new_one_refuses_fails_and_what_the_stable_one_refuses_is_left_out(
    layout: Layout, claim: Path, serve: Callable[..., Server]
) -> None:
    one = serve(lambda body: (400 if body == 1 else 200, b"[0]"))
    other = serve(lambda body: (500, b"no such column: age") if body in (1, 3) else (200, b"[0]"))
    found = replayed(layout, claim, one, other, 1, 2, 3)
    assert (found.requests, found.skipped, found.failed) == (1, 1, 1)
    assert found.failure == "line 3: answered 500: no such column: age"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'{"predictions": [1, 2]}', "line 1: answered something else: 2 values instead of 1"),
        (b'{"predictions": ["yes"]}', "line 1: answered something else: str instead of float"),
        (b'{"predictions": [NaN]}', "line 1: answered something else: nan instead of 1.0"),
        (b'{"error": "?"}', "line 1: answered something else: dict instead of list"),
        (b"<html>", "line 1: answered no JSON"),
    ],
)
def test_an_answer_of_another_shape_fails(
    layout: Layout, claim: Path, serve: Callable[..., Server], answer: bytes, words: str
) -> None:
    one, other = serve(says(lambda _: {"predictions": [1]})), serve(lambda _: (200, answer))
    found = replayed(layout, claim, one, other, {})
    assert (found.failed, found.failure) == (1, words)
    assert found.max_difference is None


def test_nobody_else_is_asked(layout: Layout, claim: Path, serve: Callable[..., Server]) -> None:
    elsewhere = serve(says(lambda _: [1]))
    one, other = serve(says(lambda _: [1])), serve(lambda _: (307, b""), redirects=elsewhere.url)
    assert replayed(layout, claim, one, other, {}).failed == 1
    assert not elsewhere.asked


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_not_there_is_waited_for_and_then_told_of(
    layout: Layout, claim: Path, serve: Callable[..., Server]
) -> None:
    (claim / "golden.jsonl").write_text("1")
    with pytest.raises(TaskFailed, match=r"http://127.0.0.1:1/ does not answer") as failed:
        replay.run(task(serve(says(lambda _: 1)).url, "http://127.0.0.1:1/"), layout)
    assert failed.value.reason == Reason.SERVER_UNAVAILABLE


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        (None, Reason.INPUT_NOT_FOUND, "the requests: "),
        ("\n\n", Reason.REQUESTS_INVALID, "there is no request in it"),
        ('{"a": 1}\n{"a": ', Reason.REQUESTS_INVALID, "line 2 is no JSON"),
    ],
)
def test_requests_that_cannot_be_sent(
    layout: Layout, claim: Path, text: str | None, reason: Reason, words: str
) -> None:
    if text is not None:
        (claim / "golden.jsonl").write_text(text)
    with pytest.raises(TaskFailed, match=words) as failed:
        replay.run(task("http://127.0.0.1:1/", "http://127.0.0.1:1/"), layout)
    assert failed.value.reason == reason


def test_other_requests_than_those_that_were_meant(layout: Layout, claim: Path) -> None:
    (claim / "golden.jsonl").write_text("1")
    wrong = task("http://127.0.0.1:1/", "http://127.0.0.1:1/", digest="sha256:" + "0" * 64)
    with pytest.raises(TaskFailed, match="the requests") as failed:
        replay.run(wrong, layout)
    assert failed.value.reason == Reason.DIGEST_MISMATCH
    right = digest.of_path(claim / "golden.jsonl")
    assert right != wrong.requests.digest


def test_a_folder_of_several_files_is_no_file_of_requests(layout: Layout, claim: Path) -> None:
    (claim / "golden").mkdir()
    for name in "ab":
        (claim / "golden" / name).write_text("1")
    with pytest.raises(TaskFailed, match="2 files lie there; one is wanted"):
        replay.run(task("http://127.0.0.1:1/", "http://127.0.0.1:1/", uri="pvc://claim/golden"), layout)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"predictions": [1], "model_version": "3"}, [1]),
        ({"outputs": [{"name": "p", "data": [1]}], "model_version": "3"}, [[1]]),
        ({"score": 1}, {"score": 1}),
        ([1], [1]),
    ],
)
def test_what_a_server_says_of_itself_is_left_out(body: Any, found: Any) -> None:
    assert predictions(body) == found


json_values = st.recursive(
    st.none() | st.booleans() | st.text(max_size=3) | st.floats(allow_nan=False, allow_infinity=False),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=2), values, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_the_same_answer_is_not_apart(value: Any) -> None:
    assert difference(value, value) == 0


@given(json_values, json_values)
def test_a_difference_is_the_same_from_both_sides_and_finite(one: Any, other: Any) -> None:
    try:
        found = difference(one, other)
    except Incomparable:
        with pytest.raises(Incomparable):
            difference(other, one)
    else:
        assert found == difference(other, one)
        assert 0 <= found < math.inf
