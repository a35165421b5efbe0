"""A policy that goes by what the pods themselves count, with nothing installed beside them."""

from pathlib import Path

import pytest

from e2e.lab import Lab
from e2e.load import Load
from e2e.served import mended, odd_server, tried
from e2e.space import Space, policy, serving
from e2e.store import Store

# On the API server it is played each time.
pytestmark = pytest.mark.full
NAME = "counted"


def test_a_served_model_that_errs_is_trained_anew(lab: Lab, store: Store, tmp_path: Path) -> None:
    space = Space(lab, "e2e-counted", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    space.use(store)
    space.apply(tried(store, NAME, 1, "errs 20"), serving(NAME, replicas=2, template=odd_server()))
    space.serves(NAME, 1)
    requests = {"metric": "requests_total"}
    pods = {"numerator": requests | {"labels": {"code": "5*"}}, "denominator": requests}
    metric = {"name": "errors", "source": {"pods": pods}, "above": 0.1, "window": "1m", "minSamples": 50}
    with Load(lab, tmp_path, space.address(NAME), rate=20):
        space.apply(policy(NAME, mended(NAME), triggers=[{"name": "errors", "metric": metric}], cooldown="1h"))
        space.serves(NAME, 2, 240)
    (run,) = (space.get("rp", NAME) or {})["status"]["runs"]
    print(run["cause"]["message"])
    assert run["cause"]["value"] == pytest.approx(0.2, abs=0.1)
    assert "by pods" in run["cause"]["message"]
