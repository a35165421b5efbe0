"""Servers that the administrator named: asked with the token and the certificates that are mounted for them."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp

from perennial.config import Receiver, Server

Named = TypeVar("Named", Server, Receiver)


def named(servers: Mapping[str, Named], name: str, what: str) -> Named:
    """The one of that name. ValueError says which there are."""
    if name in servers:
        return servers[name]
    known = ", ".join(sorted(servers)) or "none"
    raise ValueError(f"there is no {what} {name!r} in the operator's configuration: {known}")


async def refusal(response: aiohttp.ClientResponse, field: str) -> str:
    """Why a question was refused, as a field of the answer says."""
    try:
        return str(json.loads(await response.content.read(1 << 16))[field])[:500]
    except (ValueError, KeyError, TypeError):
        return "no reason is given"


@asynccontextmanager
async def posted(
    session: aiohttp.ClientSession, server: Server, path: str = "", content_type: str = "", **body: Any
) -> AsyncIterator[aiohttp.ClientResponse]:
    """What it answers to a POST of `json` or `data`; nobody else is asked, wherever it would send us."""
    headers = {"Content-Type": content_type} if content_type else {}
    if server.token_file:
        headers["Authorization"] = f"Bearer {server.token_file.read_text().strip()}"
    context = ssl.create_default_context(cafile=str(server.ca_file)) if server.ca_file else True
    url = f"{server.url.rstrip('/')}{path}" if path else server.url
    async with session.post(url, headers=headers, ssl=context, allow_redirects=False, **body) as response:
        yield response
