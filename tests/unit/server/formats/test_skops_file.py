"""The safe format: trusted types only, and damaged files refused with their cause."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import skops.io
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from perennial.server.errors import ModelLoadError
from perennial.server.formats.skops_file import load

ROWS, LABELS = load_iris(return_X_y=True)
TREE = "sklearn.tree._tree.Tree"


class Custom(LogisticRegression):
    """A class that no server knows."""


def saved(folder: Path, model: Any) -> Path:
    skops.io.dump(model, folder / "model.skops")
    return folder


def rewritten(folder: Path, old: str, new: str) -> Path:
    """The saved file with its description changed, as another version or somebody hostile might have written it."""
    path = folder / "model.skops"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["schema.json"] = parts["schema.json"].replace(old.encode(), new.encode())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return folder


def test_a_model_is_served_as_it_was_trained(digits: Any, digits_dir: Path) -> None:
    rows = load_digits().data[:20]
    assert load(digits_dir, ()).run("predict", rows).tolist() == digits.predict(rows).tolist()


def test_types_that_skops_does_not_trust_are_refused_by_name(tmp_path: Path) -> None:
    folder = saved(tmp_path, RandomForestClassifier(3).fit(ROWS, LABELS))
    with pytest.raises(
        ModelLoadError, match=f"model.skops holds types .* default: {TREE}.*PERENNIAL_TRUSTED_TYPES={TREE}"
    ):
        load(folder, ())


def test_types_trusted_by_name_are_loaded(tmp_path: Path) -> None:
    model = RandomForestClassifier(3).fit(ROWS, LABELS)
    predictor = load(saved(tmp_path, model), [TREE])
    assert predictor.run("predict", ROWS).tolist() == model.predict(ROWS).tolist()


def test_trusting_one_type_trusts_no_other(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"\.Custom"):
        load(saved(tmp_path, Custom().fit(ROWS, LABELS)), [TREE])


def test_a_file_that_names_a_function_to_call_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path, LogisticRegression().fit(ROWS, LABELS))
    rewritten(folder, '"__class__": "LogisticRegression"', '"__class__": "system"')
    rewritten(folder, '"__module__": "sklearn.linear_model._logistic"', '"__module__": "os"')
    with pytest.raises(ModelLoadError, match=r"not trusted by default: os\.system"):
        load(folder, ())


@pytest.mark.parametrize(
    ("content", "cause"),
    [(b"", "BadZipFile"), (b"no archive", "BadZipFile: File is not a zip file")],
)
def test_a_damaged_file_is_named_with_its_cause(tmp_path: Path, content: bytes, cause: str) -> None:
    (tmp_path / "model.skops").write_bytes(content)
    with pytest.raises(ModelLoadError, match=f"model.skops cannot be loaded: {cause}"):
        load(tmp_path, ())


def test_a_file_cut_short_is_refused(digits_dir: Path, tmp_path: Path) -> None:
    content = (digits_dir / "model.skops").read_bytes()
    (tmp_path / "model.skops").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelLoadError, match=r"model\.skops cannot be loaded"):
        load(tmp_path, ())


def test_an_archive_without_a_model_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as archive:
        archive.writestr("schema.json", json.dumps({}))
    with pytest.raises(ModelLoadError, match=r"model\.skops cannot be loaded"):
        load(tmp_path, ())


def test_what_cannot_predict_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"model\.skops holds a StandardScaler, which has no predict method"):
        load(saved(tmp_path, StandardScaler().fit(ROWS)), ())


def test_a_version_mismatch_is_logged_and_the_model_served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from sklearn import __version__

    folder = rewritten(saved(tmp_path, LogisticRegression().fit(ROWS, LABELS)), f'\\"{__version__}\\"', '\\"1.0.2\\"')
    assert load(folder, ()).run("predict", ROWS).shape == (150,)
    assert any("LogisticRegression from version 1.0.2" in record.getMessage() for record in caplog.records)


def test_an_estimators_own_workers_are_not_started(tmp_path: Path) -> None:
    predictor = load(saved(tmp_path, RandomForestClassifier(3, n_jobs=-1).fit(ROWS, LABELS)), [TREE])
    assert predictor._estimator.n_jobs == 1
