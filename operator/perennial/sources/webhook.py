"""The `webhook` source: who answers is somebody's own program, which the administrator named."""

from typing import Annotated

from pydantic import Field

from perennial.api.base import DNS_NAME
from perennial.questions import Call
from perennial.sources.asked import Asked, Matter


class Webhook(Asked):
    """What a program of one's own answers, whatever it looks at."""

    name: Annotated[str, Field(pattern=DNS_NAME, max_length=63)] = Field(
        description="Name of a webhook in the chart's `webhooks`."
    )

    def question(self, matter: Matter) -> Call:
        """The revision is told, and since when it gets requests."""
        return Call(
            at=matter.at,
            since=matter.since,
            webhook=self.name,
            namespace=matter.namespace,
            deployment=matter.deployment,
            revision=matter.revision,
            metric=matter.metric,
        )
