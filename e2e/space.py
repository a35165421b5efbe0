"""A namespace of a test: what is applied there, and what is waited for, with the state of things in every failure."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from e2e.cluster import images
from e2e.lab import Body, Lab, condition, is_true
from e2e.store import BUCKET, Store

API = "perennial.dev/v1alpha1"
PROGRAMS = Path(__file__).parent / "programs"
IMAGE = images.name("digits")
# What Pod Security `restricted` asks for, beyond what the operator adds by itself.
RESTRICTED: Body = {"runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False}
# On every namespace that tests make.
MARK = "e2e.perennial.dev/space"
FINISHED = ("Succeeded", "Failed")


def program(name: str) -> list[str]:
    """The command that runs one of the test's programs in the `digits` image."""
    return ["python", "-c", (PROGRAMS / f"{name}.py").read_text()]


def shell(script: str) -> list[str]:
    """The command that runs a script."""
    return ["sh", "-c", script]


def training(name: str, command: Sequence[str], **spec: Any) -> Body:
    """A TrainingJob of one container. `container`: more of it; `pod`: more of its pod; the rest is the spec's."""
    container = {
        "name": "train",
        "image": IMAGE,
        "command": list(command),
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "512Mi"}},
        "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
        "securityContext": RESTRICTED,
        **spec.pop("container", {}),
    }
    pod = {"terminationGracePeriodSeconds": 5, "containers": [container], **spec.pop("pod", {})}
    model = spec.pop("model", {"name": name})
    return _object("TrainingJob", name, {"model": model, "template": {"spec": pod}, **spec})


def digits(name: str, *, gamma: float = 0.001, c: float = 10, held: bool = False, **spec: Any) -> Body:
    """A TrainingJob of the model `digits` on S3. With `held` it waits to be let go, see `Space.let_go`."""
    parameters = {"c": c, "gamma": gamma, **({"held": True} if held else {})}
    output = {"uri": f"s3://{BUCKET}"}
    return training(
        name, program("train"), **{"model": {"name": "digits"}, "parameters": parameters, "output": output, **spec}
    )


def version(model: str, number: int, files: Body, *, format: str, **spec: Any) -> Body:
    """A person's own ModelVersion of files that lie in a store ({uri, digest})."""
    what = {"model": model, "version": number, "format": format, **files}
    return _object("ModelVersion", f"{model}-{number}", {**what, **spec})


def serving(name: str, **spec: Any) -> Body:
    """A ModelDeployment of the model of the same name."""
    return _object("ModelDeployment", name, {"model": {"name": name}, "scaleDownDelay": "5s", **spec})


def policy(name: str, job: Body, **spec: Any) -> Body:
    """A RetrainPolicy of the ModelDeployment of the same name, whose runs are as that TrainingJob."""
    template = {"spec": job["spec"]}
    return _object("RetrainPolicy", name, {"deployment": {"name": name}, "trainingJobTemplate": template, **spec})


def _object(kind: str, name: str, spec: Body) -> Body:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


class Space:
    """A namespace, empty at first."""

    def __init__(self, lab: Lab, name: str, *, labels: Mapping[str, str] | None = None) -> None:
        self.lab, self.name = lab, name
        metadata = {"name": name, "labels": {MARK: "true", **(labels or {})}}
        lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def apply(self, *bodies: Body) -> None:
        """Apply objects in this namespace."""
        self.lab.apply([{**body, "metadata": {**body["metadata"], "namespace": self.name}} for body in bodies])

    def use(self, store: Store) -> None:
        """Give the pods of this namespace the store's credentials."""
        self.apply(store.secret())

    def get(self, kind: str, name: str) -> Body | None:
        return self.lab.get(kind, name, self.name)

    def every(self, kind: str, selector: str = "") -> list[Body]:
        return self.lab.every(kind, self.name, selector)

    def kubectl(self, *arguments: str) -> str:
        return self.lab.kubectl("-n", self.name, *arguments)

    def until(self, what: str, check: Callable[[], Any], seconds: float = 180, every: float = 0.5) -> Any:
        """As Lab.until; a failure shows the namespace's objects, pods and Events."""
        return self.lab.until(what, check, seconds, every, self._seen)

    def finished(self, name: str, seconds: float = 180) -> Body:
        """The TrainingJob, succeeded or failed."""
        return dict(self.until(f"{name} finishes", lambda: self._phase(name, *FINISHED), seconds))

    def reaches(self, name: str, phase: str, seconds: float = 120) -> Body:
        """The TrainingJob in a phase."""
        return dict(self.until(f"{name} is {phase}", lambda: self._phase(name, phase), seconds))

    def serves(self, name: str, version: int, seconds: float = 180) -> Body:
        """The ModelDeployment, serving this version, with nothing left to do."""

        def check() -> Body | None:
            found = self.get("modeldeployment", name)
            served = (found or {}).get("status", {}).get("modelVersion") == f"{name}-{version}"
            return found if served and is_true(found, "Ready") else None

        return dict(self.until(f"{name} serves version {version}", check, seconds))

    def says(self, kind: str, name: str, type_: str, status: str, words: str = "", seconds: float = 120) -> Body:
        """The object's condition, with this status and these words in its reason or message."""

        def check() -> Body | None:
            found = condition(self.get(kind, name), type_)
            return found if found["status"] == status and words in f"{found['reason']}: {found['message']}" else None

        return dict(self.until(f"{name} says {type_}={status} {words}", check, seconds))

    def pod_of(self, job: str, *, training: bool = False) -> Body | None:
        """The last pod of a TrainingJob that is not ended, if there is one; `training`: whose training runs."""
        pods = self.every("pods", f"perennial.dev/trainingjob={job}")
        for pod in sorted(pods, key=lambda one: str(one["metadata"]["creationTimestamp"]), reverse=True):
            if pod["status"].get("phase") in FINISHED or "deletionTimestamp" in pod["metadata"]:
                continue
            if not training or "running" in container_state(pod, "train"):
                return pod
        return None

    def in_training(self, job: str, seconds: float = 120) -> Body:
        """The TrainingJob's pod, while its training runs."""
        return dict(self.until(f"{job} trains", lambda: self.pod_of(job, training=True), seconds))

    def let_go(self, pod: Body) -> None:
        """Let a training that is held get on."""
        self.kubectl("exec", pod["metadata"]["name"], "-c", "train", "--", "touch", "/perennial-home/go")

    def address(self, service: str) -> str:
        """Where a Service answers inside the cluster's network."""
        spec = (self.get("service", service) or {})["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}"

    def servers(self, deployment: str, revision: str) -> dict[str, int]:
        """The uid of each serving pod of a revision, with how often it was started again."""
        pods = self.every("pods", f"perennial.dev/modeldeployment={deployment},perennial.dev/revision={revision}")
        return {
            pod["metadata"]["uid"]: sum(one["restartCount"] for one in pod["status"].get("containerStatuses", ()))
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"]
        }

    def _phase(self, name: str, *phases: str) -> Body | None:
        found = self.get("trainingjob", name)
        return found if (found or {}).get("status", {}).get("phase") in phases else None

    def _seen(self) -> str:
        def show(*words: str) -> str:
            return self.lab.run("kubectl", "-n", self.name, *words, check=False).stdout

        kinds = "trainingjobs,modeldeployments,retrainpolicies"
        statuses = [
            {"name": one["metadata"]["name"], **(one.get("status") or {})}
            for one in json.loads(show("get", kinds, "-o", "json") or '{"items": []}')["items"]
        ]
        events = show("get", "events", "--sort-by=.lastTimestamp").splitlines()[-25:]
        return "\n".join([show("get", "perennial,pods"), *map(json.dumps, statuses), *events])


def container_state(pod: Body, container: str) -> Body:
    """{running|waiting|terminated: ...} of a container, empty before the kubelet saw it."""
    statuses = pod["status"].get("containerStatuses") or ()
    return next((dict(one.get("state") or {}) for one in statuses if one["name"] == container), {})
