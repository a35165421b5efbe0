"""The chart's admission policies and roles: who may approve, what may be deleted, what the operator itself may do."""

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.meta import ANNOTATION_RUN_REQUEST
from perennial.api.resources import JOBS, MODELDEPLOYMENTS, MODELVERSIONS, RETRAINPOLICIES, TRAININGJOBS, Resource
from perennial.plan import Body
from tests.apiserver.charts import CHART, SYSTEM, Refused, helm, send
from tests.apiserver.operators import apply_gateway_kinds, eventually

EDITOR, ADMINISTRATOR, VIEWER = "editor", "lead", "viewer"
# May write the kinds of Perennial and nothing else; and may create pods besides.
WRITER, STARTER = "writer", "starter"
# May create pods and services besides, and nothing that a ModelDeployment may have beside them.
SERVER = "server"
EVALUATION = {"uri": "s3://acme/rows.csv", "label": "odd", "metrics": [{"name": "Accuracy", "min": 0.5}]}
USERS = (EDITOR, ADMINISTRATOR, VIEWER, WRITER, STARTER, SERVER)
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server with Kubernetes' controllers (they end namespaces and aggregate roles) and the chart."""
    users = {user: ["staff"] for user in USERS}
    with ApiServer(tmp_path_factory.mktemp("policies"), users=users, controller_manager=True) as server:
        helm(server, "install", "perennial", str(CHART), "--namespace", SYSTEM, "--create-namespace")
        apply_gateway_kinds(server)
        # Kubernetes' own roles say nothing of the Gateway API's kinds.
        routes = "httproutes.gateway.networking.k8s.io"
        server.kubectl("create", "clusterrole", "router", "--verb=create", f"--resource={routes}")
        server.kubectl("create", "clusterrole", "pod-creator", "--verb=create", "--resource=pods")
        server.kubectl("create", "clusterrole", "pod-server", "--verb=create", "--resource=pods,services")
        yield server


@pytest.fixture
def place(server: ApiServer) -> str:
    """A namespace in which each of the users has the role that they are called after."""
    name = str(send(server, "POST", "/api/v1/namespaces", {"metadata": {"generateName": "p-"}})["metadata"]["name"])
    roles = (
        (EDITOR, "edit"),
        (EDITOR, "router"),
        (ADMINISTRATOR, "admin"),
        (VIEWER, "view"),
        (STARTER, "pod-creator"),
        (SERVER, "pod-server"),
    )
    writers = [(user, f"{SYSTEM}-perennial-edit") for user in (WRITER, STARTER, SERVER)]
    for user, role in (*roles, *writers):
        binding = ("rolebinding", f"{user}-{role}", f"--clusterrole={role}", f"--user={user}")
        server.kubectl("create", *binding, f"--namespace={name}")
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
    with pytest.raises(Refused, match="spec.approvedBy: must name who writes spec.approval: lead"):
        edit(server, path, ADMINISTRATOR, approval="Approved", approvedBy="somebody")
    with pytest.raises(Refused, match="spec.approvedBy: must name who writes spec.approval: lead"):
        edit(server, path, ADMINISTRATOR, approval="Approved")
    with pytest.raises(Refused, match="spec.approvedBy: goes with spec.approval; take it out, too"):
        edit(server, path, ADMINISTRATOR, approvedBy=ADMINISTRATOR)


def test_an_editor_may_not_approve(server: ApiServer, place: str) -> None:
    path = make(server, place)
    words = (
        f"spec.approval: editor may not approve or reject: the verb `approve` on modelversions in the namespace {place}"
    )
    with pytest.raises(Refused, match=words):
        edit(server, path, EDITOR, approval="Approved", approvedBy=EDITOR)
    approved = version(2, approval="Approved", approvedBy=EDITOR)
    with pytest.raises(Refused, match=words):
        send(server, "POST", MODELVERSIONS.path(place), approved, user=EDITOR)


def test_an_editor_may_not_take_a_rejection_back_but_may_edit_around_it(server: ApiServer, place: str) -> None:
    path = make(server, place)
    edit(server, path, ADMINISTRATOR, approval="Rejected", approvedBy=ADMINISTRATOR)
    with pytest.raises(Refused, match="editor may not approve or reject"):
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


def training(**spec: Any) -> Body:
    container = {"name": "main", "image": "train:1", "command": ["python", "train.py"]}
    return {"model": {"name": "churn"}, "template": {"spec": {"containers": [container]}}} | spec


def an(resource: Resource, spec: Body) -> Body:
    kind = {"apiVersion": resource.api_version, "kind": resource.kind}
    return {**kind, "metadata": {"name": "churn-1" if resource is MODELVERSIONS else "churn"}, "spec": spec}


OBJECTS = {
    TRAININGJOBS: an(TRAININGJOBS, training()),
    MODELVERSIONS: version(),
    MODELDEPLOYMENTS: an(MODELDEPLOYMENTS, {"model": {"name": "churn"}}),
    RETRAINPOLICIES: an(
        RETRAINPOLICIES, {"deployment": {"name": "churn"}, "trainingJobTemplate": {"spec": training()}}
    ),
}


class TestWhoWritesWhatBecomesPods:
    """The policy `pod-creation`: it asks whether the requester could have made the pods."""

    @pytest.fixture
    def place(self, server: ApiServer, place: str) -> str:
        """That namespace, with one object of each kind, as soon as the policy holds."""

        def guarded() -> bool:
            try:
                path = TRAININGJOBS.path(place) + "?dryRun=All"
                send(server, "POST", path, OBJECTS[TRAININGJOBS], user=WRITER)
            except Refused as refused:
                return "may not create pods" in refused.message
            return False

        eventually(guarded)
        for resource, body in OBJECTS.items():
            send(server, "POST", resource.path(place), body)
        return place

    @staticmethod
    def write(server: ApiServer, place: str, resource: Resource, user: str, **metadata: Any) -> None:
        body = {**OBJECTS[resource], "metadata": {"generateName": "try-", **metadata}}
        if resource is MODELVERSIONS:
            body = version(7)
        send(server, "POST", resource.path(place) + "?dryRun=All", body, user=user)

    @pytest.mark.parametrize("resource", OBJECTS, ids=lambda one: one.plural)
    def test_may_create_pods(self, server: ApiServer, place: str, resource: Resource) -> None:
        words = f"writer may not create pods: the verb `create` on pods in the namespace {place} is needed"
        with pytest.raises(Refused, match=words) as refused:
            self.write(server, place, resource, WRITER)
        assert refused.value.code == 403
        self.write(server, place, resource, EDITOR)
        self.write(server, place, resource, ADMINISTRATOR)

    def test_may_create_services_too_for_a_deployment(self, server: ApiServer, place: str) -> None:
        self.write(server, place, TRAININGJOBS, STARTER)
        self.write(server, place, MODELVERSIONS, STARTER)
        self.write(server, place, RETRAINPOLICIES, STARTER)
        with pytest.raises(Refused, match="starter may not create services: the verb `create` on services in"):
            self.write(server, place, MODELDEPLOYMENTS, STARTER)

    @pytest.mark.parametrize(
        ("plural", "field", "asked", "changed"),
        [
            ("horizontalpodautoscalers", "autoscaling", {"maxReplicas": 2}, {"maxReplicas": 3}),
            ("poddisruptionbudgets", "disruption", {"maxUnavailable": 1}, {"maxUnavailable": 2}),
            ("networkpolicies", "network", {"allowFrom": []}, {"allowFrom": [{"podSelector": {}}]}),
            ("ingresses", "ingress", {}, {"hosts": ["churn.acme.dev"]}),
            ("httproutes", "route", {"parentRefs": [{"name": "a"}]}, {"parentRefs": [{"name": "b"}]}),
            ("jobs", "golden", {"uri": "s3://acme/golden", "maxDifference": 1}, {"maxDifference": 2}),
            ("jobs", "gate", {"evaluation": EVALUATION}, {"evaluation": {"label": "other"}}),
        ],
    )
    def test_may_create_what_a_deployment_asks_for_beside_its_pods(
        self, server: ApiServer, place: str, plural: str, field: str, asked: Body, changed: Body
    ) -> None:
        words = f"spec.{field}[.a-z]*: becomes a .*, and server may not create {plural}: the verb `create` on {plural}"
        plain = OBJECTS[MODELDEPLOYMENTS]
        body = {**plain, "metadata": {"name": "other"}, "spec": {**plain["spec"], field: asked}}
        with pytest.raises(Refused, match=words):
            send(server, "POST", MODELDEPLOYMENTS.path(place), body, user=SERVER)
        self.write(server, place, MODELDEPLOYMENTS, SERVER)
        send(server, "POST", MODELDEPLOYMENTS.path(place), body, user=EDITOR)
        path = MODELDEPLOYMENTS.path(place, "other")
        # What is there already is another's, until it is changed or taken away.
        edit(server, path, SERVER, template={"metadata": {"labels": {"a": "b"}}}, replicas=2)
        for edited in (changed, None):
            with pytest.raises(Refused, match=words):
                edit(server, path, SERVER, **{field: edited})
            edit(server, path, EDITOR, **{field: edited})
        server.kubectl("create", "role", plural, "--verb=create", f"--resource={plural}", "-n", place)
        server.kubectl("create", "rolebinding", plural, f"--role={plural}", f"--user={SERVER}", "-n", place)
        eventually(lambda: self.edits(server, path, **{field: asked}))
        # Another field becomes the same.
        server.kubectl("delete", "rolebinding", plural, "-n", place)
        eventually(lambda: not self.edits(server, path, **{field: changed}))
        server.kubectl("delete", "role", plural, "-n", place)
        server.request("DELETE", path)

    @staticmethod
    def edits(server: ApiServer, path: str, **spec: Any) -> bool:
        """Whether that user may make the edit by now: a role comes into force a moment after it is made."""
        try:
            edit(server, path, SERVER, **spec)
        except Refused:
            return False
        return True

    @pytest.mark.parametrize(
        ("resource", "change"),
        [
            (TRAININGJOBS, training(template={"spec": {"hostNetwork": True}})),
            (TRAININGJOBS, {"parameters": {"depth": 6}}),
            (TRAININGJOBS, {"inputs": [{"name": "data", "uri": "pvc://other/data"}]}),
            (TRAININGJOBS, {"storage": {"secretName": "other"}}),
            (TRAININGJOBS, {"output": {"uri": "pvc://other"}}),
            (TRAININGJOBS, {"suspend": True, "runtime": "sklearn"}),
            (MODELDEPLOYMENTS, {"template": {"metadata": {"annotations": {"a": "b"}}}}),
            (MODELDEPLOYMENTS, {"model": {"name": "other"}}),
            (MODELDEPLOYMENTS, {"model": {"version": 1}}),
            (MODELDEPLOYMENTS, {"storage": {"secretName": "other"}}),
            (MODELDEPLOYMENTS, {"runtime": "sklearn"}),
            (RETRAINPOLICIES, {"trainingJobTemplate": {"spec": {"parameters": {"depth": 6}}}}),
            (RETRAINPOLICIES, {"triggers": [{"name": "t", "schedule": {"cron": "* * * * *"}}]}),
            (RETRAINPOLICIES, {"deployment": {"name": "other"}}),
        ],
    )
    def test_is_asked_again_when_an_edit_says_something_new(
        self, server: ApiServer, place: str, resource: Resource, change: Body
    ) -> None:
        path = resource.path(place, OBJECTS[resource]["metadata"]["name"]) + "?dryRun=All"
        with pytest.raises(Refused, match="writer may not create pods"):
            send(server, "PATCH", path, {"spec": change}, user=WRITER, content_type=MERGE)
        send(server, "PATCH", path, {"spec": change}, user=EDITOR, content_type=MERGE)

    def test_is_asked_when_something_is_taken_away(self, server: ApiServer, place: str) -> None:
        secret = {"spec": {"storage": {"secretName": "mine"}}}
        path = TRAININGJOBS.path(place, "churn")
        send(server, "PATCH", path, secret, user=EDITOR, content_type=MERGE)
        with pytest.raises(Refused, match="writer may not create pods"):
            send(server, "PATCH", path, {"spec": {"storage": None}}, user=WRITER, content_type=MERGE)

    @pytest.mark.parametrize(
        ("resource", "change"),
        [
            (TRAININGJOBS, {"spec": {"suspend": True, "activeDeadlineSeconds": 9, "pendingDeadlineSeconds": 9}}),
            (TRAININGJOBS, {"spec": {"ttlSecondsAfterFinished": 9}, "metadata": {"labels": {"a": "b"}}}),
            (MODELDEPLOYMENTS, {"spec": {"replicas": 3, "maxSurge": "50%", "maxUnavailable": 1}}),
            (MODELDEPLOYMENTS, {"spec": {"approval": "Manual", "gate": {"metrics": [{"name": "m", "min": 1}]}}}),
            (MODELDEPLOYMENTS, {"spec": {"scaleDownDelay": "1s", "progressDeadlineSeconds": 9}}),
            (MODELDEPLOYMENTS, {"spec": {"revisionHistoryLimit": 1}, "metadata": {"annotations": {"a": "b"}}}),
            (RETRAINPOLICIES, {"spec": {"suspend": True, "dryRun": True, "cooldown": "1h", "unpromotedLimit": 1}}),
            (RETRAINPOLICIES, {"spec": {"budget": {"runs": 1}, "concurrencyPolicy": "Replace"}}),
            (RETRAINPOLICIES, {"metadata": {"annotations": {ANNOTATION_RUN_REQUEST: "now"}}}),
            (MODELVERSIONS, {"metadata": {"labels": {"stage": "old"}}}),
        ],
    )
    def test_is_not_asked_for_when_and_how_many(
        self, server: ApiServer, place: str, resource: Resource, change: Body
    ) -> None:
        path = resource.path(place, OBJECTS[resource]["metadata"]["name"])
        send(server, "PATCH", path, change, user=WRITER, content_type=MERGE)

    def test_is_not_asked_to_scale_to_approve_or_to_delete(self, server: ApiServer, place: str) -> None:
        path = MODELDEPLOYMENTS.path(place, "churn", "scale")
        send(server, "PATCH", path, {"spec": {"replicas": 3}}, user=WRITER, content_type=MERGE)
        server.kubectl(
            "create",
            "rolebinding",
            "approver",
            f"--clusterrole={SYSTEM}-perennial-admin",
            f"--user={WRITER}",
            "-n",
            place,
        )
        eventually(lambda: _may(server, place, WRITER, "approve", "modelversions"))
        edit(server, MODELVERSIONS.path(place, "churn-1"), WRITER, approval="Approved", approvedBy=WRITER)
        for resource, body in OBJECTS.items():
            send(server, "DELETE", resource.path(place, body["metadata"]["name"]), user=WRITER)

    def test_is_not_the_operator_nor_who_is_exempt(self, server: ApiServer, place: str) -> None:
        token = server.service_account_token(SYSTEM, "perennial")
        job = {**OBJECTS[TRAININGJOBS], "metadata": {"name": "churn-2"}}
        send(server, "POST", TRAININGJOBS.path(place), job, token=token)
        with pytest.raises(Refused, match="writer may not create pods"):
            self.write(server, place, TRAININGJOBS, WRITER)
        install = ("upgrade", "perennial", str(CHART), "--namespace", SYSTEM, "--reset-values")
        helm(server, *install, "--set", f"policies.podCreation.exempt={{{WRITER}}}")
        try:
            eventually(lambda: self.passes(server, place, WRITER))
            with pytest.raises(Refused, match="starter may not create services"):
                self.write(server, place, MODELDEPLOYMENTS, STARTER)
        finally:
            helm(server, *install)
        eventually(lambda: not self.passes(server, place, WRITER))

    def passes(self, server: ApiServer, place: str, user: str) -> bool:
        try:
            self.write(server, place, MODELDEPLOYMENTS, user)
        except Refused:
            return False
        return True
