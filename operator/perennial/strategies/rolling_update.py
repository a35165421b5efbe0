"""The rollingUpdate strategy: the new revision takes over replica by replica."""

from collections.abc import Sequence

from perennial.api.base import ApiModel
from perennial.strategies.stage import EVERYTHING, Stage


class RollingUpdate(ApiModel):
    """The new revision takes over replica by replica."""

    @property
    def analysis(self) -> None:
        """Nothing but its pods' readiness is looked at."""

    def stages(self) -> Sequence[Stage]:
        """All of it, as fast as the limits allow."""
        return (EVERYTHING,)
