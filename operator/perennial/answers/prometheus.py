"""Asks Prometheus servers that the administrator named."""

import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from perennial.answers.named import named, posted, refusal
from perennial.answers.page import read
from perennial.config import Server
from perennial.questions import Answer, Query
from perennial.sources.prometheus import ManySeries, value_of


class PrometheusServers:
    """Servers by their names."""

    def __init__(self, session: aiohttp.ClientSession, servers: Mapping[str, Server]) -> None:
        self._session = session
        self._servers = servers

    async def answer(self, question: Query) -> Answer:
        """The value; nothing where the expression gives none, or NaN."""
        server = named(self._servers, question.server, "Prometheus server")
        value = await self._asked(server, question.query)
        samples = await self._asked(server, question.samples) if question.samples else None
        try:
            return value_of(value, samples)
        except ManySeries:
            raise
        except (ValueError, KeyError, IndexError, TypeError):
            raise ValueError(f"{server.url}: no answer of a Prometheus server") from None

    async def _asked(self, server: Server, query: str) -> Any:
        async with posted(self._session, server, "/api/v1/query", data={"query": query}) as response:
            if response.status in (400, 422):
                raise ValueError(f"the expression is refused: {await refusal(response, 'error')}")
            body = await read(response)
        try:
            return json.loads(body)
        except ValueError:
            raise ValueError(f"{server.url}: no answer of a Prometheus server") from None
