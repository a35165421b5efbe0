"""Asks webhooks that the administrator named for the value of a metric."""

from collections.abc import Mapping

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from perennial.answers.named import named, posted
from perennial.answers.page import read
from perennial.api.base import format_time
from perennial.config import Server
from perennial.questions import Answer, Call, Sampled


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    value: FiniteFloat | int | None
    count: int = Field(1, ge=0)
    minimum: FiniteFloat | int | None = None
    maximum: FiniteFloat | int | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "_Said":
        if self.value is not None and not self.low <= self.value <= self.high:
            raise ValueError("value must lie between minimum and maximum")
        return self

    @property
    def low(self) -> float:
        return float(self.value or 0) if self.minimum is None else float(self.minimum)

    @property
    def high(self) -> float:
        return float(self.value or 0) if self.maximum is None else float(self.maximum)


class Webhooks:
    """Webhooks by their names."""

    def __init__(self, session: aiohttp.ClientSession, servers: Mapping[str, Server]) -> None:
        self._session = session
        self._servers = servers

    async def answer(self, question: Call) -> Answer:
        """The value; nothing where it has none, or not one sample."""
        server = named(self._servers, question.webhook, "webhook")
        asked = {
            "namespace": question.namespace,
            "deployment": question.deployment,
            "revision": question.revision,
            "metric": question.metric,
            "since": format_time(question.since),
            "time": format_time(question.at),
        }
        async with posted(self._session, server, json=asked) as response:
            body = await read(response)
        try:
            said = _Said.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ValueError(
                f"webhook {question.webhook} answered no sample: {where + ': ' if where else ''}{first['msg']}"
            ) from None
        if said.value is None or not said.count:
            return Answer()
        return Answer(Sampled(said.count, float(said.value), said.low, said.high))
