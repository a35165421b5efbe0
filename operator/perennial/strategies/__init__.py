"""How a new revision takes over: each strategy is a module, and a field of `Strategy`.

A strategy says through which stages the new revision goes; `step` gets there within the limits, and keeps what serves
serving.
"""

from collections.abc import Sequence
from typing import Protocol

from pydantic import Field

from perennial.analysis import Analysis
from perennial.api.oneof import OneOf
from perennial.strategies.canary import Canary
from perennial.strategies.rolling_update import RollingUpdate
from perennial.strategies.stage import Stage

__all__ = ["Canary", "RollingUpdate", "Rollout", "Stage", "Strategy"]


class Strategy(OneOf):
    """How a new revision takes over: exactly one."""

    rolling_update: RollingUpdate | None = Field(None, description="The new revision takes over replica by replica.")
    canary: Canary | None = Field(
        None, description="The new revision gets a growing share of the requests, step by step, and then all of them."
    )


class Rollout(Protocol):
    """What every strategy does, without I/O."""

    @property
    def analysis(self) -> Analysis | None:
        """What the new revision must show while it gets requests."""
        ...

    def stages(self) -> Sequence[Stage]:
        """The stages of a rollout, one after the other; the last has a weight of 100, and promotion follows it."""
        ...
