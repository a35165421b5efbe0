"""Who reports, and whether they may: asked of the API server, remembered for seconds."""

import asyncio
import hashlib
import re

from perennial.api.meta import GROUP
from perennial.api.resources import MODELDEPLOYMENTS, SUBJECTACCESSREVIEWS, TOKENREVIEWS
from perennial.ingest.verdicts import Verdicts
from perennial.kube.client import Client
from perennial.plan import Body
from perennial.view import Name

AUDIENCE = "perennial"
# How long a token that was revoked, or a right that was taken away, still counts.
_REMEMBERED = 20.0
_TOKENS = 4096
_RIGHTS = 16_384
_AT_ONCE = 16
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,8192}=*")


def bearer(header: str | None) -> str | None:
    """The token of an Authorization header, if it has the form of one."""
    scheme, _, token = (header or "").partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and _TOKEN.fullmatch(token) else None


def party(user: Body) -> str:
    """Whom a user counts as where many share: service accounts, of which anyone makes more, as their namespace."""
    name: str = user["username"]
    return name.rpartition(":")[0] if name.startswith("system:serviceaccount:") else name


class Reviews:
    """TokenReview and SubjectAccessReview. Raises the types of `kube.errors` when they cannot be had."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._users: Verdicts[bytes, Body | None] = Verdicts(seconds=_REMEMBERED, size=_TOKENS)
        self._rights: Verdicts[tuple[bytes, Name], bool] = Verdicts(seconds=_REMEMBERED, size=_RIGHTS)
        # Strangers' tokens must not make us a burden to the API server.
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def user(self, token: str) -> Body | None:
        """The user (username, uid, groups, extra) of a token of our audience; None for any other token."""
        return await self._users.get(_hash(token), lambda: self._review_token(token))

    def knows(self, token: str) -> bool:
        """Whether the token was good when it was last asked about: nobody has to be asked about a stranger."""
        return self._users.knows(_hash(token))

    async def may_report(self, token: str, user: Body, deployment: Name) -> bool:
        """Whether the user of this token may `create` `modeldeployments/metrics` of this name."""
        return await self._rights.get((_hash(token), deployment), lambda: self._review_access(user, deployment))

    async def _review_token(self, token: str) -> Body | None:
        status = await self._status(
            {
                "apiVersion": TOKENREVIEWS.api_version,
                "kind": TOKENREVIEWS.kind,
                "spec": {"token": token, "audiences": [AUDIENCE]},
            }
        )
        # A token without audiences, of an authenticator that knows none, is meant for the API server.
        meant_for_us = AUDIENCE in (status.get("audiences") or ())
        user: Body | None = status.get("user")
        return user if status.get("authenticated") and meant_for_us and user and user.get("username") else None

    async def _review_access(self, user: Body, deployment: Name) -> bool:
        status = await self._status(
            {
                "apiVersion": SUBJECTACCESSREVIEWS.api_version,
                "kind": SUBJECTACCESSREVIEWS.kind,
                "spec": {
                    "user": user["username"],
                    **{key: user[key] for key in ("uid", "groups", "extra") if key in user},
                    "resourceAttributes": {
                        "verb": "create",
                        "group": GROUP,
                        "resource": MODELDEPLOYMENTS.plural,
                        "subresource": "metrics",
                        "namespace": deployment.namespace,
                        "name": deployment.name,
                    },
                },
            }
        )
        return status.get("allowed") is True

    async def _status(self, review: Body) -> Body:
        async with self._turn:
            return (await self._client.create(review)).get("status") or {}


def _hash(token: str) -> bytes:
    """Tokens are not kept."""
    return hashlib.sha256(token.encode()).digest()
