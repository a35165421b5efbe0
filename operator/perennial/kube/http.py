"""The client over an aiohttp session of its own: one request per call, no retries, no copies of what it carries."""

import asyncio
import json
from asyncio import sslproto
from types import TracebackType
from typing import Any, Self, cast

import aiohttp

from perennial import __version__
from perennial.api.meta import FIELD_MANAGER
from perennial.api.resources import Resource, of
from perennial.kube import decode
from perennial.kube.client import PAGE, Page
from perennial.kube.errors import ApiError, Unavailable, from_status
from perennial.kube.login import Credentials
from perennial.plan import Body
from perennial.telemetry import metrics

_JSON = "application/json"
_MERGE = "application/merge-patch+json"
# JSON is YAML, so an apply needs no YAML writer.
_APPLY = "application/apply-patch+yaml"
# Each is served as one of these types only.
_DOCUMENT = "application/json, application/jwk-set+json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

# asyncio has a buffer of 256 KiB for each connection, and makes another for each read.
sslproto.SSLProtocol.max_size = 64 * 1024


class HttpClient:
    """Implements `kube.client.Client`. An async context manager; `timeout` is seconds per request."""

    def __init__(self, credentials: Credentials, *, timeout: float = 30.0, connections: int = 64) -> None:
        self._credentials = credentials
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # Certificates are read from files: not in the loop.
        context = await asyncio.to_thread(self._credentials.ssl_context)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=context if context else True),
            timeout=self._timeout,
            headers={"User-Agent": f"perennial/{__version__}", "Accept": _JSON},
            proxy=self._credentials.proxy,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Body:
        """Read one object."""
        return await self._request("GET", "get", resource, resource.path(namespace, name))

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
        """Read one page. Items get the apiVersion and kind that the API leaves out of lists."""
        query = {"limit": str(limit)}
        if labels:
            query["labelSelector"] = labels
        if fields:
            query["fieldSelector"] = fields
        if more:
            query["continue"] = more
        accept = _METADATA if metadata_only else _JSON
        answer = await self._request("GET", "list", resource, resource.path(namespace), query=query, accept=accept)
        items = answer["items"] or []
        for item in items:
            item["apiVersion"], item["kind"] = resource.api_version, resource.kind
        metadata = answer["metadata"]
        return Page(items, metadata.get("resourceVersion", ""), metadata.get("continue", ""))

    async def create(self, body: Body, *, strict: bool = False, dry_run: bool = False) -> Body:
        """Make an object, or have it tried."""
        resource = of(body)
        path = resource.path(body.get("metadata", {}).get("namespace"))
        query = {"fieldManager": FIELD_MANAGER} | ({"fieldValidation": "Strict"} if strict else {})
        query |= {"dryRun": "All"} if dry_run else {}
        return await self._request("POST", "create", resource, path, body, query=query)

    async def apply(self, body: Body, *, dry_run: bool = False) -> Body:
        """Server-side apply."""
        resource = of(body)
        path = resource.path(body["metadata"].get("namespace"), body["metadata"]["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        if dry_run:
            query["dryRun"] = "All"
        return await self._request("PATCH", "apply", resource, path, body, query=query, content=_APPLY)

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, patch: Body, *, subresource: str | None = None
    ) -> Body:
        """Merge patch."""
        path = resource.path(namespace, name, subresource)
        query = {"fieldManager": FIELD_MANAGER}
        return await self._request("PATCH", "patch", resource, path, patch, query=query, content=_MERGE)

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> Body:
        """Delete in the background."""
        options: Body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if given := {key: value for key, value in preconditions.items() if value}:
            options["preconditions"] = given
        return await self._request("DELETE", "delete", resource, resource.path(namespace, name), options)

    async def read(self, path: str) -> Body:
        """Read a JSON document of the API server that is no object, such as `/openid/v1/jwks`."""
        return await self._request("GET", "get", None, path, accept=_DOCUMENT)

    async def _request(
        self,
        method: str,
        verb: str,
        resource: Resource | None,
        path: str,
        body: Body | None = None,
        *,
        query: dict[str, str] | None = None,
        content: str = _JSON,
        accept: str = _JSON,
    ) -> Body:
        assert self._session, "use the client as a context manager"
        headers = {"Accept": accept}
        if authorization := self._credentials.authorization():
            headers["Authorization"] = authorization
        data = None
        if body is not None:
            headers["Content-Type"] = content
            data = json.dumps(body, separators=(",", ":")).encode()
        code = "<error>"
        try:
            async with self._session.request(
                method, self._credentials.server + path, params=query, data=data, headers=headers
            ) as response:
                code = str(response.status)
                payload = await response.read()
                if response.status >= 400:
                    raise _error(response, payload)
                return cast(Body, decode.loads(payload))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable(f"{method} {path}: {error or type(error).__name__}") from error
        finally:
            metrics.rest_requests.labels(code, method, verb, resource.plural if resource else "").inc()


def _error(response: aiohttp.ClientResponse, payload: bytes) -> ApiError:
    try:
        status: Any = decode.loads(payload)
    except ValueError:
        status = None
    if not isinstance(status, dict):
        # Proxies and a starting server answer in plain text.
        status = {"message": payload[:200].decode(errors="replace").strip()}
    return from_status(response.status, status, response.headers.get("Retry-After"))
