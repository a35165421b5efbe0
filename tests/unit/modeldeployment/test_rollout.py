"""The ratio of old to new replicas, whatever pods, people and operators do."""

from dataclasses import dataclass
from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.api.meta import (
    ANNOTATION_ABORT,
    ANNOTATION_PROMOTE,
    ANNOTATION_RETRY,
    ANNOTATION_SKIP_STEP,
    ANNOTATION_UNDO,
)
from perennial.strategies.step import Limits
from tests.unit.modeldeployment.world import Body, World, a_version, exited, is_ready


@dataclass(frozen=True)
class Moves:
    """What happens, one after the other."""

    replicas: int
    surge: int
    unavailable: int
    strategy: int
    steps: list[tuple[str, int]]


MOVES = ("pass", "time", "ready", "new version", "break rollout", "break stable", "reject", "die", "retemplate")
BY_HAND = {
    "skip a step": ANNOTATION_SKIP_STEP,
    "promote": ANNOTATION_PROMOTE,
    "abort": ANNOTATION_ABORT,
    "retry": ANNOTATION_RETRY,
}
STRATEGIES: list[Body] = [
    {"rollingUpdate": {}},
    {"canary": {"steps": [{"setWeight": 10}, {"pause": {"duration": "7s"}}, {"setWeight": 60}]}},
    {"canary": {"steps": [{"pause": {}}, {"setWeight": 50}, {"setWeight": 20}], "bakeTime": "5s"}},
    {"canary": {"steps": [{"setWeight": 100}, {"pause": {"duration": "7s"}}, {"setWeight": 30}]}},
    {"blueGreen": {}},
    {"blueGreen": {"autoPromotionEnabled": False, "previewReplicas": 1}},
]


@st.composite
def moves(draw: st.DrawFn) -> Moves:
    surge, unavailable = draw(st.sampled_from([(1, 0), (0, 1), (1, 1), (2, 0), (5, 0), (0, 2)]))
    what = st.sampled_from([*MOVES, *BY_HAND, "undo", "pause", "change strategy"])
    steps = draw(st.lists(st.tuples(what, st.integers(0, 12)), max_size=40))
    return Moves(draw(st.integers(1, 5)), surge, unavailable, draw(st.integers(0, len(STRATEGIES) - 1)), steps)


class Watched:
    """A world in which every pass is held against what must never happen."""

    def __init__(self, plan: Moves) -> None:
        self.world = World(
            a_version(1),
            replicas=plan.replicas,
            maxSurge=plan.surge,
            maxUnavailable=plan.unavailable,
            scaleDownDelay="15s",
            progressDeadlineSeconds=120,
            strategy=STRATEGIES[plan.strategy],
        )
        self.world.settle()
        self.limits = Limits.of(plan.replicas, plan.surge, plan.unavailable)
        # One that changes may leave what needed more room.
        asked = {plan.strategy, *(number % len(STRATEGIES) for what, number in plan.steps if what == "change strategy")}
        doubled = any("blueGreen" in STRATEGIES[one] for one in asked)
        self.most = max(self.limits.most, 2 * plan.replicas) if doubled else self.limits.most
        self.version = 1
        self.asked = 0
        self.reached: dict[str, datetime] = {}

    def revisions(self) -> list[str]:
        return list(self.world.replicas())

    def ready(self, revision: str) -> int:
        return sum(map(is_ready, self.world.pods(revision)))

    def selected(self) -> list[str]:
        return [self.world.pinned] if self.world.pinned else self.revisions()

    def serving(self) -> int:
        return sum(map(self.ready, self.selected()))

    def known(self) -> int:
        """Ready pods of revisions that have been selected for as long as a change needs to reach every node."""
        return sum(
            self.ready(name)
            for name in self.selected()
            if name in self.reached and (self.world.now - self.reached[name]).total_seconds() >= 9
        )

    def note(self) -> None:
        selected = [name for name in self.selected() if self.ready(name)]
        self.reached = {name: self.reached.get(name, self.world.now) for name in selected}

    def reconcile(self, dies_after: int | None = None) -> None:
        self.note()
        serving, known = self.serving(), self.known()
        self.world.reconcile(dies_after=dies_after)
        self.note()
        pinned_away = self.known() < min(known, 1)
        self.world.controller()
        self.note()
        assert self.serving() >= min(serving, self.limits.needed), "too few are left that serve"
        if self.limits.needed and not pinned_away:
            assert self.known() >= min(known, 1), "nobody is left that every node knows"
        total = sum(max(wanted, len(self.world.pods(name))) for name, wanted in self.world.replicas().items())
        assert total <= self.most, "too many pods"

    def move(self, what: str, number: int) -> None:
        world = self.world
        match what:
            case "time":
                world.pass_time(number)
            case "ready":
                for name in self.revisions():
                    if not any(pod["status"].get("broken") for pod in world.pods(name)):
                        world.make_ready(name, number)
                world.controller()
            case "new version":
                self.version += 1
                world.put(a_version(self.version))
            case "break rollout" if world.rolling:
                pods = world.pods(world.rolling)
                for pod in pods[number % 3 :]:
                    pod["status"] = exited(78 if number % 2 else 1, restarts=number)
                world.controller()
            case "break stable":
                for pod in world.pods(world.stable):
                    pod["status"] = exited(1, restarts=number)
                world.controller()
            case "pause":
                world.change(paused=bool(number % 2))
            case "change strategy":
                world.change(strategy=STRATEGIES[number % len(STRATEGIES)])
            case "undo":
                past = world.status["promotions"]
                world.annotate(ANNOTATION_UNDO, f"{past[number % len(past)]['revision']} {self.asked}")
                self.asked += 1
            case by_hand if by_hand in BY_HAND:
                self.asked += 1
                world.annotate(BY_HAND[by_hand], str(self.asked))
            case "reject" if self.version > 1:
                world.judge(1 + number % self.version, "Rejected" if number % 3 else None)
            case "retemplate":
                world.change(template={"metadata": {"annotations": {"n": str(number % 3)}}})
        self.reconcile(dies_after=number % 3 if what == "die" else None)


@settings(max_examples=60)
@given(moves())
def test_whatever_happens_enough_pods_serve_and_it_ends_well(plan: Moves) -> None:
    watched = Watched(plan)
    watched.world.pass_time(60)
    for what, number in plan.steps:
        watched.move(what, number)
    world = watched.world
    world.change(paused=False)
    # A stable revision that does not come right again never ends well.
    world.break_pods(world.stable, {})
    for turn in range(120):
        if world.rolling and turn % 10 == 0:
            # Where there is no room for one pod of each, or a pause without an end.
            world.annotate(ANNOTATION_SKIP_STEP, f"end {turn}")
        for name in watched.revisions():
            if not any(pod["status"].get("broken") for pod in world.pods(name)):
                world.make_ready(name)
        world.controller()
        watched.reconcile()
        world.pass_time(3)
    stable = world.stable
    assert world.pinned == stable
    assert {name: wanted for name, wanted in world.replicas().items() if wanted} == {stable: plan.replicas}
    assert world.rolling is None
    writes, statuses = len(world.writes), world.status_writes
    world.reconcile()
    assert (len(world.writes), world.status_writes) == (writes, statuses), "at rest nothing is written"
