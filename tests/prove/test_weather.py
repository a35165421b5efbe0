"""API weather: one request in five fails, in every way there is, and all ends as it would have in fair weather.

One operator serves all workloads, in a namespace each: first in fair weather, for what is to be expected; then in foul.
"""

import json
import random
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import DEPLOYMENTS, MODELDEPLOYMENTS, MODELVERSIONS, RETRAINPOLICIES, TRAININGJOBS
from perennial.kube import login
from perennial.kube.errors import ApiError
from perennial.plan import Body
from tests.apiserver.operators import Perennial, eventually
from tests.kubelets import KubeletsThread
from tests.prove.compare import differences, state
from tests.prove.crowd import EXPIRED, STORMS, fault
from tests.prove.lane import QUIET, Lane
from tests.prove.proxy import Fault, Faults, Proxy, Refuse, Request
from tests.prove.report import FULL, Proof, scaled
from tests.prove.workloads import WORKLOADS

RATE = 0.2
# Seconds: each sort alone, then all mixed; in full ten minutes together.
ALONE, MIXED = 64.0, scaled(152, 15)
# Seconds until an end is what it is; and that a step may take in a storm. One that shifts requests takes forty there.
PATIENCE, STORM_PATIENCE = 60.0, 300.0
# Watches that are never begun anew would never fail.
CUT_EVERY = 5.0
# Writes of one object: so many in any so many seconds are a loop. A few at once are none.
MOST, WINDOW = 25, 5.0
# These have a configuration of their own, or wait for the clock.
APART = ("a change of the charts configuration", "people are told") + (() if FULL else ("scheduled run",))
PART = (
    "train and succeed",
    "train fail retry fail",
    "suspend and resume",
    "version change",
    "metric trigger",
    "manual approval",
    "a training job deleted half way",
)


class Weather(Faults):
    """Fails so many of all requests, those for the lease too, and counts what is tried of each object."""

    def __init__(self) -> None:
        self.sorts: tuple[str, ...] = ()
        self.failed: Counter[str] = Counter()
        self.most: dict[str, int] = defaultdict(int)
        self._tried: dict[str, deque[float]] = defaultdict(deque)

    def request(self, request: Request) -> Fault | None:
        if request.writes:
            self._count(f"{request.namespace}/{request.resource}/{request.name or request.makes}")
        if not self.sorts or random.random() >= RATE:
            return None
        sort = random.choice(self.sorts)
        self.failed[sort] += 1
        return fault(sort)

    def event(self, request: Request, event: Body) -> Iterable[tuple[float, Body]]:
        # What a server says in the middle of a watch whose version it has forgotten.
        expires = "410" in self.sorts and random.random() < RATE / 10
        return ((0.0, EXPIRED if expires else event),)

    def _count(self, about: str) -> None:
        now, tried = time.monotonic(), self._tried[about]
        tried.append(now)
        while tried[0] <= now - WINDOW:
            tried.popleft()
        self.most[about] = max(self.most[about], len(tried))


class Guest(Lane):
    """A lane whose operator serves others too, and is never restarted."""

    def __init__(self, server: ApiServer, proxy: Proxy, operator: Perennial) -> None:
        super().__init__(server, {}, patience=STORM_PATIENCE)
        self.proxy, self.operator = proxy, operator

    def writes(self) -> int:
        """How often the operator wrote here."""
        return sum(write.request.namespace == self.space.name for write in list(self.proxy.writes))

    def quiet(self, seconds: float = QUIET, within: float = 60.0) -> None:
        deadline = time.monotonic() + within
        count, since = self.writes(), time.monotonic()
        while time.monotonic() - since < seconds:
            assert time.monotonic() < deadline, f"{self.space.name}: still writing"
            time.sleep(0.2)
            if (now := self.writes()) != count:
                count, since = now, time.monotonic()


class Everywhere:
    """One operator, the weather around it, and lanes for whoever plays."""

    def __init__(self, server: ApiServer, config: Path) -> None:
        self.weather = Weather()
        self.proxy = Proxy(server, "weather", self.weather)
        self.operator = Perennial(server, "weather", config, kubeconfig=self.proxy.kubeconfig)
        self._server = server

    def lane(self) -> Guest:
        return Guest(self._server, self.proxy, self.operator)

    @contextmanager
    def running(self) -> Iterator[None]:
        with KubeletsThread(login.load(str(self._server.kubeconfig))), self.proxy, self.operator:
            self.operator.started()
            yield

    def play(self, name: str) -> dict[str, Body]:
        """The end of a workload."""
        lane = self._played(name)
        lane.quiet()
        return state(lane.space)

    def unlike(self, name: str, expected: dict[str, Body]) -> list[str]:
        """How a workload ended otherwise than expected. In a storm it is quiet while all wait for another try, too."""
        lane = self._played(name)
        deadline = time.monotonic() + PATIENCE
        while (lines := differences(expected, state(lane.space))) and time.monotonic() < deadline:
            time.sleep(1)
        return lines

    def _played(self, name: str) -> Guest:
        lane = self.lane()
        WORKLOADS[name](lane)
        return lane

    def blow(self, sorts: tuple[str, ...], seconds: float) -> None:
        """Have this weather for so long."""
        self.weather.sorts = sorts
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(CUT_EVERY, max(0.0, end - time.monotonic())))
            self.proxy.cut()


def trains_once_for_each_word(lane: Guest, over: threading.Event) -> int:
    """One request after the other, while others edit the same objects: how many there were, all of them kept."""
    lane.version(1)
    lane.deploy()
    lane.policy("one", fates=({"seconds": 0.5},))
    lane.serves(1)
    asked = 0
    while not over.is_set():
        asked += 1
        lane.ask("one", f"word-{asked}")
        lane.space.patch(MODELDEPLOYMENTS, "churn", {"spec": {"replicas": 1 + asked % 3}})

        def promoted(word: str = f"word-{asked}") -> bool:
            runs = (lane.space.there(RETRAINPOLICIES, "one").get("status") or {}).get("runs") or ()
            return any((run["cause"].get("request"), run["phase"]) == (word, "Promoted") for run in runs)

        lane.until(f"word {asked} is dealt with", promoted, 120)
    lane.serves(1 + asked)
    runs = lane.space.every(TRAININGJOBS)
    assert [one["status"]["phase"] for one in runs] == ["Succeeded"] * asked
    assert {one["spec"]["version"] for one in lane.space.every(MODELVERSIONS)} == set(range(1, asked + 2))
    assert sum(one["spec"]["replicas"] for one in lane.space.every(DEPLOYMENTS)) == 1 + asked % 3
    return asked


def counts(lane: Guest, over: threading.Event) -> int:
    """Somebody counts on an annotation of an object that the operator writes, by compare and swap: none is lost."""
    lane.train("run", {"exit": -1})
    lane.phase("run", "Running")
    done = 0
    while not over.is_set():
        body = lane.space.there(TRAININGJOBS, "run")
        annotations = {"tests.perennial.dev/count": str(done + 1)}
        version = {"resourceVersion": body["metadata"]["resourceVersion"], "annotations": annotations}
        seen = (body["metadata"].get("annotations") or {}).get("tests.perennial.dev/count", "0")
        assert seen == str(done), f"somebody's update {done} was lost: {seen}"
        suspend = {"suspend": done % 8 >= 4}
        try:
            lane.space.patch(TRAININGJOBS, "run", {"metadata": version, "spec": suspend})
        except OSError:
            continue
        done += 1
        time.sleep(0.25)
    lane.space.edit("run", suspend=True)
    lane.phase("run", "Suspended")
    return done


# A lease is a matter of seconds: what is slow shall be the weather alone.
@pytest.mark.alone
@pytest.mark.proof("API weather")
def test_in_foul_weather_all_ends_as_in_fair(busy: ApiServer, config: Path, proof: Proof) -> None:
    names = [name for name in WORKLOADS if name not in APART] if FULL else list(PART)
    everywhere = Everywhere(busy, config)
    wrong: list[str] = []
    over, played, lock = threading.Event(), Counter[str](), threading.Lock()
    slowest = 0.0

    def again_and_again(name: str) -> None:
        nonlocal slowest
        while True:
            started = time.monotonic()
            try:
                lines = everywhere.unlike(name, fair[name])
            except (AssertionError, ApiError) as error:
                lines = [str(error)]
            with lock:
                played[name] += 1
                slowest = max(slowest, time.monotonic() - started)
                if lines:
                    wrong.append(f"{name}, in {everywhere.weather.sorts}:\n  " + "\n  ".join(lines[:20]))
            if over.is_set():
                return

    with everywhere.running(), ThreadPoolExecutor(len(names) + 2) as pool:
        fair = dict(zip(names, pool.map(everywhere.play, names), strict=True))
        assert everywhere.operator.process
        pid = everywhere.operator.process.pid
        everywhere.weather.sorts = STORMS
        playing = [pool.submit(again_and_again, name) for name in names]
        words = pool.submit(trains_once_for_each_word, everywhere.lane(), over)
        counted = pool.submit(counts, everywhere.lane(), over)
        began = time.monotonic()
        try:
            for sort in STORMS if FULL else ():
                everywhere.blow((sort,), ALONE)
            everywhere.blow(STORMS, MIXED)
        finally:
            over.set()
            everywhere.weather.sorts = STORMS
        # What is under way ends in the same weather.
        while not (words.done() and counted.done() and all(one.done() for one in playing)):
            everywhere.blow(STORMS, CUT_EVERY)
        foul = time.monotonic() - began
        everywhere.weather.sorts = ()
        said = "".join(everywhere.operator.log.read_text().splitlines(keepends=True)[-60:])
        assert (everywhere.operator.process.pid, everywhere.operator.process.poll()) == (pid, None), said
    for one in playing:
        one.result()
    proof.count("s of weather", round(foul))
    for sort in STORMS:
        proof.count(f"requests failed by {sort}", everywhere.weather.failed[sort])
    proof.count("workloads", played.total())
    proof.count("s for the slowest of them", round(slowest))
    proof.count("trainings asked for", words.result())
    proof.count("updates kept", counted.result())
    most = max(everywhere.weather.most.values())
    proof.count(f"writes of one object in {WINDOW:g} s at most", most)
    print(json.dumps(proof.counts))
    hot = {about: number for about, number in everywhere.weather.most.items() if number >= MOST}
    assert not wrong, f"{len(wrong)} of {played.total()}:\n" + "\n".join(wrong)
    assert not hot, f"written {MOST} times and more in {WINDOW:g} s: {hot}"


class Refusing(Faults):
    """Every LIST and watch is answered with a status that nobody expects, or breaks off with an error in it."""

    def __init__(self) -> None:
        self.status = 0
        self.broken = False

    def request(self, request: Request) -> Fault | None:
        return Refuse(self.status) if self.status and (request.watches or request.lists) else None

    def event(self, request: Request, event: Body) -> Iterable[tuple[float, Body]]:
        error = {"kind": "Status", "code": 500, "reason": "InternalError", "message": "etcdserver: leader changed"}
        return ((0.0, {"type": "ERROR", "object": error} if self.broken else event),)


@pytest.mark.proof("API weather")
def test_no_answer_to_a_watch_ends_it_for_good(busy: ApiServer, proof: Proof) -> None:
    faults = Refusing()
    kubelets = KubeletsThread(login.load(str(busy.kubeconfig)))
    with kubelets, Lane(busy, {}, faults) as lane:
        lane.operator.started()
        for number, status in enumerate((400, 404, 409, 410, 422, 0)):
            faults.status, faults.broken = status, not status
            lane.proxy.cut()
            lane.train(f"refused-{number}", {"seconds": 0.1})
            time.sleep(1.5)
            faults.status, faults.broken = 0, False
            # Sooner than the LIST that looks whether the watches tell all.
            lane.train(f"told-{number}", {"seconds": 0.1})
            eventually(lambda name=f"told-{number}": lane.space.status(name).get("phase") == "Succeeded", 15)  # type: ignore[misc]
            proof.count("answers to watches")
        assert lane.operator.process
        assert lane.operator.process.poll() is None
