"""Carries out the actions of a plan, in order, each idempotent; what the server answers goes into the cache."""

import logging
from collections.abc import Callable

from perennial.api.meta import ANNOTATION_APPLIED, ANNOTATION_DROPPED
from perennial.api.resources import EVENTS, PODS, of
from perennial.dropped import dropped
from perennial.kube.client import Client
from perennial.kube.errors import AlreadyExists, ApiError, Conflict, Invalid, Meaning, NameTaken, NotFound
from perennial.owners import controller_of, controller_uid
from perennial.plan import Action, Apply, Body, Create, Delete, Explain, Find, Patch, See
from perennial.runtime.cache import Cache
from perennial.runtime.key import Key, key_of, version_of
from perennial.runtime.merge import digest, is_patched, seen, shows, without_none
from perennial.runtime.projection import project
from perennial.runtime.refusals import Refusals

logger = logging.getLogger(__name__)

# Told of each object made and each status written: the owner, the body before (None when it was made), and after.
Written = Callable[[Body | None, Body | None, Body], None]

_REMEMBERED = 10_000


class Refused(Exception):
    """An action was refused, and the plan ends there. `wait` is seconds until it may be tried again, None if news."""

    def __init__(self, wait: float | None) -> None:
        super().__init__(wait)
        self.wait = wait


class Actor:
    """Carries out actions. Errors that are no refusal come out as they are."""

    def __init__(self, client: Client, cache: Cache, refusals: Refusals, written: Written) -> None:
        self._client = client
        self._cache = cache
        self._refusals = refusals
        self._written = written
        # Per applied object: the intent, and what the server made of it (it writes "1" for "1000m").
        self._applied: dict[Key, tuple[str, str]] = {}
        # Marks of what is being made alone.
        self._alone: set[str] = set()

    async def act(self, key: Key, owner: Body | None, action: Action) -> bool:
        """Do one action of the plan for `key`. Whether the rest must be decided again: a refusal of it stood before, or
        it brought news. Refused when it is refused."""
        if not isinstance(action, Create) or not action.alone:
            return await self._act(key, owner, action)
        # From the decision to here nobody else had a turn, and what was made before is in the cache by now.
        if action.alone in self._alone:
            raise Conflict(f"another is being made: {action.alone}", code=409)
        self._alone.add(action.alone)
        try:
            return await self._act(key, owner, action)
        finally:
            self._alone.discard(action.alone)

    async def _act(self, key: Key, owner: Body | None, action: Action) -> bool:
        target = target_of(action)
        wait = self._refusals.waits(key, owner, target, action, self._holder(target))
        if wait is not None:
            raise Refused(wait)
        try:
            if owner and isinstance(action, Create | Apply) and self._cache.gone(target):
                await self._still_there(key, owner)
            match action:
                case Create():
                    await self._create(owner, target, action)
                case Apply(body, whole):
                    await self._apply(target, body, whole=whole)
                case Patch():
                    await self._patch(target, action)
                case Delete(uid=uid):
                    await self._delete(target, uid)
                case Explain(uid=uid):
                    await self._explain(target, uid)
                case Find(body):
                    await self._find(target, body)
                case See():
                    return await self._see(target)
        except ApiError as error:
            if error.meaning is not Meaning.REFUSED:
                raise
            logger.warning("refused: %s %s: %s", type(action).__name__, target, error.message)
            raise Refused(self._refusals.record(key, owner, target, action, self._holder(target), error)) from error
        # Reading about an object says nothing of what was refused.
        return not isinstance(action, Explain) and self._refusals.accepted(key, target)

    async def _still_there(self, key: Key, owner: Body) -> None:
        """Conflict when the owner is gone, untold: its children go with it, and would be made over and over."""
        found = await self.refresh(key)
        if found is None or found["metadata"]["uid"] != owner["metadata"]["uid"]:
            raise Conflict(f"{key} is gone", code=409)

    async def refresh(self, key: Key) -> Body | None:
        """Read the object into the cache, whatever the watch has told so far."""
        known = self._cache.get(*key)
        try:
            body = await self._client.get(*key)
        except NotFound:
            if known:
                self._cache.remove(key, version_of(known))
            return None
        self._cache.put(key.resource, body)
        return body

    async def _create(self, owner: Body | None, target: Key, action: Create) -> None:
        body = action.body
        wanted = controller_uid(body)
        if existing := await self._known(target, wanted):
            if action.shared:
                return
            if wanted is None or controller_uid(existing) != wanted:
                raise _taken(target, existing)
            return
        try:
            made = await self._client.create(body, strict=action.strict)
        except AlreadyExists as error:
            if action.shared:
                # It need not be in view: it may not have the label that is watched.
                return
            found = await self._client.get(*target)
            if wanted is None:
                # Whose it is the decision must say: it is made again, with the object in view.
                self._cache.put(target.resource, found)
                raise Conflict(f"{target} exists already", code=409) from error
            if controller_uid(found) != wanted:
                raise _taken(target, found) from error
            made = await self._labelled(target, body, found)
        else:
            logger.info("created %s", target)
            self._written(owner, None, made)
        if action.strict and (fields := dropped(body, made)):
            made = await self._marked(target, made, fields)
        self._cache.put(target.resource, made)

    async def _marked(self, target: Key, made: Body, fields: str) -> Body:
        """What was made, with what it lacks written on it: nobody can tell later."""
        logger.warning("%s was made without %s", target, fields)
        annotations = {ANNOTATION_DROPPED: fields}
        return await self._client.patch(
            *target, {"metadata": {"annotations": annotations, "uid": made["metadata"]["uid"]}}
        )

    async def _known(self, target: Key, controller: str | None) -> Body | None:
        """What is known of the target. Whether somebody else still has the name is asked: an end may be told late."""
        known = self._cache.get(*target)
        if known is None or (controller and controller_uid(known) == controller):
            return known
        return await self.refresh(target)

    def _holder(self, target: Key) -> str | None:
        known = self._cache.get(*target)
        return known["metadata"]["uid"] if known else None

    async def _labelled(self, target: Key, body: Body, found: Body) -> Body:
        """What was found, with the labels that it was made with: without them no watch tells of it."""
        labels = {"labels": body["metadata"].get("labels", {})}
        if shows(found["metadata"], labels):
            return found
        metadata = found["metadata"]
        patch = {"metadata": {**labels, "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}}
        made = await self._client.patch(*target, patch)
        logger.info("labelled %s", target)
        return made

    async def _apply(self, target: Key, body: Body, *, whole: bool) -> None:
        intent = digest(body)
        existing = await self._known(target, controller_uid(body))
        if existing is None:
            try:
                existing = await self._client.get(*target)
            except NotFound:
                existing = None
        metadata = dict(body["metadata"])
        unsure = False
        if existing is not None:
            if controller_uid(existing) != controller_uid(body):
                raise _taken(target, existing)
            if existing["metadata"].get("annotations", {}).get(ANNOTATION_APPLIED) == intent:
                known = (intent, digest(_covered(existing, body, whole)))
                alone = not whole or existing["spec"] == without_none(body["spec"])
                if self._applied.get(target) == known or (alone and shows(existing, body)):
                    self._cache.put(target.resource, existing)
                    return
                unsure = target not in self._applied
            # Neither over one that was made anew meanwhile, nor late over what others did since.
            metadata |= {key: existing["metadata"][key] for key in ("uid", "resourceVersion")}
        metadata["annotations"] = {**metadata.get("annotations", {}), ANNOTATION_APPLIED: intent}
        wanted = {**body, "metadata": metadata}
        try:
            if existing and unsure and await self._stands(existing, wanted):
                made = existing
            else:
                made = await self._applied_or_merged(target, wanted, existing)
                logger.info("applied %s", target)
        except Conflict as error:
            await self.refresh(target)
            raise Conflict(error.message, code=error.code, reason=error.reason) from error
        self._applied[target] = (intent, digest(_covered(project(target.resource, made), body, whole)))
        if len(self._applied) > _REMEMBERED:
            del self._applied[next(iter(self._applied))]
        self._cache.put(target.resource, made)

    async def _stands(self, existing: Body, wanted: Body) -> bool:
        """Whether an apply would change nothing. After a start nobody remembers what the server made of the intent."""
        resource = of(wanted)
        try:
            made = await self._client.apply(wanted, dry_run=True)
        except Invalid:
            return False
        return project(resource, made) == project(resource, existing)

    async def _applied_or_merged(self, target: Key, wanted: Body, existing: Body | None) -> Body:
        try:
            return await self._client.apply(wanted)
        except Invalid:
            if existing is None:
                raise
            # An apply leaves the list entries that others wrote, and they may contradict ours. A merge replaces lists.
            return await self._client.patch(*target, wanted)

    async def _patch(self, target: Key, action: Patch) -> None:
        existing = self._cache.get(*target)
        same = existing is not None and existing["metadata"]["uid"] == action.uid
        if same and action.subresource is None and is_patched(existing, action.patch):
            return
        metadata = {**action.patch.get("metadata", {}), "uid": action.uid}
        if version := action.resource_version or (_version(existing) if same else None):
            # Else a write that comes late, after others have led, would undo what they did.
            metadata["resourceVersion"] = version
        patch = {**action.patch, "metadata": metadata}
        try:
            made = await self._client.patch(*target, patch, subresource=action.subresource)
        except (NotFound, Conflict) as error:
            await self.refresh(target)
            raise Conflict(error.message, code=error.code, reason=error.reason) from error
        logger.info("patched %s", target)
        if made.get("kind") == target.resource.kind:
            self._cache.put(target.resource, made)

    async def _delete(self, target: Key, uid: str) -> None:
        known = self._cache.get(*target)
        try:
            answer = await self._client.delete(*target, uid=uid, resource_version=_version(known))
        except (NotFound, Conflict) as error:
            found = await self.refresh(target)
            if found and found["metadata"]["uid"] == uid:
                raise Conflict(error.message, code=error.code, reason=error.reason) from error
            # Gone, or another object of that name by now.
            return
        logger.info("deleted %s", target)
        if answer.get("kind") == target.resource.kind:
            self._cache.put(target.resource, answer)
        elif known:
            self._cache.remove(target, version_of(known), uid)

    async def _explain(self, target: Key, uid: str) -> None:
        selector = f"involvedObject.uid={uid},type=Warning"
        page = await self._client.list(EVENTS, target.namespace, fields=selector)
        if page.items:
            self._cache.explain(target, max(page.items, key=_last_seen).get("message", ""))

    async def _find(self, target: Key, body: Body) -> None:
        if self._cache.get(*target):
            return
        try:
            found = await self._client.get(*target)
        except NotFound:
            return
        if controller_uid(found) == controller_uid(body):
            self._cache.put(target.resource, await self._labelled(target, body, found))

    async def _see(self, target: Key) -> bool:
        # What the decision knew, not what is known by the time of the answer: a watch may tell meanwhile.
        known = {key_of(PODS, pod): version_of(pod) for pod in self._cache.list(PODS, target.namespace)}
        page = await self._client.list(PODS, target.namespace, labels=f"batch.kubernetes.io/job-name={target.name}")
        for pod in page.items:
            self._cache.put(PODS, pod)
        return any(known.get(key_of(PODS, pod), 0) < version_of(pod) for pod in page.items)


def target_of(action: Action) -> Key:
    """The object that an action is about."""
    match action:
        case Create(body) | Apply(body) | Find(body):
            return key_of(of(body), body)
        case Patch() | Delete() | Explain() | See():
            return Key(action.resource, action.namespace, action.name)


def _covered(body: Body, intent: Body, whole: bool) -> Body:
    """The part of an object that an apply of this intent answers for."""
    part: Body = seen(body, intent)
    return {**part, "spec": body["spec"]} if whole else part


def _version(body: Body | None) -> str | None:
    return str(body["metadata"]["resourceVersion"]) if body else None


def _taken(target: Key, existing: Body) -> NameTaken:
    controller = controller_of(existing)
    owner = f"{controller['kind']} {controller['name']}" if controller else "no object of this operator"
    return NameTaken(
        f"{target.resource.kind} {target.name} exists and belongs to {owner}: it is left alone. Delete it, or choose "
        "another name here",
        code=409,
    )


def _last_seen(event: Body) -> str:
    series = event.get("series") or {}
    found: str = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or ""
    return found
