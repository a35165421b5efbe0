"""Writes reports into their MetricSeries: all that wait for one record in one write, so many writes per second.

Any number of replicas write: each write names the version that it was folded into, and is folded again when another
came first.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from perennial.api.meta import LABEL_MODELDEPLOYMENT
from perennial.api.resources import METRICSERIES, MODELDEPLOYMENTS
from perennial.ingest.limits import has_room
from perennial.ingest.refusal import Refusal, faulty
from perennial.ingest.turns import Turns
from perennial.kube.client import Client
from perennial.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from perennial.metricseries.series import Full, Sample, fold
from perennial.owners import controller_of, controller_reference
from perennial.plan import Body
from perennial.view import Name

logger = logging.getLogger(__name__)

# Seconds that a report may wait for its turn, and its write may take with all attempts.
_PATIENCE = 10.0
_WRITE_TIME = 10.0
_ATTEMPTS = 8
_MAX_WAITING = 50_000
_STOPS = Refusal(503, "the operator stops", retry_after=1)


@dataclass(slots=True)
class _Report:
    party: str
    samples: list[Sample]
    patience: asyncio.Timeout
    done: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Pace:
    """Turns at equal intervals, so that there are never more than `rate` in a second."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / rate
        self._clock = clock
        self._next = 0.0

    def delay(self) -> float:
        """Seconds until the next free turn."""
        return max(0.0, self._next - self._clock())

    def take(self) -> float:
        """Take the next free turn; the seconds until it comes."""
        delay = self.delay()
        self._next = self._clock() + delay + self._interval
        return delay


class Writer:
    """Takes reports for all records. `rate` is writes per second; parties that report to many take turns."""

    def __init__(self, client: Client, rate: float, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._client = client
        self._rate = rate
        self._pace = Pace(rate)
        self._now = now
        self._turns: Turns[Name] = Turns()
        self._waiting: dict[Name, list[_Report]] = {}
        self._writing: dict[Name, asyncio.Task[None]] = {}
        self._dispatcher: asyncio.Task[None] | None = None
        self._samples: Counter[str] = Counter()

    async def report(self, party: str, deployment: Name, samples: list[Sample]) -> None:
        """Return when the samples are durable. Raises Refusal when nothing of them was, or surely was, written."""
        delay = self._pace.delay() + self._turns.before(party) / self._rate
        busy = Refusal(429, "too many reports wait to be written", retry_after=max(1.0, delay))
        late = deployment not in self._waiting and delay > _PATIENCE
        if late or not has_room(len(samples), self._samples[party], self._samples.total(), _MAX_WAITING):
            raise busy
        self._samples[party] += len(samples)
        try:
            async with asyncio.timeout(_PATIENCE) as patience:
                report = _Report(party, samples, patience)
                self._waiting.setdefault(deployment, []).append(report)
                self._queue(deployment)
                await report.done
        except TimeoutError:
            raise busy from None
        finally:
            self._samples[party] -= len(samples)
            self._samples += Counter()

    async def stop(self) -> None:
        """End what is still under way; its senders get no answer, or that it failed."""
        tasks = [*self._writing.values(), *([self._dispatcher] if self._dispatcher else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for reports in self._waiting.values():
            _fail(reports, _STOPS)

    def _queue(self, deployment: Name) -> None:
        """See that what waits for a record has its turns; while it is written nothing has."""
        if deployment in self._writing:
            return
        for report in self._waiting.get(deployment, ()):
            self._turns.add(report.party, deployment)
        if self._turns and (self._dispatcher is None or self._dispatcher.done()):
            self._dispatcher = asyncio.create_task(self._dispatch())

    async def _dispatch(self) -> None:
        """Begin the writes, at most `rate` in a second, until nothing waits: never two of one record at a time."""
        while self._turns:
            await asyncio.sleep(self._pace.delay())
            deployment = self._turns.take()
            if deployment in self._writing:
                continue
            reports = [report for report in self._waiting.pop(deployment, ()) if not report.done.done()]
            if not reports:
                continue
            self._pace.take()
            for report in reports:
                report.patience.reschedule(None)
            self._writing[deployment] = asyncio.create_task(self._work(deployment, reports))

    async def _work(self, deployment: Name, reports: list[_Report]) -> None:
        try:
            await self._settle(deployment, reports)
        finally:
            del self._writing[deployment]
            self._queue(deployment)

    async def _settle(self, deployment: Name, reports: list[_Report]) -> None:
        """Write the reports, and tell each what became of it."""
        failure: Exception = _STOPS
        try:
            async with asyncio.timeout(_WRITE_TIME):
                await self._write(deployment, reports)
        except Refusal as refusal:
            failure = refusal
        except (ApiError, TimeoutError) as error:
            logger.warning("cannot write the MetricSeries %s/%s: %s", *deployment, error or "timed out")
            failure = Refusal(503, f"cannot be written now: {error or 'timed out'}", retry_after=5)
        except Exception as error:
            logger.exception("cannot write the MetricSeries %s/%s", *deployment)
            failure = error
        finally:
            _fail(reports, failure)

    async def _write(self, deployment: Name, reports: list[_Report]) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                return await self._attempt(deployment, reports)
            except (Conflict, AlreadyExists):
                await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))
        raise Refusal(503, "others write the same record too often", retry_after=2)

    async def _attempt(self, deployment: Name, reports: list[_Report]) -> None:
        owner = await self._owner(deployment)
        series = await self._series(deployment)
        if series is not None:
            _check_owner(series, owner)
        body, folded = self._fold(series, [report for report in reports if not report.done.done()])
        if not folded:
            return
        if series is None:
            await self._client.create({**body, **_frame(deployment, owner)})
        else:
            known = {key: series["metadata"][key] for key in ("uid", "resourceVersion")}
            try:
                await self._client.patch(METRICSERIES, *deployment, {"metadata": known, "status": body["status"]})
            except NotFound as error:
                raise Conflict(error.message) from error
        for report in folded:
            if not report.done.done():
                report.done.set_result(None)

    async def _owner(self, deployment: Name) -> Body:
        missing = Refusal(404, f"there is no ModelDeployment {deployment.name!r} in {deployment.namespace!r}")
        try:
            owner = await self._client.get(MODELDEPLOYMENTS, *deployment)
        except NotFound:
            raise missing from None
        if "deletionTimestamp" in owner["metadata"]:
            raise missing
        return owner

    async def _series(self, deployment: Name) -> Body | None:
        try:
            return await self._client.get(METRICSERIES, *deployment)
        except NotFound:
            return None

    def _fold(self, series: Body | None, reports: list[_Report]) -> tuple[Body, list[_Report]]:
        """All reports at once or, when there is no room for one, each on its own: it alone is refused."""
        now = self._now()
        try:
            return fold(series, [sample for report in reports for sample in report.samples], now), reports
        except Full:
            pass
        body, folded = series or {}, []
        for report in reports:
            try:
                body = fold(body, report.samples, now)
                folded.append(report)
            except Full as error:
                _fail([report], faulty([error.problem]))
        return body, folded


def _fail(reports: Any, error: Exception) -> None:
    for report in reports:
        if not report.done.done():
            report.done.set_exception(error)


def _check_owner(series: Body, owner: Body) -> None:
    """That the record is the deployment's own, and not of one that was deleted, nor somebody else's."""
    controller = controller_of(series)
    if controller and controller["uid"] == owner["metadata"]["uid"] and "deletionTimestamp" not in series["metadata"]:
        return
    if controller and controller["kind"] == MODELDEPLOYMENTS.kind:
        raise Refusal(503, "the record of an earlier ModelDeployment of that name is being removed", retry_after=5)
    raise Refusal(409, "a MetricSeries of that name belongs to somebody else: remove it")


def _frame(deployment: Name, owner: Body) -> Body:
    metadata = {
        "name": deployment.name,
        "namespace": deployment.namespace,
        "labels": {LABEL_MODELDEPLOYMENT: deployment.name},
        "ownerReferences": [controller_reference(MODELDEPLOYMENTS, deployment.name, owner["metadata"]["uid"])],
    }
    return {"apiVersion": METRICSERIES.api_version, "kind": METRICSERIES.kind, "metadata": metadata}
