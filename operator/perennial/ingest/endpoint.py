"""POST .../modeldeployments/{name}/metrics and .../retrainpolicies/{name}/runs: the steps, each of which can refuse."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from perennial.api.meta import AUDIENCE
from perennial.api.resources import MODELDEPLOYMENTS, RETRAINPOLICIES, Resource
from perennial.ingest import payload, runs
from perennial.ingest.auth import Reviews, Right, bearer, party
from perennial.ingest.limits import RateLimit
from perennial.ingest.refusal import Refusal, faulty
from perennial.ingest.runs import Requests
from perennial.ingest.writer import Writer
from perennial.kube.errors import ApiError
from perennial.metricseries.sample import Sample, mistimed
from perennial.plan import Body
from perennial.telemetry import metrics
from perennial.view import Name

logger = logging.getLogger(__name__)

METRICS = "/v1/namespaces/{namespace}/modeldeployments/{name}/metrics"
RUNS = "/v1/namespaces/{namespace}/retrainpolicies/{name}/runs"
# Requests per second: of a sender, of all service accounts of a namespace, and of the strangers of an address.
_PER_SENDER = 10
_PER_PARTY = 100
_PER_ADDRESS = 100
_REQUEST_TIME = 30.0
_BODY_TIME = 10.0
# Both become part of a path of the API.
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NO_PATH = (
    "the path is /v1/namespaces/<namespace>/modeldeployments/<name>/metrics, or "
    "/v1/namespaces/<namespace>/retrainpolicies/<name>/runs"
)


class Endpoint:
    """Takes reports, and requests for runs. `clock` is monotonic, `now` the wall clock."""

    def __init__(
        self,
        reviews: Reviews,
        writer: Writer,
        requests: Requests,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._reviews = reviews
        self._whose = f" of a ServiceAccount in {reviews.namespace!r}" if reviews.namespace else ""
        self._writer = writer
        self._requests = requests
        self._now = now
        self._senders = RateLimit(_PER_SENDER, clock=clock)
        self._parties = RateLimit(_PER_PARTY, clock=clock)
        self._addresses = RateLimit(_PER_ADDRESS, clock=clock)

    def app(self) -> web.Application:
        """The HTTP application."""
        app = web.Application(client_max_size=payload.MAX_BYTES, middlewares=[_in_words])
        app.router.add_post(METRICS, self._post_metrics)
        app.router.add_post(RUNS, self._post_runs)
        return app

    async def _post_metrics(self, request: web.Request) -> web.Response:
        async def report() -> web.Response:
            user, deployment = await self._admitted(request, MODELDEPLOYMENTS, "metrics")
            accepted = await self._take(party(user), deployment, await _body(request))
            return web.json_response({"accepted": accepted})

        return await self._answered(report)

    async def _post_runs(self, request: web.Request) -> web.Response:
        async def ask() -> web.Response:
            user, policy = await self._admitted(request, RETRAINPOLICIES, "runs")
            asked = runs.parse(request.headers, await _body(request))
            if asked is None:
                return web.json_response({"request": None})
            found, new = await self._requests.ask(user["username"], policy, asked)
            answer = {"request": found.id} | ({"run": found.run} if found.run else {})
            return web.json_response(answer, status=202 if new else 200)

        return await self._answered(ask)

    async def _answered(self, act: Callable[[], Awaitable[web.Response]]) -> web.Response:
        try:
            async with asyncio.timeout(_REQUEST_TIME):
                response = await act()
        except Refusal as refusal:
            response = refusal.response()
            if refusal.status == 429:
                # Who goes on asking has to connect again, and so often nobody may.
                response.force_close()
        except (ApiError, TimeoutError) as error:
            logger.warning("a request could not be answered: %s", error or "timed out")
            response = Refusal(503, "the Kubernetes API does not answer now", retry_after=5).response()
        metrics.ingest_requests.labels(str(response.status)).inc()
        return response

    async def _admitted(self, request: web.Request, resource: Resource, subresource: str) -> tuple[Body, Name]:
        """Who asks, and of which object. Raises Refusal or ApiError."""
        token = bearer(request.headers.get("Authorization"))
        # Behind one address there may be many: who was good before does not pay for a stranger.
        if token is None or not self._reviews.knows(token):
            _pass(self._addresses, request.remote or "", "requests from this address")
        right = Right(resource, subresource, _object(request))
        user = await self._reviews.user(token) if token else None
        if token is None or user is None:
            raise Refusal(
                401, f"give a Kubernetes token of audience {AUDIENCE!r}{self._whose}: Authorization: Bearer ..."
            )
        _pass(self._senders, user["username"], f"requests of {user['username']}")
        _pass(self._parties, party(user), f"requests of {party(user)}")
        if self._reviews.namespace not in (None, right.of.namespace):
            raise Refusal(404, f"this operator serves the namespace {self._reviews.namespace!r} only")
        if not await self._reviews.may(token, user, right):
            raise Refusal(403, _not_allowed(user, right))
        return user, right.of

    async def _take(self, sender: str, deployment: Name, body: bytes) -> int:
        samples: list[Sample] = []
        result = "refused"
        try:
            now = self._now()
            samples = payload.parse(body, now.timestamp())
            if problems := list(mistimed(samples, now)):
                raise faulty(problems)
            await self._writer.report(sender, deployment, samples)
            result = "accepted"
        finally:
            # Of a report that cannot be read we know only that there was something.
            metrics.samples.labels(result).inc(len(samples) or 1)
        return len(samples)


@web.middleware
async def _in_words(request: web.Request, handler: Callable[[web.Request], Awaitable[Any]]) -> web.StreamResponse:
    """What aiohttp refuses before it comes to us, as we say it."""
    try:
        response: web.StreamResponse = await handler(request)
    except web.HTTPMethodNotAllowed as error:
        response = Refusal(405, "report with POST").response()
        response.headers["Allow"] = error.headers["Allow"]
    except web.HTTPException as error:
        response = Refusal(error.status, _NO_PATH if error.status == 404 else error.reason).response()
    else:
        return response
    # Nobody counts these: who goes on with them has to connect again, and how often one may is counted.
    response.force_close()
    return response


def _pass(limit: RateLimit, sender: str, whose: str) -> None:
    if wait := limit.wait(sender):
        raise Refusal(429, f"too many {whose}: put more samples into fewer requests", retry_after=wait)


def _object(request: web.Request) -> Name:
    name = Name(request.match_info["namespace"], request.match_info["name"])
    if not all(map(_NAME.fullmatch, name)):
        raise Refusal(404, _NO_PATH)
    return name


def _not_allowed(user: Body, right: Right) -> str:
    act = "report metrics of" if right.subresource == "metrics" else "ask for runs of"
    return (
        f"{user['username']} may not {act} {right.of.name!r}: it needs a Role in "
        f"{right.of.namespace!r} with the verb create on {right.words} (API group perennial.dev)"
    )


async def _body(request: web.Request) -> bytes:
    codings = {*request.headers.getall("Content-Encoding", ()), *request.headers.getall("Transfer-Encoding", ())}
    if codings - {"identity", "chunked"}:
        raise Refusal(415, "the body must be plain JSON, not compressed")
    too_large = Refusal(413, f"the body must have at most {payload.MAX_BYTES} bytes: report in parts")
    if (request.content_length or 0) > payload.MAX_BYTES:
        raise too_large
    try:
        async with asyncio.timeout(_BODY_TIME):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large from None
    except web.RequestPayloadError:
        raise Refusal(400, "the body is not as its headers say") from None
    except TimeoutError:
        raise Refusal(408, f"the body did not come within {_BODY_TIME:g} seconds") from None
