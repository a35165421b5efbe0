"""Sends the same requests to two servers and compares what they answer: what a new model changes for those who ask."""

import http.client
import json
import logging
import math
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perennial.agent.failure import TaskFailed
from perennial.agent.layout import Layout
from perennial.agent.storage import shown
from perennial.agent.transfer import bring, patiently
from perennial.api.task import Reason, Replayed, ReplayTask

AT_ONCE = 4
TIMEOUT = 30.0  # seconds for one answer
_LONGEST = 200  # characters of what is told of an answer

log = logging.getLogger(__name__)


class Incomparable(Exception):
    """Two answers have nothing in common that could be compared; the message says where."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a server said: its body, or why that is none."""

    body: Any = None
    refusal: str = ""


def run(task: ReplayTask, layout: Layout) -> Replayed:
    """TaskFailed: InputNotFound, DigestMismatch, RequestsInvalid, ServerUnavailable, or what the store says."""
    with tempfile.TemporaryDirectory() as folder:
        what = f"the requests ({shown(task.requests.uri)})"
        try:
            bring("the requests", task.requests, Path(folder), layout.volumes)
        except TaskFailed as failed:
            reason = Reason.INPUT_NOT_FOUND if failed.reason == Reason.NOT_FOUND else failed.reason
            raise TaskFailed(reason, failed.message) from failed
        files = [file for file in Path(folder).rglob("*") if file.is_file()]
        if len(files) != 1:
            raise TaskFailed(Reason.REQUESTS_INVALID, f"{what}: {len(files)} files lie there; one is wanted")
        requests = dict(_lines(files[0], what))
    if not requests:
        raise TaskFailed(Reason.REQUESTS_INVALID, f"{what}: there is no request in it")

    def both(body: bytes) -> tuple[_Answer, _Answer]:
        return ask(task.stable, body), ask(task.incoming, body)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = dict(zip(requests, pool.map(both, requests.values()), strict=True))
    replayed = compare(answers)
    log.info("%d requests were replayed", len(answers), extra=replayed.model_dump(exclude_none=True))
    return replayed


def _lines(file: Path, what: str) -> Iterator[tuple[int, bytes]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                json.loads(line)
            except ValueError as error:
                raise TaskFailed(Reason.REQUESTS_INVALID, f"{what}: line {number} is no JSON: {error}") from error
            yield number, line


def ask(url: str, body: bytes) -> _Answer:
    """What a server answers; a server that cannot be reached is waited for."""
    return patiently(lambda: _ask(url, body), bear={Reason.SERVER_UNAVAILABLE})


def _ask(url: str, body: bytes) -> _Answer:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with _OPENER.open(request, timeout=TIMEOUT) as answer:
            return _Answer(json.load(answer, parse_int=float))
    except urllib.error.HTTPError as error:
        words = error.read(_LONGEST).decode(errors="replace")
        return _Answer(refusal=f"answered {error.code}: {words}")
    except ValueError:
        return _Answer(refusal="answered no JSON")
    except (OSError, http.client.HTTPException) as error:
        raise TaskFailed(Reason.SERVER_UNAVAILABLE, f"{url} does not answer: {error}") from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


# Servers are asked themselves: neither through a proxy of the environment nor where they would send us.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())


def compare(answers: dict[int, tuple[_Answer, _Answer]]) -> Replayed:
    """The answers of both to each request, by the number of its line, put together.

    What the stable one refuses says nothing of the new one, and is left out.
    """
    apart: dict[int, float] = {}
    failures: dict[int, str] = {}
    skipped = 0
    for number, (stable, incoming) in answers.items():
        if stable.refusal:
            skipped += 1
        elif incoming.refusal:
            failures[number] = incoming.refusal
        else:
            try:
                apart[number] = difference(predictions(stable.body), predictions(incoming.body))
            except Incomparable as error:
                failures[number] = f"answered something else: {error}"
    worst = max(apart, key=apart.__getitem__, default=None)
    first = min(failures, default=None)
    return Replayed(
        requests=len(apart),
        skipped=skipped,
        failed=len(failures),
        failure="" if first is None else f"line {first}: {failures[first]}"[:_LONGEST],
        max_difference=None if worst is None else apart[worst],
        mean_difference=math.fsum(apart.values()) / len(apart) if apart else None,
        worst=worst,
    )


def predictions(body: Any) -> Any:
    """What a model said, without what a server says of itself: `predictions` (MLflow), the data of `outputs` (Open
    Inference Protocol), or all of any other answer."""
    if isinstance(body, dict):
        if "predictions" in body:
            return body["predictions"]
        if isinstance(outputs := body.get("outputs"), list):
            return [one.get("data", one) if isinstance(one, dict) else one for one in outputs]
    return body


def difference(one: Any, other: Any) -> float:
    """The greatest difference of two numbers at the same place; 1 where anything else differs. Incomparable when the
    answers have another shape."""
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            raise Incomparable(f"{len(other)} values instead of {len(one)}")
        return max(map(difference, one, other), default=0.0)
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            raise Incomparable(f"other fields: {', '.join(sorted(map(str, one.keys() ^ other.keys())))}")
        return max((difference(one[key], other[key]) for key in one), default=0.0)
    if _number(one) and _number(other):
        apart = abs(one - other)
        if math.isfinite(apart):
            return float(apart)
        if str(one) == str(other):
            return 0.0
        raise Incomparable(f"{other} instead of {one}")
    if isinstance(one, list | dict) or isinstance(other, list | dict) or _number(one) or _number(other):
        raise Incomparable(f"{type(other).__name__} instead of {type(one).__name__}")
    return float(one != other)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
