"""Wiring: settings, logs, socket, application and process; failures end in the pod's termination log."""

import functools
import json
import logging
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from perennial.server import formats, logs
from perennial.server.app import create_app
from perennial.server.errors import ModelLoadError, StartupError
from perennial.server.metrics import Metrics
from perennial.server.predictor import AnyPredictor
from perennial.server.process import ModelServer
from perennial.server.requestlog import RequestLog, logged
from perennial.server.served import Served
from perennial.server.settings import Settings

EXIT_CONFIG = 78  # sysexits' EX_CONFIG: trying again will not help
_MESSAGE_BYTES = 3000  # the kubelet keeps 4096 bytes of a termination message, shared with the JSON around it
_log = logging.getLogger(__name__)


def run(env: Mapping[str, str]) -> int:
    """Serve until told to stop, and return the exit code: 0, or 78 for settings or a model that cannot be used."""
    logs.configure(env.get("PERENNIAL_DEPLOYMENT", ""), env.get("PERENNIAL_REVISION", ""))
    try:
        _serve(Settings.from_env(env))
    except StartupError as error:
        _log.error(str(error), extra={"reason": error.reason})
        _report(error, Path(env.get("PERENNIAL_TERMINATION_LOG", "/dev/termination-log")))
        return EXIT_CONFIG
    return 0


def _serve(settings: Settings) -> None:
    served = Served(settings)
    metrics = Metrics(settings)
    app = create_app(settings, served, metrics)
    server = ModelServer(app, served, settings.drain_seconds, functools.partial(_load, settings, metrics))
    listener = _listen(settings)
    _log.info("listening", extra={"port": listener.getsockname()[1], "threads": settings.threads})
    server.run(sockets=[listener])
    if server.failure:
        raise server.failure


def _load(settings: Settings, metrics: Metrics) -> AnyPredictor:
    started = time.perf_counter()
    try:
        predictor = formats.load(settings.model_format, settings.model_dir, settings.trusted_types)
    except ModelLoadError:
        raise
    except Exception as error:  # unreadable folder, missing library: to the operator it is the same
        _log.exception("loading failed")
        raise ModelLoadError(f"{settings.model_format}: {type(error).__name__}: {error}") from error
    if settings.request_log:
        log = RequestLog(settings.request_log, settings.request_log_percent, settings.request_log_columns)
        predictor = logged(predictor, log)
    metrics.model_loaded.set(1)
    _log.info("model loaded", extra={"seconds": round(time.perf_counter() - started, 3)})
    return predictor


def _listen(settings: Settings) -> socket.socket:
    """Every address of both families, where the host has both; or the one host that was asked for."""
    try:
        if not settings.host and socket.has_dualstack_ipv6():
            listener = socket.create_server(("", settings.port), family=socket.AF_INET6, dualstack_ipv6=True)
        else:
            listener = socket.create_server((settings.host, settings.port))
    except OSError as error:
        raise StartupError(f"cannot listen on port {settings.port}: {error}") from error
    # Accepted sockets inherit it. asyncio sets it only on sockets that name their protocol, which these do not, and
    # without it head and body of every answer to a kept-alive client lie 40 ms apart.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _report(error: StartupError, path: Path) -> None:
    """Write the termination message; outside a pod there is no such file, and none is made."""
    if path.exists():
        message = str(error).encode()[:_MESSAGE_BYTES].decode(errors="ignore")
        path.write_text(json.dumps({"error": {"reason": error.reason, "message": message}}, ensure_ascii=False))
