"""What is loaded into a cluster, and what keys in the cache are made from."""

from pathlib import Path

import pytest

from e2e.cluster.cache import digest, load_once, progress


def load(state: Path, *names: str) -> list[str]:
    loaded: list[str] = []
    load_once([Path(name) for name in names], state, lambda archive: loaded.append(archive.name))
    return loaded


def test_an_image_is_loaded_when_it_is_not_the_last_one_of_its_name(tmp_path: Path) -> None:
    assert load(tmp_path, "agent-1.tar", "server-1.tar") == ["agent-1.tar", "server-1.tar"]
    assert load(tmp_path, "agent-1.tar", "server-2.tar") == ["server-2.tar"]
    assert load(tmp_path, "server-1.tar") == ["server-1.tar"], "going back is a change too"
    assert load(tmp_path, "agent-1.tar", "server-1.tar") == []


def test_an_image_that_could_not_be_loaded_is_loaded_again(tmp_path: Path) -> None:
    def refuse(archive: Path) -> None:
        raise OSError(archive)

    with pytest.raises(OSError, match="agent-1"):
        load_once([Path("agent-1.tar")], tmp_path, refuse)
    assert load(tmp_path, "agent-1.tar") == ["agent-1.tar"]


def test_a_key_tells_files_apart_by_content_and_by_where_one_ends(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("ab")
    two.write_text("c")
    keys = {digest(parts) for parts in ([one, two], [two, one], [one], ["a", "bc"], ["abc"])}
    assert len(keys) == 5
    assert digest([one, two]) == digest(["ab", b"c"])


def test_progress_tells_an_interruption_from_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    for error, word in ((KeyboardInterrupt, "interrupted"), (OSError, "failed")):
        with pytest.raises(error), progress("building"):
            raise error
        assert f"building: {word} in" in capsys.readouterr().err


def test_progress_does_not_tell_what_was_done_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("loading"):
        pass
    assert not capsys.readouterr().err
