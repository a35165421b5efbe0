"""Turns a change in the cache into the keys that it concerns."""

import logging
from collections.abc import Callable, Sequence

from perennial.api.resources import Resource
from perennial.plan import Body
from perennial.runtime.key import Key, key_of
from perennial.view import Controller, View, Watch

logger = logging.getLogger(__name__)


class Dispatch:
    """A listener of the cache: adds the key of a controller's own object, and the keys that the watches name."""

    def __init__(self, controllers: Sequence[Controller], view: View, add: Callable[[Key], None]) -> None:
        self._view = view
        self._add = add
        self._own = {controller.resource for controller in controllers}
        self._watches: dict[Resource, list[tuple[Resource, Watch]]] = {}
        for controller in controllers:
            for resource, watch in controller.watches.items():
                self._watches.setdefault(resource, []).append((controller.resource, watch))

    def __call__(self, resource: Resource, before: Body | None, after: Body | None) -> None:
        # An object that stopped to concern a key concerns it once more.
        bodies = [body for body in (after, before) if body is not None]
        keys: dict[Key, None] = {}
        if resource in self._own:
            keys[key_of(resource, bodies[0])] = None
        for target, watch in self._watches.get(resource, ()):
            for body in bodies:
                try:
                    keys.update((Key(target, *name), None) for name in watch(self._view, body))
                except Exception:
                    logger.exception("watch of %s for %s failed", key_of(resource, body), target.kind)
        for key in keys:
            self._add(key)
