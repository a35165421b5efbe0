"""The read-only view of the cluster that decisions are gathered from, and how a kind registers with the engine."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from perennial.api.resources import Resource
from perennial.config import Config
from perennial.owners import controller_of
from perennial.plan import Body, Plan
from perennial.questions import Answer, Question


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server's last refusal of an action of this object's plan, in its own words."""

    resource: Resource
    name: str
    reason: str
    message: str


class View(Protocol):
    """What is known of the cluster. Bodies are shared: read, never change."""

    def get(self, resource: Resource, namespace: str, name: str) -> Body | None: ...

    def list(self, resource: Resource, namespace: str) -> Sequence[Body]: ...

    def everywhere(self, resource: Resource) -> Sequence[Body]:
        """The objects of all namespaces."""
        ...

    def owned(self, resource: Resource, uid: str) -> Sequence[Body]: ...

    def indexed(self, resource: Resource, namespace: str, value: str) -> Sequence[Body]:
        """The objects of a namespace for which the resource's index gives this value."""
        ...

    def refusal(self, resource: Resource, namespace: str, name: str) -> Refusal | None:
        """The refusal that stands against the object of this key, if its last plan met one."""
        ...

    def explanation(self, resource: Resource, namespace: str, name: str) -> str | None:
        """The message of the last Warning Event that an `Explain` found on this object."""
        ...

    def answers(self, resource: Resource, namespace: str, name: str) -> Mapping[Question, Answer]:
        """What has been answered of the questions of this object's last plan."""
        ...


class Name(NamedTuple):
    """Namespace and name of an object."""

    namespace: str
    name: str


Index = Callable[[Body], str | None]
Watch = Callable[[View, Body], Iterable[Name]]


@dataclass(frozen=True)
class Controller:
    """One kind: how its snapshot is gathered, how it is decided, and which other objects' events concern it."""

    resource: Resource
    gather: Callable[[View, str, str], Any]
    decide: Callable[[Any, datetime, Config], Plan]
    watches: Mapping[Resource, Watch] = field(default_factory=dict)


def owner_of(resource: Resource) -> Watch:
    """A watch that maps a child to its controller owner of that resource."""

    def keys(_: View, body: Body) -> Iterable[Name]:
        controller = controller_of(body)
        if controller and controller["kind"] == resource.kind:
            yield Name(body["metadata"]["namespace"], controller["name"])

    return keys
