"""What the engine calls one object by."""

from typing import NamedTuple

from perennial.api.resources import Resource
from perennial.plan import Body


class Key(NamedTuple):
    """Resource, namespace and name of one object."""

    resource: Resource
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.namespace}/{self.name}"


def key_of(resource: Resource, body: Body) -> Key:
    """The key of a body."""
    metadata = body["metadata"]
    return Key(resource, metadata.get("namespace", ""), metadata["name"])


def version_of(body: Body) -> int:
    """The resourceVersion as a number: of two bodies of one resource, the larger is the newer."""
    return int(body["metadata"]["resourceVersion"])
