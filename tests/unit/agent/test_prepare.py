import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from perennial.agent import digest, prepare
from perennial.agent.failure import TaskFailed
from perennial.agent.layout import Layout
from perennial.api.task import MAX_MESSAGE_BYTES, Artifact, Prepared, PrepareTask, Reason

WRONG = "sha256:" + "0" * 64


def run(layout: Layout, *inputs: Artifact, **task: Any) -> dict[str, str]:
    return prepare.run(PrepareTask(inputs=inputs, **task), "attempt-1", layout).inputs


def failure(layout: Layout, *inputs: Artifact, **task: Any) -> TaskFailed:
    with pytest.raises(TaskFailed) as failed:
        run(layout, *inputs, **task)
    return failed.value


def test_what_lies_there_before_the_training(layout: Layout) -> None:
    run(layout, parameters={"depth": 6, "kind": "gbdt"})

    def mode(name: str) -> int:
        return stat.S_IMODE((layout.root / name).stat().st_mode)

    assert mode("output") == mode("run") == 0o777
    assert stat.S_ISFIFO(layout.fifo.stat().st_mode)
    assert mode("run/fifo") == 0o666
    assert mode("bin/launch") == 0o755
    assert layout.launch.read_bytes() == layout.launcher.read_bytes()
    assert json.loads(layout.parameters.read_text()) == {"depth": 6, "kind": "gbdt"}
    assert list(layout.inputs.iterdir()) == []
    assert not layout.champion.exists()


def test_it_may_be_run_again(layout: Layout) -> None:
    run(layout, parameters={"old": 1})
    (layout.run / "started").touch()
    (layout.run / "exit").write_text("1")
    (layout.output / "half").touch()
    run(layout)
    assert [path.name for path in layout.run.iterdir()] == ["fifo"]
    assert list(layout.output.iterdir()) == []
    assert json.loads(layout.parameters.read_text()) == {}


def test_inputs_of_every_kind(layout: Layout, claim: Path, s3: Any, web: Any) -> None:
    s3.fs.pipe({"acme/one.parquet": b"1", "acme/many/a": b"a", "acme/many/sub/b": b"b"})
    (web.folder / "page.csv").write_text("p")
    (claim / "set").mkdir()
    (claim / "set/x").write_text("x")
    digests = run(
        layout,
        Artifact(name="one", uri="s3://acme/one.parquet", digest="sha256:" + hashlib.sha256(b"1").hexdigest()),
        Artifact(name="many", uri="s3://acme/many/"),
        Artifact(name="page.csv", uri=f"{web.url}/page.csv"),
        Artifact(name="mounted", uri="pvc://claim/set"),
        Artifact(name="checked", uri="pvc://claim/set/x", digest=digest.of_path(claim / "set/x")),
    )
    there = {path.name: path for path in layout.inputs.iterdir()}
    assert there["one"].read_text() == "1"
    assert (there["many"] / "sub/b").read_text() == "b"
    assert there["page.csv"].read_text() == "p"
    assert sorted(there) == ["many", "one", "page.csv"]  # what is on a claim is mounted there
    assert digests == {name: digest.of_path(path) for name, path in there.items()} | {
        "checked": digest.of_path(claim / "set/x")
    }


def test_digests_that_were_given_make_room_for_those_that_were_not(layout: Layout, web: Any) -> None:
    (web.folder / "x").write_text("x")
    known = digest.of_path(web.folder / "x")
    inputs = [
        Artifact(name=f"{i:02}" + "n" * 60, uri=f"{web.url}/x", digest=known if i < 16 else None) for i in range(32)
    ]
    digests = run(layout, *inputs)
    assert {f"{i:02}" + "n" * 60 for i in range(16, 32)} <= digests.keys()
    assert 2800 < len(Prepared(inputs=digests).to_json()) <= MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    ("uri", "reason", "words"),
    [
        ("s3://acme/gone", Reason.INPUT_NOT_FOUND, "input data: cannot read s3://acme/gone"),
        ("s3://acme/there", Reason.DIGEST_MISMATCH, "input data (s3://acme/there): its digest is sha256:"),
        ("pvc://claim/gone", Reason.INPUT_NOT_FOUND, "input data: cannot read pvc://claim/gone: not found"),
        ("pvc://unmounted/x", Reason.INPUT_NOT_FOUND, "input data: cannot read pvc://unmounted/x"),
        ("pvc://claim/there", Reason.DIGEST_MISMATCH, "input data (pvc://claim/there): its digest"),
        ("pvc://claim/strange", Reason.INVALID_URI, "input data: pvc://claim/strange: x: the link leads out"),
    ],
)
def test_an_input_that_is_missing_or_wrong(
    layout: Layout, claim: Path, s3: Any, uri: str, reason: Reason, words: str
) -> None:
    s3.fs.pipe({"acme/there": b"1"})
    (claim / "there").touch()
    (claim / "strange").mkdir()
    (claim / "strange/x").symlink_to("/etc/hostname")
    failed = failure(layout, Artifact(name="data", uri=uri, digest=WRONG))
    assert failed.reason == reason
    assert failed.message.startswith(words)


@pytest.mark.usefixtures("impatient")
def test_a_store_that_stays_down(layout: Layout, s3: Any) -> None:
    s3.stop()
    failed = failure(layout, Artifact(name="data", uri="s3://acme/x"))
    assert failed.reason == Reason.STORE_UNAVAILABLE
    assert s3.endpoint in failed.message


def test_a_file_uri_is_none_of_ours(layout: Layout) -> None:
    assert failure(layout, Artifact(name="data", uri="file:///etc/passwd")).reason == Reason.INVALID_URI


def test_the_champion_lies_beside(layout: Layout, claim: Path) -> None:
    (claim / "m/.perennial").mkdir(parents=True)
    (claim / "m/model.skops").write_text("weights")
    (claim / "m/.perennial/result.json").touch()
    champion = Artifact(name="churn-3", uri="pvc://claim/m", digest=digest.of_path(claim / "m"))
    run(layout, champion=champion)
    assert [path.name for path in layout.champion.iterdir()] == ["model.skops"]
    assert not layout.champion.is_symlink()


@pytest.mark.parametrize(("path", "reason"), [("m", Reason.DIGEST_MISMATCH), ("gone", Reason.NOT_FOUND)])
def test_a_champion_that_is_missing_or_another(layout: Layout, claim: Path, path: str, reason: Reason) -> None:
    (claim / "m").write_text("other")
    failed = failure(layout, champion=Artifact(name="churn-3", uri=f"pvc://claim/{path}", digest=WRONG))
    assert failed.reason == reason
    assert "the champion churn-3" in failed.message


def test_a_destination_is_tried_before_the_training(layout: Layout, claim: Path) -> None:
    run(layout, destination="pvc://claim/churn/uid")
    assert json.loads((claim / "churn/uid/attempt-1/.perennial/attempt.json").read_text())["attempt"] == "attempt-1"


@pytest.mark.parametrize(
    ("destination", "reason"),
    [("s3://no-such-bucket/churn", Reason.NOT_FOUND), ("https://host/churn", Reason.INVALID_URI)],
)
def test_a_destination_that_refuses(layout: Layout, s3: Any, destination: str, reason: Reason) -> None:
    assert failure(layout, destination=destination).reason == reason
