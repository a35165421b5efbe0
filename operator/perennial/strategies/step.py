"""How many pods each revision has next, and who gets the traffic, step by step towards what a strategy aims at.

Pure arithmetic on counts. It knows three parts: the incoming revision, the stable one, and those that leave (failed,
superseded, or kept warm after a promotion). When nothing is rolled out, the stable revision is the incoming one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods of one revision: how many its Deployment wants, how many there are, how many are ready."""

    wanted: int = 0
    present: int = 0
    ready: int = 0

    @property
    def count(self) -> int:
        """What they take of the cluster: a pod counts until it goes, and from when it is wanted."""
        return max(self.wanted, self.present)


@dataclass(frozen=True, slots=True)
class Limits:
    """`replicas` pods serve; during a rollout there are at most `surge` more, and `unavailable` fewer ready ones."""

    replicas: int
    surge: int
    unavailable: int

    @classmethod
    def of(cls, replicas: int, max_surge: int | str, max_unavailable: int | str) -> "Limits":
        """From numbers or percentages of `replicas`; the surge is rounded up, the unavailable down, as apps/v1 does."""
        surge = math.ceil(_share(max_surge, replicas))
        unavailable = min(math.floor(_share(max_unavailable, replicas)), replicas)
        # Percentages of few replicas can both round to nothing, and then nothing could move.
        return cls(replicas, surge, unavailable if surge or unavailable else min(1, replicas))

    @property
    def needed(self) -> int:
        """Ready pods that must be kept."""
        return self.replicas - self.unavailable

    @property
    def most(self) -> int:
        """Pods that there may be."""
        return self.replicas + self.surge


def _share(value: int | str, replicas: int) -> float:
    return value if isinstance(value, int) else replicas * int(value.rstrip("%")) / 100


class Traffic(Enum):
    """Which pods the Service selects; `LEAVING`, which is never aimed at: those of one rolled back or superseded."""

    INCOMING = "incoming"
    STABLE = "stable"
    SHARED = "shared"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class Route:
    """What a gateway does, which shares the requests by weights: `weight` percent go to the preview Service, and that
    selects `leads`; None for anything else. `matched`: those that carry something go there, too; `mirrored`: and copies
    of so many percent, whose answers are dropped."""

    weight: int
    leads: Traffic | None
    matched: bool = False
    mirrored: int = 0


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a rollout is to get: pods of the incoming and of the stable revision, and who gets the requests.

    `at_once`: on the way there the requests are not shared. `weight`: percent of the requests that the gateway sends to
    the incoming revision, where there is a gateway; `matched`: and those that carry something; `mirrored`: and copies
    of so many percent. `obstacle`: why that is not what the user asked for; the rollout goes no further while there is
    one.
    """

    incoming: int
    stable: int
    traffic: Traffic = Traffic.SHARED
    obstacle: str = ""
    at_once: bool = False
    weight: int = 0
    matched: bool = False
    mirrored: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """What is there. `selected`: what the Service selects now, None for anything else. `route`: what the gateway does,
    None where pods share the requests. `settled`: and that is known on every node, and to the gateway. `warm`: the
    leaving revision that may stay, within the surge. `frugal`: with a gateway, the stable revision has no more pods
    than its share of the requests asks for. `autoscaled`: an autoscaler says how many pods the incoming one has."""

    limits: Limits
    incoming: Pods
    stable: Pods | None = None
    leaving: Mapping[str, Pods] = field(default_factory=dict)
    selected: Traffic | None = None
    settled: bool = False
    warm: str | None = None
    route: Route | None = None
    frugal: bool = False
    autoscaled: bool = False


@dataclass(frozen=True, slots=True)
class Targets:
    """What there should be next. `least`: what an autoscaler is to keep of the incoming revision; None: it has none."""

    incoming: int
    stable: int | None
    leaving: Mapping[str, int]
    traffic: Traffic
    route: Route | None = None
    least: int | None = None


def step(state: State, aim: Aim) -> Targets:
    """The next step towards the aim, while there is a stable revision; else towards all of the incoming one.

    Calling it again and again on what came of it ends there.

    Kept at every step, whatever pods do by themselves: no more pods than `most`; no ready pod is taken away below
    `needed`, or before the endpoints of what replaces it are known; a stable revision that is not ready blocks nothing;
    an incoming one that is to get no requests gets none.
    """
    if state.stable is None:
        aim = Aim(state.limits.replicas, 0)
    traffic, route = _traffic(state, aim), routed(state, aim)
    if traffic is not state.selected or route != state.route:
        # What is selected until now goes on serving until the change is known everywhere.
        state = replace(state, settled=False)
    incoming = _incoming(state, aim, traffic)
    # What is about to be taken away bears nothing any more.
    state = replace(state, incoming=replace(state.incoming, ready=min(state.incoming.ready, incoming)))
    leaving = _leaving(state)
    stable = None if state.stable is None else _stable(state, state.stable, aim, sum(leaving.values()))
    outgoing = [*state.leaving.values(), *([state.stable] if state.stable else [])]
    room = max(0, state.limits.most - state.incoming.count - sum(pods.count for pods in outgoing))
    if state.stable is not None and stable is not None and stable > state.stable.wanted:
        grown = min(stable - state.stable.wanted, room)
        stable, room = state.stable.wanted + grown, room - grown
    most = state.incoming.wanted + room
    least = min(aim.incoming, most) if state.autoscaled and incoming else 0
    return Targets(min(incoming, most), stable, leaving, traffic, route, least or None)


def reached(state: State, aim: Aim) -> bool:
    """Whether the aim is reached: the pods ready, and the traffic where it should be, as far as others serve."""
    if state.stable is None:
        # The first revision has nobody to wait for: its first ready pod serves.
        return state.incoming.ready > 0
    if aim.obstacle or state.incoming.ready < aim.incoming:
        return False
    if not state.stable.ready:
        return True
    gone = state.stable.present <= aim.stable and not any(pods.count for pods in state.leaving.values())
    there = state.route is None or state.route == Route(aim.weight, Traffic.INCOMING, aim.matched, aim.mirrored)
    return gone and there and state.selected is aim.traffic and state.settled


def weight(state: State) -> int:
    """Percent of the requests that reach the incoming revision now: by the gateway, or one pod getting as many as
    another."""
    if state.route is not None:
        return state.route.weight if state.route.leads is Traffic.INCOMING else 0
    ready = {
        Traffic.INCOMING: [state.incoming],
        Traffic.SHARED: [state.incoming, *([state.stable] if state.stable else []), *state.leaving.values()],
    }.get(state.selected or Traffic.STABLE, [])
    total = sum(pods.ready for pods in ready)
    return round(100 * state.incoming.ready / total) if total else 0


def routed(state: State, aim: Aim) -> Route | None:
    """What the gateway should do next. Whom the preview Service selects is changed while nobody is sent there; the
    weight grows only when all its pods are there, and falls at once, or as soon as others can bear that."""
    now = state.route
    if now is None:
        return None
    if now.leads is not Traffic.INCOMING:
        alone = not now.weight and not now.matched and not now.mirrored and state.settled
        gone = now.leads is not Traffic.LEAVING or not any(pods.ready for pods in state.leaving.values())
        weight = 0 if gone else min(now.weight, _unborne(state))
        return Route(weight, Traffic.INCOMING if alone else now.leads)
    if state.stable is None:
        # Promoted: until the Service leads to it, too, the gateway stays with the preview.
        known = state.selected is Traffic.INCOMING and state.settled
        return Route(0 if known else now.weight, now.leads, now.matched and not known)
    if state.stable.ready and not state.incoming.ready:
        return Route(0, now.leads)
    grows = state.settled and state.incoming.ready >= max(1, aim.incoming)
    weight = aim.weight if grows or aim.weight < now.weight else now.weight
    if weight < now.weight:
        weight = max(weight, min(now.weight, _unborne(state)))
    mirrored = aim.mirrored if grows or now.mirrored else 0
    return Route(weight, now.leads, aim.matched and (grows or now.matched), mirrored)


def _unborne(state: State) -> int:
    """Percent of the requests for which the revision that gets all others has not the pods."""
    if not state.frugal or not state.limits.needed:
        return 0
    ready = (state.stable or state.incoming).ready
    return math.ceil(100 * max(0, state.limits.needed - ready) / state.limits.needed)


def _missing(state: State) -> int:
    """Ready pods that the outgoing revisions must hold. Incoming pods count when requests can reach them."""
    if state.frugal and state.route is not None and state.stable is not None:
        away = state.route.weight if state.settled and state.route.leads is Traffic.INCOMING else 0
        return math.ceil(state.limits.needed * (100 - away) / 100)
    reachable = state.stable is None or (state.settled and state.selected in (Traffic.SHARED, Traffic.INCOMING))
    return max(0, state.limits.needed - (state.incoming.ready if reachable else 0))


def _borne(state: State) -> int:
    """Ready pods of leaving revisions that are needed, because the stable one cannot bear the traffic alone."""
    if state.selected not in (Traffic.SHARED, Traffic.LEAVING):
        return 0
    serving = state.stable.ready if state.stable is not None else 0
    there = sum(pods.ready for pods in state.leaving.values())
    return min(there, max(0, _missing(state) - serving))


def _incoming(state: State, aim: Aim, traffic: Traffic) -> int:
    """The incoming revision, before it is known how much room there is. It shrinks only for what others can bear."""
    wanted, most = state.incoming.wanted, max(state.limits.replicas, aim.incoming)
    if state.autoscaled and wanted and aim.incoming:
        return wanted
    if state.stable is None or wanted <= aim.incoming:
        # While the Service is open to all, one that is to get no requests is not made.
        early = aim.traffic is Traffic.STABLE and traffic is not Traffic.STABLE
        return min(wanted if early else aim.incoming, most)
    bears = state.settled and state.selected in (Traffic.SHARED, Traffic.STABLE)
    needed = state.limits.needed - (state.stable.ready if bears else 0)
    if not state.settled:
        needed = max(needed, state.incoming.ready)
    return min(wanted, max(aim.incoming, needed), most)


def _leaving(state: State) -> dict[str, int]:
    """A leaving revision keeps ready pods only while they are needed, the warm one what the surge allows."""
    needed = _borne(state)
    targets = {}
    for name, pods in state.leaving.items():
        keep = min(pods.ready, needed)
        needed -= keep
        if state.stable is None and name == state.warm:
            keep = max(keep, min(pods.wanted, state.limits.surge))
        asked = state.route is not None and state.route.leads is Traffic.LEAVING and state.route.weight
        if not state.settled or asked:
            keep = max(keep, pods.ready)
        targets[name] = min(pods.wanted, keep)
    return targets


def _stable(state: State, stable: Pods, aim: Aim, leaving: int) -> int:
    """The stable revision gives way only for what the incoming one can bear, and grows again when it must."""
    borne = _borne(state)
    # Those that leave have their room from what is kept of it, until they are gone.
    least = max(_missing(state) - borne, aim.stable - leaving)
    missing = max(0, state.limits.needed - state.incoming.ready - borne)
    return max(0, least) if stable.wanted > least else max(stable.wanted, missing, aim.stable)


def _traffic(state: State, aim: Aim) -> Traffic:
    # Those that leave serve on until what remains can bear it alone; only then the Service is pinned.
    borne = _borne(state)
    if state.stable is None:
        return Traffic.SHARED if borne else Traffic.INCOMING
    if aim.traffic is Traffic.STABLE:
        others = state.incoming.ready + sum(pods.ready for pods in state.leaving.values())
        alone = state.selected is Traffic.STABLE or not others or state.stable.ready >= state.limits.needed
        return Traffic.STABLE if alone else Traffic.SHARED
    if aim.traffic is Traffic.INCOMING and state.incoming.ready:
        if state.selected is Traffic.INCOMING or state.incoming.ready >= aim.incoming:
            return Traffic.INCOMING
        if aim.at_once and state.selected is Traffic.STABLE and state.stable.ready:
            return Traffic.STABLE
        return Traffic.SHARED
    return Traffic.SHARED if state.incoming.ready or borne else Traffic.STABLE
