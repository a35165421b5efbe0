"""Ports for servers that tests start, of which several may run on one machine at the same time."""

import fcntl
import os
import random
import socket
from functools import cache

from e2e.cluster.cache import cache_dir

# Below the range that the kernel gives to outgoing connections.
_RANGE = range(20_000, 32_000)
_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Return ports nobody listens on, and that no other process is given as long as this one lives: who is started
    again finds its port free."""
    return [_free_port() for _ in range(count)]


def _free_port() -> int:
    while True:
        port = random.choice(_RANGE)
        if port in _given or not _reserved(port):
            continue
        _given.add(port)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


def _reserved(port: int) -> bool:
    """A byte of one file, locked, stands for each port: https://man7.org/linux/man-pages/man2/fcntl_locking.2.html"""
    try:
        fcntl.lockf(_register(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@cache
def _register() -> int:
    # Never closed: with it all locks would go.
    cache_dir().mkdir(parents=True, exist_ok=True)
    return os.open(cache_dir() / "ports", os.O_RDWR | os.O_CREAT, 0o666)
