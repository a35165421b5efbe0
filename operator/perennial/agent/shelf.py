"""A folder of models by their digests, each as a tar archive, of bounded size: what was not wanted for longest goes."""

import hashlib
import logging
import os
import re
import tarfile
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from perennial.agent import digest

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_COMING = ".coming"

log = logging.getLogger(__name__)


class Unkept(Exception):
    """An archive that is not kept; the message says why."""


class Shelf:
    """Archives in `folder`, of at most `most` bytes together, also while one is coming."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most
        self._lock = threading.Lock()
        self._coming: dict[str, int] = {}  # bytes that are here
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"*{_COMING}"):
            left.unlink()

    def open(self, wanted: str) -> BinaryIO | None:
        """The archive of a model; None when there is none."""
        path = self._folder / wanted
        try:
            os.utime(path)
            return path.open("rb")
        except FileNotFoundError:
            return None

    def coming(self, wanted: str) -> bool:
        """Whether somebody is bringing it."""
        return wanted in self._coming

    def take(self, wanted: str, chunks: Iterable[bytes]) -> None:
        """Keep an archive, if it is of this digest. Unkept otherwise, and while another brings it."""
        with self._lock:
            if wanted in self._coming:
                raise Unkept("somebody else is bringing it")
            self._coming[wanted] = 0
        descriptor, name = tempfile.mkstemp(suffix=_COMING, dir=self._folder)
        coming = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in chunks:
                    self._room(wanted, len(chunk))
                    file.write(chunk)
            if wanted not in digests(coming):
                raise Unkept(f"it is not of the digest {wanted}")
            coming.rename(self._folder / wanted)
        finally:
            coming.unlink(missing_ok=True)
            with self._lock:
                del self._coming[wanted]

    def _room(self, wanted: str, more: int) -> None:
        """Make room for so many bytes. Unkept when there is none: archives that come are not given up for others."""
        with self._lock:
            self._coming[wanted] += more
            coming = sum(self._coming.values())
            if coming > self._most:
                raise Unkept(f"it does not fit into {self._most} bytes")
            kept = sorted((status.st_mtime, status.st_size, path) for path, status in self._kept())
            too_much = coming + sum(size for _, size, _ in kept) - self._most
            for _, size, path in kept:
                if too_much <= 0:
                    break
                path.unlink(missing_ok=True)
                too_much -= size
                log.info("made room", extra={"digest": path.name, "bytes": size})

    def _kept(self) -> Iterable[tuple[Path, os.stat_result]]:
        return [(path, path.stat()) for path in self._folder.iterdir() if DIGEST.fullmatch(path.name)]


def digests(archive: Path) -> set[str]:
    """What a model may have as its digest whose files are in an archive: a single file has its own. Unkept when it is
    no archive of files."""
    hashes = {}
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is None:
                    raise Unkept(f"{member.name!r} is no file")
                hashes[member.name] = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
    except tarfile.TarError as error:
        raise Unkept(f"it is no archive: {error}") from None
    return names_of(hashes)


def names_of(hashes: dict[str, str]) -> set[str]:
    """The digests that a folder may be known by, from the hashes of its files."""
    single = {digest.PREFIX + sha256 for sha256 in hashes.values()} if len(hashes) == 1 else set()
    return {digest.of_lines(hashes), *single}
