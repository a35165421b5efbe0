"""The life of a ModelDeployment, decided pass by pass against a small world."""

from typing import Any

import pytest

from perennial.api.base import format_time
from perennial.api.meta import ANNOTATION_DROPPED, ANNOTATION_RETRY, LABEL_REVISION
from perennial.api.resources import DEPLOYMENTS, MODELVERSIONS, SERVICES
from perennial.modeldeployment import CONTROLLER
from perennial.plan import Body, Create, Find, Patch
from perennial.view import Refusal
from tests.unit.modeldeployment.world import NAME, World, a_version, exited, waiting

LOAD_FAILED = exited(78, '{"error":{"reason":"ModelLoadFailed","message":"not a scikit-learn model"}}')


def served(*numbers: int, **spec: Any) -> World:
    """A world in which the first version was promoted and all else is at rest; the further ones come then."""
    first, *rest = numbers
    world = World(a_version(first), **spec)
    world.settle()
    assert world.serves == first
    for number in rest:
        world.put(a_version(number))
    return world


def test_waits_for_the_first_version() -> None:
    world = World()
    world.settle()
    assert world.condition("Ready") == ("False", "WaitingForVersion")
    assert world.condition("Reconciling") is not None
    assert world.condition("Stalled") is None
    assert world.status["selector"] == f"perennial.dev/modeldeployment={NAME}"
    assert world.replicas() == {}


def test_the_first_version_is_served() -> None:
    world = World(a_version(1), replicas=2)
    first = world.reconcile()
    assert first.actions == ()
    assert world.rolling is not None
    assert "stableRevision" not in world.status
    world.reconcile()
    assert world.pinned == world.rolling
    assert world.replicas() == {world.rolling: 2}
    world.settle()
    assert world.serves == 1
    assert world.pinned == world.stable
    assert world.condition("Ready") == ("True", "Serving")
    assert world.condition("Available") == ("True", "Serving")
    assert world.status["readyReplicas"] == 2
    assert world.status["modelVersion"] == "churn-1"
    assert world.status["url"] == "http://churn.shop.svc"
    assert [event.reason for event in world.events] == ["RolloutStarted", "Promoted"]


def test_idle_writes_nothing_and_asks_for_no_time() -> None:
    world = served(1)
    writes, statuses = len(world.writes), world.status_writes
    world.pass_time(3600)
    plan = world.reconcile()
    assert plan.requeue_after is None
    assert (len(world.writes), world.status_writes) == (writes, statuses)


def test_a_new_version_takes_over_and_the_old_one_stays_warm() -> None:
    world = served(1, 2, scaleDownDelay="5m")
    old = world.stable
    world.reconcile()
    new = world.rolling
    assert new not in (None, old)
    world.reconcile()
    assert world.replicas() == {old: 1, new: 1}
    assert world.pinned == old, "no traffic before a pod is ready"
    world.controller()
    world.make_ready(new)
    world.controller()
    world.reconcile()
    assert world.pinned is None, "both share the traffic"
    world.reconcile()
    assert world.serves == 1
    world.pass_time(10)
    world.reconcile()
    assert world.serves == 2
    plan = world.reconcile()
    assert world.pinned == new
    world.reconcile()
    plan = world.reconcile()
    assert world.replicas() == {old: 1, new: 1}
    assert plan.requeue_after is not None
    world.pass_time(299)
    world.reconcile()
    assert world.replicas() == {old: 1, new: 1}, "warm"
    world.pass_time(2)
    world.reconcile()
    assert world.replicas() == {old: 0, new: 1}
    world.settle()
    assert world.condition("Ready") == ("True", "Serving")


def test_the_old_revision_outlives_the_change_of_the_service_even_without_a_delay() -> None:
    world = served(1, 2, scaleDownDelay="0s")
    old = world.stable
    while world.serves != 2:
        world.controller()
        if world.rolling:
            world.make_ready(world.rolling)
            world.controller()
        plan = world.reconcile()
        if plan.requeue_after:
            world.pass_time(plan.requeue_after)
    world.reconcile()
    assert world.pinned == world.stable
    world.reconcile()
    assert world.replicas()[old] == 1
    world.pass_time(9)
    world.reconcile()
    assert world.replicas()[old] == 1
    world.pass_time(2)
    world.reconcile()
    assert world.replicas()[old] == 0


def roll_out_broken(world: World, failure: dict[str, Any]) -> str:
    """Begin the rollout of what is new and have its pods fail so. The revision."""
    world.reconcile()
    world.reconcile()
    world.controller()
    assert world.rolling is not None
    revision = world.rolling
    world.break_pods(revision, failure)
    world.controller()
    return revision


def test_a_model_that_does_not_load_is_vetoed_and_the_old_one_keeps_serving() -> None:
    world = served(1, 2)
    old = world.stable
    new = roll_out_broken(world, LOAD_FAILED)
    plan = world.reconcile()
    assert plan.actions == (), "first on record, then done"
    assert world.status["vetoes"][0]["revision"] == new
    world.settle()
    assert world.serves == 1
    assert world.pinned == old
    assert world.replicas() == {old: 1}
    assert world.condition("Ready") == ("False", "RolloutFailed")
    assert world.condition("Available") == ("True", "Serving")
    assert world.condition("Stalled") == ("True", "RolloutFailed")
    again = "kubectl annotate --overwrite modeldeployment churn perennial.dev/retry="
    assert world.message("Ready").startswith("version 2 failed here: not a scikit-learn model (ModelLoadFailed). ")
    assert again in world.message("Ready")
    kept = f"churn-2 ({new}): not a scikit-learn model; churn-1 ({old}) keeps serving"
    assert kept in [event.message for event in world.events]
    assert world.candidate(2)["state"] == "Vetoed"
    assert "RolledBack" in [event.reason for event in world.events]


def test_a_newer_version_ends_the_failure() -> None:
    world = served(1, 2)
    roll_out_broken(world, LOAD_FAILED)
    world.settle()
    world.put(a_version(3))
    world.settle()
    assert world.serves == 3
    assert world.condition("Ready") == ("True", "Serving")
    assert "candidates" not in world.status


def test_a_retry_lifts_the_veto_once() -> None:
    world = served(1, 2)
    roll_out_broken(world, LOAD_FAILED)
    world.settle()
    world.annotate(ANNOTATION_RETRY, "1")
    roll_out_broken_again = world.reconcile()
    assert roll_out_broken_again.actions == ()
    assert "vetoes" not in world.status
    roll_out_broken(world, LOAD_FAILED)
    world.settle()
    assert world.candidate(2)["state"] == "Vetoed", "the same value lifts nothing twice"
    world.annotate(ANNOTATION_RETRY, "2")
    world.settle()
    assert world.serves == 2


def test_a_changed_template_is_another_revision_and_lifts_the_veto() -> None:
    world = served(1, 2)
    roll_out_broken(world, LOAD_FAILED)
    world.settle()
    world.change(template={"spec": {"containers": [{"name": "server", "env": [{"name": "A", "value": "b"}]}]}})
    world.settle()
    assert world.serves == 2


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        pytest.param(waiting("ImagePullBackOff", "no such image"), "no such image", id="image"),
        pytest.param(waiting("CreateContainerConfigError", 'secret "x" not found'), 'secret "x"', id="config"),
        pytest.param({"broken": True}, "do not answer ready", id="garbage readiness"),
        pytest.param(
            exited(1, '{"error":{"reason":"StoreUnavailable","message":"s3 is down"}}', 9, "fetch", init=True),
            "s3 is down",
            id="store down",
        ),
        pytest.param(
            {
                "broken": True,
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
                ],
            },
            "0/3 nodes",
            id="unschedulable",
        ),
    ],
)
def test_what_may_pass_is_left_to_the_deadline(failure: dict[str, Any], words: str) -> None:
    world = served(1, 2, progressDeadlineSeconds=60)
    new = roll_out_broken(world, failure)
    world.pass_time(58)
    world.reconcile()
    assert world.rolling == new
    if words != "do not answer ready":
        assert words in world.status["rollout"]["message"]
        assert words in world.message("Ready")
    world.pass_time(2)
    world.settle()
    assert world.serves == 1
    assert words in world.message("Ready")
    assert world.condition("Ready") == ("False", "RolloutFailed")


def test_a_ready_pod_more_is_progress() -> None:
    world = served(1, 2, replicas=3, maxSurge=3, progressDeadlineSeconds=60)
    world.reconcile()
    world.reconcile()
    for ready in (1, 2):
        world.pass_time(50)
        world.controller()
        world.make_ready(world.rolling or "", ready)
        world.controller()
        world.reconcile()
        world.reconcile()
        assert world.rolling is not None
    world.pass_time(60)
    world.reconcile()
    assert world.rolling is None
    assert world.serves == 1


def test_one_that_hangs_after_it_served_is_said_to_be_silent_and_what_it_went_through_stays_known() -> None:
    world = served(1, progressDeadlineSeconds=60)
    silent = {"type": "Ready", "status": "False", "lastTransitionTime": format_time(world.now), "reason": "NotReady"}
    running: Body = {"broken": True, "containerStatuses": [{"name": "server", "state": {"running": {}}}]}
    world.break_pods(world.stable, {**running, "conditions": [silent]})
    world.controller()
    world.settle(ready=False)
    assert world.condition("Ready") == ("False", "ReplicasNotReady")
    assert "they run, but do not answer ready" in world.message("Ready")
    world.break_pods(world.stable, {**exited(137, restarts=1), "conditions": [silent | {"status": "True"}]})
    world.controller()
    world.settle(ready=False)
    assert world.condition("Ready") == ("True", "Serving")
    assert "exit code 137" in world.status["revisions"][0]["lastFailure"]


def test_a_first_revision_is_tried_on_past_the_deadline_and_says_so() -> None:
    world = World(a_version(1), progressDeadlineSeconds=60)
    new = roll_out_broken(world, waiting("ErrImagePull", "registry is down"))
    world.pass_time(61)
    world.settle(ready=False)
    assert world.rolling == new
    assert world.condition("Stalled") == ("True", "ImagePullFailed")
    assert "registry is down" in world.message("Ready")
    world.make_ready(new)
    world.settle()
    assert world.serves == 1
    assert world.condition("Ready") == ("True", "Serving")


def test_a_first_revision_that_cannot_load_gives_way_to_the_one_below() -> None:
    world = World(a_version(1), a_version(2))
    roll_out_broken(world, LOAD_FAILED)
    world.settle()
    assert world.serves == 1
    assert world.candidate(2)["state"] == "Vetoed"


def test_a_newer_version_supersedes_a_rollout() -> None:
    world = served(1, 2)
    world.reconcile()
    world.reconcile()
    second = world.rolling
    world.put(a_version(3))
    plan = world.reconcile()
    assert plan.actions == ()
    assert world.rolling not in (None, second)
    assert world.candidate(2)["state"] == "Superseded"
    world.settle()
    assert world.serves == 3
    assert second not in world.replicas(), "what never served is not kept"


def test_a_revision_that_was_never_seen_is_looked_for_when_it_is_not_wanted_any_more() -> None:
    world = served(1, 2)
    world.reconcile()
    world.reconcile()
    second = world.rolling
    # It was made, and lost its labels before the watch told of it.
    del world.objects[DEPLOYMENTS, second]
    world.put(a_version(3))
    world.reconcile()
    sought = [action.body["metadata"] for action in world.reconcile().actions if isinstance(action, Find)]
    assert [one["name"] for one in sought] == [second]
    assert sought[0]["labels"]["perennial.dev/owned"] == "true"
    world.settle()
    assert not [action for action in world.plan().actions if isinstance(action, Find)], "once is enough"


def test_a_broken_stable_revision_does_not_block_its_fix() -> None:
    world = served(1, replicas=3)
    old = world.stable
    world.break_pods(old, exited(1, restarts=50))
    world.controller()
    world.put(a_version(2))
    world.settle()
    assert world.serves == 2
    assert world.condition("Ready") == ("True", "Serving")


def test_a_rejected_version_gives_way_to_its_predecessor() -> None:
    world = served(1, 2)
    world.settle()
    assert world.serves == 2
    world.judge(2, "Rejected")
    world.settle()
    assert world.serves == 1
    assert world.condition("Ready") == ("True", "Serving")
    assert world.candidate(2)["state"] == "Rejected"
    world.judge(2, None)
    world.settle()
    assert world.serves == 2


def test_a_rejected_version_without_predecessor_keeps_serving() -> None:
    world = served(1)
    world.judge(1, "Rejected")
    world.settle()
    assert world.serves == 1
    assert world.condition("Stalled") == ("True", "ServedVersionRejected")
    assert world.condition("Available") == ("True", "Serving")


def test_a_version_rejected_during_its_rollout_is_called_off() -> None:
    world = served(1, 2)
    world.reconcile()
    world.reconcile()
    world.judge(2, "Rejected")
    world.settle()
    assert world.serves == 1
    assert len(world.replicas()) == 1
    assert world.condition("Ready") == ("True", "Serving")


def test_scaling_rolls_nothing() -> None:
    world = served(1)
    revision = world.stable
    world.change(replicas=4)
    world.settle()
    assert world.replicas() == {revision: 4}
    world.change(replicas=0)
    world.settle()
    assert world.replicas() == {revision: 0}
    assert world.condition("Ready") == ("True", "ScaledToZero")
    world.change(replicas=1)
    world.settle()
    assert world.replicas() == {revision: 1}
    assert world.stable == revision


def test_with_no_replicas_a_new_version_waits() -> None:
    world = served(1, replicas=1)
    world.change(replicas=0)
    world.put(a_version(2))
    world.settle()
    assert world.serves == 1
    assert world.candidate(2)["reason"] == "ScaledToZero"
    world.change(replicas=2)
    world.settle()
    assert world.serves == 2


def test_a_new_preset_restarts_nothing_and_is_shown() -> None:
    world = served(1)
    writes = len(world.writes)
    runtime = world.config.serving_runtimes["sklearn"]
    newer = runtime.model_copy(update={"template": {"spec": {"containers": [{"name": "server", "image": "server:2"}]}}})
    world.config = world.config.model_copy(update={"serving_runtimes": {"sklearn": newer}})
    world.settle()
    assert len(world.writes) == writes
    assert world.condition("UpdateAvailable") == ("True", "PresetChanged")
    assert world.condition("Ready") == ("True", "Serving")
    world.change(template={"metadata": {"annotations": {"update": "1"}}})
    world.settle()
    assert world.condition("UpdateAvailable") is None
    template = world.objects[DEPLOYMENTS, world.stable]["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "server:2"


def test_what_the_cluster_left_out_of_a_revision_is_said_while_it_serves() -> None:
    world = served(1)
    world.objects[DEPLOYMENTS, world.stable]["metadata"]["annotations"][ANNOTATION_DROPPED] = "spec.template.spec.x"
    world.settle()
    assert world.condition("FieldsDropped") == ("True", "NotInThisCluster")
    world.put(a_version(2))
    world.settle()
    assert world.serves == 2
    assert world.condition("FieldsDropped") is None


def test_what_is_changed_by_hand_is_put_right() -> None:
    world = served(1, replicas=2)
    revision = world.stable
    world.objects[DEPLOYMENTS, revision]["spec"]["replicas"] = 7
    world.service["spec"]["selector"] = {"app": "other", LABEL_REVISION: revision}
    world.settle()
    assert world.replicas() == {revision: 2}
    assert world.service["spec"]["selector"] == {
        "perennial.dev/modeldeployment": NAME,
        "perennial.dev/revision": revision,
    }


def test_a_deleted_deployment_of_the_stable_revision_is_made_again() -> None:
    world = served(1)
    revision = world.stable
    del world.objects[DEPLOYMENTS, revision]
    del world.objects[MODELVERSIONS, "churn-1"]
    world.settle()
    assert world.replicas() == {revision: 1}
    assert world.condition("Ready") == ("True", "Serving")


def test_a_deleted_deployment_that_cannot_be_rendered_again_is_said() -> None:
    world = served(1)
    revision = world.stable
    world.change(template={"metadata": {"annotations": {"a": "b"}}})
    roll_out_broken(world, LOAD_FAILED)
    world.settle()
    del world.objects[DEPLOYMENTS, revision]
    world.settle()
    assert world.condition("Stalled") == ("True", "RevisionLost")
    world.annotate(ANNOTATION_RETRY, "now")
    world.settle()
    assert world.condition("Ready") == ("True", "Serving")


def test_the_history_keeps_what_served_last() -> None:
    world = served(1, revisionHistoryLimit=1)
    for number in (2, 3, 4):
        world.put(a_version(number))
        world.settle()
    versions = sorted(one["version"] for one in world.status["revisions"])
    assert versions == [3, 4]


def test_a_taken_name_is_said() -> None:
    world = World(a_version(1))
    world.refused[NAME] = Refusal(SERVICES, NAME, "NameTaken", "belongs to somebody else")
    for _ in range(4):
        world.reconcile()
    assert world.condition("Stalled") == ("True", "NameTaken")
    assert "belongs to somebody else" in world.message("Ready")
    world.refused.clear()
    world.settle()
    assert world.condition("Ready") == ("True", "Serving")


def test_a_refused_deployment_is_rolled_back_in_the_servers_words() -> None:
    world = served(1, 2)
    world.reconcile()
    world.refused[world.rolling or ""] = Refusal(DEPLOYMENTS, world.rolling or "", "Invalid", "image: Required value")
    world.settle()
    assert world.serves == 1
    assert world.condition("Ready") == ("False", "RolloutFailed")
    assert "image: Required value" in world.message("Ready")


def test_an_unreadable_spec_leaves_what_runs() -> None:
    world = served(1)
    world.change(replicas="many")
    plan = world.reconcile()
    assert plan.actions == ()
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert "spec.replicas" in world.message("Ready")
    assert world.serves == 1


def test_something_going_away_is_left_alone() -> None:
    world = served(1)
    world.mdep["metadata"]["deletionTimestamp"] = "2026-11-20T12:00:00Z"
    assert CONTROLLER.gather(world, "shop", NAME) is None


def test_gate_rejections_are_told_once() -> None:
    gate = {"metrics": [{"name": "accuracy", "min": 0.9}]}
    world = World(a_version(1, metrics={"accuracy": 0.95}), gate=gate)
    world.settle()
    world.put(a_version(2, metrics={"accuracy": 0.8}))
    world.settle()
    assert world.serves == 1
    assert [event.reason for event in world.events].count("GateNotPassed") == 1
    assert world.condition("Ready") == ("True", "Serving")
    world.put(a_version(3, metrics={"accuracy": 0.7}))
    world.settle()
    assert [event.reason for event in world.events].count("GateNotPassed") == 2


def test_replicas_are_the_only_thing_ever_patched_in_a_deployment() -> None:
    world = served(1, 2, replicas=3)
    world.settle()
    patches = [one for one in world.writes if isinstance(one, Patch) and one.resource == DEPLOYMENTS]
    assert patches
    assert all(set(one.patch) == {"spec"} and set(one.patch["spec"]) == {"replicas"} for one in patches)
    created = [one.body["metadata"]["name"] for one in world.writes if isinstance(one, Create)]
    assert len(created) == len(set(created)) == 2


def test_why_a_newer_version_is_not_served_is_said_where_people_look() -> None:
    gate = {"metrics": [{"name": "accuracy", "min": 0.85}]}
    world = World(a_version(1, metrics={"accuracy": 0.95}), gate=gate)
    world.settle()
    world.put(a_version(2, metrics={"accuracy": 0.79}))
    world.settle()
    assert world.condition("Ready") == ("True", "Serving")
    assert world.message("Ready") == (
        "1 of 1 replicas ready; version 2 does not pass spec.gate: accuracy 0.79 is below the minimum 0.85"
    )


def test_what_keeps_a_rollout_is_told_once() -> None:
    world = served(1, 2)
    new = roll_out_broken(world, exited(1, "ImportError"))
    for _ in range(3):
        world.reconcile()
        world.controller()
    told = [event for event in world.events if event.reason == "ContainerFailed"]
    assert [event.message.startswith(f"churn-2 ({new}): container server of pod") for event in told] == [True]


def test_a_model_that_nothing_serves_is_told_once() -> None:
    world = World(a_version(1, format="catboost"))
    world.settle()
    world.put(a_version(2, format="catboost"))
    world.settle()
    assert [event.reason for event in world.events] == ["NoRuntime"]
