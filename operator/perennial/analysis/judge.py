"""The verdict on one metric, and on a whole look."""

from collections.abc import Iterable

from perennial.analysis import AnalysisMetric, AnalysisStatus, Measurement, Samples, Verdict
from perennial.analysis.compare import Bounds, difference, mean
from perennial.questions import Sampled

_GRAVITY = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.FAIL)


def judge(metric: AnalysisMetric, ours: Sampled | None, theirs: Sampled | None, confidence: float) -> Measurement:
    """One metric, from the samples of both revisions."""
    compares = metric.no_worse_than_stable_by is not None
    plain = Measurement(
        name=metric.name,
        verdict=Verdict.INCONCLUSIVE,
        new=_samples(ours),
        stable=_samples(theirs) if compares else None,
    )
    for who, group in (("the new revision", ours), *((("the stable one", theirs),) if compares else ())):
        if group is None or group.count < metric.min_samples:
            words = f"{group.count if group else 0} of at least {metric.min_samples} samples of {who}"
            return plain.model_copy(update={"message": f"{metric.name}: {words}"})
    assert ours
    found = list(_limits(metric, ours, theirs, confidence))
    verdict = gravest(one for one, _ in found)
    words = next(words for one, words in found if one == verdict)
    return plain.model_copy(update={"verdict": verdict, "message": f"{metric.name} {words}"})


def gravest(verdicts: Iterable[Verdict]) -> Verdict:
    """What they say together."""
    return max(verdicts, key=_GRAVITY.index)


def looked(before: AnalysisStatus, found: list[Measurement]) -> AnalysisStatus:
    """The record after one more look; its time is not in it yet."""
    verdict = gravest(one.verdict for one in found)
    return before.model_copy(
        update={
            "verdict": verdict,
            "failures": before.failures + (verdict is Verdict.FAIL),
            "inconclusive": before.inconclusive + 1 if verdict is Verdict.INCONCLUSIVE else 0,
            "errors": before.errors + 1 if verdict is Verdict.ERROR else 0,
            "metrics": found,
        }
    )


def together(before: Samples | None, more: Sampled | None) -> Sampled | None:
    """What was known, and what came since."""
    known = Sampled(before.count, before.mean, before.minimum, before.maximum) if before else None
    if known is None or more is None:
        return more or known
    count = known.count + more.count
    weighed = (known.mean * known.count + more.mean * more.count) / count if count else 0.0
    return Sampled(count, weighed, min(known.low, more.low), max(known.high, more.high))


def _limits(
    metric: AnalysisMetric, ours: Sampled, theirs: Sampled | None, confidence: float
) -> Iterable[tuple[Verdict, str]]:
    """For each limit the verdict and why. What counts is by how much the limit is missed: at most 0."""
    bounds = mean(ours, confidence)
    if metric.min is not None:
        missed = Bounds(metric.min - bounds.high, metric.min - bounds.low)
        yield _told(missed, 0, f"{ours.mean:.6g}, at least {metric.min:g} is asked for", ours)
    if metric.max is not None:
        missed = Bounds(bounds.low - metric.max, bounds.high - metric.max)
        yield _told(missed, 0, f"{ours.mean:.6g}, at most {metric.max:g} is asked for", ours)
    if metric.no_worse_than_stable_by is not None and theirs is not None:
        allowed = metric.no_worse_than_stable_by
        pair = (ours, theirs) if metric.lower_is_better else (theirs, ours)
        worse = difference(*pair, confidence)
        words = f"{ours.mean:.6g}, {theirs.mean:.6g} of the stable one, at most {allowed:g} worse is asked for"
        yield _told(worse, allowed, words, ours)


def _told(worse: Bounds, allowed: float, words: str, ours: Sampled) -> tuple[Verdict, str]:
    if worse.low > allowed:
        return Verdict.FAIL, words
    if worse.high <= allowed:
        return Verdict.PASS, words
    return Verdict.INCONCLUSIVE, f"{words}: {ours.count} samples are too few to be sure"


def _samples(group: Sampled | None) -> Samples | None:
    """As it is kept: without the digits that a sum of floats is wrong by."""
    if group is None:
        return None
    short, low, high = (float(f"{value:.12g}") for value in (group.mean, group.low, group.high))
    return Samples(count=group.count, mean=short, minimum=low, maximum=high)
