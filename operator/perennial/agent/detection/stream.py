"""A stream of samples that is as good as the one of which only counts and means are left."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perennial.api.detect import Span

Values = NDArray[np.float64]

# Detectors look at one sample after the other: of more than so many, several are drawn together.
MOST = 20_000
# Differences that say nothing of the noise: a change makes one, one that changes back another.
_CHANGES = 2


def played(spans: Sequence[Span]) -> tuple[Values, NDArray[np.intp]]:
    """The samples in units of their own standard deviation, and of which span each is.

    What is known of a span is its mean, and how much means scatter from one span to the next says how much samples do:
    be they rights and wrongs, numbers, or such as come many at a time and say the same. So each span's mean is kept,
    and its samples lie around it by so much.
    """
    counts = np.array([span.count for span in spans], np.float64)
    means = np.array([span.mean for span in spans])
    drawn = np.maximum(1.0, np.round(counts / max(1.0, counts.sum() / MOST))).astype(np.intp)
    spread = _noise(means, counts) * np.sqrt(drawn / counts)
    where = np.repeat(np.arange(len(spans)), drawn)
    # One above, one below; of an odd number the last in the middle.
    turn = np.arange(len(where)) - np.repeat(np.cumsum(drawn) - drawn, drawn)
    sign = np.where(turn % 2, -1.0, 1.0)
    sign[(turn == drawn[where] - 1) & (turn % 2 == 0)] = 0.0
    values = means[where] + sign * spread[where]
    unit = float(np.median(np.repeat(spread, drawn))) or float(np.ptp(values)) or 1.0
    return (values - values[0]) / unit, where


def _noise(means: Values, counts: Values) -> float:
    """The standard deviation of a single sample, by the differences of one span's mean and the next (von Neumann,
    1941): a mean that changes now and then does not count as noise."""
    if len(means) < 2 + _CHANGES:
        return 0.0
    squares = np.sort(np.diff(means) ** 2 / (1 / counts[1:] + 1 / counts[:-1]))
    squares[-_CHANGES:] = squares[-_CHANGES - 1]
    return float(np.sqrt(squares.mean()))
