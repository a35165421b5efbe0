"""A canary, step by step, and what people do about it by hand."""

from typing import Any

import pytest

from perennial.api.meta import (
    ANNOTATION_ABORT,
    ANNOTATION_PROMOTE,
    ANNOTATION_RETRY,
    ANNOTATION_SKIP_STEP,
    ANNOTATION_UNDO,
)
from perennial.plan import Body
from tests.unit.modeldeployment.play import ask, at, passes, reasons, rolling
from tests.unit.modeldeployment.world import World, a_version, exited

QUARTER: list[Body] = [{"setWeight": 25}, {"pause": {"duration": "5m"}}, {"setWeight": 50}, {"pause": {}}]
CRASHING = exited(1, restarts=3)


def canary(*steps: Body, **more: Any) -> Body:
    return {"canary": {"steps": [*steps] or QUARTER, **more}}


def test_the_first_version_needs_no_steps() -> None:
    world = World(a_version(1), replicas=3, strategy=canary())
    world.settle()
    assert world.serves == 1
    assert "StepDone" not in reasons(world)


def test_step_by_step() -> None:
    world = rolling(canary())
    old, new = world.stable, world.rolling
    assert new is not None
    assert world.replicas() == {old: 3, new: 1}
    assert at(world) == (2, 25)
    assert world.status["traffic"]["mechanism"] == "ReplicaRatio"
    assert world.status["traffic"]["requestedWeight"] == 25
    assert "step 2 of 5, pause 5m: gets 25% of the requests, until " in world.message("Ready")
    passes(world, 300)
    assert world.replicas() == {old: 2, new: 2}
    assert at(world) == (4, 50)
    assert "until a person goes on: kubectl annotate" in world.message("Progressing")
    passes(world, 3600)
    assert at(world) == (4, 50), "longer than the progress deadline, and no failure"
    ask(world, ANNOTATION_SKIP_STEP)
    assert world.serves == 2
    assert world.pinned == new
    assert reasons(world)[2:] == [
        "RolloutStarted", "StepDone", "StepDone", "StepDone", "StepSkipped", "Promoted",
    ]  # fmt: skip


def test_who_waits_for_ready_need_not_wait_for_the_promotion() -> None:
    world = World(a_version(1), replicas=3, strategy=canary(), readyWhen="CanaryServing")
    world.settle()
    world.put(a_version(2))
    world.reconcile()
    world.reconcile()
    assert world.condition("Ready") == ("False", "RollingOut")
    ready = set()
    for _ in range(20):
        passes(world, 2)
        ready.add(world.condition("Ready"))
    assert ready == {("True", "CanaryServing")}
    assert world.condition("Reconciling") is None
    ask(world, ANNOTATION_ABORT)
    assert world.condition("Ready") == ("False", "Aborted")


def test_the_time_of_a_step_begins_when_every_node_knows_of_it() -> None:
    world = World(a_version(1), replicas=3, strategy=canary({"setWeight": 25}, {"pause": {"duration": "30s"}}))
    world.settle()
    world.put(a_version(2))
    for _ in range(3):
        world.reconcile()
        world.controller()
    world.pass_time(300)
    world.make_ready(world.rolling or "")
    world.controller()
    world.reconcile()
    world.reconcile()
    world.pass_time(9)
    world.reconcile()
    assert world.pinned is None
    assert "stepTime" not in world.status["rollout"]
    world.pass_time(1)
    world.reconcile()
    assert at(world) == (2, 25)
    plan = world.reconcile()
    assert plan.requeue_after == 30


def test_asked_for_twice_with_one_value_is_once() -> None:
    world = rolling(canary({"setWeight": 25}, {"pause": {}}, {"pause": {}}))
    ask(world, ANNOTATION_SKIP_STEP, "a")
    assert at(world) == (3, 25)
    passes(world, 100)
    assert at(world) == (3, 25)
    ask(world, ANNOTATION_SKIP_STEP, "b")
    assert world.serves == 2


def test_asked_for_with_nothing_under_way_is_told_and_forgotten() -> None:
    world = rolling(canary())
    for annotation in (ANNOTATION_PROMOTE, ANNOTATION_SKIP_STEP, ANNOTATION_ABORT):
        fresh = World(a_version(1), strategy=canary())
        fresh.settle()
        ask(fresh, annotation)
        assert reasons(fresh)[-1] == "NothingRolledOut"
        fresh.put(a_version(2))
        passes(fresh)
        assert fresh.rolling
    assert at(world) == (2, 25)


def test_before_the_first_weight_a_pod_waits_without_requests() -> None:
    world = rolling(canary({"pause": {}}, {"setWeight": 50}))
    assert world.replicas() == {world.stable: 3, world.rolling: 1}
    assert world.pinned == world.stable
    assert at(world) == (1, 0)


def test_less_than_before() -> None:
    world = rolling(canary({"setWeight": 75}, {"setWeight": 25}, {"pause": {}}))
    assert at(world) == (3, 25)
    assert world.replicas() == {world.stable: 3, world.rolling: 1}


def test_all_requests_with_the_old_one_kept_while_it_bakes() -> None:
    world = rolling(canary({"setWeight": 50}, bakeTime="10m"), maxSurge="100%")
    old, new = world.stable, world.rolling
    assert new is not None
    assert at(world) == (2, 100)
    assert world.pinned == new
    assert world.replicas() == {old: 2, new: 3}
    world.break_pods(new, CRASHING)
    passes(world)
    assert world.pinned == old
    assert world.condition("Stalled") == ("True", "RolloutFailed")
    assert world.replicas() == {old: 3}


def test_rolled_back_from_all_requests_it_serves_on_until_the_old_one_is_whole() -> None:
    world = rolling(canary({"setWeight": 50}, bakeTime="10m"))
    old, new = world.stable, world.rolling
    assert new is not None
    assert world.replicas() == {old: 1, new: 3}
    world.annotate(ANNOTATION_ABORT, "1")
    for _ in range(4):
        world.reconcile()
    assert world.pinned is None
    assert world.replicas() == {old: 1, new: 3}, "no room for more, and none to take away"
    passes(world, 120)
    assert world.pinned == old
    assert world.replicas() == {old: 3}


def test_a_canary_that_crashes_is_rolled_back_at_once() -> None:
    world = rolling(canary())
    old, new = world.stable, world.rolling
    assert new is not None
    world.break_pods(new, CRASHING)
    passes(world)
    assert world.rolling is None
    assert world.pinned == old
    assert world.candidate(2)["state"] == "Vetoed"


def test_a_pod_that_is_lost_in_a_pause_has_time_to_come_back() -> None:
    world = rolling(canary(), progressDeadlineSeconds=60)
    passes(world, 120)
    new = world.rolling
    assert new is not None
    for pod in world.pods(new):
        pod["status"] = {}
    passes(world, 50, ready=False)
    assert world.rolling == new
    passes(world, 30, ready=False)
    assert world.rolling is None
    assert world.candidate(2)["reason"] == "ProgressDeadlineExceeded"


@pytest.mark.parametrize(
    ("step", "spec", "words"),
    [
        ({"setWeight": 10}, {}, "the nearest is 25% (1 of 4), further off than maxWeightError"),
        ({"setWeight": 50}, {"replicas": 1, "maxSurge": 0, "maxUnavailable": 1}, "there is no room for a pod of each"),
    ],
)
def test_a_weight_that_cannot_be_had(step: Body, spec: Body, words: str) -> None:
    world = rolling(canary(step, maxWeightError=5), **spec)
    passes(world, 3600)
    assert words in world.message("Ready")
    assert world.condition("Stalled") == ("True", "WeightNotPossible")
    assert world.rolling
    world.change(maxSurge=7, replicas=3)
    passes(world, 100)
    assert world.serves == 2


def test_promoted_by_hand_without_its_steps() -> None:
    world = rolling(canary({"setWeight": 25}, {"pause": {}}, bakeTime="10m"))
    ask(world, ANNOTATION_PROMOTE)
    assert world.serves == 2
    world.put(a_version(3))
    passes(world)
    assert at(world) == (2, 25), "the same value asks for no more"


def test_aborted_by_hand_and_tried_again() -> None:
    world = rolling(canary())
    ask(world, ANNOTATION_ABORT)
    assert world.rolling is None
    assert world.condition("Stalled") == ("True", "Aborted")
    assert world.message("Ready").startswith("version 2 was aborted by hand. ")
    assert world.replicas() == {world.stable: 3}
    ask(world, ANNOTATION_RETRY)
    assert at(world) == (2, 25)


def test_undone_to_a_revision_that_served_before() -> None:
    world = World(a_version(1), strategy=canary(), rollbackWindow={"revisions": 3})
    world.settle()
    first = world.stable
    for number in (2, 3):
        world.put(a_version(number))
        passes(world)
        ask(world, ANNOTATION_PROMOTE, f"{number}")
    assert world.serves == 3
    ask(world, ANNOTATION_UNDO, "churn-unknown 1")
    assert reasons(world)[-1] == "NothingToUndo"
    assert first in world.events[-1].message
    ask(world, ANNOTATION_UNDO, f"{first} 2")
    assert (world.serves, world.stable) == (1, first), "and without steps: it served not long ago"
    assert {world.candidate(number)["reason"] for number in (2, 3)} == {"Undone"}
    assert world.condition("Stalled") == ("True", "Undone")
    world.put(a_version(4))
    passes(world)
    assert world.status["rollout"]["version"] == 4, "the next version is rolled out"


def test_without_a_window_the_way_back_has_its_steps() -> None:
    world = rolling(canary())
    ask(world, ANNOTATION_PROMOTE)
    world.judge(2, "Rejected")
    passes(world)
    assert at(world) == (2, 25)
    assert world.status["rollout"]["version"] == 1


def test_a_stable_one_that_does_not_work_is_not_kept() -> None:
    world = rolling(canary())
    world.break_pods(world.stable, CRASHING)
    passes(world)
    assert world.serves == 2
    assert "StepsSkipped" in reasons(world)


def test_one_that_fails_to_start_anew_for_a_moment_is() -> None:
    world = rolling(canary())
    for pod in world.pods(world.stable):
        pod["status"] = {}
    passes(world, ready=False)
    assert world.status["rollout"]["step"] == 1
    assert world.serves == 1


def test_paused_it_stays_as_it_is() -> None:
    world = World(a_version(1), replicas=3, strategy=canary({"setWeight": 25}, {"pause": {"duration": "60s"}}))
    world.settle()
    world.change(paused=True)
    world.put(a_version(2))
    passes(world, 60)
    assert world.rolling is None
    assert world.candidate(2)["reason"] == "Paused"
    world.change(paused=False)
    passes(world)
    assert at(world) == (2, 25)
    world.change(paused=True)
    passes(world, 3600)
    assert at(world) == (2, 25)
    assert "paused by spec.paused" in world.message("Ready")
    world.change(paused=False)
    passes(world)
    assert world.serves == 2


def test_another_strategy_begins_with_its_first_step() -> None:
    world = rolling(canary())
    world.change(strategy=canary({"setWeight": 50}, {"pause": {}}))
    passes(world)
    assert at(world) == (2, 50)
    assert "StrategyChanged" in reasons(world)
    world.change(strategy={"rollingUpdate": {}})
    passes(world)
    assert world.serves == 2


def test_a_newer_version_takes_its_place_and_begins_from_the_stable_one() -> None:
    world = rolling(canary({"pause": {"duration": "60s"}}, {"setWeight": 50}, {"pause": {}}))
    passes(world, 60)
    assert at(world) == (3, 50)
    world.put(a_version(3))
    passes(world)
    assert world.status["rollout"]["version"] == 3
    assert at(world) == (1, 0)
    assert world.pinned == world.stable
    assert world.replicas() == {world.stable: 3, world.rolling: 1}


def test_held_back_while_it_grows_it_has_its_time_again_afterwards() -> None:
    world = World(a_version(1), replicas=3, progressDeadlineSeconds=60)
    world.settle()
    world.put(a_version(2))
    passes(world, 10, ready=False)
    world.change(paused=True)
    passes(world, 3600, ready=False)
    assert world.status["rollout"]["held"] == "Paused"
    world.change(paused=False)
    passes(world, 50, ready=False)
    assert world.rolling
    passes(world)
    assert world.serves == 2
