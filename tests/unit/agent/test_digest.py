import hashlib
import os
import socket
import subprocess
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.agent import digest
from perennial.agent.failure import Unsuitable

hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1)
folders = st.dictionaries(names, hashes, min_size=1, max_size=8)


@given(folders, st.randoms())
def test_order_does_not_matter(folder: dict[str, str], random: Random) -> None:
    shuffled = list(folder.items())
    random.shuffle(shuffled)
    assert digest.of_lines(dict(shuffled)) == digest.of_lines(folder)


@given(folders, names)
def test_a_file_of_another_name_is_another_folder(folder: dict[str, str], name: str) -> None:
    first = next(iter(folder))
    moved = {key: value for key, value in folder.items() if key != first} | {name: folder[first]}
    assert (digest.of_lines(moved) == digest.of_lines(folder)) == (moved == folder)


@given(folders, hashes)
def test_another_content_is_another_folder(folder: dict[str, str], content: str) -> None:
    changed = folder | {next(iter(folder)): content}
    assert (digest.of_lines(changed) == digest.of_lines(folder)) == (changed == folder)


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_file_has_its_sha256(tmp_path: Path) -> None:
    write(tmp_path, model="weights")
    assert digest.of_path(tmp_path / "model") == "sha256:" + hashlib.sha256(b"weights").hexdigest()


def test_a_folder_has_the_digest_that_the_documented_shell_line_prints(tmp_path: Path) -> None:
    write(tmp_path, b="2", a="1", sub__deeper__c="", **{"Z ä": "4"})
    line = "find . -type f -printf '%P\\0' | xargs -0 sha256sum | LC_ALL=C sort | sha256sum | cut -d' ' -f1"
    printed = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert digest.of_path(tmp_path) == f"sha256:{printed.strip()}"


def test_our_own_markers_and_empty_folders_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, model="weights")
    before = digest.of_path(tmp_path)
    write(tmp_path, **{".perennial__result.json": "{}"})
    (tmp_path / "empty").mkdir()
    assert digest.of_path(tmp_path) == before
    write(tmp_path, **{"sub__.perennial__x": "the user's"})
    assert digest.of_path(tmp_path) != before


def test_links_within_the_folder_count_as_what_they_point_to(tmp_path: Path) -> None:
    linked, copied = tmp_path / "linked", tmp_path / "copied"
    write(linked, steps__500__w="x", v="y")
    write(copied, steps__500__w="x", v="y", latest__w="x", current="y", again="y")
    (linked / "latest").symlink_to("steps/500")
    (linked / "current").symlink_to(linked / "v")
    (linked / "again").symlink_to("current")
    assert list(digest.tree(linked)) == sorted(digest.tree(copied))
    assert digest.of_path(linked) == digest.of_path(copied)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: (folder / "x").symlink_to("/etc/hostname"), "x: the link leads out of the folder"),
        (lambda folder: (folder / "x").symlink_to("../beside"), "x: the link leads out of the folder"),
        (lambda folder: (folder / "x").symlink_to(".."), "x: the link leads out of the folder"),
        (lambda folder: (folder / "x").symlink_to("gone"), "x: the link leads nowhere"),
        (lambda folder: (folder / "x").symlink_to("x"), "x: the link leads nowhere"),
        (lambda folder: (folder / "x").symlink_to("."), "x: the link leads back"),
        (lambda folder: (folder / "sub/up").symlink_to("../sub"), "sub/up: the link leads back"),
        (lambda folder: os.mkfifo(folder / "x"), "x: is a named pipe"),
        (lambda folder: (folder / "a\nb").touch(), "characters that cannot be kept"),
        (lambda folder: open(os.fsencode(folder) + b"/\xff", "w").close(), "characters that cannot be kept"),
    ],
)
def test_what_no_store_could_keep_is_refused(tmp_path: Path, make: object, words: str) -> None:
    (tmp_path / "beside").write_text("x")
    folder = tmp_path / "output"
    write(folder, sub__model="weights")
    make(folder)  # type: ignore[operator]
    with pytest.raises(Unsuitable, match=words):
        digest.of_path(folder)


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(Unsuitable, match="s: is a socket"):
            digest.of_path(tmp_path)


def test_a_file_that_is_written_to_gets_another_stamp(tmp_path: Path) -> None:
    write(tmp_path, model="weights")
    before = digest.tree(tmp_path)
    assert digest.tree(tmp_path) == before
    write(tmp_path, model="WEIGHTS")
    assert digest.tree(tmp_path) != before
