"""The `prometheus` source: a PromQL expression, asked of a server that the administrator named."""

import math
from string import Template
from typing import Annotated, Any

from pydantic import Field

from perennial.api.base import DNS_NAME
from perennial.questions import Answer, Query, Sampled
from perennial.sources.asked import Asked, Matter


class ManySeries(ValueError):
    """An expression gives more than one value."""


def value_of(body: Any, samples: Any = None) -> Answer:
    """What a server's answers to an instant query, and to that of the number of samples, mean: nothing where they have
    no value, or NaN. ValueError for more series than one; KeyError, IndexError, TypeError for what is no answer.

    https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
    """
    value = _value(body["data"])
    count = 1.0 if samples is None else _value(samples["data"])
    if value is None or count is None or round(count) < 1:
        return Answer()
    return Answer(Sampled(round(count), value, value, value))


def _value(data: Any) -> float | None:
    found = [data["result"]] if data["resultType"] == "scalar" else [one["value"] for one in data["result"]]
    if len(found) > 1:
        raise ManySeries(f"the expression gives {len(found)} series, and one is wanted: sum them")
    values = [float(value) for _, value in found]
    return values[0] if values and math.isfinite(values[0]) else None


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
