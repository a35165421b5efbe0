"""The ingest endpoint as a service of the operator's process, from start to drain."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from perennial.api.resources import MODELDEPLOYMENTS
from perennial.ingest import ca
from perennial.ingest.auth import Reviewer, Reviews
from perennial.ingest.endpoint import Endpoint
from perennial.ingest.listener import Listener
from perennial.ingest.runs import Requests
from perennial.ingest.settings import WRITES_PER_SECOND, Settings
from perennial.ingest.tls import Certificate, GivenCertificate, OwnCertificate
from perennial.ingest.writer import Writer
from perennial.kube.client import Client, list_all
from perennial.kube.errors import ApiError, Conflict, Meaning

logger = logging.getLogger(__name__)

_PERIOD = 10.0
# Copies are looked at this often, changed or not.
_COPY_PERIOD = 600.0
_STALE = 35.0
_DRAIN = 15.0


class IngestService:
    """An async context manager. `leads` tells whether this replica is the one that copies the CA bundle around."""

    def __init__(self, client: Client, reviewer: Reviewer, settings: Settings, *, leads: Callable[[], bool]) -> None:
        self._client = client
        self._reviewer = reviewer
        self._settings = settings
        self._leads = leads
        self._writer = Writer(client, WRITES_PER_SECOND / max(1, settings.replicas))
        self._copied: dict[str, tuple[str, float]] = {}
        self._reached = float("-inf")
        self._certificate: Certificate | None = None
        self._listener: Listener | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._listener, "the service is not started"
        return self._listener.port

    def ready(self) -> str | None:
        """A check: None when it can take samples, else why not."""
        if self._listener is None:
            return "does not listen"
        if time.monotonic() - self._reached > _STALE:
            return "the Kubernetes API was not reached of late"
        return None

    async def __aenter__(self) -> Self:
        given = self._settings.certificates
        self._certificate = GivenCertificate(given) if given else OwnCertificate(self._settings.names)
        app = Endpoint(Reviews(self._reviewer), self._writer, Requests(self._client)).app()
        listener = Listener(app, self._certificate.context, self._settings.host, self._settings.port, drain=_DRAIN)
        await listener.start()
        self._listener = listener
        self._keeper = asyncio.create_task(self._keep(self._certificate), name="ingest")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._listener
        assert self._keeper
        listener, self._listener = self._listener, None
        await listener.stop()
        await self._writer.stop()
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)

    async def _keep(self, certificate: Certificate) -> None:
        """Keep the certificate young, and its CA where clients look for it."""
        while True:
            try:
                now = datetime.now(UTC)
                certificate.renew(now)
                settings = self._settings
                bundle = await ca.publish(
                    self._client, settings.namespace, settings.replica, certificate.authorities(), now
                )
                self._reached = time.monotonic()
                # Who serves one namespace has just written where its clients look.
                if bundle and self._reviewer.namespace is None and self._leads():
                    await self._copy(bundle, now)
            except ApiError as error:
                # A refusal is an answer, too.
                if error.meaning is not Meaning.RETRY:
                    self._reached = time.monotonic()
                logger.warning("the CA of the ingest endpoint is not published: %s", error)
            except Exception:
                logger.exception("the certificate of the ingest endpoint is not renewed")
            await asyncio.sleep(_PERIOD)

    async def _copy(self, bundle: str, now: datetime) -> None:
        """Into every namespace that has a ModelDeployment. One that refuses does not stop the others."""
        wanted: set[str] = set()
        async for page in list_all(self._client, MODELDEPLOYMENTS, metadata_only=True):
            wanted |= {item["metadata"]["namespace"] for item in page.items}
        wanted.discard(self._settings.namespace)
        self._copied = {namespace: done for namespace, done in self._copied.items() if namespace in wanted}
        for namespace in sorted(wanted):
            said, at = self._copied.get(namespace, ("", 0.0))
            if said == bundle and time.monotonic() - at < _COPY_PERIOD:
                continue
            try:
                await ca.copy(self._client, namespace, bundle, now)
                self._copied[namespace] = bundle, time.monotonic()
            except Conflict:
                pass  # Somebody else's write: at the next round.
            except ApiError as error:
                logger.warning("cannot write the ConfigMap %s in %s: %s", ca.NAME, namespace, error)
