"""Real models predict labelled rows through their real servers; the one that is worse never gets a request."""

import pytest
from sklearn.datasets import load_digits

from e2e.lab import Body, Lab
from e2e.space import Space, digits, serving
from e2e.store import Store

# Its image is large, and the rest of it is tested in milliseconds.
pytestmark = pytest.mark.full

COLUMNS = [str(column) for column in range(64)]


@pytest.fixture(scope="module")
def space(lab: Lab, store: Store) -> Space:
    space = Space(lab, "e2e-evaluation", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    space.use(store)
    return space


def rows() -> bytes:
    """The digits, with what they are, and a sheet of paper that each came on."""
    found = load_digits()
    lines = [",".join([*COLUMNS, "digit", "sheet"])]
    for number, (image, digit) in enumerate(zip(found.data, found.target, strict=True)):
        lines.append(",".join([*(f"{value:g}" for value in image), str(digit), "AB"[number % 2]]))
    return "\n".join(lines).encode()


def candidate(space: Space, version: int) -> Body | None:
    found = (space.get("mdep", "digits") or {})["status"].get("candidates") or ()
    return next((one for one in found if one["version"] == version and one["state"] == "Rejected"), None)


def test_what_is_worse_on_the_same_rows_is_kept_out_and_what_is_not_takes_over(space: Space, store: Store) -> None:
    uri = store.put("holdout", {"rows.csv": rows()})["uri"] + "/"
    metrics = [
        {"name": "Accuracy", "noWorseThanChampionBy": 0.01},
        {"name": "F1", "segment": "sheet", "min": 0.9, "maxGap": 0.05},
        {"name": "Latency", "max": 2000},
    ]
    asked = {"uri": uri, "label": "digit", "columns": COLUMNS, "metrics": metrics}
    space.apply(digits("first"))
    space.apply(serving("digits", gate={"evaluation": asked}))
    space.serves("digits", 1)
    space.apply(digits("worse", gamma=0.02))
    held = space.until("it is kept out", lambda: candidate(space, 2), 240)
    print(held["message"])
    assert held["reason"] == "GateNotPassed"
    assert "does not pass spec.gate.evaluation: Accuracy 0." in held["message"]
    assert "at most 0.01 worse is allowed, with confidence 0.95" in held["message"]
    assert "(1797 rows)" in held["message"]
    assert (space.get("mdep", "digits") or {})["status"]["promotions"][0]["version"] == 1
    space.apply(digits("another", c=9))
    space.serves("digits", 3, 240)
    (now, _) = (space.get("mdep", "digits") or {})["status"]["promotions"]
    print(now["evaluation"])
    accuracy, f1, latency = now["evaluation"]["metrics"]
    assert now["evaluation"]["rows"] == 1797
    assert accuracy["atLeast"] >= -0.01
    assert f1["segment"] in ("sheet=A", "sheet=B")
    assert f1["value"] > 0.9
    assert 0 < latency["value"] < 2000
    verdicts = {one["state"] for one in (space.get("modelversion", "digits-2") or {})["status"]["deployments"]}
    assert verdicts == {"Rejected"}
