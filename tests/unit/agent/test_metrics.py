import json
import os
from pathlib import Path

import pytest

from perennial.agent import metrics
from perennial.agent.failure import TaskFailed
from perennial.api.task import Reason


@pytest.mark.parametrize(
    ("text", "numbers", "evaluation"),
    [
        ("{}", {}, None),
        ('{"accuracy": 0.9}', {"accuracy": 0.9}, None),
        ('{"champion.accuracy": 1, "_x:y-z": -1e-9}', {"champion.accuracy": 1.0, "_x:y-z": -1e-9}, None),
        ('{"accuracy": 0.9, "evaluation": "digits, 2026-11"}', {"accuracy": 0.9}, "digits, 2026-11"),
        ('{"evaluation": null}', {}, None),
        (json.dumps({f"m{i}": i for i in range(32)}), {f"m{i}": float(i) for i in range(32)}, None),
        (json.dumps({"m" * 63: 1}), {"m" * 63: 1.0}, None),
    ],
)
def test_what_is_read(text: str, numbers: dict[str, float], evaluation: str | None) -> None:
    assert metrics.parse(text) == (numbers, evaluation)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("accuracy: 0.9", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[0.9]", "not a JSON object"),
        ("0.9", "not a JSON object"),
        ('{"accuracy": NaN}', "accuracy: expected a finite number, not nan"),
        ('{"loss": -Infinity}', "loss: expected a finite number, not -inf"),
        ('{"loss": 1e999}', "loss: expected a finite number, not inf"),
        ('{"n": 1' + "0" * 400 + "}", "n: expected a finite number, not inf"),
        ('{"accuracy": "0.9"}', 'accuracy: expected a number, not "0.9"'),
        ('{"good": true}', "good: expected a number, not true"),
        ('{"accuracy": null}', "accuracy: expected a number, not null"),
        ('{"per_class": {"a": 1}}', "per_class: expected a number, not"),
        ('{"evaluation": 3}', "evaluation: expected a string"),
        (json.dumps({"evaluation": "x" * 254}), "evaluation: expected a string of at most 253"),
        (json.dumps({f"m{i}": i for i in range(33)}), "33 metrics; at most 32"),
        (json.dumps({"m" * 64: 1}), "a name has at most 63"),
        ('{"": 1}', "a name has at most 63"),
        ('{"top\\n": 1}', "a name has at most 63"),
        ('{"top 5": 1}', "'top 5': a name has"),
    ],
)
def test_what_is_refused_and_in_which_words(text: str, words: str) -> None:
    with pytest.raises(TaskFailed, match=words.replace("(", r"\(")) as failed:
        metrics.parse(text)
    assert failed.value.reason == Reason.METRICS_INVALID


def test_no_file_is_no_metrics(tmp_path: Path) -> None:
    assert metrics.read(tmp_path / "metrics.json") == ({}, None)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text('{"accuracy": 0.5, "evaluation": "häute"}', "utf-8")
    assert metrics.read(path) == ({"accuracy": 0.5}, "häute")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "not a file"),
        (lambda path: os.mkfifo(path), "not a file"),
        (lambda path: path.symlink_to("gone"), "not a file"),
        (lambda path: path.write_bytes(b'{"a": "\xff"}'), "not UTF-8"),
        (lambda path: path.write_text(" " * 70_000 + "{}"), "more than 65536 bytes"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, make: object, words: str) -> None:
    make(tmp_path / "metrics.json")  # type: ignore[operator]
    with pytest.raises(TaskFailed, match=words):
        metrics.read(tmp_path / "metrics.json")
