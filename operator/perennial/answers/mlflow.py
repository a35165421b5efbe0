"""Asks MLflow tracking servers that the administrator named.

https://mlflow.org/docs/latest/api_reference/rest-api.html#search-runs
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import aiohttp

from perennial.answers.named import named, posted, refusal
from perennial.answers.page import read
from perennial.config import Server
from perennial.questions import Answer, Runs, Sampled

# Of more runs in a window the newest tell enough.
_MOST = 1000


class MlflowServers:
    """Servers by their names."""

    def __init__(self, session: aiohttp.ClientSession, servers: Mapping[str, Server]) -> None:
        self._session = session
        self._servers = servers

    async def answer(self, question: Runs) -> Answer:
        """The mean over the runs that have the metric; nothing where none has."""
        server = named(self._servers, question.server, "MLflow server")
        wanted = {"filter": f"name = '{question.experiment}'", "max_results": 1}
        found = (await self._asked(server, "experiments/search", wanted)).get("experiments") or ()
        if not found:
            raise ValueError(f"there is no experiment {question.experiment!r} on {server.url}")
        began = f"attributes.start_time >= {int(question.since.timestamp() * 1000)}"
        search = {
            "experiment_ids": [found[0]["experiment_id"]],
            "filter": f"{question.filter} and {began}" if question.filter.strip() else began,
            "max_results": _MOST,
            "order_by": ["attributes.start_time DESC"],
        }
        runs = (await self._asked(server, "runs/search", search)).get("runs") or ()
        values = [value for run in runs for value in _values(run, question.metric)]
        if not values:
            return Answer()
        return Answer(Sampled(len(values), math.fsum(values) / len(values), min(values), max(values)))

    async def _asked(self, server: Server, what: str, body: dict[str, Any]) -> dict[str, Any]:
        async with posted(self._session, server, f"/api/2.0/mlflow/{what}", json=body) as response:
            if response.status == 400:
                raise ValueError(f"the search is refused: {await refusal(response, 'message')}")
            text = await read(response)
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ValueError(f"{server.url}: no answer of an MLflow server")
        return found


def _values(run: dict[str, Any], metric: str) -> list[float]:
    metrics = (run.get("data") or {}).get("metrics") or ()
    found = [float(one["value"]) for one in metrics if one.get("key") == metric]
    return [value for value in found if math.isfinite(value)]
