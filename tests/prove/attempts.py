"""Tries as a user with `edit` writes them, by each kind, and what became of them."""

import json
from dataclasses import dataclass

from perennial.api.meta import ANNOTATION_RUN_REQUEST
from perennial.api.resources import DEPLOYMENTS, JOBS, MODELDEPLOYMENTS, RETRAINPOLICIES, TRAININGJOBS, Resource
from perennial.plan import Body
from tests.prove.places import EDITOR, KINDS, Place, within
from tests.prove.tries import Try


@dataclass(frozen=True)
class Row:
    """One try by one kind, or its harmless twin."""

    place: Place
    resource: Resource
    name: str
    what: Try
    template: Body

    @property
    def subject(self) -> tuple[Resource, str]:
        """The object whose status tells of the pod: that of a policy is its first run's TrainingJob."""
        return (TRAININGJOBS, f"{self.name}-1") if self.resource is RETRAINPOLICIES else (self.resource, self.name)

    def __str__(self) -> str:
        return f"{self.what.name} by {self.resource.kind} {self.name}"

    def make(self) -> None:
        """Write it, as a user who may create pods."""
        asked = {ANNOTATION_RUN_REQUEST: "now"} if self.resource is RETRAINPOLICIES else {}
        self.place.write(EDITOR, self.resource, self.name, KINDS[self.resource](self.template), annotations=asked)


class Seen:
    """What became of the rows of one namespace."""

    def __init__(self, place: Place) -> None:
        kinds = (TRAININGJOBS, MODELDEPLOYMENTS)
        every = {(kind, name): body for kind in kinds for name, body in place.named(kind).items()}
        self.said = {subject: json.dumps(body.get("status")) for subject, body in every.items()}
        labels = {TRAININGJOBS: "trainingjob", MODELDEPLOYMENTS: "modeldeployment"}
        self.pods = {(kind, name): pod for kind in kinds for name, pod in place.pods(labels[kind]).items()}


def templates(place: Place) -> dict[tuple[Resource, str], Body]:
    """The pod templates that the operator made, by the object that it made them for."""
    found: dict[tuple[Resource, str], Body] = {}
    for kind, owner in ((JOBS, TRAININGJOBS), (DEPLOYMENTS, MODELDEPLOYMENTS)):
        for body in place.every(kind):
            found[owner, body["metadata"]["ownerReferences"][0]["name"]] = body["spec"]["template"]
    return found


def says(pod: Body | None, template: Body) -> bool:
    """Whether a pod says all of a template, but for the command that the launcher goes before."""
    if pod is None:
        return False
    (main, *others) = template["spec"]["containers"]
    containers = [{field: value for field, value in main.items() if field != "command"}, *others]
    return within(pod["spec"], template["spec"] | {"containers": containers}) and within(
        pod["metadata"], template["metadata"]
    )
