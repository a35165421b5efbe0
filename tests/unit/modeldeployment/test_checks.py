"""The analysis' source `job`: a Job for each look, which measures the new revision, or decides by itself."""

from typing import Any

import pytest

from perennial.analysis import AnalysisMetric
from perennial.api.base import format_time
from perennial.api.meta import LABEL_CHECK, LABEL_OWNED
from perennial.api.resources import JOBS, NETWORKPOLICIES, PODS, SERVICES
from perennial.plan import Body
from perennial.questions import Answer, Rehearsal
from perennial.view import Refusal
from tests.unit.modeldeployment.play import at, passes, reasons, rolling
from tests.unit.modeldeployment.test_analysis import found, looked_at
from tests.unit.modeldeployment.test_canary import canary
from tests.unit.modeldeployment.world import NAME, NAMESPACE, World, a_version, waiting

TEMPLATE: Body = {"spec": {"containers": [{"name": "smoke", "image": "acme/smoke:1"}]}}


def smoke(**more: Any) -> Body:
    return {"name": "smoke", "source": {"job": {"template": TEMPLATE}}, **more}


def checked(*metrics: Body, **analysis: Any) -> World:
    """Half of the requests go to version 2, and the first look is due."""
    world = looked_at({"analysis": {}}, metrics=list(metrics or (smoke(),)), **analysis)
    passes(world, 60)
    return world


def jobs(world: World) -> list[Body]:
    return list(world.list(JOBS, NAMESPACE))


def ends(world: World, code: int = 0, message: str = "", *, number: int = -1, reason: str = "", **job: Any) -> None:
    """The pod of a Job ends, and its Job with it."""
    body = jobs(world)[number]
    owner = {"uid": body["metadata"]["uid"], "controller": True, "kind": "Job", "name": body["metadata"]["name"]}
    template = body["spec"]["template"]
    name = f"{body['metadata']['name']}-x"
    ended = {"exitCode": code, "message": message} | ({"reason": reason} if reason else {})
    statuses = [
        {"name": one["name"], "state": {"terminated": ended if not place else {"exitCode": 0}}}
        for place, one in enumerate(template["spec"]["containers"])
    ]
    metadata = {"name": name, "namespace": NAMESPACE, "uid": name, "ownerReferences": [owner]}
    metadata |= {"labels": template["metadata"]["labels"]}
    pod: Body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": []}}
    world.put({**pod, "status": {"containerStatuses": statuses}})
    condition = {"type": "Failed" if code else "Complete", "status": "True", "message": "", **job}
    body["status"] = {"conditions": [condition | {"lastTransitionTime": format_time(world.now)}]}


def test_a_job_is_made_for_the_look_and_asks_the_new_revision() -> None:
    world = checked()
    (job,) = jobs(world)
    spec = job["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (0, 600)
    labels = spec["template"]["metadata"]["labels"]
    assert labels == {LABEL_OWNED: "true", LABEL_CHECK: NAME}, "the Service selects it not"
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    env = {one["name"]: one["value"] for one in pod["containers"][0]["env"]}
    assert env == {
        "PERENNIAL_DEPLOYMENT": NAME,
        "PERENNIAL_NAMESPACE": NAMESPACE,
        "PERENNIAL_REVISION": world.rolling,
        "PERENNIAL_MODEL_VERSION": "2",
        "PERENNIAL_METRIC": "smoke",
        "PERENNIAL_SINCE": found(world)["startTime"],
        "PERENNIAL_URL": f"http://{NAME}-preview.{NAMESPACE}.svc",
    }, "the Service that both share is nobody's"
    assert world.objects[SERVICES, f"{NAME}-preview"]["spec"]["selector"]["perennial.dev/revision"] == world.rolling
    assert len(job["metadata"]["name"]) <= 63
    passes(world, 300)
    assert jobs(world) == [job], "the look waits for it"
    assert at(world) == (2, 50)


def test_behind_a_service_of_its_own_the_stable_one_is_named_too() -> None:
    world = rolling({"blueGreen": {"prePromotionAnalysis": {"metrics": [smoke()]}}})
    passes(world, 120)
    env = {one["name"]: one["value"] for one in jobs(world)[-1]["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["PERENNIAL_STABLE_URL"] == f"http://{NAME}.{NAMESPACE}.svc"


def test_what_the_template_says_stands() -> None:
    template: Body = {
        "metadata": {"labels": {"team": "churn"}, "annotations": {"a": "b"}},
        "spec": {
            "serviceAccountName": "looker",
            "initContainers": [{"name": "get", "image": "acme/get:1"}],
            "containers": [
                {"name": "smoke", "image": "a:1", "env": [{"name": "PERENNIAL_URL", "value": "http://other"}]}
            ],
        },
    }
    world = checked(smoke(source={"job": {"template": template, "activeDeadlineSeconds": 30}}))
    (job,) = jobs(world)
    made = job["spec"]["template"]
    assert job["spec"]["activeDeadlineSeconds"] == 30
    assert made["metadata"]["labels"]["team"] == "churn"
    assert made["metadata"]["annotations"] == {"a": "b"}
    assert "automountServiceAccountToken" not in made["spec"]
    env = made["spec"]["containers"][0]["env"]
    assert [one["value"] for one in env if one["name"] == "PERENNIAL_URL"] == ["http://other"]
    assert "PERENNIAL_URL" in [one["name"] for one in made["spec"]["initContainers"][0]["env"]]


def test_it_decides_by_its_exit_code() -> None:
    good = checked()
    ends(good, 0)
    passes(good, 60)
    assert good.serves == 2
    bad = checked()
    ends(bad, 3, "the answers are in the wrong unit", reason="Error")
    passes(bad, 60)
    assert bad.candidate(2)["reason"] == "AnalysisFailed"
    words = "smoke: its Job says that it is not good: the answers are in the wrong unit"
    assert words in bad.candidate(2)["message"]


@pytest.mark.parametrize(
    ("verdict", "shown"), [("Pass", "AnalysisPass"), ("Fail", "AnalysisFail"), ("Inconclusive", "AnalysisInconclusive")]
)
@pytest.mark.parametrize("code", [0, 1])
def test_it_decides_by_what_it_leaves(verdict: str, shown: str, code: int) -> None:
    world = checked()
    ends(world, code, f'{{"verdict": "{verdict}", "message": "as I see it"}}')
    passes(world, 40)
    assert shown in reasons(world)
    told = next(event.message for event in world.events if event.reason == shown)
    assert told.endswith("as I see it")


def test_each_look_has_a_job_of_its_own() -> None:
    world = checked()
    ends(world, 0, '{"verdict": "Inconclusive"}')
    passes(world, 70)
    assert len(jobs(world)) == 2
    ends(world, 0)
    passes(world, 60)
    assert world.serves == 2


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ({"code": 137, "reason": "OOMKilled"}, "ended with exit code 137 (OOMKilled)"),
        ({"code": 143, "message": "stopped"}, "ended with exit code 143 (SIGTERM): stopped"),
        ({"code": 1, "reason": "OOMKilled"}, "ended with exit code 1 (OOMKilled)"),
        ({"code": 1, "type": "Failed"}, ""),
    ],
)
def test_one_that_is_ended_has_not_decided(end: Body, words: str) -> None:
    world = checked()
    reason = {"reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline"}
    ends(world, end.get("code", 0), end.get("message", ""), reason=end.get("reason", ""))
    if not words:
        world.list(JOBS, NAMESPACE)[-1]["status"]["conditions"][0] |= reason
        words = "failed: Job was active longer than specified deadline"
    passes(world, 40)
    assert found(world)["verdict"] == "Error"
    assert words in found(world)["metrics"][0]["message"]


def test_with_a_limit_it_measures() -> None:
    world = checked(smoke(max=0.05, lowerIsBetter=True))
    ends(world, 0, '{"value": 0.01, "count": 5000, "minimum": 0, "maximum": 1}')
    passes(world, 60)
    assert world.serves == 2
    bad = checked(smoke(max=0.05, lowerIsBetter=True))
    ends(bad, 0, '{"value": 0.25, "count": 500, "minimum": 0, "maximum": 1}')
    passes(bad, 60)
    assert bad.candidate(2)["reason"] == "AnalysisFailed"


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (0, "all fine", "left no sample in its termination message"),
        (0, '{"count": 3}', "value: Field required"),
        (1, "Traceback", "ended with exit code 1: Traceback"),
    ],
)
def test_with_a_limit_no_number_is_an_error(code: int, message: str, words: str) -> None:
    world = checked(smoke(min=0.9))
    ends(world, code, message)
    passes(world, 40)
    assert found(world)["verdict"] == "Error"
    assert words in found(world)["metrics"][0]["message"]
    assert world.serves == 1


def test_nothing_measured_is_no_pass() -> None:
    world = checked(smoke(min=0.9))
    ends(world, 0, '{"value": null}')
    passes(world, 40)
    assert found(world)["verdict"] == "Inconclusive"


def test_one_that_is_refused_is_told_of_and_tried_again_at_the_next_look() -> None:
    world = checked()
    (job,) = jobs(world)
    name = job["metadata"]["name"]
    del world.objects[JOBS, name]
    world.refused[name] = Refusal(JOBS, name, "Forbidden", "exceeded quota: pods")
    world.reconcile()
    world.reconcile()
    assert found(world)["verdict"] == "Error"
    assert "the Job is refused: exceeded quota: pods" in found(world)["metrics"][0]["message"]
    passes(world, 80)
    assert len(jobs(world)) == 1
    ends(world, 0)
    passes(world, 60)
    assert world.serves == 2


def test_one_that_cannot_begin_is_told_of_while_it_is_waited_for() -> None:
    world = checked()
    ends(world, 0)
    del jobs(world)[-1]["status"]
    for pod in world.list(PODS, NAMESPACE):
        if LABEL_CHECK in pod["metadata"]["labels"]:
            pod["status"] = waiting("ErrImagePull", "no such image")
    passes(world)
    assert "no such image" in world.message("Progressing")


def test_an_answer_that_is_lost_is_not_waited_for() -> None:
    world = checked()
    ends(world, 0)
    (job,) = jobs(world)
    del world.objects[PODS, f"{job['metadata']['name']}-x"]
    passes(world, 40)
    assert "verdict" not in found(world)
    assert world.reconcile().requeue_after, "nobody else would wake it"
    passes(world, 40)
    assert "is lost with its pod" in found(world)["metrics"][0]["message"]


def test_that_its_job_failed_says_nothing_before_its_pod_is_told_of() -> None:
    world = checked()
    ends(world, 3, "no")
    (job,) = jobs(world)
    pod = world.objects.pop((PODS, f"{job['metadata']['name']}-x"))
    passes(world, 40)
    assert "verdict" not in found(world)
    assert world.reconcile().requeue_after, "nobody else would wake it"
    late = world.now
    world.put(pod)
    passes(world, 40)
    assert world.candidate(2)["reason"] == "AnalysisFailed"
    assert len(jobs(world)) == 1
    assert late < world.now

    world = checked()
    ends(world, 3)
    (job,) = jobs(world)
    del world.objects[PODS, f"{job['metadata']['name']}-x"]
    passes(world, 80)
    assert "failed" in found(world)["metrics"][0]["message"], "it is not waited for without end"


def test_several_are_looked_at_together() -> None:
    second = smoke() | {"name": "fair"}
    world = checked(smoke(), second)
    assert len(jobs(world)) == 2
    ends(world, 0, number=0)
    passes(world, 40)
    assert "verdict" not in found(world)
    ends(world, 0, number=1)
    passes(world, 60)
    assert world.serves == 2


def test_who_may_call_leaves_room_for_it() -> None:
    world = looked_at({"analysis": {}}, metrics=[smoke()])
    world.change(network={"allowFrom": []})
    passes(world)
    (entry,) = world.objects[NETWORKPOLICIES, NAME]["spec"]["ingress"]
    assert entry["from"] == [{"podSelector": {"matchLabels": {LABEL_CHECK: NAME}}}]


def test_a_job_compares_by_itself() -> None:
    with pytest.raises(ValueError, match="compares with the stable revision itself"):
        AnalysisMetric.model_validate(smoke(noWorseThanStableBy=0.1))


def test_what_would_be_refused_is_told_before_anything_is_rolled_out() -> None:
    analysis = {"metrics": [smoke()]}
    world = World(a_version(1), replicas=2, strategy=canary({"setWeight": 50}, analysis=analysis))
    refused = 'Job.batch "churn-check-rehearsal" is invalid: spec.template.spec.containers[0].name: Invalid value: "A"'
    world.answer = lambda question: Answer(error=refused if isinstance(question, Rehearsal) else "")
    passes(world)
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    field = "spec.strategy.canary.analysis.metrics[0].source.job.template.spec.containers[0].name: Invalid"
    assert field in world.message("Ready")
    assert {type(question) for question in world.asked} == {Rehearsal}
    assert len(world.asked) == 1
    world.answer = lambda _: Answer()
    world.answered = {}
    passes(world)
    assert world.condition("Stalled") is None
