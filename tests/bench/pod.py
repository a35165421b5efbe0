"""Runs the operator as its image does: with the credentials of a service account, and without the official client.

`python -m tests.bench.pod FOLDER ARGUMENT...`, where the folder holds `ca.crt` and `token`.
"""

import runpy
import sys
from pathlib import Path

# Which is in the development environment, and which kopf loads where it finds it.
sys.modules["kubernetes"] = None  # type: ignore[assignment]

if __name__ == "__main__":
    from perennial.kube import login

    login.SERVICE_ACCOUNT = Path(sys.argv.pop(1))
    runpy.run_module("perennial", run_name="__main__", alter_sys=True)
