"""blueGreen: the new revision stands beside the old one, unasked, and takes over all at once."""

from typing import Any

from perennial.api.meta import ANNOTATION_ABORT, ANNOTATION_PROMOTE, ANNOTATION_SKIP_STEP, LABEL_REVISION
from perennial.api.resources import SERVICES
from perennial.plan import Body
from tests.unit.modeldeployment.play import ask, at, passes, reasons, reported, rolling
from tests.unit.modeldeployment.world import NAME, NAMESPACE, World, a_version, exited

PREVIEW = f"{NAME}-preview"
ACCURACY: Body = {"metrics": [{"name": "accuracy", "noWorseThanStableBy": 0.02}], "interval": "10s"}
ABSOLUTE: Body = {"metrics": [{"name": "accuracy", "min": 0.5}], "interval": "10s"}


def blue_green(**fields: Any) -> Body:
    return {"blueGreen": fields}


def waiting(**fields: Any) -> World:
    """Version 2 stands beside version 1, until a person goes on."""
    return rolling(blue_green(autoPromotionEnabled=False, **fields))


def previewed(world: World) -> str | None:
    """The revision that the preview Service leads to."""
    service = world.objects.get((SERVICES, PREVIEW))
    return service["spec"]["selector"][LABEL_REVISION] if service else None


def test_it_takes_over_all_at_once() -> None:
    world = World(a_version(1), replicas=3, strategy=blue_green(), scaleDownDelay="1h")
    world.settle()
    old = world.stable
    assert previewed(world) == old
    world.put(a_version(2))
    pinned = set()
    for turn in range(60):
        world.reconcile()
        world.controller()
        for name in world.replicas():
            world.make_ready(name, turn // 5)
        world.controller()
        pinned.add(world.pinned)
        world.pass_time(2)
    assert world.serves == 2
    assert pinned == {old, world.stable}, "the requests are never shared"
    assert world.replicas() == {old: 3, world.stable: 3}, "the old one is kept warm, all of it"


def test_who_scales_looks_at_the_pods_that_get_requests() -> None:
    world = waiting()
    assert world.status["selector"] == selecting(world.stable), "idle ones would hide a load"
    old, new = world.stable, world.rolling
    ask(world, ANNOTATION_SKIP_STEP)
    passes(world)
    assert world.replicas()[old], "the old one is kept warm"
    assert world.status["selector"] == selecting(new)


def selecting(revision: str | None) -> str:
    return f"perennial.dev/modeldeployment={NAME},{LABEL_REVISION}={revision}"


def test_beside_it_has_all_its_pods_and_no_requests() -> None:
    world = waiting()
    new = world.rolling
    assert world.replicas() == {world.stable: 3, new: 3}
    assert at(world) == (1, 0)
    assert world.pinned == world.stable
    assert previewed(world) == new
    assert world.status["traffic"]["mechanism"] == "ServiceSelector"
    address = f"http://{PREVIEW}.{NAMESPACE}.svc"
    assert world.status["previewUrl"] == address
    assert f"step 1 of 2, preview: answers at {address}, until a person goes on: " in world.message("Ready")
    ask(world, ANNOTATION_SKIP_STEP)
    assert world.serves == 2
    assert world.pinned == new


def test_with_fewer_pods_beside_it_gets_the_rest_before_it_takes_over() -> None:
    world = waiting(previewReplicas=1)
    old, new = world.stable, world.rolling
    assert world.replicas() == {old: 3, new: 1}
    world.annotate(ANNOTATION_SKIP_STEP, "1")
    passes(world, ready=False)
    assert world.replicas() == {old: 3, new: 3}
    assert world.pinned == old
    passes(world)
    assert world.serves == 2


def test_promoted_by_hand_it_takes_over_all_at_once_too() -> None:
    world = waiting(previewReplicas=1)
    old = world.stable
    world.annotate(ANNOTATION_PROMOTE, "1")
    passes(world, ready=False)
    assert world.pinned == old
    passes(world)
    assert world.serves == 2


def test_aborted_nothing_was_ever_shared() -> None:
    world = waiting()
    old, new = world.stable, world.rolling
    ask(world, ANNOTATION_ABORT)
    assert world.pinned == old
    assert previewed(world) == old
    assert world.replicas() == {old: 3}, new


def test_an_old_one_that_answers_no_more_waits_for_nobody() -> None:
    world = rolling(blue_green(autoPromotionEnabled=False), maxUnavailable=1)
    world.break_pods(world.stable, exited(1, restarts=5))
    passes(world)
    assert world.serves == 2
    assert "StepsSkipped" in reasons(world)


def test_analysed_before_it_takes_over() -> None:
    world = rolling(blue_green(prePromotionAnalysis=ABSOLUTE))
    passes(world, 60)
    assert at(world) == (1, 0)
    assert "until its analysis passes: accuracy: 0 of at least 30 samples" in world.message("Ready")
    reported(world, world.rolling, 0.9, 500)
    passes(world, 60)
    assert world.serves == 2


def test_not_good_enough_it_never_takes_over() -> None:
    world = rolling(blue_green(prePromotionAnalysis=ABSOLUTE))
    old = world.stable
    reported(world, world.rolling, 0.2, 500)
    passes(world, 60)
    assert world.rolling is None
    assert world.pinned == old
    assert world.candidate(2)["reason"] == "AnalysisFailed"


def test_after_it_took_over_the_old_one_gets_the_requests_back_when_it_fails() -> None:
    world = rolling(blue_green(postPromotionAnalysis=ACCURACY))
    old, new = world.stable, world.rolling
    assert at(world) == (2, 100)
    assert world.pinned == new
    assert world.replicas() == {old: 3, new: 3}
    reported(world, old, 0.9, 5_000)
    reported(world, new, 0.6, 500)
    passes(world, 30)
    assert world.pinned == old
    assert world.candidate(2)["reason"] == "AnalysisFailed"


def test_what_was_measured_beside_does_not_count_after_it_took_over() -> None:
    world = rolling(blue_green(prePromotionAnalysis=ABSOLUTE, postPromotionAnalysis=ABSOLUTE))
    reported(world, world.rolling, 0.9, 500)
    passes(world, 300)
    assert at(world) == (2, 100)
    assert "accuracy: 0 of at least 30 samples" in world.message("Ready")
    reported(world, world.rolling, 0.9, 500)
    passes(world, 60)
    assert world.serves == 2


def test_with_another_strategy_the_preview_goes() -> None:
    world = waiting()
    world.change(strategy={"rollingUpdate": {}})
    passes(world)
    assert world.serves == 2
    assert previewed(world) is None
    assert "previewUrl" not in world.status
