"""The HTTPRoute of a ModelDeployment: what is wanted of it, and what a gateway says of it.

Gateway API v1 (https://gateway-api.sigs.k8s.io). Others may write in it: their rules, filters and backends stay.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from perennial.api.conditions import find
from perennial.api.resources import HTTPROUTES
from perennial.api.route import Route
from perennial.modeldeployment.children import SERVICE_PORT, beside
from perennial.modeldeployment.snapshot import Snapshot, preview_name
from perennial.plan import Action, Body, Create, Delete, Patch
from perennial.strategies.hashed_key import percent_of

# Of requests: the headers of an HTTPRouteMatch, for each of the alternatives.
Matches = Sequence[list[Body]]
_MIRROR = "RequestMirror"
# Controllers with that filter in their documentation or conformance report, as a route's status names them.
_MIRRORING = (
    "gateway.envoyproxy.io/gatewayclass-controller",
    "gateway.nginx.org/nginx-gateway-controller",
    "io.cilium/gateway-controller",
    "istio.io/gateway-controller",
    "kgateway.dev/kgateway",
    "projectcontour.io/gateway-controller",
)
ACCEPTED, _RESOLVED = "Accepted", "ResolvedRefs"
# By which a gateway tells of a parent that it took.
_PARENT = ("group", "kind", "namespace", "name", "sectionName", "port")
_DEFAULTS: Body = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}


def routing(
    seen: Snapshot, asked: Route | None, weight: int | None, match: Matches = (), mirror: int = 0
) -> Iterator[Action]:
    """What makes the route as it is wanted. `weight`: percent for the preview Service; None: there is none. `match`:
    the conditions of requests that are all for it. `mirror`: percent of which it gets copies."""
    there = seen.route
    if asked is None:
        if there is not None and not there["metadata"].get("deletionTimestamp"):
            yield Delete(HTTPROUTES, seen.namespace, seen.name, there["metadata"]["uid"])
        return
    spec: Body = {
        "parentRefs": [parent.body() for parent in asked.parent_refs],
        "hostnames": asked.hostnames or None,
        "rules": rules(_rules(there), seen.name, weight, match, mirror),
    }
    if there is None:
        made = {key: value for key, value in spec.items() if value is not None}
        yield Create(beside(seen, HTTPROUTES, seen.name, made))
        return
    now = there.get("spec") or {}
    changed = {key: value for key, value in spec.items() if _plain(key, now.get(key)) != _plain(key, value)}
    if changed:
        yield Patch(HTTPROUTES, seen.namespace, seen.name, {"spec": changed}, there["metadata"]["uid"])


def rules(now: Sequence[Body], name: str, weight: int | None, match: Matches = (), mirror: int = 0) -> list[Body]:
    """The rules with the weights of our two Services and the copies, and before them those by conditions; a rule of our
    own where none leads to them."""
    others = [rule for rule in now if not _matched(rule, name)]
    if not any(_leads(rule, name) for rule in others):
        others.append({"backendRefs": [{"name": name}]})
    found: list[Body] = []
    for rule in others:
        if not _leads(rule, name):
            found.append(rule)
            continue
        led = {**rule, "backendRefs": _backends(rule["backendRefs"], name, weight)}
        if match:
            found.append(_for_preview(_mirroring(led, name, 0), name, match))
        found.append(_mirroring(led, name, mirror))
    return found


def matched(route: Body | None, name: str) -> list[Body]:
    """The rules by which requests that carry something are all for the preview Service."""
    return [rule for rule in _rules(route) if _matched(rule, name)]


def weight_of(route: Body | None, name: str) -> int | None:
    """Percent for the preview Service as the route says it; None when it says nothing of it."""
    for rule in _rules(route):
        if _leads(rule, name):
            found = {ref["name"]: ref.get("weight", 1) for ref in rule["backendRefs"] if _ours(ref, name)}
            return int(found.get(preview_name(name), 0))
    return None


def percent_by_key(route: Body | None, name: str) -> int | None:
    """Percent of the keys in some header that are for the preview Service; None where they are not split so."""
    for rule in matched(route, name):
        for one in rule.get("matches") or ():
            for header in one.get("headers") or ():
                if percent := percent_of(header["value"]):
                    return percent
    return None


def matches(route: Body | None, name: str, match: Matches) -> bool:
    """Whether the requests that are all for the preview Service, if any are, are those of these conditions."""
    now = _rules(route)
    return not matched(route, name) or list(now) == rules(now, name, weight_of(route, name), match)


def mirrored(route: Body | None, name: str) -> int:
    """Percent of the requests of which the preview Service gets copies, as the route says it."""
    ours = next((rule for rule in _rules(route) if _leads(rule, name)), {})
    for one in ours.get("filters") or ():
        if _copies(one, name):
            return int(one["requestMirror"].get("percent", 100))
    return 0


def unmirrored(route: Body | None, asked: Route, more: Collection[str]) -> str:
    """Why no requests may be copied; empty when each gateway that is asked for is known to do that, or of one of `more`
    controllers.

    One that does not know a filter answers every request with an error, and some of them say nothing of it
    (https://gateway-api.sigs.k8s.io/api-types/httproute/#filters-optional).
    """
    for parent in asked.parent_refs:
        wanted = parent.body()
        of_it = [one for one in _parents(route or {}) if route and _same(one.get("parentRef") or {}, wanted, route)]
        if not of_it:
            return f"{_named(wanted)} has not taken the route yet"
        for one in of_it:
            if one.get("controllerName") not in (*_MIRRORING, *more):
                return (
                    f"{_named(wanted)} is of the controller {one.get('controllerName')}, and that is not known to copy "
                    "requests: one that does not know the filter RequestMirror would answer all of them with errors. "
                    "Use another gateway or strategy; if it does, an administrator adds it to the chart's "
                    "mirroringGateways"
                )
    return ""


def refused(route: Body, types: Sequence[str] = (ACCEPTED, _RESOLVED)) -> str:
    """Why a gateway does not take the route as it is now; empty while none says so, by a condition of these types."""
    for parent in _parents(route):
        for condition in (find(parent.get("conditions"), type_) for type_ in types):
            if condition and condition["status"] == "False" and _is_current(condition, route):
                said = condition.get("message") or condition.get("reason") or condition["type"]
                return f"{_named(parent.get('parentRef') or {})}: {said}"
    return ""


def accepted(route: Body | None) -> bool:
    """Whether each gateway that is asked for has taken the route as it is now, and found all that it leads to."""
    return not pending(route)


def pending(route: Body | None) -> str:
    """Which gateway has not taken the route as it is now; empty when all have."""
    if route is None:
        return "the route is being made"
    for wanted in (route.get("spec") or {}).get("parentRefs") or ():
        of_it = [one for one in _parents(route) if _same(one.get("parentRef") or {}, wanted, route)]
        if not any(_takes(one, route) for one in of_it):
            return f"{_named(wanted)} has not taken it yet"
    return ""


def _takes(parent: Body, route: Body) -> bool:
    conditions = [find(parent.get("conditions"), type_) for type_ in (ACCEPTED, _RESOLVED)]
    return all(one is not None and one["status"] == "True" and _is_current(one, route) for one in conditions)


def _is_current(condition: Mapping[str, Any], route: Body) -> bool:
    generation: int = route["metadata"].get("generation", 0)
    observed = condition.get("observedGeneration")
    return isinstance(observed, int) and observed >= generation


def _same(one: Body, other: Body, route: Body) -> bool:
    known = {**_DEFAULTS, "namespace": route["metadata"]["namespace"]}
    return all((one.get(key) or known.get(key)) == (other.get(key) or known.get(key)) for key in _PARENT)


def _named(parent: Body) -> str:
    return f"{parent.get('kind') or _DEFAULTS['kind']} {parent.get('name', '')}"


def _parents(route: Body) -> Sequence[Body]:
    return (route.get("status") or {}).get("parents") or ()


def _rules(route: Body | None) -> Sequence[Body]:
    return ((route or {}).get("spec") or {}).get("rules") or ()


def _leads(rule: Body, name: str) -> bool:
    """Whether requests of this rule are shared between the revisions."""
    return any(_ours(ref, name) and ref["name"] == name for ref in rule.get("backendRefs") or ())


def _ours(ref: Body, name: str) -> bool:
    local = not ref.get("namespace") and (ref.get("kind") or "Service") == "Service" and not ref.get("group")
    return local and ref.get("name") in (name, preview_name(name))


def _matched(rule: Body, name: str) -> bool:
    refs: Sequence[Body] = rule.get("backendRefs") or ()
    return len(refs) == 1 and _ours(refs[0], name) and refs[0]["name"] == preview_name(name)


def _for_preview(led: Body, name: str, match: Matches) -> Body:
    """The same rule for requests under conditions, which a gateway prefers for having more of them."""
    (preview,) = [ref for ref in led["backendRefs"] if _ours(ref, name) and ref["name"] == preview_name(name)]
    plain = {key: value for key, value in led.items() if key != "name"}
    matches = [
        {**one, "headers": [*one.get("headers", ()), *conditions]}
        for one in led.get("matches") or [{}]
        for conditions in match
    ]
    return {**plain, "matches": matches, "backendRefs": [{**preview, "weight": 1}]}


def _mirroring(rule: Body, name: str, percent: int) -> Body:
    """The rule with our copies, or without them; the filters of others stay in their places."""
    share: Body = {} if percent == 100 else {"percent": percent}
    filters: list[Body] = []
    for one in rule.get("filters") or ():
        if not _copies(one, name):
            filters.append(one)
        elif percent:
            backend = {**one["requestMirror"]["backendRef"], "port": SERVICE_PORT}
            filters.append({**one, "requestMirror": {"backendRef": backend, **share}})
            percent = 0
    if percent:
        backend = {"name": preview_name(name), "port": SERVICE_PORT}
        filters.append({"type": _MIRROR, "requestMirror": {"backendRef": backend, **share}})
    if filters == (rule.get("filters") or []):
        return rule
    others = {key: value for key, value in rule.items() if key != "filters"}
    return {**others, "filters": filters} if filters else others


def _copies(one: Body, name: str) -> bool:
    """Whether a filter makes our copies."""
    ref = (one.get("requestMirror") or {}).get("backendRef") or {}
    return one.get("type") == _MIRROR and _ours(ref, name) and ref["name"] == preview_name(name)


def _backends(now: Sequence[Body], name: str, weight: int | None) -> list[Body]:
    shares = {name: 100 - (weight or 0)} | ({} if weight is None else {preview_name(name): weight})
    backends = []
    for ref in now:
        if not _ours(ref, name):
            backends.append(ref)
        elif ref["name"] in shares:
            backends.append({**ref, "port": SERVICE_PORT, "weight": shares.pop(ref["name"])})
    return [*backends, *({"name": service, "port": SERVICE_PORT, "weight": share} for service, share in shares.items())]


def _plain(key: str, value: Any) -> Any:
    """Without what the API server fills in where nothing was said."""
    if key != "parentRefs" or value is None:
        return value
    return [_DEFAULTS | parent for parent in value]
