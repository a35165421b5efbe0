"""When something became so in a namespace, and when a status said so: every state that was seen, with its time."""

import base64
import http.client
import json
import ssl
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import yaml

from e2e.lab import Body, Lab

# A status says within so many seconds what became of a pod.
SOON = 30.0
PATHS = {"pods": "/api/v1", "trainingjobs": "/apis/perennial.dev/v1alpha1"}
PATHS["modeldeployments"] = PATHS["trainingjobs"]


@dataclass(frozen=True)
class Seen:
    """A state of an object, and when it was seen, in seconds since the epoch."""

    at: float
    body: Body


class Diary:
    """Watches the pods, TrainingJobs and ModelDeployments of a namespace, as a context manager."""

    def __init__(self, lab: Lab, namespace: str) -> None:
        self._lab, self._namespace = lab, namespace
        self._seen: dict[tuple[str, str], list[Seen]] = defaultdict(list)
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        for kind in PATHS:
            threading.Thread(target=self._watch, args=(kind,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def states(self, kind: str, name: str) -> list[Seen]:
        """All states of an object, oldest first."""
        return list(self._seen.get((kind, name), ()))

    def pods(self, label: str, value: str) -> list[list[Seen]]:
        """The states of each pod that has the label with this value, or ever had."""
        every = [list(states) for (kind, _), states in list(self._seen.items()) if kind == "pods"]
        return [states for states in every if states[0].body["metadata"].get("labels", {}).get(label) == value]

    def said(self, kind: str, name: str, reason: str, words: str) -> float | None:
        """When the object's status first said these words under this reason; None when it never did."""
        for seen in self.states(kind, name):
            for one in _sayings(seen.body.get("status") or {}):
                if one.get("reason") == reason and words in (one.get("message") or ""):
                    return seen.at
        return None

    def _watch(self, kind: str) -> None:
        while not self._ended.is_set():
            try:
                for event in _stream(self._lab, f"{PATHS[kind]}/namespaces/{self._namespace}/{kind}?watch=true"):
                    body = event["object"]
                    if "metadata" in body and "name" in body["metadata"]:
                        kept = {field: body[field] for field in ("metadata", "status") if field in body}
                        kept["metadata"].pop("managedFields", None)
                        self._seen[kind, body["metadata"]["name"]].append(Seen(time.time(), kept))
                    if self._ended.is_set():
                        return
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.2)


def bad_since(states: Iterable[Seen]) -> float | None:
    """When the cluster first showed that a pod went wrong: a container ended badly, or more than once, or cannot start,
    or the pod is evicted, or not ready any more."""
    ready = False
    for seen in states:
        status = seen.body.get("status") or {}
        if (status.get("phase") == "Failed" and status.get("reason")) or any(map(_is_bad, _containers(status))):
            return seen.at
        said = {one["type"]: one["status"] for one in status.get("conditions") or ()}
        if ready and said.get("Ready") == "False":
            return seen.at
        ready = ready or said.get("Ready") == "True"
    return None


def _is_bad(container: Mapping[str, Any]) -> bool:
    state = container.get("state") or {}
    waits = (state.get("waiting") or {}).get("reason") not in (None, "PodInitializing", "ContainerCreating")
    ended = (state.get("terminated") or {}).get("exitCode")
    return waits or bool(ended) or container.get("restartCount", 0) > 0


def _containers(status: Mapping[str, Any]) -> list[Body]:
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _sayings(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Whatever of a status has a reason and a message."""
    yield status.get("failure") or {}
    for field in ("conditions", "candidates", "vetoes"):
        yield from status.get(field) or ()


def _stream(lab: Lab, path: str) -> Iterator[Body]:
    """The lines of a watch, with the administrator's certificate."""
    config = yaml.safe_load(lab.cluster.kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        pair.flush()
        context.load_cert_chain(pair.name)
    server = urlsplit(cluster["server"])
    connection = http.client.HTTPSConnection(server.hostname or "", server.port or 443, context=context)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        while line := answer.readline():
            yield json.loads(line)
    finally:
        connection.close()
