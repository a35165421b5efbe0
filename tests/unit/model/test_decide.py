"""Version numbers: never given twice, the same to the same run after a crash, and never taken from somebody's own."""

from copy import deepcopy
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from perennial.api.modelversion import MAX_RESERVED
from perennial.api.resources import MODELS, MODELVERSIONS
from perennial.config import Config
from perennial.model.decide import decide
from perennial.model.snapshot import gather
from perennial.plan import Body, Create, Patch
from tests.world import World

NOW = datetime(2026, 11, 20, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64


def a_finished_run(name: str, **metadata: object) -> Body:
    return {
        "apiVersion": "perennial.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": f"uid-{name}",
            "creationTimestamp": "2026-11-20T00:00:00Z",
            **metadata,
        },
        # Edited since: what a version came from is in the result.
        "spec": {"model": {"name": "edited"}, "parameters": {"depth": 4}},
        "status": {
            "phase": "Publishing",
            "result": {
                "origin": {
                    "model": "churn",
                    "parameters": {"depth": 3},
                    "inputs": [{"name": "data", "uri": "s3://d/1"}],
                    "code": {"revision": "abc"},
                },
                "uri": "s3://m/1",
                "digest": DIGEST,
                "format": "sklearn",
                "metrics": {"accuracy": 0.9},
                "image": "train@sha256:1",
                "inputs": {"data": DIGEST},
            },
            "champion": {"deployment": "churn", "version": 1, "uri": "s3://m/0", "digest": DIGEST},
        },
    }


def a_version(number: int, uid: str | None = None) -> Body:
    spec: Body = {"model": "churn", "version": number, "uri": "s3://m/x", "digest": DIGEST, "format": "sklearn"}
    if uid:
        spec["trainingJob"] = {"name": "x", "uid": uid}
    return {
        "apiVersion": "perennial.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"churn-{number}", "namespace": "team", "uid": f"uid-v{number}"},
        "spec": spec,
    }


class Records:
    """A namespace in which the actions of a Model are carried out; it can die before any of them."""

    def __init__(self, *bodies: Body) -> None:
        self.world = World(*bodies)
        self.revision = 1
        self.given: list[tuple[str, str]] = []

    def decide(self, survive: int = 1_000) -> int:
        snapshot = gather(self.world, "team", "churn")
        if snapshot is None:
            return 0
        plan = decide(snapshot, NOW, Config())
        for action in plan.actions[:survive]:
            self.revision += 1
            match action:
                case Create(body):
                    made = deepcopy(body)
                    made["metadata"].update(uid=f"uid-{self.revision}", resourceVersion=str(self.revision))
                    assert self.world.get(MODELVERSIONS, "team", made["metadata"]["name"]) is None
                    self.world.add(made)
                    if made["kind"] == "ModelVersion":
                        self.given.append((made["metadata"]["name"], made["spec"]["trainingJob"]["uid"]))
                case Patch(_, _, name, patch):
                    model = self.world.get(MODELS, "team", name)
                    assert model
                    assert action.resource_version == model["metadata"]["resourceVersion"]
                    kept = {k: v for k, v in {**model["status"], **patch["status"]}.items() if v is not None}
                    self.world.add(
                        {
                            **model,
                            "status": kept,
                            "metadata": {**model["metadata"], "resourceVersion": str(self.revision)},
                        }
                    )
        return len(plan.actions)

    def versions(self) -> list[str]:
        return sorted(body["metadata"]["name"] for body in self.world.list(MODELVERSIONS, "team"))


def test_the_first_version_costs_two_writes_and_then_nothing() -> None:
    records = Records(a_finished_run("one"))
    assert records.decide() == 2
    assert records.versions() == ["churn-1"]
    assert records.decide() == 0


def test_the_origin_is_complete() -> None:
    run = a_finished_run(
        "retrain-7",
        labels={"perennial.dev/retrainpolicy": "churn", "perennial.dev/run": "7"},
        annotations={"perennial.dev/cause": '{"trigger": "accuracy", "type": "Metric", "value": 0.8}'},
    )
    records = Records(run)
    records.decide()
    version = records.world.get(MODELVERSIONS, "team", "churn-1")
    assert version
    spec = version["spec"]
    assert spec["inputs"] == [{"name": "data", "uri": "s3://d/1", "digest": DIGEST}]
    assert spec["parameters"] == {"depth": 3}
    assert spec["image"] == "train@sha256:1"
    assert spec["code"] == {"revision": "abc"}
    assert spec["champion"]["version"] == 1
    assert spec["trainingJob"] == {"name": "retrain-7", "uid": "uid-retrain-7"}
    assert spec["retrain"] == {
        "policy": "churn",
        "run": 7,
        "cause": {"trigger": "accuracy", "type": "Metric", "value": 0.8},
    }
    assert "ownerReferences" not in version["metadata"]


def test_a_persons_own_version_is_counted_and_left_alone() -> None:
    records = Records(a_version(5), a_finished_run("one"))
    records.decide()
    assert records.versions() == ["churn-5", "churn-6"]


def test_a_number_taken_meanwhile_is_replaced_by_the_next() -> None:
    records = Records(a_finished_run("one"))
    records.decide(survive=1)
    records.world.add(a_version(1))
    records.decide()
    assert records.versions() == ["churn-1", "churn-2"]
    assert records.given == [("churn-2", "uid-one")]


def test_a_deleted_model_is_made_again_and_the_run_keeps_its_number() -> None:
    records = Records(a_version(4), a_finished_run("one"))
    records.decide()
    records.world.remove(records.world.get(MODELS, "team", "churn") or {})
    records.decide()
    assert records.versions() == ["churn-4", "churn-5"]
    model = records.world.get(MODELS, "team", "churn")
    assert model
    assert model["status"]["reserved"] == [{"version": 5, "uid": "uid-one"}]
    assert records.decide() == 0


def test_more_runs_than_fit_into_one_write_get_their_numbers_one_after_the_other() -> None:
    runs = [a_finished_run(f"r{number:04}") for number in range(MAX_RESERVED + 1)]
    records = Records(*runs)
    records.decide(10_000)
    assert len(records.versions()) == MAX_RESERVED
    for run in runs[:MAX_RESERVED]:
        records.world.add(run | {"status": run["status"] | {"phase": "Succeeded"}})
    records.decide()
    assert records.given[-1] == (f"churn-{MAX_RESERVED + 1}", f"uid-r{MAX_RESERVED}")


def test_a_deleted_version_leaves_a_gap() -> None:
    records = Records(a_finished_run("one"))
    records.decide()
    run = a_finished_run("one")
    run["status"]["phase"] = "Succeeded"
    records.world.add(run)
    records.world.remove(a_version(1))
    records.decide()
    records.world.add(a_finished_run("two"))
    records.decide()
    assert records.versions() == ["churn-2"]


step = st.one_of(
    st.tuples(st.just("finish"), st.integers(0, 5)),
    st.tuples(st.just("crash"), st.integers(0, 3)),
    st.tuples(st.just("pass"), st.just(0)),
    st.tuples(st.just("settle"), st.integers(0, 5)),
    st.tuples(st.just("delete"), st.integers(0, 5)),
    st.tuples(st.just("apply"), st.integers(1, 8)),
)


@given(st.lists(step, max_size=30))
def test_no_number_is_given_twice_and_no_run_gets_two(steps: list[tuple[str, int]]) -> None:
    records = Records()
    finished: set[int] = set()
    for what, number in steps:
        if what == "finish" and number not in finished:
            finished.add(number)
            records.world.add(a_finished_run(f"r{number}"))
        elif what in ("crash", "pass"):
            records.decide(number if what == "crash" else 1_000)
        elif what == "settle" and any(uid == f"uid-r{number}" for _, uid in records.given):
            run = a_finished_run(f"r{number}")
            run["status"]["phase"] = "Succeeded"
            records.world.add(run)
        elif what == "delete" and records.versions():
            name = records.versions()[number % len(records.versions())]
            origin = (
                (records.world.get(MODELVERSIONS, "team", name) or {})["spec"].get("trainingJob", {}).get("uid", "")
            )
            run = next((b for b in records.world.objects.values() if b["metadata"]["uid"] == origin), None)
            # A version of a run that has not recorded it yet is made again; only then is it deleted for good.
            if run is None or run["status"]["phase"] == "Succeeded":
                records.world.remove(records.world.get(MODELVERSIONS, "team", name) or {})
        elif what == "apply" and f"churn-{number}" not in [name for name, _ in records.given]:
            records.world.add(a_version(number))
    records.decide()
    records.decide()
    names = [name for name, _ in records.given]
    uids = [uid for _, uid in records.given]
    assert len(set(names)) == len(names)
    assert len(set(uids)) == len(uids)
    assert set(uids) == {f"uid-r{number}" for number in finished}
    assert records.decide() == 0


def test_the_overview_says_what_is_approved_and_where_it_is_served() -> None:
    approved = a_version(2)
    approved["spec"]["approval"] = "Approved"
    deployment = {
        "apiVersion": "perennial.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "prod", "namespace": "team"},
        "spec": {"model": {"name": "churn"}},
        "status": {"promotions": [{"version": 1}]},
    }
    records = Records(a_version(1), approved, deployment)
    records.decide()
    model = records.world.get(MODELS, "team", "churn")
    assert model
    assert model["status"]["latestApproved"] == 2
    assert model["status"]["serving"] == "prod=1"
    assert model["status"]["highestVersion"] == 2
