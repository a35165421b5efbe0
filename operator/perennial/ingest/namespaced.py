"""Tokens and rights of one namespace, by the API server's published keys and LocalSubjectAccessReview: a Role will do.

What TokenReview asks beyond the signature is asked here, too: whether the ServiceAccount, and the pod that the token is
bound to, are still there. That can be seen in one namespace only, so that only its own ServiceAccounts are known.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, Field, ValidationError

from perennial.api.base import read_time
from perennial.api.resources import LOCALSUBJECTACCESSREVIEWS, PODS, SERVICEACCOUNTS, Resource
from perennial.ingest.auth import Right, question
from perennial.ingest.published import LEEWAY, PublishedKeys
from perennial.kube.client import Client
from perennial.kube.errors import NotFound
from perennial.plan import Body


class _Object(BaseModel):
    name: str = Field(min_length=1)
    uid: str = Field(min_length=1)


class _Node(BaseModel):
    # A pod may be bound to a node that is not there, or not there yet.
    name: str
    uid: str = ""


class _Bound(BaseModel):
    namespace: str
    serviceaccount: _Object
    pod: _Object | None = None
    node: _Node | None = None
    secret: _Object | None = None


class _Claims(BaseModel):
    sub: str
    jti: str | None = None
    bound: _Bound = Field(alias="kubernetes.io")


class NamespaceReviewer:
    """Implements `ingest.auth.Reviewer`."""

    def __init__(
        self,
        client: Client,
        keys: PublishedKeys,
        namespace: str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.namespace = namespace
        self._client = client
        self._keys = keys
        self._now = now

    async def user(self, token: str) -> Body | None:
        """By its signature, its claims, and the objects that they name."""
        try:
            claims = _Claims.model_validate(await self._keys.claims(token))
        except ValidationError:
            return None
        bound = claims.bound
        account = f"system:serviceaccount:{self.namespace}:{bound.serviceaccount.name}"
        if bound.namespace != self.namespace or claims.sub != account:
            return None
        # Whether a Secret or a node is still there, nobody tells us.
        if bound.secret or (bound.node and not bound.pod):
            return None
        if not await self._lives(SERVICEACCOUNTS, bound.serviceaccount):
            return None
        if bound.pod and not await self._lives(PODS, bound.pod):
            return None
        return _user(claims)

    async def may(self, user: Body, right: Right) -> bool:
        """By LocalSubjectAccessReview; False for all that lies in other namespaces."""
        if right.of.namespace != self.namespace:
            return False
        review = {
            "apiVersion": LOCALSUBJECTACCESSREVIEWS.api_version,
            "kind": LOCALSUBJECTACCESSREVIEWS.kind,
            "metadata": {"namespace": self.namespace},
            "spec": question(user, right),
        }
        status = (await self._client.create(review)).get("status") or {}
        return status.get("allowed") is True

    async def _lives(self, resource: Resource, one: _Object) -> bool:
        try:
            metadata = (await self._client.get(resource, self.namespace, one.name))["metadata"]
        except NotFound:
            return False
        goes = read_time(metadata.get("deletionTimestamp"))
        return metadata["uid"] == one.uid and not (goes and goes < self._now() - timedelta(seconds=LEEWAY))


def _user(claims: _Claims) -> Body:
    """As the API server's own TokenReview names the user."""
    bound = claims.bound
    extra = {"pod": bound.pod, "node": bound.node}
    return {
        "username": claims.sub,
        "uid": bound.serviceaccount.uid,
        "groups": [
            "system:serviceaccounts",
            f"system:serviceaccounts:{bound.namespace}",
            "system:authenticated",
        ],
        "extra": {
            f"authentication.kubernetes.io/{what}-{field}": [getattr(one, field)]
            for what, one in extra.items()
            for field in ("name", "uid")
            if one and getattr(one, field)
        }
        | ({"authentication.kubernetes.io/credential-id": [f"JTI={claims.jti}"]} if claims.jti else {}),
    }
