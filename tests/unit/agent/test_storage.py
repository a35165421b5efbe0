import errno
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError

from perennial.agent import storage
from perennial.agent.failure import TaskFailed
from perennial.api.task import Reason

NOWHERE = Path("/nowhere")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "model",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://host/x",
        "gs://acme/x",
        "s3://",
        "s3:///x",
        "https:///x",
        "pvc://",
    ],
)
def test_an_address_that_is_none_of_ours(uri: str) -> None:
    with pytest.raises(TaskFailed, match="expected s3://bucket/path") as failed:
        storage.locate(uri, NOWHERE)
    assert failed.value.reason == Reason.INVALID_URI


@pytest.mark.parametrize("uri", ["pvc://claim/../other/x", "pvc://../x", "pvc://claim/a/.."])
def test_no_way_out_of_a_claim(uri: str) -> None:
    with pytest.raises(TaskFailed) as failed:
        storage.locate(uri, NOWHERE)
    assert failed.value.reason == Reason.INVALID_URI


def test_what_people_see_has_no_secrets() -> None:
    place = storage.locate("https://me:secret@host:8443/a/b.csv?X-Amz-Signature=abc#x", NOWHERE)
    assert place.shown == "https://host:8443/a/b.csv"
    assert place.name == "b.csv"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError("x"), Reason.NOT_FOUND),
        (PermissionError("x"), Reason.ACCESS_DENIED),
        (NoCredentialsError(), Reason.ACCESS_DENIED),
        (OSError(errno.ENOSPC, "No space left on device"), Reason.NO_SPACE),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Reason.NO_SPACE),
        (OSError(errno.EBUSY, "Please reduce your request rate."), Reason.STORE_UNAVAILABLE),
        (EndpointConnectionError(endpoint_url="http://minio"), Reason.STORE_UNAVAILABLE),
        (TimeoutError(), Reason.STORE_UNAVAILABLE),
    ],
)
def test_errors_have_a_reason(error: Exception, reason: Reason) -> None:
    assert storage.reason_of(error) == reason


class TestS3:
    def test_one_object_and_a_prefix(self, s3: Any, tmp_path: Path) -> None:
        s3.fs.pipe(
            {"acme/data": b"one", "acme/data/a.csv": b"a", "acme/data/sub/b?[*].csv": b"b", "acme/database": b"no"}
        )
        s3.fs.pipe({"acme/data/": b"", "acme/data/.perennial/result.json": b"{}"})
        assert storage.locate("s3://acme/data", NOWHERE).files() == [""]
        folder = storage.locate("s3://acme/data/", NOWHERE)
        assert folder.files() == ["a.csv", "sub/b?[*].csv"]
        folder.download("sub/b?[*].csv", tmp_path / "b")
        assert (tmp_path / "b").read_bytes() == b"b"

    def test_a_prefix_needs_no_slash(self, s3: Any) -> None:
        s3.fs.pipe({"acme/data/a.csv": b"a", "acme/database": b"no"})
        assert storage.locate("s3://acme/data", NOWHERE).files() == ["a.csv"]

    def test_a_whole_bucket(self, s3: Any) -> None:
        s3.fs.pipe({"acme/a": b"a", "acme/b/c": b"c"})
        assert storage.locate("s3://acme", NOWHERE).files() == ["a", "b/c"]

    @pytest.mark.parametrize("uri", ["s3://acme/gone", "s3://acme/gone/", "s3://acme", "s3://no-such-bucket/x"])
    def test_nothing_there(self, s3: Any, uri: str) -> None:
        with pytest.raises(TaskFailed, match="not found") as failed:
            storage.locate(uri, NOWHERE).files()
        assert failed.value.reason == Reason.NOT_FOUND

    def test_an_object_whose_name_leads_out_of_the_folder(self, s3: Any) -> None:
        s3.fs.pipe({"acme/data/../../etc/cron.d/x": b"a"})
        with pytest.raises(TaskFailed, match="cannot be a file") as failed:
            storage.locate("s3://acme/data/", NOWHERE).files()
        assert failed.value.reason == Reason.INVALID_URI

    @pytest.mark.parametrize("size", [0, 1, 3 * storage.CHUNK + 17])
    def test_files_of_any_size_go_up_and_come_down(self, s3: Any, tmp_path: Path, size: int) -> None:
        (tmp_path / "up").write_bytes(bytes(range(251)) * (size // 251) + b"x" * (size % 251))
        place = storage.locate("s3://acme/a", NOWHERE).child("b")
        place.upload(tmp_path / "up", "sub/model.bin")
        assert place.uri == "s3://acme/a/b"
        assert place.files() == ["sub/model.bin"]
        place.download("sub/model.bin", tmp_path / "down")
        assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()

    def test_writing_reading_removing(self, s3: Any) -> None:
        place = storage.locate("s3://acme/a", NOWHERE)
        place.write(".perennial/result.json", b"{}")
        assert place.read(".perennial/result.json") == b"{}"
        assert place.names() == [".perennial"]
        place.remove(".perennial/result.json")
        assert place.names() == []

    def test_a_bucket_that_is_not_there_is_named(self, s3: Any) -> None:
        with pytest.raises(TaskFailed, match=r"cannot write s3://gone/a/x at http://127.0.0.1:.*bucket does not exist"):
            storage.locate("s3://gone/a", NOWHERE).write("x", b"")

    def test_a_store_that_is_down_is_named(self, s3: Any) -> None:
        s3.stop()
        with pytest.raises(TaskFailed, match=f"s3://acme/x at {s3.endpoint}: .*Could not connect") as failed:
            storage.locate("s3://acme/x", NOWHERE).files()
        assert failed.value.reason == Reason.STORE_UNAVAILABLE

    def test_without_credentials_it_says_what_the_secret_needs(self, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with pytest.raises(TaskFailed, match="the Secret of storage.secretName .* needs AWS_ACCESS_KEY_ID") as failed:
            storage.locate("s3://acme/x", NOWHERE).files()
        assert failed.value.reason == Reason.ACCESS_DENIED


class TestWeb:
    def test_a_url_is_one_file(self, web: Any, tmp_path: Path) -> None:
        (web.folder / "data.csv").write_text("a,b")
        place = storage.locate(f"{web.url}/data.csv?version=3", NOWHERE)
        assert place.files() == [""]
        place.download("", tmp_path / "data")
        assert (tmp_path / "data").read_text() == "a,b"

    @pytest.mark.parametrize(
        ("status", "reason"),
        [
            (401, Reason.ACCESS_DENIED),
            (403, Reason.ACCESS_DENIED),
            (404, Reason.NOT_FOUND),
            (410, Reason.NOT_FOUND),
            (429, Reason.STORE_UNAVAILABLE),
            (500, Reason.STORE_UNAVAILABLE),
            (503, Reason.STORE_UNAVAILABLE),
        ],
    )
    def test_answers_that_are_errors(self, web: Any, tmp_path: Path, status: int, reason: Reason) -> None:
        web.answers.append(status)
        with pytest.raises(TaskFailed) as failed:
            storage.locate(f"{web.url}/x?token=secret", NOWHERE).download("", tmp_path / "x")
        assert failed.value.reason == reason
        assert "secret" not in failed.value.message
        assert web.url in failed.value.message

    def test_a_host_that_does_not_answer(self, tmp_path: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
            with pytest.raises(TaskFailed, match="Cannot connect to host") as failed:
                storage.locate(url, NOWHERE).download("", tmp_path / "x")
        assert failed.value.reason == Reason.STORE_UNAVAILABLE

    def test_an_answer_that_breaks_off(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:

            def answer() -> None:
                connection, _ = server.accept()
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                connection.close()

            thread = threading.Thread(target=answer)
            thread.start()
            with pytest.raises(TaskFailed) as failed:
                storage.locate(f"http://127.0.0.1:{server.getsockname()[1]}/x", NOWHERE).download("", tmp_path / "x")
            thread.join()
        assert failed.value.reason == Reason.STORE_UNAVAILABLE


class TestClaim:
    def test_a_file_and_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "claim/a").mkdir(parents=True)
        (tmp_path / "claim/a/x[1].csv").write_text("x")
        assert storage.locate("pvc://claim", tmp_path).files() == ["a/x[1].csv"]
        assert storage.locate("pvc://claim/a", tmp_path).files() == ["x[1].csv"]
        assert storage.locate("pvc://claim/a/x[1].csv", tmp_path).files() == [""]

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(TaskFailed, match="cannot read pvc://claim/gone: not found") as failed:
            storage.locate("pvc://claim/gone", tmp_path).require()
        assert failed.value.reason == Reason.NOT_FOUND
        assert storage.locate("pvc://claim/gone", tmp_path).names() == []

    def test_writing_leaves_nothing_half(self, tmp_path: Path) -> None:
        place = storage.locate("pvc://claim/a", tmp_path)
        place.write(".perennial/result.json", b"{}")
        (tmp_path / "model").write_text("weights")
        place.upload(tmp_path / "model", "sub/model")
        assert place.files() == ["sub/model"]
        assert place.names() == [".perennial", "sub"]
        assert [path.name for path in (tmp_path / "claim/a/.perennial").iterdir()] == ["result.json"]
        place.remove("sub/model")
        assert place.files() == []
