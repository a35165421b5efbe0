"""`kubectl perennial` as people run it: kubectl finds the console script, on a real API server with the chart installed,
the operator that it would start, and its ingest endpoint. Only the kubelets are played."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster import tools
from e2e.cluster.apiserver import ApiServer, _free_ports
from perennial.api.resources import METRICSERIES, MODELDEPLOYMENTS, MODELVERSIONS, RETRAINPOLICIES, TRAININGJOBS
from perennial.kube import login
from perennial.plan import Body
from tests.apiserver.charts import CHART, SYSTEM, Deployed, Refused, helm, send
from tests.apiserver.operators import ROOT, USER, eventually
from tests.apiserver.space import Space
from tests.kubelets import KubeletsThread, fated

ADMINISTRATOR, OTHER, EDITOR, STRANGER = "adam", "olga", "erin", "sven"
ROLES = {ADMINISTRATOR: "admin", OTHER: "admin", EDITOR: "edit"}
DATA = "sha256:" + "d" * 64


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server with Kubernetes' controllers and the chart."""
    users = {user: ["staff"] for user in (*ROLES, STRANGER, USER)}
    with ApiServer(tmp_path_factory.mktemp("cli"), users=users, controller_manager=True) as server:
        helm(server, "install", "perennial", str(CHART), "--namespace", SYSTEM, "--create-namespace")
        server.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        with KubeletsThread(login.load(str(server.kubeconfig))):
            yield server


@dataclass
class Serving:
    """The operator and the port of its ingest endpoint."""

    port: int


@pytest.fixture(scope="module")
def operator(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """The process that the chart's Deployment would start."""
    deployed, (port,) = Deployed(server, tmp_path_factory.mktemp("operator")), _free_ports(1)
    deployed._command += ["--ingest-host", "127.0.0.1", "--ingest-port", str(port), "--ingest-name", "localhost"]
    with deployed:
        eventually(deployed.watches, 30)
        yield Serving(port)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the PATH with what pip makes of [project.scripts]."""
    folder = tmp_path_factory.mktemp("bin")
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["kubectl-perennial"]
    module, function = entry.split(":")
    script = folder / "kubectl-perennial"
    script.write_text(f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    script.chmod(0o755)
    return folder


@dataclass
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def error(self, code: int = 1) -> str:
        """The one line of a command that failed."""
        assert (self.code, self.out) == (code, ""), self
        (line,) = self.err.splitlines()
        return line


@dataclass
class Person:
    """Types commands, in a namespace by their kubeconfig's context."""

    scripts: Path
    kubeconfig: Path

    def kubectl(self, *words: str, **environment: str) -> Ran:
        """`kubectl perennial WORDS`."""
        path = f"{self.scripts}:{os.environ['PATH']}"
        known = {"PATH": path, "HOME": str(self.scripts), "KUBECONFIG": str(self.kubeconfig)}
        ran = subprocess.run(
            [tools.ensure("kubectl")["kubectl"], "perennial", *words],
            env=known | {"PYTHONPATH": str(ROOT / "operator")} | environment,
            text=True,
            capture_output=True,
            timeout=90,
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def says(self, *words: str, **environment: str) -> str:
        """What a command that succeeds prints, without the last line's end."""
        ran = self.kubectl(*words, **environment)
        assert (ran.code, ran.err) == (0, ""), ran
        return ran.out.removesuffix("\n")


class Place(Space):
    """A namespace, and the people who work in it."""

    def __init__(self, server: ApiServer, scripts: Path) -> None:
        super().__init__(server)
        self.scripts = scripts
        for user, role in ROLES.items():
            server.kubectl("create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}", "-n", self.name)

    def person(self, user: str) -> Person:
        path = self.server.write_kubeconfig(user, self.server.token(user), self.name)
        return Person(self.scripts, path.rename(self.scripts / f"{user}-{self.name}.kubeconfig"))

    def version(self, number: int = 1, **spec: Any) -> None:
        """A ModelVersion that was trained elsewhere."""
        plain = {"model": "churn", "version": number, "uri": f"s3://acme/{number}", "format": "sklearn"}
        self.make(MODELVERSIONS, f"churn-{number}", plain | {"digest": f"sha256:{number:064x}"} | spec)

    def approval(self, number: int = 1) -> tuple[str | None, str | None]:
        spec = self.there(MODELVERSIONS, f"churn-{number}")["spec"]
        return spec.get("approval"), spec.get("approvedBy")

    def serves(self, version: str) -> Body:
        """The ModelDeployment's status once it serves this."""

        def status() -> Body | None:
            found: Body = self.there(MODELDEPLOYMENTS, "churn").get("status") or {}
            return found if found.get("modelVersion") == version else None

        return eventually(status, 60) or {}


@pytest.fixture
def place(server: ApiServer, scripts: Path) -> Place:
    place = Place(server, scripts)
    # Roles and policies come into force a moment after they are made.
    eventually(lambda: "may not approve" in answer(place, EDITOR))
    eventually(lambda: not answer(place, ADMINISTRATOR))
    return place


def answer(place: Place, user: str) -> str:
    """What the server says to a version that this user has approved, which is not kept; nothing when it is taken."""
    spec = {"model": "churn", "version": 1, "uri": "s3://acme/1", "digest": DATA, "format": "sklearn"}
    body = {"apiVersion": MODELVERSIONS.api_version, "kind": MODELVERSIONS.kind, "metadata": {"name": "churn-1"}}
    body |= {"spec": spec | {"approval": "Approved", "approvedBy": user}}
    try:
        send(place.server, "POST", MODELVERSIONS.path(place.name) + "?dryRun=All", body, user=user)
    except Refused as refused:
        return refused.message
    return ""


class TestDecisions:
    """approve and reject."""

    def test_a_version_is_approved_in_the_name_of_who_does_it(self, place: Place) -> None:
        place.version()
        adam = place.person(ADMINISTRATOR)
        assert adam.says("approve", "churn-1") == "modelversion churn-1 approved"
        assert place.approval() == ("Approved", ADMINISTRATOR)
        assert adam.says("approve", "modelversion/churn-1") == "modelversion churn-1 is approved already, by adam"

    def test_what_somebody_decided_is_only_changed_knowingly(self, place: Place) -> None:
        place.version()
        adam, olga = place.person(ADMINISTRATOR), place.person(OTHER)
        assert adam.says("reject", "churn-1") == "modelversion churn-1 rejected"
        words = "error: modelversion churn-1 was rejected by adam: --overwrite decides anew"
        assert olga.kubectl("approve", "churn-1").error() == words
        assert place.approval() == ("Rejected", ADMINISTRATOR)
        assert olga.says("approve", "churn-1", "--overwrite") == "modelversion churn-1 approved"
        assert place.approval() == ("Approved", OTHER)

    def test_who_may_not_is_told_what_it_takes(self, place: Place) -> None:
        place.version()
        assert place.person(EDITOR).kubectl("approve", "churn-1").error() == (
            "error: spec.approval: erin may not approve or reject: the verb `approve` on modelversions in the namespace "
            f"{place.name} is needed. Kubernetes' role admin in {place.name} has what it takes"
        )
        assert place.approval() == (None, None)
        refused = place.person(STRANGER).kubectl("reject", "churn-1").error()
        assert 'User "sven" cannot get resource "modelversions"' in refused

    def test_a_version_that_is_not_there_is_named(self, place: Place) -> None:
        assert place.person(ADMINISTRATOR).kubectl("approve", "churn-7").error() == (
            f"error: modelversion 'churn-7' not found in namespace '{place.name}': see `kubectl get modelversions -n "
            f"{place.name}`, or give another -n"
        )


class TestTheCluster:
    """Which one is asked, and what is said when none answers."""

    def test_the_namespace_can_be_given(self, place: Place) -> None:
        place.version()
        kubeconfig = place.server.write_kubeconfig("elsewhere", place.server.token(), "default")
        root = Person(place.scripts, Path("/nowhere"))
        words = ("trace", "modelversion/churn-1", "--kubeconfig", str(kubeconfig))
        assert "not found in namespace 'default'" in root.kubectl(*words).error()
        traced = root.says(*words, "-n", place.name, "--context", "apiserver")
        assert traced.startswith(f"ModelVersion churn-1  in namespace {place.name}\n")
        other = root.kubectl(*words, "--context", "other").error()
        assert other == "error: --context other: the kubeconfig has apiserver"

    def test_no_kubeconfig_is_said(self, place: Place) -> None:
        nobody = Person(place.scripts, Path("/nowhere"))
        assert nobody.kubectl("trace", "churn").error().startswith("error: kubeconfig: ")
        assert "/missing: no such file" in nobody.kubectl("trace", "churn", "--kubeconfig", "/missing").error()

    def test_a_server_that_is_down_is_said(self, place: Place, tmp_path: Path) -> None:
        config = json.loads(place.server.kubeconfig.read_text())
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{_free_ports(1)[0]}"
        (tmp_path / "config").write_text(json.dumps(config))
        line = Person(place.scripts, tmp_path / "config").kubectl("trace", "churn").error()
        assert "cannot be reached" in line
        assert "refused" in line

    def test_a_token_that_is_over_is_said(self, place: Place) -> None:
        kubeconfig = place.server.write_kubeconfig("over", "no-such-token")
        assert "does not know you (401): log in again" in Person(place.scripts, kubeconfig).kubectl(
            "trace", "churn"
        ).error()


def test_a_cluster_without_perennial_is_said(tmp_path: Path, scripts: Path) -> None:
    with ApiServer(tmp_path) as bare:
        line = Person(scripts, bare.kubeconfig).kubectl("trace", "churn").error()
    assert "does not know Perennial's kinds: install Perennial, or give another --context" in line


TRAINING = {
    "model": {"name": "churn"},
    "template": {
        "metadata": fated({"metrics": {"accuracy": 0.93}, "evaluation": "holdout-47"}),
        "spec": {"containers": [{"name": "train", "image": "train:1", "command": ["python", "train.py"]}]},
    },
    "parameters": {"depth": 6},
    "inputs": [{"name": "dataset", "uri": "s3://acme/churn/latest/", "digest": DATA}],
    "code": {"repository": "https://git.acme.dev/churn", "revision": "4f2c1d0"},
    "output": {"uri": "s3://acme/models"},
}


def reporter(place: Place) -> None:
    """A ServiceAccount that may report, as docs/metrics.md has it."""
    place.server.kubectl("create", "serviceaccount", "churn-monitor", "-n", place.name)
    place.server.kubectl("create", "role", "churn-monitor", "--verb=create", "--resource=modeldeployments.perennial.dev/metrics", "-n", place.name)
    account = f"--serviceaccount={place.name}:churn-monitor"
    place.server.kubectl("create", "rolebinding", "churn-monitor", "--role=churn-monitor", account, "-n", place.name)


def test_from_a_reported_metric_to_the_cause_of_what_serves(place: Place, operator: Serving) -> None:
    place.version()
    place.make(MODELDEPLOYMENTS, "churn", {"model": {"name": "churn"}, "scaleDownDelay": "1s"})
    first = place.serves("churn-1")["stableRevision"]
    trigger = {"name": "accuracy", "metric": {"name": "accuracy", "below": 0.9, "minSamples": 100}}
    policy = {"deployment": {"name": "churn"}, "triggers": [trigger], "trainingJobTemplate": {"spec": TRAINING}}
    place.make(RETRAINPOLICIES, "churn", policy)
    reporter(place)
    erin = place.person(EDITOR)
    way = ("--service-account", "churn-monitor", "--url", f"https://localhost:{operator.port}")
    eventually(lambda: place.server.kubectl("get", "configmap", "-n", place.name, "-o", "name").count("perennial-ca"))

    said = erin.says("report", "churn", "accuracy=0.83", "--samples", "120", *way)
    assert said == f"reported of {first}: accuracy 0.83"
    second = place.serves("churn-2")["stableRevision"]
    print(erin.says("trace", "churn"))
