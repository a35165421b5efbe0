"""While a gateway shares the requests, the new revision has an autoscaler of its own, and the stable one a floor."""

import pytest

from perennial.api.meta import ANNOTATION_ABORT, ANNOTATION_SKIP_STEP, LABEL_REVISION
from perennial.api.resources import DEPLOYMENTS, HORIZONTALPODAUTOSCALERS
from perennial.plan import Apply, Body, Patch
from tests.unit.modeldeployment.play import ask, at, passes
from tests.unit.modeldeployment.test_route import FRUGAL, PREVIEW, rolling
from tests.unit.modeldeployment.world import NAME, World, a_version

MOST = 9
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
QUEUE = {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": "1"}}}
AUTOSCALING: Body = {"minReplicas": 2, "maxReplicas": MOST, "metrics": [CPU, QUEUE]}


def autoscaler(world: World, name: str) -> Body | None:
    found = world.objects.get((HORIZONTALPODAUTOSCALERS, name))
    return found["spec"] if found else None


def bounds(world: World, name: str) -> tuple[int, int] | None:
    found = autoscaler(world, name)
    return (found["minReplicas"], found["maxReplicas"]) if found else None


def measured(world: World) -> str:
    """The revision whose pods the deployment's autoscaler measures."""
    selector: str = world.status["selector"]
    return selector.partition(f"{LABEL_REVISION}=")[2]


def written(world: World, revision: str) -> list[int]:
    """What the operator wrote of a revision's number of pods since it was made."""
    return [
        write.patch["spec"]["replicas"]
        for write in world.writes
        if isinstance(write, Patch) and (write.resource, write.name) == (DEPLOYMENTS, revision)
    ]


def halfway() -> World:
    """The stable revision with three pods, the new one with half of the requests."""
    world = rolling(autoscaling=AUTOSCALING)
    ask(world, ANNOTATION_SKIP_STEP)
    assert at(world) == (4, 50)
    return world


def test_the_new_revision_is_scaled_by_its_own_load_and_by_nobody_else() -> None:
    world = rolling(autoscaling=AUTOSCALING)
    old, new = world.stable, world.rolling
    assert new is not None
    assert autoscaler(world, PREVIEW) == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": new},
        "minReplicas": 1,
        "maxReplicas": MOST,
        # The length of a queue is of no revision.
        "metrics": [CPU],
    }
    assert measured(world) == old
    world.load[PREVIEW] = 7
    passes(world)
    assert world.replicas() == {old: 3, new: 7}
    ask(world, ANNOTATION_SKIP_STEP)
    assert at(world) == (4, 50)
    assert bounds(world, PREVIEW) == (2, MOST)
    world.load[PREVIEW] = 1
    passes(world)
    assert world.replicas() == {old: 3, new: 2}, "its share of the pods it has in any case"
    assert written(world, new) == []


def test_more_pods_than_serve_now_hold_no_step_up() -> None:
    world = halfway()
    new = world.rolling
    world.load[PREVIEW] = MOST
    passes(world)
    ask(world, ANNOTATION_SKIP_STEP, "2")
    assert world.serves == 2
    assert world.stable == new


def test_the_floor_of_the_stable_one_is_what_it_has() -> None:
    world = halfway()
    old = world.stable
    assert bounds(world, NAME) == (3, MOST)
    world.load[NAME] = 1
    passes(world)
    assert world.mdep["spec"]["replicas"] == world.replicas()[old] == 3
    world.load[NAME] = 5
    passes(world)
    assert (world.replicas()[old], bounds(world, NAME)) == (5, (5, MOST))
    world.change(autoscaling={**AUTOSCALING, "maxReplicas": 4})
    passes(world)
    assert bounds(world, NAME) == (4, 4)


def test_once_everything_is_asked_of_it_the_deployments_own_autoscaler_measures_it() -> None:
    world = rolling(autoscaling=AUTOSCALING, strategy={"canary": {"steps": [{"setWeight": 100}, {"pause": {}}]}})
    old, new = world.stable, world.rolling
    assert new is not None
    assert at(world) == (2, 100)
    assert measured(world) == new
    assert autoscaler(world, PREVIEW) is None, "of two that select the same pods neither does anything"
    world.load[NAME] = 6
    passes(world)
    assert world.replicas() == {old: 3, new: 6}
    ask(world, ANNOTATION_SKIP_STEP)
    passes(world)
    assert (world.serves, bounds(world, NAME)) == (2, (2, MOST))
    assert world.replicas() == {old: 0, new: 6}


def test_promoted_it_keeps_the_pods_that_it_was_brought() -> None:
    world = halfway()
    new = world.rolling or ""
    world.load[PREVIEW] = 7
    passes(world)
    counts = []
    world.annotate(ANNOTATION_SKIP_STEP, "2")
    for _ in range(60):
        passes(world, 2)
        counts.append(world.replicas()[new])
    assert world.serves == 2
    assert set(counts) == {7}
    assert bounds(world, NAME) == (2, MOST)


def test_it_is_not_promoted_before_as_many_are_to_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    world = halfway()
    world.load[PREVIEW] = 7
    passes(world)
    world.annotate(ANNOTATION_SKIP_STEP, "2")
    with monkeypatch.context() as dead:
        dead.setattr(World, "_scale", lambda *_: None)
        passes(world, 300)
        assert (world.serves, world.mdep["spec"]["replicas"]) == (1, 3)
        words = f"HorizontalPodAutoscaler {NAME} has not yet written as many to spec.replicas"
        assert f"7 of 7 replicas ready; traffic moves over: {words}" in world.message("Ready")
        assert bounds(world, NAME) == (7, MOST)
    passes(world, 60)
    assert world.serves == 2


def test_rolled_back_its_autoscaler_goes_before_its_pods() -> None:
    world = halfway()
    new = world.rolling
    assert new is not None
    world.load[PREVIEW] = 5
    passes(world)
    world.annotate(ANNOTATION_ABORT, "1")
    world.reconcile()
    seen = len(world.writes)
    passes(world)
    names = [getattr(write, "name", "") for write in world.writes[seen:]]
    assert names.index(PREVIEW) < names.index(new)
    assert new not in world.replicas()
    assert bounds(world, NAME) == (2, MOST)


def test_a_newer_version_takes_the_autoscaler_over() -> None:
    world = halfway()
    world.load[PREVIEW] = 5
    passes(world)
    world.load.clear()
    world.put(a_version(3))
    passes(world)
    found = autoscaler(world, PREVIEW)
    assert found is not None
    assert found["scaleTargetRef"]["name"] == world.rolling
    pods = world.replicas()
    assert (pods[world.stable], pods[world.rolling or ""]) == (3, 1)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"route": None}, id="the ratio of pods is the weight"),
        pytest.param({"strategy": FRUGAL}, id="the stable one gives its pods away"),
        pytest.param({"autoscaling": {**AUTOSCALING, "metrics": [QUEUE]}}, id="nothing is measured of pods"),
        pytest.param({"autoscaling": None}, id="nobody asks for one"),
    ],
)
def test_without_a_load_of_its_own_to_go_by_it_has_none(change: Body) -> None:
    world = halfway()
    world.change(**change)
    passes(world)
    assert autoscaler(world, PREVIEW) is None
    assert bounds(world, NAME) in ((2, MOST), None)


def test_what_is_somebody_elses_is_left_alone() -> None:
    world = World(a_version(1))
    theirs: Body = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": PREVIEW, "namespace": "shop", "uid": "theirs"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "else"}, "minReplicas": 1, "maxReplicas": 2},
    }
    world.put(theirs)
    world.settle()
    assert world.objects[HORIZONTALPODAUTOSCALERS, PREVIEW] == theirs
    assert not any(isinstance(write, Apply) and write.body["metadata"]["name"] == PREVIEW for write in world.writes)
