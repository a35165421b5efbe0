"""What the agent sees of data: in stores, on claims, behind URLs, and in real Git repositories over HTTP."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from perennial.agent import look, transfer
from perennial.agent.failure import TaskFailed
from perennial.agent.layout import Layout
from perennial.api.task import Looked, LookTask, Reason


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PATIENCE", 0.0)


def see(layout: Layout, uri: str) -> Looked:
    return look.run(LookTask(uri=uri), layout)


class TestStores:
    @pytest.mark.parametrize("uri", ["s3://acme/data/", "s3://acme/data", "pvc://claim/data"])
    def test_what_is_written_comes_and_goes(self, layout: Layout, claim: Path, s3: Any, uri: str) -> None:
        def put(name: str, content: bytes) -> None:
            s3.fs.pipe(f"acme/data/{name}", content)
            (claim / "data" / name).parent.mkdir(parents=True, exist_ok=True)
            (claim / "data" / name).write_bytes(content)

        put("2026/a.csv", b"abc")
        first = see(layout, uri)
        assert (first.objects, first.bytes, first.revision) == (1, 3, "")
        assert see(layout, uri) == first
        put("b.csv", b"de")
        second = see(layout, uri)
        assert (second.objects, second.bytes) == (2, 5)
        put("2026/a.csv", b"xyz")
        third = see(layout, uri)
        assert (third.objects, third.bytes) == (2, 5)
        s3.fs.rm("acme/data/b.csv")
        (claim / "data/b.csv").unlink()
        fourth = see(layout, uri)
        assert len({first.digest, second.digest, third.digest, fourth.digest}) == 4

    def test_one_object(self, layout: Layout, claim: Path, s3: Any) -> None:
        s3.fs.pipe("acme/data.csv", b"abc")
        (claim / "data.csv").write_bytes(b"abc")
        for uri in ("s3://acme/data.csv", "pvc://claim/data.csv"):
            assert (see(layout, uri).objects, see(layout, uri).bytes) == (1, 3)

    def test_written_again_as_it_was_it_is_the_same_in_a_store(self, layout: Layout, s3: Any) -> None:
        s3.fs.pipe("acme/data/a.csv", b"abc")
        first = see(layout, "s3://acme/data/")
        s3.fs.pipe("acme/data/a.csv", b"abc")
        assert see(layout, "s3://acme/data/") == first

    @pytest.mark.parametrize("uri", ["s3://acme/none/", "s3://acme/none.csv", "pvc://claim/none"])
    def test_what_is_not_there_yet_is_nothing(self, layout: Layout, claim: Path, s3: Any, uri: str) -> None:
        assert (see(layout, uri).objects, see(layout, uri).bytes) == (0, 0)

    def test_a_url(self, layout: Layout, web: Any) -> None:
        file = web.folder / "data.csv"
        file.write_text("abc")
        first = see(layout, f"{web.url}/data.csv")
        assert (first.objects, first.bytes) == (1, 3)
        assert see(layout, f"{web.url}/data.csv") == first
        os.utime(file, (1, 1))
        assert see(layout, f"{web.url}/data.csv").digest != first.digest

    def test_a_store_that_is_away(self, layout: Layout, s3: Any) -> None:
        s3.stop()
        with pytest.raises(TaskFailed) as failed:
            see(layout, "s3://acme/data/")
        assert failed.value.reason == Reason.STORE_UNAVAILABLE


class TestGit:
    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        folder = tmp_path / "work"
        self.git(tmp_path, "init", "-q", "-b", "main", str(folder))
        self.commit(folder, "one")
        self.git(folder, "tag", "-a", "v1", "-m", "the first")
        return folder

    @staticmethod
    def git(folder: Path, *arguments: str) -> bytes:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@acme.dev", *arguments]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout

    def commit(self, folder: Path, content: str) -> str:
        (folder / "data.csv.dvc").write_text(content)
        self.git(folder, "add", "-A")
        self.git(folder, "commit", "-q", "-m", content)
        return self.git(folder, "rev-parse", "HEAD").decode().strip()

    def serve(self, repository: Path, web: Any, *, smart: bool) -> None:
        """As a server answers that knows Git's protocol, or as one that only has files."""
        refs = web.folder / "data.git/info/refs"
        refs.parent.mkdir(parents=True, exist_ok=True)
        if smart:
            said = self.git(repository, "upload-pack", "--stateless-rpc", "--advertise-refs", str(repository))
            refs.write_bytes(b"001e# service=git-upload-pack\n0000" + said)
        else:
            self.git(repository, "update-server-info")
            refs.write_bytes((repository / ".git/info/refs").read_bytes())

    @pytest.mark.parametrize("smart", [True, False])
    def test_a_branch_moves_and_a_tag_does_not(self, layout: Layout, repository: Path, web: Any, smart: bool) -> None:
        first = self.git(repository, "rev-parse", "HEAD").decode().strip()
        self.serve(repository, web, smart=smart)
        uri = f"git+{web.url}/data.git"
        before = see(layout, f"{uri}@main")
        assert (before.objects, before.revision) == (1, first)
        assert see(layout, f"{uri}@v1").revision == first, "what the tag points to"
        second = self.commit(repository, "two")
        self.serve(repository, web, smart=smart)
        after = see(layout, f"{uri}@main")
        assert after.revision == second
        assert after.digest != before.digest
        assert see(layout, f"{uri}@refs/heads/main").revision == second
        assert see(layout, f"{uri}@v1").revision == first

    @pytest.mark.parametrize(
        ("uri", "reason", "words"),
        [
            ("data.git@gone", Reason.NOT_FOUND, "there is no branch or tag gone"),
            ("other.git@main", Reason.NOT_FOUND, "HTTP 404"),
            ("page@main", Reason.INVALID_URI, "does not answer as a Git repository"),
        ],
    )
    def test_what_is_wrong_is_said(
        self, layout: Layout, repository: Path, web: Any, uri: str, reason: Reason, words: str
    ) -> None:
        self.serve(repository, web, smart=True)
        (web.folder / "page/info").mkdir(parents=True)
        (web.folder / "page/info/refs").write_text("<html>sign in</html>")
        with pytest.raises(TaskFailed, match=words) as failed:
            see(layout, f"git+{web.url}/{uri}")
        assert failed.value.reason == reason

    def test_who_may_not_is_told_so(self, layout: Layout, repository: Path, web: Any) -> None:
        self.serve(repository, web, smart=True)
        web.answers.append(401)
        with pytest.raises(TaskFailed) as failed:
            see(layout, f"git+{web.url}/data.git@main")
        assert failed.value.reason == Reason.ACCESS_DENIED
