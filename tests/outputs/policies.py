"""What is said of a RetrainPolicy, and of its runs."""

from perennial.api.resources import MODELDEPLOYMENTS, MODELS, RETRAINPOLICIES
from perennial.plan import Body
from tests.outputs.scene import EVENTS, Scene

ACCURACY = {"name": "accuracy", "metric": {"name": "accuracy", "below": 0.9, "minSamples": 50}}
FOR_LONG = {"name": "accuracy", "metric": {**ACCURACY["metric"], "for": "30m"}}  # type: ignore[dict-item]
DAILY = {"name": "daily", "schedule": {"cron": "0 10 * * *", "timeZone": "Etc/UTC"}}


def trigger(status: Body, state: str) -> bool:
    """Whether one of the triggers is in this state."""
    return state in [row["state"] for row in status.get("triggers") or ()]


def last_run(scene: Scene, phase: str) -> None:
    """Wait until the newest run is there and in this phase."""
    scene.status(RETRAINPOLICIES, "churn", lambda status: phase in [run["phase"] for run in status.get("runs", ())[:1]])


def watches(scene: Scene) -> None:
    scene.tell("**It waits for samples.**")
    scene.serving.serve_first()
    scene.policy(FOR_LONG)
    scene.status(RETRAINPOLICIES, "churn", lambda status: trigger(status, "Waiting"))
    scene.get("rp")
    scene.get("rp", "-o", "wide")
    scene.describe("rp", "churn", shown=None)
    scene.tell("**What is reported is well.**")
    scene.space.measured("churn", "accuracy", 0.94, 200)
    scene.status(RETRAINPOLICIES, "churn", lambda status: trigger(status, "Ok"))
    scene.get("rp", "-o", "wide")
    scene.describe("rp", "churn")
    scene.tell("**The limit is crossed, but not yet for as long as the trigger says.**")
    scene.space.measured("churn", "accuracy", 0.74, 300)
    scene.status(RETRAINPOLICIES, "churn", lambda status: trigger(status, "Crossed"))
    scene.get("rp", "-o", "wide")
    scene.describe("rp", "churn")


def fires(scene: Scene) -> None:
    scene.tell("**A trigger fires, and a run begins.**")
    first = scene.serving.serve_first()
    scene.policy(ACCURACY, cooldown="6h")
    scene.until(RETRAINPOLICIES, "churn", "Ready", "Watching")
    scene.space.measured("churn", "accuracy", 0.82, 200)
    scene.kubelet.runs("churn-1")
    last_run(scene, "Training")
    scene.space.reaches("churn-1", "Running")
    scene.get("rp", "-o", "wide")
    scene.describe("rp", "churn", "RunStarted")
    scene.get("tj", "-o", "wide")
    scene.tell("**Its version is rolled out.**")
    scene.kubelet.publishes("churn-1", metrics={"accuracy": 0.93})
    second = scene.serving.rolling()
    last_run(scene, "RollingOut")
    scene.get("rp", "-o", "wide")
    scene.serving.ready(second)
    scene.tell("**Its version is served.**")
    last_run(scene, "Promoted")
    scene.status(MODELDEPLOYMENTS, "churn", lambda status: status["stableRevision"] not in (None, first))
    scene.get("rp", "-o", "wide")
    scene.tell("**The limit is crossed again, within the cooldown.**")
    scene.space.measured("churn", "accuracy", 0.71, 200)
    scene.status(RETRAINPOLICIES, "churn", lambda status: trigger(status, "Held"))
    scene.get("rp", "-o", "wide")
    scene.describe("rp", "churn", "RunSkipped")
    scene.serving.says("Ready", "True", "Serving")
    scene.status(MODELS, "churn", lambda status: status.get("serving") == "churn=2")
    scene.about("All of them")
    scene.tell("Of the same namespace, at the end of that story:")
    scene.get("perennial")
    scene.about("Model")
    scene.tell("The record of a model name, made with its first version; of the same namespace.")
    scene.get("models")
    scene.describe("model", "churn")
    scene.about("MetricSeries")
    scene.tell(
        "What was reported of a deployment, by revision; `kubectl explain metricseries.status.series` reads a line."
    )
    scene.get("mser")
    scene.describe("mser", "churn")


def explained(scene: Scene) -> None:
    scene.tell("Every field has words, also for what may stand in it:")
    scene.run("explain", "retrainpolicy.spec.triggers.metric")


def rejected(scene: Scene) -> None:
    scene.tell("**Its version does not pass the gate.**")
    scene.serving.version(1, metrics={"accuracy": 0.91})
    scene.serving.deploy(gate={"metrics": [{"name": "accuracy", "min": 0.85}]})
    scene.serving.ready(scene.serving.rolling())
    scene.serving.says("Ready", "True", "Serving")
    scene.policy(unpromotedLimit=1)
    scene.until(RETRAINPOLICIES, "churn", "Ready", "Watching")
    scene.get("rp", "-o", "wide")
    scene.run("annotate", "rp", "churn", "perennial.dev/run-request=first")
    scene.kubelet.publishes("churn-1", metrics={"accuracy": 0.79})
    scene.until(RETRAINPOLICIES, "churn", "Ready", "UnpromotedLimit")
    scene.get("rp", "-o", "wide")
    scene.describe("rp", "churn", "UnpromotedLimit")


def training_fails(scene: Scene) -> None:
    scene.tell("**Its training fails.**")
    scene.serving.serve_first()
    scene.policy()
    scene.until(RETRAINPOLICIES, "churn", "Ready", "Watching")
    scene.run("annotate", "rp", "churn", "perennial.dev/run-request=first")
    scene.space.there(RETRAINPOLICIES, "churn")
    scene.kubelet.pod("churn-1")
    scene.space.edit("churn-1", activeDeadlineSeconds=1)
    scene.kubelet.runs("churn-1")
    last_run(scene, "Failed")
    scene.get("rp", "-o", "wide")
    scene.describe("rp", "churn", "RunFailed", shown=EVENTS)


def dry_run(scene: Scene) -> None:
    scene.tell("**It only says what it would do**, with `dryRun: true`.")
    scene.serving.serve_first()
    scene.policy(ACCURACY, dryRun=True)
    scene.until(RETRAINPOLICIES, "churn", "Ready", "DryRun")
    scene.space.measured("churn", "accuracy", 0.82, 200)
    scene.status(RETRAINPOLICIES, "churn", lambda status: status["lastRun"] == 1)
    scene.get("rp", "-o", "wide")
    scene.describe("rp", "churn", "DryRun")


def scheduled(scene: Scene) -> None:
    scene.tell("**It waits for its time.**")
    scene.serving.serve_first()
    scene.policy(DAILY)
    scene.status(RETRAINPOLICIES, "churn", lambda status: trigger(status, "Scheduled"))
    scene.get("rp", "-o", "wide")
    scene.describe("rp", "churn")


def mistaken(scene: Scene) -> None:
    scene.tell("**It trains another model than the deployment serves.**")
    scene.space.make(MODELDEPLOYMENTS, "churn", {"model": {"name": "fraud"}})
    # Else the policy might be looked at before it.
    scene.status(MODELDEPLOYMENTS, "churn", bool)
    scene.policy(DAILY)
    scene.until(RETRAINPOLICIES, "churn", "Stalled", "ModelMismatch")
    scene.get("rp", "-o", "wide")
    scene.describe("rp", "churn", "ModelMismatch", shown=EVENTS)


SCENES = (watches, fires, rejected, training_fails, dry_run, scheduled, mistaken)
