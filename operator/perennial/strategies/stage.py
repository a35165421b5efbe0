"""The stages of a rollout: what a strategy is made of."""

from dataclasses import dataclass
from datetime import timedelta

from perennial.strategies.ratio import Split, split
from perennial.strategies.step import Aim, Pods, State, Traffic


@dataclass(frozen=True, slots=True)
class Stage:
    """A share of the requests for the incoming revision, and how long it stays at that.

    `weight`: percent of the requests. `hold`: counted from when the requests are shared so; None: until a person goes
    on. `alone`: at 100 percent the Service is pinned to the incoming revision, while the stable one is kept.
    `most_error`: by how many percent the weight may be missed. `analysed`: it ends only when the analysis has passed
    since. `words`: the stage as the user wrote it.
    """

    words: str
    weight: int
    hold: timedelta | None = timedelta()
    alone: bool = False
    most_error: int | None = None
    analysed: bool = False

    def aim(self, state: State) -> Aim:
        """The pods of the two revisions, by which one Service shares the requests so."""
        limits = state.limits
        if self.weight == 100:
            stable = min((state.stable or Pods()).wanted, limits.surge)
            return Aim(limits.replicas, stable, Traffic.INCOMING if self.alone else Traffic.SHARED)
        found = split(self.weight, limits)
        if found is None:
            return Aim(0, limits.replicas, Traffic.STABLE, _no_room(self.words, state))
        if self.weight == 0:
            return Aim(found.incoming, found.stable, Traffic.STABLE)
        missed = self.most_error is not None and abs(found.weight - self.weight) > self.most_error
        return Aim(found.incoming, found.stable, obstacle=_missed(self.words, found, state) if missed else "")


EVERYTHING = Stage("all requests", 100)


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
