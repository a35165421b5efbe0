"""How many pods each revision has, and who gets the traffic, step by step, whatever the strategy aims at.

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
    """Which pods the Service selects."""

    INCOMING = "incoming"
    STABLE = "stable"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class State:
    """What is there. `selected`: what the Service selects now, None for anything else. `settled`: and that is known
    on every node. `warm`: the leaving revision that may stay, within the surge."""

    limits: Limits
    incoming: Pods
    stable: Pods | None = None
    leaving: Mapping[str, Pods] = field(default_factory=dict)
    selected: Traffic | None = None
    settled: bool = False
    warm: str | None = None

    @property
    def shared(self) -> bool:
        """Whether the Service selects every revision."""
        return self.selected is Traffic.SHARED


@dataclass(frozen=True, slots=True)
class Targets:
    """What there should be next."""

    incoming: int
    stable: int | None
    leaving: Mapping[str, int]
    traffic: Traffic


def step(state: State, aim: int) -> Targets:
    """The next step towards an incoming revision of `aim` pods, while there is a stable one; else of all of them.

    Calling it again and again on what came of it ends there.

    Kept at every step, whatever pods do by themselves: no more pods than `most`; no ready pod is taken away below
    `needed`, or before the endpoints of what replaces it are known; a stable revision that is not ready blocks nothing.
    """
    if state.stable is None:
        aim = state.limits.replicas
    traffic = _traffic(state)
    if traffic is not state.selected:
        # What is selected until now goes on serving until the change is known everywhere.
        state = replace(state, settled=False)
    leaving = _leaving(state)
    stable = None if state.stable is None else _stable(state, state.stable, sum(leaving.values()))
    outgoing = [*state.leaving.values(), *([state.stable] if state.stable else [])]
    room = max(0, state.limits.most - state.incoming.count - sum(pods.count for pods in outgoing))
    if state.stable is not None and stable is not None and stable > state.stable.wanted:
        grown = min(stable - state.stable.wanted, room)
        stable, room = state.stable.wanted + grown, room - grown
    incoming = min(max(aim, state.incoming.wanted), state.incoming.wanted + room, state.limits.replicas)
    return Targets(incoming, stable, leaving, traffic)


def complete(state: State) -> bool:
    """Whether the incoming revision can be promoted: all its pods ready, and sharing the traffic where others serve."""
    if state.incoming.ready < state.limits.replicas:
        # The first revision has nobody to wait for: its first ready pod serves.
        return state.stable is None and state.incoming.ready > 0
    return not _others_serve(state) or (state.shared and state.settled)


def _others_serve(state: State) -> bool:
    return state.stable is not None and state.stable.ready > 0


def _missing(state: State) -> int:
    """Ready pods that the outgoing revisions must hold. Incoming pods count when requests can reach them."""
    reachable = state.stable is None or (state.shared and state.settled)
    return max(0, state.limits.needed - (state.incoming.ready if reachable else 0))


def _borne(state: State) -> int:
    """Ready pods of leaving revisions that are needed, because the stable one cannot bear the traffic alone."""
    if not state.shared:
        return 0
    serving = state.stable.ready if state.stable is not None else 0
    there = sum(pods.ready for pods in state.leaving.values())
    return min(there, max(0, _missing(state) - serving))


def _leaving(state: State) -> dict[str, int]:
    """A leaving revision keeps ready pods only while they are needed, the warm one what the surge allows."""
    needed = _borne(state)
    targets = {}
    for name, pods in state.leaving.items():
        keep = min(pods.ready, needed)
        needed -= keep
        if state.stable is None and name == state.warm:
            keep = max(keep, min(pods.wanted, state.limits.surge))
        if not state.settled:
            keep = max(keep, pods.ready)
        targets[name] = min(pods.wanted, keep)
    return targets


def _stable(state: State, stable: Pods, leaving: int) -> int:
    """The stable revision gives way only for room that the incoming one needs, and grows again when it must."""
    borne = _borne(state)
    needed = max(0, _missing(state) - borne)
    if stable.wanted > needed:
        return max(needed, min(stable.wanted, max(0, state.limits.surge - leaving)))
    missing = max(0, state.limits.needed - state.incoming.ready - borne)
    return max(stable.wanted, missing)


def _traffic(state: State) -> Traffic:
    # Those that leave serve on until what remains can bear it alone; only then the Service is pinned.
    if state.stable is None:
        return Traffic.SHARED if _borne(state) else Traffic.INCOMING
    return Traffic.SHARED if state.incoming.ready or _borne(state) else Traffic.STABLE
