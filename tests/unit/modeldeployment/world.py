"""A small world for ModelDeployments: objects, pods that become ready or fail, plans carried out as by the engine."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from perennial.api.base import format_time
from perennial.api.meta import API_VERSION, LABEL_MODELDEPLOYMENT, LABEL_REVISION
from perennial.api.resources import (
    DEPLOYMENTS,
    HORIZONTALPODAUTOSCALERS,
    HTTPROUTES,
    MODELDEPLOYMENTS,
    MODELVERSIONS,
    PODS,
    SERVICES,
    Resource,
    of,
)
from perennial.config import Config, ServingRuntime
from perennial.indexes import INDEXES
from perennial.modeldeployment import CONTROLLER
from perennial.plan import Action, Apply, Create, Delete, Event, Find, Patch, Plan
from perennial.questions import Answer, Question
from perennial.runtime.merge import without_none
from perennial.view import Refusal

Body = dict[str, Any]
START = datetime(2026, 11, 20, 12, tzinfo=UTC)
# The controller of a gateway that copies requests.
MIRRORING = "projectcontour.io/gateway-controller"
NAMESPACE, NAME = "shop", "churn"
SERVER: Body = {"name": "server", "image": "server:1", "ports": [{"name": "http", "containerPort": 8080}]}
CONFIG = Config(
    serving_runtimes={
        "sklearn": ServingRuntime(formats=("sklearn", "sklearn-pickle"), template={"spec": {"containers": [SERVER]}})
    }
)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def a_version(number: int, **spec: Any) -> Body:
    """A ModelVersion of `churn`; its digest is its number."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": {"name": f"churn-{number}", "namespace": NAMESPACE, "uid": f"mv-{number}"},
        "spec": {
            "model": "churn",
            "version": number,
            "uri": f"s3://acme/churn/{number}",
            "digest": digest(number),
            "format": "sklearn",
            **spec,
        },
    }


def a_deployment(**spec: Any) -> Body:
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "uid": "mdep", "generation": 1},
        "spec": {"model": {"name": "churn"}, **spec},
    }


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


class World:
    """The view, the clock, and a Deployment controller: pods appear when wanted, unready ones go first."""

    def __init__(self, *versions: Body, config: Config = CONFIG, **spec: Any) -> None:
        self.objects: dict[tuple[Resource, str], Body] = {}
        self.now = START
        self.config = config
        self.events: list[Event] = []
        self.writes: list[Action] = []
        self.status_writes = 0
        self.refused: dict[str, Refusal] = {}
        self.standing: Refusal | None = None
        # Every question, and who answers them.
        self.asked: list[Question] = []
        self.answered: Mapping[Question, Answer] = {}
        self.answer: Callable[[Question], Answer] = lambda _: Answer()
        # Where the pods of a revision answer.
        self.address: Callable[[str], str] = lambda _: "10.0.0.1"
        # How many pods the load asks for, by the autoscaler that measures it; the others see what is there.
        self.load: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self.put(a_deployment(**spec))
        for version in versions:
            self.put(version)

    # -- the view ----------------------------------------------------------------------------------------------
    def get(self, resource: Resource, namespace: str, name: str) -> Body | None:
        return self.objects.get((resource, name))

    def list(self, resource: Resource, namespace: str) -> Sequence[Body]:
        return [body for (kind, _), body in self.objects.items() if kind == resource]

    def indexed(self, resource: Resource, namespace: str, value: str) -> Sequence[Body]:
        return [body for body in self.list(resource, namespace) if INDEXES[resource](body) == value]

    def owned(self, resource: Resource, uid: str) -> Sequence[Body]:
        return [
            body
            for body in self.list(resource, NAMESPACE)
            if any(owner["uid"] == uid for owner in body["metadata"].get("ownerReferences", ()))
        ]

    def refusal(self, resource: Resource, namespace: str, name: str) -> Refusal | None:
        return self.standing

    def answers(self, resource: Resource, namespace: str, name: str) -> Mapping[Question, Answer]:
        return self.answered

    # -- what people and the cluster do ------------------------------------------------------------------------
    def put(self, body: Body) -> None:
        self.objects[of(body), body["metadata"]["name"]] = body

    def change(self, **spec: Any) -> None:
        body = copy.deepcopy(self.mdep)
        body["spec"] |= spec
        body["metadata"]["generation"] += 1
        self.put(body)
        self.standing = None

    def annotate(self, name: str, value: str) -> None:
        self.mdep["metadata"].setdefault("annotations", {})[name] = value

    def judge(self, number: int, approval: str | None) -> None:
        self.objects[MODELVERSIONS, f"churn-{number}"]["spec"]["approval"] = approval

    def pods(self, revision: str) -> list[Body]:
        return [pod for pod in self.list(PODS, NAMESPACE) if pod["metadata"]["labels"].get(LABEL_REVISION) == revision]

    def controller(self) -> None:
        """What kube-controller-manager does: pods as many as wanted, and the Deployments' status."""
        for autoscaler in filter(lambda one: one["spec"], self.list(HORIZONTALPODAUTOSCALERS, NAMESPACE)):
            self._scale(autoscaler["metadata"]["name"], autoscaler["spec"])
        known = {name for (kind, name) in self.objects if kind == DEPLOYMENTS}
        for pod in self.list(PODS, NAMESPACE):
            if pod["metadata"]["labels"].get(LABEL_REVISION, "") not in {*known, ""}:
                del self.objects[PODS, pod["metadata"]["name"]]
        for deployment in self.list(DEPLOYMENTS, NAMESPACE):
            name = deployment["metadata"]["name"]
            pods = sorted(self.pods(name), key=is_ready)
            wanted = deployment["spec"]["replicas"]
            for pod in pods[: max(0, len(pods) - wanted)]:
                del self.objects[PODS, pod["metadata"]["name"]]
            for _ in range(wanted - len(pods)):
                self.put(a_pod(f"{name}-{next(self._numbers)}", deployment["spec"]["template"]))
            pods = self.pods(name)
            deployment["status"] = {"replicas": len(pods), "readyReplicas": sum(map(is_ready, pods))}

    def _scale(self, name: str, spec: Body) -> None:
        kinds = {kind.kind: kind for kind in (DEPLOYMENTS, MODELDEPLOYMENTS)}
        target = self.objects.get((kinds[spec["scaleTargetRef"]["kind"]], spec["scaleTargetRef"]["name"]))
        now = target["spec"].get("replicas", 1) if target else 0
        wanted = min(max(self.load.get(name, now), spec["minReplicas"]), spec["maxReplicas"])
        # As the real one does: it leaves alone what somebody has scaled to nothing.
        if target and now and wanted != now:
            self.put(merged(target, {"spec": {"replicas": wanted}}))

    def gateways(self, status: str = "True", message: str = "", controller: str = MIRRORING) -> None:
        """What each gateway does that a route asks for: it takes the route as it is now, or says why not."""
        for route in self.list(HTTPROUTES, NAMESPACE):
            seen = {"status": status, "message": message, "observedGeneration": route["metadata"].get("generation", 0)}
            said = [{"type": type_, "reason": type_, **seen} for type_ in ("Accepted", "ResolvedRefs")]
            parents = [{"parentRef": parent, "controllerName": controller} for parent in route["spec"]["parentRefs"]]
            route["status"] = {"parents": [{**parent, "conditions": said} for parent in parents]}

    def make_ready(self, revision: str, number: int | None = None) -> None:
        for pod in self.pods(revision)[:number]:
            if not is_ready(pod):
                ready = {"type": "Ready", "status": "True", "lastTransitionTime": format_time(self.now)}
                pod["status"] = {"conditions": [ready], "podIP": self.address(revision)}

    def break_pods(self, revision: str, status: Mapping[str, Any]) -> None:
        for pod in self.pods(revision):
            pod["status"] = copy.deepcopy(dict(status))

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # -- the engine --------------------------------------------------------------------------------------------
    def plan(self) -> Plan:
        snapshot = CONTROLLER.gather(self, NAMESPACE, NAME)
        return CONTROLLER.decide(snapshot, self.now, self.config)

    def reconcile(self, *, dies_after: int | None = None) -> Plan:
        """One pass; every action, then the status. A refused action ends it, as does death after so many actions."""
        plan = self.plan()
        self.asked += [question for question in plan.questions if question not in self.answered]
        self.answered = {question: self.answer(question) for question in plan.questions}
        for action in plan.actions[:dies_after]:
            refusal = self.refused.get(_name(action))
            if refusal and refusal.resource == _resource(action):
                self.standing = refusal
                break
            self._act(action)
        else:
            if self.standing and self.standing.name in {_name(action) for action in plan.actions}:
                self.standing = None
        if dies_after is None and plan.status != self.mdep.get("status"):
            self.put({**self.mdep, "status": plan.status})
            self.status_writes += 1
            self.events += plan.events
        return plan

    def settle(self, ready: bool = True, limit: int = 400) -> None:
        """Passes, with the cluster doing its part and time going by, until nothing is left to do."""
        for _ in range(limit):
            before = self.trace()
            self.controller()
            if ready:
                for deployment in self.list(DEPLOYMENTS, NAMESPACE):
                    if not any(pod["status"].get("broken") for pod in self.pods(deployment["metadata"]["name"])):
                        self.make_ready(deployment["metadata"]["name"])
                self.controller()
            plan = self.reconcile()
            if self.trace() == before:
                if plan.requeue_after is None:
                    return
                self.pass_time(plan.requeue_after)
        raise AssertionError(f"never settles: {self.mdep.get('status')}")

    def trace(self) -> str:
        """All objects, to be compared."""
        return repr(sorted((kind.kind, name, body) for (kind, name), body in self.objects.items()))

    def _act(self, action: Action) -> None:
        match action:
            case Create(body):
                if (of(body), body["metadata"]["name"]) not in self.objects:
                    self._made(body)
                    self.writes.append(action)
            case Apply(body):
                existing = self.objects.get((of(body), body["metadata"]["name"]))
                if existing is None or existing["spec"] != without_none(body["spec"]):
                    self._made(without_none(body))
                    self.writes.append(action)
            case Patch(resource, _, name, patch):
                changed = merged(self.objects[resource, name], patch)
                changed["metadata"]["generation"] = changed["metadata"].get("generation", 1) + 1
                self.put(changed)
                self.writes.append(action)
            case Delete(resource, _, name):
                del self.objects[resource, name]
                self.writes.append(action)

    def _made(self, body: Body) -> None:
        self.put(copy.deepcopy(merged(body, {"metadata": {"uid": f"uid-{body['metadata']['name']}"}})))

    # -- what is seen ------------------------------------------------------------------------------------------
    @property
    def mdep(self) -> Body:
        return self.objects[MODELDEPLOYMENTS, NAME]

    @property
    def status(self) -> Body:
        return self.mdep.get("status", {})

    @property
    def service(self) -> Body:
        return self.objects[SERVICES, NAME]

    @property
    def serves(self) -> int | None:
        """The version that was promoted last."""
        promotions = self.status.get("promotions")
        return promotions[0].get("version") if promotions else None

    @property
    def pinned(self) -> str | None:
        return self.service["spec"]["selector"].get(LABEL_REVISION)

    @property
    def stable(self) -> str:
        return self.status["stableRevision"]

    @property
    def rolling(self) -> str | None:
        return (self.status.get("rollout") or {}).get("revision")

    def condition(self, type_: str) -> tuple[str, str] | None:
        for condition in self.status["conditions"]:
            if condition["type"] == type_:
                return condition["status"], condition["reason"]
        return None

    def message(self, type_: str) -> str:
        return next(one["message"] for one in self.status["conditions"] if one["type"] == type_)

    def candidate(self, version: int) -> Body:
        return next(one for one in self.status.get("candidates", ()) if one.get("version") == version)

    def replicas(self) -> dict[str, int]:
        return {body["metadata"]["name"]: body["spec"]["replicas"] for body in self.list(DEPLOYMENTS, NAMESPACE)}


def a_pod(name: str, template: Body) -> Body:
    labels = template["metadata"]["labels"]
    assert labels[LABEL_MODELDEPLOYMENT] == NAME
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": name, "labels": dict(labels)},
        "spec": {"containers": [{"ports": copy.deepcopy(one["ports"])} for one in template["spec"]["containers"]]},
        "status": {},
    }


def is_ready(pod: Body) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))


def _name(action: Action) -> str:
    return action.body["metadata"]["name"] if isinstance(action, Create | Apply | Find) else action.name


def _resource(action: Action) -> Resource:
    return of(action.body) if isinstance(action, Create | Apply | Find) else action.resource


def exited(code: int, message: str = "", restarts: int = 0, container: str = "server", init: bool = False) -> Body:
    """A pod's status with one container that ended so."""
    status = {
        "name": container,
        "restartCount": restarts,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": code, "reason": "Error", "message": message}},
    }
    return {"broken": True, "initContainerStatuses" if init else "containerStatuses": [status]}


def waiting(reason: str, message: str = "") -> Body:
    """A pod's status with one container that cannot start."""
    status = {"name": "server", "restartCount": 0, "state": {"waiting": {"reason": reason, "message": message}}}
    return {"broken": True, "containerStatuses": [status]}
