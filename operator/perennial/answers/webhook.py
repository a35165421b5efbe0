"""Asks webhooks that the administrator named for the value of a metric."""

from collections.abc import Mapping

import aiohttp

from perennial.answers.named import named, posted
from perennial.answers.page import read
from perennial.api.base import format_time
from perennial.api.sample import parse_sample
from perennial.config import Server
from perennial.questions import Answer, Call


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
            return Answer(parse_sample(body))
        except ValueError as error:
            raise ValueError(f"webhook {question.webhook} answered no sample: {error}") from None
