"""Keeps the cache honest: fills it before work begins, compares it with LISTs, and has every object decided anew.

The watch never tells of what was deleted while it had to list again, so a LIST is the only way to learn of it.
"""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence

from perennial.api.resources import OPTIONAL_KINDS, Resource
from perennial.kube.client import Client, list_all
from perennial.kube.errors import ApiError, NotFound, Unavailable
from perennial.runtime.key import Key, key_of, version_of
from perennial.runtime.worker import Engine
from perennial.telemetry import metrics

logger = logging.getLogger(__name__)

# How often a list that is too old is asked for again, all resources together.
_LAGS = 10


class Resync:
    """LISTs for an engine. `selectors` gives each watched resource its label selector; times are seconds.

    namespace: the only one that is looked at; None: all.
    """

    def __init__(
        self,
        client: Client,
        engine: Engine,
        selectors: Mapping[Resource, str],
        owners: Sequence[Resource],
        *,
        namespace: str | None = None,
        period: float = 30.0,
        owners_period: float = 600.0,
        retry: float = 2.0,
        grace: float = 5.0,
    ) -> None:
        self._client = client
        self._engine = engine
        self._cache = engine.cache
        self._wanted = self._selectors = selectors
        self._owners = owners
        self._namespace = namespace
        self._period = period
        self._owners_period = owners_period
        self._retry = retry
        self._grace = grace

    async def fill(self, since: int = 0) -> dict[Resource, str]:
        """Load everything into the cache. It waits for the API server, and for CRDs that are not there yet.

        since: a resourceVersion that was there before. An older list is of a server that lags behind: what it does not
        know yet would be done again. It is asked for again some times; then versions are taken to be of several stores.
        Returns the resourceVersion of each list, from which on to watch; of optional kinds only where they are.
        """
        versions: dict[Resource, str] = {}
        lags = _LAGS
        for resource, selector in self._wanted.items():
            while True:
                try:
                    async for page in list_all(self._client, resource, self._namespace, labels=selector):
                        if lags and int(page.resource_version) < since:
                            lags -= 1
                            raise Unavailable(f"the list is of version {page.resource_version}, before {since}")
                        for body in page.items:
                            self._cache.put(resource, body)
                        versions[resource] = page.resource_version
                except ApiError as error:
                    if isinstance(error, NotFound) and resource in OPTIONAL_KINDS:
                        logger.info("this cluster has no %s", resource.plural)
                        break
                    logger.warning("cannot list %s, again in %g s: %s", resource.plural, self._retry, error)
                    await asyncio.sleep(self._retry)
                else:
                    break
        self._selectors = {resource: self._wanted[resource] for resource in versions}
        return versions

    async def kinds_change(self) -> None:
        """Return when an optional kind has come to the cluster or gone: what is watched is settled at the start."""
        optional = [resource for resource in self._wanted if resource in OPTIONAL_KINDS]
        while True:
            await asyncio.sleep(self._period * random.uniform(0.8, 1.2))
            for resource in optional:
                there = resource in self._selectors
                try:
                    await self._client.list(resource, self._namespace, limit=1)
                except NotFound:
                    found = False
                except ApiError:
                    continue
                else:
                    found = True
                if found != there:
                    logger.info("%s %s", resource.plural, "are there now" if found else "are gone")
                    return

    async def run(self) -> None:
        """Compare and repair, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._compare_always(), name="resync")
            group.create_task(self._revisit_always(), name="revisit")

    async def compare(self, resource: Resource) -> int:
        """One LIST of a resource: remove what vanished, read what the watch missed. How many objects differed."""
        listed: dict[Key, int] = {}
        version = 0
        labels = self._selectors[resource]
        async for page in list_all(self._client, resource, self._namespace, labels=labels, metadata_only=True):
            version = int(page.resource_version)
            listed.update((key_of(resource, item), version_of(item)) for item in page.items)
        known = len(self._cache.keys(resource))
        missing = self._cache.replace(resource, listed, version)
        removed = known - len(self._cache.keys(resource))
        if missing:
            # Mostly the watch is just about to tell.
            await asyncio.sleep(self._grace)
            missing = [key for key in missing if self._cache.lacks(key, listed[key])]
        for key in missing:
            try:
                self._cache.put(resource, await self._client.get(*key))
            except NotFound:
                continue
        return removed + len(missing)

    async def _compare_always(self) -> None:
        while True:
            for resource in self._selectors:
                # Spread over the period, and over the replicas of other operators.
                await asyncio.sleep(self._period / len(self._selectors) * random.uniform(0.8, 1.2))
                try:
                    repaired = await self.compare(resource)
                except ApiError as error:
                    logger.warning("cannot compare %s: %s", resource.plural, error)
                    continue
                except Exception:
                    logger.exception("cannot compare %s", resource.plural)
                    continue
                if repaired:
                    logger.info("the watch had missed changes of %d %s", repaired, resource.plural)
                    metrics.resync_repairs.labels(resource.plural).inc(repaired)

    async def _revisit_always(self) -> None:
        while True:
            await asyncio.sleep(self._owners_period)
            for resource in self._owners:
                for key in self._cache.keys(resource):
                    self._engine.add(key, random.uniform(0.001, self._owners_period))
