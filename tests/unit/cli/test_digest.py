"""`digest` prints what the agent would compute, and names what it cannot read."""

from pathlib import Path

import pytest

from perennial.agent.digest import of_path
from perennial.cli.__main__ import main


def test_it_is_the_agents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"weights")
    for path in (tmp_path / "model", tmp_path / "model" / "weights.bin"):
        assert main(["digest", str(path)]) == 0
        assert capsys.readouterr().out == of_path(path) + "\n"


@pytest.mark.parametrize(
    ("path", "words"),
    [("missing", "missing: No such file or directory"), ("model", "way-out: the link leads out of the folder")],
)
def test_what_has_none_is_named(path: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "way-out").symlink_to(tmp_path)
    assert main(["digest", str(tmp_path / path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert words in said.err
