"""The presets beside the chart's values, for model servers that are not ours: what each makes of a revision."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from perennial.answers.scrape import totals
from perennial.api.modeldeployment import ModelDeploymentSpec
from perennial.config import Config
from perennial.modeldeployment.pod import pod_template, runtime_of
from perennial.modeldeployment.revision import Model
from perennial.server.metrics import Metrics
from perennial.server.settings import Settings
from perennial.sources.pods import Mean
from tests.servers import Mlflow, StandIn, Triton, Vllm

PRESETS = Path(__file__).parents[3] / "charts" / "perennial" / "presets"
MODEL = Model("churn", 4, "s3://acme/churn/4", f"sha256:{4:064x}", "files", None)
Body = dict[str, Any]


@dataclass(frozen=True)
class Needs:
    """What a server needs of its pod: how it is called, and whose probes it answers."""

    stand_in: type[StandIn]
    command: str
    formats: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


NEEDS: Mapping[str, Needs] = {
    "mlflow": Needs(
        Mlflow,
        "__pyfunc_model_path__=/perennial/model "
        "uvicorn --host=0.0.0.0 --port=8080 mlflow.pyfunc.scoring_server.app:app",
    ),
    "triton": Needs(Triton, "tritonserver --model-repository=/perennial/model", ("triton",), ("errors", "latency_ms")),
    "vllm": Needs(
        Vllm,
        "vllm serve /perennial/model --served-model-name=churn --host=0.0.0.0 --port=8000 --shutdown-timeout=45",
        ("vllm",),
        ("errors", "first_token_ms", "latency_ms"),
    ),
}


def values(*names: str) -> Body:
    """As `helm -f presets/a.yaml -f presets/b.yaml` has them."""
    read = [yaml.safe_load((PRESETS / f"{name}.yaml").read_text()) for name in names]
    return {"servingRuntimes": {name: preset for one in read for name, preset in one["servingRuntimes"].items()}}


@pytest.fixture
def config(render: Any) -> Config:
    """The operator's configuration with all of them."""
    text = render(values(*NEEDS))["ConfigMap", "perennial"]["data"]["config.yaml"]
    return Config.model_validate(yaml.safe_load(text), extra="forbid")


def spec(**fields: Any) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.model_validate({"model": {"name": "churn"}, **fields})


def made(runtime: str, config: Config, **fields: Any) -> Body:
    return pod_template("team", "shop", spec(runtime=runtime, **fields), MODEL, "shop-0123456789", config)["spec"]


def command(container: Body) -> str:
    """What runs, as the kubelet writes it out, and before it the variables that are for nobody but the server."""
    known: dict[str, str] = {}
    for variable in container["env"]:
        known[variable["name"]] = expanded(variable["value"], known)
    words = [*container.get("command", ()), *container.get("args", ())]
    own = [f"{name}={value}" for name, value in known.items() if name.startswith("__")]
    return " ".join([*own, *(expanded(word, known) for word in words)])


def expanded(text: str, known: Mapping[str, str]) -> str:
    return re.sub(r"\$\((\w+)\)", lambda found: known.get(found[1], found[0]), text)


def test_there_are_these() -> None:
    assert {path.stem for path in PRESETS.iterdir()} == NEEDS.keys()


@pytest.mark.parametrize("name", NEEDS)
def test_the_server_is_called_as_it_wants_to_be(name: str, config: Config) -> None:
    pod = made(name, config)
    (server,) = pod["containers"]
    assert command(server) == NEEDS[name].command
    assert {"name": "perennial-model", "mountPath": "/perennial/model", "readOnly": True} in server["volumeMounts"]
    assert {mount["name"] for mount in server["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}
    assert [one["name"] for one in pod["initContainers"]] == ["fetch"]


@pytest.mark.parametrize("name", NEEDS)
def test_its_probes_and_metrics_are_where_it_answers(name: str, config: Config) -> None:
    needs, (server,) = NEEDS[name], made(name, config)["containers"]
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    for which in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = server[which]["httpGet"]
        assert (ports[probe["port"]], probe["path"]) in needs.stand_in.health, which
    metrics = config.serving_runtimes[name].metrics
    assert {(ports[metric.port], metric.path) for metric in metrics.values()} <= {needs.stand_in.metrics}
    assert tuple(sorted(metrics)) == needs.metrics


@pytest.mark.parametrize("name", NEEDS)
def test_it_is_pinned_restricted_and_given_time_to_end(name: str, config: Config) -> None:
    pod = made(name, config)
    (server,) = pod["containers"]
    assert re.fullmatch(r"[a-z0-9.]+\.[a-z]+/[a-z/-]+:v?\d+\.\d+[\w.-]*", server["image"])
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert restricted.items() <= server["securityContext"].items()
    pause = server["lifecycle"]["preStop"]["sleep"]["seconds"]
    drains = [int(word.partition("=")[2]) for word in server.get("args", ()) if word.startswith("--shutdown-timeout=")]
    assert pod["terminationGracePeriodSeconds"] > pause + sum(drains)


def test_what_is_automatic_is_what_a_format_asks_for(config: Config) -> None:
    known = config.serving_runtimes
    assert runtime_of(spec(), "sklearn", known) == "sklearn"
    for name, needs in NEEDS.items():
        assert known[name].formats == needs.formats
        assert all(runtime_of(spec(), one, known) == name for one in needs.formats)


def test_a_single_file_becomes_a_repository_of_triton(config: Config) -> None:
    """As docs/serving.md has it."""
    text = (PRESETS.parents[2] / "docs" / "serving.md").read_text()
    (block,) = re.findall(r"```yaml\n(  runtime: triton\n.*?)```", text, flags=re.S)
    (server,) = made(**yaml.safe_load(block), config=config)["containers"]
    (repository,) = re.findall(r"--model-repository=(\S+)", command(server))
    paths = {mount["mountPath"] for mount in server["volumeMounts"] if mount["name"] == "perennial-model"}
    assert f"{repository}/churn/1" in paths


def test_what_the_bundled_server_counts_is_on_its_page(config: Config) -> None:
    server, metrics = Metrics(Settings(Path("/m"), "churn")), config.serving_runtimes["sklearn"].metrics

    def read() -> dict[str, tuple[float, float]]:
        page = server.text().decode()
        return {name: totals(page, (one.numerator.counter, one.denominator.counter)) for name, one in metrics.items()}

    assert read() == {"errors": (0, 0), "latency_ms": (0, 0)}
    for code, seconds in ((200, 0.25), (400, 0.25), (500, 0.5), (503, 1.0)):
        server.answered("infer", code, seconds)
    assert read() == {"errors": (2, 4), "latency_ms": (2.0, 4)}
    assert metrics["latency_ms"].mean == Mean(times=1000)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ({"numerator": {"metric": "a"}}, "': missing property 'denominator'"),
        ({"numerator": {"metric": "a b"}, "denominator": {"metric": "a"}}, "/numerator/metric': 'a b' does not match"),
        (
            {"numerator": {"metric": "a"}, "denominator": {"metric": "a"}, "prot": "x"},
            "': additional properties 'prot' not allowed",
        ),
    ],
)
def test_what_is_wrong_with_a_preset_is_named_by_helm(render: Any, metric: Body, words: str) -> None:
    preset = values("mlflow")
    preset["servingRuntimes"]["mlflow"]["metrics"] = {"errors": metric}
    with pytest.raises(Exception, match=f"at '/servingRuntimes/mlflow/metrics/errors{words}"):
        render(preset)
