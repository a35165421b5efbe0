"""An in-memory Client for unit tests of the engine. What an API server really does is tested against a real one."""

import copy
import itertools
from collections.abc import Callable
from typing import Any

from perennial.api.resources import METRICSERIES, MODELS, Resource, of
from perennial.kube.client import PAGE, Page
from perennial.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from perennial.plan import Body
from perennial.runtime.key import Key, key_of

# Kinds without a status subresource: their status is written with the object.
_RECORDS = (MODELS, METRICSERIES)


def merged(value: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for key, item in patch.items():
        if item is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), item)
    return result


def _selected(labels: Body, selector: str) -> bool:
    """Of one term: that the label is there, or has this value."""
    key, equals, value = selector.partition("=")
    return key in labels and (not equals or labels[key] == value)


class FakeClient:
    """Objects with resourceVersions, uids, generations and preconditions. `calls` tells what was asked, in order.

    `fail(verb, resource, error)` makes the next such request raise; `on_change` is told of every stored body.
    """

    def __init__(self) -> None:
        self.objects: dict[Key, Body] = {}
        self.calls: list[tuple[str, str]] = []
        self.on_change: Callable[[Resource, Body | None, Body], None] = lambda *_: None
        self._versions = itertools.count(1)
        self._failures: list[tuple[str, Resource, ApiError, bool]] = []

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [call for call in self.calls if call[0] not in ("get", "list", "dry run")]

    def fail(self, verb: str, resource: Resource, error: ApiError, *, always: bool = False) -> None:
        self._failures.append((verb, resource, error, always))

    def heal(self) -> None:
        self._failures.clear()

    def put(self, body: Body) -> Body:
        """As somebody else's create or update."""
        return self._store(key_of(of(body), body), copy.deepcopy(body))

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Body:
        self._called("get", resource, name)
        return copy.deepcopy(self._find(Key(resource, namespace or "", name)))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        limit: int = PAGE,
        more: str = "",
        metadata_only: bool = False,
    ) -> Page:
        self._called("list", resource, "")
        found = [
            copy.deepcopy(body)
            for key, body in sorted(self.objects.items(), key=lambda item: item[0][1:])
            if key.resource == resource
            and namespace in (None, key.namespace)
            and (not labels or _selected(body["metadata"].get("labels", {}), labels))
        ]
        # The pages of one list are of one version, as long as its token is good.
        version, start = more.split(":") if more else (str(next(self._versions)), "0")
        end = int(start) + limit
        return Page(found[int(start) : end], version, f"{version}:{end}" if end < len(found) else "")

    async def create(self, body: Body, *, strict: bool = False, dry_run: bool = False) -> Body:
        resource = of(body)
        key = key_of(resource, body)
        self._called("create", resource, key.name)
        if dry_run:
            return body
        if key in self.objects:
            raise AlreadyExists(f"{key} already exists", code=409, reason="AlreadyExists")
        return self._store(key, {k: v for k, v in copy.deepcopy(body).items() if k != "status" or resource in _RECORDS})

    async def apply(self, body: Body, *, dry_run: bool = False) -> Body:
        resource = of(body)
        key = key_of(resource, body)
        self._called("dry run" if dry_run else "apply", resource, key.name)
        self._precondition(key, body["metadata"])
        if dry_run:
            return merged(self.objects.get(key), copy.deepcopy(body))  # type: ignore[no-any-return]
        return self._store(key, merged(self.objects.get(key), copy.deepcopy(body)))

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, patch: Body, *, subresource: str | None = None
    ) -> Body:
        key = Key(resource, namespace or "", name)
        self._called(f"patch {subresource}" if subresource else "patch", resource, name)
        known = self._find(key)
        self._precondition(key, patch.get("metadata", {}))
        if subresource == "status":
            patch = {"status": patch["status"]}
        return self._store(key, merged(known, copy.deepcopy(patch)))

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> Body:
        key = Key(resource, namespace or "", name)
        self._called("delete", resource, name)
        known = self._find(key)
        self._precondition(key, {"uid": uid, "resourceVersion": resource_version})
        del self.objects[key]
        gone = copy.deepcopy(known)
        gone["metadata"]["resourceVersion"] = str(next(self._versions))
        self.on_change(resource, gone, {})
        return {"kind": "Status", "status": "Success"}

    def _called(self, verb: str, resource: Resource, name: str) -> None:
        self.calls.append((verb, f"{resource.plural}/{name}"))
        for failure in self._failures:
            if failure[:2] == (verb, resource):
                if not failure[3]:
                    self._failures.remove(failure)
                raise failure[2]

    def _find(self, key: Key) -> Body:
        if key not in self.objects:
            raise NotFound(f"{key} not found", code=404)
        return self.objects[key]

    def _precondition(self, key: Key, metadata: Body) -> None:
        known = self.objects.get(key, {"metadata": {}})["metadata"]
        for field in ("uid", "resourceVersion"):
            if metadata.get(field) not in (None, known.get(field)):
                raise Conflict(f"{key}: {field} differs", code=409, reason="Conflict")

    def _store(self, key: Key, body: Body) -> Body:
        before = self.objects.get(key)
        metadata = body["metadata"]
        metadata["uid"] = before["metadata"]["uid"] if before else metadata.get("uid", f"uid-{next(self._versions)}")
        generation = before["metadata"]["generation"] if before else 0
        metadata["generation"] = generation + (before is None or before.get("spec") != body.get("spec"))
        metadata["resourceVersion"] = before["metadata"]["resourceVersion"] if before else ""
        if body != before:
            metadata["resourceVersion"] = str(next(self._versions))
        self.objects[key] = body
        self.on_change(key.resource, before, body)
        return copy.deepcopy(body)
