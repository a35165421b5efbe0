"""The `prometheus` source: a PromQL expression, asked of a server that the administrator named."""

from string import Template
from typing import Annotated

from pydantic import Field

from perennial.api.base import DNS_NAME
from perennial.questions import Query
from perennial.sources.asked import Asked, Matter


class Prometheus(Asked):
    """The value of a PromQL expression."""

    server: Annotated[str, Field(pattern=DNS_NAME, max_length=63)] = Field(
        "default", description="Name of a server in the chart's `prometheusServers`."
    )
    query: Annotated[str, Field(min_length=1, max_length=2048)] = Field(
        description="Gives one value. $namespace, $deployment, $revision and $interval (of the analysis, or the window "
        "of the trigger) are filled in."
    )
    samples: Annotated[str, Field(min_length=1, max_length=2048)] | None = Field(
        None, description="Gives how many samples that value is of: requests in the interval, say. Default: one."
    )

    def question(self, matter: Matter) -> Query:
        """The expression, with what is known filled in."""
        known = {
            "namespace": matter.namespace,
            "deployment": matter.deployment,
            "revision": matter.revision,
            "interval": f"{matter.interval.total_seconds():.0f}s",
        }
        query, samples = (Template(text).safe_substitute(known) for text in (self.query, self.samples or ""))
        return Query(matter.at, self.server, query, samples)
