"""A canary by the weights of an HTTPRoute: exact, in the right order, and beside what others write in the route."""

from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.api.meta import ANNOTATION_ABORT, ANNOTATION_PROMOTE, ANNOTATION_SKIP_STEP, LABEL_REVISION
from perennial.api.resources import HTTPROUTES, SERVICES
from perennial.modeldeployment.route import matched, mirrored, rules
from perennial.plan import Body
from perennial.strategies.hashed_key import pattern
from perennial.view import Refusal
from tests.unit.modeldeployment.play import ask, at, passes, reported
from tests.unit.modeldeployment.world import NAME, World, a_version, exited, is_ready, merged

PREVIEW = f"{NAME}-preview"
ROUTE: Body = {"parentRefs": [{"name": "public", "namespace": "infra"}], "hostnames": ["churn.acme.dev"]}
STEPS = [{"setWeight": 7}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]


def serving(**spec: Any) -> World:
    """Version 1 serves with three pods behind a gateway."""
    plain = {"replicas": 3, "strategy": {"canary": {"steps": STEPS}}, "route": ROUTE, "scaleDownDelay": "0s"}
    world = World(a_version(1), **{**plain, **spec})
    passes(world)
    return world


def rolling(**spec: Any) -> World:
    """Version 2 gets 7 percent, until a person goes on."""
    world = serving(**spec)
    world.put(a_version(2))
    passes(world)
    return world


def route(world: World) -> Body:
    return world.objects[HTTPROUTES, NAME]


def weights(world: World) -> dict[str, int]:
    (rule,) = route(world)["spec"]["rules"]
    return {ref["name"]: ref["weight"] for ref in rule["backendRefs"]}


def selects(world: World, service: str) -> str | None:
    selector: dict[str, str] = world.objects[SERVICES, service]["spec"]["selector"]
    return selector.get(LABEL_REVISION)


def test_the_route_leads_to_the_service_and_nobody_to_the_preview() -> None:
    world = serving()
    assert route(world)["spec"]["parentRefs"] == ROUTE["parentRefs"]
    assert route(world)["spec"]["hostnames"] == ROUTE["hostnames"]
    assert weights(world) == {NAME: 100, PREVIEW: 0}
    assert world.condition("Ready") == ("True", "Serving")
    written = len(world.writes)
    passes(world, 100)
    assert len(world.writes) == written


def test_the_weight_is_exact_and_the_stable_one_keeps_its_pods() -> None:
    world = rolling()
    old, new = world.stable, world.rolling
    assert weights(world) == {NAME: 93, PREVIEW: 7}
    assert world.replicas() == {old: 3, new: 1}
    assert (world.pinned, selects(world, PREVIEW)) == (old, new)
    assert at(world) == (2, 7)
    assert world.status["selector"] == f"perennial.dev/modeldeployment={NAME}", "both get requests"
    traffic = world.status["traffic"]
    assert (traffic["mechanism"], traffic["requestedWeight"]) == ("HTTPRoute", 7)
    assert "gets 7% of the requests, until a person goes on" in world.message("Ready")
    ask(world, ANNOTATION_SKIP_STEP)
    assert (at(world), weights(world)) == ((4, 50), {NAME: 50, PREVIEW: 50})
    assert world.replicas() == {old: 3, new: 2}
    ask(world, ANNOTATION_SKIP_STEP, "2")
    assert world.serves == 2
    assert world.pinned == new
    passes(world)
    assert weights(world) == {NAME: 100, PREVIEW: 0}
    assert world.status["selector"] == f"perennial.dev/modeldeployment={NAME},{LABEL_REVISION}={new}"
    assert world.replicas() == {old: 0, new: 3}


def test_the_time_of_a_step_begins_when_every_gateway_has_taken_the_weight() -> None:
    world = serving(strategy={"canary": {"steps": [{"setWeight": 7}, {"pause": {"duration": "1m"}}]}})
    world.put(a_version(2))
    passes(world, 300, gateways=False)
    assert weights(world) == {NAME: 93, PREVIEW: 7}
    assert (world.status["rollout"]["step"], world.status["traffic"]["actualWeight"]) == (0, 0)
    assert "traffic moves over: Gateway public has not taken it yet" in world.message("Ready")
    passes(world, 40)
    assert at(world) == (2, 7)
    passes(world, 100)
    assert world.serves == 2


def test_what_a_gateway_says_against_the_route_is_told() -> None:
    world = serving()
    world.gateways("False", "no listener takes churn.acme.dev")
    world.reconcile()
    assert world.condition("Ready") == ("False", "RouteNotAccepted")
    assert world.message("Stalled") == "HTTPRoute churn: Gateway public: no listener takes churn.acme.dev"
    assert world.condition("Available") == ("True", "Serving")


def test_a_gateway_that_says_nothing_is_told_of() -> None:
    world = World(a_version(1), replicas=1, route=ROUTE)
    passes(world, gateways=False)
    assert world.condition("Ready") == ("False", "RouteNotAccepted")
    assert world.message("Ready") == "HTTPRoute churn: Gateway public has not taken it yet"
    assert weights(world) == {NAME: 100}, "a rolling update shares by its pods"


def test_without_the_gateway_api_it_is_said_what_is_missing() -> None:
    world = World(a_version(1), replicas=1, route=ROUTE)
    world.refused[NAME] = Refusal(HTTPROUTES, NAME, "NotFound", "the server could not find the requested resource")
    passes(world)
    assert world.condition("Stalled") == ("True", "GatewayAPIMissing")
    assert "install the Gateway API" in world.message("Stalled")
    assert world.condition("Available") == ("True", "Serving")


def test_rolled_back_it_loses_the_requests_before_its_pods() -> None:
    world = rolling()
    new = world.rolling
    world.annotate(ANNOTATION_ABORT, "1")
    world.reconcile()
    world.reconcile()
    assert weights(world) == {NAME: 100, PREVIEW: 0}
    passes(world, 40, gateways=False)
    assert (world.replicas()[new], selects(world, PREVIEW)) == (1, new)
    passes(world)
    assert new not in world.replicas()
    assert selects(world, PREVIEW) == world.stable


def test_a_newer_version_takes_the_preview_only_when_nobody_is_sent_there() -> None:
    world = rolling()
    second = world.rolling
    world.put(a_version(3))
    passes(world, 40, gateways=False)
    assert world.rolling != second
    assert (weights(world)[PREVIEW], selects(world, PREVIEW), world.replicas()[second]) == (0, second, 1)
    passes(world, 60)
    assert second not in world.replicas()
    assert (weights(world)[PREVIEW], selects(world, PREVIEW)) == (7, world.rolling)


def test_paused_everything_stays() -> None:
    world = rolling()
    before = weights(world), world.replicas()
    world.change(paused=True)
    ask(world, ANNOTATION_SKIP_STEP)
    passes(world, 100)
    assert (weights(world), world.replicas()) == before


def test_a_broken_stable_one_does_not_hold_its_fix_back() -> None:
    world = rolling()
    world.break_pods(world.stable, exited(1, restarts=9))
    passes(world, 60)
    assert world.serves == 2
    assert weights(world) == {NAME: 100, PREVIEW: 0}


def test_without_the_field_the_route_goes_and_pods_share_again() -> None:
    world = rolling()
    world.change(route=None)
    passes(world)
    assert (HTTPROUTES, NAME) not in world.objects
    assert (SERVICES, PREVIEW) not in world.objects
    assert world.status["traffic"]["mechanism"] == "ReplicaRatio"
    assert world.pinned is None


FOREIGN: Body = {"name": "other", "namespace": "else", "port": 1, "weight": 5}
FILTERS = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x", "value": "1"}]}}]


def test_what_others_wrote_in_the_route_stays() -> None:
    world = serving()
    theirs = {"matches": [{"path": {"type": "Exact", "value": "/docs"}}], "backendRefs": [{"name": "docs", "port": 80}]}
    (ours,) = route(world)["spec"]["rules"]
    ours = {**ours, "filters": FILTERS, "timeouts": {"request": "2s"}, "backendRefs": [FOREIGN, *ours["backendRefs"]]}
    edited = {"spec": {"rules": [theirs, ours]}, "metadata": {"labels": {"team": "web"}}}
    world.put(merged(route(world), edited))
    written = len(world.writes)
    passes(world)
    assert len(world.writes) == written
    world.put(a_version(2))
    passes(world)
    first, second = route(world)["spec"]["rules"]
    assert first == theirs
    assert (second["filters"], second["timeouts"]) == (FILTERS, {"request": "2s"})
    assert second["backendRefs"] == [
        FOREIGN, {"name": NAME, "port": 80, "weight": 93}, {"name": PREVIEW, "port": 80, "weight": 7}
    ]  # fmt: skip
    assert route(world)["metadata"]["labels"]["team"] == "web"


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param({"rules": []}, id="no rule"),
        pytest.param({"rules": [{"backendRefs": [{"name": NAME, "port": 80}]}]}, id="no preview"),
        pytest.param({"parentRefs": [{"name": "theirs"}]}, id="another gateway"),
        pytest.param({"hostnames": None}, id="any host"),
    ],
)
def test_what_is_ours_is_put_right(edit: Body) -> None:
    world = rolling()
    before = route(world)["spec"]
    world.put(merged(route(world), {"spec": edit}))
    passes(world)
    assert route(world)["spec"] == before
    assert at(world) == (2, 7)


BETA: Body = {"headers": [{"name": "x-beta", "value": "yes"}]}
GROUP: Body = {"cookie": {"name": "group", "value": "b.1"}}


def conditions(world: World) -> list[list[Body]]:
    """Of the requests that are all for the new revision: the headers of each alternative."""
    found = matched(route(world), NAME)
    assert len(found) <= 1
    return [one["headers"] for rule in found for one in rule["matches"]]


def share_of(world: World) -> int:
    rules = [rule for rule in route(world)["spec"]["rules"] if len(rule["backendRefs"]) == 2]
    (rule,) = rules
    return int(rule["backendRefs"][1]["weight"])


def test_requests_with_a_header_come_before_any_weight() -> None:
    steps = [
        {"setHeaderRoute": {"match": [BETA, GROUP]}}, {"pause": {}}, {"setWeight": 10}, {"pause": {}},
        {"setHeaderRoute": {}}, {"pause": {}},
    ]  # fmt: skip
    world = serving(strategy={"canary": {"steps": steps}})
    assert conditions(world) == []
    world.put(a_version(2))
    passes(world, ready=False)
    assert conditions(world) == [], "not before its pod is ready"
    passes(world)
    assert conditions(world) == [
        [{"name": "x-beta", "type": "Exact", "value": "yes"}],
        [{"name": "Cookie", "type": "RegularExpression", "value": r"^(.*;\s*)?group=b\.1(;.*)?$"}],
    ]
    assert (at(world), share_of(world)) == ((2, 0), 0)
    assert world.status["traffic"]["previewMatched"]
    assert "gets 0% of the requests, and all that match" in world.message("Ready")
    ask(world, ANNOTATION_SKIP_STEP)
    assert (at(world), share_of(world), len(conditions(world))) == ((4, 10), 10, 2)
    ask(world, ANNOTATION_SKIP_STEP, "2")
    assert (at(world), conditions(world), weights(world)[PREVIEW]) == ((6, 10), [], 10)
    ask(world, ANNOTATION_SKIP_STEP, "3")
    assert world.serves == 2


def test_conditions_are_added_to_those_of_the_rule() -> None:
    path = {"path": {"type": "PathPrefix", "value": "/a"}, "headers": [{"name": "h", "value": "1"}]}
    led = {"name": "ours", "matches": [path, {}], "timeouts": {"request": "2s"}, "backendRefs": [{"name": NAME}]}
    first, second = rules([led], NAME, 5, [[{"name": "x", "value": "1"}]])
    assert first == {
        "matches": [
            {**path, "headers": [*path["headers"], {"name": "x", "value": "1"}]},
            {"headers": [{"name": "x", "value": "1"}]},
        ],
        "timeouts": {"request": "2s"},
        "backendRefs": [{"name": PREVIEW, "port": 80, "weight": 1}],
    }
    assert second["name"] == "ours"


def test_with_a_scale_of_its_own_it_has_pods_before_it_has_requests() -> None:
    steps = [
        {"setCanaryScale": {"weight": 100}}, {"pause": {}}, {"setCanaryScale": {"replicas": 2}}, {"setWeight": 1},
        {"pause": {}}, {"setCanaryScale": {"matchTrafficWeight": True}}, {"pause": {}},
    ]  # fmt: skip
    world = serving(strategy={"canary": {"steps": steps}})
    world.put(a_version(2))
    passes(world)
    assert (world.replicas()[world.rolling], weights(world)[PREVIEW]) == (3, 0)
    ask(world, ANNOTATION_SKIP_STEP)
    passes(world)
    assert (world.replicas()[world.rolling], weights(world)[PREVIEW]) == (2, 1)
    ask(world, ANNOTATION_SKIP_STEP, "2")
    passes(world)
    assert (world.replicas()[world.rolling], weights(world)[PREVIEW]) == (1, 1)


def test_an_ab_test_ends_by_hand() -> None:
    world = serving(strategy={"abTest": {"match": [GROUP], "replicas": 2}})
    world.put(a_version(2))
    passes(world)
    assert len(conditions(world)) == 1
    assert world.replicas() == {world.stable: 3, world.rolling: 2}
    assert "step 1 of 2, abTest: gets 0% of the requests, and all that match" in world.message("Ready")
    passes(world, 10_000)
    assert world.serves == 1
    ask(world, ANNOTATION_SKIP_STEP)
    passes(world)
    assert (world.serves, conditions(world), weights(world)[PREVIEW]) == (2, [], 0)


def split(percent: int) -> Body:
    return {"abTest": {"hashedKey": {"header": "x-user", "percent": percent}}}


def test_keys_are_split_when_every_gateway_has_taken_it() -> None:
    world = serving(strategy=split(25))
    world.put(a_version(2))
    passes(world, 300, gateways=False)
    traffic = world.status["traffic"]
    assert (traffic["requestedWeight"], traffic["actualWeight"]) == (25, 0)
    assert "traffic moves over: Gateway public has not taken it yet" in world.message("Ready")
    passes(world)
    assert conditions(world) == [[{"name": "x-user", "type": "RegularExpression", "value": pattern(25)}]]
    assert share_of(world) == 0, "who carries no key stays with the stable revision"
    traffic = world.status["traffic"]
    assert (traffic["requestedWeight"], traffic["actualWeight"]) == (25, 25)
    assert "abTest: gets the requests with 25% of the keys in x-user, until a person" in world.message("Ready")
    written = len(world.writes)
    passes(world, 100)
    assert len(world.writes) == written
    ask(world, ANNOTATION_SKIP_STEP)
    passes(world)
    assert (world.serves, conditions(world), weights(world)[PREVIEW]) == (2, [], 0)


def test_another_share_of_the_keys_is_told_and_timed_when_the_gateways_have_taken_it() -> None:
    world = serving(strategy=split(10))
    world.put(a_version(2))
    passes(world)
    world.change(strategy=split(20))
    passes(world, 100, gateways=False)
    assert conditions(world)[0][0]["value"] == pattern(20)
    traffic = world.status["traffic"]
    assert (traffic["requestedWeight"], traffic["actualWeight"]) == (20, 10)
    assert "stepTime" not in world.status["rollout"]
    passes(world)
    assert world.status["traffic"]["actualWeight"] == 20
    assert "stepTime" in world.status["rollout"]


def test_a_gateway_that_does_not_take_such_a_route_is_told_of() -> None:
    world = serving(strategy=split(25))
    world.put(a_version(2))
    passes(world)
    world.gateways("False", "regular expressions are not known here")
    world.reconcile()
    assert world.condition("Stalled") == ("True", "RouteNotAccepted")
    assert world.message("Stalled").endswith("regular expressions are not known here")


@pytest.mark.parametrize(("right", "serves"), [(0.9, 2), (0.5, 1)])
def test_an_ab_test_is_won_by_what_is_measured(right: float, serves: int) -> None:
    analysis = {"metrics": [{"name": "accuracy", "noWorseThanStableBy": 0.02}], "interval": "10s"}
    world = serving(strategy={"abTest": {"match": [GROUP], "duration": "10m", "analysis": analysis}})
    world.put(a_version(2))
    passes(world)
    new = world.rolling
    for _ in range(10):
        reported(world, world.stable, 0.9, 1000)
        reported(world, new, right, 1000)
        passes(world, 40)
    assert world.serves == 1, "not before its time"
    passes(world, 300)
    assert world.serves == serves


def test_rolled_back_nobody_is_sent_there_for_what_he_carries() -> None:
    world = serving(strategy={"abTest": {"match": [GROUP]}})
    world.put(a_version(2))
    passes(world)
    new = world.rolling
    world.annotate(ANNOTATION_ABORT, "1")
    world.reconcile()
    world.reconcile()
    assert conditions(world) == []
    passes(world, 40, gateways=False)
    assert (world.replicas()[new], selects(world, PREVIEW)) == (3, new)
    passes(world)
    assert selects(world, PREVIEW) == world.stable


_name = st.sampled_from([NAME, PREVIEW, "other"])
_ref = st.fixed_dictionaries(
    {"name": _name, "port": st.integers(1, 99)},
    optional={
        "weight": st.integers(0, 100),
        "namespace": st.sampled_from(["shop", "else"]),
        "kind": st.sampled_from(["Service", "Backend"]),
    },
)
_copy = st.fixed_dictionaries({"backendRef": _ref}, optional={"percent": st.integers(0, 100)})
_filter = st.sampled_from(FILTERS) | _copy.map(lambda copy: {"type": "RequestMirror", "requestMirror": copy})
_rule = st.fixed_dictionaries(
    {},
    optional={
        "backendRefs": st.lists(_ref, max_size=4),
        "filters": st.lists(_filter, min_size=1, max_size=3),
        "name": st.just("x"),
    },
)


@given(st.lists(_rule, max_size=4), st.none() | st.integers(0, 100), st.integers(0, 100))
def test_rules_keep_what_is_others_and_say_what_is_wanted(now: list[Body], weight: int | None, mirror: int) -> None:
    then = rules(now, NAME, weight, (), mirror)

    def foreign(every: list[Body]) -> list[Body]:
        refs = [ref for rule in every for ref in rule.get("backendRefs", ())]
        return [ref for ref in refs if ref["name"] == "other" or "namespace" in ref or ref.get("kind") == "Backend"]

    def rest(every: list[Body]) -> list[Body]:
        return [{**rule, "backendRefs": 0, "filters": theirs(rule)} for rule in every]

    def theirs(rule: Body) -> list[Body]:
        # Of rules that do not lead here, every filter is somebody else's.
        leads = any(ref["name"] == NAME and ref not in foreign([rule]) for ref in rule.get("backendRefs", ()))
        return [one for one in rule.get("filters", ()) if not leads or not ours(one)]

    def ours(one: Body) -> bool:
        ref = one.get("requestMirror", {}).get("backendRef", {})
        return ref.get("name") == PREVIEW and not foreign([{"backendRefs": [ref]}])

    assert foreign(then) == foreign(now)
    kept = [rule for rule in now if not matched({"spec": {"rules": [rule]}}, NAME)]
    assert rest(then[: len(kept)]) == rest(kept), "nothing but backends"
    assert rules(then, NAME, weight, (), mirror) == then, "said once"
    assert mirrored({"spec": {"rules": then}}, NAME) == mirror
    if weight is not None:
        matches = [[{"name": "x", "value": "1"}], [{"name": "y", "value": "2"}]]
        matching = rules(now, NAME, weight, matches, mirror)
        assert foreign(matching) == foreign(then), "those of the rule for some requests are all ours"
        assert rules(matching, NAME, weight, (), mirror) == then, "and taken back"
        assert rules(rules(now, NAME, 33, (), mirror), NAME, weight, (), mirror) == then


FRUGAL = {"canary": {"steps": STEPS, "stableScale": "MatchTrafficWeight"}}


def test_a_frugal_stable_one_has_the_pods_that_its_share_asks_for() -> None:
    world = rolling(strategy=FRUGAL, replicas=4)
    old, new = world.stable, world.rolling
    assert world.replicas() == {old: 4, new: 1}
    ask(world, ANNOTATION_SKIP_STEP)
    assert (weights(world), world.replicas()) == ({NAME: 50, PREVIEW: 50}, {old: 2, new: 2})
    ask(world, ANNOTATION_SKIP_STEP, "2")
    assert world.serves == 2
    passes(world)
    assert (weights(world), world.replicas()) == ({NAME: 100, PREVIEW: 0}, {old: 0, new: 4})


def test_a_frugal_stable_one_gets_the_requests_back_as_its_pods_come() -> None:
    world = rolling(strategy=FRUGAL, replicas=4)
    old, new = world.stable, world.rolling
    ask(world, ANNOTATION_SKIP_STEP)
    world.annotate(ANNOTATION_ABORT, "1")
    passes(world, ready=False)
    assert weights(world) == {NAME: 50, PREVIEW: 50}, "two pods bear no more than a half"
    assert world.replicas() == {old: 4, new: 2}
    world.make_ready(old, 3)
    passes(world, ready=False)
    assert weights(world) == {NAME: 75, PREVIEW: 25}
    assert world.replicas()[new] == 2, "somebody is still sent there"
    passes(world)
    assert weights(world) == {NAME: 100, PREVIEW: 0}
    assert world.replicas() == {old: 4}


@pytest.mark.parametrize("strategy", [FRUGAL, {"canary": {"steps": STEPS}}])
def test_without_a_ready_pod_nobody_is_sent_there(strategy: Body) -> None:
    world = rolling(strategy=strategy, progressDeadlineSeconds=3600)
    ask(world, ANNOTATION_SKIP_STEP)
    new = world.rolling
    for pod in world.pods(new or ""):
        pod["status"] = {}
    passes(world, ready=False)
    assert weights(world) == {NAME: 100, PREVIEW: 0}
    passes(world, 60)
    assert (world.rolling, weights(world)) == (new, {NAME: 50, PREVIEW: 50})


class Requests:
    """Where the requests of the last seconds may still go: neither gateways nor nodes know of a change at once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._known: deque[tuple[float, dict[str | None, int]]] = deque()

    def check(self, least: int = 0) -> None:
        """Every revision that may still be asked has a ready pod, and the one that served until now as many as its
        share of so many."""
        now = self.world.now.timestamp()
        self._known.append((now, self._asked()))
        while len(self._known) > 1 and self._known[1][0] <= now - 8:
            self._known.popleft()
        ready = {name for name in self.world.replicas() if any(map(is_ready, self.world.pods(name)))}
        for since, asked in self._known:
            for revision in asked:
                assert revision in ready or (revision is None and ready), f"{revision}, asked since {now - since} s"
            stable = self.world.stable
            bears = sum(map(is_ready, self.world.pods(stable)))
            wanted = asked.get(stable, 0) * least // 100
            assert bears >= wanted, f"{bears} ready pods, and for {wanted} asked since {now - since} s"

    def _asked(self) -> dict[str | None, int]:
        """Percent for each that is asked; of all rules the most."""
        refs = [ref for rule in route(self.world)["spec"]["rules"] for ref in rule["backendRefs"] if ref["weight"]]
        asked: dict[str | None, int] = {}
        for ref in refs:
            revision = selects(self.world, ref["name"])
            asked[revision] = max(asked.get(revision, 0), ref["weight"])
        return asked


_what = st.sampled_from(
    ["version", "passes", "passes", "silent", "skip", "promote", "abort", "pause", "go on", "broken", "fewer", "more"]
)
_load = st.sampled_from([{}, {PREVIEW: 1}, {PREVIEW: 5}, {PREVIEW: 9, NAME: 4}, {NAME: 6}, {NAME: 1}])


_CHANGING = [
    {"setHeaderRoute": {"match": [BETA]}}, {"pause": {"duration": "30s"}}, {"setCanaryScale": {"replicas": 3}},
    {"setWeight": 7}, {"pause": {}}, {"setHeaderRoute": {}}, {"setCanaryScale": {"matchTrafficWeight": True}},
    {"setWeight": 50}, {"pause": {}},
]  # fmt: skip


_strategy = st.just({"shadow": {"percent": 50}}) | st.builds(
    lambda steps, stable: {"canary": {"steps": steps, "stableScale": stable}},
    st.sampled_from([STEPS, _CHANGING]),
    st.sampled_from(["Full", "MatchTrafficWeight"]),
)


@settings(max_examples=60)
@given(_strategy, st.lists(_what | _load, max_size=12), st.booleans())
def test_requests_never_meet_a_revision_without_a_ready_pod(
    strategy: Body, what: list[str | dict[str, int]], autoscaled: bool
) -> None:
    bounds = {"autoscaling": {"minReplicas": 2, "maxReplicas": 8}} if autoscaled else {}
    world = serving(strategy=strategy, **bounds)
    requests, versions = Requests(world), iter(range(2, 99))

    def turns(number: int, gateways: bool = True) -> None:
        for _ in range(number):
            world.controller()
            for name in world.replicas():
                if not any(pod["status"].get("broken") for pod in world.pods(name)):
                    world.make_ready(name, 2)
            world.controller()
            if gateways:
                world.gateways()
            world.reconcile()
            world.controller()
            # Other replicas take a while to be there, or to go.
            requests.check(0 if autoscaled or "fewer" in what or "more" in what else 3)
            world.pass_time(2)

    for number, one in enumerate(what):
        match one:
            case dict():
                world.load = one
            case "version":
                world.put(a_version(next(versions)))
            case "skip":
                world.annotate(ANNOTATION_SKIP_STEP, str(number))
            case "promote":
                world.annotate(ANNOTATION_PROMOTE, str(number))
            case "abort":
                world.annotate(ANNOTATION_ABORT, str(number))
            case "pause" | "go on":
                world.change(paused=one == "pause")
            case "broken":
                if world.rolling and not share_of(world) and not conditions(world):
                    world.break_pods(world.rolling, exited(1, restarts=9))
            case "fewer" | "more":
                world.change(replicas=2 if one == "fewer" else 5)
        turns(12 if one == "passes" else 3, gateways=one != "silent")
    world.change(paused=False)
    turns(60)
    assert world.condition("Ready") is not None
