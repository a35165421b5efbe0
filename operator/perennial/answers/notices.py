"""Tells the administrator's receivers what plans ask to be told."""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from string import Template

import aiohttp

from perennial.answers.named import named, posted
from perennial.config import Receiver, Server
from perennial.notices import FORMS, pagerduty
from perennial.questions import Answer, Notice
from perennial.tokens import TokenBuckets

# So many at once, and one more each so many seconds: a receiver that is told too much may shut us out.
_BURST, _REFILL = 30, 2.0
# One that failed is left alone for so long: nobody else shall wait for its time-outs.
_REST = 10.0
_KNOWN = 4096


class Notices:
    """Receivers by their names. The same notice is sent once, however often it is asked for."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        receivers: Mapping[str, Receiver],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._receivers = receivers
        self._clock = clock
        self._sent: OrderedDict[tuple[str, str], asyncio.Task[None]] = OrderedDict()
        self._failed: dict[str, tuple[float, str]] = {}
        self._tokens = TokenBuckets(_BURST, _REFILL, clock=clock)

    async def answer(self, notice: Notice) -> Answer:
        """Nothing, once the receiver has taken it. Raises as aiohttp does, and ValueError."""
        receiver = named(self._receivers, notice.receiver, "receiver")
        key = (notice.receiver, notice.id)
        task = self._sent.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            since, why = self._failed.get(notice.receiver, (0.0, ""))
            if why and self._clock() - since < _REST:
                return Answer(error=why)
            if not self._tokens.take(notice.receiver):
                return Answer(error="much is told at once: it is told in its turn")
            task = self._sent[key] = asyncio.create_task(self._send(receiver, notice))
            if len(self._sent) > _KNOWN:
                self._sent.popitem(last=False)
        await asyncio.shield(task)
        return Answer()

    async def _send(self, receiver: Receiver, notice: Notice) -> None:
        try:
            text = Template(receiver.text).safe_substitute(
                dict(notice.details), summary=notice.summary, reason=notice.reason, severity=notice.severity
            )
            message = FORMS[receiver.form](notice, text, _key(receiver))
            data = json.dumps(message.body)
            where = (self._session, _server(receiver), message.path, message.content_type)
            async with posted(*where, data=data) as response:
                if not 200 <= response.status < 300:
                    said = (await response.content.read(200)).decode(errors="replace").strip()
                    raise ValueError(f"HTTP {response.status}{f': {said}' if said else ''}")
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            why = str(error) if isinstance(error, ValueError) else type(error).__name__
            self._failed[notice.receiver] = self._clock(), why
            raise
        self._failed.pop(notice.receiver, None)


def _server(receiver: Receiver) -> Server:
    url = receiver.url_file.read_text().strip() if receiver.url_file else receiver.url or pagerduty.URL
    return Server(url=url, token_file=receiver.token_file, ca_file=receiver.ca_file)


def _key(receiver: Receiver) -> str:
    return receiver.key_file.read_text().strip() if receiver.key_file else ""
