"""How far two samples of one column are apart.

Population stability index: https://doi.org/10.3390/risks7020053. Corrected for the number of columns that are tested:
Benjamini and Yekutieli, https://doi.org/10.1214/aos/1013699998, which holds whatever their dependence is.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.spatial import distance

from perennial.api.task import DriftMethod

Numbers = npt.NDArray[np.float64]
_BINS = 10
# The rarest categories are one.
_CATEGORIES = 50
# Tests give a probability: the less, the farther.
TESTS = frozenset({DriftMethod.KOLMOGOROV_SMIRNOV, DriftMethod.CHI_SQUARED})
# What stands for those that are of numbers only.
_OF_CATEGORIES = {
    DriftMethod.KOLMOGOROV_SMIRNOV: DriftMethod.CHI_SQUARED,
    DriftMethod.WASSERSTEIN: DriftMethod.JENSEN_SHANNON,
}
_FARTHEST = 1e6


@dataclass(frozen=True, slots=True)
class Bins:
    """Counts of both samples, bin by bin; none is empty in both."""

    labels: tuple[str, ...]
    reference: Numbers
    current: Numbers


def of_numbers(reference: Numbers, current: Numbers) -> Bins:
    """Tenths of the reference, or each of its values where they are few, and NaN apart, as missing."""
    known = reference[~np.isnan(reference)]
    values = np.unique(known) if known.size else np.array([0.0])
    if values.size > _BINS:
        edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1]))
        between = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges)]
    else:
        edges = np.sort(np.concatenate([values, np.nextafter(values, np.inf)]))
        others = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(values)]
        between = [
            label for pair in zip([f"{one:.4g}" for one in values], [*others, ""], strict=True) for label in pair
        ]
        between.pop()
    labels = [f"< {edges[0]:.4g}", *between, f"> {edges[-1]:.4g}", "missing"]
    return _filled(labels, _counted(reference, edges), _counted(current, edges))


def of_categories(reference: Sequence[str | None], current: Sequence[str | None]) -> Bins:
    """Each of the most common categories of both, all others together, and None apart, as missing."""
    counted = [_count(reference), _count(current)]
    total = {name: counted[0].get(name, 0) + counted[1].get(name, 0) for name in counted[0] | counted[1]}
    kept = sorted((name for name in total if name is not None), key=lambda name: (-total[name], name))[:_CATEGORIES]

    def row(one: dict[str | None, int]) -> Numbers:
        shown = [one.get(name, 0) for name in kept]
        missing = one.get(None, 0)
        return np.array([*shown, sum(one.values()) - sum(shown) - missing, missing], dtype=np.float64)

    return _filled([*kept, "others", "missing"], row(counted[0]), row(counted[1]))


def score(method: DriftMethod, bins: Bins, numbers: tuple[Numbers, Numbers] | None) -> tuple[DriftMethod, float]:
    """How far apart, by the method that fits the column; of tests, the probability to be as far apart by chance.

    numbers: both samples of a column of numbers.
    """
    if numbers is None:
        method = _OF_CATEGORIES.get(method, method)
    if method in _BINNED:
        return method, _BINNED[method](bins)
    assert numbers
    reference, current = (sample[~np.isnan(sample)] for sample in numbers)
    if not reference.size or not current.size:
        same = reference.size == current.size
        return method, (float(same) if method in TESTS else 0.0 if same else _FARTHEST)
    if method is DriftMethod.KOLMOGOROV_SMIRNOV:
        return method, float(stats.ks_2samp(reference, current).pvalue)
    spread = float(reference.std()) or 1.0
    return method, min(float(stats.wasserstein_distance(reference, current)) / spread, _FARTHEST)


def corrected(probabilities: Sequence[float]) -> list[float]:
    """The same, as if only one column had been looked at."""
    if not probabilities:
        return []
    return [float(one) for one in stats.false_discovery_control(np.clip(probabilities, 0, 1), method="by")]


def _psi(bins: Bins) -> float:
    reference, current = _shares(bins.reference), _shares(bins.current)
    return float(np.sum((current - reference) * np.log(current / reference)))


def _jensen_shannon(bins: Bins) -> float:
    return float(distance.jensenshannon(bins.reference, bins.current, base=2))


def _chi_squared(bins: Bins) -> float:
    table = np.array([bins.reference, bins.current])
    return float(stats.chi2_contingency(table).pvalue) if table.shape[1] > 1 else 1.0


_BINNED: dict[DriftMethod, Callable[[Bins], float]] = {
    DriftMethod.PSI: _psi,
    DriftMethod.JENSEN_SHANNON: _jensen_shannon,
    DriftMethod.CHI_SQUARED: _chi_squared,
}


def _filled(labels: Sequence[str], reference: Numbers, current: Numbers) -> Bins:
    """Without bins that are empty in both."""
    some = reference + current > 0
    return Bins(tuple(label for label, kept in zip(labels, some, strict=True) if kept), reference[some], current[some])


def _shares(counts: Numbers) -> Numbers:
    """No bin is empty: of an empty one the logarithm would be infinite."""
    shares: Numbers = (counts + 0.5) / (counts.sum() + 0.5 * counts.size)
    return shares


def _counted(values: Numbers, edges: Numbers) -> Numbers:
    known = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, known, side="right"), minlength=edges.size + 1)
    return np.append(counts, values.size - known.size).astype(np.float64)


def _count(values: Sequence[str | None]) -> dict[str | None, int]:
    names, counts = np.unique([value for value in values if value is not None], return_counts=True)
    found: dict[str | None, int] = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
    if missing := sum(value is None for value in values):
        found[None] = missing
    return found
