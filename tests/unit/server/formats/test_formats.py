"""Choosing the loader and the file: what is unknown, missing or ambiguous is refused by name."""

from pathlib import Path

import pytest

from perennial.server import formats
from perennial.server.errors import ModelLoadError


def test_an_unknown_format_is_refused_naming_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="'keras' is not known to this server, which has sklearn, sklearn-pickle"):
        formats.load("keras", tmp_path, ())


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], r"no \*.skops among the model's files; there is nothing"),
        (["model.pkl", "readme"], r"no \*.skops among the model's files; there is model.pkl, readme"),
        (["a.skops", "b.skops"], r"several files match \*.skops, only one may: a.skops, b.skops"),
    ],
)
def test_exactly_one_file_must_match(tmp_path: Path, files: list[str], message: str) -> None:
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(ModelLoadError, match=message):
        formats.load("sklearn", tmp_path, ())


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="nowhere does not exist"):
        formats.load("sklearn", tmp_path / "nowhere", ())


def test_files_beside_and_below_do_not_disturb(digits_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "model.skops").write_bytes((digits_dir / "model.skops").read_bytes())
    (tmp_path / "model.pkl").write_text("never opened")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "model.skops").touch()
    assert formats.load("sklearn", tmp_path, ()).feature_count == 64
