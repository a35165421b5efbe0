"""What a strategy is, for whoever writes another one."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from perennial.api.base import ApiModel
from perennial.strategies.stage import Stage
from perennial.strategies.step import Limits


class Rollout(ApiModel, ABC):
    """How a new revision takes over, without I/O.

    `mechanism`: by what the requests are shared, for people. `preview`: whether a Service of its own leads to the new
    revision, before it gets any requests. `routed`: whether a gateway shares the requests where there is a route.
    """

    mechanism: ClassVar[str] = "ReplicaRatio"
    preview: ClassVar[bool] = False
    routed: ClassVar[bool] = False

    @property
    def frugal(self) -> bool:
        """Whether the stable revision gives up pods as the gateway sends requests away from it."""
        return False

    @property
    def checked(self) -> bool:
        """Whether Jobs look at the new revision."""
        return any(stage.analysis is not None and stage.analysis.checked for stage in self.stages())

    @abstractmethod
    def stages(self) -> Sequence[Stage]:
        """The stages of a rollout, one after the other; the last has a weight of 100, and promotion follows it."""

    def limits(self, limits: Limits) -> Limits:
        """The room that it takes, from what `maxSurge` and `maxUnavailable` say."""
        return limits
