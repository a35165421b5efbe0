"""What kopf has no setting for: how it decodes, and that nothing that a server says ends its watches for good."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from kopf._cogs.clients import api, errors, fetching, watching

from perennial.kube import decode

logger = logging.getLogger(__name__)

# What makes kopf list anew, and then watch from there.
_ANEW = {"type": "ERROR", "object": {"code": 410}}
_fetch_objs, _watch_objs = fetching.fetch_objs, watching.watch_objs


def install() -> None:
    """Put it into kopf. Doing so again changes nothing."""
    # One object that is nested too deep would end kopf.
    api.json = decode  # type: ignore[attr-defined]
    aiohttp.ClientResponse.json.__kwdefaults__["loads"] = decode.loads  # type: ignore[index]
    fetching.fetch_objs, watching.watch_objs = _fetch, _watch


async def _fetch(**arguments: Any) -> AsyncIterator[Any]:
    """As kopf lists. What it takes for its end, a server or something before it may say in passing: it tries again."""
    try:
        async for page in _fetch_objs(**arguments):
            yield page
    except errors.APIUnauthorizedError:
        raise
    except errors.APIClientError as error:
        logger.warning("cannot list %s, again soon: %r", arguments["resource"], error)
        raise aiohttp.ClientPayloadError(str(error)) from error


async def _watch(**arguments: Any) -> AsyncIterator[Any]:
    """As kopf watches. Whatever is wrong with a watch, it is begun anew with a LIST."""
    try:
        async for event in _watch_objs(**arguments):
            if event["type"] == "ERROR":
                yield _ANEW
                return
            yield event
    except errors.APIUnauthorizedError:
        raise
    except errors.APIClientError as error:
        logger.warning("cannot watch %s, anew soon: %r", arguments["resource"], error)
        yield _ANEW
