"""Two operators beside each other, each of one namespace, installed by people who have no right of the cluster.

An administrator has installed what belongs to the cluster, without an operator, and bound two roles in each namespace.
"""

import json
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.meta import ANNOTATION_RUN_REQUEST
from perennial.api.resources import (
    DEPLOYMENTS,
    JOBS,
    METRICSERIES,
    MODELDEPLOYMENTS,
    MODELVERSIONS,
    RETRAINPOLICIES,
    SERVICES,
    TRAININGJOBS,
)
from tests.apiserver.charts import CHART, SYSTEM, Deployed, helm, send
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.operators import USER, eventually
from tests.apiserver.reporting import Reporter, until
from tests.apiserver.space import Space

USERS = ("owner", "neighbour")


class Team(NamedTuple):
    """A namespace, who owns it, and the operator that the owner installed."""

    user: str
    space: Space
    operator: Deployed


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    folder, users = tmp_path_factory.mktemp("side-by-side"), {user: ["people"] for user in (USER, *USERS)}
    with ApiServer(folder, users=users, audit=True, controller_manager=True) as server:
        flags = ("--create-namespace", "--set", "replicas=0,rbac.create=false")
        helm(server, "install", "perennial", str(CHART), "--namespace", SYSTEM, *flags)
        yield server


def owned(server: ApiServer, user: str, *roles: str) -> Space:
    """A new namespace in which the user has these roles."""
    space = Space(server)
    for role in roles:
        words = ("rolebinding", f"{user}-{role}", f"--clusterrole={role}", f"--user={user}")
        server.kubectl("-n", space.name, "create", *words)
    return space


def install(server: ApiServer, user: str, space: Space) -> str:
    words = ("install", "perennial", str(CHART), "--namespace", space.name, "--set", "scope=Namespaced")
    return helm(server, *words, user=user)


def may(server: ApiServer, user: str, space: Space, verb: str, resource: str) -> bool:
    words = ("auth", "can-i", verb, resource, f"--as={user}", "-n", space.name)
    try:
        return server.kubectl(*words).strip() == "yes"
    except subprocess.CalledProcessError:
        return False


@pytest.fixture(scope="module")
def teams(server: ApiServer) -> Iterator[tuple[Team, Team]]:
    teams = []
    for user in USERS:
        space = owned(server, user, "admin", f"{SYSTEM}-perennial-operate")
        # The controllers put the chart's roles into `admin`.
        eventually(lambda user=user, space=space: may(server, user, space, "create", "trainingjobs"), 30)
        notes = install(server, user, space)
        assert f"/v1/namespaces/{space.name}/modeldeployments/" in notes
        assert "are not there yet" not in notes
        teams.append(Team(user, space, Deployed(server, server.folder, space.name)))
    with teams[0].operator, teams[1].operator:
        for team in teams:
            team.operator.started()
        yield teams[0], teams[1]


def test_who_may_not_do_what_the_operator_does_cannot_install_it(server: ApiServer) -> None:
    space = owned(server, "neighbour", "admin")
    with pytest.raises(AssertionError, match="is attempting to grant RBAC permissions not currently held"):
        install(server, "neighbour", space)


async def test_each_serves_its_own_namespace_with_a_role_and_nothing_else(
    server: ApiServer, teams: tuple[Team, Team]
) -> None:
    for team in teams:
        await the_loop(server, team)
    first, second = teams
    assert {one["metadata"]["name"] for one in first.space.every(MODELVERSIONS)} == {f"{first.user}-1"}
    assert {one["metadata"]["name"] for one in second.space.every(MODELVERSIONS)} == {f"{second.user}-1"}
    for team in teams:
        requests = team.operator.requests()
        assert requests
        elsewhere = [
            line["requestURI"]
            for line in requests
            if line.get("objectRef", {}).get("namespace", team.space.name) != team.space.name
            or (line.get("objectRef", {}).get("resource") and "namespace" not in line["objectRef"])
        ]
        assert elsewhere == []
        assert team.operator.forbidden() == []
    assert not [
        one
        for one in server.request("GET", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings")["items"]
        if any(subject.get("name") == "perennial" for subject in one.get("subjects") or ())
    ]


async def the_loop(server: ApiServer, team: Team) -> None:
    """Trained, served, measured and trained again, under the names of the team's owner."""
    name, space, operator = team.user, team.space, team.operator
    kubelet = Kubelet(space)

    container = {"name": "main", "image": "train:1", "command": ["python", "train.py"]}
    training = {"model": {"name": name}, "template": {"spec": {"containers": [container]}}}
    body = {"apiVersion": TRAININGJOBS.api_version, "kind": "TrainingJob", "metadata": {"name": "first"}}
    send(server, "POST", TRAININGJOBS.path(space.name), body | {"spec": training}, user=team.user)
    kubelet.runs("first")
    kubelet.publishes("first", metrics={"accuracy": 0.9})
    space.there(MODELVERSIONS, f"{name}-1")
    space.make(MODELDEPLOYMENTS, name, {"model": {"name": name}})
    space.there(SERVICES, name)
    eventually(lambda: [one for one in space.every(DEPLOYMENTS) if one["metadata"]["name"] != "perennial"])

    space.server.kubectl("-n", space.name, "create", "serviceaccount", "monitor")
    rule = ("--verb=create", "--resource=modeldeployments.perennial.dev/metrics")
    space.server.kubectl("-n", space.name, "create", "role", "monitor", *rule)
    account = f"--serviceaccount={space.name}:monitor"
    space.server.kubectl("-n", space.name, "create", "rolebinding", "monitor", "--role=monitor", account)
    token = server.service_account_token(space.name, "monitor", "perennial")
    await until(lambda: "ok" in operator.get("/readyz"))
    bundle = server.request("GET", f"/api/v1/namespaces/{space.name}/configmaps/perennial-ca")["data"]["ca.crt"]
    async with Reporter(operator.reports, bundle, token) as reporter:
        sample = {"name": "accuracy", "value": 0.5, "revision": f"{name}-1"}
        where = f"/v1/namespaces/{space.name}/modeldeployments/{name}/metrics"
        answer = await reporter.send(where, json.dumps({"samples": [sample]}))
    assert (answer.status, answer.body) == (200, {"accepted": 1})
    assert space.there(METRICSERIES, name)["status"]["series"][0]["metric"] == "accuracy"

    policy = {"deployment": {"name": name}, "trainingJobTemplate": {"spec": training}}
    about = {"name": name, "annotations": {ANNOTATION_RUN_REQUEST: "by-hand"}}
    head = {"apiVersion": RETRAINPOLICIES.api_version, "kind": "RetrainPolicy"}
    space.create(head | {"metadata": about, "spec": policy})
    # The operator's own TrainingJob: the policies know it by its Role.
    eventually(lambda: len(space.every(TRAININGJOBS)) == 2)
    eventually(lambda: len(space.every(JOBS)) == 2)
