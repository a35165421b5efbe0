"""The `pods` source: Prometheus counters of the revision's own pods. It needs nothing installed."""

from typing import Annotated

from pydantic import AfterValidator, Field

from perennial.api.base import ApiModel, Body
from perennial.api.rules import rule, validations
from perennial.questions import Counter, Scrape
from perennial.sources.asked import Asked, Matter, Unanswerable

# More say hardly more; each is a request.
MOST = 16

_Name = Annotated[str, Field(pattern="^[a-zA-Z_:][a-zA-Z0-9_:]*$", max_length=128)]
_Label = Annotated[str, Field(pattern="^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=64)]


class CounterRef(ApiModel):
    """A counter of a page of metrics: all its series with these labels, summed."""

    metric: _Name = Field(description="Its name, as the page has it: `http_requests_total`.")
    labels: Annotated[dict[_Label, Annotated[str, Field(max_length=64)]], Field(max_length=16)] = Field(
        default={}, description="Only series with these labels; `*` stands for anything: {code: 5*}."
    )
    plus: Annotated[list[_Name], Field(max_length=8)] | None = Field(
        None, description="Further counters, added to it: of a server that counts good and bad answers apart."
    )

    @property
    def counter(self) -> Counter:
        """The counter that is meant."""
        return Counter(self.metric, tuple(sorted(self.labels.items())), tuple(self.plus or ()))


def _times(value: float) -> float:
    if not 1e-6 <= value <= 1e6:
        raise ValueError("must be from 0.000001 to 1000000")
    return value


class Mean(ApiModel):
    """How a mean is told."""

    # Not as bounds: the API server tells such without their digits.
    times: Annotated[
        float,
        Field(
            json_schema_extra=validations(
                rule("self >= 0.000001 && self <= 1000000.0", "must be from 0.000001 to 1000000")
            )
        ),
        AfterValidator(_times),
    ] = Field(
        1.0,
        description="What it is multiplied by: 1000 makes milliseconds of seconds. What is not above 1 is taken for a "
        "ratio.",
    )


class Pods(Asked):
    """Which part of one counter of the revision's pods another one is: of all requests those that failed, say."""

    numerator: CounterRef = Field(description="What is counted: errors, or requests faster than a bucket's `le`.")
    denominator: CounterRef = Field(description="Of what it is a part: all requests.")
    mean: Mean | None = Field(
        None,
        description="The numerator is no part of it but a sum, of seconds say, and the value is the mean. In an "
        "analysis each look is one sample, the mean of that time.",
    )
    path: Annotated[str, Field(pattern="^/[A-Za-z0-9/_.-]*$", max_length=256)] = Field(
        "/metrics", description="Where the pods have the page."
    )
    port: Annotated[str, Field(min_length=1, max_length=15)] = Field(
        "http", description="On which of their ports, by name."
    )

    def question(self, matter: Matter) -> Scrape | None:
        """The first of the pods by uid: each look asks the same."""
        ready = sorted(matter.pods, key=lambda pod: str(pod["metadata"]["uid"]))
        pages = tuple((pod["metadata"]["uid"], self._url(pod)) for pod in ready[:MOST])
        if not pages:
            return None
        return Scrape(
            matter.at,
            matter.since,
            pages,
            self.numerator.counter,
            self.denominator.counter,
            self.mean.times if self.mean else None,
            matter.window,
            f"{matter.namespace}/{matter.revision}:{self.port}{self.path}",
        )

    def _url(self, pod: Body) -> str:
        if pod["spec"].get("hostNetwork"):
            # What answers there may be anybody of the node.
            raise Unanswerable("pods with hostNetwork are not asked for metrics: use `prometheus` or `reported`")
        ports = (port for one in pod["spec"].get("containers") or () for port in one.get("ports") or ())
        number = next((port["containerPort"] for port in ports if port.get("name") == self.port), None)
        if number is None:
            raise Unanswerable(f"its pods have no port named {self.port!r}")
        address = str(pod["status"].get("podIP", ""))
        return f"http://{f'[{address}]' if ':' in address else address}:{number}{self.path}"
