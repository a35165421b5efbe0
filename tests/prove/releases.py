"""The release before this one: its tree, and an operator that runs from it."""

import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Self

from e2e.cluster.apiserver import ApiServer
from tests.apiserver.operators import ROOT, Perennial

# Upgrades are proven from here. To be moved with each release, to the commit that was released before.
BEFORE = "79a13d60ba3aa37e87a72d466523bcc374e3da8d"


def unpack(commit: str, folder: Path) -> Path:
    """The operator, its kinds and its chart as they were at a commit. RuntimeError when the clone does not have it."""
    archive = subprocess.run(["git", "archive", commit, "operator", "crds", "charts"], cwd=ROOT, capture_output=True)
    if archive.returncode:
        raise RuntimeError(
            f"the release before, {commit}, is not in this clone; fetch it (git fetch --unshallow): "
            f"{archive.stderr.decode().strip()}"
        )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


class Release(Perennial):
    """The operator of a release, run from its tree."""

    def __init__(self, server: ApiServer, name: str, config: Path, tree: Path) -> None:
        super().__init__(server, name, config)
        self.tree = tree

    def __enter__(self) -> Self:
        environment = {**os.environ, "PYTHONPATH": str(self.tree / "operator")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, cwd=self.tree, env=environment, stderr=log)
        return self
