"""Whether a metric has changed: river's detectors of concept drift. Only the image `drift` has the library."""

from collections.abc import Callable, Mapping

import numpy as np
from river.base import DriftDetector
from river.drift import ADWIN, PageHinkley

from perennial.agent.detection.stream import Values, played
from perennial.api.detect import Change, Detected, Detector, DetectTask

# Samples without which nothing is decided.
_LEAST = 30

DETECTORS: Mapping[Detector, Callable[[DetectTask], DriftDetector]] = {
    Detector.ADWIN: lambda task: ADWIN(delta=task.significance, clock=1),  # type: ignore[no-untyped-call]
    Detector.PAGE_HINKLEY: lambda task: PageHinkley(
        min_instances=_LEAST, delta=task.tolerance, threshold=task.threshold, alpha=1.0
    ),
}


def run(task: DetectTask) -> Detected:
    """The changes of a metric."""
    samples = sum(span.count for span in task.spans)
    if not task.spans:
        return Detected(samples=samples, changes=0)
    values, where = played(task.spans)
    found = changes(values, lambda: DETECTORS[task.detector](task))
    if not found:
        return Detected(samples=samples, changes=0)
    # Between two spans there is no change in the midst of one.
    begun = [0, *(int(where[one]) for one in found)]
    counts = np.array([span.count for span in task.spans], np.float64)
    means = np.array([span.mean for span in task.spans])
    first, last = begun[-2], max(begun[-1], begun[-2] + 1)

    def mean(begin: int, end: int) -> float:
        return float(f"{np.average(means[begin:end], weights=counts[begin:end]):.6g}")

    change = Change(start=task.spans[last].start, before=mean(first, last), after=mean(last, len(means)))
    return Detected(samples=samples, changes=len(found), last=change)


def changes(values: Values, make: Callable[[], DriftDetector]) -> list[int]:
    """The samples with which something new begins. After each a new detector begins there."""
    found: list[int] = []
    begin = at = 0
    detector = make()
    while at < len(values):
        detector.update(float(values[at]))
        at += 1
        if detector.drift_detected and at - begin > 1:
            begin += _parts(values[begin:at])
            found.append(begin)
            at, detector = begin, make()
    return found


def _parts(values: Values) -> int:
    """Where two different parts of these meet: where the sum of what lies above the mean is the farthest from 0."""
    return int(np.argmax(np.abs(np.cumsum(values - values.mean())[:-1]))) + 1
