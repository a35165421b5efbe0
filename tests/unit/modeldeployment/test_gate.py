"""The gate: absolute limits, and the comparison with the champion on the same data."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.gate import Gate
from perennial.modeldeployment.gate import Champion, Scores, misses

CHAMPION = Champion("sha256:old", Scores({"accuracy": 0.94}, evaluation="test-set"))


def limits(*metrics: dict[str, Any]) -> Gate:
    return Gate.model_validate({"metrics": list(metrics)})


def scores(champion: str | None = "sha256:old", evaluation: str | None = None, **metrics: float) -> Scores:
    named = {name.replace("__", "."): value for name, value in metrics.items()}
    return Scores(named, evaluation, champion)


PAIRED = {"name": "accuracy", "noWorseThanChampionBy": 0.01}


@pytest.mark.parametrize(
    ("metric", "challenger", "champion", "reasons"),
    [
        pytest.param({"name": "accuracy", "min": 0.9}, scores(accuracy=0.9), CHAMPION, [], id="at the minimum"),
        pytest.param({"name": "accuracy", "min": 0.9}, scores(accuracy=0.89), None, ["GateNotPassed"], id="below it"),
        pytest.param({"name": "loss", "max": 1}, scores(loss=1.0), CHAMPION, [], id="at the maximum"),
        pytest.param({"name": "loss", "max": 1}, scores(loss=1.1), None, ["GateNotPassed"], id="above it"),
        pytest.param({"name": "f1", "min": 0.1}, scores(accuracy=1), None, ["GateNotComputable"], id="not measured"),
        pytest.param(PAIRED, scores(accuracy=0.5), None, [], id="no champion: nothing to compare with"),
        pytest.param(PAIRED, scores(accuracy=0.5, champion__accuracy=0.3), CHAMPION, [], id="better"),
        pytest.param(PAIRED, scores(accuracy=0.94, champion__accuracy=0.95), CHAMPION, [], id="worse, within"),
        pytest.param(
            PAIRED, scores(accuracy=0.9, champion__accuracy=0.95), CHAMPION, ["GateNotPassed"], id="worse, beyond"
        ),
        pytest.param(
            PAIRED,
            scores("sha256:other", accuracy=0.99, champion__accuracy=0.1),
            CHAMPION,
            ["GateNotComputable"],
            id="another champion's score",
        ),
        pytest.param(PAIRED, scores(accuracy=0.99), CHAMPION, ["GateNotComputable"], id="no score of the champion"),
        pytest.param(
            PAIRED, scores(None, "test-set", accuracy=0.93), CHAMPION, [], id="recorded on the same evaluation"
        ),
        pytest.param(PAIRED, scores(None, "test-set", accuracy=0.9), CHAMPION, ["GateNotPassed"], id="and worse there"),
        pytest.param(
            PAIRED, scores(None, "other", accuracy=0.99), CHAMPION, ["GateNotComputable"], id="another evaluation"
        ),
        pytest.param(
            PAIRED,
            scores(None, "", accuracy=0.99),
            Champion("sha256:old", Scores({"accuracy": 0.9}, evaluation="")),
            ["GateNotComputable"],
            id="an unnamed evaluation is none",
        ),
        pytest.param(
            {"name": "loss", "noWorseThanChampionBy": 0.1, "lowerIsBetter": True},
            scores(loss=0.5, champion__loss=0.9),
            CHAMPION,
            [],
            id="lower is better",
        ),
        pytest.param(
            {"name": "loss", "noWorseThanChampionBy": 0.1, "lowerIsBetter": True},
            scores(loss=0.9, champion__loss=0.5),
            CHAMPION,
            ["GateNotPassed"],
            id="higher is worse",
        ),
    ],
)
def test_one_limit(metric: dict[str, Any], challenger: Scores, champion: Champion | None, reasons: list[str]) -> None:
    assert [miss.reason for miss in misses(limits(metric), challenger, champion)] == reasons


@pytest.mark.parametrize(
    ("challenger", "words"),
    [
        (scores("sha256:other", accuracy=0.99, champion__accuracy=0.1), "measured on another model"),
        (scores(None, accuracy=0.99, champion__accuracy=0.1), "spec.champion of the ModelVersion"),
        (scores(accuracy=0.99), "write champion.accuracy"),
    ],
)
def test_it_is_said_what_is_missing_to_compare(challenger: Scores, words: str) -> None:
    assert words in next(misses(limits(PAIRED), challenger, CHAMPION)).message


def test_every_miss_is_said() -> None:
    gate = limits({"name": "a", "min": 1}, {"name": "b", "min": 1}, {"name": "c", "min": 1})
    words = [miss.message for miss in misses(gate, scores(a=2, b=0.5), None)]
    assert words == [
        "b 0.5 is below the minimum 1",
        "c was not measured: have the training write it to $PERENNIAL_METRICS_FILE",
    ]


decimals = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


@given(decimals, decimals, decimals)
def test_decimal_numbers_mean_what_they_say(value: float, champion: float, allowed: float) -> None:
    gate = limits({"name": "accuracy", "noWorseThanChampionBy": allowed})
    missed = list(misses(gate, scores(accuracy=value, champion__accuracy=champion), CHAMPION))
    assert bool(missed) == (round(champion * 1000) - round(value * 1000) > round(allowed * 1000))
