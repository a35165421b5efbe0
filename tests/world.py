"""A View over plain dicts, for tests of pure decisions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from perennial.api.resources import Resource, of
from perennial.indexes import INDEXES
from perennial.plan import Body
from perennial.questions import Answer, Question
from perennial.view import Refusal


class World:
    """The objects that a decision may see."""

    def __init__(self, *bodies: Body) -> None:
        self.objects: dict[tuple[Resource, str, str], Body] = {}
        self.refusals: dict[tuple[Resource, str, str], Refusal] = {}
        self.explanations: dict[tuple[Resource, str, str], str] = {}
        self.answered: dict[Question, Answer] = {}
        self.add(*bodies)

    def add(self, *bodies: Body) -> None:
        for body in bodies:
            self.objects[of(body), body["metadata"]["namespace"], body["metadata"]["name"]] = body

    def remove(self, body: Body) -> None:
        del self.objects[of(body), body["metadata"]["namespace"], body["metadata"]["name"]]

    def get(self, resource: Resource, namespace: str, name: str) -> Body | None:
        return self.objects.get((resource, namespace, name))

    def list(self, resource: Resource, namespace: str) -> Sequence[Body]:
        return [body for (kind, ns, _), body in self.objects.items() if (kind, ns) == (resource, namespace)]

    def everywhere(self, resource: Resource) -> Sequence[Body]:
        return [body for (kind, _, _), body in self.objects.items() if kind == resource]

    def owned(self, resource: Resource, uid: str) -> Sequence[Body]:
        return [body for (kind, _, _), body in self.objects.items() if kind == resource and uid in _owners(body)]

    def indexed(self, resource: Resource, namespace: str, value: str) -> Sequence[Body]:
        return [body for body in self.list(resource, namespace) if INDEXES[resource](body) == value]

    def refusal(self, resource: Resource, namespace: str, name: str) -> Refusal | None:
        return self.refusals.get((resource, namespace, name))

    def explanation(self, resource: Resource, namespace: str, name: str) -> str | None:
        return self.explanations.get((resource, namespace, name))

    def answers(self, resource: Resource, namespace: str, name: str) -> Mapping[Question, Answer]:
        return self.answered


def _owners(body: Body) -> Iterable[str]:
    return [owner["uid"] for owner in body["metadata"].get("ownerReferences") or () if owner.get("controller")]


def conditions(status: Body) -> dict[str, Any]:
    """type -> (status, reason) of the conditions of a status."""
    return {one["type"]: (one["status"], one["reason"]) for one in status.get("conditions") or ()}
