"""How a new revision takes over: each strategy is a module, and a field of `Strategy`.

A strategy says through which stages the new revision goes; `step` gets there within the limits, and keeps what serves
serving.
"""

from pydantic import Field

from perennial.api.oneof import OneOf
from perennial.strategies.ab_test import AbTest
from perennial.strategies.blue_green import BlueGreen
from perennial.strategies.canary import Canary
from perennial.strategies.rolling_update import RollingUpdate
from perennial.strategies.rollout import Rollout
from perennial.strategies.shadow import Shadow
from perennial.strategies.stage import Stage

__all__ = ["AbTest", "BlueGreen", "Canary", "RollingUpdate", "Rollout", "Shadow", "Stage", "Strategy"]


class Strategy(OneOf):
    """How a new revision takes over: exactly one."""

    rolling_update: RollingUpdate | None = Field(None, description="The new revision takes over replica by replica.")
    canary: Canary | None = Field(
        None, description="The new revision gets a growing share of the requests, step by step, and then all of them."
    )
    blue_green: BlueGreen | None = Field(
        None, description="The new revision stands beside the old one, and takes over all at once."
    )
    ab_test: AbTest | None = Field(
        None,
        description="Requests with a header, a cookie or one of some keys get the new revision, until it has won or "
        "lost.",
    )
    shadow: Shadow | None = Field(
        None, description="The new revision gets a copy of the requests, and its answers are dropped."
    )
