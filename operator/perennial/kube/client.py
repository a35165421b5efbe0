"""What the operator asks of the Kubernetes API, as a Protocol, and what is built on it alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from perennial.api.resources import Resource
from perennial.kube.errors import ApiError, Expired, Meaning, NotLeading, TooManyRequests
from perennial.plan import Body

# What is read at once lies in memory at once: as text, as parsed (a dozen times as much), and as what is kept of it.
PAGE = 50
# Of objects that come without their contents.
METADATA_PAGE = 100
# Seconds before a page is asked for again.
_PAUSES = (0.1, 0.3, 1.0)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. `more` is the token of the next page, empty on the last."""

    items: list[Body]
    resource_version: str
    more: str


class Client(Protocol):
    """The Kubernetes API with plain dict bodies. Every method raises the types of `kube.errors`."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Body:
        """Read one object."""
        ...

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        limit: int = PAGE,
        more: str = "",
        metadata_only: bool = False,
    ) -> Page:
        """Read one page of objects, of one namespace or of all. With `metadata_only` they carry nothing else."""
        ...

    async def create(self, body: Body, *, strict: bool = False, dry_run: bool = False) -> Body:
        """Make an object, in the namespace that its metadata names. If `strict`, an unknown field is a BadRequest.
        `dry_run`: nothing is made."""
        ...

    async def apply(self, body: Body, *, dry_run: bool = False) -> Body:
        """Server-side apply of a full intent, as field manager `perennial`, taking over fields of others. `dry_run`:
        what would come of it, and nothing is written."""
        ...

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, patch: Body, *, subresource: str | None = None
    ) -> Body:
        """Merge patch of an object or of its subresource; uid and resourceVersion in it are preconditions."""
        ...

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> Body:
        """Delete in the background; the object while it still terminates, else a `Status`."""
        ...


async def list_all(
    client: Client,
    resource: Resource,
    namespace: str | None = None,
    *,
    labels: str = "",
    metadata_only: bool = False,
) -> AsyncIterator[Page]:
    """Every page of a list, of one namespace or of all, all of one resourceVersion. Expired when it took too long.

    A page that cannot be had is asked for again some times, and raises what the last try raised.
    """
    more, version = "", None
    limit = METADATA_PAGE if metadata_only else PAGE
    while True:
        ask = partial(client.list, resource, namespace, labels=labels, limit=limit, metadata_only=metadata_only)
        page = await _again(partial(ask, more=more))
        if version not in (None, page.resource_version):
            raise Expired("the list was continued from another resourceVersion", code=410)
        yield page
        if not page.more:
            return
        more, version = page.more, page.resource_version


async def _again(ask: Callable[[], Awaitable[Page]]) -> Page:
    for pause in _PAUSES:
        try:
            return await ask()
        except ApiError as error:
            if error.meaning is not Meaning.RETRY or isinstance(error, Expired):
                raise
            least = error.retry_after if isinstance(error, TooManyRequests) else 0.0
        await asyncio.sleep(max(pause, least))
    return await ask()


class Fenced:
    """A client that writes only while `holds` says that the lease is ours; reads pass. NotLeading otherwise."""

    def __init__(self, client: Client, holds: Callable[[], bool]) -> None:
        self._client = client
        self._holds = holds
        self.get = client.get
        self.list = client.list

    def _check(self) -> None:
        if not self._holds():
            raise NotLeading("the lease is not surely ours any more")

    async def create(self, body: Body, *, strict: bool = False, dry_run: bool = False) -> Body:
        """As Client.create."""
        self._check()
        return await self._client.create(body, strict=strict, dry_run=dry_run)

    async def apply(self, body: Body, *, dry_run: bool = False) -> Body:
        """As Client.apply."""
        self._check()
        return await self._client.apply(body, dry_run=dry_run)

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, patch: Body, *, subresource: str | None = None
    ) -> Body:
        """As Client.patch."""
        self._check()
        return await self._client.patch(resource, namespace, name, patch, subresource=subresource)

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> Body:
        """As Client.delete."""
        self._check()
        return await self._client.delete(resource, namespace, name, uid=uid, resource_version=resource_version)
