"""How a new revision takes over: each strategy is a module, and a field of `Strategy`.

A strategy says how far the new revision is to grow; `step` gets there within the limits, and keeps what serves serving.
"""

from typing import Protocol

from pydantic import Field

from perennial.api.oneof import OneOf
from perennial.strategies.rolling_update import RollingUpdate
from perennial.strategies.step import State

__all__ = ["RollingUpdate", "Rollout", "Strategy"]


class Strategy(OneOf):
    """How a new revision takes over: exactly one."""

    rolling_update: RollingUpdate | None = Field(None, description="The new revision takes over replica by replica.")


class Rollout(Protocol):
    """What every strategy does, without I/O."""

    def aim(self, state: State) -> int:
        """How many pods the incoming revision is to have now, of `state.limits.replicas`.

        It is promoted when it has all of them, so an aim that always stays below never ends the rollout.
        """
        ...
