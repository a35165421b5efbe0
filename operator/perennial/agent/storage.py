"""Stores behind one face: `s3://`, `http(s)://` and `pvc://claim/path`, their errors turned into words in one place."""

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from fsspec import AbstractFileSystem, filesystem

from perennial.agent import digest
from perennial.agent.failure import TaskFailed, Unsuitable
from perennial.agent.layout import MARKERS
from perennial.api.task import Reason

CHUNK = 5 * 2**20  # bytes in memory at a time, per connection; the least that S3 takes as a part
CONNECTIONS = 2  # per file
MAX_PARTS = 10_000  # of one upload, by S3's rules
CONNECT_SECONDS, READ_SECONDS = 10, 60


def shown(uri: str) -> str:
    """A URI for people: without passwords and the signatures of pre-signed URLs."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


class Seen(NamedTuple):
    """What is known of a file from outside."""

    size: int  # bytes
    stamp: str  # changes when it is written again; empty where the store has none


@dataclass(frozen=True, slots=True)
class Location:
    """An object or a prefix in a store. Every method raises TaskFailed in words, with a reason of the store's kind."""

    uri: str
    fs: AbstractFileSystem
    path: str

    @property
    def shown(self) -> str:
        """The URI for people."""
        return shown(self.uri)

    @property
    def name(self) -> str:
        """What a file of it would be called."""
        return PurePosixPath(urlsplit(self.uri).path).name or "model"

    def child(self, name: str) -> Self:
        return replace(self, uri=f"{self.uri.rstrip('/')}/{name}", path=f"{self.path.rstrip('/')}/{name}")

    def at(self, name: str) -> str:
        return f"{self.path}/{name}" if name else self.path

    def files(self) -> list[str]:
        """Files below a prefix, by relative path, without our own markers; `[""]` when it is one object."""
        with self._in_words("read"):
            return self._files()

    def seen(self) -> dict[str, Seen]:
        """The same files, as far as the store knows them without their being read."""
        with self._in_words("read"):
            return self._seen()

    def _files(self) -> list[str]:
        return sorted(self._found())

    def _seen(self) -> dict[str, Seen]:
        return {name: _as_seen(info) for name, info in self._found().items()}

    def _found(self) -> dict[str, dict[str, Any]]:
        """What the store says of each file, by relative path."""
        if not self.uri.endswith("/") and "/" in self.path:
            info = self.fs.info(self.path)
            if info["type"] == "file":
                return {"": info}
        objects = {name[len(self.path) + 1 :]: info for name, info in self.fs.find(self.path, detail=True).items()}
        found = {
            name: info
            for name, info in objects.items()
            if name and not name.endswith("/") and name.split("/")[0] != MARKERS
        }
        if not found:
            raise FileNotFoundError(errno.ENOENT, "there is neither an object of this name nor any below it")
        for name in found:
            if digest.UNKEEPABLE.search(name) or {"", ".", ".."} & set(name.split("/")):
                raise Unsuitable(f"the object {name!r} cannot be a file")
        return found

    def require(self) -> None:
        """NotFound unless there is something."""
        with self._in_words("read"):
            self.fs.info(self.path)

    def names(self) -> list[str]:
        """What lies directly below; empty when there is nothing."""
        with self._in_words("read"):
            try:
                return sorted(name.rstrip("/").rpartition("/")[2] for name in self.fs.ls(self.path, detail=False))
            except FileNotFoundError:
                return []

    def download(self, name: str, to: Path) -> None:
        with self._in_words("read", name):
            self.fs.get_file(self.at(name), str(to))

    def upload(self, file: Path, name: str) -> None:
        with self._in_words("write", name):
            chunk = max(CHUNK, -(-file.stat().st_size // MAX_PARTS))
            self.fs.put_file(str(file), self.at(name), chunksize=chunk, max_concurrency=CONNECTIONS)

    def read(self, name: str) -> bytes:
        with self._in_words("read", name):
            return bytes(self.fs.cat_file(self.at(name)))

    def write(self, name: str, data: bytes) -> None:
        """Whole or not at all."""
        with self._in_words("write", name):
            self.fs.pipe_file(self.at(name), data)

    def remove(self, name: str) -> None:
        with self._in_words("remove", name):
            self.fs.rm_file(self.at(name))

    @contextmanager
    def _in_words(self, act: str, name: str = "") -> Iterator[None]:
        what = f"{self.shown.rstrip('/')}/{name}" if name else self.shown
        if endpoint := getattr(self.fs, "endpoint_url", None):
            what = f"{what} at {shown(endpoint)}"
        try:
            yield
        except Unsuitable as error:
            raise TaskFailed(Reason.INVALID_URI, f"{what}: {error}") from error
        except (OSError, BotoCoreError, aiohttp.ClientError, TimeoutError) as error:
            reason = reason_of(error)
            raise TaskFailed(reason, f"cannot {act} {what}: {PREFACES.get(reason, '')}{_cause(error)}") from error


class OneFile(Location):
    """What an http(s) URL gives."""

    __slots__ = ()

    def _files(self) -> list[str]:
        return [""]

    def _seen(self) -> dict[str, Seen]:
        seen = _as_seen(self.fs.info(self.path))
        if seen.stamp:
            return {"": seen}
        # Then it has to be read.
        content, size = hashlib.sha256(), 0
        with self.fs.open(self.path) as file:
            while chunk := file.read(CHUNK):
                content.update(chunk)
                size += len(chunk)
        return {"": Seen(size, content.hexdigest())}


class OnClaim(Location):
    """A path on a mounted volume claim."""

    __slots__ = ()

    def _files(self) -> list[str]:
        return list(self._tree())

    def _seen(self) -> dict[str, Seen]:
        return {name: Seen(stamp.size, str(stamp.mtime_ns)) for name, stamp in self._tree().items()}

    def _tree(self) -> dict[str, digest.Stamp]:
        path = Path(self.path)
        if path.is_dir():
            return digest.tree(path)
        status = path.stat()
        return {"": digest.Stamp(status.st_size, status.st_mtime_ns)}

    def upload(self, file: Path, name: str) -> None:
        with self._in_words("write", name):
            self.fs.put_file(str(file), self.at(name))
            self._keep(Path(self.at(name)))

    def write(self, name: str, data: bytes) -> None:
        with self._in_words("write", name):
            unfinished = Path(self.at(name) + ".part")
            self.fs.pipe_file(str(unfinished), data)
            self._keep(unfinished)
            unfinished.replace(self.at(name))
            self._keep(unfinished.parent)

    def _keep(self, path: Path) -> None:
        """A node that crashes must not leave a model that is said to be published and is not."""
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def locate(uri: str, volumes: Path) -> Location:
    """The place that a URI names. `volumes`: where claims are mounted. TaskFailed(InvalidUri): none of ours."""
    parts = urlsplit(uri)
    if parts.scheme == "s3" and parts.netloc:
        return Location(uri, _s3(), uri.removeprefix("s3://").rstrip("/"))
    if parts.scheme in ("http", "https") and parts.netloc:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        return OneFile(uri, _fs("http", client_kwargs={"timeout": timeout, "trust_env": True}), uri)
    if parts.scheme == "pvc" and parts.netloc:
        inside = PurePosixPath(uri.removeprefix("pvc://"))
        if ".." not in inside.parts and not inside.is_absolute():
            return OnClaim(uri, _fs("file", auto_mkdir=True), str(volumes / inside))
    raise TaskFailed(
        Reason.INVALID_URI, f"{shown(uri)}: expected s3://bucket/path, https://host/path or pvc://claim/path"
    )


def _fs(protocol: str, **options: Any) -> AbstractFileSystem:
    """Loads the protocol's library only now: a training's agent waits for hours, and should be small while it does."""
    return filesystem(protocol, skip_instance_cache=True, **options)


def _s3() -> AbstractFileSystem:
    env = os.environ
    endpoint = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL")
    config: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "retries": {"total_max_attempts": 1},  # s3fs tries again by itself, and so do we
    }
    # Left to itself botocore takes `path` for any endpoint but Amazon's.
    if style := env.get("AWS_S3_ADDRESSING_STYLE"):
        config["s3"] = {"addressing_style": style}
    # Many stores that speak S3 refuse Amazon's newer checksums.
    if endpoint and "AWS_REQUEST_CHECKSUM_CALCULATION" not in env:
        config["request_checksum_calculation"] = "when_required"
    return _fs(
        "s3",
        endpoint_url=endpoint,
        config_kwargs=config,
        default_block_size=CHUNK,
        max_concurrency=CONNECTIONS,
        use_listings_cache=False,
    )


def _as_seen(info: Mapping[str, Any]) -> Seen:
    stamps = (info.get(field) for field in ("ETag", "Content-MD5", "Last-Modified", "LastModified"))
    return Seen(info.get("size") or 0, str(next(filter(None, stamps), "")))


PREFACES = {
    Reason.ACCESS_DENIED: "access denied: ",
    Reason.NOT_FOUND: "not found: ",
    Reason.NO_SPACE: "no space left: ",
    Reason.STORE_UNAVAILABLE: "the store does not answer as it should: ",
}


def reason_of(error: Exception) -> Reason:
    """The kind of an error of a store, or of the disk beside it."""
    if isinstance(error, aiohttp.ClientResponseError):
        return {401: Reason.ACCESS_DENIED, 403: Reason.ACCESS_DENIED, 410: Reason.NOT_FOUND}.get(
            error.status, Reason.STORE_UNAVAILABLE
        )
    if isinstance(error, (ParamValidationError, aiohttp.InvalidURL)):
        return Reason.INVALID_URI
    if isinstance(error, (PermissionError, NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)):
        return Reason.ACCESS_DENIED
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return Reason.NOT_FOUND
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Reason.NO_SPACE
    return Reason.STORE_UNAVAILABLE


def _cause(error: Exception) -> str:
    if isinstance(error, NoCredentialsError):
        keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        return f"no credentials; the Secret of storage.secretName (default perennial-storage) needs {keys}"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"HTTP {error.status} {error.message}".rstrip()
    if isinstance(error, aiohttp.InvalidURL):
        return "it is no valid URL"
    if isinstance(error, OSError) and not isinstance(error, aiohttp.ClientError) and error.strerror:
        return error.strerror
    if isinstance(error, FileNotFoundError) and " " not in str(error):  # only the name again, or a signed URL
        return "there is nothing of this name"
    text = str(error).partition("?")[0] if isinstance(error, BotoCoreError) else str(error)
    return text or type(error).__name__
