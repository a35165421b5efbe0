"""Requests for runs of a RetrainPolicy: as JSON, as a CloudEvent, or as Alertmanager sends them.

Each has an id, by which one that is sent again is known. They wait in the policy's status, where who leads finds them.
"""

import asyncio
import json
import random
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar
from weakref import WeakValueDictionary

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from perennial.api.resources import RETRAINPOLICIES
from perennial.api.retrainpolicy import MAX_REQUESTS, RetrainPolicyStatus, RunRequest, request_id
from perennial.ingest.refusal import Refusal
from perennial.kube.client import Client
from perennial.kube.errors import Conflict, NotFound
from perennial.subject import read_status
from perennial.view import Name

_ATTEMPTS = 8
# Seconds to wait at most before another attempt, for each that there was.
_PAUSE = 0.02
_NO_ID = (
    'id: give one, so that a request which is sent again is known: {"id": "..."}, a header Idempotency-Key, or a '
    "CloudEvent"
)
_PRINTABLE = re.compile(r"[ -~]{1,1024}")
M = TypeVar("M", bound=BaseModel)


class _Given(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


class _Plain(_Given):
    id: str | None = None


class _CloudEvent(_Given):
    """https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md"""

    specversion: Literal["1.0"]
    id: str = Field(min_length=1)
    source: str = Field(min_length=1)
    type: str = Field(min_length=1)


class _Alert(_Given):
    status: str
    startsAt: str  # noqa: N815


class _Alerts(_Given):
    """https://prometheus.io/docs/alerting/latest/configuration/#webhook_config"""

    groupKey: str  # noqa: N815
    alerts: list[_Alert]


def parse(headers: Mapping[str, str], body: bytes) -> str | None:
    """The id of what is asked for; None where nothing is, as when alerts are resolved. Raises Refusal."""
    if "ce-specversion" in headers:
        names = ("specversion", "id", "source", "type")
        return _of_event({name: headers[f"ce-{name}"] for name in names if f"ce-{name}" in headers})
    given = _json(body) if body.strip() else {}
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == "application/cloudevents-batch+json":
        raise Refusal(415, "one CloudEvent at a time, please: application/cloudevents+json")
    if kind == "application/cloudevents+json":
        return _of_event(given)
    if isinstance(given, dict) and {"groupKey", "alerts"} <= given.keys():
        return _of_alerts(given)
    return _sound(headers.get("Idempotency-Key") or _read(_Plain, given).id or "")


class Requests:
    """Puts requests where the policy's leader finds them; any replica does."""

    def __init__(self, client: Client, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._client = client
        self._now = now
        self._writing: WeakValueDictionary[Name, asyncio.Lock] = WeakValueDictionary()

    async def ask(self, by: str, policy: Name, asked: str) -> tuple[RunRequest, bool]:
        """The request as it stands, and whether it is new. Raises Refusal or ApiError."""
        async with self._writing.setdefault(policy, asyncio.Lock()):
            return await self._ask(by, policy, asked)

    async def _ask(self, by: str, policy: Name, asked: str) -> tuple[RunRequest, bool]:
        for attempt in range(_ATTEMPTS):
            await asyncio.sleep(random.uniform(0, _PAUSE * attempt))
            try:
                body = await self._client.get(RETRAINPOLICIES, policy.namespace, policy.name)
            except NotFound:
                raise Refusal(404, f"there is no RetrainPolicy {policy.name!r} in {policy.namespace!r}") from None
            known = read_status(RetrainPolicyStatus, body.get("status")).requests
            if found := next((one for one in known if one.id == request_id(asked)), None):
                return found, False
            request = RunRequest(id=request_id(asked), by=by[:253], time=self._now())
            waiting = [one for one in known if one.run is None]
            if len(waiting) >= MAX_REQUESTS:
                raise Refusal(429, f"{len(waiting)} requests wait already: one run will do for all", retry_after=60)
            answered = [one for one in known if one.run is not None]
            room = MAX_REQUESTS - len(waiting) - 1
            kept = [*answered[max(0, len(answered) - room) :], *waiting, request]
            version = {"resourceVersion": body["metadata"]["resourceVersion"], "uid": body["metadata"]["uid"]}
            patch = {"metadata": version, "status": {"requests": [one.body() for one in kept]}}
            try:
                await self._client.patch(RETRAINPOLICIES, *policy, patch, subresource="status")
            except Conflict:
                continue
            return request, True
        raise Refusal(503, "others write this policy all the time", retry_after=1)


def _of_event(given: Any) -> str:
    event = _read(_CloudEvent, given)
    return _sound(f"{event.source} {event.id}")


def _of_alerts(given: Any) -> str | None:
    """What is sent again and again while an alert lasts is one request."""
    alerts = _read(_Alerts, given)
    if since := [alert.startsAt for alert in alerts.alerts if alert.status == "firing"]:
        return _sound(f"{alerts.groupKey} {min(since)}")
    return None


def _sound(text: str) -> str:
    if not text:
        raise Refusal(400, _NO_ID)
    if not _PRINTABLE.fullmatch(text):
        raise Refusal(400, "id: must have at most 1024 printable ASCII characters")
    return text


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"the body is no JSON: {str(error)[:200]}") from None


def _read(kind: type[M], given: Any) -> M:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part)[:63] for part in first["loc"]) or "the body"
        raise Refusal(400, f"{where}: {first['msg']}") from None
