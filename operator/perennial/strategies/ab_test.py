"""The abTest strategy: some clients get the new revision, the same ones all the time, until it has won or lost."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from perennial.analysis import Analysis
from perennial.api.base import Duration, parse_duration
from perennial.api.rules import rule, validations
from perennial.strategies.hashed_key import HashedKey
from perennial.strategies.matching import RequestMatches
from perennial.strategies.rollout import Rollout
from perennial.strategies.stage import EVERYTHING, Stage


class AbTest(Rollout):
    """Requests that carry a header, a cookie or one of some keys get the new revision, until it has won or lost."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "has(self.match) != has(self.hashedKey)",
                "give exactly one of match (requests that carry something) and hashedKey (a share of the keys)",
            )
        )
    )

    routed: ClassVar[bool] = True

    match: Annotated[RequestMatches, Field(min_length=1)] | None = Field(
        None, description="Which requests get the new revision: those that any of these matches."
    )
    hashed_key: HashedKey | None = Field(
        None, description="Which requests get the new revision: those with a share of the keys in a header."
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
            match=(self.hashed_key,) if self.hashed_key else tuple(self.match or ()),
            analysis=self.analysis,
            analysed=self.analysis is not None,
        )
        return test, EVERYTHING
