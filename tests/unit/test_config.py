"""The operator's configuration file: what is wrong in it is named."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from perennial import config
from perennial.questions import Counter

ERRORS = {"numerator": {"metric": "failed_total"}, "denominator": {"metric": "good_total", "plus": ["failed_total"]}}


def written(folder: Path, metric: dict[str, Any], runtime: str = "own") -> Path:
    path = folder / "config.yaml"
    preset = {"metrics": {"errors": metric}, "template": {"spec": {"containers": [{"name": "server"}]}}}
    path.write_text(yaml.safe_dump({"servingRuntimes": {runtime: preset}}))
    return path


def test_what_a_runtime_counts_is_read(tmp_path: Path) -> None:
    errors = config.load(written(tmp_path, ERRORS | {"port": "metrics"})).serving_runtimes["own"].metrics["errors"]
    assert errors.numerator.counter == Counter("failed_total")
    assert errors.denominator.counter == Counter("good_total", plus=("failed_total",))
    assert (errors.path, errors.port, errors.mean) == ("/metrics", "metrics", None)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ({"numerator": {"metric": "a"}}, r"errors\.denominator\n  Field required"),
        (ERRORS | {"numerator": {"metric": "a b"}}, r"errors\.numerator\.metric\n  String should match pattern"),
        (
            ERRORS | {"denominator": {"metric": "a", "plus": "b"}},
            r"errors\.denominator\.plus\n  Input should be a valid list",
        ),
        (ERRORS | {"prot": "metrics"}, r"errors\.prot\n  Extra inputs are not permitted"),
        (ERRORS | {"numerator": {"metric": "a", "label": {}}}, r"errors\.numerator\.label\n  Extra inputs are not"),
        (ERRORS | {"path": "metrics"}, r"errors\.path\n  String should match pattern"),
        (ERRORS | {"mean": {"times": 0}}, r"errors\.mean\.times\n  Value error, must be from 0.000001 to 1000000"),
    ],
)
def test_what_is_wrong_with_a_runtime_is_named(tmp_path: Path, metric: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"servingRuntimes\.own\.metrics\." + words):
        config.load(written(tmp_path, metric))


def test_the_name_of_a_runtime_becomes_a_label(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"servingRuntimes\.My Own\.\[key\]\n  String should match pattern"):
        config.load(written(tmp_path, ERRORS, "My Own"))
