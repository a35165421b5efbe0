"""What others answer, read no further than is bearable."""

import aiohttp

# Kubernetes' own components have pages of some hundred KiB.
MOST = 4 << 20


async def read(response: aiohttp.ClientResponse) -> bytes:
    """The body of a good answer. ValueError for any other, and for one that is too long."""
    if response.status != 200:
        raise ValueError(f"{response.url} answered {response.status}")
    body = b""
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > MOST:
            raise ValueError(f"{response.url} answered more than {MOST >> 20} MiB")
    return body
