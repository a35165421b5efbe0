"""What surrounds every HTTP answer: headers of revision and version, `Connection: close` in a drain, metrics, logs."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perennial.server.metrics import Metrics
from perennial.server.served import Served
from perennial.server.settings import Settings

_log = logging.getLogger(__name__)


class Envelope:
    """ASGI middleware. A handler that answers predictions puts its `metrics_endpoint` into the scope."""

    def __init__(self, app: ASGIApp, settings: Settings, served: Served, metrics: Metrics) -> None:
        self._app = app
        self._served = served
        self._metrics = metrics
        self._access_log = settings.access_log
        self._headers = [
            (b"perennial-revision", settings.revision.encode("ascii")),
            (b"perennial-model-version", settings.model_version.encode("ascii")),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # A kept-alive client would otherwise stay on this server until the moment it closes.
                close = [(b"connection", b"close")] if self._served.draining else []
                message = {**message, "headers": [*message["headers"], *self._headers, *close]}
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - started
            if endpoint := scope.get("metrics_endpoint"):
                self._metrics.answered(endpoint, status, seconds)
            if self._access_log:
                fields = {"method": scope["method"], "path": scope["path"], "status": status}
                _log.info("request", extra={**fields, "seconds": round(seconds, 6)})
