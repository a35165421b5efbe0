"""What goes wrong between one operator and many namespaces: for each its own weather, and what befalls all at once."""

import random
import time
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from perennial.plan import Body
from tests.prove.proxy import APART, Break, Fault, Faults, Hang, Refuse, Request

STORMS = ("409", "410", "429", "500", "hang", "break", "broken")
MUDDLES = ("drop", "delay", "duplicate", "reorder", "expire")
# A late event is so many seconds late.
_LATE = 3.0
_HANG = 2.0
EXPIRED = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}


def fault(sort: str) -> Fault:
    """One of STORMS: an answer of that status, a time-out, a connection that breaks before or after it was done."""
    if sort == "hang":
        return Hang(_HANG)
    return Break(asked=sort == "broken") if sort in ("break", "broken") else Refuse(int(sort))


@dataclass
class Place:
    """The weather of one namespace: which faults, how often, and until when; and what the operator tried to write."""

    storms: tuple[str, ...] = ()
    storm_rate: float = 0.0
    storm_until: float = 0.0
    muddle: str = ""
    muddle_rate: float = 0.0
    muddle_until: float = 0.0
    tried: int = 0
    tried_at: float = 0.0
    last: deque[str] = field(default_factory=lambda: deque(maxlen=20))

    def calm(self) -> None:
        """Nothing goes wrong from now on."""
        self.storm_until = self.muddle_until = 0.0

    def quiet(self) -> float:
        """Seconds since the operator last tried to write here."""
        return time.monotonic() - self.tried_at


class Crowd(Faults):
    """Faults by the namespace that a request or an event is about; those of a request for all come to all."""

    def __init__(self) -> None:
        self.places: defaultdict[str, Place] = defaultdict(Place)
        self.stale_until = 0.0

    def calm(self) -> None:
        """Nothing goes wrong from now on, anywhere."""
        self.stale_until = 0.0
        for place in list(self.places.values()):
            place.calm()

    def request(self, request: Request) -> Fault | None:
        if request.namespace is None or request.resource in APART:
            return None
        place = self.places[request.namespace]
        now = time.monotonic()
        if request.writes:
            place.tried += 1
            place.tried_at = now
            part = f"/{request.subresource}" if request.subresource else ""
            place.last.append(f"{request.method} {request.resource}{part} {request.name or request.makes}")
        if now < place.storm_until and random.random() < place.storm_rate:
            return fault(random.choice(place.storms))
        return None

    def event(self, request: Request, event: Body) -> Iterable[tuple[float, Body]]:
        place = self.places.get(event["object"].get("metadata", {}).get("namespace", ""))
        if place is None or time.monotonic() > place.muddle_until or random.random() > place.muddle_rate:
            return ((0.0, event),)
        if place.muddle == "drop":
            return ()
        if place.muddle == "duplicate":
            return ((0.0, event), (0.0, event), (random.uniform(0.1, _LATE), event))
        if place.muddle == "expire":
            return ((0.0, EXPIRED),)
        return ((_LATE if place.muddle == "delay" else random.uniform(0.0, 1.0), event),)

    def stale(self, request: Request) -> bool:
        return time.monotonic() < self.stale_until
