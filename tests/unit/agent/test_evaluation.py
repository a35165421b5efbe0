import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as known

from perennial.agent import evaluation
from perennial.agent.evaluation.judge import measured
from perennial.agent.evaluation.metrics import lead, least_lead, surely_better, value
from perennial.agent.evaluation.values import Pairs, classes, numbers
from perennial.agent.failure import TaskFailed
from perennial.agent.layout import Layout
from perennial.api.evaluate import MAX_LIMITS, Evaluated, EvaluateTask, EvaluationMetric, Limit, Measured
from perennial.api.task import MAX_MESSAGE_BYTES, Artifact, Reason
from tests.unit.agent.asked import Server, says

ACCURACY, LATENCY = EvaluationMetric.ACCURACY, EvaluationMetric.LATENCY
DIGEST = "sha256:" + "a" * 64


def of_accuracy(champion: float, challenger: float, rows: int = 1000, seed: int = 0) -> Pairs:
    """Two models that are right so often, each by its own chance."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, rows).astype(float)
    said = [np.where(draw.random(rows) < right, labels, 1 - labels) for right in (champion, challenger)]
    return Pairs(labels, *said)


def judged(pairs: Pairs, values: Sequence[str | None] | None = None, **limit: Any) -> Measured:
    return measured(Limit.model_validate({"name": "Accuracy", **limit}), pairs, 0.95, values)


class TestMetrics:
    @pytest.mark.parametrize(
        ("metric", "theirs"),
        [
            ("Accuracy", known.accuracy_score),
            ("F1", lambda labels, said: known.f1_score(labels, said, average="macro")),
            ("RocAuc", known.roc_auc_score),
            ("MeanAbsoluteError", known.mean_absolute_error),
            ("RootMeanSquaredError", known.root_mean_squared_error),
        ],
    )
    @given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=40))
    def test_they_are_what_everybody_means_by_them(
        self, metric: str, theirs: Callable[..., float], rows: list[tuple[int, int]]
    ) -> None:
        labels, said = (np.array(one, dtype=float) for one in zip(*rows, strict=True))
        if metric == "RocAuc" and len(set(labels)) < 2:
            assert np.isnan(value(EvaluationMetric(metric), labels, said))
        else:
            assert value(EvaluationMetric(metric), labels, said) == pytest.approx(theirs(labels, said))

    def test_an_error_that_is_less_leads(self) -> None:
        pairs = Pairs(np.zeros(3), np.ones(3), np.full(3, 0.5))
        assert lead(EvaluationMetric.MEAN_ABSOLUTE_ERROR, pairs) == 0.5
        assert lead(LATENCY, pairs) == 0.5

    def test_the_bound_is_below_the_truth_as_often_as_it_says(self) -> None:
        truth, seeds = 0.03, range(60)
        bounds = [least_lead(ACCURACY, of_accuracy(0.9, 0.93, 400, seed), 0.95) for seed in seeds]
        assert 0.85 <= np.mean([bound <= truth for bound in bounds]) <= 1

    def test_by_chance_few_are_better_for_sure(self) -> None:
        found = [surely_better(ACCURACY, of_accuracy(0.9, 0.9, 500, seed), 0.95, 0) for seed in range(200)]
        assert np.mean(found) <= 0.07
        assert surely_better(ACCURACY, of_accuracy(0.85, 0.95, 500), 0.95, 0)

    @given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
    def test_the_same_predictions_are_no_better_and_no_worse(self, said: list[int]) -> None:
        row = np.array(said, dtype=float)
        for metric in EvaluationMetric:
            pairs = Pairs(row % 2, row, row)
            assert least_lead(metric, pairs, 0.95) <= 0
            assert not surely_better(metric, pairs, 0.95, 0.0)


class TestJudge:
    @pytest.mark.parametrize(
        ("limit", "missed"),
        [
            ({"min": 0.9}, ()),
            ({"min": 0.96}, ("min",)),
            ({"max": 0.9}, ("max",)),
            ({"noWorseThanChampionBy": 0.0}, ()),
            ({"betterThanChampionBy": 0.05}, ()),
            ({"betterThanChampionBy": 0.2}, ("betterThanChampionBy",)),
            ({"min": 0.99, "betterThanChampionBy": 0.5}, ("min", "betterThanChampionBy")),
        ],
    )
    def test_each_field_is_a_limit(self, limit: dict[str, float], missed: tuple[str, ...]) -> None:
        assert judged(of_accuracy(0.85, 0.95), **limit).missed == missed

    def test_few_rows_are_no_proof_that_it_is_not_worse(self) -> None:
        assert judged(of_accuracy(0.9, 0.9, 40), noWorseThanChampionBy=0.01).missed == ("noWorseThanChampionBy",)
        assert judged(of_accuracy(0.9, 0.9, 40_000), noWorseThanChampionBy=0.01).missed == ()

    def test_few_rows_that_are_the_same_are_no_proof(self) -> None:
        labels = np.zeros(50)
        assert judged(Pairs(labels, labels, labels), noWorseThanChampionBy=0.01).missed == ("noWorseThanChampionBy",)
        labels = np.zeros(500)
        assert judged(Pairs(labels, labels, labels), noWorseThanChampionBy=0.01).missed == ()

    def test_what_is_not_defined_does_not_hold(self) -> None:
        alone = Pairs(np.ones(50), np.linspace(0, 1, 50), np.linspace(0, 1, 50)[::-1])
        found = judged(alone, name="RocAuc", min=0.1, noWorseThanChampionBy=0.5)
        assert found.missed == ("min", "noWorseThanChampionBy")
        assert found.value is None

    def test_the_segment_that_holds_least_is_told_of(self) -> None:
        good, bad = of_accuracy(0.9, 0.95, 900), of_accuracy(0.9, 0.6, 100, seed=1)
        both = Pairs(*(np.concatenate(one) for one in zip(_arrays(good), _arrays(bad), strict=True)))
        segment = ["DE"] * 900 + ["AT"] * 100
        assert judged(both, noWorseThanChampionBy=0.05).missed == ()
        found = judged(both, segment, segment="country", noWorseThanChampionBy=0.05)
        assert (found.missed, found.segment, found.rows) == (("noWorseThanChampionBy",), "AT", 100)

    def test_a_value_with_few_rows_is_left_out_and_none_left_is_no_pass(self) -> None:
        pairs, segment = of_accuracy(0.9, 0.9, 100), ["DE"] * 96 + [None] * 4
        assert judged(pairs, segment, segment="country", minRows=50, min=0.5).segment == "DE"
        assert judged(pairs, segment, segment="country", minRows=97, min=0.5).missed == ("minRows",)

    def test_the_gap_is_between_the_best_and_the_worst(self) -> None:
        labels = np.zeros(200)
        said = np.array([0.0] * 100 + [0.0] * 80 + [1.0] * 20)
        segment = ["a"] * 100 + ["b"] * 100
        found = judged(Pairs(labels, said, said), segment, segment="group", maxGap=0.1)
        assert (found.missed, found.segment, found.gap, found.value) == (("maxGap",), "b", 0.2, 0.8)
        assert judged(Pairs(labels, said, said), segment, segment="group", maxGap=0.2).missed == ()

    def test_too_many_values_are_no_segment(self) -> None:
        with pytest.raises(TaskFailed, match="segment customer has 101 values with enough rows, at most 100"):
            judged(of_accuracy(0.9, 0.9, 101), [str(n) for n in range(101)], segment="customer", minRows=1, min=0.1)

    def test_an_answer_fits_into_the_message(self) -> None:
        one = Measured(
            missed=("noWorseThanChampionBy",),
            segment="s" * 32,
            rows=100_000,
            value=-0.00001234,
            champion=-0.00001234,
            at_least=-0.00001234,
            gap=0.1234,
        )
        told = Evaluated(rows=100_000, digest=DIGEST, limits=(one,) * MAX_LIMITS)
        assert len(told.to_json().encode()) <= MAX_MESSAGE_BYTES


def _arrays(pairs: Pairs) -> tuple[np.ndarray[Any, Any], ...]:
    return pairs.labels, pairs.champion, pairs.challenger


class TestValues:
    @pytest.mark.parametrize(("label", "said"), [(1, True), (1.0, 1), ("yes", "yes"), (False, 0)])
    def test_one_class_whoever_writes_it(self, label: Any, said: Any) -> None:
        pairs = classes([label, "other"], [said, "other"], ["else", "other"])
        assert list(pairs.labels == pairs.champion) == [True, True]
        assert list(pairs.labels == pairs.challenger) == [False, True]

    def test_two_kinds_are_never_the_same(self) -> None:
        with pytest.raises(TaskFailed, match="never the same: the label is 'yes', and a prediction 1"):
            classes(["yes", "no"], [1, 0], [1, 0])

    @pytest.mark.parametrize("wrong", ["a", None, float("nan")])
    def test_an_error_is_of_numbers(self, wrong: Any) -> None:
        with pytest.raises(TaskFailed, match="a prediction is .*; this metric is of numbers"):
            numbers([1.0], [wrong], [1.0])


class TestRun:
    """Rows x = 0, 1, ...; the label is whether x is odd."""

    @pytest.fixture
    def rows(self, claim: Path) -> Path:
        file = claim / "rows.csv"
        file.write_text("x,country,odd\n" + "".join(f"{x},{'DE' if x % 3 else ''},{x % 2}\n" for x in range(450)))
        return file

    @staticmethod
    def task(stable: Server, incoming: Server, *limits: dict[str, Any], **fields: Any) -> EvaluateTask:
        known = {
            "rows": Artifact(name="rows", uri="pvc://claim/rows.csv"),
            "stable": stable.url,
            "incoming": incoming.url,
            "label": "odd",
            "confidence": 0.95,
            "limits": limits or ({"name": "Accuracy", "min": 0.9},),
        }
        return EvaluateTask.model_validate(known | fields)

    @staticmethod
    def column(body: Any, name: str) -> list[Any]:
        split = body["dataframe_split"]
        return [row[split["columns"].index(name)] for row in split["data"]]

    @pytest.fixture
    def right(self, serve: Callable[..., Server]) -> Server:
        return serve(says(lambda body: {"predictions": [x % 2 for x in self.column(body, "x")]}))

    @pytest.fixture
    def wrong(self, serve: Callable[..., Server]) -> Server:
        """For every tenth row."""
        return serve(
            says(lambda body: {"predictions": [{"0": (x + (x % 10 == 0)) % 2} for x in self.column(body, "x")]})
        )

    def test_both_predict_all_rows_and_never_see_the_label(
        self, layout: Layout, rows: Path, right: Server, wrong: Server
    ) -> None:
        limits = [
            {"name": "Accuracy", "min": 0.95, "noWorseThanChampionBy": 0.01},
            {"name": "MeanAbsoluteError", "segment": "country", "minRows": 100, "max": 0.05},
            {"name": "F1", "max": 1},
        ]
        found = evaluation.run(self.task(right, wrong, *limits), layout)
        assert (found.rows, found.failure) == (450, "")
        first, second, third = found.limits
        assert (first.missed, first.value, first.champion) == (("min", "noWorseThanChampionBy"), 0.9, 1.0)
        assert (second.missed, second.segment, second.rows) == (("max",), "", 150)
        assert third.missed == ()
        for server in (right, wrong):
            assert sorted(x for body in server.asked for x in self.column(body, "x")) == list(range(450))
            assert all(body["dataframe_split"]["columns"] == ["x", "country"] for body in server.asked)

    def test_only_the_named_columns_are_sent(self, layout: Layout, rows: Path, right: Server) -> None:
        assert evaluation.run(self.task(right, right, columns=["x"]), layout).limits[0].value == 1.0
        assert all(body["dataframe_split"]["columns"] == ["x"] for body in right.asked)

    def test_how_long_they_take_is_seen_by_single_rows(self, layout: Layout, rows: Path, right: Server) -> None:
        (found,) = evaluation.run(self.task(right, right, {"name": "Latency", "max": 0.000001}), layout).limits
        assert found.missed == ("max",)
        assert found.rows == 200
        assert found.value
        assert all(len(body["dataframe_split"]["data"]) == 1 for body in right.asked)

    def test_rows_without_a_label_do_not_count(self, layout: Layout, rows: Path, right: Server) -> None:
        with rows.open("a") as file:
            file.write("1000,DE,\n" * 3)
        assert evaluation.run(self.task(right, right), layout).rows == 450

    def test_too_few_rows_are_not_asked_for(self, layout: Layout, rows: Path, right: Server) -> None:
        found = evaluation.run(self.task(right, right, min_rows=451), layout)
        assert (found.rows, found.limits, right.asked) == (450, (), [])

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (lambda body: (500, b"broken"), "answered 500: broken"),
            (says(lambda body: {"predictions": [1]}), "answered 1 predictions for 100 rows"),
            (says(lambda body: {"predictions": 1}), "answered no list of predictions for 100 rows"),
            (says(lambda body: {"predictions": [[1, 2]] * 100}), "answered no single value for a row"),
            (says(lambda body: {"predictions": [None] * 100}), "answered no single value for a row"),
        ],
    )
    def test_a_new_one_that_does_not_predict_fails_and_a_stable_one_says_nothing(
        self, layout: Layout, rows: Path, right: Server, serve: Callable[..., Server], answer: Any, words: str
    ) -> None:
        broken = serve(answer)
        assert words in evaluation.run(self.task(right, broken), layout).failure
        with pytest.raises(TaskFailed, match=f"the stable revision {words}"):
            evaluation.run(self.task(broken, right), layout)

    @pytest.mark.parametrize(
        ("fields", "reason", "words"),
        [
            ({"label": "even"}, Reason.INPUT_NOT_FOUND, "there is no column even; it has x, country, odd"),
            ({"columns": ["y"]}, Reason.INPUT_NOT_FOUND, "there is no column y"),
            ({"limits": [{"name": "Accuracy", "segment": "z", "min": 1}]}, Reason.INPUT_NOT_FOUND, "no column z"),
            ({"rows": {"name": "rows", "uri": "pvc://claim/none.csv"}}, Reason.NOT_FOUND, "the rows of the evaluation"),
        ],
    )
    def test_what_is_missing_is_named(
        self, layout: Layout, rows: Path, right: Server, fields: dict[str, Any], reason: Reason, words: str
    ) -> None:
        with pytest.raises(TaskFailed, match=words) as failed:
            evaluation.run(self.task(right, right, **fields), layout)
        assert failed.value.reason == reason

    def test_what_json_does_not_know_is_left_out(
        self, layout: Layout, claim: Path, serve: Callable[..., Server]
    ) -> None:
        lines = [json.dumps({"x": x, "at": "2026-01-01", "odd": x % 2}) for x in range(5)]
        (claim / "rows.csv").unlink(missing_ok=True)
        (claim / "rows.jsonl").write_text("\n".join([*lines, '{"x": null, "at": null, "odd": 0}']))
        server = serve(says(lambda body: {"predictions": [(x or 0) % 2 for x in self.column(body, "x")]}))
        rows = {"name": "rows", "uri": "pvc://claim/rows.jsonl"}
        assert evaluation.run(self.task(server, server, rows=rows), layout).limits[0].value == 1.0
