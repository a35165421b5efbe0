from pathlib import Path
from typing import Any

import pytest

from perennial.agent import digest, fetch
from perennial.agent.failure import TaskFailed
from perennial.agent.layout import Layout
from perennial.api.task import Artifact, FetchTask, Reason


@pytest.mark.parametrize("uri", ["s3://acme/m", "s3://acme/m/", "pvc://claim/m"])
def test_a_model_is_brought_without_our_markers(layout: Layout, claim: Path, s3: Any, tmp_path: Path, uri: str) -> None:
    for name in ("model.skops", "sub/vocabulary", ".perennial/result.json"):
        s3.fs.pipe(f"acme/m/{name}", name.encode())
        (claim / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (claim / "m" / name).write_text(name)
    expected = digest.of_path(claim / "m")
    target = tmp_path / "model"
    fetch.run(FetchTask(model=Artifact(name="churn-3", uri=uri, digest=expected), target=str(target)), layout)
    assert sorted(digest.tree(target)) == ["model.skops", "sub/vocabulary"]
    assert not (target / ".perennial").exists()
    assert digest.of_path(target) == expected


@pytest.mark.parametrize(("path", "reason"), [("m", Reason.DIGEST_MISMATCH), ("gone", Reason.NOT_FOUND)])
def test_a_model_that_is_missing_or_another(
    layout: Layout, claim: Path, tmp_path: Path, path: str, reason: Reason
) -> None:
    (claim / "m").write_text("other")
    model = Artifact(name="churn-3", uri=f"pvc://claim/{path}", digest="sha256:" + "0" * 64)
    with pytest.raises(TaskFailed, match="the model churn-3") as failed:
        fetch.run(FetchTask(model=model, target=str(tmp_path / "model")), layout)
    assert failed.value.reason == reason
