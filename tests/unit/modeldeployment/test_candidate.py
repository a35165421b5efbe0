"""Which version is served, and what is said of the others."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.modeldeployment import ModelDeploymentSpec, Promotion, Veto
from perennial.api.modelversion import ModelVersionSpec
from perennial.modeldeployment.candidate import Choice, Situation, choose
from perennial.modeldeployment.revision import Model, revision_of
from tests.unit.modeldeployment.world import CONFIG, NAME, START, a_version, digest

FILES = {"uri": "s3://acme/x", "digest": digest(9), "format": "sklearn"}
GATE = {"metrics": [{"name": "accuracy", "noWorseThanChampionBy": 0.01}]}


def record(number: int, **fields: Any) -> ModelVersionSpec:
    return ModelVersionSpec.model_validate(a_version(number, **fields)["spec"])


def situation(
    *versions: ModelVersionSpec,
    promoted: Sequence[int] = (),
    vetoed: Sequence[int] = (),
    model: dict[str, Any] | None = None,
    **fields: Any,
) -> Situation:
    spec = ModelDeploymentSpec.model_validate({"model": model or {"name": "churn"}, **fields})
    by_number = {one.version: one for one in versions}

    def revision(number: int) -> str:
        return revision_of(NAME, spec, Model.of_version(by_number.get(number) or record(number)))

    return Situation(
        name=NAME,
        spec=spec,
        versions=by_number,
        promotions=[
            Promotion(
                revision=revision(number),
                model="churn",
                version=number,
                digest=digest(number),
                uri=f"s3://acme/churn/{number}",
                format="sklearn",
                time=START,
            )
            for number in promoted
        ],
        vetoes=[
            Veto(revision=revision(number), version=number, reason="ModelLoadFailed", message="broken", time=START)
            for number in vetoed
        ],
        runtimes=CONFIG.serving_runtimes,
    )


class TestSkippedGate:
    LOW: ClassVar[dict[str, Any]] = {"metrics": [{"name": "accuracy", "min": 0.9}]}

    def choice(self, skip: str, gate: dict[str, Any] | None = None, **metrics: float) -> Choice:
        versions = record(1), record(2, metrics={"accuracy": 0.8} | metrics)
        return choose(replace(situation(*versions, promoted=[1], gate=gate or self.LOW), skip_gate=skip))

    @pytest.mark.parametrize("skip", ["2 the label feed was down", "churn-2 the label\nfeed was down", "2", " 2 "])
    def test_a_person_lets_one_version_in(self, skip: str) -> None:
        choice = self.choice(skip)
        assert outcome(choice) == (2, {}, None)
        words = choice.gate_skipped or ""
        assert words.startswith("version 2 does not pass spec.gate: accuracy 0.8 is below the minimum 0.9; let in")
        assert words.endswith("by hand" + (": the label feed was down" if "feed" in skip else ""))

    @pytest.mark.parametrize("skip", ["", "3", "22", "None", "churn", "1 2", "\n"])
    def test_and_no_other(self, skip: str) -> None:
        choice = self.choice(skip)
        assert choice.candidates[0].reason == "GateNotPassed"
        assert choice.gate_skipped is None

    def test_what_passes_needs_nobody(self) -> None:
        assert self.choice("2", accuracy=0.95).gate_skipped is None

    def test_what_would_have_to_be_evaluated_is_not(self) -> None:
        gate = {"evaluation": {"uri": "s3://acme/rows", "label": "y", "metrics": [{"name": "F1", "min": 0.1}]}}
        words = self.choice("2 x" * 1000, gate).gate_skipped or ""
        assert words.startswith("version 2 is not evaluated (spec.gate.evaluation); let in by hand")
        assert len(words) <= 1000


def outcome(choice: Choice) -> tuple[int | None, dict[int | None, str], str | None]:
    said = {one.version: f"{one.state.value}/{one.reason}" for one in choice.candidates}
    return choice.model.version if choice.model else None, said, choice.block.reason if choice.block else None


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        pytest.param(situation(), (None, {}, "WaitingForVersion"), id="no version"),
        pytest.param(
            situation(record(1), record(3), record(2)),
            (3, {2: "Superseded/Superseded", 1: "Superseded/Superseded"}, None),
            id="the highest",
        ),
        pytest.param(situation(record(1), record(2), promoted=[2]), (2, {}, None), id="nothing above the last"),
        pytest.param(
            situation(record(1), record(2, approval="Rejected")),
            (1, {2: "Rejected/RejectedByPerson"}, None),
            id="a rejected one is passed over",
        ),
        pytest.param(
            situation(record(1), record(2), approval="Manual", promoted=[1]),
            (1, {2: "Waiting/NotApproved"}, None),
            id="waits for approval",
        ),
        pytest.param(
            situation(record(1), approval="Manual"),
            (None, {1: "Waiting/NotApproved"}, "NotApproved"),
            id="the first one waits too",
        ),
        pytest.param(
            situation(record(1), record(2, approval="Approved"), approval="Manual"),
            (2, {1: "Waiting/NotApproved"}, None),
            id="approved",
        ),
        pytest.param(
            situation(record(1), record(2), promoted=[1], vetoed=[2]),
            (1, {2: "Vetoed/ModelLoadFailed"}, "RolloutFailed"),
            id="vetoed",
        ),
        pytest.param(
            situation(record(1), record(2, format="onnx"), promoted=[1]),
            (1, {2: "Waiting/NoRuntime"}, "NoRuntime"),
            id="nothing to serve it with",
        ),
        pytest.param(
            situation(record(1), runtime="triton"),
            (None, {1: "Waiting/UnknownRuntime"}, "UnknownRuntime"),
            id="no such runtime",
        ),
        pytest.param(
            situation(record(1), record(2, metrics={"accuracy": 0.9}), promoted=[1], gate=GATE),
            (1, {2: "Rejected/GateNotComputable"}, None),
            id="a gate that cannot be computed is not passed",
        ),
        pytest.param(
            situation(record(1, metrics={"accuracy": 0.9}), gate=GATE), (1, {}, None), id="no champion, no comparison"
        ),
        pytest.param(
            situation(record(1), record(2), model={"name": "churn", "version": 1}, promoted=[2]),
            (1, {}, None),
            id="pinned below the one served",
        ),
        pytest.param(
            situation(record(2), model={"name": "churn", "version": 7}, promoted=[2]),
            (2, {}, "VersionNotFound"),
            id="pinned to none that exists",
        ),
        pytest.param(
            situation(model={"name": "churn", "version": 2}, promoted=[2]),
            (2, {}, None),
            id="the record of the one served is gone",
        ),
        pytest.param(
            situation(record(1), record(2), model={"name": "churn", "version": 1}, approval="Manual", promoted=[2]),
            (2, {1: "Waiting/NotApproved"}, "NotApproved"),
            id="a pin waits for approval",
        ),
        pytest.param(
            situation(
                record(1, metrics={"accuracy": 0.8}), record(2), model={"name": "churn", "version": 1}, gate=GATE,
                promoted=[2, 1],
            ),
            (1, {}, None),
            id="going back is no contest with the one left",
        ),
        pytest.param(
            situation(
                record(1, metrics={"accuracy": 0.8}), record(2), model={"name": "churn", "version": 1},
                gate={"metrics": [{"name": "accuracy", "min": 0.9}]}, promoted=[2, 1],
            ),
            (2, {1: "Rejected/GateNotPassed"}, "GateNotPassed"),
            id="but absolute limits hold for it",
        ),
        pytest.param(
            situation(record(1), record(2, approval="Rejected"), promoted=[2, 1]), (1, {}, None), id="back to the last"
        ),
        pytest.param(
            situation(
                record(1), record(2, approval="Rejected"), record(3, approval="Rejected"), promoted=[3, 2, 3, 1]
            ),
            (1, {}, None),
            id="back over another rejected one",
        ),
        pytest.param(
            situation(record(1), record(2, approval="Rejected"), approval="Manual", promoted=[2, 1]),
            (None, {}, "ServedVersionRejected"),
            id="never back to one that is not approved",
        ),
        pytest.param(
            situation(
                record(1), record(2, approval="Rejected"), model={"name": "churn", "version": 2}, promoted=[2, 1]
            ),
            (1, {}, "RejectedByPerson"),
            id="a rejection wins over a pin",
        ),
        pytest.param(situation(model=FILES), (None, {}, None), id="files"),
        pytest.param(
            situation(model=FILES, gate=GATE), (None, {None: "Rejected/GateNotComputable"}, "GateNotComputable"),
            id="files have no metrics for a gate",
        ),
        pytest.param(
            situation(model=FILES, approval="Manual"), (None, {None: "Waiting/NotApproved"}, "NotApproved"),
            id="files have nothing to approve",
        ),
    ],
)  # fmt: skip
def test_choice(given_: Situation, expected: tuple[int | None, dict[int | None, str], str | None]) -> None:
    assert outcome(choose(given_)) == expected


def test_files_are_chosen_by_uri() -> None:
    choice = choose(situation(model=FILES))
    assert choice.model == Model(None, None, "s3://acme/x", digest(9), "sklearn", None)


def test_a_gate_says_all_it_misses() -> None:
    gate = {"metrics": [{"name": "accuracy", "min": 0.9}, {"name": "f1", "min": 0.5}]}
    choice = choose(situation(record(1, metrics={"accuracy": 0.5}), gate=gate))
    assert choice.candidates[0].reason == "GateNotPassed"
    assert "accuracy 0.5 is below the minimum 0.9; f1 was not measured" in choice.candidates[0].message


numbers = st.sets(st.integers(1, 12), max_size=12)


@given(numbers, numbers, numbers, st.none() | st.integers(1, 12))
def test_the_choice_is_the_highest_eligible_one_above_the_last(
    there: set[int], rejected: set[int], vetoed: set[int], last: int | None
) -> None:
    versions = [record(number, approval="Rejected" if number in rejected else None) for number in there]
    choice = choose(situation(*versions, promoted=[last] if last else [], vetoed=sorted(vetoed - {last})))
    eligible = {number for number in there - rejected - vetoed if number > (last or 0)}
    kept = None if last in rejected & there else last
    assert (choice.model.version if choice.model else None) == max(eligible, default=kept)
    assert {one.version for one in choice.candidates} == {n for n in there if n > (last or 0)} - {
        max(eligible, default=0)
    }
