"""What is said of a ModelDeployment, and of the ModelVersions that it may serve."""

from perennial.api.resources import MODELDEPLOYMENTS, MODELVERSIONS
from tests.apiserver.serving import LOAD_FAILED
from tests.outputs.scene import EVENTS, Scene

GATE = {"metrics": [{"name": "accuracy", "min": 0.85}]}


def rolls_out(scene: Scene) -> None:
    serving = scene.serving
    scene.tell("**It waits for a version of its model.**")
    serving.deploy(replicas=2)
    serving.says("Ready", "False", "WaitingForVersion")
    scene.get("mdep", "-o", "wide")
    scene.tell("**A version is there, and is rolled out.**")
    serving.version(1)
    first = serving.rolling()
    serving.pods(first, 2)
    scene.status(MODELDEPLOYMENTS, "churn", lambda status: status["replicas"] == 2)
    scene.get("mdep", "-o", "wide")
    scene.tell("**It serves.**")
    serving.ready(first, 2)
    serving.says("Ready", "True", "Serving")
    scene.status(MODELDEPLOYMENTS, "churn", lambda status: status["readyReplicas"] == 2)
    scene.get("mdep")
    scene.get("mdep", "-o", "wide")
    scene.describe("mdep", "churn", "Promoted", shown=None)
    scene.tell("**The next version is rolled out**, beside the one that serves.")
    serving.version(2)
    second = serving.rolling()
    serving.pods(second)
    scene.status(MODELDEPLOYMENTS, "churn", lambda status: status["replicas"] == 3)
    scene.get("mdep", "-o", "wide")
    scene.describe("mdep", "churn", "churn-2")


def fails_to_load(scene: Scene) -> None:
    serving = scene.serving
    scene.tell("**A version cannot be loaded: it is rolled back and vetoed**, and the one before keeps serving.")
    serving.serve_first()
    serving.version(2)
    second = serving.rolling()
    serving.ended(second, 78, LOAD_FAILED)
    serving.says("Ready", "False", "RolloutFailed")
    scene.status(MODELDEPLOYMENTS, "churn", lambda status: (status["replicas"], len(status["revisions"])) == (1, 1))
    scene.get("mdep", "-o", "wide")
    scene.describe("mdep", "churn", "RolledBack")
    scene.status(MODELVERSIONS, "churn-2", lambda status: "Vetoed" in status["state"])
    scene.get("mv", "-o", "wide")


def first_fails(scene: Scene) -> None:
    serving = scene.serving
    scene.tell("**The first version's server crashes**, with nothing to go back to.")
    serving.version(1)
    serving.deploy()
    serving.ended(serving.rolling(), 1, "ImportError: No module named 'lightgbm'", restarts=4)
    scene.status(MODELDEPLOYMENTS, "churn", lambda status: "ImportError" in str(status))
    scene.get("mdep", "-o", "wide")
    scene.describe("mdep", "churn", "CrashLoop", shown=EVENTS)


def held_by_the_gate(scene: Scene) -> None:
    serving = scene.serving
    scene.tell("**The gate rejects a version**, and the one before keeps serving.")
    serving.version(1, metrics={"accuracy": 0.91})
    serving.deploy(gate=GATE)
    serving.ready(serving.rolling())
    serving.says("Ready", "True", "Serving")
    serving.version(2, metrics={"accuracy": 0.79})
    scene.status(MODELDEPLOYMENTS, "churn", lambda status: "candidates" in status and bool(status["candidates"]))
    scene.get("mdep", "-o", "wide")
    scene.describe("mdep", "churn", "GateNotPassed")


def no_runtime(scene: Scene) -> None:
    scene.tell("**No preset serves the model's format.**")
    scene.serving.version(1, format="catboost")
    scene.serving.deploy(template={})
    scene.status(MODELDEPLOYMENTS, "churn", lambda status: "Stalled" in str(status))
    scene.get("mdep", "-o", "wide")
    scene.describe("mdep", "churn", "NoRuntime", shown=EVENTS)


def over_quota(scene: Scene) -> None:
    scene.tell("**The namespace's quota refuses its pods.**")
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "0"}}}
    scene.space.server.request("POST", f"/api/v1/namespaces/{scene.space.name}/resourcequotas", quota)
    scene.serving.version(1)
    scene.serving.deploy()
    scene.status(MODELDEPLOYMENTS, "churn", lambda status: "quota" in str(status))
    scene.get("mdep", "-o", "wide")
    scene.describe("mdep", "churn", "PodsRefused", shown=EVENTS)


def rejected_and_approved(scene: Scene) -> None:
    serving = scene.serving
    scene.tell("**A version waits for a person's approval.** The deployment:")
    serving.version(1, metrics={"accuracy": 0.91})
    serving.deploy(approval="Manual", gate=GATE)
    serving.says("Ready", "False", "NotApproved")
    scene.status(MODELVERSIONS, "churn-1", lambda status: "state" in status)
    scene.get("mdep", "-o", "wide")
    scene.tell("The version:")
    scene.get("mv")
    scene.describe("mv", "churn-1", shown=None)
    scene.tell("**It is approved, and served.**")
    approval = '{"spec": {"approval": "Approved", "approvedBy": "lead"}}'
    scene.run("patch", "mv", "churn-1", "--type=merge", "-p", approval)
    serving.ready(serving.rolling())
    serving.says("Ready", "True", "Serving")
    scene.status(MODELVERSIONS, "churn-1", lambda status: "Serving" in status["state"])
    scene.get("mv", "-o", "wide")
    scene.tell("**One is rejected by the gate, one by a person.**")
    serving.version(2, metrics={"accuracy": 0.79}, approval="Approved", approvedBy="lead")
    serving.version(3, metrics={"accuracy": 0.92}, approval="Rejected", approvedBy="lead")
    for name in ("churn-2", "churn-3"):
        scene.status(MODELVERSIONS, name, lambda status: "Rejected" in status.get("state", ""))
    scene.get("mv")
    scene.describe("mv", "churn-2")
    scene.describe("mv", "churn-3")
    scene.get("mdep", "-o", "wide")


def canary(scene: Scene) -> None:
    serving = scene.serving
    scene.tell("**A canary gets a part of the requests, and waits for a person.**")
    steps = [{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}, {"pause": {"duration": "10m"}}]
    serving.serve_first(replicas=3, strategy={"canary": {"steps": steps}})
    serving.version(2)
    second = serving.rolling()
    serving.ready(second)
    scene.status(MODELDEPLOYMENTS, "churn", lambda status: (status.get("rollout") or {}).get("step") == 1)
    scene.get("mdep")
    scene.get("mdep", "-o", "wide")
    scene.describe("mdep", "churn", "StepDone")
    scene.tell("**It is aborted by hand.**")
    serving.asks("abort", "1")
    scene.status(MODELDEPLOYMENTS, "churn", lambda status: (status["replicas"], len(status["revisions"])) == (3, 1))
    scene.get("mdep", "-o", "wide")
    scene.describe("mdep", "churn", "RolledBack", shown=EVENTS)


def blue_green(scene: Scene) -> None:
    serving = scene.serving
    scene.tell("**With blueGreen the new revision waits beside the old one.**")
    serving.serve_first(strategy={"blueGreen": {"autoPromotionEnabled": False}})
    serving.version(2)
    serving.ready(serving.rolling())
    scene.status(MODELDEPLOYMENTS, "churn", lambda status: "stepTime" in (status.get("rollout") or {}))
    scene.get("mdep", "-o", "wide")


def cannot_scale(scene: Scene) -> None:
    serving = scene.serving
    scene.tell("**Its autoscaler cannot scale it**, since nothing measures the pods of this cluster.")
    serving.serve_first(autoscaling={"maxReplicas": 3})
    serving.says("Autoscaling", "False", "FailedGetResourceMetric", 60)
    scene.describe("mdep", "churn", "Promoted", shown=("Status",))
    scene.tell("**The cluster refuses an autoscaler that scales by a metric of this form.** What serves goes on.")
    serving.edit(autoscaling={"metrics": [{"type": "Resource", "resource": {"name": "cpu"}}]})
    serving.says("Stalled", "True", "Invalid")
    scene.get("mdep", "-o", "wide")
    scene.describe("mdep", "churn", "Invalid", shown=EVENTS)


VERSIONS = (rejected_and_approved,)
SCENES = (
    rolls_out,
    canary,
    blue_green,
    held_by_the_gate,
    fails_to_load,
    first_fails,
    no_runtime,
    over_quota,
    cannot_scale,
)
