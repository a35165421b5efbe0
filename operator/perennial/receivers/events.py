"""Kubernetes Events, as `kubectl describe` shows them."""

import secrets

from perennial.api.base import format_time
from perennial.api.resources import EVENTS
from perennial.kube.client import Client
from perennial.kube.errors import NotFound
from perennial.receivers.recorder import Told

_COMPONENT = "perennial"
_MESSAGE, _REASON = 1024, 128


class Events:
    """Writes what is told as an Event of its object; what is told again becomes a higher count of the same Event."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def deliver(self, told: Told) -> None:
        """Write it. Raises ApiError."""
        about = told.about
        if told.known_as:
            change = {"count": told.count, "lastTimestamp": format_time(told.last)}
            try:
                await self._client.patch(EVENTS, about["namespace"], told.known_as, change)
            except NotFound:
                # Events live for an hour.
                told.known_as, told.count, told.first = "", 1, told.last
            else:
                return
        name = f"{about['name'][:230]}.{secrets.token_hex(8)}"
        await self._client.create(
            {
                "apiVersion": EVENTS.api_version,
                "kind": EVENTS.kind,
                "metadata": {"name": name, "namespace": about["namespace"]},
                "involvedObject": about,
                "type": told.event.type,
                "reason": told.event.reason[:_REASON],
                "message": told.event.message[:_MESSAGE],
                "source": {"component": _COMPONENT},
                "reportingComponent": _COMPONENT,
                "count": told.count,
                "firstTimestamp": format_time(told.first),
                "lastTimestamp": format_time(told.last),
            }
        )
        told.known_as = name
