"""Versions change under load, and bad ones never get any: no request fails, whatever becomes of the operator."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sklearn.datasets import load_digits

from e2e import operators
from e2e.cluster import images
from e2e.lab import ROOT, SYSTEM, Body, Lab, condition
from e2e.load import Load
from e2e.served import Served, odd_server
from e2e.space import Space, digits, serving, version
from e2e.store import Store
from tests.prove.report import Proof

TITLE = "Workload truth"
RATE = 50  # requests per second
REQUESTS = 5_000


@pytest.fixture(scope="module")
def restricted(lab: Lab, store: Store) -> Space:
    """A namespace where Pod Security refuses everything that is not `restricted`."""
    space = Space(lab, "e2e-serving", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    space.use(store)
    return space


@pytest.fixture(scope="module")
def odd(restricted: Space, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of one's own, whose models say how it behaves."""
    fine = store.put("odd/1", {"behaviour.txt": b"fine"})
    restricted.apply(version("odd", 1, fine, format="files"))
    restricted.apply(serving("odd", replicas=1, template=odd_server(), progressDeadlineSeconds=10))
    restricted.serves("odd", 1)
    folder = tmp_path_factory.mktemp("odd")
    with Load(restricted.lab, folder, restricted.address("odd"), rate=10) as load:
        yield Served(restricted, load, "odd")


@pytest.fixture(scope="module")
def served(restricted: Space, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The bundled server with a trained model, behind a gate, in two replicas."""
    restricted.apply(digits("first", c=1))
    gate = {"metrics": [{"name": "accuracy", "min": 0.9}, {"name": "accuracy", "noWorseThanChampionBy": 0.01}]}
    restricted.apply(serving("digits", replicas=2, gate=gate, progressDeadlineSeconds=120))
    restricted.serves("digits", 1)
    image = load_digits().images[0]
    tensor = {"name": "image", "shape": [1, 64], "datatype": "FP64", "data": image.reshape(-1).tolist()}
    url = f"{restricted.address('digits')}/v2/models/digits/infer"
    folder = Path(tmp_path_factory.mktemp("load"))
    with Load(restricted.lab, folder, url, rate=RATE, body={"inputs": [tensor]}) as load:
        yield Served(restricted, load, "digits")


def test_the_next_version_takes_over(served: Served) -> None:
    """As a canary that its server's own counters judge, by their names in the preset."""
    metrics = [
        {"name": "errors", "source": {"runtime": {}}, "max": 0.05, "lowerIsBetter": True},
        {"name": "latency_ms", "source": {"runtime": {}}, "max": 2000, "lowerIsBetter": True, "minSamples": 2},
    ]
    strategy = {"steps": [{"setWeight": 50}, {"analysis": {}}], "analysis": {"interval": "2s", "metrics": metrics}}
    served.space.kubectl(
        "patch", "mdep", "digits", "--type=merge", "-p", json.dumps({"spec": {"strategy": {"canary": strategy}}})
    )
    served.space.apply(digits("second"))
    served.space.serves("digits", 2)
    passed = [one for one in served.space.every("events") if one["reason"] == "AnalysisPass"]
    assert passed, "its server's counters were read"
    answered = served.load.counts()["versions"]
    assert set(answered) == {"1", "2"}
    served.unharmed(2)


def test_a_batch_is_scored_with_the_files_of_a_version(served: Served) -> None:
    space = served.space
    template = ROOT / "docs" / "examples" / "batch-prediction.gotmpl"
    job = space.kubectl("get", "modelversion", "digits-1", "-o", f"go-template-file={template}")
    for image in ("agent", "server"):
        job = job.replace(f"perennial/{image}:0.1.0", images.name(image))
    space.apply(yaml.safe_load(job))
    space.kubectl("wait", "--for=condition=Complete", "--timeout=120s", "job/digits-1-batch")
    written = json.loads(space.kubectl("logs", "job/digits-1-batch", "-c", "predict"))
    record = (space.get("modelversion", "digits-1") or {})["spec"]
    assert (written["version"], written["digest"]) == ("digits-1", record["digest"])
    assert len(written["predictions"]) == 3


def test_a_restart_of_the_operator_is_not_noticed(served: Served, lab: Lab) -> None:
    revision = served.deployment["status"]["stableRevision"]
    before = served.space.servers("digits", revision)
    lab.kubectl("rollout", "restart", "deployment/perennial", "-n", SYSTEM)
    lab.kubectl("rollout", "status", "deployment/perennial", "-n", SYSTEM, "--timeout=180s")
    operators.ready(lab)
    assert served.space.servers("digits", revision) == before
    assert len(before) == 2
    served.unharmed(2)


@pytest.mark.proof(TITLE)
def test_one_that_cannot_be_loaded_never_gets_traffic(served: Served, store: Store, proof: Proof) -> None:
    good = served.deployment["status"]["modelVersion"]
    files = store.put("corrupt", {"model.skops": b"PK\x03\x04 this was a model once"})
    measured = {"metrics": {"accuracy": 0.99}, "evaluation": "digits-unseen"}
    served.space.apply(version("digits", 3, files, format="sklearn", **measured))
    verdict = served.vetoed(3)
    assert verdict["reason"] == "ModelLoadFailed"
    assert "model.skops" in verdict["message"]
    said = condition(served.deployment, "Ready")
    assert (said["status"], said["reason"]) == ("False", "RolloutFailed")
    assert verdict["message"] in said["message"]
    assert served.deployment["status"]["modelVersion"] == good
    served.unharmed(int(good.rpartition("-")[2]))
    proof.count("servers that never serve")


def test_one_that_is_worse_than_the_champion_never_gets_traffic(served: Served) -> None:
    served.space.apply(digits("worse", gamma=0.0001, c=0.1))
    job = served.space.finished("worse")
    assert job["status"]["phase"] == "Succeeded", job["status"]
    metrics = job["status"]["metrics"]
    assert metrics["accuracy"] < metrics["champion.accuracy"] - 0.01
    assert job["status"]["champion"]["version"] == 2

    def rejected() -> Body | None:
        candidates = served.deployment["status"].get("candidates") or ()
        return next((one for one in candidates if (one.get("version"), one["state"]) == (4, "Rejected")), None)

    candidate = served.space.until("version 4 is rejected", rejected)
    assert candidate["reason"] == "GateNotPassed"
    assert "worse than the champion's" in candidate["message"] or "below the minimum" in candidate["message"]
    revisions = served.space.every("deployments", "perennial.dev/modeldeployment=digits")
    assert "4" not in {one["metadata"]["labels"]["perennial.dev/model-version"] for one in revisions}
    served.unharmed(2)


def test_a_takeover_survives_the_death_of_the_operator(served: Served, lab: Lab) -> None:
    served.space.apply(digits("third", c=5))

    def rolling() -> bool:
        return (served.deployment["status"].get("rollout") or {}).get("version") == 5

    served.space.until("version 5 is rolled out", rolling, 120, every=0.1)
    operators.replace_leader(lab)
    served.space.serves("digits", 5)
    served.unharmed(5)


@pytest.mark.proof(TITLE)
@pytest.mark.parametrize(("number", "behaviour"), [(2, "garbage"), (3, "error")])
def test_one_that_answers_nonsense_when_asked_whether_it_is_ready_never_gets_traffic(
    odd: Served, store: Store, proof: Proof, number: int, behaviour: str
) -> None:
    files = store.put(f"odd/{number}", {"behaviour.txt": behaviour.encode()})
    odd.space.apply(version("odd", number, files, format="files"))
    verdict = odd.vetoed(number)
    assert verdict["reason"] == "ProgressDeadlineExceeded"
    assert "do not answer ready" in verdict["message"]
    said = condition(odd.deployment, "Ready")
    assert (said["status"], said["reason"]) == ("False", "RolloutFailed")
    assert verdict["message"] in said["message"]
    assert odd.deployment["status"]["modelVersion"] == "odd-1"
    odd.unharmed(1)
    proof.count("servers that never serve")


def test_no_request_failed(served: Served, odd: Served) -> None:
    served.space.until("enough requests were sent", lambda: served.load.sent() >= REQUESTS, 120)
    counts = served.load.stop()
    print(counts)
    assert counts["failures"] == 0, counts["words"]
    assert min(counts["requests"].values()) >= REQUESTS // 2 - RATE
    assert odd.load.stop()["failures"] == 0
