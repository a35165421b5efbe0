"""What a TrainingJob's controller watches."""

from perennial.api.resources import JOBS, MODELVERSIONS, PODS, PVCS
from perennial.trainingjob import CONTROLLER


def test_all_that_is_read_from_the_cache_is_kept_fresh() -> None:
    # A claim that was removed must be seen to be gone: the next run makes it anew.
    assert {JOBS, PODS, MODELVERSIONS, PVCS} <= set(CONTROLLER.watches)
