"""What people already run, judges canaries, and brings about runs and hears of them: a real Prometheus, which finds the
pods, counts, and is away for a while, a webhook, a real MLflow server and a real Alertmanager."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from e2e.alertmanager import address, alertmanager
from e2e.cluster import tools
from e2e.lab import ROOT, SYSTEM, Body, Lab
from e2e.load import Load
from e2e.prometheus import Prometheus
from e2e.reporter import SERVICE, monitor, reporting
from e2e.served import mended, odd_server, tried
from e2e.space import Space, policy, program, serving
from e2e.store import Store
from tests.tracking import Tracking, tracking

# What is asked, and what is made of the answers, is tested each time.
pytestmark = pytest.mark.full
FILES = ROOT / "charts" / "perennial" / "files"
_OF = 'requests_total{revision="$revision"'
ERRORS: Body = {
    "name": "errors",
    "source": {
        "prometheus": {
            "query": f'(sum(rate({_OF},code=~"5.."}}[$interval])) or vector(0)) / sum(rate({_OF}}}[$interval]))',
            "samples": f"sum(increase({_OF}}}[$interval]))",
        }
    },
    "noWorseThanStableBy": 0.01,
    "lowerIsBetter": True,
}
ANALYSIS: Body = {"interval": "10s", "metrics": [ERRORS], "consecutiveErrorLimit": 1}
CANARY: Body = {"canary": {"steps": [{"setWeight": 50}, {"analysis": {}}], "analysis": ANALYSIS}}
BEHAVIOURS = {"good": "fine", "errs": "errs 5"}
TRUTH: Body = {"name": "lift", "source": {"webhook": {"name": "truth"}}, "min": 0.8}
JUDGED: Body = {
    "canary": {"steps": [{"setWeight": 50}, {"analysis": {}}], "analysis": {"interval": "2s", "metrics": [TRUTH]}}
}
HOOK = 9191


@pytest.fixture(scope="module")
def mlflow(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    with tracking(tmp_path_factory.mktemp("mlflow"), lab.host, lab.cluster.exec_command) as server:
        yield server


@pytest.fixture(scope="module")
def prometheus(lab: Lab, mlflow: Tracking, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that the operator was told of, as of all others here."""
    server = Prometheus(lab, tmp_path_factory.mktemp("prometheus"))
    server.start()
    command = lab.cluster.exec_command([sys.executable, "-c", program("webhook")[2], lab.host, str(HOOK)])
    hook = subprocess.Popen(command)
    lab.install(
        f"prometheusServers.default.url={server.url}",
        f"webhooks.truth.url=http://{lab.host}:{HOOK}/judge",
        f"mlflowServers.default.url={mlflow.url}",
        "receivers.oncall.form=Alertmanager",
        f"receivers.oncall.url={address(lab)}",
    )
    yield server
    lab.install()
    server.stop()
    hook.terminate()
    hook.wait(10)


@pytest.fixture(scope="module")
def space(lab: Lab, store: Store, prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    """Version 1 of each serves, and is asked."""
    space = Space(lab, "e2e-prometheus", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    space.use(store)
    for name in BEHAVIOURS:
        space.apply(tried(store, name, 1))
        space.apply(serving(name, replicas=1, template=odd_server(), strategy=CANARY, scaleDownDelay="1s"))
    for name in BEHAVIOURS:
        space.serves(name, 1)
    folder = Path(tmp_path_factory.mktemp("load"))
    with Load(lab, folder, *map(space.address, BEHAVIOURS), rate=100):
        yield space


def test_one_that_errs_is_rolled_back(space: Space, store: Store) -> None:
    space.apply(tried(store, "errs", 2, BEHAVIOURS["errs"]))
    said = space.says("mdep", "errs", "Ready", "False", "at most 0.01 worse is asked for", 240)
    print(said["message"])
    assert (space.get("mdep", "errs") or {})["status"]["vetoes"][0]["reason"] == "AnalysisFailed"


def test_while_it_is_away_a_good_one_waits_and_passes_when_it_is_back(
    space: Space, store: Store, prometheus: Prometheus
) -> None:
    prometheus.stop()
    space.apply(tried(store, "good", 2, BEHAVIOURS["good"]))
    said = space.says("mdep", "good", "Stalled", "True", "Cannot connect", 240)
    assert said["reason"] == "AnalysisError"
    prometheus.start()
    space.serves("good", 2, 240)


def test_a_webhook_is_told_of_the_revision_and_decides_by_its_value(space: Space, store: Store) -> None:
    space.apply(tried(store, "told", 1))
    space.apply(serving("told", replicas=1, template=odd_server(), strategy=JUDGED, scaleDownDelay="1s"))
    space.serves("told", 1)
    space.apply(tried(store, "told", 2))
    said = space.says("mdep", "told", "Ready", "False", "lift 0.5, at least 0.8 is asked for", 120)
    print(said["message"])
    # It finds every revision of another deployment good.
    space.apply(tried(store, "praised", 1))
    space.apply(serving("praised", replicas=1, template=odd_server(), strategy=JUDGED, scaleDownDelay="1s"))
    space.serves("praised", 1)
    space.apply(tried(store, "praised", 2))
    space.serves("praised", 2)


def test_a_policy_retrains_by_it_and_starts_nothing_while_it_is_away(
    space: Space, store: Store, prometheus: Prometheus, tmp_path: Path
) -> None:
    space.apply(tried(store, "watched", 1))
    space.apply(serving("watched", replicas=1, template=odd_server(), scaleDownDelay="1s"))
    space.serves("watched", 1)
    prometheus.stop()
    metric = {"name": "asked", "source": {"prometheus": {"query": f"max({_OF}}})"}}, "above": 50}
    space.apply(policy("watched", mended("watched"), triggers=[{"name": "asked", "metric": metric}], cooldown="1h"))
    with Load(space.lab, tmp_path, space.address("watched"), rate=20) as load:
        said = space.says("rp", "watched", "Ready", "False", "prometheus cannot be asked", 90)
        assert said["reason"] == "SourceUnavailable"
        space.until("it was asked often enough", lambda: load.sent() > 100)
        assert not space.every("trainingjobs", "perennial.dev/retrainpolicy=watched"), "not to know is no breach"
        prometheus.start()
        space.serves("watched", 2, 240)
        # What is played over again is looked at once a minute.
        served = load.sent()
        space.until("it is known for minutes", lambda: load.sent() > served + 20 * 80)
    (run,) = (space.get("rp", "watched") or {})["status"]["runs"]
    print(run["cause"]["message"])
    assert run["cause"]["value"] > 50
    assert "by prometheus" in run["cause"]["message"]
    words = ["replay", "watched", "-n", space.name, "--since", "1h", "--prometheus", prometheus.url]
    path = f"PYTHONPATH={ROOT / 'operator'}"
    command = space.lab.cluster.exec_command(["env", path, sys.executable, "-m", "perennial.cli", *words])
    replayed = space.lab.run(*command).stdout
    print(replayed)
    assert "by prometheus), above 50" in replayed
    assert "\n1 run" in replayed


def test_an_evaluation_in_mlflow_and_an_alert_start_runs_and_alertmanager_hears_of_them(
    space: Space, store: Store, mlflow: Tracking, tmp_path: Path
) -> None:
    lab, name = space.lab, "plugged"
    space.apply(tried(store, name, 1))
    space.apply(serving(name, replicas=1, template=odd_server(), scaleDownDelay="1s"))
    space.serves(name, 1)
    experiment = mlflow.experiment("held out")
    metric = {"name": "accuracy", "source": {"mlflow": {"experiment": "held out"}}, "below": 0.9, "minSamples": 2}
    oncall = [{"receiver": "oncall", "events": ["Started", "Promoted"]}]
    space.apply(policy(name, mended(name), triggers=[{"name": "accuracy", "metric": metric}], notify=oncall))
    revision = (space.get("mdep", name) or {})["status"]["stableRevision"]

    def evaluated(value: float) -> None:
        mlflow.evaluated(experiment, datetime.now(UTC), {"perennial.dev/revision": revision}, accuracy=value)

    evaluated(0.95)
    evaluated(0.55)
    # As the page on policies says that it is told.
    space.kubectl("create", "serviceaccount", "alertmanager")
    space.kubectl("create", "role", "starter", "--verb=create", "--resource=retrainpolicies.perennial.dev/runs")
    space.kubectl("create", "rolebinding", "starter", "--role=starter", f"--serviceaccount={space.name}:alertmanager")
    (tmp_path / "ca.crt").write_text((space.get("configmap", "perennial-ca") or {})["data"]["ca.crt"])
    token = space.kubectl("create", "token", "alertmanager", "--audience=perennial")
    (tmp_path / "token").write_text(token.strip())
    service = lab.get("service", SERVICE, SYSTEM) or {}
    ingest = f"{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"
    webhook = {
        "url": f"https://{ingest}/v1/namespaces/{space.name}/retrainpolicies/{name}/runs",
        "http_config": {
            "authorization": {"credentials_file": str(tmp_path / "token")},
            "tls_config": {"ca_file": str(tmp_path / "ca.crt"), "server_name": f"{SERVICE}.{SYSTEM}.svc"},
        },
    }
    with alertmanager(lab, tmp_path, webhook) as server:

        def heard() -> list[str]:
            found = [one["labels"] for one in server.alerts()]
            return sorted(one["alertname"] for one in found if one.get("retrainpolicy") == name)

        space.serves(name, 2, 240)
        space.until("it is told", lambda: heard() == ["PerennialRunPromoted", "PerennialRunStarted"], 120)
        server.fire(alertname="CustomersComplain", retrain="yes")
        space.serves(name, 3, 240)
    # It was sent every five seconds meanwhile.
    status = (space.get("rp", name) or {})["status"]
    (asked,) = status["requests"]
    runs = status["runs"]
    print(*(run["cause"]["message"] for run in runs), sep="\n")
    assert [(run["number"], run["cause"]["type"]) for run in runs] == [(2, "Event"), (1, "Metric")]
    assert "accuracy is 0.75 (2 samples by mlflow" in runs[1]["cause"]["message"]
    assert asked["by"] == f"system:serviceaccount:{space.name}:alertmanager"


def test_the_alerts_fire_when_they_should(tmp_path: Path) -> None:
    for file in (FILES / "rules.yaml", Path(__file__).with_name("rules_test.yaml")):
        shutil.copy(file, tmp_path)
    promtool = tools.ensure("promtool")["promtool"]
    done = subprocess.run([promtool, "test", "rules", "rules_test.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_query_of_the_dashboard_has_something_to_show(
    space: Space, prometheus: Prometheus, tmp_path: Path
) -> None:
    known = {"$namespace": ".*", "$retrainpolicy": ".*", "$__rate_interval": "5m"}
    panels = json.loads((FILES / "dashboard.json").read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    for variable, value in known.items():
        queries = [query.replace(variable, value) for query in queries]
    assert len(queries) > 10

    def empty() -> list[str]:
        return [query for query in queries if not prometheus.values(query)]

    revision = (space.get("mdep", "watched") or {})["status"]["stableRevision"]
    monitor(space)
    with reporting(space, tmp_path, "watched", revision, 0.9):
        space.lab.until("each shows something", lambda: not empty(), 120, seen=lambda: f"Empty: {empty()}")
    assert prometheus.values('perennial_served_version{modeldeployment="watched"}') == [2]
    assert prometheus.values('perennial_trigger_limit{retrainpolicy="watched",side="above"}') == [50]
    assert sum(prometheus.values('perennial_runs_total{retrainpolicy="watched",outcome="Promoted"}')) == 1
