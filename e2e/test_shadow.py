"""A shadow behind a gateway: it gets a copy of each request, and what it does wrong harms nobody."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.gateway import NAME, NAMESPACE, Gateway, is_routed, route
from e2e.lab import Body, Lab
from e2e.load import Load
from e2e.mirroring import NAMESPACE as MIRRORING
from e2e.mirroring import Mirroring
from e2e.served import ENOUGH, RATE, Served, odd_server, tried
from e2e.space import Space, serving
from e2e.store import Store
from e2e.test_analysis import ERRORS, FAST

# Gateways take minutes to be built; one is played on the API server each time.
pytestmark = pytest.mark.full
HOST, ELSEWHERE = "shadow.example", "elsewhere.example"
# Requests per second: each is answered twice.
COPIED = RATE // 2
STRATEGY: Body = {"shadow": {"duration": "150s", "analysis": {"interval": "5s", "metrics": [ERRORS, FAST]}}}


@pytest.fixture(scope="module")
def shadow(lab: Lab, store: Store, mirroring: Mirroring, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Version 1 serves with two pods behind a gateway that copies requests, and is asked all the time."""
    space = Space(lab, "e2e-shadow", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    space.use(store)
    space.apply(tried(store, "copied", 1))
    way = {"parentRefs": [{"name": NAME, "namespace": MIRRORING}], "hostnames": [HOST]}
    fields: Body = {"route": way, "strategy": STRATEGY, "scaleDownDelay": "5s"}
    space.apply(serving("copied", replicas=2, template=odd_server(), **fields))
    space.serves("copied", 1)
    space.says("mdep", "copied", "Ready", "True", "2 of 2 replicas ready")
    space.until("the gateway leads here", lambda: mirroring.answers(HOST))
    folder = Path(tmp_path_factory.mktemp("shadow"))
    with Load(lab, folder, mirroring.url, rate=COPIED, host=HOST) as load:
        yield Served(space, load, "copied")


def asked(lab: Lab, space: Space, number: int) -> int:
    """How many requests the pods of a version have counted."""
    total = 0
    for pod in space.every("pods", f"perennial.dev/model-version={number}"):
        url = f"http://{pod['status']['podIP']}:8080/metrics"
        page = lab.run(*lab.cluster.exec_command(["curl", "--silent", "--fail", url]), check=False).stdout
        total += sum(int(line.split()[1]) for line in page.splitlines() if line.startswith("requests_total"))
    return total


def test_it_gets_a_copy_of_every_request_and_nobody_its_answers(shadow: Served, store: Store, lab: Lab) -> None:
    shadow.space.apply(tried(store, "copied", 2))
    shadow.at(0)
    traffic = shadow.deployment["status"]["traffic"]
    assert (traffic["mechanism"], traffic["previewMirrored"], traffic["actualWeight"]) == ("RequestMirror", 100, 0)
    began, before = shadow.load.sent(), [asked(lab, shadow.space, number) for number in (1, 2)]
    shadow.space.until("enough requests were sent", lambda: shadow.load.sent() - began >= ENOUGH, 300)
    answered, copied = (asked(lab, shadow.space, number) - before[number - 1] for number in (1, 2))
    print(f"{copied} of {answered} requests were copied")
    assert abs(copied / answered - 1) < 0.02
    shadow.unharmed(1)
    assert shadow.deployment["status"]["rollout"]["step"] == 0


def test_it_takes_over_when_its_analysis_passes(shadow: Served, lab: Lab) -> None:
    shadow.space.serves("copied", 2)
    shadow.unharmed(2)


@pytest.mark.parametrize(
    ("number", "behaviour", "words"),
    [(3, "errs 5", "at most 0.01 worse is asked for"), (4, "slow 150", "fast 0, at least 0.9 is asked for")],
)
def test_what_it_does_wrong_harms_nobody(
    shadow: Served, store: Store, lab: Lab, number: int, behaviour: str, words: str
) -> None:
    began = shadow.load.sent()
    shadow.space.apply(tried(store, "copied", number, behaviour))
    shadow.at(0)
    shadow.space.until("it is asked", lambda: asked(lab, shadow.space, number) > 0)
    assert words in shadow.vetoed(number)["message"]
    shadow.space.until(
        "its pods are gone", lambda: not shadow.space.every("pods", f"perennial.dev/model-version={number}")
    )
    print(f"version {number} went after {shadow.load.sent() - began} requests")
    shadow.unharmed(2)


def test_no_request_failed(shadow: Served) -> None:
    counts = shadow.load.stop()
    print(counts)
    assert counts["failures"] == 0, counts["words"]
    assert set(counts["versions"]) == {"1", "2"}


def test_a_gateway_that_does_not_copy_is_not_told_to(shadow: Served, store: Store, gateway: Gateway) -> None:
    space = shadow.space
    space.apply(tried(store, "kept", 1))
    way = {"parentRefs": [{"name": NAME, "namespace": NAMESPACE}], "hostnames": [ELSEWHERE]}
    space.apply(serving("kept", replicas=1, template=odd_server(), route=way, strategy={"shadow": {}}))
    space.serves("kept", 1)
    space.until("the gateway leads here", lambda: gateway.answers(ELSEWHERE))
    space.apply(tried(store, "kept", 2))
    space.says("mdep", "kept", "Stalled", "True", "is not known to copy requests")
    assert gateway.answered_by(ELSEWHERE) == "1"


def test_since_it_would_answer_nobody_any_more(shadow: Served, gateway: Gateway) -> None:
    host = "broken.example"
    copies = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "kept-preview", "port": 80}}}
    shadow.space.apply(route("broken", host, {"kept": 1}))
    shadow.space.until("the gateway leads here", lambda: gateway.answers(host))
    shadow.space.apply(route("broken", host, {"kept": 1}, filters=[copies]))
    shadow.space.until("the route is taken", lambda: is_routed(shadow.space.get("httproute", "broken")))
    shadow.space.until("and nobody is answered", lambda: not gateway.answers(host))
