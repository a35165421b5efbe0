"""What kopf has no setting for: how it decodes, that nothing ends its watches for good, and who is told, and when.

kopf would start a task for each object and pass each event through its handling of causes: two fifths of what a burst
costs (11 of 26 ms of CPU for a run), and some kilobytes for each object. Events are taken as the stream tells them.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import aiohttp
from kopf._cogs.clients import api, errors, fetching, watching

from perennial.kube import decode

logger = logging.getLogger(__name__)

# Told of each object of a LIST and each event of a watch: the resource as kopf knows it, type (None: listed), and body.
Sink = Callable[[Any, str | None, Any], None]
# Told at the end of each LIST: the resource, what _IDENTITY names of all metadata, the resourceVersion of the list.
Listed = Callable[[Any, list[Any], str], None]

# Of all objects at once no more is kept: most of a metadata is what wrote it.
_IDENTITY = ("namespace", "name", "resourceVersion")
# What makes kopf list anew, and then watch from there.
_ANEW = {"type": "ERROR", "object": {"code": 410}}
_fetch_objs, _watch_objs = fetching.fetch_objs, watching.watch_objs


def install(sink: Sink, listed: Listed, since: Mapping[tuple[str, str], str]) -> None:
    """Put it into kopf. `since` holds, by API group and plural, the resourceVersion up to which all is known: the first
    watch begins there, and not with a LIST of all objects."""
    known = dict(since)
    # One object that is nested too deep would end kopf.
    api.json = decode  # type: ignore[attr-defined]
    aiohttp.ClientResponse.json.__kwdefaults__["loads"] = decode.loads  # type: ignore[index]

    async def fetch(**arguments: Any) -> AsyncIterator[Any]:
        """As kopf lists. What it takes for its end, anything on the way may say in passing: it tries again."""
        resource = arguments["resource"]
        if version := known.pop((resource.group, resource.plural), None):
            yield [], version
            return
        there: list[Any] = []
        version = ""
        try:
            async for page, at in _fetch_objs(**arguments):
                version = at
                for body in page:
                    sink(resource, None, body)
                there += [{field: body["metadata"].get(field, "") for field in _IDENTITY} for body in page]
            # kopf tells nobody of what was deleted while it did not watch.
            listed(resource, there, version)
            yield [], version
        except errors.APIUnauthorizedError:
            raise
        except errors.APIClientError as error:
            logger.warning("cannot list %s, again soon: %r", resource, error)
            raise aiohttp.ClientPayloadError(str(error)) from error

    async def watch(**arguments: Any) -> AsyncIterator[Any]:
        """As kopf watches. Whatever is wrong with a watch, it is begun anew with a LIST."""
        try:
            async for event in _watch_objs(**arguments):
                if event["type"] == "ERROR":
                    yield _ANEW
                    return
                if event["type"] != "BOOKMARK":
                    sink(arguments["resource"], event["type"], event["object"])
                # To kopf all that happens is that the version moves on.
                yield {"type": "BOOKMARK", "object": {"metadata": event["object"]["metadata"]}}
        except errors.APIUnauthorizedError:
            raise
        except errors.APIClientError as error:
            logger.warning("cannot watch %s, anew soon: %r", arguments["resource"], error)
            yield _ANEW

    fetching.fetch_objs, watching.watch_objs = fetch, watch
