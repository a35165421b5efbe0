"""Runtimes that are not ours, on a real API server: it takes their pods, and the operator asks what they count."""

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import yaml

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import DEPLOYMENTS
from tests.apiserver.operators import ROOT, USER, Perennial, apply_kinds, eventually
from tests.apiserver.serving import Serving
from tests.apiserver.space import Space
from tests.servers import Mlflow, StandIn, Triton, Vllm

SERVERS: dict[str, type[StandIn]] = {"mlflow": Mlflow, "triton": Triton, "vllm": Vllm}
LATENCY = {
    "name": "latency_ms",
    "source": {"runtime": {}},
    "noWorseThanStableBy": 20,
    "lowerIsBetter": True,
    "minSamples": 5,
}
ERRORS = {"name": "errors", "source": {"runtime": {}}, "noWorseThanStableBy": 0.05, "lowerIsBetter": True}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """With an operator that has the presets beside the chart's values."""
    folder = tmp_path_factory.mktemp("runtimes")
    read = [yaml.safe_load(preset.read_text()) for preset in (ROOT / "charts" / "perennial" / "presets").iterdir()]
    runtimes = {name: preset for one in read for name, preset in one["servingRuntimes"].items()}
    config = folder / "config.yaml"
    config.write_text(json.dumps({"servingRuntimes": runtimes}))
    with ApiServer(folder, users={USER: ["system:masters"]}, controller_manager=True) as server:
        apply_kinds(server)
        with Perennial(server, "perennial-0", config) as operator:
            operator.started()
            yield server


@pytest.fixture
def serving(server: ApiServer) -> Serving:
    """In a namespace that takes only what is restricted."""
    space = Space(server)
    server.kubectl("label", "namespace", space.name, "pod-security.kubernetes.io/enforce=restricted")
    return Serving(space)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("runtime", SERVERS)
def test_its_pods_are_taken_also_where_they_must_be_restricted(serving: Serving, runtime: str) -> None:
    serving.version(1, format="files")
    serving.deploy(runtime=runtime, template={})
    revision = serving.rolling()
    deployment = serving.space.there(DEPLOYMENTS, revision)
    assert deployment["metadata"]["labels"]["perennial.dev/runtime"] == runtime
    (pod,) = serving.pods(revision)
    (server,) = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    probes = {which: server[which]["httpGet"] for which in ("startupProbe", "readinessProbe", "livenessProbe")}
    for probe in probes.values():
        assert (ports[probe["port"]], probe["path"]) in SERVERS[runtime].health
    serving.ready(revision)
    serving.says("Ready", "True", "Serving")


@pytest.mark.parametrize("runtime", ["triton", "vllm"])
@pytest.mark.parametrize(("worse", "metric"), [("errs", ERRORS), ("is slow", LATENCY)])
def test_what_it_counts_decides(
    serving: Serving, stack: ExitStack, runtime: str, worse: str, metric: dict[str, object]
) -> None:
    old, new = (stack.enter_context(SERVERS[runtime]()) for _ in range(2))
    strategy = {
        "canary": {
            "steps": [{"setWeight": 50}, {"analysis": {}}],
            "analysis": {"interval": "1s", "metrics": [metric], "inconclusiveLimit": 1000},
        }
    }
    stable = serving.serve_first(strategy=strategy, runtime=runtime, template={})
    serving.ready(stable, address=old.address)
    serving.version(2)
    revision = serving.rolling()
    serving.ready(revision, address=new.address)

    def condemned() -> bool:
        old.answers(100, failed=1, seconds=0.4)
        new.answers(100, failed=30 if worse == "errs" else 1, seconds=0.8 if worse == "is slow" else 0.4)
        return bool(serving.status.get("vetoes"))

    eventually(condemned, 60)
    assert serving.status["vetoes"][0]["reason"] == "AnalysisFailed"
    assert f"{metric['name']} " in serving.says("Ready", "False", "RolloutFailed")
    eventually(lambda: serving.pinned() == stable)
