"""Real trainings on several nodes: PyTorch, JAX and XGBoost, with answers that no node could have given alone."""

import json
from typing import Any

import pytest

from e2e.cluster import images
from e2e.hollow import LABEL
from e2e.lab import Body, Failed, Lab, condition
from e2e.space import PROGRAMS, Space, training
from e2e.store import BUCKET, Store

pytestmark = pytest.mark.full
# torchrun and its like want a file.
_FILE = 'printf %s "$PROGRAM" > "$HOME/train.py" && exec {} "$HOME/train.py"'
# That of Debian's PyTorch, with Python 3.11, can't say that nothing is redirected.
TORCHRUN = "python3 -m torch.distributed.run --redirects 1 --tee 1"
TORCH, OTHERS = "python3", "/opt/venv/bin/python"


@pytest.fixture(scope="module", autouse=True)
def frameworks(lab: Lab) -> None:
    lab.cluster.load([images.ensure("frameworks")])


@pytest.fixture(scope="module")
def space(lab: Lab, store: Store) -> Space:
    space = Space(lab, "e2e-distributed")
    space.use(store)
    return space


def wide(name: str, framework: str, runner: str, nodes: int, processes: int = 1, **spec: Any) -> Body:
    """A TrainingJob whose nodes run the program of a framework."""
    return across(
        name, framework, runner, {"framework": framework, "nodes": nodes, "processesPerNode": processes}, **spec
    )


def across(name: str, program: str, runner: str, distribution: Body, **spec: Any) -> Body:
    """A TrainingJob whose nodes run one of the programs."""
    text = {"name": "PROGRAM", "value": (PROGRAMS / f"nodes_{program}.py").read_text()}
    container = {
        "image": images.name("frameworks"),
        "env": [{"name": "OMP_NUM_THREADS", "value": "1"}, text, *spec.pop("env", ())],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}},
    }
    output = {"uri": f"s3://{BUCKET}"}
    command = ["sh", "-c", _FILE.format(runner)]
    return training(name, command, container=container, distribution=distribution, output=output, **spec)


def measured(space: Space, name: str) -> dict[str, float]:
    status = space.finished(name, 300)["status"]
    assert status["phase"] == "Succeeded", status["failure"]
    return dict((space.get("modelversion", status["modelVersion"]) or {})["spec"]["metrics"])


def test_two_nodes_of_torch_learn_what_neither_has_seen(space: Space) -> None:
    space.apply(wide("env", "torch", TORCH, 2))
    found = measured(space, "env")
    assert found["processes"] == 2
    assert found["error"] < 0.01


def test_torchrun_starts_two_processes_on_each_of_three_nodes(space: Space) -> None:
    space.apply(wide("torchrun", "torch", TORCHRUN, 3, 2))
    found = measured(space, "torchrun")
    assert found["processes"] == 6
    assert found["error"] < 0.01


def test_jax_fits_a_line_to_the_points_of_all_nodes(space: Space) -> None:
    space.apply(wide("line", "jax", OTHERS, 2))
    assert measured(space, "line") == pytest.approx({"slope": 3, "height": 2, "devices": 2}, abs=1e-3)


def test_xgboost_knows_the_digits_of_both_nodes(space: Space) -> None:
    space.apply(wide("trees", "xgboost", OTHERS, 2))
    assert measured(space, "trees")["accuracy"] > 0.8


def test_a_rank_that_is_killed_in_the_middle_has_all_begin_again(space: Space) -> None:
    space.apply(wide("killed", "torch", TORCH, 2, parameters={"killed": "killed-1"}, backoffLimit=1))
    assert measured(space, "killed")["error"] < 0.01
    attempts = (space.get("tj", "killed") or {})["status"]["attempts"]
    print(attempts)
    assert [row["outcome"] for row in attempts] == ["Failed", "Succeeded"]
    assert attempts[0]["pod"].startswith("killed-1-")
    assert attempts[0]["reason"] in ("Killed", "OutOfMemory")


def test_a_rank_that_hangs_at_the_rendezvous_is_ended_by_the_deadline(space: Space) -> None:
    space.apply(wide("hangs", "torch", TORCH, 2, parameters={"hangs": "1"}, activeDeadlineSeconds=20))
    status = space.finished("hangs", 180)["status"]
    assert status["failure"]["reason"] == "DeadlineExceeded"
    space.until("its pods are gone", lambda: not space.every("pods", "perennial.dev/trainingjob=hangs"), 120)


def test_a_node_that_waits_is_named_and_so_is_what_it_waits_for(space: Space) -> None:
    greedy = {"requests": {"cpu": "1000", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}
    job = wide("waits", "torch", TORCH, 2, pendingDeadlineSeconds=20)
    job["spec"]["template"]["spec"]["containers"][0]["resources"] = greedy
    space.apply(job)
    space.until("it says so", lambda: condition(space.get("tj", "waits"), "Running")["reason"] == "Unschedulable")
    assert "0 of 2 nodes train" in condition(space.get("tj", "waits"), "Running")["message"]
    assert space.finished("waits", 120)["status"]["failure"]["reason"] == "PendingDeadlineExceeded"


def test_an_elastic_run_goes_on_without_a_node_and_takes_it_in_again(space: Space) -> None:
    nodes = (one["metadata"] for one in space.lab.every("nodes", space.name))
    node = next(one["name"] for one in nodes if LABEL not in one["labels"])
    space.kubectl("label", "node", node, "e2e-elastic=yes")
    # Debian's PyTorch knows its own host only by its whole name.
    endpoint = f"$(PERENNIAL_JOB_NAME)-0.peers-elastic.{space.name}.svc.cluster.local:29500"
    job = across(
        "elastic",
        "elastic",
        TORCHRUN,
        {"framework": "torch", "elastic": {"minNodes": 2, "maxNodes": 3}},
        env=[{"name": "PET_RDZV_ENDPOINT", "value": endpoint}],
        pod={"nodeSelector": {"e2e-elastic": "yes"}},
    )
    space.apply(job)

    def pods() -> dict[str, str]:
        """By node of the run, those that have not ended."""
        found = space.every("pods", "perennial.dev/trainingjob=elastic")
        return {
            one["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]: one["metadata"]["name"]
            for one in found
            if one["status"]["phase"] in ("Pending", "Running")
        }

    def says(words: str) -> bool:
        return words in condition(space.get("tj", "elastic"), "Running")["message"]

    def last() -> str:
        """What node 0 said last; nothing before it trains."""
        try:
            return space.kubectl("logs", pods()["0"], "-c", "train", "--tail=1")
        except (Failed, KeyError):
            return ""

    space.until("three train", lambda: "3 of us" in last(), 240)
    assert says("training in 3 pods")
    space.kubectl("label", "node", node, "e2e-elastic-")
    lost = pods()["2"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": lost, "namespace": space.name}}
    space.lab.kubectl(
        "create",
        "--raw",
        f"/api/v1/namespaces/{space.name}/pods/{lost}/eviction",
        "-f",
        "-",
        stdin=json.dumps(eviction),
    )
    space.until("two go on", lambda: "2 of us" in last(), 240)
    space.until("it says so", lambda: says("training in 2 of 3 pods"))
    space.kubectl("label", "node", node, "e2e-elastic=yes")
    space.until("three train again", lambda: "3 of us" in last(), 240)
    space.kubectl("exec", pods()["0"], "-c", "train", "--", "touch", "/perennial-home/go")
    assert measured(space, "elastic") == {"size": 3}
    (attempt,) = (space.get("tj", "elastic") or {})["status"]["attempts"]
    assert attempt["outcome"] == "Succeeded"
    space.kubectl("label", "node", node, "e2e-elastic-")
