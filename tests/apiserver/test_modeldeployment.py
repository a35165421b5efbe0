"""ModelDeployments on a real API server with Kubernetes' own controllers; the test plays the kubelet of their pods."""

from pathlib import Path

import pytest
import yaml

from perennial.api.resources import DEPLOYMENTS, MODELVERSIONS, SERVICES
from tests.apiserver.operators import Perennial, eventually
from tests.apiserver.serving import LOAD_FAILED, SERVER, Serving
from tests.apiserver.space import Space

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "modeldeployment.yaml"


@pytest.fixture
def serving(space: Space) -> Serving:
    return Serving(space)


def test_a_version_is_served_and_then_nothing_is_written(serving: Serving) -> None:
    serving.deploy()
    assert "no version yet" in serving.says("Ready", "False", "WaitingForVersion")
    serving.version(1)
    revision = serving.rolling()
    assert serving.pinned() == revision
    serving.ready(revision)
    serving.says("Ready", "True", "Serving")
    serving.space.server.kubectl(
        "wait", "-n", serving.space.name, "--for=condition=Ready", "--timeout=5s", "mdep/churn"
    )
    status = serving.status
    assert (status["modelVersion"], status["stableRevision"]) == ("churn-1", revision)
    assert status["url"] == f"http://churn.{serving.space.name}.svc"
    (pod,) = serving.pods(revision)
    assert [one["name"] for one in pod["spec"]["initContainers"]] == ["fetch"]
    assert pod["spec"]["containers"][0]["ports"][0]["name"] == "http"
    eventually(lambda: {event["reason"] for event in serving.space.events("churn")} >= {"RolloutStarted", "Promoted"})
    serving.space.idle(5)


def test_a_new_version_takes_over(serving: Serving) -> None:
    old = serving.serve_first()
    serving.version(2)
    new = serving.rolling()
    assert serving.pinned() == old
    serving.ready(new)
    eventually(lambda: serving.pinned() is None)
    assert serving.wanted(old) == 1
    serving.says("Ready", "True", "Serving", 30)
    eventually(lambda: serving.pinned() == new)
    assert serving.wanted(old) == 1, "it goes when every node knows"
    eventually(lambda: serving.wanted(old) == 0, 30)
    assert serving.status["modelVersion"] == "churn-2"


def test_a_model_that_does_not_load_never_takes_traffic(serving: Serving) -> None:
    old = serving.serve_first()
    serving.version(2)
    new = serving.rolling()
    serving.ended(new, 78, LOAD_FAILED)
    assert "not a model at all" in serving.says("Ready", "False", "RolloutFailed")
    serving.says("Available", "True", "Serving")
    eventually(lambda: serving.space.get(DEPLOYMENTS, new) is None, 30)
    assert (serving.pinned(), serving.wanted(old)) == (old, 1)
    assert serving.status["vetoes"][0]["version"] == 2
    serving.version(3)
    serving.ready(serving.rolling())
    serving.says("Ready", "True", "Serving", 30)


def test_a_server_that_never_answers_ready_is_rolled_back_at_the_deadline(serving: Serving) -> None:
    old = serving.serve_first(progressDeadlineSeconds=5)
    serving.version(2)
    serving.rolling()
    assert "within 5 s" in serving.says("Ready", "False", "RolloutFailed")
    assert serving.pinned() == old


def test_pods_that_are_refused_are_said_in_the_servers_words(serving: Serving) -> None:
    serving.serve_first()
    quota = {"metadata": {"name": "full"}, "spec": {"hard": {"pods": "1"}}}
    serving.space.server.request("POST", f"/api/v1/namespaces/{serving.space.name}/resourcequotas", quota)
    used = f"/api/v1/namespaces/{serving.space.name}/resourcequotas/full"
    eventually(lambda: serving.space.server.request("GET", used).get("status", {}).get("used"))
    serving.version(2)
    serving.rolling()
    eventually(lambda: "exceeded quota: full" in serving.status["rollout"].get("message", ""))
    serving.says("Available", "True", "Serving")


def test_a_template_that_the_server_refuses_is_rolled_back_in_its_words(serving: Serving) -> None:
    old = serving.serve_first()
    serving.edit(template={"spec": {"containers": [SERVER | {"imagePullPolicy": "Sometimes"}]}})
    assert "imagePullPolicy" in serving.says("Ready", "False", "RolloutFailed")
    assert (serving.pinned(), serving.wanted(old)) == (old, 1)
    serving.edit(template={"spec": {"containers": [SERVER]}})
    serving.says("Ready", "True", "Serving")


def test_a_rollout_goes_on_where_a_killed_operator_left_it(serving: Serving, perennial: Perennial) -> None:
    old = serving.serve_first()
    serving.version(2)
    new = serving.rolling()
    perennial.kill()
    try:
        serving.ready(new)
        assert serving.pinned() == old
    finally:
        perennial.restart()
    eventually(lambda: serving.pinned() is None)
    perennial.kill()
    perennial.restart()
    serving.says("Ready", "True", "Serving", 40)
    eventually(lambda: serving.pinned() == new)
    created = serving.space.requests()["create deployments"]
    assert created == 2


def test_a_canary_stays_at_its_weight_until_a_person_goes_on(serving: Serving, perennial: Perennial) -> None:
    steps = [{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}, {"pause": {"duration": "1s"}}]
    old = serving.serve_first(replicas=3, strategy={"canary": {"steps": steps}})
    serving.version(2)
    new = serving.rolling()
    assert (serving.wanted(old), serving.wanted(new)) == (3, 1)
    serving.ready(new)
    eventually(lambda: (serving.status.get("rollout") or {}).get("step") == 1, 30)
    traffic = serving.status["traffic"]
    assert (traffic["mechanism"], traffic["requestedWeight"], traffic["actualWeight"]) == ("ReplicaRatio", 25, 25)
    # What is written last may else be written after the restart.
    serving.space.rests()
    perennial.kill()
    perennial.restart()
    serving.space.idle(3)
    assert (serving.wanted(old), serving.wanted(new)) == (3, 1)
    serving.asks("skip-step", "1")
    eventually(lambda: serving.wanted(new) == 2)
    serving.ready(new, 2)
    eventually(lambda: serving.wanted(new) == 3, 40)
    serving.ready(new, 3)
    serving.says("Ready", "True", "Serving", 40)
    eventually(lambda: serving.pinned() == new)


def test_a_canary_that_reports_worse_results_is_rolled_back(serving: Serving) -> None:
    analysis = {"interval": "1s", "metrics": [{"name": "accuracy", "noWorseThanStableBy": 0.02}]}
    steps = [{"setWeight": 50}, {"analysis": {}}]
    old = serving.serve_first(strategy={"canary": {"steps": steps, "analysis": analysis}})
    serving.version(2)
    new = serving.rolling()
    serving.ready(new)
    eventually(lambda: (serving.status.get("rollout") or {}).get("analysis", {}).get("verdict") == "Inconclusive", 30)
    serving.space.measured("churn", "accuracy", 0.9, count=5_000)
    serving.space.measured("churn", "accuracy", 0.5, count=500, revision=new)
    assert "accuracy 0.5, 0.9 of the stable one" in serving.says("Ready", "False", "RolloutFailed")
    eventually(lambda: serving.pinned() == old)
    assert serving.status["vetoes"][0]["reason"] == "AnalysisFailed"


def test_a_canary_aborted_by_hand_gets_no_more_requests(serving: Serving) -> None:
    old = serving.serve_first(strategy={"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}})
    serving.version(2)
    new = serving.rolling()
    serving.ready(new)
    eventually(lambda: serving.pinned() is None)
    serving.asks("abort", "1")
    assert "was aborted by hand" in serving.says("Stalled", "True", "Aborted")
    eventually(lambda: serving.pinned() == old)
    eventually(lambda: serving.space.get(DEPLOYMENTS, new) is None, 30)
    eventually(lambda: [one["name"] for one in serving.status["revisions"]] == [old])


def test_with_blue_green_requests_go_to_one_revision_or_the_other(serving: Serving, perennial: Perennial) -> None:
    strategy = {"blueGreen": {"autoPromotionEnabled": False}}
    old = serving.serve_first(replicas=2, strategy=strategy)
    serving.version(2)
    new = serving.rolling()
    assert (serving.wanted(old), serving.wanted(new)) == (2, 2)
    serving.ready(new, 2)
    eventually(lambda: "stepTime" in (serving.status.get("rollout") or {}), 30)
    assert "answers at http://churn-preview." in serving.says("Ready", "False", "RollingOut")
    assert (serving.pinned(), serving.pinned("churn-preview")) == (old, new)
    perennial.kill()
    perennial.restart()
    serving.asks("skip-step", "1")
    eventually(lambda: serving.pinned() == new, 30)
    serving.says("Ready", "True", "Serving", 40)
    serving.edit(strategy={"blueGreen": None, "rollingUpdate": {}})
    eventually(lambda: serving.space.get(SERVICES, "churn-preview") is None)


def test_what_is_changed_or_deleted_by_hand_is_put_right(serving: Serving) -> None:
    revision = serving.serve_first()
    serving.space.patch(DEPLOYMENTS, revision, {"spec": {"replicas": 4}})
    eventually(lambda: serving.wanted(revision) == 1)
    serving.space.patch(SERVICES, "churn", {"spec": {"selector": {"app": "other", "perennial.dev/revision": "x"}}})
    expected = {"perennial.dev/modeldeployment": "churn", "perennial.dev/revision": revision}
    eventually(lambda: serving.space.there(SERVICES, "churn")["spec"]["selector"] == expected)
    before = serving.space.there(DEPLOYMENTS, revision)["metadata"]["uid"]
    serving.space.delete(DEPLOYMENTS, revision)
    eventually(
        lambda: (serving.space.get(DEPLOYMENTS, revision) or {"metadata": {"uid": before}})["metadata"]["uid"] != before
    )
    serving.space.delete(SERVICES, "churn")
    eventually(lambda: serving.pinned() == revision)


def test_labels_that_somebody_took_off_a_revision_come_back(serving: Serving) -> None:
    serving.version(1)
    serving.deploy()
    revision = serving.rolling()
    labels = serving.space.there(DEPLOYMENTS, revision)["metadata"]["labels"]
    # Without them the Deployment drops out of what the operator watches, and it would never be seen to be ready.
    serving.space.patch(DEPLOYMENTS, revision, {"metadata": {"labels": dict.fromkeys(labels)}})
    eventually(lambda: serving.space.there(DEPLOYMENTS, revision)["metadata"].get("labels") == labels)
    serving.ready(revision)
    serving.says("Ready", "True", "Serving")


def test_a_revision_without_its_labels_that_is_not_wanted_any_more_goes_too(serving: Serving) -> None:
    first = serving.serve_first(scaleDownDelay="1s")
    serving.version(2)
    second = serving.rolling()
    labels = serving.space.there(DEPLOYMENTS, first)["metadata"]["labels"]
    serving.space.patch(DEPLOYMENTS, first, {"metadata": {"labels": dict.fromkeys(labels)}})
    serving.ready(second)
    eventually(lambda: serving.pinned() == second, 30)
    eventually(lambda: serving.wanted(first) == 0, 30)


@pytest.mark.parametrize("name", ["churn", "churn-preview"])
def test_a_service_of_somebody_else_is_not_touched(serving: Serving, name: str) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": serving.space.name},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 1}]},
    }
    serving.space.create(theirs)
    serving.version(1)
    serving.deploy(strategy={"blueGreen": {}})
    assert f"Service {name}: " in serving.says("Stalled", "True", "NameTaken")
    assert serving.space.there(SERVICES, name)["spec"]["selector"] == {"app": "theirs"}
    serving.space.delete(SERVICES, name)
    serving.ready(serving.rolling())
    serving.says("Ready", "True", "Serving", 70)


def test_scaling_by_kubectl(serving: Serving) -> None:
    revision = serving.serve_first()
    scale = ("scale", "-n", serving.space.name, "mdep/churn")
    serving.space.server.kubectl(*scale, "--replicas=3")
    serving.ready(revision, 3)
    eventually(lambda: serving.status["readyReplicas"] == 3)
    serving.says("Ready", "True", "Serving")
    serving.space.server.kubectl(*scale, "--replicas=0")
    serving.says("Ready", "True", "ScaledToZero")
    eventually(lambda: serving.status["replicas"] == 0)


def test_a_rejected_version_gives_way_to_its_predecessor(serving: Serving) -> None:
    old = serving.serve_first()
    serving.version(2)
    serving.ready(serving.rolling())
    eventually(lambda: serving.status.get("modelVersion") == "churn-2", 30)
    serving.space.patch(MODELVERSIONS, "churn-2", {"spec": {"approval": "Rejected", "approvedBy": "kim"}})
    assert serving.rolling() == old
    serving.ready(old)
    eventually(lambda: serving.status.get("modelVersion") == "churn-1", 30)
    serving.says("Ready", "True", "Serving")


def test_the_gate_holds_a_worse_version(serving: Serving) -> None:
    old = serving.serve_first()
    serving.edit(gate={"metrics": [{"name": "accuracy", "noWorseThanChampionBy": 0.01}]})
    champion = {"deployment": "churn", "version": 1, "uri": "s3://acme/churn/1", "digest": f"sha256:{1:064x}"}
    serving.version(2, metrics={"accuracy": 0.8, "champion.accuracy": 0.9}, champion=champion)
    eventually(lambda: serving.status.get("candidates"))
    (candidate,) = serving.status["candidates"]
    assert (candidate["state"], candidate["reason"]) == ("Rejected", "GateNotPassed")
    assert "accuracy 0.8 is worse than the champion's 0.9" in candidate["message"]
    serving.version(3, metrics={"accuracy": 0.9, "champion.accuracy": 0.9}, champion=champion)
    assert serving.rolling() != old


def test_a_format_that_nothing_serves(serving: Serving) -> None:
    serving.version(1, format="onnx")
    serving.deploy(template={})
    assert "'onnx'" in serving.says("Stalled", "True", "NoRuntime")


def test_the_example_of_the_documentation(serving: Serving) -> None:
    serving.space.server.kubectl("apply", "-n", serving.space.name, "-f", str(EXAMPLE))
    assert yaml.safe_load(EXAMPLE.read_text())["metadata"]["name"] == "churn"
    serving.version(1, metrics={"accuracy": 0.91})
    revision = serving.rolling()
    (container,) = serving.pods(revision, 3)[0]["spec"]["containers"]
    assert (container["name"], container["image"]) == ("server", "preset:1")
    assert container["resources"]["requests"]["memory"] == "512Mi"
    serving.ready(revision, 3)
    serving.says("Ready", "True", "Serving")
