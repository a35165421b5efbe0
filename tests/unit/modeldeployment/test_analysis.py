"""A canary that is looked at while it gets requests: the verdict that a person would have given."""

from typing import Any

from perennial.api.meta import ANNOTATION_SKIP_STEP
from tests.unit.modeldeployment.play import ask, at, passes, reasons, reported
from tests.unit.modeldeployment.test_canary import canary
from tests.unit.modeldeployment.world import Body, World, a_version

ACCURACY: Body = {"name": "accuracy", "noWorseThanStableBy": 0.02}


def looked_at(*steps: Body, bake: str = "0s", **analysis: Any) -> World:
    """Version 2 is rolled out by these steps, and gets half of the requests."""
    found = {"metrics": [ACCURACY], **analysis}
    strategy = canary({"setWeight": 50}, *steps, bakeTime=bake, analysis=found)
    world = World(a_version(1), replicas=2, strategy=strategy, scaleDownDelay="1h")
    world.settle()
    world.put(a_version(2))
    passes(world)
    return world


def found(world: World) -> Body:
    return dict(world.status["rollout"]["analysis"])


def test_it_goes_on_when_it_is_as_good() -> None:
    world = looked_at({"analysis": {}})
    new = world.rolling
    assert at(world) == (2, 50)
    reported(world, world.stable, 0.9, 5_000)
    reported(world, new, 0.9, 5_000)
    passes(world, 50)
    assert world.serves == 2
    assert "AnalysisPass" in reasons(world)


def test_it_is_rolled_back_when_it_is_worse() -> None:
    world = looked_at({"analysis": {}})
    old = world.stable
    reported(world, old, 0.9, 5_000)
    reported(world, world.rolling, 0.8, 500)
    passes(world, 100)
    assert world.rolling is None
    assert world.pinned == old
    assert world.candidate(2)["reason"] == "AnalysisFailed"
    assert "accuracy 0.8, 0.9 of the stable one, at most 0.02 worse" in world.message("Ready")
    assert reasons(world)[-2:] == ["AnalysisFail", "RolledBack"]


def test_it_is_rolled_back_in_the_middle_of_a_pause() -> None:
    world = looked_at({"pause": {}})
    reported(world, world.stable, 0.9, 5_000)
    reported(world, world.rolling, 0.6, 500)
    passes(world, 100)
    assert world.candidate(2)["reason"] == "AnalysisFailed"


def test_some_failures_may_be_allowed() -> None:
    world = looked_at({"analysis": {}}, failureLimit=2)
    reported(world, world.stable, 0.9, 5_000)
    reported(world, world.rolling, 0.8, 500)
    passes(world, 130)
    assert found(world)["failures"] == 2
    reported(world, world.rolling, 0.97, 20_000)
    passes(world, 60)
    assert world.serves == 2


def test_no_data_is_never_a_pass() -> None:
    world = looked_at({"analysis": {}}, inconclusiveLimit=3)
    passes(world, 200)
    assert at(world) == (2, 50)
    assert found(world)["verdict"] == "Inconclusive"
    assert world.condition("Stalled") is None
    passes(world, 100)
    assert world.condition("Stalled") == ("True", "AnalysisInconclusive")
    assert "0 of at least 30 samples of the new revision" in world.message("Ready")
    passes(world, 3600)
    assert world.rolling, "no deadline: its pods are ready"
    ask(world, ANNOTATION_SKIP_STEP)
    assert world.serves == 2


def test_without_an_answer_it_may_be_rolled_back() -> None:
    world = looked_at({"analysis": {}}, inconclusiveLimit=3, onInconclusive="RollBack")
    reported(world, world.stable, 0.9, 5_000)
    reported(world, world.rolling, 0.9, 40)
    passes(world, 300)
    assert world.candidate(2)["reason"] == "AnalysisInconclusive"


def test_ten_requests_decide_nothing() -> None:
    for right in (1.0, 0.5):
        world = looked_at({"analysis": {}})
        reported(world, world.stable, 0.9, 5_000)
        reported(world, world.rolling, right, 10)
        passes(world, 120)
        assert at(world) == (2, 50)


def test_what_was_reported_before_it_got_requests_is_not_looked_at() -> None:
    world = World(a_version(1), replicas=2, strategy=canary({"setWeight": 50}, {"analysis": {}}, analysis={
        "metrics": [ACCURACY]
    }))  # fmt: skip
    world.settle()
    reported(world, world.stable, 0.99, 50_000)
    world.pass_time(600)
    world.put(a_version(2))
    passes(world)
    reported(world, world.stable, 0.7, 5_000)
    reported(world, world.rolling, 0.7, 5_000)
    passes(world, 60)
    assert world.serves == 2, "the data moved for both"


def test_while_it_bakes_it_must_pass() -> None:
    world = looked_at(bake="5m")
    assert at(world)[1] == 100
    passes(world, 900)
    assert world.rolling
    assert "until its analysis passes" in world.message("Progressing")
    reported(world, world.stable, 0.9, 50_000)
    reported(world, world.rolling, 0.9, 50_000)
    passes(world, 60)
    assert world.serves == 2


def test_a_look_that_passed_in_an_earlier_step_does_not_count() -> None:
    world = looked_at({"analysis": {}}, {"setWeight": 60}, {"analysis": {}}, interval="2m")
    reported(world, world.stable, 0.9, 5_000)
    reported(world, world.rolling, 0.9, 5_000)
    passes(world, 110)
    assert at(world)[0] == 4
    passes(world, 60)
    assert world.rolling, "the second step waits for a look of its own"
    passes(world, 70)
    assert world.serves == 2


def test_the_first_version_needs_none() -> None:
    world = World(a_version(1), strategy=canary({"analysis": {}}, analysis={"metrics": [ACCURACY]}))
    world.settle()
    assert world.serves == 1


def test_at_rest_nothing_is_written_between_two_looks() -> None:
    world = looked_at({"analysis": {}})
    passes(world, 70)
    before = world.status_writes
    passes(world, 50)
    assert world.status_writes - before <= 1
