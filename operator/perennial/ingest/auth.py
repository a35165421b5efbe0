"""Who asks, and whether they may: asked of a reviewer, remembered for seconds."""

import asyncio
import hashlib
import re
from typing import NamedTuple, Protocol

from perennial.api.meta import GROUP
from perennial.api.resources import Resource
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


class Right(NamedTuple):
    """The verb `create` on a subresource of an object: what is posted to us is, to RBAC, made below that."""

    resource: Resource
    subresource: str
    of: Name

    @property
    def words(self) -> str:
        """As a Role names it."""
        return f"{self.resource.plural}/{self.subresource}"


def question(user: Body, right: Right) -> Body:
    """The spec of a SubjectAccessReview, local or not: whether a user has a right."""
    return {
        "user": user["username"],
        **{key: user[key] for key in ("uid", "groups", "extra") if key in user},
        "resourceAttributes": {
            "verb": "create",
            "group": GROUP,
            "resource": right.resource.plural,
            "subresource": right.subresource,
            "namespace": right.of.namespace,
            "name": right.of.name,
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

    async def may(self, user: Body, right: Right) -> bool:
        """Whether the user has the right."""
        ...


class Reviews:
    """A reviewer's answers, remembered, and not too many asked for at once. Raises what the reviewer raises."""

    def __init__(self, reviewer: Reviewer) -> None:
        self._reviewer = reviewer
        self.namespace = reviewer.namespace
        self._users: Verdicts[bytes, Body | None] = Verdicts(seconds=_REMEMBERED, size=_TOKENS)
        self._rights: Verdicts[tuple[bytes, Right], bool] = Verdicts(seconds=_REMEMBERED, size=_RIGHTS)
        # Strangers' tokens must not make us a burden to the API server.
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def user(self, token: str) -> Body | None:
        """As Reviewer.user."""
        return await self._users.get(_hash(token), lambda: self._user(token))

    def knows(self, token: str) -> bool:
        """Whether the token was good when it was last asked about: nobody has to be asked about a stranger."""
        return self._users.knows(_hash(token))

    async def may(self, token: str, user: Body, right: Right) -> bool:
        """As Reviewer.may; `token` is what the user came with."""
        return await self._rights.get((_hash(token), right), lambda: self._may(user, right))

    async def _user(self, token: str) -> Body | None:
        async with self._turn:
            return await self._reviewer.user(token)

    async def _may(self, user: Body, right: Right) -> bool:
        async with self._turn:
            return await self._reviewer.may(user, right)


def _hash(token: str) -> bytes:
    """Tokens are not kept."""
    return hashlib.sha256(token.encode()).digest()
