"""What the API server refused, per reconciled object, until it is accepted or the object changes."""

from collections.abc import Callable
from dataclasses import dataclass

from perennial.kube.errors import ApiError, BadRequest, Invalid
from perennial.plan import Action, Apply, Body, Create, Delete, Explain, Find, Patch, See
from perennial.runtime.key import Key
from perennial.runtime.merge import digest
from perennial.view import Refusal

# What breaks a rule stays broken until somebody changes the rule or the object; a quota or a name may free up.
_SLOW = 300.0
_FIRST, _LAST = 2.0, 30.0


@dataclass(slots=True)
class _Standing:
    refusal: Refusal
    action: str
    owner: tuple[str, int] | None
    holder: str | None
    delay: float
    not_before: float


class Refusals:
    """The refusals that stand. `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._standing: dict[Key, dict[Key, _Standing]] = {}

    def visible(self, key: Key, owner: Body | None) -> Refusal | None:
        """The latest refusal against the plan of this object, as long as the object is the one that was refused."""
        standing = self._standing.get(key)
        if not standing:
            return None
        latest = next(reversed(standing.values()))
        return latest.refusal if latest.owner == _generation(owner) else None

    def waits(
        self, key: Key, owner: Body | None, target: Key, action: Action, holder: str | None = None
    ) -> float | None:
        """Seconds until this very action, refused before, may be sent again; None when it may be sent now.

        `holder` is the uid of the object that has the target's name: when it goes, the name is free.
        """
        known = self._standing.get(key, {}).get(target)
        if known is None or not _same(known, owner, action) or known.holder != holder:
            return None
        left = known.not_before - self._clock()
        return left if left > 0 else None

    def record(
        self, key: Key, owner: Body | None, target: Key, action: Action, holder: str | None, error: ApiError
    ) -> float | None:
        """Note a refusal. Seconds until the action may be sent again, or None when the refusal is news."""
        refusal = Refusal(target.resource, target.name, error.reason, error.message)
        known = self._standing.get(key, {}).pop(target, None)
        again = known is not None and _same(known, owner, action)
        if isinstance(error, Invalid | BadRequest):
            delay = _SLOW
        else:
            delay = min(_LAST, known.delay * 2) if again and known else _FIRST
        self._standing.setdefault(key, {})[target] = _Standing(
            refusal, fingerprint(action), _generation(owner), holder, delay, self._clock() + delay
        )
        return delay if again and known and known.refusal.reason == refusal.reason else None

    def accepted(self, key: Key, target: Key) -> bool:
        """An action on the target went through. Whether a refusal of it stood until now."""
        standing = self._standing.get(key)
        if not standing or standing.pop(target, None) is None:
            return False
        if not standing:
            del self._standing[key]
        return True

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._standing.pop(key, None)


def fingerprint(action: Action) -> str:
    """The same for the same action on the same object."""
    match action:
        case Create() | Apply() | Find():
            content: object = action.body
        case Patch():
            content = [action.uid, action.patch]
        case Delete() | Explain():
            content = action.uid
        case See():
            content = action.name
    return digest([type(action).__name__, content])


def _same(known: _Standing, owner: Body | None, action: Action) -> bool:
    return known.owner == _generation(owner) and known.action == fingerprint(action)


def _generation(owner: Body | None) -> tuple[str, int] | None:
    return (owner["metadata"]["uid"], owner["metadata"].get("generation", 0)) if owner else None
