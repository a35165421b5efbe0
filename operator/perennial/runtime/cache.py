"""The cache of watched objects: the View that decisions are gathered from. The newest resourceVersion wins."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from perennial.api.resources import Resource
from perennial.owners import controller_uid
from perennial.plan import Body
from perennial.questions import Answer, Question
from perennial.runtime.asker import Asker
from perennial.runtime.key import Key, version_of
from perennial.runtime.projection import project
from perennial.runtime.refusals import Refusals
from perennial.telemetry import metrics
from perennial.view import Index, Refusal

Place = TypeVar("Place", bound=tuple[object, ...])
Listener = Callable[[Resource, Body | None, Body | None], None]

_TOMBSTONES = 10_000


class Cache:
    """Implements `view.View`. Every change is told to the listener, as the bodies before and after it.

    Removed objects leave a tombstone with their last version: an answer to one of our own writes may arrive after the
    watch has told of the deletion, and must not bring the object back.
    """

    def __init__(
        self, refusals: Refusals, asker: Asker, indexes: Mapping[Resource, Index] = MappingProxyType({})
    ) -> None:
        self._refusals = refusals
        self._asker = asker
        self._indexes = indexes
        self._indexed: dict[tuple[Resource, str, str], dict[str, Body]] = {}
        self._objects: dict[Resource, dict[str, dict[str, Body]]] = {}
        self._owned: dict[tuple[Resource, str], dict[str, Body]] = {}
        self._tombstones: dict[Key, int] = {}
        self._explanations: dict[Key, str] = {}
        self._listener: Listener | None = None

    def listen(self, listener: Listener) -> None:
        """Tell this listener of every change from now on."""
        self._listener = listener

    def get(self, resource: Resource, namespace: str, name: str) -> Body | None:
        """One object, or None."""
        return self._objects.get(resource, {}).get(namespace, {}).get(name)

    def list(self, resource: Resource, namespace: str) -> Sequence[Body]:
        """All objects of a namespace."""
        return tuple(self._objects.get(resource, {}).get(namespace, {}).values())

    def everywhere(self, resource: Resource) -> Sequence[Body]:
        """All objects of all namespaces."""
        return [body for names in self._objects.get(resource, {}).values() for body in names.values()]

    def owned(self, resource: Resource, uid: str) -> Sequence[Body]:
        """All objects whose controller has this uid."""
        return tuple(self._owned.get((resource, uid), {}).values())

    def indexed(self, resource: Resource, namespace: str, value: str) -> Sequence[Body]:
        """All objects of a namespace for which the resource's index gives this value."""
        return tuple(self._indexed.get((resource, namespace, value), {}).values())

    def refusal(self, resource: Resource, namespace: str, name: str) -> Refusal | None:
        """The refusal that stands against the plan of this object, as it is now."""
        return self._refusals.visible(Key(resource, namespace, name), self.get(resource, namespace, name))

    def explanation(self, resource: Resource, namespace: str, name: str) -> str | None:
        """What a Warning Event on this object last said, since somebody asked."""
        return self._explanations.get(Key(resource, namespace, name))

    def answers(self, resource: Resource, namespace: str, name: str) -> Mapping[Question, Answer]:
        """What has been answered of the questions of this object's last plan."""
        return self._asker.answers(Key(resource, namespace, name))

    def explain(self, key: Key, message: str) -> None:
        """Keep what a Warning Event says of an object; news wakes everyone whom the object concerns."""
        body = self.get(*key)
        if body is None or self._explanations.get(key) == message:
            return
        self._explanations[key] = message
        self._tell(key.resource, body, body)

    def gone(self, key: Key) -> bool:
        """Whether there was such an object, as far as is remembered, and is none now."""
        return key in self._tombstones

    def keys(self, resource: Resource) -> Sequence[Key]:
        """The keys of all objects."""
        spaces = self._objects.get(resource, {})
        return [Key(resource, namespace, name) for namespace, names in spaces.items() for name in names]

    def put(self, resource: Resource, body: Body) -> bool:
        """Keep the object unless something newer is known. Whether it was news."""
        metadata = body["metadata"]
        key = Key(resource, metadata.get("namespace", ""), metadata["name"])
        version = version_of(body)
        before = self.get(*key)
        if before is not None and version_of(before) >= version:
            return False
        if self._tombstones.get(key, -1) >= version:
            return False
        self._tombstones.pop(key, None)
        after = project(resource, body)
        self._objects.setdefault(resource, {}).setdefault(key.namespace, {})[key.name] = after
        self._index(resource, before, after)
        self._tell(resource, before, after)
        return True

    def remove(self, key: Key, version: int, uid: str | None = None) -> bool:
        """Forget the object that was gone at this version. False when a newer one, or another uid, is known."""
        before = self.get(*key)
        if before is not None and (
            version_of(before) > version or (uid is not None and before["metadata"]["uid"] != uid)
        ):
            return False
        self._bury(key, version)
        self._explanations.pop(key, None)
        if before is None:
            return False
        names = self._objects[key.resource][key.namespace]
        del names[key.name]
        if not names:
            del self._objects[key.resource][key.namespace]
        self._index(key.resource, before, None)
        self._tell(key.resource, before, None)
        return True

    def replace(self, resource: Resource, listed: Mapping[Key, int], version: int) -> Sequence[Key]:
        """Prune by a complete list, taken at `version`, of keys and their versions.

        What is not listed and not newer than the list is removed. Returns the keys that the list knows and the cache
        does not, or only in an older version: the caller reads them.
        """
        for key in self.keys(resource):
            if key not in listed:
                self.remove(key, version)
        return [key for key, newest in listed.items() if self.lacks(key, newest)]

    def lacks(self, key: Key, version: int) -> bool:
        """Whether the cache knows neither this version nor a newer one, nor that the object is gone."""
        if self._tombstones.get(key, -1) >= version:
            return False
        known = self.get(*key)
        return known is None or version_of(known) < version

    def _index(self, resource: Resource, before: Body | None, after: Body | None) -> None:
        # An owner and what it controls share a namespace, so the name is enough.
        old = controller_uid(before) if before else None
        new = controller_uid(after) if after else None
        _move(self._owned, (resource, old) if old else None, (resource, new) if new else None, before, after)
        if index := self._indexes.get(resource):
            places = [_place(resource, index, body) for body in (before, after)]
            _move(self._indexed, places[0], places[1], before, after)

    def _bury(self, key: Key, version: int) -> None:
        self._tombstones[key] = max(version, self._tombstones.pop(key, -1))
        if len(self._tombstones) > _TOMBSTONES:
            del self._tombstones[next(iter(self._tombstones))]

    def _tell(self, resource: Resource, before: Body | None, after: Body | None) -> None:
        if before is None or after is None:
            metrics.cached_objects.labels(resource.plural).inc(1 if after else -1)
        if self._listener:
            self._listener(resource, before, after)


def _place(resource: Resource, index: Index, body: Body | None) -> tuple[Resource, str, str] | None:
    value = index(body) if body else None
    return (resource, body["metadata"]["namespace"], value) if body and value else None


def _move(
    table: dict[Place, dict[str, Body]], old: Place | None, new: Place | None, before: Body | None, after: Body | None
) -> None:
    """Have the table hold `after` at its new place, by name, and `before` at its old one no more."""
    if before and old and old != new:
        entries = table[old]
        del entries[before["metadata"]["name"]]
        if not entries:
            del table[old]
    if after and new:
        table.setdefault(new, {})[after["metadata"]["name"]] = after
