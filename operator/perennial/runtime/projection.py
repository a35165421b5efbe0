"""What the cache keeps of an object, so that thousands fit: the unread is dropped, repeated strings are shared."""

from collections.abc import Callable
from typing import Any

from perennial.api.meta import MAX_DEPTH
from perennial.api.resources import DEPLOYMENTS, JOBS, PODS, Resource
from perennial.plan import Body

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_OURS = "perennial.dev/"
_POD_ANNOTATIONS = (_OURS, "batch.kubernetes.io/")
_POD_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "ownerReferences",
)
_POD_SPEC = ("nodeName", "hostNetwork")
_CONTAINERS = ("initContainerStatuses", "containerStatuses")
_CONTAINER = ("name", "state", "lastState", "ready", "restartCount", "image", "imageID")
_JOB_SPEC_DROPPED = ("template", "podFailurePolicy", "selector")
# Field names and words recur in every object, but each parse makes new ones. Bounded: labels are users' to choose.
_POOL_SIZE = 20_000
_WORD = 32
_pool: dict[str, str] = {}


def project(resource: Resource, body: Body) -> Body:
    """A copy of the body with what is worth keeping; below MAX_DEPTH levels that is nothing."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    if _LAST_APPLIED in metadata.get("annotations", ()):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != _LAST_APPLIED}
    rest = _REST.get(resource, _everything)
    return _compact(rest({**body, "metadata": metadata}))  # type: ignore[no-any-return]


def _everything(body: Body) -> Body:
    return body


def _pod(body: Body) -> Body:
    metadata = {key: body["metadata"][key] for key in _POD_METADATA if key in body["metadata"]}
    annotations = body["metadata"].get("annotations", {})
    if kept := {key: value for key, value in annotations.items() if key.startswith(_POD_ANNOTATIONS)}:
        metadata["annotations"] = kept
    labels = body["metadata"].get("labels", {})
    if kept := {key: value for key, value in labels.items() if key.startswith(_OURS)}:
        metadata["labels"] = kept
    status = dict(body.get("status", {}))
    for field in _CONTAINERS:
        if field in status:
            status[field] = [{key: one[key] for key in _CONTAINER if key in one} for one in status[field]]
    spec = {field: body["spec"][field] for field in _POD_SPEC if body.get("spec", {}).get(field)}
    # By which a server is asked for its metrics.
    ports = [port for one in body.get("spec", {}).get("containers") or () for port in one.get("ports") or ()]
    if ports:
        spec["containers"] = [{"ports": ports}]
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }


def _job(body: Body) -> Body:
    return {**body, "spec": {key: value for key, value in body["spec"].items() if key not in _JOB_SPEC_DROPPED}}


def _deployment(body: Body) -> Body:
    template = {key: value for key, value in body["spec"].get("template", {}).items() if key != "spec"}
    return {**body, "spec": {**body["spec"], "template": template}}


_REST: dict[Resource, Callable[[Body], Body]] = {PODS: _pod, JOBS: _job, DEPLOYMENTS: _deployment}


def _compact(value: Any, levels: int = MAX_DEPTH) -> Any:
    if isinstance(value, str):
        return _shared(value) if len(value) <= _WORD else value
    if isinstance(value, dict):
        return {_shared(key): _compact(item, levels - 1) for key, item in value.items()} if levels else None
    if isinstance(value, list):
        return [_compact(item, levels - 1) for item in value] if levels else None
    return value


def _shared(word: str) -> str:
    known = _pool.get(word)
    if known is not None:
        return known
    if len(_pool) < _POOL_SIZE:
        _pool[word] = word
    return word
