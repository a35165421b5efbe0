"""The ratio of pods by which one Service shares requests between two revisions in the proportion that is asked for."""

from dataclasses import dataclass
from functools import lru_cache

from perennial.strategies.step import Limits


@dataclass(frozen=True, slots=True)
class Split:
    """Pods of the incoming and of the stable revision."""

    incoming: int
    stable: int

    @property
    def weight(self) -> float:
        """Percent of the requests that the incoming one gets, when both are selected."""
        return 100 * self.incoming / (self.incoming + self.stable)


@lru_cache(maxsize=1024)
def split(weight: int, limits: Limits, waiting: int = 1) -> Split | None:
    """The pods that come nearest to a weight from 0 to 99 percent; None when there is no room for one of each.

    Of those that are as near, the number of pods nearest to `replicas`. At weight 0 so many wait beside the
    others as there is room for.
    """
    if weight == 0:
        stable = min(limits.replicas, limits.most - 1)
        room = limits.most - stable
        return Split(min(waiting, limits.replicas, room), stable) if stable >= max(1, limits.needed) else None
    found = (_nearest(weight, total) for total in range(max(2, limits.needed), limits.most + 1))
    return min(found, key=lambda one: _off(one, weight, limits), default=None)


def _nearest(weight: int, total: int) -> Split:
    incoming = min(max(1, round(weight * total / 100)), total - 1)
    return Split(incoming, total - incoming)


def _off(one: Split, weight: int, limits: Limits) -> tuple[float, int, int]:
    total = one.incoming + one.stable
    return abs(one.weight - weight), abs(total - limits.replicas), -total
