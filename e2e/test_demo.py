"""The loop that `make demo` shows, on real data: what it promises, asserted."""

from concurrent.futures import Future
from typing import Any

import pytest

from e2e.begun import ASKED, Played
from e2e.demo.story import LIMIT, NAMESPACE, POLICY
from e2e.lab import Body, Lab

ASK = """
import camera
from digits import halves
answer = camera.ask(halves()[1][0][0])
print(answer[1])
"""


@pytest.fixture(scope="module")
def played(playing: "Future[Played]") -> Played:
    """The loop, at its end; it is played beside the other tests, operators killed and all."""
    return playing.result(900)


@pytest.fixture(scope="module")
def run(played: Played) -> Body:
    """The policy's run that was promoted."""
    return next(dict(run) for run in played.recovered["status"]["runs"] if run["phase"] == "Promoted")


@pytest.fixture(scope="module")
def record(lab: Lab, run: Body) -> Body:
    """The ModelVersion that came of it."""
    return lab.get("modelversion", run["modelVersion"], NAMESPACE) or {}


def test_a_real_classifier_is_trained_and_gives_right_answers(played: Played) -> None:
    assert played.first["status"]["phase"] == "Succeeded"
    assert played.first["status"]["metrics"]["accuracy"] >= 0.9
    assert played.right >= 0.9 * ASKED
    assert played.served["status"]["modelVersion"] == "digits-1"


def test_a_fall_of_the_measured_accuracy_starts_one_retraining(played: Played, run: Body) -> None:
    cause = run["cause"]
    assert (cause["type"], cause["metric"], cause["limit"]) == ("Metric", "accuracy", LIMIT)
    assert cause["value"] < LIMIT
    assert cause["samples"] >= 200
    assert cause["revision"] == played.served["status"]["stableRevision"]


def test_its_version_beats_the_champion_and_accuracy_recovers(played: Played, record: Body) -> None:
    metrics = record["spec"]["metrics"]
    assert metrics["accuracy"] >= metrics["champion.accuracy"] - 0.01
    assert metrics["accuracy"] >= LIMIT
    assert played.recovered["status"]["triggers"][0]["value"] >= LIMIT
    assert played.right_again >= LIMIT * ASKED


def test_no_request_of_the_camera_failed(played: Played) -> None:
    assert played.requests > 500
    assert played.failures == 0


def test_the_origin_of_the_version_is_complete(lab: Lab, played: Played, run: Body, record: Body) -> None:
    spec: Any = record["spec"]
    champion = (lab.get("modelversion", "digits-1", NAMESPACE) or {})["spec"]
    assert spec["champion"] == {
        "deployment": "digits",
        "version": 1,
        "uri": champion["uri"],
        "digest": champion["digest"],
    }
    job = lab.get("trainingjob", run["trainingJob"], NAMESPACE) or {}
    assert spec["trainingJob"] == {"name": run["trainingJob"], "uid": job["metadata"]["uid"]}
    assert spec["retrain"] == {"policy": POLICY, "run": run["number"], "cause": run["cause"]}
    assert spec["parameters"] == {"c": 10, "gamma": 0.001, "cause": run["cause"]["message"]}
    assert spec["inputs"] == [{"name": "recorded", "uri": "pvc://recorded/digits"}]
    assert "perennial/digits" in spec["image"]
    assert "sha256:" in spec["image"]
    assert spec["evaluation"].startswith("digits-")
    assert spec["digest"].startswith("sha256:")
    assert spec["digest"] != champion["digest"]


def test_the_header_of_an_answer_leads_back_to_the_cause(lab: Lab, run: Body, record: Body) -> None:
    revision = lab.kubectl("exec", "-n", NAMESPACE, "deployment/camera", "--", "python", "-c", ASK).strip()
    deployment = lab.get("modeldeployment", "digits", NAMESPACE) or {}
    (promotion,) = (one for one in deployment["status"]["promotions"] if one["revision"] == revision)
    assert promotion["digest"] == record["spec"]["digest"]
    found = lab.get("modelversion", f"{promotion['model']}-{promotion['version']}", NAMESPACE) or {}
    assert found["spec"]["retrain"]["cause"] == run["cause"]
