"""Why a report is refused, as it is answered over HTTP."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web

from perennial.metricseries.sample import Problem

# More would help nobody.
_SHOWN = 10


class Refusal(Exception):
    """A report that is not taken; nothing of it counts.

    `retry_after` is in seconds. `problems` name samples by their index; they are numbers and words for the sender.
    """

    def __init__(
        self, status: int, message: str, *, retry_after: float | None = None, problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after
        self.problems = problems

    def response(self) -> web.Response:
        """The answer: JSON with `error` and, when samples are at fault, `samples`."""
        headers = {}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        body: dict[str, Any] = {"error": self.message}
        if self.problems:
            body["samples"] = [asdict(problem) for problem in self.problems[:_SHOWN]]
        return web.json_response(body, status=self.status, headers=headers)


def faulty(problems: Sequence[Problem]) -> Refusal:
    """The refusal of a report for its samples; the first is named in the message."""
    first = problems[0]
    words = f"samples[{first.index}].{first.field}" if first.field else f"samples[{first.index}]"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return Refusal(400, f"{words}: {first.message}{more}", problems=problems)
