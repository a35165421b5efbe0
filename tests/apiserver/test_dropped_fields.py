"""What a cluster drops without a word, and that we say so: fields of a feature that is off, statuses of an old kind."""

import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import tools
from e2e.cluster.apiserver import ApiServer
from perennial.api.meta import ANNOTATION_DROPPED
from perennial.api.resources import DEPLOYMENTS, JOBS, MODELDEPLOYMENTS, TRAININGJOBS
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.operators import USER, Perennial, apply_kinds, eventually
from tests.apiserver.space import MERGE, Space

# On since Kubernetes 1.35; before 1.34 there is nothing to turn off.
LACKS = [] if tools.emulation() else ["--feature-gates=HostnameOverride=false"]
WORDS = "without spec.template.spec.hostnameOverride, and so it runs"


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, config: Path) -> Iterator[Space]:
    """A namespace of such a cluster, with the real operator."""
    folder, users = tmp_path_factory.mktemp("lacks"), {USER: ["system:masters"]}
    with ApiServer(folder, users=users, controller_manager=True, apiserver_args=LACKS) as server:
        apply_kinds(server)
        with Perennial(server, "perennial-0", config) as operator:
            operator.started()
            yield Space(server)


def test_a_run_says_what_its_job_was_made_without(space: Space) -> None:
    container = {"name": "main", "image": "train:1", "command": ["python", "train.py"]}
    pod = {"subdomain": "ab", "containers": [container]}
    space.train("less", template={"spec": {**pod, "hostnameOverride": "trainer"}})
    space.train("all", template={"spec": pod})
    # At once, though nothing else is to be said of a run that waits for its pod to be scheduled.
    assert WORDS in space.says("less", "FieldsDropped", "NotInThisCluster", 5)
    assert ANNOTATION_DROPPED not in space.there(JOBS, "all")["metadata"]["annotations"]


def test_a_deployment_says_what_its_revision_was_made_without(space: Space) -> None:
    template = {"spec": {"containers": [{"name": "mine", "image": "mine:1"}], "hostnameOverride": "server"}}
    model = {"uri": "s3://acme/churn/1", "digest": f"sha256:{1:064x}", "format": "sklearn"}
    space.make(MODELDEPLOYMENTS, "churn", {"model": model, "template": template})

    def said() -> str:
        conditions = space.there(MODELDEPLOYMENTS, "churn").get("status", {}).get("conditions") or ()
        return next((one["message"] for one in conditions if one["type"] == "FieldsDropped"), "")

    assert WORDS in eventually(said)
    assert len(space.every(DEPLOYMENTS)) == 1, "and nothing is refused or made twice"


def test_a_status_that_the_kind_of_an_older_release_does_not_keep_is_told(space: Space) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/trainingjobs.perennial.dev"
    crd = space.server.request("GET", path)
    (version,) = crd["spec"]["versions"]
    del version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["specHash"]
    space.server.request("PUT", path, crd)
    space.train("probe", suspend=True)

    def forgotten() -> bool:
        probe = TRAININGJOBS.path(space.name, "probe", "status") + "?dryRun=All&fieldValidation=Strict"
        try:
            space.server.request("PATCH", probe, {"status": {"specHash": "probe"}}, MERGE)
        except urllib.error.HTTPError as error:
            return error.code == 422
        return False

    eventually(forgotten)
    space.train("older")
    Kubelet(space).runs("older")
    (told,) = eventually(lambda: [one for one in space.events("older") if one["reason"] == "StatusNotKept"])
    assert "did not keep status.specHash: its CustomResourceDefinition of trainingjobs" in told["message"]
