"""Takes what is to be told to people, without waiting, and has a receiver deliver it: aggregated, rate limited."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from perennial.kube.errors import ApiError
from perennial.plan import Body, Event
from perennial.telemetry import metrics
from perennial.tokens import TokenBuckets

logger = logging.getLogger(__name__)

_KNOWN = 4096
_WAITING = 1000
# Per object: so many at once, and one more each so many seconds, as Kubernetes' own components do it.
_BURST, _REFILL = 25, 300.0


@dataclass(slots=True)
class Told:
    """One event and how often it happened. `about` is an ObjectReference; `known_as` is for the receiver's use."""

    about: Body
    event: Event
    first: datetime
    last: datetime
    known_as: str = ""
    count: int = 0
    pending: bool = False


class Receiver(Protocol):
    """Somebody who is told."""

    async def deliver(self, told: Told) -> None:
        """Deliver it, once. What raises is dropped, counted and logged; nobody waits for it."""
        ...


class Recorder:
    """The way to one receiver: `run` delivers. The same event of the same object becomes a higher count."""

    def __init__(
        self,
        receiver: Receiver,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._receiver = receiver
        self._now = now
        self._told: OrderedDict[tuple[str, str, str, str], Told] = OrderedDict()
        self._tokens = TokenBuckets(_BURST, _REFILL, size=_KNOWN, clock=clock)
        self._queue: asyncio.Queue[Told] = asyncio.Queue(_WAITING)

    def record(self, about: Body, event: Event) -> None:
        """Have the event of this object told. It never blocks and never fails; too many are dropped."""
        uid = about["metadata"]["uid"]
        key = (uid, event.type, event.reason, event.message)
        told = self._told.get(key)
        now = self._now()
        if told is None:
            told = self._told[key] = Told(_reference(about), event, now, now)
            if len(self._told) > _KNOWN:
                self._told.popitem(last=False)
        self._told.move_to_end(key)
        told.count += 1
        told.last = now
        if told.pending:
            return
        if not self._tokens.take(uid):
            metrics.events_dropped.labels("rate").inc()
            return
        try:
            self._queue.put_nowait(told)
        except asyncio.QueueFull:
            metrics.events_dropped.labels("full").inc()
        else:
            told.pending = True

    async def run(self) -> None:
        """Deliver what is recorded, until cancelled."""
        while True:
            told = await self._queue.get()
            told.pending = False
            try:
                await self._receiver.deliver(told)
            except ApiError as error:
                metrics.events_dropped.labels("error").inc()
                logger.info("event %s not recorded: %s", told.event.reason, error)
            except Exception:
                metrics.events_dropped.labels("error").inc()
                logger.exception("event %s not recorded", told.event.reason)


def _reference(body: Body) -> Body:
    metadata = body["metadata"]
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }
