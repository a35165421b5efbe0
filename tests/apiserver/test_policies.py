"""The chart's admission policies and roles: who may approve, what may be deleted, what the operator itself may do."""

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import JOBS, MODELDEPLOYMENTS, MODELVERSIONS, TRAININGJOBS
from tests.apiserver.charts import CHART, Refused, helm, send
from tests.apiserver.operators import eventually

EDITOR, ADMINISTRATOR, VIEWER = "erin", "adam", "vera"
MERGE = "application/merge-patch+json"
SYSTEM = "perennial-system"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server with Kubernetes' controllers (they end namespaces and aggregate roles) and the chart."""
    users = {EDITOR: ["staff"], ADMINISTRATOR: ["staff"], VIEWER: ["staff"]}
    with ApiServer(tmp_path_factory.mktemp("policies"), users=users, controller_manager=True) as server:
        helm(server, "install", "perennial", str(CHART), "--namespace", SYSTEM, "--create-namespace")
        yield server


@pytest.fixture
def place(server: ApiServer) -> str:
    """A namespace in which each of the users has the role that they are called after."""
    name = str(send(server, "POST", "/api/v1/namespaces", {"metadata": {"generateName": "p-"}})["metadata"]["name"])
    for user, role in ((EDITOR, "edit"), (ADMINISTRATOR, "admin"), (VIEWER, "view")):
        server.kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={user}", f"--namespace={name}")
    # Roles and policies come into force a moment after they are made.
    eventually(lambda: _may(server, name, ADMINISTRATOR, "approve", "modelversions"))
    eventually(lambda: _approval_is_guarded(server, name))
    return name


def _may(server: ApiServer, namespace: str, user: str, verb: str, resource: str, subresource: str = "") -> bool:
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "group": "perennial.dev",
        "resource": resource,
        "subresource": subresource,
    }
    review = {"spec": {"user": user, "groups": ["staff"], "resourceAttributes": attributes}}
    answer = send(server, "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def _approval_is_guarded(server: ApiServer, namespace: str) -> bool:
    try:
        path = MODELVERSIONS.path(namespace) + "?dryRun=All"
        send(server, "POST", path, version(1, approval="Approved", approvedBy="nobody"))
    except Refused:
        return True
    return False


def version(number: int = 1, **spec: Any) -> dict[str, Any]:
    known = {"model": "churn", "version": number, "uri": "s3://acme/1", "digest": "sha256:" + "0" * 64}
    return {
        "apiVersion": MODELVERSIONS.api_version,
        "kind": "ModelVersion",
        "metadata": {"name": f"churn-{number}"},
        "spec": known | {"format": "sklearn", "parameters": {"depth": 6}} | spec,
    }


def make(server: ApiServer, namespace: str, *, served_by: tuple[str, ...] = (), **spec: Any) -> str:
    """Make churn-1 and return its path."""
    send(server, "POST", MODELVERSIONS.path(namespace), version(**spec))
    path = MODELVERSIONS.path(namespace, "churn-1")
    if served_by:
        send(server, "PATCH", f"{path}/status", {"status": {"servedBy": list(served_by)}}, content_type=MERGE)
    return path


def edit(server: ApiServer, path: str, user: str, **spec: Any) -> None:
    send(server, "PATCH", path, {"spec": spec}, user=user, content_type=MERGE)


def test_a_served_version_cannot_be_deleted_and_the_message_says_who_serves_it(server: ApiServer, place: str) -> None:
    path = make(server, place, served_by=("churn", "churn-eu"))
    with pytest.raises(Refused, match="it is served by churn, churn-eu: let the ModelDeployment serve another version"):
        send(server, "DELETE", path, user=EDITOR)
    with pytest.raises(Refused, match="it is served by churn, churn-eu"):
        send(server, "DELETE", MODELVERSIONS.path(place), user=EDITOR)


def test_a_version_that_nobody_serves_can_be_deleted(server: ApiServer, place: str) -> None:
    path = make(server, place)
    send(server, "DELETE", path, user=EDITOR)


def test_a_namespace_with_a_served_version_goes(server: ApiServer, place: str) -> None:
    make(server, place, served_by=("churn",))
    send(server, "DELETE", f"/api/v1/namespaces/{place}")

    def gone() -> bool:
        try:
            send(server, "GET", f"/api/v1/namespaces/{place}")
        except Refused as refused:
            return refused.code == 404
        return False

    eventually(gone, 30)


def test_an_administrator_approves_in_their_own_name(server: ApiServer, place: str) -> None:
    path = make(server, place)
    edit(server, path, ADMINISTRATOR, approval="Approved", approvedBy=ADMINISTRATOR)
    edit(server, path, ADMINISTRATOR, approval="Rejected")
    edit(server, path, ADMINISTRATOR, approval=None, approvedBy=None)


def test_nobody_approves_in_the_name_of_another(server: ApiServer, place: str) -> None:
    path = make(server, place)
    with pytest.raises(Refused, match="spec.approvedBy: must name who writes spec.approval: adam"):
        edit(server, path, ADMINISTRATOR, approval="Approved", approvedBy="somebody")
    with pytest.raises(Refused, match="spec.approvedBy: must name who writes spec.approval: adam"):
        edit(server, path, ADMINISTRATOR, approval="Approved")
    with pytest.raises(Refused, match="spec.approvedBy: goes with spec.approval; take it out, too"):
        edit(server, path, ADMINISTRATOR, approvedBy=ADMINISTRATOR)


def test_an_editor_may_not_approve(server: ApiServer, place: str) -> None:
    path = make(server, place)
    words = (
        f"spec.approval: erin may not approve or reject: the verb `approve` on modelversions in the namespace {place}"
    )
    with pytest.raises(Refused, match=words):
        edit(server, path, EDITOR, approval="Approved", approvedBy=EDITOR)
    approved = version(2, approval="Approved", approvedBy=EDITOR)
    with pytest.raises(Refused, match=words):
        send(server, "POST", MODELVERSIONS.path(place), approved, user=EDITOR)


def test_an_editor_may_not_take_a_rejection_back_but_may_edit_around_it(server: ApiServer, place: str) -> None:
    path = make(server, place)
    edit(server, path, ADMINISTRATOR, approval="Rejected", approvedBy=ADMINISTRATOR)
    with pytest.raises(Refused, match="erin may not approve or reject"):
        edit(server, path, EDITOR, approval=None, approvedBy=None)
    label = {"metadata": {"labels": {"stage": "old"}}}
    send(server, "PATCH", path, label, user=EDITOR, content_type=MERGE)


def test_the_parameters_of_a_version_stay(server: ApiServer, place: str) -> None:
    path = make(server, place)
    with pytest.raises(Refused, match="spec.parameters cannot change: a version is what was trained"):
        edit(server, path, ADMINISTRATOR, parameters={"depth": 7})


@pytest.mark.parametrize(
    ("user", "verb", "resource", "subresource", "allowed"),
    [
        (VIEWER, "get", "modeldeployments", "", True),
        (VIEWER, "create", "trainingjobs", "", False),
        (VIEWER, "create", "modeldeployments", "metrics", False),
        (EDITOR, "create", "trainingjobs", "", True),
        (EDITOR, "delete", "retrainpolicies", "", True),
        (EDITOR, "create", "modeldeployments", "metrics", True),
        (EDITOR, "patch", "modeldeployments", "scale", True),
        (EDITOR, "patch", "modeldeployments", "status", False),
        (EDITOR, "create", "models", "", False),
        (EDITOR, "patch", "metricseries", "", False),
        (EDITOR, "approve", "modelversions", "", False),
        (ADMINISTRATOR, "approve", "modelversions", "", True),
        (ADMINISTRATOR, "get", "trainingjobs", "", True),
    ],
)
def test_the_roles_of_kubernetes_have_what_they_need(
    server: ApiServer, place: str, user: str, verb: str, resource: str, subresource: str, allowed: bool
) -> None:
    assert _may(server, place, user, verb, resource, subresource) is allowed


class TestTheOperatorsAccount:
    """What the ServiceAccount that the chart makes may do."""

    @pytest.fixture
    def token(self, server: ApiServer) -> str:
        return server.service_account_token(SYSTEM, "perennial")

    def test_makes_versions_but_approves_none(self, server: ApiServer, place: str, token: str) -> None:
        send(server, "POST", MODELVERSIONS.path(place), version(), token=token)
        approved = version(2, approval="Approved", approvedBy=f"system:serviceaccount:{SYSTEM}:perennial")
        with pytest.raises(Refused, match="may not approve or reject"):
            send(server, "POST", MODELVERSIONS.path(place), approved, token=token)
        path = MODELVERSIONS.path(place, "churn-1")
        with pytest.raises(Refused, match="cannot patch"):
            send(server, "PATCH", path, {"spec": {"approval": "Approved"}}, token=token, content_type=MERGE)

    def test_writes_statuses(self, server: ApiServer, place: str, token: str) -> None:
        path = make(server, place) + "/status"
        send(server, "PATCH", path, {"status": {"servedBy": ["churn"]}}, token=token, content_type=MERGE)

    def test_sees_no_secret_and_changes_no_spec(self, server: ApiServer, place: str, token: str) -> None:
        for method, path in (
            ("GET", f"/api/v1/namespaces/{place}/secrets"),
            ("GET", f"/api/v1/namespaces/{place}/secrets/perennial-storage"),
            ("GET", f"/api/v1/namespaces/{place}/configmaps/other"),
            ("PATCH", MODELDEPLOYMENTS.path(place, "churn")),
            ("PATCH", TRAININGJOBS.path(place, "churn-1")),
        ):
            with pytest.raises(Refused) as refused:
                send(server, method, path, {} if method == "PATCH" else None, token=token, content_type=MERGE)
            assert refused.value.code == 403, path

    def test_lists_what_it_watches(self, server: ApiServer, token: str) -> None:
        for resource in (TRAININGJOBS, MODELVERSIONS, MODELDEPLOYMENTS, JOBS):
            send(server, "GET", resource.path() + "?watch=false&limit=1", token=token)
