"""The digest of a model or input: of a file its sha256, of a folder the sha256 of sorted `<sha256>  <path>` lines."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from perennial.agent.failure import Unsuitable
from perennial.agent.layout import MARKERS

PREFIX = "sha256:"
UNKEEPABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # control characters, and what was no UTF-8


def of_path(path: Path) -> str:
    """Digest of a file or folder on disk. Unsuitable: see `tree`; OSError: it cannot be read."""
    if not path.is_dir():
        return PREFIX + of_file(path)
    return of_lines({name: of_file(path / name) for name in tree(path)})


def of_file(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_lines(hashes: Mapping[str, str]) -> str:
    """Digest of a folder whose files, by path relative to it, have these hex sha256."""
    lines = sorted(f"{sha256}  {name}\n".encode() for name, sha256 in hashes.items())
    return PREFIX + hashlib.sha256(b"".join(lines)).hexdigest()


class Stamp(NamedTuple):
    """Tells whether a file was written to in between."""

    size: int  # bytes
    mtime_ns: int


def tree(folder: Path) -> dict[str, Stamp]:
    """All files below a folder by relative POSIX path, without our own markers. Links within the folder count as what
    they point to. Unsuitable: a link that leads out of the folder, in a circle or nowhere, a special file, or a name
    that no store could keep."""
    root = folder.resolve(strict=True)
    return dict(_walk(root, "", (root,)))


def _walk(root: Path, prefix: str, parents: tuple[Path, ...]) -> Iterator[tuple[str, Stamp]]:
    with os.scandir(root / prefix) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        path = prefix + name
        if path == MARKERS:
            continue
        if UNKEEPABLE.search(path):
            raise Unsuitable(f"{path!r}: the name has characters that cannot be kept in a store")
        real = root / path
        if real.is_symlink():
            real = _inside(root, path)
        status = real.stat()
        mode = status.st_mode
        if stat.S_ISREG(mode):
            yield path, Stamp(status.st_size, status.st_mtime_ns)
        elif not stat.S_ISDIR(mode):
            raise Unsuitable(f"{path}: is a {_kind(mode)}, not a file or folder")
        elif real.resolve() in parents:
            raise Unsuitable(f"{path}: the link leads back to a folder that it lies in")
        else:
            yield from _walk(root, f"{path}/", (*parents, real.resolve()))


def _inside(root: Path, path: str) -> Path:
    link = root / path
    try:
        real = link.resolve(strict=True)
    except (OSError, RuntimeError):
        raise Unsuitable(f"{path}: the link leads nowhere ({os.readlink(link)}); write the file itself") from None
    if not real.is_relative_to(root):
        raise Unsuitable(f"{path}: the link leads out of the folder ({os.readlink(link)}); write the file itself")
    return real


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFIFO: "named pipe",
        stat.S_IFSOCK: "socket",
        stat.S_IFBLK: "block device",
        stat.S_IFCHR: "character device",
    }
    return kinds.get(stat.S_IFMT(mode), "special file")
