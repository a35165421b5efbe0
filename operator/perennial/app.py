"""The operator as a process: what starts and ends in which order. With `patience` the only module that knows kopf.

kopf is the shell: it logs in and keeps the watches alive. What they tell goes into the cache; kopf handles nothing.
"""

import asyncio
import logging
import random
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import kopf
from prometheus_client import REGISTRY

from perennial import patience
from perennial.answers import Answers
from perennial.api.meta import LABEL_OWNED
from perennial.api.resources import CHILD_KINDS, Resource
from perennial.config import Config
from perennial.indexes import INDEXES
from perennial.kube.client import PAGE, Client, Fenced
from perennial.kube.login import Credentials
from perennial.plan import Body, Event
from perennial.receivers import Recorder, receivers
from perennial.runtime.asker import Ask
from perennial.runtime.cache import Cache
from perennial.runtime.key import key_of, version_of
from perennial.runtime.lease import Lease
from perennial.runtime.rehearsal import Rehearsals
from perennial.runtime.resync import Resync
from perennial.runtime.worker import Engine
from perennial.telemetry import domain
from perennial.telemetry.health import Health, limit
from perennial.telemetry.objects import Objects
from perennial.view import Controller

logger = logging.getLogger(__name__)

# Longer than any series of requests that one reconcile makes, with their time-outs.
_STUCK = 300.0
_KOPF_PATIENCE = 15.0


async def run(
    controllers: Sequence[Controller],
    config: Config,
    client: Client,
    credentials: Credentials,
    lease: Lease,
    *,
    namespace: str | None = None,
    services: Sequence[AbstractAsyncContextManager[Any]] = (),
    health: Health,
    address: tuple[str, int],
) -> int:
    """Serve health and `services` at once, reconcile while the lease is ours, and return the exit code.

    namespace: the only one whose objects are read, watched and written; None: all.
    0 after SIGTERM or SIGINT, or when optional kinds have come or gone; 1 when the lease was lost or a part ended by
    itself: the pod is to be started anew.
    """
    stop = asyncio.Event()
    _on_signals(stop)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(health.serve(*address))
        for service in services:
            await stack.enter_async_context(service)
        stopping = asyncio.create_task(stop.wait(), name="stop")
        acquiring = asyncio.create_task(lease.acquire(), name="acquire")
        await asyncio.wait({stopping, acquiring}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            await _cancel(acquiring)
            await lease.release()
            return 0
        await acquiring
        answers = await stack.enter_async_context(Answers(config))
        return await _lead(
            controllers, config, client, credentials, lease, namespace, health, stop, stopping, answers.answer
        )


async def _lead(
    controllers: Sequence[Controller],
    config: Config,
    client: Client,
    credentials: Credentials,
    lease: Lease,
    namespace: str | None,
    health: Health,
    stop: asyncio.Event,
    stopping: "asyncio.Task[Any]",
    ask: Ask,
) -> int:
    fenced = Fenced(client, lease.holds)
    recorders = [Recorder(receiver) for receiver in receivers(fenced, config)]

    def tell(about: Body, event: Event) -> None:
        for recorder in recorders:
            recorder.record(about, event)

    engine = Engine(
        controllers, config, fenced, tell, written=domain.written, indexes=INDEXES, ask=Rehearsals(fenced, ask).answer
    )
    REGISTRY.register(Objects(engine.cache))
    selectors = selectors_of(controllers)
    owners = [controller.resource for controller in controllers]
    resync = Resync(fenced, engine, selectors, owners, namespace=namespace)
    health.live["workers"] = limit("a reconcile runs", engine.queue.longest_at_work, _STUCK)
    health.live["queue"] = limit("an object waits", engine.queue.longest_waiting, _STUCK)
    # All of them before kopf: it cancels what was created after it.
    tasks = [asyncio.create_task(lease.keep(), name="lease")]
    tasks += [asyncio.create_task(recorder.run(), name="recorder") for recorder in recorders]
    kopf_stop = asyncio.Event()
    shell: asyncio.Task[Any] | None = None
    filling = asyncio.create_task(resync.fill(lease.version), name="fill")
    passing: list[asyncio.Task[Any]] = [filling]
    try:
        await asyncio.wait({stopping, filling, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        if filling.done():
            versions = await filling
            logger.info("cache filled", extra={"objects": sum(len(engine.cache.keys(r)) for r in selectors)})
            tasks += [
                asyncio.create_task(engine.run(), name="engine"),
                asyncio.create_task(resync.run(), name="resync"),
            ]
            there = {resource: selectors[resource] for resource in versions}
            watching = _watch(engine.cache, there, versions, namespace, credentials, kopf_stop, stop)
            shell = asyncio.create_task(watching, name="kopf")
            other_kinds = asyncio.create_task(resync.kinds_change(), name="kinds")
            passing.append(other_kinds)
            await asyncio.wait({stopping, shell, other_kinds, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            if other_kinds.done():
                logger.info("ending, to be started again for the kinds that there are")
    finally:
        # First nothing is written any more, then another may lead, then the rest ends.
        ended = [task for task in (*tasks, shell) if task and task.done()]
        await _cancel(*passing, *tasks)
        await lease.release()
        kopf_stop.set()
        if shell:
            await asyncio.wait({shell}, timeout=_KOPF_PATIENCE)
            await _cancel(shell)
    for task in ended:
        if not task.cancelled() and (error := task.exception()):
            logger.error("%s failed", task.get_name(), exc_info=error)
        else:
            logger.error("%s ended", task.get_name())
    return 1 if ended else 0


def selectors_of(controllers: Sequence[Controller]) -> dict[Resource, str]:
    """The resources to watch, each with its label selector; of the core kinds only what is ours."""
    resources = dict.fromkeys(controller.resource for controller in controllers)
    for controller in controllers:
        resources |= dict.fromkeys(controller.watches)
    return {resource: LABEL_OWNED if resource in CHILD_KINDS else "" for resource in resources}


async def _watch(
    cache: Cache,
    selectors: dict[Resource, str],
    versions: dict[Resource, str],
    namespace: str | None,
    credentials: Credentials,
    kopf_stop: asyncio.Event,
    stop: asyncio.Event,
) -> None:
    since = {(resource.group, resource.plural): version for resource, version in versions.items()}
    patience.install(*_sinks(cache, selectors), since)
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(_login(credentials))
    for resource in selectors:
        # So that kopf watches it: what is told goes to the sink.
        kopf.on.event(resource.group, resource.version, resource.plural, registry=registry)(_nothing)
    others = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=_settings(selectors),
        clusterwide=namespace is None,
        namespaces=[namespace] if namespace else [],
        standalone=True,
        stop_flag=kopf_stop,
        # Else kopf asks for the name of the user, which an image without a passwd entry for it does not have.
        identity="perennial",  # type: ignore[arg-type]
    )
    # kopf took the signals. Ours end things in another order: the lease is given up before kopf winds down.
    _on_signals(stop)
    running = asyncio.create_task(kopf.run_tasks(tasks, ignored=others), name="kopf's parts")
    try:
        await asyncio.wait({running, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        # When one of its parts ends, kopf may wait for the others for ever, and nobody would watch.
        await asyncio.wait({running}, timeout=_KOPF_PATIENCE)
    finally:
        await _cancel(running)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.result()


def _sinks(cache: Cache, resources: Iterable[Resource]) -> tuple[patience.Sink, patience.Listed]:
    known = {(resource.group, resource.version, resource.plural): resource for resource in resources}

    def tell(about: kopf.Resource, type_: str | None, body: Any) -> None:
        resource = known[about.group, about.version, about.plural]
        try:
            if type_ == "DELETED":
                cache.remove(key_of(resource, body), version_of(body), body["metadata"]["uid"])
            else:
                cache.put(resource, body)
        except Exception:
            logger.exception("cannot keep what is told of %s", resource.plural)

    def listed(about: kopf.Resource, there: list[Any], version: str) -> None:
        resource = known[about.group, about.version, about.plural]
        bodies = ({"metadata": metadata} for metadata in there)
        cache.replace(resource, {key_of(resource, body): version_of(body) for body in bodies}, int(version))

    return tell, listed


def _nothing(**_: Any) -> None:
    pass


def _login(credentials: Credentials) -> Any:
    again_after = timedelta(seconds=2)
    last = datetime.min.replace(tzinfo=UTC)

    async def login(**_: Any) -> kopf.ConnectionInfo:
        nonlocal last
        if datetime.now(UTC) - last < again_after:
            await asyncio.sleep(again_after.total_seconds())
        last = datetime.now(UTC)
        scheme, space, token = (credentials.authorization() or "").partition(" ")
        return kopf.ConnectionInfo(
            server=credentials.server,
            ca_path=credentials.ca_path,
            insecure=credentials.insecure,
            scheme=scheme if space else None,
            token=token or None,
            certificate_path=credentials.certificate_path,
            private_key_path=credentials.private_key_path,
            proxy_url=credentials.proxy,
            # Tokens rotate. It also tells one login from the next: kopf gives up on credentials that equal ones
            # that got a 401, and a starting API server gives a 401 to a service account that it has not yet read.
            expiration=last + timedelta(hours=1),
        )

    return login


def _settings(selectors: dict[Resource, str]) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.chunk_size = PAGE
    settings.watching.connect_timeout = 10.0
    settings.watching.reconnect_backoff = 1.0
    settings.networking.request_timeout = 60.0
    settings.networking.connect_timeout = 10.0
    settings.networking.error_backoffs = _Backoffs()
    for resource, selector in selectors.items():
        if selector:
            settings.watching.label_selectors[resource.group, resource.version, resource.plural] = selector
    return settings


class _Backoffs:
    """Delays in seconds without end, growing to a cap. Each iteration starts afresh; kopf counts what has a length."""

    def __iter__(self) -> Iterator[float]:
        delay = 0.5
        while True:
            yield delay * random.uniform(0.5, 1.0)
            delay = min(8.0, delay * 2)


class _NoDiffBase(kopf.DiffBaseStorage):
    """Nothing is handled by differences, so none are computed or stored."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        pass


class _NoProgress(kopf.ProgressStorage):
    """No handler has progress to be stored."""

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        pass

    def purge(self, **_: Any) -> None:
        pass

    def touch(self, **_: Any) -> None:
        pass

    def clear(self, *, essence: Any) -> Any:
        return essence


def _on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def _cancel(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
