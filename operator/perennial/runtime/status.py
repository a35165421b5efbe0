"""Writes the status: whole, once, only when it differs, and not before a status that may be overtaken has stood."""

import logging
from collections.abc import Callable

from perennial.dropped import dropped
from perennial.kube.client import Client
from perennial.plan import Body, Event
from perennial.runtime.actions import Written
from perennial.runtime.cache import Cache
from perennial.runtime.key import Key
from perennial.runtime.merge import difference, digest, without_none

logger = logging.getLogger(__name__)

_OUTDATED = (
    "the cluster did not keep {}: its CustomResourceDefinition of {} is of an older release than this operator, which "
    "forgets what it decided; upgrade it (the chart with crds.enabled)"
)


class StatusWriter:
    """Writes statuses. `clock` is monotonic seconds; `tell` records an Event on an object."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        clock: Callable[[], float],
        written: Written,
        tell: Callable[[Body, Event], None],
    ) -> None:
        self._tell = tell
        self._client = client
        self._cache = cache
        self._clock = clock
        self._written = written
        self._wanted_since: dict[Key, float] = {}
        # What the server made of a status that it changed, say by dropping a field: not to be written over and over.
        self._altered: dict[Key, tuple[str, Body]] = {}

    async def write(self, key: Key, owner: Body, status: Body, delay: float) -> tuple[bool, float | None]:
        """Bring the object's status to the wanted one, decided on this body.

        Whether it was written now, and if not, in how many seconds to ask again.
        """
        desired: Body = without_none(status)
        observed: Body = owner.get("status") or {}
        patch = difference(observed, desired)
        if not patch or self._altered.get(key) == (digest(desired), observed):
            self._wanted_since.pop(key, None)
            return False, None
        if delay > 0:
            now = self._clock()
            left = self._wanted_since.setdefault(key, now) + delay - now
            if left > 0:
                return False, left
        self._wanted_since.pop(key, None)
        body = {"metadata": {"resourceVersion": owner["metadata"]["resourceVersion"]}, "status": patch}
        answer = await self._client.patch(*key, body, subresource="status")
        self._cache.put(key.resource, answer)
        self._written(owner, owner, answer)
        stored = answer.get("status") or {}
        if stored == desired:
            self._altered.pop(key, None)
        else:
            logger.warning("the API server changed the status that was written: %s", difference(desired, stored))
            self._altered[key] = (digest(desired), stored)
            if fields := dropped({"status": desired}, answer, "status"):
                self._tell(answer, Event("Warning", "StatusNotKept", _OUTDATED.format(fields, key.resource.plural)))
        return True, None

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._wanted_since.pop(key, None)
        self._altered.pop(key, None)
