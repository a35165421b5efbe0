"""The rollingUpdate strategy: the new revision takes over replica by replica."""

from collections.abc import Sequence

from perennial.strategies.rollout import Rollout
from perennial.strategies.stage import EVERYTHING, Stage


class RollingUpdate(Rollout):
    """The new revision takes over replica by replica."""

    def stages(self) -> Sequence[Stage]:
        """All of it, as fast as the limits allow."""
        return (EVERYTHING,)
