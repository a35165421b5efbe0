"""Reconciles keys: gather, decide, act, write the status, tell the Events; and maps every error to what follows."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType

from perennial.api.resources import Resource
from perennial.config import Config
from perennial.kube.client import Client
from perennial.kube.errors import ApiError, Meaning, NotLeading, TooManyRequests
from perennial.plan import Body, Event
from perennial.runtime.actions import Actor, Refused, Written
from perennial.runtime.asker import Ask, Asker, nobody
from perennial.runtime.cache import Cache
from perennial.runtime.dispatch import Dispatch
from perennial.runtime.key import Key
from perennial.runtime.queue import Queue
from perennial.runtime.refusals import Refusals
from perennial.runtime.status import StatusWriter
from perennial.telemetry import logs, metrics
from perennial.view import Controller, Index

logger = logging.getLogger(__name__)

# In first-in-first-out order, sixteen are all taken by status writes while Jobs wait to be made.
WORKERS = 32
# A decision that raises is a bug or a broken object: it will most likely raise again.
_BROKEN_CAP = 300.0


class Engine:
    """The cache, the queue and the workers of some controllers.

    `tell` takes the events of an object, without waiting. `now` is the wall clock that decisions are given, `clock`
    monotonic seconds; `written` is told of what was written, `ask` answers the questions of plans.
    """

    def __init__(
        self,
        controllers: Sequence[Controller],
        config: Config,
        client: Client,
        tell: Callable[[Body, Event], None],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        queue: Queue[Key] | None = None,
        written: Written = lambda *_: None,
        indexes: Mapping[Resource, Index] = MappingProxyType({}),
        ask: Ask = nobody,
    ) -> None:
        self._controllers = {controller.resource: controller for controller in controllers}
        self._config = config
        self._tell = tell
        self._now = now
        self._refusals = Refusals(clock)
        self.queue = Queue[Key](clock=clock) if queue is None else queue
        for resource in self._controllers:
            metrics.queue_depth.labels(resource.plural).set_function(partial(self._depth, resource))
        self._asker = Asker(ask, self.add)
        self.cache = Cache(self._refusals, self._asker, indexes)
        self.cache.listen(Dispatch(controllers, self.cache, self.add))
        self._actor = Actor(client, self.cache, self._refusals, written)
        self._status = StatusWriter(client, self.cache, clock, written, tell)

    def add(self, key: Key, after: float = 0.0) -> None:
        """Have the object reconciled, `after` seconds from now at the latest."""
        metrics.queue_adds.labels(key.resource.plural).inc()
        self.queue.add(key, after)

    def _depth(self, resource: Resource) -> int:
        return sum(key.resource == resource for key in self.queue)

    async def run(self, workers: int = WORKERS) -> None:
        """Reconcile until cancelled: to the cluster that is the same as being killed between two writes."""
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._work(), name=f"worker-{number}")

    async def _work(self) -> None:
        while True:
            key, waited = await self.queue.get()
            name = key.resource.plural
            metrics.queue_duration.labels(name).observe(waited)
            metrics.workers_busy.labels(name).inc()
            started = time.perf_counter()
            result = "error"
            try:
                with logs.about(key.resource.kind, key.namespace, key.name):
                    result = await self._guarded(key)
            finally:
                self.queue.done(key)
                took = time.perf_counter() - started
                metrics.workers_busy.labels(name).dec()
                metrics.reconcile_total.labels(name, result).inc()
                metrics.reconcile_time.labels(name).observe(took)
                metrics.queue_work_duration.labels(name).observe(took)

    async def _guarded(self, key: Key) -> str:
        """One reconcile with every error mapped to what follows from it. Its result, for the metrics."""
        try:
            result = await self.reconcile(key)
        except NotLeading:
            # The lease may be renewed yet, and then nobody else would do it.
            self.queue.retry(key)
            return "requeue"
        except ApiError as error:
            if error.meaning is Meaning.CONFLICT:
                return await self._conflicted(key)
            least = error.retry_after if isinstance(error, TooManyRequests) else 0.0
            broken = error.meaning is Meaning.REFUSED
            delay = self.queue.retry(key, least=least, cap=_BROKEN_CAP if broken else 30.0)
            logger.warning("%s: %s; again in %.2f s", type(error).__name__, error, delay)
        except Exception as error:
            delay = self.queue.retry(key, cap=_BROKEN_CAP)
            logger.exception("reconcile failed; again in %.2f s", delay)
            if owner := self.cache.get(*key):
                self._tell(owner, Event("Warning", "ReconcileError", f"{type(error).__name__}: {error}"))
        else:
            return result
        metrics.queue_retries.labels(key.resource.plural).inc()
        metrics.reconcile_errors.labels(key.resource.plural).inc()
        return "error"

    async def _conflicted(self, key: Key) -> str:
        self.queue.retry(key)
        try:
            await self._actor.refresh(key)
        except ApiError as error:
            logger.warning("cannot read the fresh state: %s", error)
        return "requeue"

    async def reconcile(self, key: Key) -> str:
        """One pass for one key. Raises what the API server answers, but for refusals."""
        controller = self._controllers[key.resource]
        owner = self.cache.get(*key)
        snapshot = controller.gather(self.cache, key.namespace, key.name)
        if snapshot is None:
            self._forget(key)
            return "success"
        plan = controller.decide(snapshot, self._now(), self._config)
        self._asker.ask(key, plan.questions)
        wake = plan.requeue_after
        try:
            for action in plan.actions:
                if await self._actor.act(key, owner, action):
                    # The rest of this plan was decided believing that the action would be refused.
                    self.add(key)
                    return "requeue"
        except Refused as refused:
            if refused.wait is None:
                self.queue.retry(key)
                return "requeue"
            wake = min(refused.wait, wake) if wake is not None else refused.wait
        told = plan.status is None
        if plan.status is not None and owner is not None:
            told, left = await self._status.write(key, owner, plan.status, plan.status_delay)
            if left is not None:
                wake = min(left, wake) if wake is not None else left
        if told and owner is not None:
            for event in plan.events:
                self._tell(owner, event)
        self.queue.succeeded(key)
        if wake is None:
            return "success"
        self.queue.add(key, max(wake, 0.001))
        return "requeue_after"

    def _forget(self, key: Key) -> None:
        self._refusals.forget(key)
        self._asker.ask(key, ())
        self._status.forget(key)
        self.queue.succeeded(key)
