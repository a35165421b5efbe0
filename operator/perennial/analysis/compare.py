"""How sure it is that one mean is above another, or above a limit.

Of the samples only number, mean, least and greatest are known. From these follows an upper bound of the variance
(Bhatia and Davis, "A better bound on the variance", 2000), which is exact where all samples are 0 or 1. To each group
one sample at either end of the range is added, so that a few samples that are all alike decide nothing (Agresti and
Caffo, "Simple and effective confidence intervals for proportions", 2000).
"""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from perennial.questions import Sampled


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a value lies: above `low` and below `high`, each with the confidence that was asked for."""

    low: float
    high: float


def mean(group: Sampled, confidence: float) -> Bounds:
    """Bounds of a mean."""
    found, variance = _estimate(group, *_span(group))
    return _around(found, variance, confidence)


def difference(first: Sampled, second: Sampled, confidence: float) -> Bounds:
    """Bounds of the mean of the first group minus that of the second."""
    span = _span(first, second)
    (one, variance), (other, more) = _estimate(first, *span), _estimate(second, *span)
    return _around(one - other, variance + more, confidence)


def _span(*groups: Sampled) -> tuple[float, float]:
    low, high = min(group.low for group in groups), max(group.high for group in groups)
    # What lies between 0 and 1 is taken for a ratio, or for means of such.
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def _estimate(group: Sampled, low: float, high: float) -> tuple[float, float]:
    count = group.count + 2
    found = (group.mean * group.count + low + high) / count
    return found, max(0.0, (high - found) * (found - low)) / count


def _around(value: float, variance: float, confidence: float) -> Bounds:
    off = NormalDist().inv_cdf(confidence) * sqrt(variance)
    return Bounds(value - off, value + off)
