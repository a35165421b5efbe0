"""The abTest strategy: some clients get the new revision, the same ones all the time, until it has won or lost."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field

from perennial.analysis import Analysis
from perennial.api.base import Duration, parse_duration
from perennial.strategies.matching import RequestMatches
from perennial.strategies.rollout import Rollout
from perennial.strategies.stage import EVERYTHING, Stage


class AbTest(Rollout):
    """Requests that carry a header or a cookie get the new revision, until it has won or lost."""

    routed: ClassVar[bool] = True

    match: Annotated[RequestMatches, Field(min_length=1)] = Field(
        description="Which requests get the new revision: those that any of these matches."
    )
    replicas: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None,
        description="Pods of the new revision meanwhile, at most `replicas` of the deployment; default: all of them.",
    )
    duration: Duration = Field("0s", description="Nobody has won before this has passed.")
    analysis: Analysis | None = Field(
        None,
        description="What the new revision must show: it takes over when that passes, and is rolled back when it "
        "fails. Without it a person says who has won, by perennial.dev/skip-step or perennial.dev/abort.",
    )

    def stages(self) -> Sequence[Stage]:
        """Beside the stable one, and then instead of it."""
        lasts: timedelta | None = parse_duration(self.duration) if self.analysis else None
        test = Stage(
            "abTest",
            0,
            lasts,
            pods=self.replicas or sys.maxsize,
            match=tuple(self.match),
            analysis=self.analysis,
            analysed=self.analysis is not None,
        )
        return test, EVERYTHING
