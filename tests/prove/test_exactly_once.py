"""Exactly once: as many trainings as causes, while operators are killed, frozen and replaced, and their clock is set.

Two replicas, of which one leads. Each cause is followed by the next of its policy when its run has ended, as people and
the world would; what is not promised (a tick while a run is under way is passed over, say) is not counted on.
"""

import itertools
import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.base import format_time
from perennial.api.meta import ANNOTATION_CAUSE
from perennial.api.resources import MODELDEPLOYMENTS, RETRAINPOLICIES, TRAININGJOBS
from perennial.plan import Body
from tests.apiserver.operators import Perennial
from tests.prove.clock import Clock
from tests.prove.lane import Lane
from tests.prove.report import FULL, Proof, scaled

SEED = 20
POLICIES = scaled(10, 5)
ENDED = ("Promoted", "Rejected", "RolledBack", "Superseded", "Failed", "Replaced")
# A training that fails ends a run without a rollout to wait for; the policy must not mind.
FAILS = ({"seconds": 0.3, "exit": 1},)
NO_LIMIT = {"unpromotedLimit": 1000}
# A minute for a cause to be acted on, and some for the operators that die meanwhile.
PATIENCE = 120.0


class Replicas:
    """A lane with two replicas behind its proxy and a clock of their own, and what is done to them."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.clock = Clock(folder / "clock")
        self.lane = Lane(server, {})
        second = Perennial(
            server,
            f"{self.lane.space.name}-second",
            folder / "config.yaml",
            kubeconfig=self.lane.proxy.kubeconfig,
            namespace=self.lane.space.name,
        )
        (folder / "config.yaml").write_text("{}")
        self.both = (self.lane.operator, second)
        for one in self.both:
            one.environment = self.clock.environment
        self.deeds: Counter[str] = Counter()
        self._over = threading.Event()

    @contextmanager
    def disturbed(self, seed: int) -> Iterator[None]:
        """While it is entered one of the two is killed, ended or frozen every few seconds."""
        thread = threading.Thread(target=self._disturb, args=[random.Random(seed)])
        with self.lane, self.both[1]:
            thread.start()
            try:
                yield
            finally:
                self._over.set()
                thread.join()

    def _disturb(self, chance: random.Random) -> None:
        while not self._over.wait(chance.uniform(2, 7)):
            victim = self.both[chance.randrange(2)]
            deed = chance.choice(("killed", "ended", "frozen"))
            self.deeds[deed] += 1
            if deed == "frozen":
                victim.signal(signal.SIGSTOP)
                # Sometimes longer than its lease lasts.
                self._over.wait(chance.choice((1, 3, 17) if FULL else (1, 3)))
                victim.signal(signal.SIGCONT)
            else:
                victim.signal(signal.SIGKILL if deed == "killed" else signal.SIGTERM)
                victim.exit_code()
                victim.__enter__()
            if victim.ended():
                # One that was frozen for too long gives up its lease and ends, as a container that is started again.
                victim.__enter__()

    def causes(self) -> list[Body]:
        """The causes that TrainingJobs tell of."""
        jobs = self.lane.space.every(TRAININGJOBS)
        return [json.loads(job["metadata"]["annotations"][ANNOTATION_CAUSE]) | _of(job) for job in jobs]

    def over(self, policy: str, runs: int) -> bool:
        """Whether the policy has had so many runs, and the last has ended."""
        found = (self.lane.space.get(RETRAINPOLICIES, policy) or {}).get("status", {}).get("runs") or [{}]
        return found[0].get("number") == runs and found[0]["phase"] in ENDED

    def until(self, what: str, check: Callable[[], object]) -> None:
        self.lane.until(what, check, PATIENCE)

    def made_once(self) -> None:
        """That every TrainingJob and Job was made once, and so its pod."""
        several = {what: count for what, count in self.lane.made().items() if what.startswith("POST") and count > 1}
        assert not several, several
        jobs = Counter(
            write.name
            for write in self.lane.proxy.writes
            if write.request.method == "POST" and write.request.resource == "jobs"
        )
        assert len(jobs) == len(self.lane.space.every(TRAININGJOBS))


def _of(job: Body) -> Body:
    return {"policy": job["metadata"]["labels"]["perennial.dev/retrainpolicy"]}


def _next_tick(clock: Clock, minute: int) -> datetime:
    """The next time that is so many minutes after the half or the full hour."""
    now = clock.now()
    first = now.replace(minute=minute, second=0, microsecond=0)
    return next(tick for half in range(3) if (tick := first + half * timedelta(minutes=30)) > now)


@pytest.fixture
def replicas(played: ApiServer, tmp_path: Path) -> Replicas:
    return Replicas(played, tmp_path)


def _finish(replicas: Replicas, proof: Proof, causes: int) -> None:
    replicas.lane.quiet(3)
    replicas.made_once()
    proof.count("causes", causes)
    for deed, count in replicas.deeds.items():
        proof.count(f"replicas {deed}", count)


@pytest.mark.proof("Exactly once")
def test_each_request_by_hand_is_one_run(replicas: Replicas, proof: Proof) -> None:
    lane, each = replicas.lane, scaled(17, 3)
    chance = random.Random(SEED)

    def ask(number: int) -> None:
        policy = f"asked-{number}"
        for run in range(1, each + 1):
            lane.ask(policy, f"{policy}-{run}")
            if chance.random() < 0.3:
                # The same once more is no other request.
                lane.ask(policy, f"{policy}-{run}")
            replicas.until(f"{policy} has had run {run}", lambda run=run: replicas.over(policy, run))
            if chance.random() < 0.5:
                replicas.clock.step(timedelta(minutes=chance.uniform(-90, 90)))
                proof.count("steps of the clock")

    with replicas.disturbed(SEED):
        lane.deploy()
        for number in range(POLICIES):
            lane.policy(f"asked-{number}", fates=FAILS, **NO_LIMIT)
        with ThreadPoolExecutor(POLICIES) as pool:
            list(pool.map(ask, range(POLICIES)))
    told = Counter(cause["request"] for cause in replicas.causes())
    assert told == {f"asked-{n}-{run}": 1 for n, run in itertools.product(range(POLICIES), range(1, each + 1))}
    _finish(replicas, proof, len(told))


@pytest.mark.proof("Exactly once")
def test_each_tick_is_one_run(replicas: Replicas, proof: Proof) -> None:
    lane, each = replicas.lane, scaled(17, 2)
    chance, clock = random.Random(SEED), replicas.clock
    policies = [f"ticking-{number}" for number in range(POLICIES)]
    ticks = []
    with replicas.disturbed(SEED + 1):
        lane.deploy()
        # A quarter of an hour away from now: none comes of itself before the first step, however long all this takes.
        minute = (clock.now().minute + 15) % 30
        schedule = {"cron": f"{minute},{minute + 30} * * * *"}
        for policy in policies:
            lane.policy(policy, {"name": "tick", "schedule": schedule}, fates=FAILS, **NO_LIMIT)
        for policy in policies:
            replicas.until(
                f"{policy} is seen", lambda policy=policy: lane.space.there(RETRAINPOLICIES, policy).get("status")
            )
        for run in range(1, each + 1):
            tick = _next_tick(clock, minute)
            clock.step(tick - clock.now() + timedelta(seconds=1))
            proof.count("steps of the clock")
            ticks.append(format_time(tick))
            if chance.random() < 0.5:
                # Set back over the tick while it is acted on, or after: what was done is not done again.
                time.sleep(chance.uniform(0, 3))
                clock.step(timedelta(minutes=-chance.uniform(1, 20)))
                time.sleep(chance.uniform(0, 2))
                clock.step(tick - clock.now() + timedelta(seconds=5))
                proof.count("steps of the clock", 2)
            for policy in policies:
                replicas.until(f"{policy} has had run {run}", lambda policy=policy, run=run: replicas.over(policy, run))
    told = Counter((cause["policy"], cause["scheduledTime"]) for cause in replicas.causes())
    assert told == dict.fromkeys(itertools.product(policies, ticks), 1)
    _finish(replicas, proof, len(told))


@pytest.mark.proof("Exactly once")
def test_each_crossing_is_one_run(replicas: Replicas, proof: Proof) -> None:
    lane, each = replicas.lane, scaled(16, 2)
    trigger = {"name": "accuracy", "metric": {"name": "accuracy", "below": 0.9, "minSamples": 10}}

    def fall(number: int) -> None:
        name = f"falling-{number}"
        for run in range(1, each + 1):
            lane.space.measured(name, "accuracy", 0.5)
            replicas.until(f"{name} has had run {run}", lambda run=run: replicas.over(name, run))

    with replicas.disturbed(SEED + 2):
        names = [f"falling-{number}" for number in range(POLICIES)]
        for name in names:
            lane.version(1, model=name)
            lane.deploy(name)
            lane.policy(name, trigger, deployment=name, fates=({"seconds": 0.3},))
        for name in names:
            status = lambda name=name: lane.space.there(MODELDEPLOYMENTS, name).get("status") or {}  # noqa: E731
            replicas.until(f"{name} serves", lambda status=status: status().get("stableRevision"))
        with ThreadPoolExecutor(POLICIES) as pool:
            list(pool.map(fall, range(POLICIES)))
    told = Counter(cause["policy"] for cause in replicas.causes())
    assert told == dict.fromkeys(names, each)
    served = {name: lane.space.there(MODELDEPLOYMENTS, name)["status"]["modelVersion"] for name in names}
    assert served == {name: f"{name}-{each + 1}" for name in names}
    _finish(replicas, proof, sum(told.values()))
