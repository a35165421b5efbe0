"""What is said of a TrainingJob in its life."""

import json

from perennial.api.meta import LABEL_OWNED
from perennial.api.resources import JOBS, TRAININGJOBS
from tests.apiserver.kubelet import Kubelet
from tests.outputs.scene import EVENTS, Scene

RUN = "churn-1"
LAST_WORDS = "KeyError: no column 'age'"
NO_COMMAND = """\
apiVersion: perennial.dev/v1alpha1
kind: TrainingJob
metadata: {name: churn-1}
spec:
  model: {name: churn}
  template: {spec: {containers: [{name: train, image: "ghcr.io/acme/churn-train:1.4"}]}}
"""


def refused(scene: Scene) -> None:
    scene.tell("A manifest with a mistake is refused when it is applied:")
    scene.apply("no-command.yaml", NO_COMMAND)


def waits(scene: Scene) -> None:
    scene.tell("**It waits for a node.**")
    scene.space.train(RUN)
    scene.kubelet.unschedulable(RUN, "0/3 nodes are available: 3 Insufficient memory.")
    scene.space.says(RUN, "Reconciling", "Unschedulable")
    scene.get("tj")
    scene.get("tj", "-o", "wide")
    scene.describe("tj", RUN, "Unschedulable", shown=None)


def pulls(scene: Scene) -> None:
    scene.tell("**Its image cannot be pulled.**")
    scene.space.train(RUN)
    scene.kubelet.waits(RUN, "main", "ImagePullBackOff", 'Back-off pulling image "train:1"')
    scene.space.says(RUN, "Reconciling", "ImagePullBackOff")
    scene.get("tj", "-o", "wide")
    scene.describe("tj", RUN, "ImagePullBackOff", shown=EVENTS)


def attempt(scene: Scene, number: int) -> None:
    """The pod of this attempt runs, and the operator says so."""
    scene.kubelet.runs(RUN)
    attempt_of(scene, number)


def attempt_of(scene: Scene, number: int) -> None:
    """The operator says that this attempt runs."""
    scene.status(
        TRAININGJOBS, RUN, lambda status: (len(status.get("attempts", ())), status["phase"]) == (number, "Running")
    )


def trains(scene: Scene) -> None:
    scene.tell("**It runs.**")
    scene.space.train(RUN)
    attempt(scene, 1)
    scene.get("tj", "-o", "wide")
    scene.tell("What its Job was made from cannot be edited any more:")
    scene.run("patch", "tj", RUN, "--type=merge", "-p", '{"spec": {"backoffLimit": 5}}')
    scene.tell("**An attempt fails, and is tried again.**")
    scene.kubelet.fails(RUN, 3, LAST_WORDS)
    attempt(scene, 2)
    scene.get("tj", "-o", "wide")
    scene.describe("tj", RUN, "TrainingFailed")
    scene.tell("**It succeeds**, and its version is recorded.")
    scene.kubelet.publishes(RUN, metrics={"accuracy": 0.93})
    scene.space.reaches(RUN, "Succeeded")
    scene.get("tj", "-o", "wide")
    scene.describe("tj", RUN, "Succeeded")


def fails(scene: Scene) -> None:
    scene.tell("**It fails for good**, here with `backoffLimit: 1`.")
    scene.space.train(RUN, backoffLimit=1)
    for number in (1, 2):
        attempt(scene, number)
        scene.kubelet.fails(RUN, 3, LAST_WORDS)
    scene.space.reaches(RUN, "Failed")
    scene.get("tj", "-o", "wide")
    scene.describe("tj", RUN, "used up")


def suspended(scene: Scene) -> None:
    scene.tell("**It is suspended while it runs.**")
    scene.space.train(RUN)
    # What is on no node would be gone at once.
    scene.kubelet.placed(RUN)
    scene.kubelet.runs(RUN)
    scene.space.reaches(RUN, "Running")
    scene.space.edit(RUN, suspend=True)
    scene.kubelet.stops(RUN)
    scene.status(TRAININGJOBS, RUN, lambda status: status["phase"] == "Suspended" and "reason" in status["attempts"][0])
    scene.get("tj", "-o", "wide")
    scene.describe("tj", RUN, "Suspended", shown=EVENTS)


def name_taken(scene: Scene) -> None:
    scene.tell("**Somebody else has a Job of its name.**")
    template = {"spec": {"containers": [{"name": "main", "image": "train:1"}], "restartPolicy": "Never"}}
    head = {"apiVersion": JOBS.api_version, "kind": JOBS.kind}
    metadata = {"name": RUN, "labels": {LABEL_OWNED: "true"}}
    scene.space.create(head | {"metadata": metadata, "spec": {"template": template, "suspend": True}})
    scene.space.train(RUN)
    scene.status(TRAININGJOBS, RUN, lambda status: "Stalled" in json.dumps(status))
    scene.get("tj", "-o", "wide")
    scene.describe("tj", RUN, "NameTaken", shown=EVENTS)


def over_quota(scene: Scene) -> None:
    scene.tell("**The namespace's quota refuses its pod.**")
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "0"}}}
    scene.space.server.request("POST", f"/api/v1/namespaces/{scene.space.name}/resourcequotas", quota)
    scene.space.train(RUN)
    scene.space.says(RUN, "Reconciling", "PodRefused")
    scene.get("tj", "-o", "wide")
    scene.describe("tj", RUN, "PodRefused", shown=EVENTS)


def invalid(scene: Scene) -> None:
    scene.tell("**Its spec passes the schema, but makes no pod.**")
    scene.space.train(RUN, runtime="sklaern", template={})
    scene.space.says(RUN, "Stalled", "InvalidSpec")
    scene.get("tj", "-o", "wide")
    scene.describe("tj", RUN, "InvalidSpec", shown=EVENTS)


def several(scene: Scene) -> None:
    scene.tell("**It trains on several nodes**, of which one waits for a place.")
    first, second = (Kubelet(scene.space, node) for node in (0, 1))
    scene.space.train(RUN, distribution={"framework": "torch", "nodes": 2})
    first.runs(RUN)
    second.unschedulable(RUN, "0/3 nodes are available: 3 Insufficient memory.")
    scene.space.says(RUN, "Reconciling", "Unschedulable")
    scene.get("tj", "-o", "wide")
    second.runs(RUN)
    scene.space.reaches(RUN, "Running")
    scene.get("tj", "-o", "wide")
    scene.tell("One fails: the other is stopped, and both begin again.")
    second.fails(RUN, 3, LAST_WORDS)
    scene.space.says(RUN, "Reconciling", "Restarting")
    scene.status(TRAININGJOBS, RUN, lambda status: "the next begins" in json.dumps(status))
    scene.get("tj", "-o", "wide")
    for node in (first, second):
        node.runs(RUN)
    attempt_of(scene, 2)
    scene.get("tj", "-o", "wide")
    scene.describe("tj", RUN, "the next begins")


SCENES = (refused, waits, pulls, trains, several, fails, suspended, name_taken, over_quota, invalid)
