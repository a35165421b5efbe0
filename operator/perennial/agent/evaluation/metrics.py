"""Metrics over rows, and how sure it is that one of two models is better.

Bootstrap over rows: Efron and Tibshirani, An Introduction to the Bootstrap, 1993. Of accuracies, which it takes for
the same as soon as a few rows are, the interval of Agresti and Min, https://doi.org/10.1002/sim.1781, and McNemar's
exact test, https://doi.org/10.1007/BF02295996.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats

from perennial.agent.evaluation.values import Numbers, Pairs
from perennial.api.evaluate import EvaluationMetric

LOWER_IS_BETTER = frozenset(
    {EvaluationMetric.MEAN_ABSOLUTE_ERROR, EvaluationMetric.ROOT_MEAN_SQUARED_ERROR, EvaluationMetric.LATENCY}
)
_RESAMPLES = 2000
_SEED = 0


def value(metric: EvaluationMetric, labels: Numbers, predicted: Numbers) -> float:
    """The metric; NaN where it is not defined: RocAuc of a single class."""
    return float(_METRICS[metric](labels, predicted))


def lead(metric: EvaluationMetric, pairs: Pairs) -> float:
    """By how much the challenger is better; below 0: worse."""
    ahead = value(metric, pairs.labels, pairs.challenger) - value(metric, pairs.labels, pairs.champion)
    return -ahead if metric in LOWER_IS_BETTER else ahead


def least_lead(metric: EvaluationMetric, pairs: Pairs, confidence: float) -> float:
    """The lower bound of the lead, one-sided; NaN where it is not defined."""
    if metric is EvaluationMetric.ACCURACY:
        return _least_lead_of_accuracy(pairs, confidence)
    if np.array_equal(pairs.champion, pairs.challenger):
        return 0.0
    draw = np.random.default_rng(_SEED)
    leads = [lead(metric, pairs.of(draw.integers(0, len(pairs), len(pairs)))) for _ in range(_RESAMPLES)]
    return float(np.quantile(leads, 1 - confidence))


def surely_better(metric: EvaluationMetric, pairs: Pairs, confidence: float, least: float) -> bool:
    """Whether it is no chance that the challenger leads. Of accuracy by McNemar's test, of all else by `least_lead`."""
    if metric is not EvaluationMetric.ACCURACY:
        return least > 0
    won, lost = _apart(pairs)
    return won + lost > 0 and bool(stats.binomtest(won, won + lost, alternative="greater").pvalue <= 1 - confidence)


def _least_lead_of_accuracy(pairs: Pairs, confidence: float) -> float:
    won, lost, rows = (one + more for one, more in zip((*_apart(pairs), len(pairs)), (0.5, 0.5, 2), strict=True))
    spread = math.sqrt(won + lost - (won - lost) ** 2 / rows)
    return float((won - lost - stats.norm.ppf(confidence) * spread) / rows)


def _apart(pairs: Pairs) -> tuple[int, int]:
    """Rows that only the challenger, and that only the champion is right about."""
    right, was_right = pairs.challenger == pairs.labels, pairs.champion == pairs.labels
    return int(np.sum(right & ~was_right)), int(np.sum(was_right & ~right))


def _accuracy(labels: Numbers, predicted: Numbers) -> float:
    return float(np.mean(labels == predicted))


def _f1(labels: Numbers, predicted: Numbers) -> float:
    """The mean over the classes that are a label or a prediction."""
    right = labels == predicted
    size = int(max(labels.max(), predicted.max())) + 1
    true = np.bincount(labels.astype(int), minlength=size) + np.bincount(predicted.astype(int), minlength=size)
    hits = np.bincount(labels[right].astype(int), minlength=size)
    return float(np.mean(2 * hits[true > 0] / true[true > 0]))


def _roc_auc(labels: Numbers, scores: Numbers) -> float:
    """Of the greater label against the other, by ranks."""
    positive = labels == labels.max()
    count, others = int(positive.sum()), int((~positive).sum())
    if not others:
        return float("nan")
    return float((stats.rankdata(scores)[positive].sum() - count * (count + 1) / 2) / (count * others))


def _absolute(labels: Numbers, predicted: Numbers) -> float:
    return float(np.mean(np.abs(labels - predicted)))


def _squared(labels: Numbers, predicted: Numbers) -> float:
    return float(np.sqrt(np.mean((labels - predicted) ** 2)))


def _slow(_: Numbers, times: Numbers) -> float:
    return float(np.quantile(times, 0.95))


_METRICS: Mapping[EvaluationMetric, Callable[[Numbers, Numbers], float]] = {
    EvaluationMetric.ACCURACY: _accuracy,
    EvaluationMetric.F1: _f1,
    EvaluationMetric.ROC_AUC: _roc_auc,
    EvaluationMetric.MEAN_ABSOLUTE_ERROR: _absolute,
    EvaluationMetric.ROOT_MEAN_SQUARED_ERROR: _squared,
    EvaluationMetric.LATENCY: _slow,
}
