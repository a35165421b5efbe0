"""POST .../modeldeployments/{name}/metrics: the steps of a report, each of which can refuse it."""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime

from aiohttp import web

from perennial.ingest import payload
from perennial.ingest.auth import AUDIENCE, Reviews, bearer
from perennial.ingest.limits import RateLimit
from perennial.ingest.refusal import Refusal, faulty
from perennial.ingest.writer import Writer
from perennial.kube.errors import ApiError
from perennial.metricseries.sample import Sample, mistimed
from perennial.plan import Body
from perennial.telemetry import metrics
from perennial.view import Name

logger = logging.getLogger(__name__)

PATH = "/v1/namespaces/{namespace}/modeldeployments/{name}/metrics"
# Requests per second: of a sender, and of an address before we know who it is (behind it there may be many).
_PER_SENDER = 10
_PER_ADDRESS = 100
_REQUEST_TIME = 30.0
_BODY_TIME = 10.0
# Both become part of a path of the API.
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Endpoint:
    """Takes reports. `clock` is monotonic, `now` the wall clock."""

    def __init__(
        self,
        reviews: Reviews,
        writer: Writer,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._reviews = reviews
        self._writer = writer
        self._now = now
        self._senders = RateLimit(_PER_SENDER, clock=clock)
        self._addresses = RateLimit(_PER_ADDRESS, clock=clock)

    def app(self) -> web.Application:
        """The HTTP application."""
        app = web.Application(client_max_size=payload.MAX_BYTES)
        app.router.add_post(PATH, self._post)
        return app

    async def _post(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_REQUEST_TIME):
                accepted = await self._report(request)
            response = web.json_response({"accepted": accepted})
        except Refusal as refusal:
            response = refusal.response()
        except (ApiError, TimeoutError) as error:
            logger.warning("a report could not be taken: %s", error or "timed out")
            response = Refusal(503, "the Kubernetes API does not answer now", retry_after=5).response()
        metrics.ingest_requests.labels(str(response.status)).inc()
        return response

    async def _report(self, request: web.Request) -> int:
        """The number of samples that were written. Raises Refusal or ApiError."""
        _pass(self._addresses, request.remote or "", "requests from this address")
        deployment = _deployment(request)
        token = bearer(request.headers.get("Authorization"))
        user = await self._reviews.user(token) if token else None
        if token is None or user is None:
            raise Refusal(401, f"give a Kubernetes token of audience {AUDIENCE!r}: Authorization: Bearer ...")
        _pass(self._senders, user["username"], f"requests of {user['username']}")
        if not await self._reviews.may_report(token, user, deployment):
            raise Refusal(403, _not_allowed(user, deployment))
        return await self._take(deployment, await _body(request))

    async def _take(self, deployment: Name, body: bytes) -> int:
        samples: list[Sample] = []
        result = "refused"
        try:
            now = self._now()
            samples = payload.parse(body, now.timestamp())
            if problems := list(mistimed(samples, now)):
                raise faulty(problems)
            await self._writer.report(deployment, samples)
            result = "accepted"
        finally:
            # Of a report that cannot be read we know only that there was something.
            metrics.samples.labels(result).inc(len(samples) or 1)
        return len(samples)


def _pass(limit: RateLimit, sender: str, whose: str) -> None:
    if wait := limit.wait(sender):
        raise Refusal(429, f"too many {whose}: put more samples into fewer requests", retry_after=wait)


def _deployment(request: web.Request) -> Name:
    deployment = Name(request.match_info["namespace"], request.match_info["name"])
    if not all(map(_NAME.fullmatch, deployment)):
        raise Refusal(404, "the path is /v1/namespaces/<namespace>/modeldeployments/<name>/metrics")
    return deployment


def _not_allowed(user: Body, deployment: Name) -> str:
    return (
        f"{user['username']} may not report metrics of {deployment.name!r}: it needs a Role in "
        f"{deployment.namespace!r} with the verb create on modeldeployments/metrics (API group perennial.dev)"
    )


async def _body(request: web.Request) -> bytes:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Refusal(415, "the body must be plain JSON, not compressed")
    too_large = Refusal(413, f"the body must have at most {payload.MAX_BYTES} bytes: report in parts")
    if (request.content_length or 0) > payload.MAX_BYTES:
        raise too_large
    try:
        async with asyncio.timeout(_BODY_TIME):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large from None
    except TimeoutError:
        raise Refusal(408, f"the body did not come within {_BODY_TIME:g} seconds") from None
