"""Jobs look at a real store and at a model that is served, and what they see starts real trainings."""

import pytest

from e2e.lab import Body, Lab
from e2e.served import odd_server, tried
from e2e.space import IMAGE, RESTRICTED, Space, policy, program, serving, shell, training
from e2e.store import BUCKET, Store

# On the API server it is played each time; here a look is a minute after the one before.
pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def space(lab: Lab, store: Store) -> Space:
    space = Space(lab, "e2e-errands", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    space.use(store)
    return space


def row(space: Space, name: str) -> Body:
    rows = ((space.get("rp", name) or {}).get("status") or {}).get("triggers") or [{}]
    return dict(rows[0])


def trains(name: str, script: str, **spec: object) -> Body:
    model = {"name": name, "format": "files"}
    return training(name, shell(script), model=model, output={"uri": f"s3://{BUCKET}"}, **spec)


def test_new_files_are_trained_on(space: Space, store: Store) -> None:
    space.apply(tried(store, "grown", 1), serving("grown", template=odd_server()))
    space.serves("grown", 1)
    days = store.put("days", {"monday.csv": b"1,2"})["uri"] + "/"
    script = 'echo "predicts $(ls "$PERENNIAL_INPUTS_DIR/days" | wc -l)" > "$PERENNIAL_OUTPUT_DIR/behaviour.txt"'
    job = trains("grown", script, inputs=[{"name": "days", "uri": days}])
    space.apply(policy("grown", job, triggers=[{"name": "days", "data": {"uri": days, "every": "1m"}}]))
    space.until("it was looked at", lambda: row(space, "grown").get("state") == "Ok", 90)
    assert row(space, "grown")["data"]["objects"] == 1
    assert not space.every("trainingjobs")
    store.put("days", {"tuesday.csv": b"3,4"})
    space.serves("grown", 2, 240)
    (run,) = (space.get("rp", "grown") or {})["status"]["runs"]
    print(run["cause"]["message"])
    assert "+1 objects and +3 bytes" in run["cause"]["message"]
    version = space.get("modelversion", "grown-2") or {}
    assert version["spec"]["retrain"]["cause"]["data"]["objects"] == 2
    space.until("it is known", lambda: row(space, "grown")["knownData"]["objects"] == 2)
    store.remove("days")
    assert run["number"] == 1


def test_an_evaluator_finds_the_served_one_wanting(space: Space, store: Store) -> None:
    space.apply(tried(store, "scored", 1), serving("scored", template=odd_server(), network={"allowFrom": []}))
    space.serves("scored", 1)
    container = {"name": "score", "image": IMAGE, "command": [*program("look"), "score"], "securityContext": RESTRICTED}
    source = {"job": {"template": {"spec": {"containers": [container]}}, "every": "1m", "activeDeadlineSeconds": 60}}
    metric = {"name": "prediction", "below": 5, "minSamples": 10, "source": source}
    job = trains("scored", 'echo "predicts 7" > "$PERENNIAL_OUTPUT_DIR/behaviour.txt"')
    space.apply(policy("scored", job, triggers=[{"name": "held-out", "metric": metric}], cooldown="1h"))
    space.serves("scored", 2, 240)
    (run,) = (space.get("rp", "scored") or {})["status"]["runs"]
    assert (run["cause"]["value"], run["cause"]["samples"]) == (0, 20)
    found = space.until("the new one is measured", lambda: row(space, "scored").get("value") == 7 or None, 180)
    assert found
    assert row(space, "scored")["state"] == "Ok"
