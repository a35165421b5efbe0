"""`kubectl perennial` as people run it: kubectl finds the console script. A real API server with the chart installed.

There are the operator that the chart would start and its ingest endpoint. Only the kubelets are played.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster import tools
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.ports import free_ports
from perennial.api.resources import METRICSERIES, MODELDEPLOYMENTS, MODELVERSIONS, RETRAINPOLICIES, TRAININGJOBS
from perennial.kube import login
from perennial.plan import Body
from tests.apiserver.charts import CHART, SYSTEM, Deployed, Refused, helm, send
from tests.apiserver.forwarding import Forwarding
from tests.apiserver.operators import ROOT, USER, eventually
from tests.apiserver.space import Space
from tests.kubelets import KubeletsThread, fated

ADMINISTRATOR, OTHER, EDITOR, STRANGER = "lead", "deputy", "editor", "stranger"
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
    deployed, (port,) = Deployed(server, tmp_path_factory.mktemp("operator")), free_ports(1)
    deployed._command += ["--ingest-host", "127.0.0.1", "--ingest-port", str(port), "--ingest-name", "localhost"]
    with deployed:
        deployed.started()
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


def documented(command: str) -> list[str]:
    """What docs/cli.md says that this prints, each time that it is there; see `shape`."""
    found: list[str] = []
    for block in re.findall(r"```console\n(.*?)```", (ROOT / "docs" / "cli.md").read_text(), re.DOTALL):
        for one in ("\n" + block).split("\n$ kubectl perennial ")[1:]:
            words, _, output = one.partition("\n")
            found += [shape(output.removesuffix("\n"))] if words == command else []
    return found


def shape(text: str) -> str:
    """Without what is another each time."""
    for pattern, word in {
        r"sha256:[0-9a-f]{64}": "sha256:...",
        r"\S+@sha256": "image@sha256",
        r"churn-[0-9a-f]{10}": "churn-...",
        r"\d{4}-\d\d-\d\dT[\d:]+Z": "TIME",
        r"in namespace \S+": "in namespace ...",
    }.items():
        text = re.sub(pattern, word, text)
    return text


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
        place.version(2)
        lead = place.person(ADMINISTRATOR)
        said = lead.says("approve", "churn-2")
        assert said == documented("approve churn-2")[0] == "modelversion churn-2 approved"
        assert place.approval(2) == ("Approved", ADMINISTRATOR)
        assert lead.says("approve", "modelversion/churn-2") == "modelversion churn-2 is approved already, by lead"

    def test_what_somebody_decided_is_only_changed_knowingly(self, place: Place) -> None:
        place.version(2)
        lead, deputy = place.person(ADMINISTRATOR), place.person(OTHER)
        lead.says("approve", "churn-2")
        assert [deputy.kubectl("reject", "churn-2").error()] == documented("reject churn-2")
        assert place.approval(2) == ("Approved", ADMINISTRATOR)
        assert deputy.says("reject", "churn-2", "--overwrite") == "modelversion churn-2 rejected"
        assert place.approval(2) == ("Rejected", OTHER)

    def test_who_may_not_is_told_what_it_takes(self, place: Place) -> None:
        place.version(2)
        said = place.person(EDITOR).kubectl("approve", "churn-2").error()
        assert said.replace(place.name, "team") == documented("approve churn-2")[1]
        assert place.approval(2) == (None, None)
        refused = place.person(STRANGER).kubectl("reject", "churn-1").error()
        assert 'User "stranger" cannot get resource "modelversions"' in refused

    def test_a_version_that_is_not_there_is_named(self, place: Place) -> None:
        assert place.person(ADMINISTRATOR).kubectl("approve", "churn-7").error() == (
            f"error: modelversion 'churn-7' not found in namespace '{place.name}': see `kubectl get modelversions -n "
            f"{place.name}`, or give another -n"
        )


class TestReplay:
    """replay."""

    def test_a_policy_over_the_last_minutes(self, place: Place, tmp_path: Path) -> None:
        place.make(MODELDEPLOYMENTS, "churn", {"model": {"name": "churn"}})
        spec = {
            "deployment": {"name": "churn"},
            "trainingJobTemplate": {"spec": TRAINING},
            "triggers": [{"name": "often", "schedule": {"cron": "*/5 * * * *"}}],
        }
        editor = place.person(EDITOR)
        (tmp_path / "policy.yaml").write_text(yaml.safe_dump({"kind": "RetrainPolicy", "spec": spec}))
        said = editor.says("replay", "-f", str(tmp_path / "policy.yaml"), "--since", "20m").splitlines()
        assert said[0].endswith(", by what churn reported:")
        assert [line.split()[1] for line in said[1:-1]] == ["often"] * 4
        assert said[-1] == "4 runs"
        place.make(RETRAINPOLICIES, "churn", spec | {"suspend": True, "budget": {"runs": 1, "per": "24h"}})
        said = editor.says("replay", "churn", "--since", "20m").splitlines()
        assert said[-2] == "1 run"
        assert said[-1].startswith("held back: BudgetSpent ")
        assert not place.every(TRAININGJOBS)
        assert "retrainpolicy 'gone' not found" in editor.kubectl("replay", "gone").error()


@pytest.mark.usefixtures("operator")
class TestRollouts:
    """What people want of a rollout, and get."""

    def test_a_canary_is_led_by_hand(self, place: Place) -> None:
        template = {"spec": {"containers": [{"name": "server", "image": "server:1"}]}}
        canary = {"canary": {"steps": [{"setWeight": 50}, {"pause": {}}, {"pause": {}}]}}
        spec = {"model": {"name": "churn"}, "template": template, "strategy": canary, "scaleDownDelay": "1s"}
        editor = place.person(EDITOR)
        place.make(MODELDEPLOYMENTS, "churn", spec)
        place.version(1)
        place.serves("churn-1")
        refused = editor.kubectl("skip-step", "churn").error()
        assert refused == "error: modeldeployment churn: nothing is rolled out now"
        place.version(2)

        def step() -> int:
            rollout = self.status(place).get("rollout") or {}
            return int(rollout.get("step", 0)) if "stepTime" in rollout else 0

        eventually(lambda: step() == 1, 60)
        assert shape(editor.says("skip-step", "churn")) == documented("skip-step churn")[0]
        eventually(lambda: step() == 2, 30)
        editor.says("promote", "mdep/churn")
        place.serves("churn-2")
        eventually(lambda: "rollout" not in self.status(place), 60)
        assert shape(editor.says("undo", "churn")) == documented("undo churn")[0]
        eventually(lambda: "rollout" in self.status(place), 30)
        editor.says("abort", "churn")
        eventually(lambda: "rollout" not in self.status(place), 60)
        assert "may be tried again" in editor.says("retry", "churn")
        assert editor.says("pause", "churn") == "modeldeployment churn: paused"
        assert place.there(MODELDEPLOYMENTS, "churn")["spec"]["paused"] is True

    def status(self, place: Place) -> Body:
        found: Body = place.there(MODELDEPLOYMENTS, "churn").get("status") or {}
        return found


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
        assert "Expected object with name other" in other
        assert other.endswith("give another --kubeconfig or --context, or set KUBECONFIG")
        config = json.loads(kubeconfig.read_text())
        del config["current-context"]
        kubeconfig.write_text(json.dumps(config))
        unset = root.kubectl(*words, "--context", "apiserver").error()
        assert unset == "error: the kubeconfig has no current context: give -n as well as --context"
        assert root.says(*words, "-n", place.name, "--context", "apiserver") == traced

    def test_no_kubeconfig_is_said(self, place: Place) -> None:
        nobody = Person(place.scripts, Path("/nowhere"))
        assert nobody.kubectl("trace", "churn").error() == (
            "error: kubeconfig: No configuration found: give another --kubeconfig or --context, or set KUBECONFIG"
        )
        assert "/missing: no such file" in nobody.kubectl("trace", "churn", "--kubeconfig", "/missing").error()

    def test_a_server_that_is_down_is_said(self, place: Place, tmp_path: Path) -> None:
        config = json.loads(place.server.kubeconfig.read_text())
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_ports(1)[0]}"
        (tmp_path / "config").write_text(json.dumps(config))
        line = Person(place.scripts, tmp_path / "config").kubectl("trace", "churn").error()
        assert "cannot be reached" in line
        assert "refused" in line

    def test_a_token_that_is_over_is_said(self, place: Place) -> None:
        kubeconfig = place.server.write_kubeconfig("over", "no-such-token")
        assert (
            "does not know you (401): log in again"
            in Person(place.scripts, kubeconfig).kubectl("trace", "churn").error()
        )


def test_a_cluster_without_perennial_is_said(tmp_path: Path, scripts: Path) -> None:
    with ApiServer(tmp_path) as bare:
        line = Person(scripts, bare.kubeconfig).kubectl("trace", "churn").error()
    assert "does not know Perennial's kinds: install Perennial, or give another --context" in line


TRAINING = {
    "model": {"name": "churn"},
    "template": {
        "metadata": fated(
            {
                "metrics": {"accuracy": 0.93, "champion.accuracy": 0.81},
                "evaluation": "holdout-47",
                "uri": "s3://acme/models/churn/1f6c/churn-fresh-1-x7k2p",
            }
        ),
        "spec": {"containers": [{"name": "train", "image": "train:1", "command": ["python", "train.py"]}]},
    },
    "parameters": {"depth": 6},
    "inputs": [{"name": "dataset", "uri": "s3://acme/churn/latest/", "digest": DATA}],
    "code": {"repository": "https://git.acme.dev/churn", "revision": "4f2c1d0"},
    "output": {"uri": "s3://acme/models"},
}


class TestTheLoop:
    """A deployment that serves, and a ServiceAccount that may report of it."""

    @pytest.fixture
    def place(self, place: Place, operator: Serving) -> Place:
        place.version()
        place.make(MODELDEPLOYMENTS, "churn", {"model": {"name": "churn"}, "scaleDownDelay": "1s"})
        place.serves("churn-1")
        mine = ("-n", place.name)
        for name, resource in (("churn-monitor", "modeldeployments.perennial.dev/metrics"), ("nobody", "pods")):
            place.server.kubectl("create", "serviceaccount", name, *mine)
            place.server.kubectl("create", "role", name, "--verb=create", f"--resource={resource}", *mine)
            account = f"--serviceaccount={place.name}:{name}"
            place.server.kubectl("create", "rolebinding", name, f"--role={name}", account, *mine)
        eventually(lambda: "perennial-ca" in place.server.kubectl("get", "configmap", "-o", "name", *mine), 30)
        return place

    @pytest.fixture
    def way(self, operator: Serving) -> tuple[str, ...]:
        """To the endpoint, as that account."""
        return ("--service-account", "churn-monitor", "--url", f"https://localhost:{operator.port}")

    def test_from_a_reported_metric_to_the_cause_of_what_serves(self, place: Place, way: tuple[str, ...]) -> None:
        first = place.serves("churn-1")["stableRevision"]
        trigger = {"name": "accuracy", "metric": {"name": "accuracy", "below": 0.9, "minSamples": 100}}
        policy = {"deployment": {"name": "churn"}, "triggers": [trigger], "trainingJobTemplate": {"spec": TRAINING}}
        place.make(RETRAINPOLICIES, "churn-fresh", policy)
        editor = place.person(EDITOR)
        said = editor.says("report", "churn", "accuracy=0.83", "--samples", "120", *way)
        assert said == f"reported of {first}: accuracy 0.83"
        assert [shape(said)] == documented("report churn accuracy=0.83 --samples 120 --service-account churn-monitor")
        second = place.serves("churn-2")
        revision, since = second["stableRevision"], second["promotions"][0]["time"]
        eventually(lambda: ": Promoted" in editor.says("trace", "churn"), 30)
        trained = place.status("churn-fresh-1")["completionTime"]
        tree = f"""\
ModelDeployment churn  in namespace {place.name}
└─ revision  {revision}, serves since {since}
   └─ version  churn-2
      ├─ model       s3://acme/models/churn/1f6c/churn-fresh-1-x7k2p  (sklearn)
      │              sha256:{"a" * 64}
      ├─ metrics     accuracy 0.93 (champion 0.81), measured on holdout-47; the champion was churn-1
      ├─ parameters  depth=6
      ├─ data        dataset  s3://acme/churn/latest/
      │                       {DATA}
      ├─ code        https://git.acme.dev/churn @ 4f2c1d0
      ├─ image       registry.example/train@sha256:{"b" * 64}
      ├─ training    TrainingJob churn-fresh-1, Succeeded at {trained}
      └─ cause       accuracy is 0.83 (Average of 120 samples in 1h), below 0.9
                     measured on {first} (churn-1)
                     RetrainPolicy churn-fresh, run 1, trigger accuracy: Promoted"""
        assert editor.says("trace", "churn") == tree
        assert editor.says("trace", revision) == tree
        assert [shape(tree)] == documented("trace churn")

        data = json.loads(editor.says("trace", "churn", "-o", "json"))
        assert data["version"]["inputs"][0]["digest"] == DATA
        assert data["cause"]["retrain"]["cause"]["value"] == 0.83
        assert data["unknown"] == {}

        place.delete(TRAININGJOBS, "churn-fresh-1")
        place.delete(RETRAINPOLICIES, "churn-fresh")
        eventually(lambda: not place.every(TRAININGJOBS))
        rest = editor.says("trace", "modelversion/churn-2").splitlines()
        assert rest[0] == f"ModelVersion churn-2  in namespace {place.name}"
        assert (
            "training    TrainingJob churn-fresh-1, which is gone; all of this was recorded on the version" in rest[-4]
        )
        assert rest[-3].endswith("accuracy is 0.83 (Average of 120 samples in 1h), below 0.9")
        assert rest[-1].endswith("RetrainPolicy churn-fresh (gone), run 1, trigger accuracy")

        before = editor.says("trace", first).splitlines()
        assert before[1].startswith(f"└─ revision  {first}, served from ")
        assert before[-1].endswith("cause     not known: no RetrainPolicy is named")

    def test_a_rejection_tells_what_becomes_of_what_serves(self, place: Place) -> None:
        eventually(lambda: (place.there(MODELVERSIONS, "churn-1").get("status") or {}).get("servedBy"))
        assert place.person(ADMINISTRATOR).says("reject", "churn-1") == (
            "modelversion churn-1 rejected; churn: the version that served before comes back, if there is one"
        )

    def test_a_report_is_of_what_it_says(self, place: Place, way: tuple[str, ...]) -> None:
        editor = place.person(EDITOR)
        then = ("--time", "2026-01-01T00:00:00+01:00")
        words = editor.kubectl("report", "churn", "accuracy=1", *then, *way).error()
        assert words.startswith("error: refused (400): samples[0].timestamp: ")
        said = editor.says("report", "churn", "f1=0.5", "loss=2e-3", "--revision", "churn-mine", "--samples", "7", *way)
        assert said == "reported of churn-mine: f1 0.5, loss 0.002"
        rows = place.there(METRICSERIES, "churn")["status"]["series"]
        assert [(row["metric"], row["revision"], row["minutes"][0].split()[1]) for row in rows] == [
            ("f1", "churn-mine", "7"),
            ("loss", "churn-mine", "7"),
        ]

    def test_who_may_not_report_is_told_why(self, place: Place, way: tuple[str, ...], tmp_path: Path) -> None:
        url = way[2:]
        editor = place.person(EDITOR)
        words = editor.kubectl("report", "churn", "accuracy=1", "--service-account", "nobody", *url).error()
        assert words == (
            f"error: refused (403): system:serviceaccount:{place.name}:nobody may not report metrics of 'churn': it "
            f"needs a Role in '{place.name}' with the verb create on modeldeployments/metrics (API group perennial.dev)"
        )
        words = editor.kubectl("report", "churn", "accuracy=1", "--service-account", "ghost", *url).error()
        assert words == 'error: no token of service account ghost: serviceaccounts "ghost" not found'
        words = editor.kubectl("report", "churn", "accuracy=1", *url).error()
        assert words.startswith("error: who reports? Give --service-account NAME")
        words = editor.kubectl("report", "churn", "accuracy=1", "--credentials", str(tmp_path), *url).error()
        assert words == f"error: {tmp_path}/token: No such file or directory; docs/metrics.md shows what lies there"
        words = editor.kubectl("report", "fraud", "accuracy=1", *way).error()
        assert words.startswith(f"error: modeldeployment 'fraud' not found in namespace '{place.name}'")

    def test_a_pod_reports_with_what_it_has_mounted(self, place: Place, way: tuple[str, ...], tmp_path: Path) -> None:
        """Without any right on the API server, and without a way to it."""
        pod = Person(place.scripts, Path("/nowhere"))
        (tmp_path / "token").write_text(place.server.service_account_token(place.name, "churn-monitor", "perennial"))
        words = ("report", "churn", "accuracy=1", "-n", place.name, "--credentials", str(tmp_path), *way[2:])
        untrusted = pod.kubectl(*words, "--revision", "churn-1").error()
        assert "the certificate of localhost" in untrusted
        assert "is not to be trusted" in untrusted
        bundle = place.server.request("GET", f"/api/v1/namespaces/{place.name}/configmaps/perennial-ca")["data"]
        (tmp_path / "ca.crt").write_text(bundle["ca.crt"])
        assert pod.says(*words, "--revision", "churn-1") == "reported of churn-1: accuracy 1"
        by_name = pod.kubectl(*words[:-2], "--revision", "churn-1", "--operator-namespace", "elsewhere").error()
        assert by_name.startswith("error: perennial.elsewhere.svc does not answer (")

    def test_who_is_outside_reports_through_the_api_server(self, place: Place, operator: Serving) -> None:
        selector = "app.kubernetes.io/component=operator"
        found = json.loads(place.server.kubectl("get", "pods", "-n", SYSTEM, "-l", selector, "-o", "json"))["items"]
        root = Person(place.scripts, place.server.write_kubeconfig("outside", place.server.token(), place.name))
        words = ("report", "churn", "accuracy=1", "--service-account", "churn-monitor")
        with Forwarding(place.server, operator.port) as forwarding:
            for pod in found:
                forwarding.bind(SYSTEM, pod["metadata"]["name"])
            revision = place.serves("churn-1")["stableRevision"]
            assert root.says(*words) == f"reported of {revision}: accuracy 1"
            ((pod_name, port),) = forwarding.asked
            assert pod_name in {pod["metadata"]["name"] for pod in found}
            assert port == "8443"

            forwarding.target = free_ports(1)[0]
            assert "The kubelet says: error forwarding port 8443: connection refused" in root.kubectl(*words).error()
        words_of_editor = place.person(EDITOR).kubectl(*words).error()
        assert 'User "editor" cannot list resource "services"' in words_of_editor
        assert words_of_editor.endswith("; or report from a pod, or give --url")
        elsewhere = root.kubectl(*words, "--operator-namespace", "default").error()
        assert elsewhere.startswith("error: no operator in namespace default: give --operator-namespace")
