"""The cache of a node, over HTTP: what it keeps, what it refuses, and that nothing depends on it."""

import http.client
import os
import random
import shutil
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from perennial.agent import digest, fetch
from perennial.agent.cache import server
from perennial.agent.failure import TaskFailed
from perennial.agent.layout import Layout
from perennial.agent.nearby import Cache
from perennial.agent.shelf import Shelf, Unkept
from perennial.api.task import Artifact, FetchTask, size_of

ROOM = 200_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    with server(folder, ROOM, ("127.0.0.1", 0)) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def model(place: Path, size: int = 1000, seed: int = 1) -> str:
    """A model of two files, one of them deep down with a long name; its digest."""
    deep = place / "deep" / ("name" * 30)
    deep.parent.mkdir(parents=True)
    deep.write_bytes(b"weights")
    (place / "model.onnx").write_bytes(random.Random(seed).randbytes(size))
    return digest.of_path(place)


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_one_pod_brought_the_next_one_takes(url: str, folder: Path, tmp_path: Path) -> None:
    wanted = model(tmp_path / "m")
    cache = Cache(url)
    assert not cache.fetch(wanted, tmp_path / "first")
    assert cache.offer(wanted, tmp_path / "m")
    assert kept(folder) == [wanted]
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "left").write_text("of another model")
    assert cache.fetch(wanted, tmp_path / "second")
    assert digest.of_path(tmp_path / "second") == wanted
    assert not cache.offer(wanted, tmp_path / "m"), "it is there"


def test_a_single_file_has_its_own_digest(url: str, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.skops").write_bytes(b"weights")
    wanted = digest.of_path(tmp_path / "m" / "model.skops")
    assert Cache(url).offer(wanted, tmp_path / "m")
    assert Cache(url).fetch(wanted, tmp_path / "to")
    assert (tmp_path / "to" / "model.skops").read_bytes() == b"weights"


def test_what_is_of_another_digest_is_not_kept(url: str, folder: Path, tmp_path: Path) -> None:
    model(tmp_path / "m")
    assert not Cache(url).offer("sha256:" + "0" * 64, tmp_path / "m")
    assert kept(folder) == []


def test_what_was_changed_on_the_disk_is_not_served(url: str, folder: Path, tmp_path: Path) -> None:
    wanted, other = model(tmp_path / "m"), model(tmp_path / "other", seed=2)
    cache = Cache(url)
    cache.offer(wanted, tmp_path / "m")
    cache.offer(other, tmp_path / "other")
    shutil.copy(folder / other, folder / wanted)
    assert not cache.fetch(wanted, tmp_path / "to")
    (folder / wanted).write_bytes(b"no archive at all")
    assert not cache.fetch(wanted, tmp_path / "to")


def test_what_was_not_asked_for_longest_makes_room(url: str, folder: Path, tmp_path: Path) -> None:
    cache = Cache(url)
    digests = []
    for number in range(3):
        digests.append(model(tmp_path / f"m{number}", 80_000, number))
        assert cache.offer(digests[-1], tmp_path / f"m{number}")
        os.utime(folder / digests[-1], (number, number))
        if number == 1:
            assert cache.fetch(digests[0], tmp_path / "to")
    assert kept(folder) == sorted([digests[0], digests[2]])
    assert sum(path.stat().st_size for path in folder.iterdir()) <= ROOM


def test_what_does_not_fit_is_not_kept_and_drives_nothing_out(url: str, folder: Path, tmp_path: Path) -> None:
    small, huge = model(tmp_path / "m"), model(tmp_path / "huge", 300_000)
    cache = Cache(url)
    cache.offer(small, tmp_path / "m")
    assert not cache.offer(huge, tmp_path / "huge")
    assert [name for name in kept(folder) if name != small] == []


def test_one_that_somebody_brings_is_brought_once(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "cache", ROOM)
    wanted = "sha256:" + "1" * 64

    def chunks() -> Iterator[bytes]:
        yield b"a part"
        assert shelf.coming(wanted)
        with pytest.raises(Unkept, match="somebody else"):
            shelf.take(wanted, [b"another"])

    with pytest.raises(Unkept, match="no archive"):
        shelf.take(wanted, chunks())
    assert not shelf.coming(wanted)
    (tmp_path / "cache" / "half.coming").write_bytes(b"left by one that was killed")
    Shelf(tmp_path / "cache", ROOM)
    assert kept(tmp_path / "cache") == []


@pytest.mark.parametrize(
    ("method", "path", "headers", "code"),
    [
        ("GET", "/healthz", {}, 200),
        ("GET", "/models/../../etc/passwd", {}, 404),
        ("GET", "/models/sha256:" + "A" * 64, {}, 404),
        ("GET", "/", {}, 404),
        ("PUT", "/models/x", {"Transfer-Encoding": "chunked"}, 400),
        ("PUT", "/models/sha256:" + "0" * 64, {"Content-Length": "0"}, 400),
        ("DELETE", "/models/sha256:" + "0" * 64, {}, 501),
    ],
)
def test_nothing_else_is_answered(url: str, method: str, path: str, headers: dict[str, str], code: int) -> None:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    connection.putrequest(method, path)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == code


@pytest.mark.parametrize("body", [b"zz\r\n", b"5\r\nab", b"1\r\naXX", b"\r\n"])
def test_a_body_that_breaks_off_is_not_kept(url: str, folder: Path, body: bytes) -> None:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    connection.putrequest("PUT", "/models/sha256:" + "0" * 64)
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders(body)
    connection.sock.shutdown(1)
    assert connection.getresponse().status == 400
    assert kept(folder) == []


def test_a_pod_takes_it_from_there_when_the_store_is_gone(
    url: str, layout: Layout, claim: Path, tmp_path: Path
) -> None:
    wanted = model(claim / "m")
    task = FetchTask(
        model=Artifact(name="churn-3", uri="pvc://claim/m", digest=wanted), target=str(tmp_path / "to"), cache=url
    )
    fetch.run(task, layout)
    shutil.rmtree(claim / "m")
    shutil.rmtree(tmp_path / "to")
    fetch.run(task, layout)
    assert digest.of_path(tmp_path / "to") == wanted
    with pytest.raises(TaskFailed):
        fetch.run(task.model_copy(update={"cache": None}), layout)


def test_without_the_cache_the_store_is_asked(layout: Layout, claim: Path, tmp_path: Path) -> None:
    wanted = model(claim / "m")
    artifact = Artifact(name="churn-3", uri="pvc://claim/m", digest=wanted)
    fetch.run(FetchTask(model=artifact, target=str(tmp_path / "to"), cache="http://127.0.0.1:1"), layout)
    assert digest.of_path(tmp_path / "to") == wanted


@pytest.mark.parametrize(("text", "size"), [("10Gi", 10 * 2**30), ("500Mi", 500 * 2**20), ("12", 12)])
def test_sizes(text: str, size: int) -> None:
    assert size_of(text) == size
    with pytest.raises(ValueError, match="no size such as"):
        size_of(f"{text}B")


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside"])
def test_nothing_is_written_outside_of_the_folder(url: str, folder: Path, tmp_path: Path, name: str) -> None:
    wanted = "sha256:" + "2" * 64
    with tarfile.open(folder / wanted, "w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    assert not Cache(url).fetch(wanted, tmp_path / "deep" / "to")
    assert not list(tmp_path.rglob("outside"))


def test_a_link_is_not_followed(url: str, folder: Path, tmp_path: Path) -> None:
    wanted = "sha256:" + "2" * 64
    with tarfile.open(folder / wanted, "w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
    assert not Cache(url).fetch(wanted, tmp_path / "to")
    assert not (tmp_path / "to" / "link").is_symlink()
