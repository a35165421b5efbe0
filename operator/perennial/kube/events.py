"""Records Kubernetes Events, as `kubectl describe` shows them: aggregated, rate limited, best effort."""

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from perennial.api.base import format_time
from perennial.api.resources import EVENTS
from perennial.kube.client import Client
from perennial.kube.errors import ApiError, NotFound
from perennial.plan import Body, Event
from perennial.telemetry import metrics

logger = logging.getLogger(__name__)

_COMPONENT = "perennial"
_KNOWN = 4096
_WAITING = 1000
# Per object: so many at once, and one more each so many seconds, as Kubernetes' own components do it.
_BURST, _REFILL = 25, 300.0
_MESSAGE, _REASON = 1024, 128


@dataclass(slots=True)
class _Told:
    """One event of one object, and how often it happened."""

    about: Body
    event: Event
    first: datetime
    last: datetime
    name: str = ""
    count: int = 0
    pending: bool = False


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Recorder:
    """Takes events without waiting; `run` writes them. The same event of the same object becomes a higher count."""

    def __init__(
        self,
        client: Client,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._now = now
        self._clock = clock
        self._told: OrderedDict[tuple[str, str, str, str], _Told] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._queue: asyncio.Queue[_Told] = asyncio.Queue(_WAITING)

    def record(self, about: Body, event: Event) -> None:
        """Have the event recorded on the object. It never blocks and never fails; too many are dropped."""
        uid = about["metadata"]["uid"]
        key = (uid, event.type, event.reason, event.message)
        told = self._told.get(key)
        now = self._now()
        if told is None:
            told = self._told[key] = _Told(_reference(about), event, now, now)
            if len(self._told) > _KNOWN:
                self._told.popitem(last=False)
        self._told.move_to_end(key)
        told.count += 1
        told.last = now
        if told.pending:
            return
        if not self._allowed(uid):
            metrics.events_dropped.labels("rate").inc()
            return
        try:
            self._queue.put_nowait(told)
        except asyncio.QueueFull:
            metrics.events_dropped.labels("full").inc()
        else:
            told.pending = True

    async def run(self) -> None:
        """Write what is recorded, until cancelled."""
        while True:
            told = await self._queue.get()
            told.pending = False
            try:
                await self._write(told)
            except ApiError as error:
                metrics.events_dropped.labels("error").inc()
                logger.info("event %s not recorded: %s", told.event.reason, error)
            except Exception:
                metrics.events_dropped.labels("error").inc()
                logger.exception("event %s not recorded", told.event.reason)

    async def _write(self, told: _Told) -> None:
        namespace = told.about["namespace"]
        if told.name:
            change = {"count": told.count, "lastTimestamp": format_time(told.last)}
            try:
                await self._client.patch(EVENTS, namespace, told.name, change)
            except NotFound:
                # Events live for an hour.
                told.name, told.count, told.first = "", 1, told.last
            else:
                return
        name = f"{told.about['name'][:230]}.{secrets.token_hex(8)}"
        await self._client.create(
            {
                "apiVersion": EVENTS.api_version,
                "kind": EVENTS.kind,
                "metadata": {"name": name, "namespace": namespace},
                "involvedObject": told.about,
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
        told.name = name

    def _allowed(self, uid: str) -> bool:
        now = self._clock()
        bucket = self._buckets.setdefault(uid, _Bucket(_BURST, now))
        self._buckets.move_to_end(uid)
        if len(self._buckets) > _KNOWN:
            self._buckets.popitem(last=False)
        bucket.tokens = min(_BURST, bucket.tokens + (now - bucket.at) / _REFILL)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


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
