"""Bodies for tests of the engine."""

from typing import Any

from perennial.api.resources import JOBS, TRAININGJOBS, Resource


def a_body(resource: Resource, name: str, *, version: int = 1, uid: str | None = None, **more: Any) -> dict[str, Any]:
    metadata = {"namespace": "ns", "name": name, "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {**metadata, **more.pop("metadata", {})},
        "spec": {},
        **more,
    }


def owned_by(owner: str, *, controller: bool = True) -> dict[str, Any]:
    reference = {
        "apiVersion": TRAININGJOBS.api_version,
        "kind": TRAININGJOBS.kind,
        "name": owner,
        "uid": f"uid-{owner}",
        "controller": controller,
    }
    return {"ownerReferences": [reference]}


def a_job(name: str = "job", *, owner: str = "tj", version: int = 1, **more: Any) -> dict[str, Any]:
    return a_body(JOBS, name, version=version, metadata=owned_by(owner), **more)
