"""The HTTPRoute of a ModelDeployment, on a real API server with the Gateway API; the test plays the gateway."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import DEPLOYMENTS, HORIZONTALPODAUTOSCALERS, HTTPROUTES, MODELDEPLOYMENTS, SERVICES
from perennial.modeldeployment.route import matched
from perennial.plan import Body
from perennial.strategies.hashed_key import pattern
from tests.apiserver.operators import USER, Perennial, apply_gateway_kinds, apply_kinds, eventually
from tests.apiserver.serving import Serving
from tests.apiserver.space import Space
from tests.gateways import CONTROLLER, answer

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
ROUTE: Body = {"parentRefs": [{"name": "public"}], "hostnames": ["churn.acme.dev"]}
CANARY: Body = {"canary": {"steps": [{"setWeight": 7}, {"pause": {}}]}}


@pytest.fixture
def serving(space: Space) -> Serving:
    return Serving(space)


def weights(serving: Serving) -> dict[str, int]:
    rules = serving.space.there(HTTPROUTES, "churn")["spec"]["rules"]
    (refs,) = [rule["backendRefs"] for rule in rules if rule["backendRefs"][0]["name"] == "churn"]
    return {ref["name"]: ref["weight"] for ref in refs}


def takes(serving: Serving, status: str = "True", message: str = "", controller: str = CONTROLLER) -> None:
    """What a gateway does when it has looked at the route as it is now."""
    said = answer(serving.space.there(HTTPROUTES, "churn"), status, message, controller)
    serving.space.patch(HTTPROUTES, "churn", {"status": said}, "status")


def first(serving: Serving, **spec: Body) -> str:
    """Version 1 serves behind a gateway."""
    serving.version(1)
    serving.deploy(**{"route": ROUTE, "strategy": CANARY, **spec})
    revision = serving.rolling()
    serving.ready(revision)
    takes(serving)
    serving.says("Ready", "True", "Serving")
    return revision


def test_a_canary_gets_its_weight_when_the_gateway_has_taken_it(serving: Serving) -> None:
    old = first(serving)
    assert weights(serving) == {"churn": 100, "churn-preview": 0}
    serving.space.rests(3)
    serving.version(2)
    new = serving.rolling()
    serving.ready(new)
    eventually(lambda: serving.pinned("churn-preview") == new, 30)
    eventually(lambda: weights(serving) == {"churn": 93, "churn-preview": 7}, 30)
    assert serving.pinned() == old
    assert serving.status["traffic"]["actualWeight"] == 0
    takes(serving)
    eventually(lambda: serving.status["traffic"].get("actualWeight") == 7)
    eventually(lambda: serving.status["rollout"]["step"] == 1, 30)
    serving.asks("promote", "1")
    eventually(lambda: weights(serving) == {"churn": 0, "churn-preview": 100}, 30)
    takes(serving)
    eventually(lambda: serving.pinned() == new, 30)
    eventually(lambda: weights(serving) == {"churn": 100, "churn-preview": 0}, 30)
    takes(serving)
    serving.says("Ready", "True", "Serving")
    eventually(lambda: serving.wanted(old) == 0, 30)
    serving.space.rests(3)
    assert serving.space.requests()["patch httproutes"] == 3


def test_the_canary_has_an_autoscaler_of_its_own(serving: Serving) -> None:
    """Kubernetes' own autoscaler: nothing is measured here, so it keeps what it finds within its bounds."""
    steps = [{"setWeight": 10}, {"pause": {}}, {"setWeight": 100}, {"pause": {}}]
    old = first(
        serving, replicas=2, autoscaling={"maxReplicas": 5}, strategy={"canary": {"steps": steps}}, scaleDownDelay="0s"
    )
    serving.ready(old, 2)
    serving.version(2)
    new = serving.rolling()
    serving.ready(new)
    spec = serving.space.there(HORIZONTALPODAUTOSCALERS, "churn-preview")["spec"]
    assert (spec["scaleTargetRef"]["name"], spec["minReplicas"], spec["maxReplicas"]) == (new, 1, 5)
    eventually(lambda: serving.space.there(HORIZONTALPODAUTOSCALERS, "churn")["spec"]["minReplicas"] == 2)
    eventually(lambda: weights(serving)["churn-preview"] == 10, 30)
    takes(serving)
    eventually(lambda: serving.status["rollout"]["step"] == 1, 30)
    assert serving.status["selector"].endswith(old)
    # As it would be scaled by its load.
    serving.space.patch(DEPLOYMENTS, new, {"spec": {"replicas": 3}})
    serving.ready(new, 3)
    serving.space.rests(5)
    assert (serving.wanted(old), serving.wanted(new)) == (2, 3)
    serving.asks("abort", "1")
    eventually(lambda: serving.space.get(HORIZONTALPODAUTOSCALERS, "churn-preview") is None)
    takes(serving)
    eventually(lambda: not serving.space.get(DEPLOYMENTS, new) or serving.wanted(new) == 0, 30)
    eventually(lambda: serving.space.there(HORIZONTALPODAUTOSCALERS, "churn")["spec"]["minReplicas"] == 1)

    serving.asks("retry", "1")
    serving.ready(serving.rolling())
    eventually(lambda: weights(serving)["churn-preview"] == 10, 30)
    takes(serving)
    eventually(lambda: serving.status["rollout"]["step"] == 1, 30)
    serving.asks("skip-step", "2")
    # It, and not the operator, brings the second pod.
    serving.ready(new, 2)
    eventually(lambda: weights(serving)["churn-preview"] == 100, 30)
    takes(serving)
    eventually(lambda: serving.status["selector"].endswith(new), 30)
    serving.asks("promote", "3")
    eventually(lambda: serving.pinned() == new, 30)
    takes(serving)
    serving.says("Ready", "True", "Serving", 40)
    assert serving.space.get(HORIZONTALPODAUTOSCALERS, "churn-preview") is None
    assert serving.wanted(new) == 2


def test_what_is_wrong_with_it_is_told_in_the_gateways_words(serving: Serving) -> None:
    first(serving)
    takes(serving, "False", "no listener takes this host")
    assert serving.says("Stalled", "True", "RouteNotAccepted").endswith("no listener takes this host")
    serving.edit(route={"hostnames": ["b.acme.dev"]})
    eventually(lambda: serving.space.there(HTTPROUTES, "churn")["spec"]["hostnames"] == ["b.acme.dev"])
    eventually(lambda: serving.says("Ready", "False", "RouteNotAccepted").endswith("has not taken it yet"))
    takes(serving)
    serving.says("Ready", "True", "Serving")


def test_what_others_add_stays_and_what_is_ours_comes_back(serving: Serving) -> None:
    first(serving)
    rules = serving.space.there(HTTPROUTES, "churn")["spec"]["rules"]
    theirs = {"matches": [{"path": {"type": "Exact", "value": "/docs"}}], "backendRefs": [{"name": "docs", "port": 80}]}
    ours = {**rules[0], "timeouts": {"request": "2s"}, "backendRefs": rules[0]["backendRefs"][:1]}
    serving.space.patch(HTTPROUTES, "churn", {"spec": {"rules": [theirs, ours], "hostnames": None}})
    eventually(lambda: serving.space.there(HTTPROUTES, "churn")["spec"].get("hostnames") == ROUTE["hostnames"])
    docs, mended = serving.space.there(HTTPROUTES, "churn")["spec"]["rules"]
    assert docs["backendRefs"][0]["name"] == "docs"
    assert mended == {**rules[0], "timeouts": {"request": "2s"}}
    serving.space.rests(3)
    serving.space.delete(HTTPROUTES, "churn")
    eventually(lambda: len(serving.space.there(HTTPROUTES, "churn")["spec"]["rules"]) == 1)
    takes(serving)
    serving.edit(route=None)
    eventually(lambda: serving.space.get(HTTPROUTES, "churn") is None)
    eventually(lambda: serving.space.get(SERVICES, "churn-preview") is None)
    serving.says("Ready", "True", "Serving")


def test_a_route_of_somebody_else_is_not_touched(serving: Serving) -> None:
    theirs = serving.space.make(HTTPROUTES, "churn", {"parentRefs": [{"name": "theirs"}]})
    serving.serve_first()
    serving.edit(route=ROUTE)
    assert serving.says("Stalled", "True", "NameTaken").startswith("spec.route: HTTPRoute churn: ")
    serving.edit(route=None)
    serving.says("Ready", "True", "Serving")
    assert serving.space.there(HTTPROUTES, "churn")["spec"] == theirs["spec"]


def by_example(serving: Serving, name: str) -> None:
    """Version 1 serves as an example of the documentation says."""
    serving.version(1)
    serving.space.server.kubectl("apply", "-n", serving.space.name, "-f", str(EXAMPLES / name))
    serving.ready(serving.rolling(), 2)
    takes(serving)
    serving.says("Ready", "True", "Serving")


def test_the_example_of_the_documentation(serving: Serving) -> None:
    by_example(serving, "route.yaml")
    assert weights(serving) == {"churn": 100, "churn-preview": 0}


def test_keys_are_split_as_the_example_of_the_documentation_says(serving: Serving) -> None:
    by_example(serving, "hashedkey.yaml")
    serving.version(2)
    new = serving.rolling()
    serving.ready(new, 2)
    keyed = eventually(lambda: matched(serving.space.get(HTTPROUTES, "churn"), "churn"), 30) or []
    headers = [one["headers"] for rule in keyed for one in rule["matches"]]
    assert headers == [[{"name": "x-user-hash", "type": "RegularExpression", "value": pattern(25)}]]
    assert (serving.status["traffic"]["requestedWeight"], serving.status["traffic"]["actualWeight"]) == (25, 0)
    takes(serving)
    eventually(lambda: serving.status["traffic"].get("actualWeight") == 25)
    eventually(lambda: "stepTime" in serving.status["rollout"], 30)
    serving.space.rests(3)
    assert weights(serving) == {"churn": 100, "churn-preview": 0}
    assert serving.space.requests()["patch httproutes"] == 1


def filters(serving: Serving) -> list[Body]:
    """Those of the rule that leads here."""
    (rule,) = serving.space.there(HTTPROUTES, "churn")["spec"]["rules"]
    return list(rule.get("filters", ()))


def test_a_shadow_gets_copies_beside_the_filters_of_others(serving: Serving) -> None:
    old = first(serving, strategy={"shadow": {"percent": 25}})
    theirs = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x", "value": "1"}]}}
    (rule,) = serving.space.there(HTTPROUTES, "churn")["spec"]["rules"]
    serving.space.patch(HTTPROUTES, "churn", {"spec": {"rules": [{**rule, "filters": [theirs]}]}})
    takes(serving)
    serving.version(2)
    new = serving.rolling()
    serving.ready(new)
    eventually(lambda: len(filters(serving)) == 2, 30)
    kept, copies = filters(serving)
    backend = copies["requestMirror"]["backendRef"]
    assert (kept, copies["requestMirror"]["percent"]) == (theirs, 25)
    assert (backend["name"], serving.pinned("churn-preview"), serving.pinned()) == ("churn-preview", new, old)
    assert "previewMirrored" not in serving.status["traffic"]
    takes(serving)
    eventually(lambda: serving.status["traffic"].get("previewMirrored") == 25)
    assert weights(serving) == {"churn": 100, "churn-preview": 0}
    eventually(lambda: "stepTime" in serving.status["rollout"], 30)
    serving.space.rests(3)
    serving.asks("abort", "1")
    eventually(lambda: filters(serving) == [theirs])
    takes(serving)
    serving.says("Ready", "False", "Aborted")


def test_a_gateway_that_does_not_copy_is_not_told_to_and_one_that_refuses_ends_it(serving: Serving) -> None:
    first(serving, strategy={"shadow": {}})
    takes(serving, controller="acme.dev/gateway")
    serving.version(2)
    assert "acme.dev/gateway, and that is not known to copy requests" in serving.says(
        "Stalled", "True", "MirrorNotPossible"
    )
    serving.space.rests(3)
    assert filters(serving) == []
    takes(serving)
    serving.ready(serving.rolling())
    eventually(lambda: filters(serving), 30)
    takes(serving, "False", "unsupported filter")
    eventually(lambda: filters(serving) == [])
    takes(serving)
    assert "unsupported filter; strategy.shadow needs" in serving.says("Ready", "False", "RolloutFailed")


def test_the_example_of_a_shadow(serving: Serving) -> None:
    by_example(serving, "shadow.yaml")


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[ApiServer]:
    """A cluster without the Gateway API."""
    with ApiServer(tmp_path, users={USER: ["system:masters"]}, controller_manager=True) as server:
        apply_kinds(server)
        yield server


def test_without_the_gateway_api_it_says_so_and_takes_notice_when_it_comes(plain: ApiServer, config: Path) -> None:
    with Perennial(plain, "perennial-0", config) as perennial:
        perennial.started()
        serving = Serving(Space(plain))
        serving.serve_first()
        serving.edit(route=ROUTE)
        assert "install the Gateway API" in serving.says("Stalled", "True", "GatewayAPIMissing")
        serving.says("Available", "True", "Serving")
        apply_gateway_kinds(plain)
        # To be started again, by the kubelet.
        assert perennial.exit_code(60) == 0
        perennial.restart()
        serving.space.there(HTTPROUTES, "churn")
        takes(serving)
        serving.says("Ready", "True", "Serving", 40)
        plain.request(
            "DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/httproutes.gateway.networking.k8s.io"
        )
        assert perennial.exit_code(60) == 0
        perennial.restart()
        serving.says("Stalled", "True", "GatewayAPIMissing", 40)
        assert serving.space.there(MODELDEPLOYMENTS, "churn")["status"]["stableRevision"]
