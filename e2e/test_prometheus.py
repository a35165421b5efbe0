"""Canaries that are judged by a real Prometheus: it finds the pods, counts, and is away for a while."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.lab import Body, Lab
from e2e.load import Load
from e2e.prometheus import Prometheus
from e2e.served import odd_server, tried
from e2e.space import Space, serving
from e2e.store import Store

# What is asked, and what is made of the answers, is tested each time.
pytestmark = pytest.mark.full
_OF = 'requests_total{revision="$revision"'
ERRORS: Body = {
    "name": "errors",
    "source": {
        "prometheus": {
            "query": f'(sum(rate({_OF},code=~"5.."}}[$interval])) or vector(0)) / sum(rate({_OF}}}[$interval]))',
            "samples": f"sum(increase({_OF}}}[$interval]))",
        }
    },
    "noWorseThanStableBy": 0.01,
    "lowerIsBetter": True,
}
ANALYSIS: Body = {"interval": "10s", "metrics": [ERRORS], "consecutiveErrorLimit": 1}
CANARY: Body = {"canary": {"steps": [{"setWeight": 50}, {"analysis": {}}], "analysis": ANALYSIS}}
BEHAVIOURS = {"good": "fine", "errs": "errs 5"}


@pytest.fixture(scope="module")
def prometheus(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that the operator was told of."""
    server = Prometheus(lab, tmp_path_factory.mktemp("prometheus"))
    server.start()
    lab.install(f"prometheusServers.default.url={server.url}")
    yield server
    lab.install()
    server.stop()


@pytest.fixture(scope="module")
def space(lab: Lab, store: Store, prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    """Version 1 of each serves, and is asked."""
    space = Space(lab, "e2e-prometheus", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    space.use(store)
    for name in BEHAVIOURS:
        space.apply(tried(store, name, 1))
        space.apply(serving(name, replicas=1, template=odd_server(), strategy=CANARY, scaleDownDelay="1s"))
    for name in BEHAVIOURS:
        space.serves(name, 1)
    folder = Path(tmp_path_factory.mktemp("load"))
    with Load(lab, folder, *map(space.address, BEHAVIOURS), rate=100):
        yield space


def test_one_that_errs_is_rolled_back(space: Space, store: Store) -> None:
    space.apply(tried(store, "errs", 2, BEHAVIOURS["errs"]))
    said = space.says("mdep", "errs", "Ready", "False", "at most 0.01 worse is asked for", 240)
    print(said["message"])
    assert (space.get("mdep", "errs") or {})["status"]["vetoes"][0]["reason"] == "AnalysisFailed"


def test_while_it_is_away_a_good_one_waits_and_passes_when_it_is_back(
    space: Space, store: Store, prometheus: Prometheus
) -> None:
    prometheus.stop()
    space.apply(tried(store, "good", 2, BEHAVIOURS["good"]))
    said = space.says("mdep", "good", "Stalled", "True", "Cannot connect", 240)
    assert said["reason"] == "AnalysisError"
    prometheus.start()
    space.serves("good", 2, 240)
