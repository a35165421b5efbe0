"""Who reports, and whether they may: asked of a reviewer, remembered for seconds."""

import asyncio
import hashlib
import re
from typing import Protocol

from perennial.api.meta import GROUP
from perennial.api.resources import MODELDEPLOYMENTS
from perennial.ingest.verdicts import Verdicts
from perennial.plan import Body
from perennial.view import Name

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


def question(user: Body, deployment: Name) -> Body:
    """The spec of a SubjectAccessReview, local or not: whether a user may `create` `modeldeployments/metrics`."""
    return {
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
    }


class Reviewer(Protocol):
    """Who knows tokens and rights. Raises the types of `kube.errors` when it cannot say."""

    @property
    def namespace(self) -> str | None:
        """The only one whose ServiceAccounts and rights it knows; None: all."""
        ...

    async def user(self, token: str) -> Body | None:
        """The user (username, uid, groups, extra) of a token of our audience; None for any other token."""
        ...

    async def may_report(self, user: Body, deployment: Name) -> bool:
        """Whether the user may `create` `modeldeployments/metrics` of this name."""
        ...


class Reviews:
    """A reviewer's answers, remembered, and not too many asked for at once. Raises what the reviewer raises."""

    def __init__(self, reviewer: Reviewer) -> None:
        self._reviewer = reviewer
        self.namespace = reviewer.namespace
        self._users: Verdicts[bytes, Body | None] = Verdicts(seconds=_REMEMBERED, size=_TOKENS)
        self._rights: Verdicts[tuple[bytes, Name], bool] = Verdicts(seconds=_REMEMBERED, size=_RIGHTS)
        # Strangers' tokens must not make us a burden to the API server.
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def user(self, token: str) -> Body | None:
        """As Reviewer.user."""
        return await self._users.get(_hash(token), lambda: self._user(token))

    def knows(self, token: str) -> bool:
        """Whether the token was good when it was last asked about: nobody has to be asked about a stranger."""
        return self._users.knows(_hash(token))

    async def may_report(self, token: str, user: Body, deployment: Name) -> bool:
        """As Reviewer.may_report; `token` is what the user came with."""
        return await self._rights.get((_hash(token), deployment), lambda: self._may_report(user, deployment))

    async def _user(self, token: str) -> Body | None:
        async with self._turn:
            return await self._reviewer.user(token)

    async def _may_report(self, user: Body, deployment: Name) -> bool:
        async with self._turn:
            return await self._reviewer.may_report(user, deployment)


def _hash(token: str) -> bytes:
    """Tokens are not kept."""
    return hashlib.sha256(token.encode()).digest()
