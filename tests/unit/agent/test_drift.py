"""How far data is from a reference: distances against what is known of them, and tables as people have them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.agent import drift, transfer
from perennial.agent.drift import distances
from perennial.agent.drift.compare import columns_of
from perennial.agent.failure import TaskFailed
from perennial.agent.layout import Layout
from perennial.api.drift import LIMITS
from perennial.api.task import Artifact, Drifted, DriftMethod, DriftTask, Reason

METHODS = list(DriftMethod)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PATIENCE", 0.0)


def people(count: int, seed: int, *, age: float = 40.0, plan: tuple[float, ...] = (0.7, 0.2, 0.1)) -> pl.DataFrame:
    """Rows as a model of churn may see them."""
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "age": random.normal(age, 10, count),
            "months": random.integers(0, 8, count),
            "plan": random.choice(["basic", "plus", "pro"], count, p=plan),
            "active": random.choice([True, False], count),
        }
    )


def judged(before: pl.DataFrame, now: pl.DataFrame, method: DriftMethod) -> dict[str, bool]:
    return {one.name: one.drifted for one in columns_of(before, now, method, LIMITS[method], ())}


class TestJudgement:
    @pytest.mark.parametrize("method", METHODS)
    def test_what_moved_is_found_and_nothing_else(self, method: DriftMethod) -> None:
        before = people(2000, 1)
        assert not any(judged(before, people(1000, 2), method).values())
        moved = judged(before, people(1000, 3, age=48.0, plan=(0.3, 0.2, 0.5)), method)
        assert moved == {"age": True, "plan": True, "months": False, "active": False}

    @pytest.mark.parametrize("method", METHODS)
    def test_values_that_are_missing_now(self, method: DriftMethod) -> None:
        before = people(1000, 1)
        gone = people(1000, 2).with_columns(plan=pl.lit(None, pl.String), age=pl.lit(None, pl.Float64))
        assert judged(before, gone, method) == {"age": True, "plan": True, "months": False, "active": False}

    @pytest.mark.parametrize("method", METHODS)
    def test_a_category_that_was_never_seen(self, method: DriftMethod) -> None:
        now = people(1000, 2).with_columns(plan=pl.lit("family"))
        assert judged(people(1000, 1), now, method)["plan"]

    @pytest.mark.parametrize("method", METHODS)
    def test_a_column_of_one_value(self, method: DriftMethod) -> None:
        same, other = pl.DataFrame({"x": [5.0] * 300}), pl.DataFrame({"x": [6.0] * 300})
        assert judged(same, same, method) == {"x": False}
        assert judged(same, other, method) == {"x": True}

    def test_numbers_that_became_texts_are_compared_as_categories(self) -> None:
        (found,) = columns_of(
            pl.DataFrame({"x": [1, 2] * 200}), pl.DataFrame({"x": ["1", "2"] * 200}), METHODS[0], 0.2, ()
        )
        assert not found.drifted
        assert set(found.bins.labels) == {"1", "2"}

    @pytest.mark.parametrize("method", [DriftMethod.KOLMOGOROV_SMIRNOV, DriftMethod.CHI_SQUARED])
    def test_of_many_columns_that_did_not_move_none_is_told_of(self, method: DriftMethod) -> None:
        """A thousand columns tested at one in a hundred would be wrong ten times without a correction."""
        random = np.random.default_rng(7)
        before = pl.DataFrame({f"c{n}": random.normal(size=400) for n in range(1000)})
        now = pl.DataFrame({f"c{n}": random.normal(size=400) for n in range(1000)})
        assert not any(judged(before, now, method).values())
        uncorrected = [distances.score(method, distances.of_numbers(*both), both)[1] for both in _pairs(before, now)]
        assert sum(one < 0.01 for one in uncorrected) >= 3


def _pairs(before: pl.DataFrame, now: pl.DataFrame) -> list[tuple[Any, Any]]:
    return [(before[name].to_numpy(), now[name].to_numpy()) for name in before.columns]


NUMBERS = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=60).map(np.array)


class TestDistances:
    @given(NUMBERS, NUMBERS, st.sampled_from(METHODS))
    @settings(max_examples=150, deadline=None)
    def test_a_score_is_a_number_that_is_least_far_for_the_same(self, a: Any, b: Any, method: DriftMethod) -> None:
        _, apart = distances.score(method, distances.of_numbers(a, b), (a, b))
        _, same = distances.score(method, distances.of_numbers(a, a), (a, a))
        assert np.isfinite(apart)
        if method in distances.TESTS:
            assert 0 <= apart <= 1
            assert same == pytest.approx(1)
        else:
            assert apart >= -1e-12
            assert same == pytest.approx(0, abs=1e-9)

    @given(NUMBERS, NUMBERS)
    def test_every_row_is_in_a_bin(self, a: Any, b: Any) -> None:
        bins = distances.of_numbers(a, b)
        assert bins.reference.sum() == len(a)
        assert bins.current.sum() == len(b)
        assert len(bins.labels) == bins.reference.size == bins.current.size

    def test_psi_is_that_of_the_formula(self) -> None:
        a, b = np.repeat([0.0, 1.0], [5000, 5000]), np.repeat([0.0, 1.0], [2000, 8000])
        expected = (0.2 - 0.5) * np.log(0.2 / 0.5) + (0.8 - 0.5) * np.log(0.8 / 0.5)
        assert distances.score(DriftMethod.PSI, distances.of_numbers(a, b), (a, b))[1] == pytest.approx(
            expected, rel=0.02
        )

    def test_wasserstein_is_in_standard_deviations(self) -> None:
        a = np.random.default_rng(0).normal(100, 20, 20_000)
        b = a + 10
        assert distances.score(DriftMethod.WASSERSTEIN, distances.of_numbers(a, b), (a, b))[1] == pytest.approx(
            0.5, rel=0.02
        )


class TestTheStep:
    @pytest.fixture
    def task(self) -> DriftTask:
        return DriftTask(
            reference=Artifact(name="reference", uri="s3://acme/train/"),
            current=Artifact(name="current", uri="pvc://claim/now"),
            method=DriftMethod.PSI,
            limit=0.2,
            min_rows=100,
            report="s3://acme/reports",
            title="Drift of team/churn <&>",
        )

    @pytest.fixture
    def place(self, s3: Any, claim: Path) -> Path:
        (claim / "now").mkdir()
        s3.fs.pipe("acme/train/part-1.csv", people(500, 1).write_csv().encode())
        s3.fs.pipe("acme/train/part-2.csv", people(500, 2).write_csv().encode())
        s3.fs.pipe("acme/train/README.md", b"not a table")
        return claim / "now"

    def test_files_of_every_kind_are_compared_and_reported(
        self, task: DriftTask, place: Path, layout: Layout, s3: Any
    ) -> None:
        people(300, 3, age=60.0).write_parquet(place / "a.parquet")
        people(300, 4, age=60.0).write_ndjson(place / "b.jsonl")
        found = drift.run(task, layout)
        assert (found.rows, found.reference_rows, found.columns, found.drifted) == (600, 1000, 4, 1)
        assert found.farthest[0].name == "age"
        assert found.farthest[0].score > 1
        assert found.report
        assert found.report.startswith("s3://acme/reports/")
        html = s3.fs.cat(found.report.removeprefix("s3://")).decode()
        assert "Drift of team/churn &lt;&amp;&gt;" in html
        assert html.count("<tr") == 5
        told = json.loads(s3.fs.cat(found.report.removeprefix("s3://").replace(".html", ".json")))
        assert next((one["column"], one["drifted"]) for one in told["columns"]) == ("age", True)
        assert Drifted.model_validate_json(found.to_json()) == found

    def test_only_the_columns_that_are_named(self, task: DriftTask, place: Path, layout: Layout) -> None:
        people(300, 3, age=60.0).write_csv(place / "a.csv")
        found = drift.run(task.model_copy(update={"columns": ("plan",)}), layout)
        assert (found.columns, found.drifted) == (1, 0)

    def test_the_log_of_requests_of_late(self, task: DriftTask, place: Path, layout: Layout) -> None:
        for hours, age in ((1, 60.0), (30, 40.0)):
            then = datetime.now(UTC) - timedelta(hours=hours)
            file = place / f"{then:%Y-%m-%d}" / f"{then:%H%M}-churn-x1-0a.jsonl"
            file.parent.mkdir(exist_ok=True)
            people(300, 3, age=age).with_columns(time=pl.lit("x"), prediction=pl.lit(0.1)).write_ndjson(file)
        found = drift.run(task.model_copy(update={"within_seconds": 7200}), layout)
        assert (found.rows, found.columns, found.drifted) == (300, 4, 1)
        nothing = drift.run(task.model_copy(update={"within_seconds": 60}), layout)
        assert (nothing.rows, nothing.drifted) == (0, 0)

    def test_few_rows_are_counted_and_not_compared(self, task: DriftTask, place: Path, layout: Layout) -> None:
        people(99, 3, age=60.0).write_csv(place / "a.csv")
        found = drift.run(task, layout)
        assert (found.rows, found.drifted, found.farthest, found.report) == (99, 0, (), None)

    @pytest.mark.parametrize(
        ("name", "content", "changes", "reason", "words"),
        [
            ("a.txt", b"a\n1", {}, Reason.INPUT_NOT_FOUND, "the current data: there is no table"),
            ("a.csv", b"other\n" + b"1\n" * 200, {}, Reason.INPUT_NOT_FOUND, "no column in common"),
            (
                "a.csv",
                b"age\n" + b"1\n" * 200,
                {"columns": ("plan",)},
                Reason.INPUT_NOT_FOUND,
                "no column plan; it has age",
            ),
            ("a.parquet", b"no parquet", {}, Reason.INPUT_INVALID, "the current data: cannot be read as a table"),
            ("a.jsonl", b'{"age": 1}\n{"age"', {}, Reason.INPUT_INVALID, "the current data: cannot be read as a table"),
            ("a.csv", b"", {}, Reason.INPUT_INVALID, "the current data: cannot be read as a table"),
        ],
    )
    def test_what_is_wrong_is_said(
        self,
        task: DriftTask,
        place: Path,
        layout: Layout,
        name: str,
        content: bytes,
        changes: dict[str, Any],
        reason: Reason,
        words: str,
    ) -> None:
        (place / name).write_bytes(content)
        with pytest.raises(TaskFailed) as failed:
            drift.run(task.model_copy(update=changes), layout)
        assert failed.value.reason == reason
        assert words in str(failed.value)

    def test_another_reference_than_the_model_was_trained_on(
        self, task: DriftTask, place: Path, layout: Layout
    ) -> None:
        people(300, 3).write_csv(place / "a.csv")
        other = task.reference.model_copy(update={"digest": "sha256:" + "0" * 64})
        with pytest.raises(TaskFailed, match="the reference .*its digest is") as failed:
            drift.run(task.model_copy(update={"reference": other}), layout)
        assert failed.value.reason == Reason.DIGEST_MISMATCH
