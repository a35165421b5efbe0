"""The canary strategy: the new revision gets a growing share of the requests, step by step."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from perennial.analysis import Analysis
from perennial.api.base import ApiModel, Duration, parse_duration
from perennial.api.oneof import OneOf
from perennial.api.rules import rule, validations
from perennial.strategies.matching import RequestMatches
from perennial.strategies.rollout import Rollout
from perennial.strategies.stage import EVERYTHING, Scale, Stage


class Pause(ApiModel):
    """Stays where it is."""

    duration: Duration | None = Field(
        None, description="For so long; without it until a person goes on, by the annotation perennial.dev/skip-step."
    )

    @property
    def words(self) -> str:
        """The step as it is told."""
        return f"pause {self.duration}" if self.duration else "pause"

    @property
    def span(self) -> timedelta | None:
        """How long; None: until a person goes on."""
        return parse_duration(self.duration) if self.duration else None


class AnalysisStep(ApiModel):
    """Stays where it is until the analysis has passed."""


class HeaderRoute(ApiModel):
    """Requests that carry something are all for the new revision."""

    match: RequestMatches = Field(
        default=[], description="Those that any of these matches; none: as it was before the first such step."
    )


class CanaryScale(OneOf):
    """How many pods the new revision has: exactly one."""

    replicas: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="So many, but no more than `replicas` of the deployment."
    )
    weight: Annotated[int, Field(ge=1, le=100)] | None = Field(None, description="Percent of `replicas`.")
    match_traffic_weight: Literal[True] | None = Field(
        None, description="As its weight asks for, as before such a step."
    )

    @property
    def words(self) -> str:
        """The step as it is told."""
        said = self.chosen
        return "setCanaryScale as its weight" if said is True else f"setCanaryScale {said}{'%' if self.weight else ''}"

    @property
    def scale(self) -> Scale | None:
        """For a stage."""
        return None if self.match_traffic_weight else Scale(self.replicas, self.weight)


class CanaryStep(OneOf):
    """One step of a canary: exactly one."""

    set_weight: Annotated[int, Field(ge=0, le=100)] | None = Field(
        None, description="Percent of the requests that the new revision gets from now on."
    )
    pause: Pause | None = Field(None, description="Stays at this weight for a while, or until a person goes on.")
    analysis: AnalysisStep | None = Field(
        None, description="Stays at this weight until a look at the analysis, from now on, passes."
    )
    set_header_route: HeaderRoute | None = Field(
        None, description="With a route: requests that carry a header or a cookie are for the new revision from now on."
    )
    set_canary_scale: CanaryScale | None = Field(
        None, description="With a route: how many pods the new revision has from now on, whatever its weight."
    )


class StableScale(StrEnum):
    """How many pods the stable revision has while a gateway shares the requests."""

    FULL = "Full"
    MATCH_TRAFFIC_WEIGHT = "MatchTrafficWeight"


class Canary(Rollout):
    """The new revision gets a growing share of the requests, step by step, and then all of them."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "has(self.analysis) || !self.steps.exists(step, has(step.analysis))",
                "a step `analysis` needs strategy.canary.analysis: what is to be looked at",
                ".analysis",
            )
        )
    )

    routed: ClassVar[bool] = True

    steps: Annotated[list[CanaryStep], Field(min_length=1, max_length=32)] = Field(
        description="In this order. Before the first setWeight the new revision has one pod, which gets no requests."
    )
    max_weight_error: Annotated[int, Field(ge=0, le=100)] | None = Field(
        None,
        description="By how many percent a weight may be missed, since it is made of whole pods: with more the rollout "
        "waits, and says what to change. Without it the nearest one is taken.",
    )
    stable_scale: StableScale = Field(
        StableScale.FULL,
        description="With a route. Full: the stable revision keeps its pods, and can have all requests back at once. "
        "MatchTrafficWeight: it has as many as its share asks for; on the way back it gets requests as its pods come.",
    )
    analysis: Analysis | None = Field(
        None,
        description="What the new revision must show from when it gets requests: it is rolled back when it fails, and "
        "neither a step `analysis` nor bakeTime ends before it passes.",
    )
    bake_time: Duration = Field(
        "0s", description="How long the new revision gets all requests before it is promoted; the old one is kept warm."
    )

    @property
    def frugal(self) -> bool:
        """Whether the stable revision gives up pods as the gateway sends requests away from it."""
        return self.stable_scale is StableScale.MATCH_TRAFFIC_WEIGHT

    def stages(self) -> Sequence[Stage]:
        """A stage for each step, and all of it at the end."""
        stages: list[Stage] = []
        now = Stage("", 0)
        for one in self.steps:
            if one.set_weight is not None:
                now = replace(now, weight=one.set_weight)
            if one.set_header_route is not None:
                now = replace(now, match=tuple(one.set_header_route.match))
            if one.set_canary_scale is not None:
                now = replace(now, scale=one.set_canary_scale.scale)
            stages.append(self._stage(one, now))
        bake, analysis = parse_duration(self.bake_time), self.analysis
        if not bake:
            return (*stages, replace(EVERYTHING, analysis=analysis))
        words = f"bakeTime {self.bake_time}"
        return (*stages, Stage(words, 100, bake, alone=True, analysis=analysis, analysed=analysis is not None))

    def _stage(self, one: CanaryStep, now: Stage) -> Stage:
        return replace(
            now,
            words=self._words(one),
            hold=one.pause.span if one.pause else timedelta(),
            alone=True,
            most_error=self.max_weight_error,
            # Without requests there is nothing to look at, unless somebody asks for it.
            analysis=self.analysis if now.weight or now.match or one.analysis else None,
            analysed=one.analysis is not None,
        )

    def _words(self, one: CanaryStep) -> str:
        if one.pause:
            return one.pause.words
        if one.set_canary_scale:
            return one.set_canary_scale.words
        return f"{one.option} {one.set_weight}" if one.set_weight is not None else one.option
