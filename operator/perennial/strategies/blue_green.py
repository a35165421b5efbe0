"""The blueGreen strategy: the new revision stands beside the old one, unasked, and takes over all at once."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import Field

from perennial.analysis import Analysis
from perennial.strategies.rollout import Rollout
from perennial.strategies.stage import EVERYTHING, Stage
from perennial.strategies.step import Limits


class BlueGreen(Rollout):
    """The new revision stands beside the old one, reached by a preview Service only, and takes over all at once."""

    mechanism: ClassVar[str] = "ServiceSelector"
    preview: ClassVar[bool] = True

    preview_replicas: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="Pods of the new revision before it takes over, at most `replicas`; default: all of them."
    )
    auto_promotion_enabled: bool = Field(
        True, description="Takes over by itself; else a person says so, by the annotation perennial.dev/skip-step."
    )
    pre_promotion_analysis: Analysis | None = Field(
        None, description="What the new revision must show before it gets any requests."
    )
    post_promotion_analysis: Analysis | None = Field(
        None,
        description="What it must show when it gets all of them; until that passes the old one is kept, and gets them "
        "back when it fails.",
    )

    def stages(self) -> Sequence[Stage]:
        """Beside, and then instead of the stable one."""
        before, after = self.pre_promotion_analysis, self.post_promotion_analysis
        beside = Stage(
            "preview",
            0,
            EVERYTHING.hold if self.auto_promotion_enabled else None,
            pods=self.preview_replicas or sys.maxsize,
            analysis=before,
            analysed=before is not None,
        )
        return beside, replace(EVERYTHING, alone=True, at_once=True, analysis=after, analysed=after is not None)

    def limits(self, limits: Limits) -> Limits:
        """Room for both revisions, whatever `maxSurge` says: it could not be done with less."""
        return replace(limits, surge=max(limits.surge, limits.replicas))
