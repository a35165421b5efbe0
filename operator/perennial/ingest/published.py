"""The keys that ServiceAccounts' tokens are signed with, as the API server publishes them, and tokens checked by them.

https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import jwt

from perennial.api.meta import AUDIENCE
from perennial.kube.errors import Denied, Forbidden, NotFound, Unavailable
from perennial.plan import Body

# What the API server signs with, and how far clocks may differ for it.
ALGORITHMS = ("ES256", "ES384", "ES512", "RS256")
LEEWAY = 60.0
# Seconds for which a key that was taken back still counts, and between two looks for one that is not known.
_TRUSTED = 300.0
_PATIENCE = 10.0
_CONFIGURATION = "/.well-known/openid-configuration"
# Not where the configuration says: that may be an address outside of the cluster.
_KEYS = "/openid/v1/jwks"


class PublishedKeys:
    """The keys of one API server. `read` gets a JSON document of it by its path; `clock` is monotonic."""

    def __init__(self, read: Callable[[str], Awaitable[Body]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._reading = asyncio.Lock()
        self._issuer = ""
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = float("-inf")

    async def claims(self, token: str) -> Body | None:
        """The claims of a token that the API server signed for our audience and that is valid now; else None.

        Raises the types of `kube.errors` when the keys cannot be read.
        """
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            if not key_id or not (key := await self._key(key_id)):
                return None
            return jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=AUDIENCE,
                issuer=self._issuer,
                leeway=LEEWAY,
                options={"require": ["aud", "exp", "iss", "sub"]},
            )
        except jwt.PyJWTError:
            return None

    async def _key(self, key_id: str) -> jwt.PyJWK | None:
        async with self._reading:
            age = self._clock() - self._read_at
            if age > _TRUSTED or (key_id not in self._keys and age > _PATIENCE):
                await self._look()
        return self._keys.get(key_id)

    async def _look(self) -> None:
        try:
            configuration, found = await self._read(_CONFIGURATION), await self._read(_KEYS)
        except (Denied, Forbidden, NotFound) as error:
            raise Unavailable(
                f"tokens cannot be checked, since the API server does not tell its keys: {error}; ServiceAccounts "
                "need the ClusterRole system:service-account-issuer-discovery, and the API server an https issuer",
                code=error.code,
            ) from error
        self._issuer = configuration["issuer"]
        self._keys = {key.key_id: key for key in _usable(found) if key.key_id}
        self._read_at = self._clock()


def _usable(found: dict[str, Any]) -> list[jwt.PyJWK]:
    try:
        keys = jwt.PyJWKSet.from_dict(found).keys
    except jwt.PyJWTError:
        return []
    return [key for key in keys if key.algorithm_name in ALGORITHMS]
