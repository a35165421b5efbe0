"""shadow: the new revision gets copies of the requests, and nobody its answers, until it has shown what it must."""

from dataclasses import replace
from typing import Any

import pytest

from perennial.api.meta import ANNOTATION_ABORT, ANNOTATION_RETRY, ANNOTATION_SKIP_STEP, LABEL_REVISION
from perennial.modeldeployment.route import mirrored
from perennial.plan import Body
from perennial.strategies import Shadow
from tests.unit.modeldeployment.play import ask, passes, reasons, reported
from tests.unit.modeldeployment.test_route import FILTERS, PREVIEW, Requests, route, selects, serving, weights
from tests.unit.modeldeployment.world import NAME, World, a_version, exited, merged

ACCURACY: Body = {"metrics": [{"name": "accuracy", "noWorseThanStableBy": 0.02}], "interval": "10s"}
OURS: Body = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": PREVIEW, "port": 80}}}


def behind(**fields: Any) -> World:
    """Version 1 serves with three pods, and version 2 gets copies of its requests."""
    world = serving(strategy={"shadow": fields})
    world.put(a_version(2))
    passes(world)
    return world


def copied(world: World) -> int:
    """Percent of the requests of which copies go to the preview."""
    return mirrored(route(world), NAME)


def filters(world: World) -> list[Body]:
    (rule,) = route(world)["spec"]["rules"]
    return list(rule.get("filters", ()))


def test_behind_the_stable_one_it_gets_copies_and_no_request() -> None:
    world = behind()
    old, new = world.stable, world.rolling
    assert filters(world) == [OURS]
    assert weights(world) == {NAME: 100, PREVIEW: 0}
    assert (world.pinned, selects(world, PREVIEW)) == (old, new)
    assert world.replicas() == {old: 3, new: 3}
    traffic = world.status["traffic"]
    assert (traffic["mechanism"], traffic["previewMirrored"]) == ("RequestMirror", 100)
    assert (traffic["requestedWeight"], traffic["actualWeight"]) == (0, 0)
    assert world.status["selector"].endswith(f"{LABEL_REVISION}={old}"), "who scales looks at those that answer"
    words = "step 1 of 2, shadow: gets a copy of all of the requests, and nobody its answers, until a person goes on: "
    assert words in world.message("Ready")
    written = len(world.writes)
    passes(world, 1000)
    assert len(world.writes) == written
    ask(world, ANNOTATION_SKIP_STEP)
    assert world.serves == 2
    passes(world)
    assert (filters(world), weights(world)) == ([], {NAME: 100, PREVIEW: 0})
    assert "previewMirrored" not in world.status["traffic"]


def test_only_a_part_is_copied_and_by_fewer_pods_if_asked() -> None:
    world = behind(percent=25, replicas=1)
    assert filters(world) == [{**OURS, "requestMirror": {**OURS["requestMirror"], "percent": 25}}]
    assert world.replicas()[world.rolling] == 1
    assert world.status["traffic"]["previewMirrored"] == 25
    assert "gets a copy of 25% of the requests" in world.message("Ready")


def test_nothing_is_copied_before_its_pods_are_ready() -> None:
    world = serving(strategy={"shadow": {}})
    world.put(a_version(2))
    passes(world, 60, ready=False)
    assert (world.replicas()[world.rolling], copied(world)) == (3, 0)
    world.make_ready(world.rolling or "", 2)
    passes(world, 60, ready=False)
    assert copied(world) == 0, "two of three would get all of them"
    passes(world)
    assert copied(world) == 100


@pytest.mark.parametrize(("right", "serves"), [(0.9, 2), (0.5, 1)])
def test_what_is_measured_decides(right: float, serves: int) -> None:
    world = behind(duration="10m", analysis=ACCURACY)
    old, new = world.stable, world.rolling
    for _ in range(10):
        reported(world, old, 0.9, 1000)
        reported(world, new, right, 1000)
        passes(world, 40)
    assert world.serves == 1, "not before its time"
    passes(world, 300)
    assert (world.serves, copied(world)) == (serves, 0)
    if serves == 1:
        assert world.candidate(2)["reason"] == "AnalysisFailed"
        assert world.replicas() == {old: 3}
        assert selects(world, PREVIEW) == old


def test_without_copies_there_is_no_data_and_that_is_no_pass() -> None:
    world = behind(analysis=ACCURACY)
    passes(world, 3600)
    assert (world.serves, world.condition("Stalled")) == (1, ("True", "AnalysisInconclusive"))
    assert "accuracy: 0 of at least 30 samples of the new revision" in world.message("Stalled")


def test_what_was_measured_before_the_gateway_copies_does_not_count() -> None:
    world = serving(strategy={"shadow": {"analysis": ACCURACY}})
    world.put(a_version(2))
    passes(world, 300, gateways=False)
    assert "analysis" not in world.status["rollout"]
    assert "traffic moves over: Gateway public has not taken it yet" in world.message("Ready")
    assert "previewMirrored" not in world.status["traffic"]


def test_copies_are_requests_to_whoever_asks_whether_it_gets_any() -> None:
    behind, everything = Shadow().stages()
    assert behind.asked
    assert not behind.asks_the_same(replace(behind, mirrored=50))
    assert everything.mirrored == 0


def test_aborted_nothing_is_copied_any_more() -> None:
    world = behind()
    world.annotate(ANNOTATION_ABORT, "1")
    world.reconcile()
    world.reconcile()
    assert copied(world) == 0
    passes(world)
    assert list(world.replicas()) == [world.stable]


def test_without_a_ready_pod_nothing_is_copied() -> None:
    world = behind()
    for pod in world.pods(world.rolling or ""):
        pod["status"] = {}
    passes(world, ready=False)
    assert (copied(world), weights(world)[PREVIEW]) == (0, 0)


def test_a_newer_version_takes_its_place() -> None:
    world = behind()
    second = world.rolling
    world.put(a_version(3))
    passes(world, 100)
    assert second not in world.replicas()
    assert (copied(world), selects(world, PREVIEW)) == (100, world.rolling)


def test_behind_a_gateway_that_is_not_known_to_copy_nothing_is_risked() -> None:
    world = serving(strategy={"shadow": {}})
    world.gateways(controller="acme.dev/gateway")
    world.put(a_version(2))
    written = len(world.writes)
    passes(world, 100, gateways=False)
    assert world.condition("Stalled") == ("True", "MirrorNotPossible")
    assert "Gateway public is of the controller acme.dev/gateway" in world.message("Stalled")
    assert "chart's mirroringGateways" in world.message("Stalled")
    assert world.status["rollout"]["held"] == "MirrorNotPossible"
    assert not [write for write in world.writes[written:] if "HTTPRoute" in str(write)]
    world.gateways()
    passes(world, 100)
    assert copied(world) == 100


def test_one_of_two_gateways_that_does_not_copy_is_enough() -> None:
    two = {"parentRefs": [{"name": "public"}, {"name": "private"}]}
    world = serving(strategy={"shadow": {}}, route=two)
    _, second = route(world)["status"]["parents"]
    second["controllerName"] = "acme.dev/gateway"
    world.put(a_version(2))
    passes(world, gateways=False)
    assert "Gateway private is of the controller acme.dev/gateway" in world.message("Stalled")
    assert copied(world) == 0


def test_another_gateway_gets_none_before_it_is_known_to_copy() -> None:
    world = behind()
    world.change(route={"parentRefs": [{"name": "other"}]})
    passes(world, gateways=False)
    assert copied(world) == 0
    assert "Gateway other has not taken the route yet" in world.message("Stalled")


def test_a_gateway_that_refuses_the_copies_ends_it() -> None:
    world = behind()
    world.gateways("False", "unsupported filter RequestMirror")
    world.reconcile()
    world.reconcile()
    assert (world.rolling, copied(world)) == (None, 0)
    assert world.candidate(2)["reason"] == "MirrorRefused"
    passes(world)
    assert "unsupported filter RequestMirror; strategy.shadow needs a gateway that" in world.message("Ready")
    passes(world, 1000)
    assert reasons(world).count("RolledBack") == 1, "it is not tried again and again"
    ask(world, ANNOTATION_RETRY)
    assert copied(world) == 100


def test_where_the_cluster_drops_the_share_it_says_so() -> None:
    world = serving(strategy={"shadow": {"percent": 25}})
    world.put(a_version(2))
    for _ in range(60):
        world.controller()
        for name in world.replicas():
            world.make_ready(name)
        world.controller()
        for one in filters(world):
            one["requestMirror"].pop("percent", None)
        world.gateways()
        world.reconcile()
        world.pass_time(2)
    assert "traffic moves over: its HTTPRoutes know no percent" in world.message("Ready")


def test_what_others_wrote_in_the_route_stays() -> None:
    world = serving(strategy={"shadow": {}})
    theirs: Body = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "audit", "port": 80}}}
    docs = {"matches": [{"path": {"type": "Exact", "value": "/docs"}}], "backendRefs": [{"name": "docs", "port": 80}]}
    (ours,) = route(world)["spec"]["rules"]
    edited = {**ours, "filters": [*FILTERS, theirs], "timeouts": {"request": "2s"}}
    world.put(merged(route(world), {"spec": {"rules": [docs, edited]}}))
    world.put(a_version(2))
    passes(world)
    first, second = route(world)["spec"]["rules"]
    assert first == docs
    assert second == {**edited, "filters": [*FILTERS, theirs, OURS]}
    moved = {**second, "filters": [OURS, *FILTERS, theirs]}
    world.put(merged(route(world), {"spec": {"rules": [docs, moved]}}))
    written = len(world.writes)
    passes(world)
    assert len(world.writes) == written, "its place is theirs to say"
    ask(world, ANNOTATION_SKIP_STEP)
    passes(world)
    assert route(world)["spec"]["rules"] == [docs, edited]


def test_a_copy_that_somebody_took_away_comes_back() -> None:
    world = behind(percent=25)
    (rule,) = route(world)["spec"]["rules"]
    wanted = rule["filters"]
    for wrong in ([], [OURS], [OURS, OURS], [*FILTERS]):
        world.put(merged(route(world), {"spec": {"rules": [{**rule, "filters": wrong}]}}))
        passes(world)
        assert [one for one in filters(world) if one not in FILTERS] == wanted


def test_no_request_meets_a_revision_without_a_ready_pod_on_the_way() -> None:
    world = serving(strategy={"shadow": {}})
    requests = Requests(world)
    world.put(a_version(2))
    for turn in range(120):
        if turn == 60:
            world.annotate(ANNOTATION_SKIP_STEP, "1")
        world.controller()
        for name in world.replicas():
            world.make_ready(name)
        world.controller()
        world.gateways()
        world.reconcile()
        requests.check(3)
        world.pass_time(2)
    assert world.serves == 2


def test_a_broken_stable_one_does_not_hold_its_fix_back() -> None:
    world = behind()
    world.break_pods(world.stable, exited(1, restarts=9))
    passes(world, 60)
    assert (world.serves, copied(world)) == (2, 0)
