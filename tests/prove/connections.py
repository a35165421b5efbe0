"""Starts a program of this tree as `python -m` does, and notes where its process connects, what it looks up and starts.

    python -m tests.prove.connections FILE MODULE ARGUMENT...

FILE gets a line of JSON for each: [event, subject].
"""

import json
import runpy
import sys
from typing import Any, TextIO

# CPython's audit events, and which of their arguments says where to.
_SUBJECT = {
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
    "urllib.Request": 0,
    "subprocess.Popen": 0,
    "os.exec": 0,
    "os.posix_spawn": 0,
    "os.system": 0,
}


def note(file: TextIO) -> None:
    """From now on, for as long as the process lives: a hook cannot be taken off."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _SUBJECT:
            file.write(json.dumps([event, arguments[_SUBJECT[event]]], default=str) + "\n")
            file.flush()

    sys.addaudithook(hook)


if __name__ == "__main__":
    note(open(sys.argv[1], "a"))  # noqa: SIM115
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
