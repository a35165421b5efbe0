"""What a decision may ask for: the actions, the status and the events of one reconcile, as plain data."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from perennial.api.base import Body as Body
from perennial.api.conditions import find
from perennial.api.resources import Resource
from perennial.questions import Question


@dataclass(frozen=True, slots=True)
class Create:
    """Make an object that is rendered once. An object of that name with the same controller is taken for made.

    `strict`: a field that the API server does not know is refused, not dropped: a person wrote it. `shared`: any object
    of that name will do, whoever made it. `alone`: no other of this mark is made meanwhile, and none was since the
    decision, as long as it is the plan's first action: what was counted still holds.
    """

    body: Body
    strict: bool = False
    shared: bool = False
    alone: str = ""


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply of the full intent; skipped while the cluster already shows that intent.

    `whole`: and as long as the spec says nothing else. One more label in a selector, or one more field in an entry of a
    list, may turn what it means around.
    """

    body: Body
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Patch:
    """Merge patch of one object, if it is as it was last seen, or of `resource_version`."""

    resource: Resource
    namespace: str
    name: str
    patch: Body
    uid: str
    subresource: str | None = None
    resource_version: str | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object of this name and uid, if it is as it was last seen; that it is gone already is success."""

    resource: Resource
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Explain:
    """Ask for the newest Warning Event on an object whose status does not say what holds it (a Job without a pod, say).

    The answer is in the view (`explanation`) at the next decision. A cluster keeps such Events only for a while.
    """

    resource: Resource
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Find:
    """Look for a child that is not seen any more, and give it the labels of `body` back if it is only hidden.

    Without them no watch tells of it. That it is gone, or somebody else's, is success.
    """

    body: Body


@dataclass(frozen=True, slots=True)
class See:
    """Read the pods of a Job, where much is to be concluded from what is not seen of them.

    The watches of Jobs and of pods know nothing of each other. When there was news, the rest of the plan is dropped and
    decided again.
    """

    resource: Resource
    namespace: str
    name: str


Action = Create | Apply | Patch | Delete | Explain | Find | See


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event on the reconciled object, recorded after its status."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def news(before: Iterable[Body], after: Iterable[Body]) -> Iterator[Event]:
    """That an object stalls is told once for each reason; both are conditions."""
    known, now = find(before, "Stalled"), find(after, "Stalled")
    if now and (known is None or known["reason"] != now["reason"]):
        yield Event("Warning", now["reason"], now["message"])


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of one decision.

    The actions run in order, then the status is written (whole, once, only when it differs), then the events follow.
    What must not be decided twice is a plan with a status and no action: the act comes from the next reconcile,
    derived from that status and idempotent by its name. `requeue_after` and `status_delay` are seconds; a status with
    a delay is written when a later pass still wants a delayed one. `questions` are asked beside all that; the answers
    are in the view at the next decision, for as long as they are asked.
    """

    actions: Sequence[Action] = ()
    status: Body | None = None
    events: Sequence[Event] = ()
    questions: Sequence[Question] = ()
    requeue_after: float | None = None
    status_delay: float = 0.0
