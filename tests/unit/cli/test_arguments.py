"""The command line: what is read of it, and that a mistake is named in one line."""

import math
import sys
from datetime import UTC, datetime

import pytest

from perennial.cli import arguments
from perennial.cli.__main__ import main


def test_a_report_has_numbers_by_name() -> None:
    given = arguments.parser().parse_args(
        ["report", "churn", "accuracy=0.93", "loss=-1e-3", "--samples", "200", "--time", "2026-01-02T04:04:05+01:00"]
    )
    assert given.metrics == [("accuracy", 0.93), ("loss", -0.001)]
    assert (given.samples, given.time) == (200, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


@pytest.mark.parametrize("name", ["churn-5", "modelversion/churn-5", "modelversions/churn-5", "mv/churn-5"])
def test_a_version_is_named_as_kubectl_names_it(name: str) -> None:
    assert arguments.parser().parse_args(["approve", name]).version == "churn-5"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["report", "churn"], "the following arguments are required: METRIC=VALUE"),
        (["report", "churn", "accuracy"], "'accuracy' is no METRIC=VALUE, such as accuracy=0.93"),
        (["report", "churn", "accuracy=high"], "'accuracy=high' is no METRIC=VALUE"),
        (["report", "churn", f"accuracy={math.nan}"], "'accuracy=nan' is no METRIC=VALUE"),
        (["report", "churn", "=1"], "'=1' is no METRIC=VALUE"),
        (["report", "churn", "a=1", "--samples", "0"], "'0' is no number of samples"),
        (["report", "churn", "a=1", "--time", "yesterday"], "'yesterday' is no time with a zone, such as 2026-01-02T"),
        (["report", "churn", "a=1", "--time", "2026-01-02T03:04:05"], "is no time with a zone"),
        (["report", "churn", "a=1", "--url", "http://a"], "'http://a': begins with https://, since a token is sent"),
        (["approve", "pod/churn-5"], "'pod/churn-5' is no name of a ModelVersion, such as churn-5"),
        (["trace", "churn", "-o", "yaml"], "invalid choice: 'yaml'"),
    ],
)
def test_a_mistake_is_named_in_one_line(words: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert error in line
    assert line.endswith("--help`")


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    monkeypatch.delitem(sys.modules, "perennial.cli.cluster", raising=False)
    monkeypatch.delattr("perennial.cli.cluster", raising=False)
    assert main(["trace", "churn"]) == 1
    assert "install perennial with its extra, perennial[cli]" in capsys.readouterr().err
