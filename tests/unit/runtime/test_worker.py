"""The engine's passes: order, single status write, what each error leads to. With toy decisions and a fake client."""

import asyncio
from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY

from perennial.api.meta import ANNOTATION_APPLIED, ANNOTATION_DROPPED
from perennial.api.resources import JOBS, MODELS, PODS, PVCS, SERVICES, TRAININGJOBS
from perennial.config import Config
from perennial.kube.errors import (
    Conflict,
    Denied,
    Invalid,
    NotLeading,
    QuotaExceeded,
    TooManyRequests,
    Unavailable,
)
from perennial.plan import Apply, Create, Delete, Event, Explain, Find, Patch, Plan, See
from perennial.runtime.key import Key
from perennial.runtime.queue import Queue
from perennial.runtime.worker import Engine
from perennial.view import Controller, owner_of
from tests.fakes import FakeClient
from tests.unit.runtime.builders import a_body, owned_by

KEY = Key(TRAININGJOBS, "ns", "tj")
NOW = datetime(2026, 11, 21, tzinfo=UTC)
TJ = a_body(TRAININGJOBS, "tj")


def wanted(resource=JOBS, name="job", owner="tj", **spec):
    metadata = {"namespace": "ns", "name": name, **(owned_by(owner) if owner else {})}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec}


class Recorder:
    def __init__(self) -> None:
        self.told = []

    def record(self, about, event) -> None:
        self.told.append(event.reason)


class World:
    """An engine of one kind whose decision is set by the test; `decide` gets (body, jobs, refusal)."""

    def __init__(self) -> None:
        self.client = FakeClient()
        self.recorder = Recorder()
        self.seconds = 100.0
        self.decide = lambda *_: Plan()
        self.passes = 0
        watches = {JOBS: owner_of(TRAININGJOBS), SERVICES: owner_of(TRAININGJOBS)}
        controller = Controller(TRAININGJOBS, self._gather, self._decide, watches)
        clock = lambda: self.seconds  # noqa: E731
        self.queue = Queue(clock=clock, jitter=lambda: 1.0)
        self.engine = Engine(
            [controller], Config(), self.client, self.recorder.record, now=lambda: NOW, clock=clock, queue=self.queue
        )
        self.cache = self.engine.cache
        self.client.on_change = self._watch
        self.owner = self.client.put(a_body(TRAININGJOBS, "tj"))

    def _gather(self, view, namespace, name):
        body = view.get(TRAININGJOBS, namespace, name)
        if body is None:
            return None
        return body, view.owned(JOBS, body["metadata"]["uid"]), view.refusal(TRAININGJOBS, namespace, name)

    def _decide(self, snapshot, now, config):
        assert now == NOW
        self.passes += 1
        return self.decide(*snapshot)

    def _watch(self, resource, before, after):
        if after:
            self.cache.put(resource, after)
        else:
            metadata = before["metadata"]
            self.cache.remove(Key(resource, "ns", metadata["name"]), int(metadata["resourceVersion"]))

    async def settle(self, limit=20):
        """Work off the queue as the workers do. The number of passes."""
        before = self.passes
        for _ in range(limit):
            if not len(self.queue):
                break
            key, _ = await self.queue.get()
            try:
                await self.engine._guarded(key)
            finally:
                self.queue.done(key)
        return self.passes - before

    def later(self, seconds):
        """Let time pass; what is due by then is in the queue."""
        self.seconds += seconds
        self.queue._fire()

    def status(self):
        return self.client.objects[KEY].get("status")


@pytest.fixture
async def world():
    return World()


async def test_actions_then_status_then_events(world):
    world.decide = lambda body, jobs, _: Plan([Create(wanted())], {"phase": "Running"}, [Event("Normal", "Began", "m")])
    await world.settle()
    assert [verb for verb, _ in world.client.writes] == ["create", "patch status"]
    assert world.status() == {"phase": "Running"}
    assert world.recorder.told == ["Began"], "once: the second pass changed nothing"


async def test_of_what_is_counted_and_made_at_once_one_is_made(world):
    """Both are decided while there is none: the one that comes second is decided again, and then there is one."""
    other = Key(TRAININGJOBS, "ns", "tj2")
    world.client.put(a_body(TRAININGJOBS, "tj2"))
    real = world.client.create

    async def slow(body, **how):
        await asyncio.sleep(0.01)
        return await real(body, **how)

    def first_come(body, jobs, _):
        name = body["metadata"]["name"]
        room = not world.cache.list(JOBS, "ns")
        return Plan([Create(wanted(name=f"job-{name}", owner=name), alone="one")] if room else [])

    world.client.create, world.decide = slow, first_come
    assert sorted(await asyncio.gather(*map(world.engine._guarded, (KEY, other)))) == ["requeue", "success"]
    world.later(1)
    await world.settle()
    assert [name for verb, name in world.client.writes] == ["jobs/job-tj"]


async def test_a_child_says_what_the_server_left_out_of_it(world):
    real = world.client._store
    old = lambda body: {**body, "spec": {k: v for k, v in body["spec"].items() if k != "new"}}  # noqa: E731
    world.client._store = lambda key, body: real(key, old(body) if key.resource == JOBS else body)
    world.decide = lambda body, jobs, _: Plan([Create(wanted(new="x", known="y"), strict=True)])
    await world.settle()
    assert world.client.writes == [("create", "jobs/job"), ("patch", "jobs/job")]
    assert world.cache.get(JOBS, "ns", "job")["metadata"]["annotations"] == {ANNOTATION_DROPPED: "spec.new"}


async def test_what_was_made_by_a_request_without_an_answer_is_looked_at_too(world):
    world.client.on_change = lambda *_: None
    world.client.put({**wanted(known="y"), "metadata": {**wanted()["metadata"], "uid": "u"}})
    world.decide = lambda body, jobs, _: Plan([Create(wanted(new="x", known="y"), strict=True)])
    await world.settle()
    assert world.cache.get(JOBS, "ns", "job")["metadata"]["annotations"] == {ANNOTATION_DROPPED: "spec.new"}


async def test_the_depth_of_the_queue_is_of_what_waits_now(world):
    depth = lambda: REGISTRY.get_sample_value("workqueue_depth", {"name": "trainingjobs"})  # noqa: E731
    assert depth() == 1
    await world.settle()
    assert depth() == 0


async def test_nothing_is_written_when_nothing_changes(world):
    world.decide = lambda body, jobs, _: Plan([Create(wanted()), Apply(wanted(SERVICES, "svc", x=1))], {"a": [1]})
    await world.settle()
    before = list(world.client.calls)
    for _ in range(3):
        world.engine.add(KEY)
        assert await world.settle() == 1
    assert world.client.calls == before


async def test_a_decision_sees_the_answers_of_the_writes_before(world):
    seen = []

    def decide(body, jobs, _):
        seen.append((len(jobs), (body.get("status") or {}).get("jobs")))
        return Plan([Create(wanted())], {"jobs": len(jobs)})

    world.decide = decide
    world.client.on_change = lambda *_: None
    await world.settle()
    assert seen[-1] == (1, 1), "without a single watch event"


async def test_status_keys_that_vanish_are_removed_and_none_is_dropped(world):
    statuses = [{"a": 1, "b": {"c": 1, "d": None}}, {"b": {}}]
    world.decide = lambda *_: Plan(status=statuses[0])
    await world.settle()
    assert world.status() == {"a": 1, "b": {"c": 1}}
    world.decide = lambda *_: Plan(status=statuses[1])
    world.engine.add(KEY)
    await world.settle()
    assert world.status() == {"b": {}}


async def test_a_status_that_may_be_overtaken_waits_and_then_is_written_once(world):
    world.decide = lambda *_: Plan(status={"phase": "Running"}, status_delay=1.0)
    await world.settle()
    assert world.status() is None
    world.later(0.5)
    world.engine.add(KEY)
    await world.settle()
    assert world.status() is None
    world.later(0.5)
    await world.settle()
    assert world.status() == {"phase": "Running"}


async def test_an_overtaken_status_is_never_written(world):
    world.decide = lambda *_: Plan(status={"phase": "Running"}, status_delay=1.0)
    await world.settle()
    world.decide = lambda *_: Plan(status={"phase": "Done"})
    world.engine.add(KEY)
    await world.settle()
    world.later(5)
    await world.settle()
    assert world.client.writes == [("patch status", "trainingjobs/tj")]


async def test_a_server_that_changes_the_status_is_not_asked_forever(world):
    real = world.client._store
    drop = lambda body: {**body, "status": {k: v for k, v in body["status"].items() if k != "unknown"}}  # noqa: E731
    world.client._store = lambda key, body: real(key, drop(body) if "status" in body else body)
    world.decide = lambda *_: Plan(status={"phase": "Running", "unknown": 1})
    await world.settle()
    assert world.status() == {"phase": "Running"}
    assert len(world.client.writes) == 1
    assert world.recorder.told == ["StatusNotKept"]
    world.client.put({**world.client.objects[KEY], "status": {"phase": "Vandalised"}})
    await world.settle()
    assert world.status() == {"phase": "Running"}


async def test_a_stale_status_write_is_decided_again_on_the_fresh_state(world):
    world.client.on_change = lambda *_: None
    world.client.put({**world.client.objects[KEY], "spec": {"new": True}})
    seen = []

    def decide(body, *_):
        seen.append(body["spec"])
        return Plan(status={"seen": body["spec"].get("new", False)})

    world.decide = decide
    await world.settle()
    assert seen[:2] == [{}, {"new": True}]
    assert world.status() == {"seen": True}
    assert world.client.calls.count(("get", "trainingjobs/tj")) == 1


async def test_requeue_after(world):
    world.decide = lambda *_: Plan(requeue_after=60)
    assert await world.settle() == 1
    world.later(59)
    assert await world.settle() == 0
    world.later(1)
    assert await world.settle() == 1


class TestRefused:
    """Refusals reach the next decision, and the plan that met one does nothing more."""

    def decide(self, body, jobs, refusal):
        status = {"phase": refusal.reason, "message": refusal.message} if refusal else {"phase": "Fine"}
        later = Create(wanted(name="later"))
        return Plan([Create(wanted(**body["spec"])), later], status, [Event("Normal", status["phase"], "m")])

    async def test_it_shows_in_the_status_and_later_actions_wait(self, world):
        world.decide = self.decide
        world.client.fail("create", JOBS, Invalid("spec.x: Required value"), always=True)
        await world.settle()
        assert world.status() is None
        world.later(0.005)
        await world.settle()
        assert world.status() == {"phase": "Invalid", "message": "spec.x: Required value"}
        assert world.recorder.told == ["Invalid"]
        assert [call for call in world.client.writes if call[0] == "create"] == [("create", "jobs/job")]

    async def test_it_is_tried_again_in_time_and_success_clears_it(self, world):
        world.decide = self.decide
        world.client.fail("create", JOBS, QuotaExceeded("exceeded quota"))
        await world.settle()
        world.later(0.005)
        await world.settle()
        assert world.status()["phase"] == "QuotaExceeded"
        world.later(1.9)
        assert await world.settle() == 0
        world.later(0.1)
        await world.settle()
        assert world.status() == {"phase": "Fine"}
        assert {"jobs/job", "jobs/later"} <= {name for verb, name in world.client.writes if verb == "create"}

    async def test_what_was_decided_believing_in_it_is_not_done_once_it_is_lifted(self, world):
        def decide(body, jobs, refusal):
            instead = [Create(wanted(name="instead"))] if refusal else []
            return Plan([Create(wanted()), *instead], {"phase": refusal.reason if refusal else "Fine"})

        world.decide = decide
        world.client.fail("create", JOBS, QuotaExceeded("exceeded quota"))
        await world.settle()
        for seconds in (0.005, 2.0):
            world.later(seconds)
            await world.settle()
        assert world.status() == {"phase": "Fine"}
        assert ("create", "jobs/instead") not in world.client.writes

    async def test_an_edit_is_tried_at_once(self, world):
        world.decide = self.decide
        world.client.fail("create", JOBS, Invalid("no"))
        await world.settle()
        world.later(0.005)
        await world.settle()
        world.client.put({**world.client.objects[KEY], "spec": {"mended": True}})
        await world.settle()
        assert world.status() == {"phase": "Fine"}

    async def test_a_name_that_is_taken_is_refused_without_touching_it(self, world):
        theirs = world.client.put(wanted(owner="other"))
        world.decide = self.decide
        await world.settle()
        world.later(0.005)
        await world.settle()
        assert world.status()["phase"] == "NameTaken"
        assert "TrainingJob other" in world.status()["message"]
        assert world.client.objects[Key(JOBS, "ns", "job")] == theirs

    async def test_a_name_that_is_taken_unseen_too(self, world):
        world.client.on_change = lambda *_: None
        world.client.put(wanted(owner="other"))
        world.decide = self.decide
        await world.settle()
        world.later(0.005)
        await world.settle()
        assert world.status()["phase"] == "NameTaken"
        assert world.cache.get(JOBS, "ns", "job") is None, "what is not ours is not kept"

    @pytest.mark.parametrize("action", [Create, Apply])
    @pytest.mark.parametrize("told", [True, False])
    async def test_a_name_that_was_given_up_is_taken_at_once_even_if_nobody_tells(self, world, action, told):
        theirs = wanted()
        theirs["metadata"]["ownerReferences"][0]["uid"] = "uid-of-a-namesake"
        world.client.put(theirs)
        world.decide = lambda *_: Plan([action(wanted())])
        for _ in range(6):
            await world.settle()
            world.later(10)
        await world.settle()
        assert world.cache.refusal(*KEY).reason == "NameTaken"
        before = world.client.objects.pop(Key(JOBS, "ns", "job"))
        if told:
            world.client.on_change(JOBS, before, None)
        else:
            world.later(30)
        await world.settle()
        assert Key(JOBS, "ns", "job") in world.client.objects

    async def test_a_restart_does_not_make_the_status_flap(self, world):
        world.decide = self.decide
        world.client.fail("create", JOBS, Invalid("no"), always=True)
        await world.settle()
        world.later(0.005)
        await world.settle()
        before = [call for call in world.client.writes if call[0] != "create"]
        other = World.__new__(World)
        other.__init__()
        other.client.objects, other.client._failures = world.client.objects, world.client._failures
        other.cache.put(TRAININGJOBS, world.client.objects[KEY])
        other.decide = self.decide
        await other.settle()
        other.later(0.005)
        await other.settle()
        assert [call for call in other.client.writes if call[0] != "create"] == []
        assert before == [("patch status", "trainingjobs/tj")]


@pytest.mark.parametrize(
    ("error", "delay"),
    [
        pytest.param(Unavailable("away"), 0.005, id="away"),
        pytest.param(Denied("rbac"), 0.005, id="rights not yet there"),
        pytest.param(TooManyRequests("slow", retry_after=7.0), 7.0, id="asked for patience"),
        pytest.param(Conflict("stale"), 0.005, id="stale"),
    ],
)
async def test_what_the_world_does_is_retried_without_a_trace_on_the_object(world, error, delay):
    world.decide = lambda *_: Plan([Create(wanted())], {"phase": "Fine"})
    world.client.fail("create", JOBS, error)
    await world.settle()
    assert world.status() is None
    world.later(delay - 0.001)
    assert await world.settle() == 0
    world.later(0.001)
    await world.settle()
    assert world.status() == {"phase": "Fine"}
    assert world.recorder.told == []


async def test_an_outage_backs_off_and_ends(world):
    world.decide = lambda *_: Plan([Create(wanted())], {"phase": "Fine"})
    world.client.fail("create", JOBS, Unavailable("away"), always=True)
    for _ in range(60):
        await world.settle()
        world.later(10)
    assert world.passes < 30, "at most every 30 s in the end"
    world.client.heal()
    world.later(30)
    await world.settle()
    assert world.status() == {"phase": "Fine"}
    world.client.fail("create", JOBS, Unavailable("away"))


async def test_a_decision_that_raises_is_told_and_retried(world):
    def broken(*_):
        raise ValueError("oops")

    world.decide = broken
    await world.settle()
    assert world.recorder.told == ["ReconcileError"]
    world.decide = lambda *_: Plan(status={"phase": "Fine"})
    world.later(0.005)
    await world.settle()
    assert world.status() == {"phase": "Fine"}


@pytest.mark.parametrize("times", [1, 3])
async def test_work_is_done_when_the_lease_was_away_for_a_moment(world, times):
    world.decide = lambda *_: Plan([Create(wanted())])
    for _ in range(times):
        world.client.fail("create", JOBS, NotLeading("away"))
    await world.settle()
    for _ in range(times):
        world.later(1)
        await world.settle()
    assert Key(JOBS, "ns", "job") in world.client.objects


class TestCreate:
    async def test_one_that_was_made_before_a_crash_is_taken_for_made(self, world):
        world.client.on_change = lambda *_: None
        world.client.put(wanted())
        world.decide = lambda *_: Plan([Create(wanted())], {"phase": "Fine"})
        await world.settle()
        assert world.status() == {"phase": "Fine"}
        assert world.cache.get(JOBS, "ns", "job")

    async def test_one_without_a_controller_is_decided_again_with_it_in_view(self, world):
        model = wanted(MODELS, "model", owner=None)
        world.client.on_change = lambda *_: None
        world.client.put(model)
        world.decide = lambda *_: Plan(
            [] if world.cache.get(MODELS, "ns", "model") else [Create(model)], {"phase": "Fine"}
        )
        await world.settle()
        world.later(0.005)
        await world.settle()
        assert world.status() == {"phase": "Fine"}

    async def test_and_is_a_taken_name_when_it_is_asked_for_all_the_same(self, world):
        model = wanted(MODELS, "model", owner=None)
        world.client.put(model)
        world.decide = lambda body, jobs, refusal: Plan([Create(model)], {"phase": refusal.reason if refusal else "-"})
        await world.settle()
        world.later(0.005)
        await world.settle()
        assert world.status() == {"phase": "NameTaken"}

    @pytest.mark.parametrize("known", [True, False])
    async def test_a_shared_one_that_is_somebody_elses_will_do(self, world, known):
        theirs = world.client.put(wanted(PVCS, "models", owner=None, by="hand"))
        if not known:
            # No watch tells of it, so that the next LIST says it is gone.
            world.cache.replace(PVCS, {}, 1_000)
        world.decide = lambda *_: Plan([Create(wanted(PVCS, "models", owner=None), shared=True), Create(wanted())])
        await world.settle()
        assert world.client.objects[Key(PVCS, "ns", "models")] == theirs
        assert Key(JOBS, "ns", "job") in world.client.objects


@pytest.mark.parametrize("action", [Create, Apply])
@pytest.mark.parametrize("again", [True, False], ids=["another of its name", "none"])
async def test_what_goes_with_its_owner_is_not_made_again_while_nobody_told_of_that(world, action, again):
    world.decide = lambda body, *_: Plan([action(wanted())] if body["metadata"]["uid"] == "uid-tj" else [])
    await world.settle()
    made = world.client.objects.pop(Key(JOBS, "ns", "job"))
    world.client.objects.pop(KEY)
    if again:
        world.client.objects[KEY] = a_body(TRAININGJOBS, "tj", version=50, uid="uid-anew")
    world.client.on_change(JOBS, made, None)
    await world.settle()
    world.later(0.005)
    await world.settle()
    assert Key(JOBS, "ns", "job") not in world.client.objects
    assert (world.cache.get(*KEY) or {"metadata": {"uid": None}})["metadata"]["uid"] == ("uid-anew" if again else None)


async def test_what_a_key_makes_of_its_own_name_is_made_again(world):
    """As a Model, of what else there is."""
    world.engine._controllers[TRAININGJOBS] = Controller(
        TRAININGJOBS, lambda view, *_: view.get(*KEY) or {}, lambda body, *_: Plan([] if body else [Create(TJ)])
    )
    world.client.on_change(TRAININGJOBS, world.client.objects.pop(KEY), None)
    await world.settle()
    assert KEY in world.client.objects


async def test_what_is_gone_is_made_again_for_an_owner_that_is_there(world):
    world.decide = lambda *_: Plan([Create(wanted())])
    await world.settle()
    world.client.on_change(JOBS, world.client.objects.pop(Key(JOBS, "ns", "job")), None)
    await world.settle()
    assert Key(JOBS, "ns", "job") in world.client.objects


class TestApply:
    @pytest.fixture
    async def applied(self, world):
        world.decide = lambda *_: Plan([Apply(wanted(SERVICES, "svc", a="1000m"))])
        await world.settle()
        return world

    def applies(self, world):
        return [call for call in world.client.writes if call[0] == "apply"]

    async def test_it_carries_the_hash_of_its_intent(self, applied):
        body = applied.client.objects[Key(SERVICES, "ns", "svc")]
        assert body["spec"] == {"a": "1000m"}
        assert body["metadata"]["annotations"][ANNOTATION_APPLIED]

    async def test_another_intent_is_applied(self, applied):
        applied.decide = lambda *_: Plan([Apply(wanted(SERVICES, "svc", a="2"))])
        applied.engine.add(KEY)
        await applied.settle()
        assert applied.client.objects[Key(SERVICES, "ns", "svc")]["spec"] == {"a": "2"}

    async def test_what_the_server_writes_otherwise_is_not_applied_forever(self, world):
        real = world.client._store

        def normalised(key, body):
            if body.get("spec", {}).get("a") == "1000m":
                body = {**body, "spec": {"a": "1"}}
            return real(key, body)

        world.client._store = normalised
        world.decide = lambda *_: Plan([Apply(wanted(SERVICES, "svc", a="1000m"))])
        await world.settle()
        world.engine.add(KEY)
        await world.settle()
        assert len(self.applies(world)) == 1

    async def test_an_edit_by_hand_is_undone_and_other_fields_are_free(self, applied):
        key = Key(SERVICES, "ns", "svc")
        applied.client.put({**applied.client.objects[key], "spec": {"a": "9", "b": 1}})
        await applied.settle()
        assert applied.client.objects[key]["spec"] == {"a": "1000m", "b": 1}
        assert len(self.applies(applied)) == 2

    async def test_what_is_added_to_a_spec_that_is_ours_as_a_whole_is_applied_over_once(self, world):
        world.decide = lambda *_: Plan([Apply(wanted(SERVICES, "svc", a="1", c=None), whole=True)])
        await world.settle()
        assert len(self.applies(world)) == 1
        key = Key(SERVICES, "ns", "svc")
        world.client.put({**world.client.objects[key], "spec": {"a": "1", "b": 1}})
        await world.settle()
        # This server leaves it: it would be applied over for ever.
        world.engine.add(KEY)
        await world.settle()
        assert len(self.applies(world)) == 2

    async def test_entries_of_others_that_contradict_are_merged_away(self, applied):
        key = Key(SERVICES, "ns", "svc")
        applied.client.fail("apply", SERVICES, Invalid("Duplicate value"))
        applied.client.put({**applied.client.objects[key], "spec": {"a": "9"}})
        await applied.settle()
        assert applied.client.objects[key]["spec"] == {"a": "1000m"}
        assert applied.cache.refusal(*KEY) is None

    async def test_one_of_somebody_else_is_not_touched(self, world):
        world.client.on_change = lambda *_: None
        theirs = world.client.put(wanted(SERVICES, "svc", owner=None, a="theirs"))
        world.decide = lambda *_: Plan([Apply(wanted(SERVICES, "svc", a="ours"))])
        await world.settle()
        assert world.client.objects[Key(SERVICES, "ns", "svc")] == theirs
        assert world.cache.refusal(*KEY).reason == "NameTaken"


class TestPatchAndDelete:
    async def test_a_patch_has_the_uid_as_precondition_and_is_sent_once(self, world):
        job = world.client.put(wanted(suspend=True))
        world.decide = lambda *_: Plan([Patch(JOBS, "ns", "job", {"spec": {"suspend": False}}, job["metadata"]["uid"])])
        await world.settle()
        assert world.client.objects[Key(JOBS, "ns", "job")]["spec"] == {"suspend": False}
        assert world.client.writes == [("patch", "jobs/job")]

    async def test_a_patch_of_another_object_of_that_name_is_decided_again(self, world):
        world.client.put(wanted(suspend=True))
        uids = ["uid-of-its-predecessor"]
        world.decide = lambda *_: Plan([Patch(JOBS, "ns", "job", {"spec": {"suspend": False}}, uids[0])])
        await world.settle()
        assert world.client.objects[Key(JOBS, "ns", "job")]["spec"] == {"suspend": True}
        uids[0] = world.client.objects[Key(JOBS, "ns", "job")]["metadata"]["uid"]
        world.later(0.005)
        await world.settle()
        assert world.client.objects[Key(JOBS, "ns", "job")]["spec"] == {"suspend": False}

    @pytest.mark.parametrize("uid", ["its own", "of another"])
    async def test_a_deletion_is_done_when_that_object_is_gone(self, world, uid):
        job = world.client.put(wanted())
        wanted_uid = job["metadata"]["uid"] if uid == "its own" else "uid-other"
        world.decide = lambda body, jobs, _: Plan([Delete(JOBS, "ns", "job", wanted_uid)], {"phase": "Gone"})
        await world.settle()
        assert (Key(JOBS, "ns", "job") in world.client.objects) == (uid == "of another")
        assert world.status() == {"phase": "Gone"}

    @pytest.mark.parametrize("action", ["patch", "apply", "delete"])
    async def test_what_changed_since_it_was_seen_is_left_alone_until_it_is_decided_anew(self, world, action):
        job = world.client.put(wanted(suspend=True))
        uid = job["metadata"]["uid"]
        writes = {
            "patch": Patch(JOBS, "ns", "job", {"spec": {"suspend": False}}, uid),
            "apply": Apply(wanted(suspend=False)),
            "delete": Delete(JOBS, "ns", "job", uid),
        }
        decided = []

        def decide(_, jobs, __):
            decided.append(jobs[0]["spec"])
            # What came between the decision and the write is not to be undone by it.
            if len(decided) == 1:
                world.client.on_change = lambda *_: None
                world.client.put({**job, "spec": {"suspend": True, "turned": "back"}})
                return Plan([writes[action]])
            return Plan()

        world.decide = decide
        await world.settle()
        world.later(0.005)
        await world.settle()
        assert world.client.objects[Key(JOBS, "ns", "job")]["spec"] == {"suspend": True, "turned": "back"}
        assert decided[-1]["turned"] == "back"


async def test_an_explanation_is_in_view_at_the_next_decision(world):
    job = world.client.put(wanted())
    about = {"involvedObject": {"uid": job["metadata"]["uid"]}, "type": "Warning", "message": "exceeded quota"}
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"namespace": "ns", "name": "e"}}
    world.client.put(event | about | {"lastTimestamp": "2026-11-21T00:00:00Z"})

    def decide(body, jobs, _):
        why = world.cache.explanation(JOBS, "ns", "job")
        ask = [] if why else [Explain(JOBS, "ns", "job", job["metadata"]["uid"])]
        return Plan(ask, {"message": why or "-"})

    world.decide = decide
    await world.settle()
    assert world.status() == {"message": "exceeded quota"}


@pytest.mark.parametrize("action", [Create, Find])
async def test_a_child_that_lost_its_labels_gets_them_back_and_is_seen(world, action):
    world.client.on_change = lambda *_: None
    bare = world.client.put(wanted())
    labelled = wanted()
    labelled["metadata"]["labels"] = {"perennial.dev/owned": "true"}
    # As the watch tells when the labels go.
    world.cache.remove(Key(JOBS, "ns", "job"), int(bare["metadata"]["resourceVersion"]))
    world.decide = lambda _, jobs, __: Plan([action(labelled)], {"phase": "Seen" if jobs else "Hidden"})
    await world.settle()
    assert world.cache.get(JOBS, "ns", "job")["metadata"]["labels"] == {"perennial.dev/owned": "true"}
    assert world.status() == {"phase": "Seen"}


@pytest.mark.parametrize("there", [None, "somebody else's"])
async def test_what_is_sought_and_gone_or_not_ours_is_left_alone(world, there):
    world.client.on_change = lambda *_: None
    if there:
        world.client.put(wanted(owner=None))
    world.decide = lambda *_: Plan([Find(wanted())], {"phase": "Fine"})
    await world.settle()
    assert world.status() == {"phase": "Fine"}
    assert not world.cache.get(JOBS, "ns", "job")


async def test_news_of_pods_has_the_rest_of_a_plan_decided_again(world):
    world.client.on_change = lambda *_: None
    pod = a_body(PODS, "pod")
    pod["metadata"]["labels"] = {"batch.kubernetes.io/job-name": "job"}
    world.client.put(pod)
    untold = [Create(wanted())]
    world.decide = lambda *_: Plan(
        [See(JOBS, "ns", "job"), *([] if world.cache.get(PODS, "ns", "pod") else untold)], {"phase": "Ended"}
    )
    await world.settle()
    assert Key(JOBS, "ns", "job") not in world.client.objects, "it was decided without the pod"
    assert world.status() == {"phase": "Ended"}
    assert world.passes == 3


async def test_what_a_watch_tells_during_the_answer_is_news_too(world):
    pod = a_body(PODS, "pod")
    pod["metadata"]["labels"] = {"batch.kubernetes.io/job-name": "job"}
    world.client.on_change = lambda *_: None
    world.client.put(pod)
    listed = world.client.list

    async def told_meanwhile(resource, *arguments, **more):
        page = await listed(resource, *arguments, **more)
        for body in page.items:
            world.cache.put(resource, body)
        return page

    world.client.list = told_meanwhile
    untold = [Create(wanted())]
    world.decide = lambda *_: Plan(
        [See(JOBS, "ns", "job"), *([] if world.cache.get(PODS, "ns", "pod") else untold)], {"phase": "Ended"}
    )
    await world.settle()
    assert Key(JOBS, "ns", "job") not in world.client.objects, "it was decided without the pod"


async def test_what_cannot_be_read_is_not_concluded_from(world):
    world.client.fail("list", PODS, Unavailable("away"))
    world.decide = lambda *_: Plan([See(JOBS, "ns", "job")], {"phase": "Ended"})
    await world.settle()
    assert not world.status()
    world.later(1)
    await world.settle()
    assert world.status() == {"phase": "Ended"}


async def test_an_object_that_is_gone_is_forgotten(world):
    world.decide = lambda *_: Plan([Create(wanted())], {"phase": "Fine"}, status_delay=5)
    world.client.fail("create", JOBS, Invalid("no"), always=True)
    await world.settle()
    await world.client.delete(*KEY)
    await world.settle()
    assert world.engine._refusals._standing == {}
    assert world.engine._status._wanted_since == {}
    assert world.queue._failures == {}


async def test_the_workers_reconcile_what_is_added_and_one_failure_hurts_nobody():
    world = World()
    world.decide = lambda body, *_: Plan(status={"phase": "Fine"}) if body["metadata"]["name"] != "tj-3" else 1 / 0
    workers = asyncio.create_task(world.engine.run(4))
    for number in range(20):
        world.client.put(a_body(TRAININGJOBS, f"tj-{number}"))
    await asyncio.sleep(0.05)
    workers.cancel()
    fine = [body["metadata"]["name"] for body in world.client.objects.values() if body.get("status")]
    assert sorted(fine) == sorted({f"tj-{number}" for number in range(20)} - {"tj-3"} | {"tj"})
