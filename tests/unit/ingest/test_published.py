"""Tokens checked by published keys: which are good, and when the keys are read again."""

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from perennial.api.meta import AUDIENCE
from perennial.ingest.published import PublishedKeys
from perennial.kube.errors import Denied, Unavailable

ISSUER = "https://kubernetes.default.svc.cluster.local"
RSA, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
EC = ec.generate_private_key(ec.SECP256R1())


# Some tokens are made long before they are looked at.
def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    plain = {"aud": [AUDIENCE], "iss": ISSUER, "sub": "someone", "iat": now, "nbf": now, "exp": now + 86_400}
    return {name: value for name, value in (plain | changed).items() if value is not None}


def signed(key: Any = RSA, algorithm: str = "RS256", key_id: str | None = "a", /, **changed: Any) -> str:
    return jwt.encode(claims(**changed), key, algorithm, headers={"kid": key_id} if key_id else None)


class Server:
    """Publishes keys by their ids, and counts how often it was asked; `now` is its clients' clock."""

    def __init__(self, **keys: Any) -> None:
        self.keys = keys
        self.asked = 0
        self.now = 1000.0

    async def read(self, path: str) -> dict[str, Any]:
        if path == "/.well-known/openid-configuration":
            return {"issuer": ISSUER, "jwks_uri": "https://10.0.0.1/elsewhere"}
        assert path == "/openid/v1/jwks"
        self.asked += 1
        made = []
        for key_id, key in self.keys.items():
            kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
            made.append(json.loads(kind.to_jwk(key.public_key())) | {"kid": key_id, "use": "sig"})
        return {"keys": made}


@pytest.fixture
def server() -> Server:
    return Server(a=RSA, b=EC)


@pytest.fixture
def keys(server: Server) -> PublishedKeys:
    return PublishedKeys(server.read, clock=lambda: server.now)


@pytest.mark.parametrize("token", [signed(), signed(EC, "ES256", "b"), signed(aud=["vault", AUDIENCE])])
async def test_what_a_published_key_signed_is_good(keys: PublishedKeys, token: str) -> None:
    found = await keys.claims(token)
    assert found
    assert found["sub"] == "someone"


NESTED = "[" * 5000
BAD = {
    "another key": signed(OTHER),
    "another key's id": signed(RSA, "RS256", "b"),
    "no key's id": signed(RSA, "RS256", None),
    "another algorithm of the key": signed(RSA, "RS512"),
    "another audience": signed(aud="vault"),
    "a part of the audience": signed(aud="perennial.dev"),
    "no audience": signed(aud=None),
    "another issuer": signed(iss="https://elsewhere.example"),
    "no issuer": signed(iss=None),
    "no end": signed(exp=None),
    "over": signed(exp=int(time.time()) - 61),
    "not yet": signed(nbf=int(time.time()) + 80_000),
    "made in the future": signed(iat=int(time.time()) + 80_000),
    "nobody": signed(sub=None),
    "symmetric": jwt.encode(claims(), "a" * 64, "HS256", headers={"kid": "a"}),
    "not signed": jwt.encode(claims(), "", "none", headers={"kid": "a"}),
    "what must be understood": jwt.encode(claims(), RSA, "RS256", headers={"kid": "a", "crit": ["new"], "new": 1}),
    "no token": "abc",
    "a nested head": jwt.utils.base64url_encode(NESTED.encode()).decode() + ".e30.e30",
    "a head that is no object": "W10.e30.e30",
}


@pytest.mark.parametrize("token", BAD.values(), ids=BAD.keys())
async def test_any_other_is_not(keys: PublishedKeys, token: str) -> None:
    assert await keys.claims(token) is None


async def test_clocks_may_differ_by_a_minute(keys: PublishedKeys) -> None:
    now = int(time.time())
    assert await keys.claims(signed(exp=now - 50, iat=now - 600, nbf=now - 600))
    assert await keys.claims(signed(nbf=now + 50, iat=now + 50))


async def test_a_new_key_is_looked_for_but_not_for_every_stranger(server: Server, keys: PublishedKeys) -> None:
    assert await keys.claims(signed())
    for _ in range(5):
        assert await keys.claims(signed(OTHER, "RS256", "new")) is None
    assert server.asked == 1
    server.keys["new"] = OTHER
    server.now += 11
    assert await keys.claims(signed(OTHER, "RS256", "new"))
    assert server.asked == 2


async def test_a_key_that_was_taken_back_does_not_count_for_long(server: Server, keys: PublishedKeys) -> None:
    assert await keys.claims(signed())
    del server.keys["a"]
    server.now += 299
    assert await keys.claims(signed())
    server.now += 2
    assert await keys.claims(signed()) is None


async def test_keys_that_may_not_be_read_are_told_of() -> None:
    async def denied(path: str) -> dict[str, Any]:
        raise Denied(f'User "x" cannot get path "{path}"', code=403)

    with pytest.raises(Unavailable, match="need the ClusterRole system:service-account-issuer-discovery"):
        await PublishedKeys(denied).claims(signed())
