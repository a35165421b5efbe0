"""The stages of a rollout: what a strategy is made of."""

import math
from dataclasses import dataclass, replace
from datetime import timedelta

from perennial.analysis import Analysis
from perennial.strategies.hashed_key import HashedKey
from perennial.strategies.matching import RequestMatch
from perennial.strategies.ratio import Split, split
from perennial.strategies.step import Aim, Limits, Pods, State, Traffic


@dataclass(frozen=True, slots=True)
class Scale:
    """How many pods the incoming revision has: so many, or percent of `replicas`."""

    replicas: int | None = None
    weight: int | None = None

    def pods(self, replicas: int) -> int:
        """How many of so many."""
        if self.replicas is not None:
            return self.replicas
        return max(1, math.ceil(replicas * (self.weight or 0) / 100))


@dataclass(frozen=True, slots=True)
class Stage:
    """A share of the requests for the incoming revision, and how long it stays at that.

    `weight`: percent of the requests. `hold`: counted from when the requests are shared so; None: until a person goes
    on. `pods`: so many of the incoming revision at most, at 0 percent. `alone`: at 100 percent the Service is pinned to
    the incoming revision, while the stable one is kept; `at_once`: and requests are never shared on the way there.
    `most_error`: by how many percent the weight may be missed. `analysis`: what is looked at meanwhile; `analysed`: the
    stage ends only when that has passed since. `trial`: it ends when this field of the rollout is there,
    what a Job found before the incoming revision gets requests.
    `words`: the stage as the user wrote it. With a gateway, `match`: the incoming revision gets these requests, too;
    `mirrored`: a copy of so many percent of all; `scale`: percent of the pods or, by themselves, so many.
    """

    words: str
    weight: int
    hold: timedelta | None = timedelta()
    pods: int = 1
    alone: bool = False
    at_once: bool = False
    most_error: int | None = None
    analysis: Analysis | None = None
    analysed: bool = False
    trial: str = ""
    match: tuple[RequestMatch | HashedKey, ...] = ()
    mirrored: int = 0
    scale: Scale | None = None

    def aim(self, state: State) -> Aim:
        """The pods of the two revisions, by which one Service shares the requests so, or with a gateway bear them."""
        limits = state.limits
        if state.route is not None:
            return self._by_gateway(limits, frugal=state.frugal)
        if self.weight == 100:
            stable = min((state.stable or Pods()).wanted, limits.surge)
            traffic = Traffic.INCOMING if self.alone else Traffic.SHARED
            return Aim(limits.replicas, stable, traffic, at_once=self.at_once)
        found = split(self.weight, limits, self.pods)
        if found is None:
            return Aim(0, limits.replicas, Traffic.STABLE, _no_room(self.words, state))
        if self.weight == 0:
            return Aim(found.incoming, found.stable, Traffic.STABLE)
        missed = self.most_error is not None and abs(found.weight - self.weight) > self.most_error
        return Aim(found.incoming, found.stable, obstacle=_missed(self.words, found, state) if missed else "")

    def _by_gateway(self, limits: Limits, *, frugal: bool) -> Aim:
        """The stable revision keeps its pods, so that it can have all requests back at once, unless it is `frugal`."""
        share = math.ceil(limits.replicas * self.weight / 100) if self.weight else self.pods
        if self.scale is not None and self.weight < 100:
            share = self.scale.pods(limits.replicas)
        incoming = min(limits.replicas, share)
        stable = math.ceil(limits.replicas * (100 - self.weight) / 100) if frugal else limits.replicas
        matched, mirrored = bool(self.match), self.mirrored
        return Aim(incoming, stable, Traffic.STABLE, weight=self.weight, matched=matched, mirrored=mirrored)

    @property
    def key(self) -> HashedKey | None:
        """By which requests are split, where they are."""
        return next((one for one in self.match if isinstance(one, HashedKey)), None)

    @property
    def asked(self) -> bool:
        """Whether the incoming revision gets requests, or copies of them."""
        return bool(self.weight or self.match or self.mirrored)

    def asks_the_same(self, other: "Stage") -> bool:
        """Whether nothing has to change between the two."""
        return (self.weight, self.match, self.mirrored, self.scale) == (
            other.weight, other.match, other.mirrored, other.scale
        )  # fmt: skip

    @property
    def plain(self) -> "Stage":
        """The stage without what it waits for."""
        return replace(self, words=EVERYTHING.words, hold=EVERYTHING.hold, analysis=None, analysed=False)


EVERYTHING = Stage("all requests", 100)
GOLDEN = Stage("golden requests", 0, trial="golden")
EVALUATION = Stage("evaluation", 0, trial="evaluation")


def _no_room(words: str, state: State) -> str:
    return (
        f"{words}: with {state.limits.replicas} replicas and a surge of {state.limits.surge} there is no room for a "
        "pod of each revision: raise spec.maxSurge or spec.replicas"
    )


def _missed(words: str, found: Split, state: State) -> str:
    return (
        f"{words}: with at most {state.limits.most} pods the nearest is {found.weight:.4g}% ({found.incoming} of "
        f"{found.incoming + found.stable}), further off than maxWeightError: raise it, spec.maxSurge or spec.replicas"
    )
