"""A canary under load: it gets its share of the requests and no more, and none fails, whatever is done by hand."""

from collections.abc import Iterator
from math import sqrt
from pathlib import Path

import pytest

from e2e import operators
from e2e.lab import Body, Lab
from e2e.load import Load
from e2e.served import RATE, Served, odd_server, share, tried
from e2e.space import Space, serving
from e2e.store import Store
from tests.prove.report import scaled

SAMPLE = scaled(1_500, 500)  # requests by connections of their own
STEPS: list[Body] = [
    {"pause": {}},
    {"setWeight": 10},
    {"pause": {}},
    {"setWeight": 50},
    {"pause": {}},
]


@pytest.fixture(scope="module")
def canary(lab: Lab, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Version 1 serves with nine pods, and is asked all the time."""
    space = Space(lab, "e2e-canary", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    space.use(store)
    space.apply(tried(store, "steps", 1))
    strategy = {"canary": {"steps": STEPS, "maxWeightError": 1}}
    space.apply(serving("steps", replicas=9, template=odd_server(), strategy=strategy, scaleDownDelay="5s"))
    space.serves("steps", 1)
    folder = Path(tmp_path_factory.mktemp("canary"))
    with Load(lab, folder, space.address("steps"), rate=RATE) as load:
        yield Served(space, load, "steps")


def come(canary: Served, store: Store, number: int) -> None:
    """A version that waits with a pod of its own, before its first step."""
    canary.space.apply(tried(store, "steps", number))
    canary.at(0)


def fresh(canary: Served, number: int) -> float:
    """Percent of a sample of requests that a version answers, each by a connection of its own."""
    return share(canary.space, canary.load, number, SAMPLE, "fresh")


def chance(percent: float) -> float:
    """Four times what chance makes of a share in such a sample."""
    return 4 * sqrt(percent * (100 - percent) / SAMPLE)


def test_it_gets_its_share_step_by_step(canary: Served, store: Store, lab: Lab) -> None:
    with canary.scenario(2):
        come(canary, store, 2)
        assert "2" not in canary.load.counts()["versions"]
        canary.ask("skip-step", "1")
        canary.at(2)
        operators.replace_leader(lab)
        tenth = fresh(canary, 2)
        canary.ask("skip-step", "2")
        canary.at(4)
        half = fresh(canary, 2)
        print(f"10% was {tenth:.1f}%, 50% was {half:.1f}%")
        assert abs(tenth - 10) < chance(10)
        assert abs(half - 50) < chance(50)
        traffic = canary.deployment["status"]["traffic"]
        assert (traffic["requestedWeight"], traffic["actualWeight"]) == (50, 50)
        canary.ask("skip-step", "3")
        canary.space.serves("steps", 2)


def test_aborted_half_way_it_gets_none_any_more(canary: Served, store: Store) -> None:
    with canary.scenario(3):
        come(canary, store, 3)
        canary.ask("skip-step", "4")
        canary.at(2)
        canary.ask("abort", "1")
        # A connection that was kept leads to its pod until that ends.
        canary.aborted(3)
        before = canary.load.counts()["versions"].get("3", 0)
        assert fresh(canary, 3) == 0
        assert canary.load.counts()["versions"].get("3", 0) == before


def test_undone_and_promoted_again_by_hand(canary: Served) -> None:
    past = canary.deployment["status"]["promotions"][1]
    assert past["version"] == 1
    canary.ask("undo", past["revision"])
    canary.at(0)
    canary.ask("promote", "1")
    canary.space.until("version 1 serves", lambda: canary.deployment["status"].get("modelVersion") == "steps-1")
    canary.space.says("mdep", "steps", "Available", "True", "9 pods answer")
    # It serves, but not what the spec asks for: the versions that were undone are newer.
    canary.space.says("mdep", "steps", "Stalled", "True", "by hand")
    reasons = {one["version"]: one["reason"] for one in canary.deployment["status"]["candidates"]}
    assert reasons == {2: "Undone", 3: "Aborted"}


def test_no_request_failed(canary: Served) -> None:
    counts = canary.load.stop()
    print(counts)
    assert counts["failures"] == 0, counts["words"]
