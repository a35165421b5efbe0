"""How a ModelDeployment is reached from outside, and shared by exact weights: a route of the Gateway API."""

from typing import Annotated

from pydantic import Field

from perennial.api.base import ApiModel

_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DnsName = Annotated[str, Field(min_length=1, max_length=253, pattern=_NAME)]
Hostname = Annotated[
    str,
    Field(min_length=1, max_length=253, pattern=rf"^(\*\.)?{_NAME.removeprefix('^')}", description="Of the request."),
]


class ParentRef(ApiModel):
    """What the route is to be attached to, as a ParentReference of gateway.networking.k8s.io/v1."""

    name: DnsName = Field(description="Its name.")
    namespace: Annotated[str, Field(min_length=1, max_length=63, pattern=_LABEL)] | None = Field(
        None, description="Its namespace; default: that of the ModelDeployment."
    )
    section_name: DnsName | None = Field(None, description="One of its listeners; default: all.")
    port: Annotated[int, Field(ge=1, le=65_535)] | None = Field(None, description="A port of it; default: all.")
    group: Annotated[str, Field(max_length=253)] | None = Field(
        None, description="Its API group; default: gateway.networking.k8s.io."
    )
    kind: Annotated[str, Field(min_length=1, max_length=63)] | None = Field(
        None, description="Its kind; default: Gateway."
    )


class Route(ApiModel):
    """An HTTPRoute of the deployment's name, by which a gateway sends requests to it."""

    parent_refs: Annotated[list[ParentRef], Field(min_length=1, max_length=32)] = Field(
        description="The gateways that take the requests."
    )
    hostnames: Annotated[list[Hostname], Field(max_length=16)] = Field(
        default=[], description="Only requests for these hosts; default: for any that the gateway takes."
    )
