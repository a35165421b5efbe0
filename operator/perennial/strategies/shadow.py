"""The shadow strategy: the new revision gets a copy of the requests, and nobody its answers, until it takes over."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field

from perennial.analysis import Analysis
from perennial.api.base import Duration, parse_duration
from perennial.strategies.rollout import Rollout
from perennial.strategies.stage import EVERYTHING, Stage


class Shadow(Rollout):
    """The new revision gets a copy of the requests, and its answers are dropped, until it takes over."""

    routed: ClassVar[bool] = True

    percent: Annotated[int, Field(ge=1, le=100)] = Field(
        100,
        description="Percent of the requests that are copied. Below 100 the Gateway API must be of 1.3 or newer; a "
        "gateway that knows no such share copies all.",
    )
    replicas: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None,
        description="Pods of the new revision meanwhile, at most `replicas` of the deployment; default: all of them.",
    )
    duration: Duration = Field("0s", description="It does not take over before this has passed.")
    analysis: Analysis | None = Field(
        None,
        description="What the new revision must show: it takes over when that passes, and is rolled back when it "
        "fails. Without it a person says so, by perennial.dev/skip-step or perennial.dev/abort.",
    )

    def stages(self) -> Sequence[Stage]:
        """Behind the stable one, and then instead of it."""
        lasts: timedelta | None = parse_duration(self.duration) if self.analysis else None
        behind = Stage(
            "shadow",
            0,
            lasts,
            pods=self.replicas or sys.maxsize,
            mirrored=self.percent,
            analysis=self.analysis,
            analysed=self.analysis is not None,
        )
        return behind, EVERYTHING
