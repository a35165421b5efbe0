"""What a real server is asked is kept in a real store, drifts from what its model was trained on, and is trained on."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from e2e.lab import Body, Lab
from e2e.reporter import monitor, reporting
from e2e.space import Space, digits, policy, serving
from e2e.store import BUCKET, Store

# A look is a minute after the one before, and a minute of requests is stored once it is over.
pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def space(lab: Lab, store: Store) -> Space:
    space = Space(lab, "e2e-drift", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    space.use(store)
    return space


def table(images: np.ndarray) -> bytes:
    """As the columns are called in the log of a model without names."""
    header = ",".join(map(str, range(images.shape[1])))
    return "\n".join([header, *(",".join(f"{value:g}" for value in row) for row in images)]).encode()


def ask(space: Space, images: np.ndarray) -> None:
    tensor = {"name": "x", "shape": list(images.shape), "datatype": "FP64", "data": images.ravel().tolist()}
    url = f"{space.address('digits')}/v2/models/digits/infer"
    command = ["curl", "--silent", "--show-error", "--fail", "--data", "@-", url]
    answer = space.lab.run(*space.lab.cluster.exec_command(command), stdin=json.dumps({"inputs": [tensor]})).stdout
    assert len(json.loads(answer)["outputs"][0]["data"]) == len(images)


def row_of(space: Space) -> Body:
    """What the first trigger of the policy last saw."""
    rows = ((space.get("rp", "digits") or {}).get("status") or {}).get("triggers") or [{}]
    return dict(rows[0])


def test_requests_drift_and_the_next_version_knows_them(space: Space, store: Store) -> None:
    images = load_digits().data
    before = store.put("drift/before", {"train.csv": table(images[:600])})["uri"] + "/"
    after = store.put("drift/after", {"train.csv": table(16 - images[:600])})["uri"] + "/"
    space.apply(digits("first", inputs=[{"name": "seen", "uri": before}]))
    log = {"uri": f"s3://{BUCKET}/requests", "retention": "24h"}
    space.apply(serving("digits", requestLog=log))
    space.serves("digits", 1)
    job = digits("again", inputs=[{"name": "seen", "uri": after}])
    moved = {"reference": {"input": "seen"}, "current": {"requests": {"within": "1h"}}, "atLeast": 20, "every": "1m"}
    trigger = {"name": "moved", "drift": moved | {"report": f"s3://{BUCKET}/reports"}}
    space.apply(policy("digits", job, triggers=[trigger], cooldown="1h"))

    ask(space, images[600:900])
    space.until("what was asked is known", lambda: row_of(space).get("samples") == 300, 300)
    assert row_of(space)["state"] == "Ok", row_of(space)
    assert row_of(space)["drift"]["drifted"] == 0
    assert not space.every("trainingjobs", "perennial.dev/retrainpolicy=digits")
    # Somebody changed the scanner.
    for start in (600, 900, 1200):
        ask(space, 16 - images[start : start + 300])
    space.serves("digits", 2, 400)
    (run,) = (space.get("rp", "digits") or {})["status"]["runs"]
    print(run["cause"]["message"])
    cause = run["cause"]
    assert (cause["type"], cause["drift"]["columns"]) == ("Drift", 64)
    assert cause["drift"]["drifted"] > 20
    reports = store.names("reports/e2e-drift/digits/drift/digits/moved")
    assert cause["drift"]["report"].removeprefix(f"s3://{BUCKET}/") in reports
    version = space.get("modelversion", "digits-2") or {}
    assert version["spec"]["inputs"][0]["uri"] == after
    assert version["spec"]["retrain"]["cause"]["drift"] == cause["drift"]
    seen = space.until(
        "the second is looked at", lambda: "drift" in row_of(space) and row_of(space)["lookRevision"], 180
    )
    assert seen != cause["revision"]
    space.until(
        "of what pods were asked that have ended nothing is lost", lambda: row_of(space).get("samples") == 1200, 180
    )
    days = {name.split("/")[3] for name in store.names("requests/e2e-drift/digits/")}
    assert all(day.startswith("20") for day in days)


def test_a_metric_that_falls_is_a_cause_without_any_limit(space: Space, tmp_path: Path) -> None:
    """After the test above."""
    monitor(space)
    space.kubectl("delete", "rp", "digits")
    trigger = {"metric": "accuracy", "direction": "Down", "minSamples": 60, "every": "1m"}
    space.apply(policy("digits", digits("third"), triggers=[{"name": "worse", "conceptDrift": trigger}], cooldown="1h"))
    revision = (space.get("mdep", "digits") or {})["status"]["stableRevision"]
    with reporting(space, tmp_path, "digits", revision, 0.95):
        space.until("it has not changed", lambda: row_of(space).get("state") == "Ok", 300)
    assert row_of(space)["conceptDrift"]["changes"] == 0
    with reporting(space, tmp_path, "digits", revision, 0.6):
        space.serves("digits", 3, 400)
    (run,) = (space.get("rp", "digits") or {})["status"]["runs"]
    print(run["cause"]["message"])
    cause = run["cause"]
    assert (cause["type"], cause["metric"], cause["revision"]) == ("ConceptDrift", "accuracy", revision)
    # The minute in which it fell has some of both, and belongs to one of them.
    assert 0.95 >= cause["conceptDrift"]["before"] > 0.75 > cause["conceptDrift"]["after"] >= 0.6
    assert row_of(space)["state"] == "Waiting", "the third has yet to show anything"
