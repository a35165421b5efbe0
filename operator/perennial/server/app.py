"""The HTTP endpoints: Open Inference Protocol v2, MLflow's scoring protocol, health and metrics."""

import functools
import logging
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from perennial import __version__
from perennial.server import inference, invocations
from perennial.server.envelope import Envelope
from perennial.server.errors import RequestError
from perennial.server.metrics import Metrics
from perennial.server.pool import PredictionPool
from perennial.server.predictor import AnyPredictor
from perennial.server.served import Served
from perennial.server.settings import Settings
from perennial.server.tensors import Json

_log = logging.getLogger(__name__)
_MLFLOW_CODES = {404: "RESOURCE_DOES_NOT_EXIST", 500: "INTERNAL_ERROR", 503: "TEMPORARILY_UNAVAILABLE"}


def create_app(settings: Settings, served: Served, metrics: Metrics) -> ASGIApp:
    """The ASGI application over `served`, which another thread fills when the model is loaded."""
    endpoints = Endpoints(settings, served, metrics)
    model = "/v2/models/{name}"
    version = model + "/versions/{version}"
    routes = [
        Route("/v2", endpoints.server),
        Route("/v2/health/live", endpoints.live),
        Route("/v2/health/ready", endpoints.ready),
        *(Route(path, endpoints.model) for path in (model, version)),
        *(Route(f"{path}/ready", endpoints.model_ready) for path in (model, version)),
        *(Route(f"{path}/infer", endpoints.infer, methods=["POST"]) for path in (model, version)),
        Route("/invocations", endpoints.invocations, methods=["POST"]),
        Route("/ping", endpoints.ping),
        Route("/health", endpoints.ping),
        Route("/metrics", endpoints.metrics),
    ]
    handlers = {RequestError: _refused, HTTPException: _http_error}
    return Envelope(Starlette(routes=routes, exception_handlers=handlers), settings, served, metrics)


class Endpoints:
    """The handlers, bound to what is served."""

    def __init__(self, settings: Settings, served: Served, metrics: Metrics) -> None:
        self._limit = settings.max_body_bytes
        self._served = served
        self._metrics = metrics
        self._pool = PredictionPool(settings.threads, settings.queue)
        metrics.in_flight.set_function(lambda: self._pool.in_flight)

    async def server(self, request: Request) -> Response:
        return JSONResponse({"name": "perennial", "version": __version__, "extensions": []})

    async def live(self, request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        return JSONResponse({"ready": self._served.ready}, 200 if self._served.ready else 503)

    async def ping(self, request: Request) -> Response:
        return Response("\n", 200 if self._served.ready else 503, media_type="application/json")

    async def model(self, request: Request) -> Response:
        self._known(request)
        served = self._served
        return JSONResponse(inference.metadata(served.loaded(), served.name, served.version, served.platform))

    async def model_ready(self, request: Request) -> Response:
        self._known(request)
        ready = self._served.ready
        return JSONResponse({"name": self._served.name, "ready": ready}, 200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        return Response(self._metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def infer(self, request: Request) -> Response:
        def answer(predictor: AnyPredictor, body: bytes) -> bytes:
            self._known(request)
            if "inference-header-content-length" in request.headers:
                raise RequestError(
                    400, "InvalidRequest", "Inference-Header-Content-Length: binary tensors are not taken"
                )
            return inference.infer(predictor, self._served.name, self._served.version, body)

        return await self._predict("infer", request, answer, _v2_error)

    async def invocations(self, request: Request) -> Response:
        def answer(predictor: AnyPredictor, body: bytes) -> bytes:
            return invocations.invoke(predictor, request.headers.get("content-type", ""), body)

        return await self._predict("invocations", request, answer, _mlflow_error)

    def _known(self, request: Request) -> None:
        self._served.known(request.path_params["name"], request.path_params.get("version"))

    async def _predict(
        self,
        endpoint: str,
        request: Request,
        answer: Callable[[AnyPredictor, bytes], bytes],
        error_body: Callable[[RequestError], Json],
    ) -> Response:
        request.scope["metrics_endpoint"] = endpoint
        try:
            # Before anything is refused: an answer that closes the connection on unread data may never arrive.
            body = await _body(request, self._limit)
            work = functools.partial(answer, self._served.loaded(), body)
            return Response(await self._pool.run(work), media_type="application/json")
        except RequestError as error:
            problem = error
        except ClientDisconnect:
            problem = RequestError(499, "ClientDisconnected", "the client went away")
        except Exception as error:
            _log.exception("prediction failed")
            problem = RequestError(500, "ModelError", f"the model failed: {type(error).__name__}: {error}")
        self._metrics.failed(endpoint, problem.reason)
        return _error_response(problem, error_body)


async def _body(request: Request, limit: int) -> bytes:
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RequestError(415, "UnsupportedMediaType", "Content-Encoding: compressed bodies are not taken")
    too_large = RequestError(413, "TooLarge", f"the body may have {limit} bytes at most")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large
    return bytes(body)


def _error_response(error: RequestError, body: Callable[[RequestError], Json]) -> Response:
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return JSONResponse(body(error), error.status, headers)


def _v2_error(error: RequestError) -> Json:
    return {"error": error.message}


def _mlflow_error(error: RequestError) -> Json:
    return {"error_code": _MLFLOW_CODES.get(error.status, "BAD_REQUEST"), "message": error.message}


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _error_response(error, _v2_error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"error": f"{request.method} {request.url.path}: {error.detail}"}, error.status_code, error.headers
    )
