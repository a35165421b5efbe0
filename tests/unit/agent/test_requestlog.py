"""The log of requests: what a server wrote gets to the store, once and whole, is found again by time, and goes."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from perennial.agent import requestlog, transfer
from perennial.agent.layout import Layout
from perennial.agent.storage import locate
from perennial.api.task import ShipTask

URI = "s3://acme/requests/team/churn"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PATIENCE", 0.0)
    monkeypatch.setattr(requestlog, "EVERY", 0.0)
    monkeypatch.setattr(requestlog, "STOPPING", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "requests"
    place.mkdir()
    return place


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).strftime("%Y-%m-%dT%H%M")


def rounds(number: int) -> Callable[[], bool]:
    """Told to stop after so many looks into the folder."""
    asked = iter([False] * number)
    return lambda: next(asked, True)


def ship(folder: Path, layout: Layout, number: int = 1, uri: str = URI, keep: int = 3600) -> None:
    task = ShipTask(folder=str(folder), uri=uri, keep_seconds=keep)
    requestlog.ship(task, "churn-abc-x1", layout, rounds(number))


def stored(s3: Any) -> dict[str, bytes]:
    return {name: s3.fs.cat(name) for name in s3.fs.find("acme/requests")}


@pytest.mark.parametrize("uri", [URI, "pvc://claim/requests/team/churn"])
def test_whole_minutes_get_to_the_store_and_are_found_again(
    folder: Path, layout: Layout, s3: Any, claim: Path, tmp_path: Path, uri: str
) -> None:
    (folder / f"{ago(minutes=3)}-7.jsonl").write_bytes(b'{"age": 3}\n')
    (folder / f"{ago(hours=3)}-7.jsonl").write_bytes(b'{"age": 4}\n')
    (folder / "notes.txt").write_text("not ours")
    ship(folder, layout, uri=uri)
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]
    for hours, expected in ((1, [b'{"age": 3}\n']), (4, [b'{"age": 3}\n', b'{"age": 4}\n'])):
        place = tmp_path / f"found-{hours}"
        since = datetime.now(UTC) - timedelta(hours=hours)
        assert requestlog.download(uri, place, since, layout.volumes) == len(expected)
        assert sorted(file.read_bytes() for file in place.iterdir()) == expected
        assert all(file.suffix == ".jsonl" for file in place.iterdir())


def test_the_minute_under_way_stays_until_the_end_of_the_pod(
    folder: Path, layout: Layout, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / f"{ago()}-7.jsonl"
    file.write_bytes(b'{"age": 3}\n{"ag')
    target = locate(URI, layout.volumes)
    assert requestlog._take(folder, target, "pod", datetime.now(UTC) - requestlog.LATE)
    assert file.exists()
    assert not stored(s3)
    ship(folder, layout, 0)
    assert not file.exists()
    assert list(stored(s3).values()) == [b'{"age": 3}\n'], "and half a line is none"


def test_a_minute_that_is_written_to_again_overwrites_nothing(folder: Path, layout: Layout, s3: Any) -> None:
    for age in (3, 4):
        (folder / f"{ago(minutes=3)}-7.jsonl").write_bytes(b'{"age": %d}\n' % age)
        ship(folder, layout)
    assert sorted(stored(s3).values()) == [b'{"age": 3}\n', b'{"age": 4}\n']


def test_a_store_that_is_away_is_told_of_and_nothing_is_lost(
    folder: Path, layout: Layout, s3: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / f"{ago(minutes=3)}-7.jsonl").write_bytes(b'{"age": 3}\n')
    with monkeypatch.context() as broken, caplog.at_level(logging.WARNING):
        broken.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        ship(folder, layout, uri="s3://no-such-bucket/requests")
    assert "cannot be stored" in caplog.text
    assert len(list(folder.iterdir())) == 1
    ship(folder, layout)
    assert len(stored(s3)) == 1


def test_what_is_old_goes_and_nothing_else(folder: Path, layout: Layout, s3: Any) -> None:
    days = {name: (datetime.now(UTC) - timedelta(days=name)).strftime("%Y-%m-%d") for name in (0, 1, 2, 3)}
    for day in days.values():
        s3.fs.pipe(f"acme/requests/team/churn/{day}/1200-p-00.jsonl", b"{}\n")
    s3.fs.pipe("acme/requests/team/churn/keep/1200-p-00.jsonl", b"{}\n")
    ship(folder, layout, keep=2 * 24 * 3600)
    left = {name.split("/")[4] for name in stored(s3)}
    assert left == {days[0], days[1], days[2], "keep"}
