"""A canary behind a gateway: it gets its exact weight with few pods, and no request is lost, whatever happens."""

import hashlib
import json
import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import keyed, operators
from e2e.gateway import CLASS, NAME, NAMESPACE, Gateway
from e2e.lab import Body, Lab
from e2e.load import Load
from e2e.served import RATE, Served, odd_server, share, tried
from e2e.space import Space, serving
from e2e.store import Store

# A gateway takes minutes to be built; one is played on the API server each time.
pytestmark = pytest.mark.full
HOST, INGRESS = "exact.example", "ingress.exact.example"
SAMPLE = 5_000
OURS: Body = {"headers": [{"name": "x-beta", "value": "yes"}]}
GROUP: Body = {"cookie": {"name": "group", "value": "b.1"}}
STEPS: list[Body] = [
    {"setHeaderRoute": {"match": [OURS, GROUP]}},
    {"pause": {}},
    {"setHeaderRoute": {}},
    {"setWeight": 5},
    {"pause": {}},
    {"setWeight": 50},
    {"pause": {}},
]


@pytest.fixture(scope="module")
def canary(lab: Lab, store: Store, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Version 1 serves with two pods behind the gateway, and is asked all the time."""
    space = Space(lab, "e2e-route", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    space.use(store)
    space.apply(tried(store, "exact", 1))
    fields: Body = {
        "route": {"parentRefs": [{"name": NAME, "namespace": NAMESPACE}], "hostnames": [HOST]},
        "ingress": {"className": CLASS, "hosts": [INGRESS]},
        "strategy": {"canary": {"steps": STEPS}},
        "scaleDownDelay": "5s",
    }
    space.apply(serving("exact", replicas=2, template=odd_server(), **fields))
    space.serves("exact", 1)
    space.says("mdep", "exact", "Ready", "True", "2 of 2 replicas ready")
    folder = Path(tmp_path_factory.mktemp("route"))
    # Told of the route, the gateway may take two seconds to go by it.
    space.until("the gateway leads here", lambda: gateway.answers(HOST))
    with Load(lab, folder, gateway.url, rate=RATE, host=HOST) as load:
        yield Served(space, load, "exact")


def come(canary: Served, store: Store, number: int, behaviour: str = "fine") -> None:
    """A version that waits for a person, with a pod that only those ask who are told to."""
    canary.space.apply(tried(store, "exact", number, behaviour))
    canary.at(1)


def test_first_it_gets_only_those_who_carry_something(canary: Served, store: Store, gateway: Gateway) -> None:
    come(canary, store, 2)
    for carried, version in (
        ("x-beta: yes", "2"),
        ("x-beta: no", "1"),
        ("cookie: a=1; group=b.1", "2"),
        ("cookie: group=b.12", "1"),
        ("cookie: group=bx1", "1"),
    ):
        assert {gateway.answered_by(HOST, carried) for _ in range(3)} == {version}, carried
    assert "2" not in canary.load.counts()["versions"]


def test_it_gets_its_weight_and_not_by_its_pods(canary: Served, store: Store, lab: Lab) -> None:
    canary.ask("skip-step", "1")
    canary.at(4)
    operators.replace_leader(lab)
    twentieth = share(canary.space, canary.load, 2, SAMPLE)
    canary.ask("skip-step", "2")
    canary.at(6)
    half = share(canary.space, canary.load, 2, SAMPLE)
    print(f"5% was {twentieth:.2f}%, 50% was {half:.2f}%")
    assert abs(twentieth - 5) < 2
    assert abs(half - 50) < 2
    traffic = canary.deployment["status"]["traffic"]
    assert (traffic["mechanism"], traffic["requestedWeight"], traffic["actualWeight"]) == ("HTTPRoute", 50, 50)
    canary.ask("skip-step", "3")
    canary.space.serves("exact", 2)
    canary.unharmed(2)


def test_while_it_is_shared_pods_go_one_by_one(canary: Served, store: Store) -> None:
    with canary.scenario(3):
        come(canary, store, 3)
        canary.ask("skip-step", "4")
        canary.at(4)
        for pod in canary.space.every("pods", "perennial.dev/model-version=2"):
            canary.space.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
            canary.space.says("mdep", "exact", "Available", "True", "1 pod answers")
            canary.space.says("mdep", "exact", "Available", "True", "2 pods answer")


def test_aborted_it_gets_none_any_more(canary: Served) -> None:
    canary.ask("abort", "1")
    canary.aborted(3)
    assert share(canary.space, canary.load, 3, SAMPLE) == 0


def test_the_stable_one_may_give_up_pods_as_its_share_falls(canary: Served, store: Store) -> None:
    strategy = {"canary": {"steps": STEPS, "stableScale": "MatchTrafficWeight"}}
    canary.space.kubectl("patch", "mdep", "exact", "--type=merge", "-p", json.dumps({"spec": {"strategy": strategy}}))
    come(canary, store, 4)
    canary.ask("skip-step", "4a")
    canary.at(4)
    canary.ask("skip-step", "4b")
    canary.at(6)
    half = canary.space.until("each has half of the pods", lambda: _pods(canary) == [1, 1] and _pods(canary))
    assert half
    assert abs(share(canary.space, canary.load, 4, SAMPLE) - 50) < 2
    canary.ask("abort", "4")
    canary.aborted(4)
    canary.space.until("the stable one has its pods again", lambda: 2 in _pods(canary))
    assert canary.load.counts()["failures"] == 0, canary.load.counts()
    plain = json.dumps({"spec": {"strategy": {"canary": {"steps": STEPS, "stableScale": None}}}})
    canary.space.kubectl("patch", "mdep", "exact", "--type=merge", "-p", plain)


def _pods(canary: Served) -> list[int]:
    return [one["readyReplicas"] for one in canary.deployment["status"]["revisions"] if one["replicas"]]


def test_keys_are_split_and_each_sticks(canary: Served, store: Store, gateway: Gateway, lab: Lab) -> None:
    draw = random.Random(25)
    uuids = [str(uuid.UUID(int=draw.getrandbits(128), version=4)) for _ in range(2000)]
    hashes = [hashlib.sha256(f"user {number}".encode()).hexdigest() for number in range(2000)]
    keys = [*uuids, *hashes, *(f"{draw.getrandbits(64):016X}" for _ in range(1000))]
    no_keys = ["guest", "25-", "0"]
    test = {"abTest": {"hashedKey": {"header": "x-user-hash", "percent": 25}}}
    merged = json.dumps({"spec": {"strategy": {"canary": None, **test}}})
    canary.space.kubectl("patch", "mdep", "exact", "--type=merge", "-p", merged)
    canary.space.apply(tried(store, "exact", 5))
    canary.at(0)
    answers = keyed.answers(lab, gateway.url, HOST, "x-user-hash", [*keys, *no_keys], times=2)
    for key in keys:
        assert answers[key] == ["5" if int(key[-2:], 16) < 64 else "2"] * 2, key
    assert {version for key in no_keys for version in answers[key]} == {"2"}
    quarter = 100 * sum(answers[key][0] == "5" for key in keys) / len(keys)
    print(f"25% of the keys were {quarter:.2f}%")
    assert abs(quarter - 25) < 2
    assert "5" not in canary.load.counts()["versions"], "who has no key stays with the stable revision"
    traffic = canary.deployment["status"]["traffic"]
    assert (traffic["mechanism"], traffic["requestedWeight"], traffic["actualWeight"]) == ("HTTPRoute", 25, 25)
    canary.ask("skip-step", "5")
    canary.space.serves("exact", 5)
    canary.unharmed(5)


def test_an_ingress_leads_there_too(canary: Served, gateway: Gateway) -> None:
    canary.space.until("the ingress leads here", lambda: gateway.answered_by(INGRESS) == "5")


def test_no_request_failed(canary: Served) -> None:
    counts = canary.load.stop()
    print(counts)
    assert counts["failures"] == 0, counts["words"]
