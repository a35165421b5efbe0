"""Concept drift: what is played of counts and means, and which changes the detectors see in it."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.agent.detection import changes, run
from perennial.agent.detection.stream import MOST, played
from perennial.api.detect import Detected, Detector, DetectTask, Span

MINUTE = 60
counts_and_means = st.lists(
    st.tuples(st.integers(1, 100_000), st.floats(-1e6, 1e6).map(lambda one: round(one, 3))), min_size=1, max_size=60
)


def spans(of: Sequence[tuple[int, float]]) -> tuple[Span, ...]:
    return tuple(Span(start=MINUTE * at, count=count, mean=mean) for at, (count, mean) in enumerate(of))


def detected(of: Sequence[Span], detector: Detector, significance: float = 0.002) -> Detected:
    return run(DetectTask(spans=tuple(of), detector=detector, significance=significance, threshold=50, tolerance=0.1))


def rights(draw: np.random.Generator, accuracy: Callable[[int], float], minutes: int, each: int) -> tuple[Span, ...]:
    """Rights and wrongs of a model, so many each minute."""
    shares = [draw.binomial(each, accuracy(at)) / each for at in range(minutes)]
    return spans([(each, share) for share in shares])


def scores(draw: np.random.Generator, score: Callable[[int], float], minutes: int, each: int) -> tuple[Span, ...]:
    """What somebody measured once a minute, and says of how many rows: it is no better than its own scatter."""
    return spans([(each, draw.normal(score(at), 0.016)) for at in range(minutes)])


class TestPlayed:
    @given(counts_and_means)
    def test_it_has_the_means_and_is_bounded(self, of: list[tuple[int, float]]) -> None:
        values, where = played(spans(of))
        assert len(values) <= MOST + len(of)
        assert list(where) == sorted(where)
        played_means = np.bincount(where, values) / np.bincount(where)
        means = np.array([mean for _, mean in of])
        scale = np.ptp(played_means) / np.ptp(means) if np.ptp(means) else 0
        assert np.allclose(played_means - played_means[0], (means - means[0]) * scale, atol=1e-6 * (1 + scale))

    @pytest.mark.parametrize("each", [1, 2, 20, 5000])
    def test_a_unit_is_the_standard_deviation_of_a_sample(self, each: int) -> None:
        draw = np.random.default_rng(3)
        values, _ = played(spans([(each, draw.normal(7, 3 / np.sqrt(each))) for _ in range(100)]))
        drawn = min(each, MOST / 100)
        assert np.std(values) == pytest.approx(1, rel=0.35 if drawn > 1 else 0.45)

    @given(counts_and_means, st.floats(0.01, 100), st.floats(-1000, 1000))
    def test_the_unit_of_the_metric_does_not_matter(
        self, of: list[tuple[int, float]], unit: float, zero: float
    ) -> None:
        values, _ = played(spans(of))
        others, _ = played(spans([(count, mean * unit + zero) for count, mean in of]))
        if np.ptp([mean for _, mean in of]) > 0.01:
            assert np.allclose(values, others, rtol=1e-3, atol=1e-3 * (1 + np.abs(values).max()))

    def test_a_change_is_not_taken_for_noise(self) -> None:
        # A sample's deviation is 0.14, by what is alike from one minute to the next.
        values, where = played(spans([(100, 0.9 + 0.01 * (-1) ** at - 0.5 * (at >= 30)) for at in range(60)]))
        fell = values[where < 30].mean() - values[where >= 30].mean()
        assert fell == pytest.approx(0.5 / 0.1414, rel=0.01)


@pytest.mark.parametrize("detector", Detector)
class TestDetected:
    @pytest.mark.parametrize(("stream", "each"), [(rights, 3), (rights, 200), (scores, 1), (scores, 250)])
    def test_where_nothing_changed_it_says_so(self, detector: Detector, stream: Callable, each: int) -> None:  # type: ignore[type-arg]
        found = [
            detected(stream(np.random.default_rng(seed), lambda _: 0.93, 108, each), detector) for seed in range(40)
        ]
        assert sum(one.changes > 0 for one in found) <= 2

    @pytest.mark.parametrize(("stream", "each", "lower"), [(rights, 20, 0.8), (rights, 2000, 0.9), (scores, 250, 0.86)])
    def test_a_fall_is_seen_and_placed(self, detector: Detector, stream: Callable, each: int, lower: float) -> None:  # type: ignore[type-arg]
        placed = 0
        for seed in range(20):
            found = detected(
                stream(np.random.default_rng(seed), lambda at: lower if at >= 70 else 0.93, 108, each), detector
            )
            assert found.last
            assert found.last.after < found.last.before
            near = abs(found.last.start / MINUTE - 70) <= 15
            placed += near and found.last.before == pytest.approx(0.93, abs=0.03)
        assert placed >= 18

    def test_what_fell_and_came_back_ends_with_a_rise(self, detector: Detector) -> None:
        stream = rights(np.random.default_rng(1), lambda at: 0.7 if 30 <= at < 60 else 0.95, 100, 100)
        found = detected(stream, detector)
        assert found.changes >= 2
        assert found.last
        assert found.last.after > found.last.before

    def test_a_slow_fall_is_seen(self, detector: Detector) -> None:
        found = detected(rights(np.random.default_rng(1), lambda at: 0.95 - 0.002 * at, 108, 200), detector)
        assert found.last
        assert found.last.after < found.last.before

    @pytest.mark.parametrize("of", [[], [(1, 0.5)], [(1000, 0.5)], [(5, 0.5)] * 40, [(1, 1e150), (1, -1e150)] * 9])
    def test_whatever_comes_it_ends(self, detector: Detector, of: list[tuple[int, float]]) -> None:
        assert detected(spans(of), detector).changes == 0 or of[0][1] == 1e150

    @given(counts_and_means)
    def test_the_last_change_lies_in_it(self, detector: Detector, of: list[tuple[int, float]]) -> None:
        found = detected(spans(of), detector)
        assert (found.last is None) == (found.changes == 0)
        if found.last:
            means = [mean for _, mean in of]
            assert found.last.start in range(MINUTE, MINUTE * len(of), MINUTE)
            for mean in (found.last.before, found.last.after):
                assert min(means) - 1 <= mean <= max(means) + 1


def test_a_constant_that_becomes_another_is_a_change() -> None:
    found = detected(spans([(50, 1.0)] * 30 + [(50, 0.5)] * 30), Detector.ADWIN)
    assert found.last
    assert (found.last.start, found.last.before, found.last.after) == (30 * MINUTE, 1.0, 0.5)


def test_after_a_change_a_new_detector_begins_at_it() -> None:
    made: list[object] = []

    class Third:
        """Sees a change at its third sample."""

        def __init__(self) -> None:
            self.seen = 0
            made.append(self)

        @property
        def drift_detected(self) -> bool:
            return self.seen == 3

        def update(self, value: float) -> None:
            self.seen += 1

    assert changes(np.array([0.0, 0.0, 1.0, 1.0, 1.0, 5.0]), Third) == [2, 3, 5]  # type: ignore[arg-type]
    assert len(made) == 4
