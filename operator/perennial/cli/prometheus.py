"""Asks a Prometheus server what it would have answered at a time."""

import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from perennial.cli.problem import Problem, printable
from perennial.questions import Answer, Query
from perennial.sources.prometheus import value_of

_TIMEOUT = 30.0
_LARGEST = 2**20


class Prometheus:
    """The server at a URL. `token_file` has a bearer token, where it wants one."""

    def __init__(self, url: str, token_file: Path | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            raise Problem(f"--prometheus: {url!r} is no URL: http://localhost:9090, say")
        if token_file and not url.startswith("https://"):
            raise Problem("--prometheus-token-file: a token is sent to https:// only")
        self.url = url.rstrip("/")
        self._token_file = token_file

    def answer(self, question: Query) -> Answer:
        """The value at the question's time. Problem when it cannot be asked, or refuses."""
        value = self._asked(question.query, question.at.timestamp())
        samples = self._asked(question.samples, question.at.timestamp()) if question.samples else None
        try:
            return value_of(value, samples)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise Problem(f"{self.url}: {error}: {question.query}") from None

    def _asked(self, query: str, time: float) -> Any:
        words = urllib.parse.urlencode({"query": query, "time": f"{time:.3f}"})
        try:
            headers = {"Authorization": f"Bearer {self._token_file.read_text().strip()}"} if self._token_file else {}
            request = urllib.request.Request(f"{self.url}/api/v1/query", words.encode(), headers)
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
                return json.loads(answer.read(_LARGEST))
        except urllib.error.HTTPError as error:
            said = error.read(2000).decode(errors="replace")
            raise Problem(f"{self.url} answers {error.code} to {query}: {printable(said)}") from None
        except (OSError, ValueError) as error:
            raise Problem(f"--prometheus: {self.url} cannot be asked: {getattr(error, 'reason', error)}") from None
