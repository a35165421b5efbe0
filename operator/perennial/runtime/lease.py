"""Leader election by a coordination.k8s.io/Lease: of any number of replicas one leads, the others stand by."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from perennial.api.resources import LEASES
from perennial.kube.client import Client
from perennial.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from perennial.plan import Body
from perennial.telemetry import metrics

logger = logging.getLogger(__name__)


class Lease:
    """One candidate for one Lease. Times are seconds; `clock` is monotonic, `now` the wall clock for people to read.

    A holder that is not heard of for `duration` is succeeded, judged by our own clock since we last saw the Lease
    change, so that clocks need not agree. The holder itself stops to write after `deadline`, which is shorter.
    A leader that is lost without a word is succeeded `duration` and a `period` later at the latest.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        duration: float = 12.0,
        deadline: float = 8.0,
        period: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        if not period < deadline < duration:
            raise ValueError("a lease needs period < deadline < duration")
        self._client = client
        self._namespace = namespace
        self._name = name
        self.identity = identity
        self._duration = duration
        self._deadline = deadline
        self._period = period
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._seen: tuple[str, float] = ("", 0.0)
        self._runs_out = 0.0
        self._version: str | None = None
        self._renewed: float | None = None
        metrics.leader.labels(name).set(0)

    def holds(self) -> bool:
        """Whether we surely lead: renewed less than `deadline` ago. To be asked before each write."""
        return self._renewed is not None and self._clock() - self._renewed < self._deadline

    @property
    def version(self) -> int:
        """The resourceVersion of our last write of it; 0 when there was none."""
        return int(self._version or 0)

    async def acquire(self) -> None:
        """Wait until the Lease is ours."""
        while not await self._attempt(self._take):
            left = self._runs_out - self._clock()
            await self._sleep(left if 0 < left < self._period else self._period)
        metrics.leader.labels(self._name).set(1)
        logger.info("leading as %s", self.identity)

    async def keep(self) -> None:
        """Renew, and return when the Lease is lost or could not be renewed in time."""
        while self.holds() and self._renewed is not None:
            await self._sleep(max(0.0, self._renewed + self._period - self._clock()))
            await self._renew_in_time()
        self._renewed = None
        metrics.leader.labels(self._name).set(0)
        logger.error("the lease is lost")

    async def release(self) -> None:
        """Let the next candidate take over at once; best effort."""
        if self._version is None or not self.holds():
            return
        self._renewed = None
        metrics.leader.labels(self._name).set(0)
        try:
            await self._write({"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._stamp()})
        except ApiError as error:
            logger.warning("the lease is not released: %s", error)

    async def _renew_in_time(self) -> None:
        """One renewal. Beside one that hangs others are sent: each has until the deadline, and the first that is
        answered is enough, be the server slow or the way to it lossy.
        """
        sent: set[asyncio.Task[bool]] = set()
        try:
            while self.holds():
                sent.add(asyncio.create_task(self._attempt(self._renew)))
                done, sent = await asyncio.wait(sent, timeout=self._period / 2, return_when=asyncio.FIRST_COMPLETED)
                if any(one.result() for one in done):
                    return
                if done:
                    await self._sleep(self._period / 8)
        finally:
            for one in sent:
                one.cancel()

    async def _attempt(self, step: Callable[[], Awaitable[bool]]) -> bool:
        started = self._clock()
        try:
            left = self._deadline / 2 if self._renewed is None else self._renewed + self._deadline - started
            async with asyncio.timeout(left):
                done = await step()
        except (ApiError, TimeoutError) as error:
            logger.warning("lease %s/%s: %s", self._namespace, self._name, error or "time-out")
            return False
        if done:
            # Counted from before the request: the others count from when they see it.
            self._renewed = max(started, self._renewed or started)
        return done

    async def _take(self) -> bool:
        try:
            lease = await self._client.get(LEASES, self._namespace, self._name)
        except NotFound:
            return await self._make()
        version = lease["metadata"]["resourceVersion"]
        spec = lease.get("spec", {})
        holder = spec.get("holderIdentity") or ""
        if version != self._seen[0]:
            self._seen = (version, self._clock())
        self._runs_out = self._seen[1] + spec.get("leaseDurationSeconds", self._duration)
        if holder and holder != self.identity and self._clock() < self._runs_out:
            return False
        self._version = version
        transitions = spec.get("leaseTransitions", 0) + (holder != self.identity)
        try:
            await self._write({**self._spec(), "acquireTime": self._stamp(), "leaseTransitions": transitions})
        except Conflict:
            return False
        return True

    async def _make(self) -> bool:
        body: Body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"namespace": self._namespace, "name": self._name},
            "spec": {**self._spec(), "acquireTime": self._stamp(), "leaseTransitions": 0},
        }
        try:
            made = await self._client.create(body)
        except AlreadyExists:
            return False
        self._version = made["metadata"]["resourceVersion"]
        return True

    async def _renew(self) -> bool:
        try:
            await self._write(self._spec())
        except (Conflict, NotFound):
            # Either somebody took it, or an answer to our own renewal was lost.
            lease = await self._client.get(LEASES, self._namespace, self._name)
            if lease.get("spec", {}).get("holderIdentity") != self.identity:
                self._renewed = None
                return False
            self._version = lease["metadata"]["resourceVersion"]
            await self._write(self._spec())
        return True

    async def _write(self, spec: Body) -> None:
        patch = {"metadata": {"resourceVersion": self._version}, "spec": spec}
        written = await self._client.patch(LEASES, self._namespace, self._name, patch)
        self._version = written["metadata"]["resourceVersion"]

    def _spec(self) -> Body:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": round(self._duration),
            "renewTime": self._stamp(),
        }

    def _stamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
