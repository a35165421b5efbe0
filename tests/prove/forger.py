"""Tokens as the API server signs them, with claims that it would not."""

import base64
import hashlib
import hmac
import json
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from e2e.cluster.apiserver import ApiServer


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _read(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


class Forger:
    """Signs claims as the API server does, with its own key, another one, or none."""

    def __init__(self, server: ApiServer, token: str) -> None:
        key = serialization.load_pem_private_key((server.folder / "sa.key").read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self.key = key
        self.public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        header = token.split(".")[0]
        self.header: dict[str, Any] = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
        self.claims = _read(token)

    def sign(self, key: rsa.RSAPrivateKey | None = None, **changed: Any) -> str:
        """A token of these claims; None leaves one out."""
        claims = {name: value for name, value in (self.claims | changed).items() if value is not None}
        text = f"{_b64(json.dumps(self.header).encode())}.{_b64(json.dumps(claims).encode())}"
        return f"{text}.{_b64((key or self.key).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def unsigned(self, algorithm: str) -> str:
        """A token that says how it is signed: not at all, or by the public key as if it were a secret."""
        text = f"{_b64(json.dumps(self.header | {'alg': algorithm}).encode())}.{_b64(json.dumps(self.claims).encode())}"
        return f"{text}.{_b64(hmac.digest(self.public, text.encode(), hashlib.sha256)) if algorithm != 'none' else ''}"
