"""Runs on several nodes, with the real controllers of Indexed Jobs: they stand, fall and are tried again together."""

from typing import Any

import pytest

from perennial.api.resources import JOBS, PODS, SERVICES
from perennial.plan import Body
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.operators import eventually
from tests.apiserver.space import Space

TWO: Body = {"framework": "torch", "nodes": 2}


@pytest.fixture
def nodes(space: Space) -> list[Kubelet]:
    return [Kubelet(space, 0), Kubelet(space, 1)]


def jobs(space: Space) -> list[str]:
    return sorted(job["metadata"]["name"] for job in space.every(JOBS))


def message(space: Space, run: str = "run") -> str:
    conditions: list[dict[str, Any]] = space.status(run).get("conditions") or []
    return next((str(one["message"]) for one in conditions if one["type"] == "Running"), "")


def test_they_begin_and_end_together(space: Space, nodes: list[Kubelet]) -> None:
    space.train("run", distribution=TWO)
    first, second = nodes
    pods = [node.pod("run") for node in nodes]
    assert [pod["spec"]["hostname"] for pod in pods] == ["run-0", "run-1"]
    assert {pod["spec"]["subdomain"] for pod in pods} == {space.there(SERVICES, "peers-run")["metadata"]["name"]}
    assert {pod["metadata"]["labels"]["perennial.dev/attempt"] for pod in pods} == {"1"}
    second.runs("run")
    second.trained("run")
    first.runs("run")
    space.reaches("run", "Running")
    assert message(space).startswith("training in 2 pods, kubectl logs run-0-")
    # The leader is published long before the other ends.
    first.publishes("run")
    second.ends("run", "Succeeded", {"prepare": (0,), "main": (0,), "agent": (0,)})
    status = space.reaches("run", "Succeeded")
    assert status["modelVersion"] == "churn-1"
    assert [row["outcome"] for row in status["attempts"]] == ["Succeeded"]


def test_one_that_fails_ends_the_other_and_both_begin_again(space: Space, nodes: list[Kubelet]) -> None:
    space.train("run", distribution=TWO, backoffLimit=1)
    first, second = nodes
    names = [node.runs("run") for node in nodes]
    space.reaches("run", "Running")
    first.placed("run")
    second.fails("run", 3)
    eventually(lambda: "deletionTimestamp" in space.there(PODS, names[0])["metadata"])
    assert jobs(space) == ["run"], "one of the first attempt still lives"
    first.stops("run")
    eventually(lambda: "the next begins in 10 s" in message(space))
    failure = space.status("run")["failure"]
    assert (failure["pod"], failure["exitCode"]) == (names[1], 3)
    eventually(lambda: len(jobs(space)) == 2, 20)
    assert jobs(space) == ["run", "run-a2"]
    for node in nodes:
        assert node.pod("run")["metadata"]["labels"]["perennial.dev/attempt"] == "2"
        node.runs("run")
    eventually(lambda: space.status("run").get("attempt") == 2)
    second.fails("run", 4)
    status = space.reaches("run", "Failed")
    assert [row["outcome"] for row in status["attempts"]] == ["Failed", "Failed"]
    assert (status["failure"]["exitCode"], jobs(space)) == (4, ["run", "run-a2"])


def test_one_that_the_node_takes_is_not_counted(space: Space, nodes: list[Kubelet]) -> None:
    space.train("run", distribution=TWO, backoffLimit=0)
    for node in nodes:
        node.runs("run")
    nodes[1].loses("run")
    eventually(lambda: jobs(space) == ["run", "run-a2"])
    assert [row["outcome"] for row in space.status("run")["attempts"]][:1] == ["Disrupted"]


def test_suspended_they_stop_together_and_it_counts_as_no_failure(space: Space, nodes: list[Kubelet]) -> None:
    space.train("run", distribution=TWO, backoffLimit=0)
    for node in nodes:
        node.runs("run")
    space.reaches("run", "Running")
    for node in nodes:
        node.placed("run")
    space.edit("run", suspend=True)
    eventually(lambda: all("deletionTimestamp" in pod["metadata"] for pod in space.every(PODS)))
    space.reaches("run", "Suspended")
    space.edit("run", suspend=False)
    for pod in space.every(PODS):
        space.patch(PODS, pod["metadata"]["name"], {"status": {"phase": "Failed"}}, "status")
        space.server.request("DELETE", PODS.path(space.name, pod["metadata"]["name"]), {"gracePeriodSeconds": 0})
    for node in nodes:
        node.runs("run")
    space.reaches("run", "Running")
    assert jobs(space) == ["run"]


def test_the_leaders_success_is_that_of_all_where_it_is_said(space: Space, nodes: list[Kubelet]) -> None:
    space.train("run", distribution=TWO | {"success": "Leader"})
    for node in nodes:
        node.runs("run")
    nodes[0].publishes("run")
    assert space.reaches("run", "Succeeded")["modelVersion"] == "churn-1"
    eventually(lambda: all(pod["status"]["phase"] == "Succeeded" for pod in space.every(PODS)))


def test_the_names_of_the_nodes_are_given_back(space: Space, nodes: list[Kubelet]) -> None:
    space.train("run", distribution=TWO)
    nodes[0].pod("run")
    before = space.there(SERVICES, "peers-run")["metadata"]["uid"]
    space.delete(SERVICES, "peers-run")
    eventually(lambda: (space.get(SERVICES, "peers-run") or {"metadata": {"uid": before}})["metadata"]["uid"] != before)


def test_a_name_that_is_somebody_elses_is_told(space: Space) -> None:
    space.create(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "peers-run"}, "spec": {"ports": [{"port": 80}]}}
    )
    space.train("run", distribution=TWO)
    eventually(lambda: "peers-run" in message(space))
    assert not jobs(space)
