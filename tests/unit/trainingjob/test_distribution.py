"""What each node of a run is told of the others, as the kubelet puts it in."""

import json
import re

import pytest

from perennial.plan import Body
from perennial.trainingjob.environment.distribution import FRAMEWORKS
from tests.unit.trainingjob.builders import Team, a_run

HOSTS = ["churn-1-0.peers-churn-1", "churn-1-1.peers-churn-1"]
CASES: dict[str, tuple[Body, dict[str, str]]] = {
    "none": ({}, {}),
    "torch": (
        {},
        {
            "MASTER_ADDR": HOSTS[0],
            "MASTER_PORT": "29500",
            "PET_MASTER_ADDR": HOSTS[0],
            "PET_MASTER_PORT": "29500",
            "PET_NNODES": "2",
            "PET_NODE_RANK": "1",
            "PET_NPROC_PER_NODE": "1",
            "RANK": "1",
            "WORLD_SIZE": "2",
            "LOCAL_RANK": "0",
            "LOCAL_WORLD_SIZE": "1",
        },
    ),
    "jax": (
        {},
        {"JAX_COORDINATOR_ADDRESS": f"{HOSTS[0]}:6666", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1"},
    ),
    "xgboost": (
        {},
        {
            "DMLC_TRACKER_URI": HOSTS[0],
            "DMLC_TRACKER_PORT": "9091",
            "DMLC_NUM_WORKER": "2",
            "DMLC_TASK_ID": "1",
        },
    ),
}


def environment(distribution: Body, index: int = 1, attempt: int = 1, **container: object) -> dict[str, str]:
    """The variables of the training on a node, with what the kubelet puts in."""
    train = {"name": "main", "image": "train:1", "command": ["python", "t.py"], **container}
    team = Team(a_run(distribution=distribution, template={"spec": {"containers": [train]}})).started()
    labels = {
        "batch.kubernetes.io/job-name": "churn-1" if attempt == 1 else f"churn-1-a{attempt}",
        "batch.kubernetes.io/job-completion-index": str(index),
    }
    found: dict[str, str] = {}
    for variable in team.job["spec"]["template"]["spec"]["containers"][0]["env"]:
        if "valueFrom" in variable:
            path = variable["valueFrom"]["fieldRef"]["fieldPath"]
            found[variable["name"]] = labels[path.removeprefix("metadata.labels['").removesuffix("']")]
        else:
            found[variable["name"]] = re.sub(
                r"\$\((\w+)\)", lambda reference: found.get(reference[1], reference[0]), variable["value"]
            )
    return found


@pytest.mark.parametrize("framework", CASES)
def test_a_framework_gets_its_own_variables_and_no_others(framework: str) -> None:
    said, expected = CASES[framework]
    common = set(environment({"nodes": 2}))
    found = environment({"framework": framework, "nodes": 2, **said})
    assert {name: value for name, value in found.items() if name not in common} == expected


def test_every_node_knows_which_it_is_and_all_others() -> None:
    found = environment({"nodes": 2}, index=0)
    assert (found["PERENNIAL_NODE_INDEX"], found["PERENNIAL_NODES"]) == ("0", "2")
    assert found["PERENNIAL_PEERS"] == ",".join(HOSTS)


def test_a_later_attempt_has_the_names_of_its_own_pods() -> None:
    assert environment({"framework": "torch", "nodes": 2}, attempt=3)["MASTER_ADDR"] == "churn-1-a3-0.peers-churn-1"


def test_processes_that_torchrun_starts_get_their_ranks_from_it() -> None:
    found = environment({"framework": "torch", "nodes": 2, "processesPerNode": 8})
    assert (found["PET_NPROC_PER_NODE"], "RANK" in found, "WORLD_SIZE" in found) == ("8", False, False)


def test_an_elastic_torchrun_meets_at_the_leader_and_gives_the_ranks_itself() -> None:
    found = environment({"framework": "torch", "elastic": {"minNodes": 2, "maxNodes": 4}, "processesPerNode": 8})
    assert {name: value for name, value in found.items() if name.startswith(("PET_", "RANK", "WORLD"))} == {
        "PET_NNODES": "2:4",
        "PET_NPROC_PER_NODE": "8",
        "PET_RDZV_BACKEND": "c10d",
        "PET_RDZV_ENDPOINT": f"{HOSTS[0]}:29500",
        "PET_RDZV_ID": "churn-1",
        "PET_RDZV_CONF": "read_timeout=600",
        "PET_MAX_RESTARTS": "100",
    }


def test_tensorflow_reads_which_worker_it_is() -> None:
    found = json.loads(environment({"framework": "tensorflow", "nodes": 2})["TF_CONFIG"])
    assert found == {
        "cluster": {"worker": [f"{host}:2222" for host in HOSTS]},
        "task": {"type": "worker", "index": 1},
    }


def test_what_the_user_says_of_a_variable_holds() -> None:
    env = [{"name": "MASTER_PORT", "value": "12345"}]
    assert environment({"framework": "torch", "nodes": 2}, env=env)["MASTER_PORT"] == "12345"


def test_alone_a_training_hears_of_no_others() -> None:
    team = Team().started()
    names = {one["name"] for one in team.job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert not {"PERENNIAL_PEERS", "PERENNIAL_NODES", "MASTER_ADDR"} & names
    assert "subdomain" not in team.job["spec"]["template"]["spec"]


def test_each_framework_has_a_case() -> None:
    assert {*CASES, "tensorflow"} == {framework.value for framework in FRAMEWORKS}
