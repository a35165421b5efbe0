"""The loop, step by step, on a cluster that has Perennial: each step looks first whether it is done already."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from e2e.lab import Body, Failed, Lab, condition, is_true

NAMESPACE = "digits"
POLICY = "digits-fresh"
MANIFESTS = Path(__file__).parent / "manifests"
ROTATION = 30  # degrees by which the incoming images turn
LIMIT = 0.85  # the policy's, see manifests/policy.yaml

Say = Callable[[str], None]


class Story:
    """What happens in the demo. `say` gets each line as it happens."""

    def __init__(self, lab: Lab, say: Say = print) -> None:
        self.lab = lab
        self.say = say
        # What happened before, when the demo goes on from where it was.
        self._told = set(self._news())

    def world(self) -> None:
        """The camera, and the volume where labelled images are recorded."""
        if self.lab.get("deployment", "camera", NAMESPACE) is None:
            self.lab.apply(MANIFESTS / "world.yaml")
        self._until("the camera runs", lambda: self._camera_pod() is not None, 180)
        self.say("A camera runs: it records labelled images of handwritten digits (scikit-learn's) on a volume.")

    def train(self) -> Body:
        """The first training, from a TrainingJob to a ModelVersion."""
        self.lab.apply(MANIFESTS / "train.yaml")
        job = self._until("the first training succeeds", lambda: self._finished("digits-first"), 300)
        status = job["status"]
        if status["phase"] != "Succeeded":
            raise Failed(f"the first training failed: {status['failure']['reason']}: {status['failure']['message']}")
        accuracy = status["metrics"]["accuracy"]
        self.say(f"Trained {status['modelVersion']}: accuracy {accuracy:.3f} on images that it held out.")
        return job

    def serve(self) -> Body:
        """A ModelDeployment rolls the version out."""
        self.lab.apply(MANIFESTS / "serve.yaml")
        ready = self._until("the model is served", lambda: self._deployment(ready=True), 300)
        self.say(f"Serving {ready['status']['modelVersion']} with {ready['spec']['replicas']} replicas.")
        return ready

    def ask(self, many: int = 10) -> int:
        """Send real images over HTTP; how many answers were right."""
        answers = json.loads(self._in_camera("python", "camera.py", "--ask", str(many)))
        right = sum(answer == label for answer, label in answers)
        shown = " ".join(f"{label}→{answer}{'' if answer == label else '!'}" for answer, label in answers)
        self.say(f"Asked about {many} images over HTTP (written→read): {shown}: {right} right.")
        return int(right)

    def watch(self) -> Body:
        """The policy, and the accuracy that the camera measures and reports."""
        self.lab.apply(MANIFESTS / "policy.yaml")
        policy = self._until("accuracy is reported", self._measured, 180)
        value = policy["status"]["triggers"][0]["value"]
        self.say(
            f"The camera asks, people label, accuracy is reported: {value:.3f}. The policy retrains below {LIMIT}."
        )
        return policy

    def changed(self) -> bool:
        """Whether the incoming images have changed already."""
        return self._rotation() == ROTATION

    def turn(self) -> None:
        """The images that come in change."""
        if self.changed():
            return
        self.lab.kubectl("set", "env", "-n", NAMESPACE, "deployment/camera", f"ROTATION={ROTATION}")
        self._until("the camera runs again", lambda: self._camera_pod() is not None, 120)
        self.say(f"The incoming images are now turned by {ROTATION} degrees.")

    def recover(self) -> Body:
        """Accuracy falls, a retraining starts by itself, its version takes over, accuracy recovers."""
        policy = self._until("a retrained version takes over", self._promoted, 600)
        run = next(run for run in policy["status"]["runs"] if run["phase"] == "Promoted")
        version = self.lab.get("modelversion", run["modelVersion"], NAMESPACE)
        metrics = (version or {})["spec"]["metrics"]
        self.say(
            f"{run['modelVersion']} takes over: {metrics['accuracy']:.3f} on the current images, "
            f"where the champion has {metrics['champion.accuracy']:.3f}."
        )
        recovered = self._until("the measured accuracy recovers", self._recovered, 180)
        value = recovered["status"]["triggers"][0]["value"]
        self.say(f"Measured through the endpoint: {value:.3f}. The model is fresh again, and nobody did anything.")
        return recovered

    def failed_requests(self) -> tuple[int, int]:
        """(requests, failed requests) of the camera that runs now, as it counted them."""
        counts = json.loads(self._in_camera("cat", "/recorded/digits/counts.json"))
        return counts["requests"], counts["failures"]

    def table(self) -> str:
        """`kubectl get perennial`."""
        return self.lab.kubectl("get", "perennial", "-n", NAMESPACE).rstrip()

    def _until(self, what: str, check: Callable[[], object], seconds: float) -> Body:
        def look() -> object:
            found = check()
            # After the check, so that what it waited for is told before what follows.
            for line in self._news():
                if line not in self._told:
                    self._told.add(line)
                    self.say(f"  {line}")
            return found

        found = self.lab.until(what, look, seconds, every=1, seen=self._seen)
        return found if isinstance(found, dict) else {}

    def _news(self) -> Iterator[str]:
        """What is new on the statuses, in the words that they use."""
        for policy in self._list("retrainpolicies"):
            status = policy.get("status") or {}
            for trigger in status.get("triggers") or ():
                if trigger.get("value") is not None and trigger["value"] < LIMIT and not status.get("active"):
                    yield f"accuracy {trigger['value']:.3f} over {trigger['samples']} answers: below {LIMIT}"
            for run in reversed(status.get("runs") or ()):
                yield f"RetrainPolicy {POLICY}: run {run['number']}: {run['cause']['message']}"
                if run.get("completionTime"):
                    yield f"RetrainPolicy {POLICY}: run {run['number']} {run['phase']}: {run.get('message', '')}"
        for job in self._list("trainingjobs"):
            status = job.get("status") or {}
            if status.get("phase"):
                # Where it was published to, and how to see more, takes a line of its own.
                words = re.sub(r" to \w+://\S+$|, kubectl logs .*", "", condition(job, "Running")["message"])
                yield f"TrainingJob {job['metadata']['name']}: {status['phase']}" + (f": {words}" if words else "")
        for deployment in self._list("modeldeployments"):
            rollout = (deployment.get("status") or {}).get("rollout")
            if rollout:
                yield f"ModelDeployment digits: rolling out version {rollout.get('version')}: {rollout['message']}"

    def _list(self, kind: str) -> list[Body]:
        try:
            return self.lab.every(kind, NAMESPACE)
        except Failed:
            return []

    def _seen(self) -> str:
        return self.lab.run("kubectl", "get", "perennial,pods", "-n", NAMESPACE, check=False).stdout

    def _finished(self, name: str) -> Body | None:
        job = self.lab.get("trainingjob", name, NAMESPACE)
        return job if (job or {}).get("status", {}).get("phase") in ("Succeeded", "Failed") else None

    def _deployment(self, *, ready: bool) -> Body | None:
        found = self.lab.get("modeldeployment", NAMESPACE, NAMESPACE)
        return found if not ready or is_true(found, "Ready") else None

    def _policy(self) -> Body | None:
        return self.lab.get("retrainpolicy", POLICY, NAMESPACE)

    def _measured(self) -> Body | None:
        policy = self._policy()
        triggers = (policy or {}).get("status", {}).get("triggers") or [{}]
        return policy if triggers[0].get("value") is not None else None

    def _promoted(self) -> Body | None:
        policy = self._policy()
        runs = (policy or {}).get("status", {}).get("runs") or ()
        return policy if any(run["phase"] == "Promoted" for run in runs) else None

    def _recovered(self) -> Body | None:
        policy = self._measured()
        return policy if policy and policy["status"]["triggers"][0]["value"] >= LIMIT else None

    def _rotation(self) -> int:
        camera = self.lab.get("deployment", "camera", NAMESPACE) or {}
        env = camera["spec"]["template"]["spec"]["containers"][0]["env"]
        return int(next(one["value"] for one in env if one["name"] == "ROTATION"))

    def _in_camera(self, *command: str) -> str:
        pod: str = self.lab.until("the camera runs", self._camera_pod, 60)
        return self.lab.kubectl("exec", "-n", NAMESPACE, pod, "--", *command)

    def _camera_pod(self) -> str | None:
        """The ready pod of the camera, when no other one is left."""
        pods = self.lab.every("pods", NAMESPACE, "app=camera")
        ready = [pod for pod in pods if condition(pod, "Ready")["status"] == "True"]
        return str(ready[0]["metadata"]["name"]) if len(pods) == len(ready) == 1 else None
