import json
from pathlib import Path
from typing import Any

import pytest

from perennial.agent import recover
from perennial.agent.failure import TaskFailed
from perennial.agent.layout import Layout
from perennial.api.task import Reason, RecoverTask, Result

RESULT = Result(uri="s3://acme/churn/uid/a", digest="sha256:" + "0" * 64, format="sklearn", metrics={"accuracy": 0.9})


def marker(result: Result, at: str) -> bytes:
    return json.dumps(json.loads(result.to_json()) | {"attempt": "a", "publishedAt": at}).encode()


def test_the_newest_result_is_found(layout: Layout, s3: Any) -> None:
    newest = RESULT.model_copy(update={"uri": "s3://acme/churn/uid/b"})
    s3.fs.pipe(
        {
            "acme/churn/uid/a/.perennial/result.json": marker(RESULT, "2026-11-20T10:00:00+00:00"),
            "acme/churn/uid/a/model.skops": b"weights",
            "acme/churn/uid/b/.perennial/result.json": marker(newest, "2026-11-20T11:00:00.5+00:00"),
            "acme/churn/uid/c/model.skops": b"half",
            "acme/churn/uid/d/.perennial/attempt.json": b"{}",
            "acme/churn/uid/e/.perennial/result.json": b"not ours",
            "acme/churn/uid-other/f/.perennial/result.json": marker(RESULT, "2026-11-20T12:00:00+00:00"),
        }
    )
    assert recover.run(RecoverTask(destination="s3://acme/churn/uid"), layout) == newest


@pytest.mark.parametrize("destination", ["s3://acme/churn/uid", "pvc://claim/churn/uid"])
def test_nothing_was_published(layout: Layout, s3: Any, destination: str) -> None:
    with pytest.raises(TaskFailed, match="no attempt of this training") as failed:
        recover.run(RecoverTask(destination=destination), layout)
    assert failed.value.reason == Reason.NOT_FOUND


def test_on_a_claim(layout: Layout, claim: Path) -> None:
    path = claim / "churn/uid/a/.perennial/result.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(marker(RESULT, "2026-11-20T10:00:00+00:00"))
    assert recover.run(RecoverTask(destination="pvc://claim/churn/uid"), layout) == RESULT
