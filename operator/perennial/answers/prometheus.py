"""Asks Prometheus servers that the administrator named.

https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import aiohttp

from perennial.answers.named import named, posted, refusal
from perennial.answers.page import read
from perennial.config import Server
from perennial.questions import Answer, Query, Sampled


class PrometheusServers:
    """Servers by their names."""

    def __init__(self, session: aiohttp.ClientSession, servers: Mapping[str, Server]) -> None:
        self._session = session
        self._servers = servers

    async def answer(self, question: Query) -> Answer:
        """The value; nothing where the expression gives none, or NaN."""
        server = named(self._servers, question.server, "Prometheus server")
        value = await self._value(server, question.query)
        count = await self._value(server, question.samples) if question.samples else 1.0
        if value is None or count is None or round(count) < 1:
            return Answer()
        return Answer(Sampled(round(count), value, value, value))

    async def _value(self, server: Server, query: str) -> float | None:
        async with posted(self._session, server, "/api/v1/query", data={"query": query}) as response:
            if response.status in (400, 422):
                raise ValueError(f"the expression is refused: {await refusal(response, 'error')}")
            body = await read(response)
        try:
            values = _values(json.loads(body)["data"])
        except (ValueError, KeyError, IndexError, TypeError):
            raise ValueError(f"{server.url}: no answer of a Prometheus server") from None
        if len(values) > 1:
            raise ValueError(f"the expression gives {len(values)} series, and one is wanted: sum them")
        return values[0] if values and math.isfinite(values[0]) else None


def _values(data: Any) -> list[float]:
    samples = [data["result"]] if data["resultType"] == "scalar" else [one["value"] for one in data["result"]]
    return [float(value) for _, value in samples]
