"""A toy kind for tests of the engine: a TrainingJob of a loose schema, each with one Job, run by the real shell.

As a program it is an operator of that kind alone: `kubeconfig identity health-port lease-seconds`.
"""

import asyncio
import sys
from datetime import datetime
from typing import Any

from perennial import app
from perennial.api.meta import ANNOTATION_CAUSE, LABEL_OWNED
from perennial.api.resources import JOBS, SERVICES, TRAININGJOBS
from perennial.config import Config
from perennial.kube import login
from perennial.kube.http import HttpClient
from perennial.plan import Action, Apply, Body, Create, Event, Plan
from perennial.runtime.lease import Lease
from perennial.telemetry import logs
from perennial.telemetry.health import Health
from perennial.view import Controller, View, owner_of

CRD: Body = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "trainingjobs.perennial.dev"},
    "spec": {
        "group": "perennial.dev",
        "scope": "Namespaced",
        "names": {"plural": "trainingjobs", "kind": "TrainingJob"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


def a_trainingjob(namespace: str, name: str, **spec: Any) -> Body:
    return {
        "apiVersion": TRAININGJOBS.api_version,
        "kind": TRAININGJOBS.kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    }


def child(owner: Body, api_version: str, kind: str, name: str, spec: Body) -> Body:
    metadata = owner["metadata"]
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "namespace": metadata["namespace"],
            "name": name,
            "labels": {LABEL_OWNED: metadata["name"][:63]},
            "annotations": {ANNOTATION_CAUSE: "{}"},
            "ownerReferences": [reference],
        },
        "spec": spec,
    }


def job_of(owner: Body) -> Body:
    spec = owner["spec"]
    container = {"name": "main", "image": spec.get("image", "busybox"), **spec.get("container", {})}
    template = {"spec": {"restartPolicy": spec.get("restartPolicy", "Never"), "containers": [container]}}
    return child(owner, "batch/v1", "Job", spec.get("jobName", owner["metadata"]["name"]), {"template": template})


def service_of(owner: Body) -> Body:
    ports = [{"name": "http", "port": owner["spec"]["service"], "targetPort": "web"}]
    return child(owner, "v1", "Service", owner["metadata"]["name"], {"selector": {"app": "toy"}, "ports": ports})


def gather(view: View, namespace: str, name: str) -> tuple[Body, Body | None, Any] | None:
    body = view.get(TRAININGJOBS, namespace, name)
    if body is None or "deletionTimestamp" in body["metadata"]:
        return None
    jobs = view.owned(JOBS, body["metadata"]["uid"])
    return body, jobs[0] if jobs else None, view.refusal(TRAININGJOBS, namespace, name)


def decide(snapshot: tuple[Body, Body | None, Any], now: datetime, config: Config) -> Plan:
    body, job, refusal = snapshot
    if body["spec"].get("broken"):
        raise ValueError("broken on purpose")
    actions: list[Action] = [Create(job_of(body))]
    if body["spec"].get("service"):
        actions.append(Apply(service_of(body)))
    before = body.get("status") or {}
    status: Body = {"phase": "Pending", "since": before.get("since", now.isoformat())}
    if job:
        status["phase"] = "Succeeded" if job.get("status", {}).get("succeeded") else "Running"
    if refusal:
        status |= {"phase": "Refused", "reason": refusal.reason, "message": refusal.message}
    delay = 0.5 if status["phase"] in ("Running", "Pending") else 0.0
    kind = "Warning" if refusal else "Normal"
    events = [Event(kind, status["phase"], f"it is {status['phase']}")]
    return Plan(actions, status, events, requeue_after=3600, status_delay=delay)


CONTROLLER = Controller(
    TRAININGJOBS,
    gather,
    decide,
    watches={JOBS: owner_of(TRAININGJOBS), SERVICES: owner_of(TRAININGJOBS)},
)


async def main(kubeconfig: str, identity: str, port: int, seconds: float) -> int:
    credentials = login.load(kubeconfig)
    async with HttpClient(credentials, timeout=5.0) as client:
        lease = Lease(
            client, "default", "toy", identity, duration=seconds, deadline=0.6 * seconds, period=0.1 * seconds
        )
        return await app.run(
            [CONTROLLER], Config(), client, credentials, lease, health=Health(), address=("127.0.0.1", port)
        )


if __name__ == "__main__":
    logs.configure("INFO")
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
