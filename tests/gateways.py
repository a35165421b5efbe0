"""Gateways, played: they take every route as it is, and say so."""

import contextlib
import threading
import urllib.error
from typing import Self

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import HTTPROUTES
from perennial.plan import Body

_MERGE = "application/merge-patch+json"
_PERIOD = 0.3


# One that is known to copy requests.
CONTROLLER = "projectcontour.io/gateway-controller"


def answer(route: Body, status: str = "True", message: str = "", controller: str = CONTROLLER) -> Body:
    """What the gateways of a route write when they have looked at it as it is now."""
    said = {"status": status, "message": message, "observedGeneration": route["metadata"]["generation"]}
    said |= {"lastTransitionTime": "2026-11-20T12:00:00Z"}
    conditions = [{"type": one, "reason": one, **said} for one in ("Accepted", "ResolvedRefs")]
    parents = route["spec"]["parentRefs"]
    return {
        "parents": [{"parentRef": parent, "controllerName": controller, "conditions": conditions} for parent in parents]
    }


class Gateways:
    """They look at all routes of a server, in a thread of their own."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_PERIOD):
            # One that goes while it is looked at, or a server that ends.
            with contextlib.suppress(OSError, urllib.error.HTTPError):
                for route in self._server.request("GET", HTTPROUTES.path())["items"]:
                    self._look(route)

    def _look(self, route: Body) -> None:
        wanted = answer(route)
        if (route.get("status") or {}).get("parents") != wanted["parents"]:
            metadata = route["metadata"]
            path = HTTPROUTES.path(metadata["namespace"], metadata["name"], "status")
            self._server.request("PATCH", path, {"status": wanted}, _MERGE)
