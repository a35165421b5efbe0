"""A decision is on what was read: what changed meanwhile is read again."""

from typing import Any

import pytest

from perennial.api.modelversion import Decision
from perennial.api.resources import Resource
from perennial.cli import approval
from perennial.cli.cluster import Cluster
from perennial.cli.problem import Problem, Refused
from perennial.plan import Body


class Busy(Cluster):
    """A cluster in which others write `theirs` into churn-1 so many times, each just before the caller writes."""

    def __init__(self, times: int, theirs: Body | None = None) -> None:
        self.namespace = "team"
        self.times, self.spec, self.theirs = times, Body(), theirs or {}
        self.resource_version = 1

    def get(self, resource: Resource, name: str) -> Body:
        return {"metadata": {"name": name, "resourceVersion": str(self.resource_version)}, "spec": dict(self.spec)}

    def user(self) -> str:
        return "lead"

    def patch(self, resource: Resource, name: str, change: Any) -> None:
        if self.times:
            self.times -= 1
            self.resource_version += 1
            self.spec |= self.theirs
        if change["metadata"]["resourceVersion"] != str(self.resource_version):
            raise Refused(409, "the object has been modified")
        self.spec |= change["spec"]


def test_a_write_of_the_operator_in_between_does_not_matter() -> None:
    cluster = Busy(3)
    assert approval.run(cluster, "churn-1", Decision.APPROVED, overwrite=False) == "modelversion churn-1 approved"
    assert cluster.spec == {"approval": "Approved", "approvedBy": "lead"}


def test_what_another_decided_in_between_stands() -> None:
    cluster = Busy(1, {"approval": "Rejected", "approvedBy": "deputy"})
    with pytest.raises(Problem, match="was rejected by deputy: --overwrite decides anew"):
        approval.run(cluster, "churn-1", Decision.APPROVED, overwrite=False)
    assert cluster.spec["approval"] == "Rejected"


def test_it_ends_when_there_is_no_end_of_writes() -> None:
    with pytest.raises(Problem, match="changes all the time"):
        approval.run(Busy(100), "churn-1", Decision.APPROVED, overwrite=False)
