"""The rollingUpdate strategy: the new revision takes over replica by replica."""

from perennial.api.base import ApiModel
from perennial.strategies.step import State


class RollingUpdate(ApiModel):
    """The new revision takes over replica by replica."""

    def aim(self, state: State) -> int:
        """All of them, as fast as the limits allow."""
        return state.limits.replicas
